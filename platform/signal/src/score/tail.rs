use serde::{Deserialize, Serialize};

/// The body of the distribution: below this quantile no tail is modelled.
const BODY: f64 = 0.9;
/// −ln of the share of readings in the tail.
const BODY_SURPRISE: f64 = 2.302_585_092_994_046;

/// The upper tail of a statistic's own recent distribution: a threshold that follows the 90 %
/// quantile (Robbins and Monro, 1951) and the mean excess above it. Excesses over a high threshold
/// are asymptotically exponential for light tails (Pickands 1975; Siffer et al., "Anomaly detection
/// in streams with extreme value theory", 2017), so that ln P(Y > y) is linear in the excess.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    #[serde(with = "crate::exact::one")]
    threshold: f64,
    #[serde(with = "crate::exact::one")]
    excess: f64,
    #[serde(with = "crate::exact::one")]
    mean: f64,
    samples: u32,
}

impl Tail {
    /// −ln P(Y > y), with Y as it was lately. Never negative.
    #[must_use]
    pub fn surprise(&self, y: f64) -> f64 {
        if y <= 0.0 || self.samples == 0 {
            return 0.0;
        }
        if y <= self.threshold {
            return BODY_SURPRISE * y / self.threshold;
        }
        let floor = 0.1 * self.mean + f64::MIN_POSITIVE;
        BODY_SURPRISE + (y - self.threshold) / self.excess.max(floor)
    }

    /// Learns one value of the statistic with a memory of `memory` values.
    pub fn learn(&mut self, y: f64, memory: f64) {
        self.samples = self.samples.saturating_add(1);
        let weight = 1.0 / f64::from(self.samples).min(memory);
        self.mean += weight * (y - self.mean);
        let above = y > self.threshold;
        let pull = if above { BODY } else { BODY - 1.0 };
        if above {
            let share = (weight / (1.0 - BODY)).min(0.5);
            self.excess += share * (y - self.threshold - self.excess);
        }
        self.threshold = (self.threshold + 3.0 * weight * pull * self.mean).max(0.0);
    }
}
