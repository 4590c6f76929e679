use serde::{Deserialize, Serialize};

/// Intervals to see before the learned one is told.
const LEARN_MIN: u32 = 32;
/// Smallest relative step, so that a changed interval is found again.
const STEP_MIN: f64 = 0.02;

/// The median interval between readings, followed by sign steps on a logarithmic scale (Ma,
/// Muthukrishnan and Sandler, "Frugal streaming for estimating quantiles", 2013): eight bytes,
/// and no outage moves it by more than one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TypicalInterval {
    #[serde(with = "crate::exact::one")]
    seconds: f64,
    count: u32,
}

impl TypicalInterval {
    /// Takes the interval to the next reading, in seconds; ignored unless positive.
    pub fn learn(&mut self, seconds: f64) {
        if seconds <= 0.0 || !seconds.is_finite() {
            return;
        }
        self.count = self.count.saturating_add(1);
        if self.count == 1 {
            self.seconds = seconds;
            return;
        }
        let step = 1.0 + (1.0 / f64::from(self.count)).max(STEP_MIN);
        if seconds > self.seconds * step {
            self.seconds *= step;
        } else if seconds < self.seconds / step {
            self.seconds /= step;
        }
    }

    /// The typical interval, once enough intervals were seen.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        (self.count >= LEARN_MIN).then_some(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settles_on_the_median_and_ignores_outages() {
        let mut interval = TypicalInterval::default();
        interval.learn(3600.0);
        for n in 0..300 {
            assert_eq!(interval.seconds().is_some(), n >= 31);
            interval.learn(if n % 50 == 49 { 7200.0 } else { 10.0 });
        }
        let seconds = interval.seconds().unwrap();
        assert!((9.5..10.5).contains(&seconds), "{seconds}");
    }
}
