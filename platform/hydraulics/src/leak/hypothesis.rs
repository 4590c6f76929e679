//! Which cause explains the residuals best: a generalised likelihood ratio over causes, places,
//! beginnings and sizes (Willsky and Jones, IEEE Trans. Automatic Control 21, 1976).
//!
//! A channel's residual is taken as size times signature, plus white noise, plus an offset that
//! stays: the error of what is believed to be normal. The offset is integrated out, so that a
//! test over a long window is worth no more than the meters are.

use serde::{Deserialize, Serialize};

use super::history::{Normal, Past};
use super::signature::{Bank, Cause, Signature};

/// A flow meter's error changes by this share of a change of flow, one sigma.
pub(crate) const FLOW_ERROR: f64 = 0.006;

/// A cause fitted to the residuals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fit {
    pub(crate) cause: Cause,
    pub(crate) place_m: f64,
    pub(crate) start_s: f64,
    /// Time over which it grew evenly; 0 is abrupt.
    pub(crate) ramp_s: f64,
    /// m3/s, or m of head for a pressure.
    pub(crate) size: f64,
    pub(crate) size_sigma: f64,
    /// Logarithm of the likelihood ratio against "nothing has happened" in its window.
    pub(crate) gain: f64,
    /// The same when the instruments may have wandered since the beginning: what decides.
    pub(crate) worth: f64,
    /// What is left per degree of freedom; about 1 when the fit is good.
    pub(crate) misfit: f64,
}

/// The residuals of the newest stretch of time, by channel. Beginnings within one window can be
/// compared with each other; what lies before a beginning tells the offset.
pub(crate) struct Window {
    pub(crate) newest_s: f64,
    channels: Vec<Channel>,
    energy: f64,
    freedom: f64,
}

struct Channel {
    index: usize,
    time_s: Vec<f64>,
    weight: Vec<f64>,
    residual: Vec<f64>,
    weights: f64,
    weighted: f64,
    /// Variance that the slow error gains in a second.
    growth: f64,
    /// Variance by the change of flow within the window.
    flow_error: f64,
    /// Reciprocal of (prior precision of the offset + weights).
    pull: f64,
}

impl Window {
    /// From a time in s on, with at most about `points` points a channel; `None` while too little
    /// is remembered.
    pub(crate) fn new(
        past: &Past,
        normals: &[Normal],
        start_s: f64,
        points: usize,
    ) -> Option<Self> {
        let first = past.after(start_s);
        let before = past.scans.get(first.checked_sub(1)?)?;
        let newest = past.scans.back()?;
        let merged = (past.scans.len() - first).div_ceil(points.max(1));
        let (mut energy, mut freedom) = (0.0, 0.0);
        let mut channels = Vec::with_capacity(normals.len());
        for (index, normal) in normals.iter().enumerate() {
            let widening = normal.widening();
            let mut channel = Channel {
                index,
                time_s: Vec::new(),
                weight: Vec::new(),
                residual: Vec::new(),
                weights: 0.0,
                weighted: 0.0,
                growth: normal.growth(1.0),
                flow_error: 0.0,
                pull: 0.0,
            };
            let (mut squares, mut count, mut flow_change) = (0.0, 0.0, 0.0_f64);
            for scan in past.scans.iter().skip(first) {
                let residual = scan.residual[index] - before.normal[index];
                if !residual.is_finite() {
                    continue;
                }
                let weight = 1.0 / (scan.variance[index] * widening);
                channel.add(scan.time_s, weight, residual, (count as usize).is_multiple_of(merged));
                count += 1.0;
                channel.weights += weight;
                channel.weighted += weight * residual;
                squares += weight * residual * residual;
                flow_change = flow_change.max((scan.flow - before.flow).abs());
            }
            if channel.time_s.is_empty() {
                continue;
            }
            let flow_error = if index < 2 { FLOW_ERROR * flow_change } else { 0.0 };
            channel.flow_error = flow_error * flow_error;
            let offset = before.normal_variance[index] + channel.flow_error;
            channel.pull = 1.0 / (1.0 / offset + channel.weights);
            energy += squares - channel.weighted * channel.weighted * channel.pull;
            freedom += count;
            channels.push(channel);
        }
        (freedom > 0.0).then_some(Self { newest_s: newest.time_s, channels, energy, freedom })
    }

    /// The largest deviation of a mean from what is normal, over the channels, in sigma: over the
    /// whole window and over its newest half.
    pub(crate) fn deviation(&self) -> f64 {
        self.channels.iter().map(Channel::deviation).fold(0.0, f64::max)
    }

    /// A cause that began at `start_s` and grew for `ramp_s`.
    pub(crate) fn fit(
        &self,
        bank: &Bank,
        signature: &Signature,
        start_s: f64,
        ramp_s: f64,
    ) -> Option<Fit> {
        let (mut along, mut square, mut wander) = (0.0, 0.0, 0.0);
        for channel in &self.channels {
            let (mut sum, mut product, mut squares, mut weights) = (0.0, 0.0, 0.0, 0.0);
            let first = channel.time_s.partition_point(|time_s| *time_s < start_s);
            for place in first..channel.time_s.len() {
                let age_s = channel.time_s[place] - start_s;
                let response = bank.response(signature, channel.index, age_s, ramp_s);
                let weighted = channel.weight[place] * response;
                sum += weighted;
                product += weighted * channel.residual[place];
                squares += weighted * response;
                weights += channel.weight[place];
            }
            along += product - channel.weighted * sum * channel.pull;
            let own = squares - sum * sum * channel.pull;
            square += own;
            if squares > 0.0 {
                let age_s = (self.newest_s - start_s).max(0.0);
                let growth = channel.growth * age_s + channel.flow_error;
                wander += own * own * growth * weights / squares;
            }
        }
        if square <= 0.0 {
            return None;
        }
        let gain = 0.5 * along * along / square;
        let blur = 1.0 + wander / square;
        Some(Fit {
            cause: signature.cause,
            place_m: signature.place_m,
            start_s,
            ramp_s,
            size: along / square,
            size_sigma: (blur / square).sqrt(),
            gain,
            worth: gain / blur,
            misfit: (self.energy - 2.0 * gain).max(0.0) / self.freedom,
        })
    }
}

impl Channel {
    /// Adds a residual as a point of its own or into the newest point.
    fn add(&mut self, time_s: f64, weight: f64, residual: f64, own: bool) {
        match self.weight.len().checked_sub(1) {
            Some(newest) if !own => {
                self.weight[newest] += weight;
                let share = weight / self.weight[newest];
                self.time_s[newest] += share * (time_s - self.time_s[newest]);
                self.residual[newest] += share * (residual - self.residual[newest]);
            }
            _ => {
                self.time_s.push(time_s);
                self.weight.push(weight);
                self.residual.push(residual);
            }
        }
    }

    fn deviation(&self) -> f64 {
        let whole = self.weighted.abs()
            / (self.weights + self.weights * self.weights * self.offset()).sqrt();
        let half = self.time_s.len() / 2;
        let weights: f64 = self.weight[half..].iter().sum();
        let weighted: f64 =
            self.weight[half..].iter().zip(&self.residual[half..]).map(|(w, r)| w * r).sum();
        let newest = weighted.abs() / (weights + weights * weights * self.offset()).sqrt();
        whole.max(newest)
    }

    /// Prior variance of the offset.
    fn offset(&self) -> f64 {
        1.0 / (1.0 / self.pull - self.weights)
    }
}
