use serde::{Deserialize, Serialize};

use super::model::{Look, ProcessModel};
use crate::change::halves;

/// Weight of one row in the averages.
pub(super) const LEVEL_WEIGHT: f64 = 0.1;
const SPREAD_WEIGHT: f64 = 0.1;
/// An input further out than this many spreads counts as just there.
pub(super) const REACH: f64 = 10.0;
/// An alarm starts when so many of the last rows lie beyond a limit, and ends after so many within.
const ONSET_ROWS: u32 = 2;
const ONSET_OF: u32 = 3;
/// A look whose logarithm lies so far beyond its limit needs no second row.
const ONSET_SURE: f64 = 0.2;
const CLEAR_ROWS: u32 = 3;
/// A row with more missing inputs than this share says nothing.
const MISSING_SHARE_MAX: f64 = 1.0 / 3.0;
/// Sweeps to fill missing inputs in from the others.
const FILL_SWEEPS: usize = 20;
/// Inputs named with a verdict, and the smallest share worth a name.
const NAMED_MAX: usize = 3;
const NAMED_SHARE_MIN: f64 = 0.01;
/// Rows of each of the two stretches whose averages are compared for a change of state, and rows
/// from one change to the next.
pub const STRETCH: usize = 25;
/// What is left of doubt about a change at the limit.
const CHANGE_DOUBT: f64 = 0.1;
const LOG_MIN: f64 = 1e-12;

/// What is remembered of the rows before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessWatch {
    #[serde(with = "crate::exact::list")]
    level: Vec<f64>,
    #[serde(with = "crate::exact::one")]
    spread: f64,
    /// Average parts of the inputs in the distance.
    #[serde(with = "crate::exact::list")]
    parts: Vec<f64>,
    /// The last rows in spreads, for two stretches, and the place of the oldest.
    #[serde(with = "crate::exact::list")]
    recent: Vec<f64>,
    oldest: usize,
    /// Rows since the last change of state.
    steady: usize,
    /// The last rows, newest in the lowest bit: beyond a limit or not.
    beyond: u8,
    calm: u32,
    alarm: bool,
    #[serde(with = "crate::exact::one")]
    score: f64,
}

/// What the model says about one row.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessVerdict {
    /// 0 to 1; [`THRESHOLD`](super::THRESHOLD) is the limit of the look that is furthest out.
    pub score: f64,
    pub alarm: bool,
    /// A change of state was noticed in this row.
    pub changepoint: bool,
    /// How sure that is, 0 to 1: 0.9 at the limit, nearer to 1 the further beyond.
    pub change_confidence: f64,
    /// Too much was missing to say anything: the state is as it was.
    pub held: bool,
    pub look: Look,
    /// The two parts of the row's distance.
    pub t2: f64,
    pub q: f64,
    /// Inputs by their place and share, largest first; empty when held.
    pub top: Vec<(usize, f64)>,
    /// Share of the distance that goes when the first of them is put where the others would have
    /// it: near 1 when that input alone is wrong.
    pub lone: f64,
}

/// One row in spreads, and what it adds up to.
struct Sight {
    distance: f64,
    t2: f64,
    logs: [f64; 3],
    step: Option<f64>,
    parts_level: Vec<f64>,
    parts_row: Vec<f64>,
}

impl ProcessWatch {
    #[must_use]
    pub fn new(model: &ProcessModel) -> Self {
        let size = model.names.len();
        Self {
            level: vec![0.0; size],
            spread: size as f64,
            parts: vec![0.0; size],
            recent: Vec::new(),
            oldest: 0,
            steady: STRETCH,
            beyond: 0,
            calm: 0,
            alarm: false,
            score: 0.0,
        }
    }

    /// The state belongs to a model of this size.
    #[must_use]
    pub fn fits(&self, model: &ProcessModel) -> bool {
        let size = model.names.len();
        self.level.len() == size
            && self.parts.len() == size
            && self.recent.len().is_multiple_of(size.max(1))
            && self.recent.len() <= 2 * STRETCH * size
            && self.oldest < 2 * STRETCH
    }

    #[must_use]
    pub fn alarm(&self) -> bool {
        self.alarm
    }

    /// Begins anew after a silence; an alarm stands until calm rows end it.
    #[must_use]
    pub fn resumed(&self, model: &ProcessModel) -> Self {
        Self { alarm: self.alarm, score: self.score, ..Self::new(model) }
    }

