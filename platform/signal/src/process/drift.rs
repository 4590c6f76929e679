use serde::{Deserialize, Serialize};

use super::limits::quantile;
use super::model::ProcessModel;
use super::watch::{parts, product, scaled};

/// Weight of one row in the slow averages; what the detectors' looks do with ten rows this does with
/// fifty, so that noise weighs less and a drift shows earlier than it raises anything else.
const SLOW: f64 = 0.02;
/// Weight of one row in the averages that tell a step from a drift.
const FAST: f64 = 0.1;
/// An input is a candidate when its share of the slow distance lies this many times beyond what
/// calibration saw, and when it makes up at least so much of the whole.
const LIMIT_FACTOR: f64 = 4.0;
const LIMIT_QUANTILE: f64 = 0.995;
const LONE_SHARE: f64 = 0.7;
/// A candidate loses its place after so many rows without being one.
const PATIENCE: u32 = 30;
/// Rows after which a step has arrived in the averages: what grows on from there is no step.
const SETTLED: u32 = 30;
/// How much the distance must have grown from there.
const GROWTH: f64 = 1.3;
/// A drift is over when the share has been below this part of its limit for so many rows.
const CLEAR_SHARE: f64 = 0.5;
const CLEAR_ROWS: u32 = 60;

/// Looks for inputs that slowly leave the place where the others would have them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DriftWatch {
    #[serde(with = "crate::exact::list")]
    slow: Vec<f64>,
    #[serde(with = "crate::exact::list")]
    fast: Vec<f64>,
    candidate: Option<Candidate>,
    drifting: Option<Drifting>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Candidate {
    input: usize,
    rows: u32,
    /// Rows in a row in which it was none.
    missed: u32,
    /// Its distance once a step would have arrived.
    #[serde(with = "crate::exact::one")]
    settled: f64,
    /// Its averages in spreads, of values that are not limited: a drift goes on beyond the reach.
    #[serde(with = "crate::exact::one")]
    slow: f64,
    #[serde(with = "crate::exact::one")]
    fast: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Drifting {
    input: usize,
    calm: u32,
    #[serde(with = "crate::exact::one")]
    fast: f64,
}

/// An input that drifts, and by how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    pub input: usize,
    /// Where it is, less where the others would have it, in its own unit.
    pub offset: f64,
}

impl DriftWatch {
    #[must_use]
    pub fn new(model: &ProcessModel) -> Self {
        let size = model.names.len();
        Self { slow: vec![0.0; size], fast: vec![0.0; size], candidate: None, drifting: None }
    }

    /// The state belongs to a model of this size.
    #[must_use]
    pub fn fits(&self, model: &ProcessModel) -> bool {
        let size = model.names.len();
        self.slow.len() == size && self.fast.len() == size
    }

    /// Takes the next row; the input that drifts, if any. Models without limits for drift, and
    /// assets with fewer than three inputs, of which nobody can say which one is right, have none.
    pub fn observe(&mut self, model: &ProcessModel, row: &[f64]) -> Option<Drift> {
        let size = model.names.len();
        if size < INPUTS_MIN || model.drift_limits.len() != size {
            return None;
        }
        if let Some(scaled) = scaled(model, row) {
            self.follow(model, row, &scaled);
        }
        self.drifting(model)
    }

    /// The input that drifts now. The state must [fit](Self::fits) the model.
    #[must_use]
    pub fn drifting(&self, model: &ProcessModel) -> Option<Drift> {
        let Drifting { input, fast, .. } = self.drifting?;
        let offset = off(model, &self.fast, input, fast) / model.inputs.get(input)?.per_row;
        Some(Drift { input, offset })
    }

