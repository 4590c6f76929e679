//! What the detection could find right now, stretch by stretch.

use serde::{Deserialize, Serialize};

use super::detector::{Detector, WARM_S};
use super::signature::{Bank, Cause, Signature};

/// Points of a response that are summed.
const POINTS: usize = 60;

/// The state of the detector at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    pub time_s: Option<f64>,
    /// Why no leak could be found anywhere; empty when one could.
    pub blind: Vec<String>,
    /// What makes the figures worse than they could be.
    pub degraded: Vec<String>,
    pub stretches: Vec<Stretch>,
}

/// The line between two neighbouring pressure transmitters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    pub from_m: f64,
    pub to_m: f64,
    /// Smallest abrupt leak that would be found within 5 and 30 minutes, in % of the nominal flow.
    pub within_5_min_pct: Option<f64>,
    pub within_30_min_pct: Option<f64>,
}

impl Detector {
    /// The smallest leak that would be found now. The figure is the size whose expected
    /// likelihood ratio reaches the threshold: q = sigma(q) sqrt(2 ln(tests a year / wanted
    /// alarms)), after API RP 1149's use of instrument uncertainty.
    pub fn sensitivity(&self) -> Sensitivity {
        let newest = self.observer.past.scans.back();
        let blind = self.blind();
        let mut stretches = Vec::new();
        let mut places: Vec<f64> = self.line.gauges.iter().map(|gauge| gauge.at_m).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let bank = newest.map(|scan| {
            let bucket = Bank::bucket(&self.line, scan.flow);
            Bank::new(&self.line, self.observer.mode, bucket, &self.observer.layout.nodes)
        });
        for pair in places.windows(2) {
            let middle = self.line.node(0.5 * (pair[0] + pair[1]));
            let middle = middle.clamp(1, self.line.reaches() - 1);
            let within = |minutes: f64| {
                let bank = bank.as_ref().filter(|_| blind.is_empty())?;
                self.smallest(bank, bank.of(Cause::Leak(middle))?, 60.0 * minutes)
            };
            stretches.push(Stretch {
                from_m: pair[0],
                to_m: pair[1],
                within_5_min_pct: within(5.0),
                within_30_min_pct: within(30.0),
            });
        }
        let time_s = newest.map(|scan| scan.time_s);
        Sensitivity { time_s, blind, degraded: self.degraded(), stretches }
    }

    /// Smallest leak in % of the nominal flow by its expected gain after `age_s`.
    fn smallest(&self, bank: &Bank, signature: &Signature, age_s: f64) -> Option<f64> {
        let newest = self.observer.past.scans.back()?;
        let (mut square, mut wander) = (0.0_f64, 0.0_f64);
        for (channel, normal) in self.observer.normals.iter().enumerate() {
            if !newest.residual[channel].is_finite() {
                continue;
            }
            let scans = age_s / self.pace_s;
            let weights = scans / (newest.variance[channel] * normal.widening());
            let (mut sum, mut squares) = (0.0, 0.0);
            for point in 0..POINTS {
                let at_s = age_s * (point as f64 + 0.5) / POINTS as f64;
                let response = bank.response(signature, channel, at_s, 0.0);
                sum += response / POINTS as f64;
                squares += response * response / POINTS as f64;
            }
            let offset = newest.normal_variance[channel];
            let pull = weights * weights / (1.0 / offset.max(1e-30) + weights);
            let own = weights * squares - pull * sum * sum;
            square += own;
            wander += own * own * normal.growth(age_s) / squares.max(1e-30);
        }
        let sigma = ((1.0 + wander / square) / square).sqrt();
        let size = sigma * (2.0 * self.threshold(self.pace_s)).sqrt();
        let pct = size.max(self.size_min()) / self.line.flow_nominal * 100.0;
        pct.is_finite().then_some(pct)
    }

    fn blind(&self) -> Vec<String> {
        let mut blind = Vec::new();
        let now_s = self.last_s.unwrap_or(0.0);
        let learnt = self.observer.first_s.is_some_and(|s| now_s - s >= self.line.learn_s);
        if !learnt {
            blind.push("what is normal is still being learnt".to_owned());
        }
        if now_s < self.observer.valid_s + WARM_S {
            blind.push("the model is settling".to_owned());
        }
        let stale = self.observer.past.scans.back().is_none_or(|s| now_s - s.time_s > 60.0);
        if learnt && stale {
            blind.push("an end has neither pressure nor flow".to_owned());
        }
        if self.tracked.is_some() {
            blind.push("a leak is being followed; a second one would not be told apart".to_owned());
        }
        blind
    }

    fn degraded(&self) -> Vec<String> {
        let mut degraded: Vec<String> = self
            .faulty
            .iter()
            .map(|faulty| format!("{} is {:?}", self.named(faulty.instrument).0, faulty.fault))
            .collect();
        let mode = self.observer.mode;
        for (flow, end) in [(mode.inlet_flow, "inlet"), (mode.outlet_flow, "outlet")] {
            if flow {
                degraded.push(format!("the {end} is driven by its flow for want of a pressure"));
            }
        }
        let unrest = self.observer.unrest / self.line.flow_nominal * 100.0;
        if unrest > 0.05 {
            degraded.push(format!("a transient blurs the flows by {unrest:.2} %"));
        }
        degraded
    }
}