    /// Judges the next row, one value per input, not finite where missing.
    pub fn observe(&mut self, model: &ProcessModel, row: &[f64]) -> ProcessVerdict {
        let Some(sight) = self.look(model, row) else { return self.held() };
        let beyond: [f64; 3] =
            std::array::from_fn(|look| model.limits.beyond(look, sight.logs[look]));
        let furthest = (1..3).fold(0, |best, k| if beyond[k] > beyond[best] { k } else { best });
        let look = Look::ALL[furthest];
        self.score = 1.0 / (1.0 + (-beyond[furthest]).exp());
        let before = self.alarm;
        self.turn(beyond[furthest]);
        let changepoint = self.change(model, sight.step, before != self.alarm);
        let change_confidence = if changepoint { confidence(model, sight.step) } else { 0.0 };
        let parts = match look {
            Look::Row => &sight.parts_row,
            Look::Spread => &self.parts,
            Look::Level => &sight.parts_level,
        };
        ProcessVerdict {
            score: self.score,
            alarm: self.alarm,
            changepoint,
            change_confidence,
            held: false,
            look,
            t2: sight.t2,
            q: (sight.distance - sight.t2).max(0.0),
            lone: lone(parts, sight.logs[furthest].exp()),
            top: top(parts),
        }
    }

    /// The logarithms of the looks at the next row and the step of the averages; `None` when too
    /// much is missing.
    pub(super) fn measure(
        &mut self,
        model: &ProcessModel,
        row: &[f64],
    ) -> Option<([f64; 3], Option<f64>)> {
        self.look(model, row).map(|sight| (sight.logs, sight.step))
    }

    /// The state has changed when the last stretch of rows lies far from the one before; without a
    /// known limit of that, when an alarm starts or ends.
    fn change(&mut self, model: &ProcessModel, step: Option<f64>, turned: bool) -> bool {
        self.steady = self.steady.saturating_add(1);
        let changed = match model.limits.change() {
            Some(limit) => self.steady >= STRETCH && step.is_some_and(|step| step > limit),
            None => turned,
        };
        if changed {
            self.steady = 0;
        }
        changed
    }

    fn look(&mut self, model: &ProcessModel, row: &[f64]) -> Option<Sight> {
        let size = model.names.len();
        let scaled = scaled(model, row)?;
        let mut pull = vec![0.0; size];
        model.main.times(&scaled, &mut pull);
        let t2 = product(&scaled, &pull);
        model.inverse.times(&scaled, &mut pull);
        let distance = product(&scaled, &pull);
        let parts_row = parts(&pull, |k| model.inverse.at(k, k));
        self.spread += SPREAD_WEIGHT * (distance - self.spread);
        let mut level = Vec::with_capacity(size);
        for k in 0..size {
            self.level[k] += LEVEL_WEIGHT * (scaled[k] - self.level[k]);
            self.parts[k] += SPREAD_WEIGHT * (parts_row[k] - self.parts[k]);
            level.push(self.level[k] * model.inputs[k].per_level);
        }
        model.inverse_level.times(&level, &mut pull);
        let shift = product(&level, &pull);
        let parts_level = parts(&pull, |k| model.inverse_level.at(k, k));
        let step = self.step(model, &scaled, &mut pull);
        let logs = [distance, self.spread, shift].map(|look| (look + LOG_MIN).ln());
        Some(Sight { distance, t2, logs, step, parts_level, parts_row })
    }

    /// Where each input was on average in the last stretch of rows but one, and in the last; inputs
    /// far out count as at the limit of their reach. Empty before there are two stretches.
    #[must_use]
    pub fn stretches(&self, model: &ProcessModel) -> Vec<(f64, f64)> {
        let size = model.names.len();
        if self.recent.len() < 2 * STRETCH * size {
            return Vec::new();
        }
        let mut means = vec![(0.0, 0.0); size];
        halves(&self.recent, size, self.oldest, |input, newer, value| {
            let (before, after) = &mut means[input];
            *(if newer { after } else { before }) += value;
        });
        let place = |(k, (before, after)): (usize, (f64, f64))| {
            let input = &model.inputs[k];
            (input.centre + before / input.per_row, input.centre + after / input.per_row)
        };
        means.into_iter().enumerate().map(place).collect()
    }