    fn follow(&mut self, model: &ProcessModel, row: &[f64], scaled: &[f64]) {
        for (k, value) in scaled.iter().enumerate() {
            self.slow[k] += SLOW * (value - self.slow[k]);
            self.fast[k] += FAST * (value - self.fast[k]);
        }
        self.follow_own(model, row);
        let (shares, lone) = shares(model, &self.slow);
        if let Some(mut drifting) = self.drifting {
            let k = drifting.input;
            let calm = shares[k] < CLEAR_SHARE * model.drift_limits[k];
            drifting.calm = if calm { drifting.calm + 1 } else { 0 };
            self.drifting = (drifting.calm < CLEAR_ROWS).then_some(drifting);
            return;
        }
        let far = (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b]));
        let far = far.filter(|k| shares[*k] > model.drift_limits[*k] && lone >= LONE_SHARE);
        self.candidate = match (self.candidate, far) {
            (Some(one), Some(k)) if one.input == k => {
                Some(Candidate { rows: one.rows + 1, missed: 0, ..one })
            }
            (Some(one), _) if one.missed < PATIENCE => {
                Some(Candidate { rows: one.rows + 1, missed: one.missed + 1, ..one })
            }
            (_, k) => k.map(|input| Candidate {
                input,
                rows: 1,
                missed: 0,
                settled: 0.0,
                slow: self.slow[input],
                fast: self.fast[input],
            }),
        };
        self.ripen(model);
    }

    /// Follows the values of the suspected input as they are.
    fn follow_own(&mut self, model: &ProcessModel, row: &[f64]) {
        let value = |k: usize| {
            let input = &model.inputs[k];
            row.get(k)
                .filter(|value| value.is_finite())
                .map(|value| ((value - input.centre) * input.per_row).clamp(-FAR_MAX, FAR_MAX))
        };
        if let Some(one) = &mut self.candidate
            && let Some(value) = value(one.input)
        {
            one.slow += SLOW * (value - one.slow);
            one.fast += FAST * (value - one.fast);
        }
        if let Some(one) = &mut self.drifting
            && let Some(value) = value(one.input)
        {
            one.fast += FAST * (value - one.fast);
        }
    }

    /// Makes a candidate that grows on a drift.
    fn ripen(&mut self, model: &ProcessModel) {
        let Some(one) = &mut self.candidate else { return };
        let slow = off(model, &self.slow, one.input, one.slow).abs();
        if one.rows <= SETTLED {
            let fast = off(model, &self.fast, one.input, one.fast).abs();
            one.settled = one.settled.max(fast).max(slow);
        } else if slow > GROWTH * one.settled {
            self.drifting = Some(Drifting { input: one.input, calm: 0, fast: one.fast });
            self.candidate = None;
        }
    }
}

/// Spreads beyond which a value says no more.
const FAR_MAX: f64 = 1e6;
/// Fewest inputs of which one can be told from the others.
const INPUTS_MIN: usize = 3;

fn pull(model: &ProcessModel, level: &[f64]) -> Vec<f64> {
    let mut pull = vec![0.0; level.len()];
    model.inverse.times(level, &mut pull);
    pull
}

/// How many spreads an input with the average `own` lies from where the others would have it.
fn off(model: &ProcessModel, level: &[f64], k: usize, own: f64) -> f64 {
    let others: f64 =
        (0..level.len()).filter(|n| *n != k).map(|n| model.inverse.at(k, n) * level[n]).sum();
    own + others / model.inverse.at(k, k)
}

/// What each input has in the distance of the slow averages, and the part of the largest in the
/// whole.
fn shares(model: &ProcessModel, slow: &[f64]) -> (Vec<f64>, f64) {
    let pull = pull(model, slow);
    let distance = product(slow, &pull);
    let shares = parts(&pull, |k| model.inverse.at(k, k));
    let most = shares.iter().copied().fold(0.0, f64::max);
    let lone = if distance > 0.0 { (most / distance).min(1.0) } else { 0.0 };
    (shares, lone)
}

/// Limits for the shares from rows of normal operation, after `before`.
pub(super) fn limits(
    model: &ProcessModel,
    before: &[&Vec<f64>],
    calibrate: &[&Vec<f64>],
) -> Vec<f64> {
    let mut watch = DriftWatch::new(model);
    let size = model.names.len();
    let mut seen: Vec<Vec<f64>> = vec![Vec::with_capacity(calibrate.len()); size];
    for (n, row) in before.iter().chain(calibrate).enumerate() {
        let Some(scaled) = scaled(model, row) else { continue };
        for (k, value) in scaled.iter().enumerate() {
            watch.slow[k] += SLOW * (value - watch.slow[k]);
        }
        if n >= before.len() {
            let (shares, _) = shares(model, &watch.slow);
            seen.iter_mut().zip(shares).for_each(|(seen, share)| seen.push(share));
        }
    }
    // The average of fifty rows of independent noise has about a hundredth of a row's distance.
    let least = SLOW / (2.0 - SLOW);
    seen.into_iter()
        .map(|mut shares| {
            shares.sort_unstable_by(f64::total_cmp);
            LIMIT_FACTOR * quantile(&shares, LIMIT_QUANTILE).max(least)
        })
        .collect()
}