    /// Takes the row in and answers the squared distance between the averages of the last two
    /// stretches.
    fn step(&mut self, model: &ProcessModel, scaled: &[f64], pull: &mut [f64]) -> Option<f64> {
        let size = scaled.len();
        let rows = 2 * STRETCH;
        if self.recent.len() < rows * size {
            self.recent.extend_from_slice(scaled);
        } else {
            self.recent[self.oldest * size..][..size].copy_from_slice(scaled);
            self.oldest = (self.oldest + 1) % rows;
        }
        if self.recent.len() < rows * size {
            return None;
        }
        let mut step = vec![0.0; size];
        halves(&self.recent, size, self.oldest, |input, newer, value| {
            step[input] += if newer { value } else { -value };
        });
        step.iter_mut().zip(&model.inputs).for_each(|(step, input)| *step *= input.per_level);
        model.inverse_level.times(&step, pull);
        Some(product(&step, pull))
    }

    /// Takes one more row into the run rule.
    fn turn(&mut self, excess: f64) {
        let beyond = excess > 0.0;
        self.beyond = (self.beyond << 1) | u8::from(beyond);
        self.calm = if beyond { 0 } else { self.calm.saturating_add(1) };
        let recent = self.beyond & ((1 << ONSET_OF) - 1);
        self.alarm = if self.alarm {
            self.calm < CLEAR_ROWS
        } else {
            excess > ONSET_SURE || recent.count_ones() >= ONSET_ROWS
        };
        if !self.alarm && self.calm >= CLEAR_ROWS {
            self.beyond = 0;
        }
    }

    fn held(&self) -> ProcessVerdict {
        ProcessVerdict {
            score: self.score,
            alarm: self.alarm,
            changepoint: false,
            change_confidence: 0.0,
            held: true,
            look: Look::Row,
            t2: 0.0,
            q: 0.0,
            top: Vec::new(),
            lone: 0.0,
        }
    }
}

/// The row in spreads; a missing input is put where the others would have it, so that it speaks
/// neither for nor against (Nelson, Taylor and MacGregor, "Missing data methods in PCA and PLS",
/// 1996).
pub(super) fn scaled(model: &ProcessModel, row: &[f64]) -> Option<Vec<f64>> {
    let size = model.names.len();
    let missing: Vec<usize> =
        (0..size).filter(|k| !row.get(*k).is_some_and(|value| value.is_finite())).collect();
    if missing.len() as f64 > MISSING_SHARE_MAX * size as f64 {
        return None;
    }
    let mut scaled: Vec<f64> = (0..size)
        .map(|k| row.get(k).filter(|v| v.is_finite()).map_or(0.0, |v| model.inputs[k].scaled(*v)))
        .collect();
    for _ in 0..if missing.is_empty() { 0 } else { FILL_SWEEPS } {
        for k in &missing {
            let others: f64 =
                (0..size).filter(|n| n != k).map(|n| model.inverse.at(*k, n) * scaled[n]).sum();
            scaled[*k] = (-others / model.inverse.at(*k, *k)).clamp(-REACH, REACH);
        }
    }
    Some(scaled)
}

pub(super) fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// By how much the distance would fall if an input stood where the others would have it (Alcala and
/// Qin, "Reconstruction-based contribution for process monitoring", 2009).
pub(super) fn parts(pull: &[f64], diagonal: impl Fn(usize) -> f64) -> Vec<f64> {
    pull.iter().enumerate().map(|(k, pull)| pull * pull / diagonal(k)).collect()
}

/// How sure a change is whose step lies beyond the limit; without a limit it rests on the alarm.
fn confidence(model: &ProcessModel, step: Option<f64>) -> f64 {
    match (model.limits.change(), step) {
        (Some(limit), Some(step)) if step > limit => 1.0 - CHANGE_DOUBT * limit / step,
        _ => 1.0 - CHANGE_DOUBT,
    }
}

fn lone(parts: &[f64], distance: f64) -> f64 {
    let most = parts.iter().copied().fold(0.0, f64::max);
    if distance > 0.0 { (most / distance).min(1.0) } else { 0.0 }
}

fn top(parts: &[f64]) -> Vec<(usize, f64)> {
    let total: f64 = parts.iter().sum();
    if total <= 0.0 {
        return Vec::new();
    }
    let mut shares: Vec<(usize, f64)> = parts.iter().map(|part| part / total).enumerate().collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares.truncate(NAMED_MAX);
    shares.retain(|(_, share)| *share >= NAMED_SHARE_MIN);
    shares
}
