use serde::{Deserialize, Serialize};

/// Intervals to see before the learned one is told.
const LEARN_MIN: u32 = 32;
/// Smallest relative step, so that a changed interval is found again.
const STEP_MIN: f64 = 0.02;
/// Steps of the long interval; one down for a hundred up holds it where one interval in a hundred is
/// longer.
const LONG_UP: f64 = 1.1;
const LONG_DOWN: f64 = 0.999;

/// The median interval between readings, and one that few are longer than, followed by sign steps on a logarithmic scale (Ma,
/// Muthukrishnan and Sandler, "Frugal streaming for estimating quantiles", 2013): a few
/// bytes, and no outage moves them by more than one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TypicalInterval {
    #[serde(with = "crate::exact::one")]
    seconds: f64,
    #[serde(with = "crate::exact::one")]
    long_seconds: f64,
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
            (self.seconds, self.long_seconds) = (seconds, seconds);
            return;
        }
        self.long_seconds *= if seconds > self.long_seconds { LONG_UP } else { LONG_DOWN };
        if seconds == self.seconds {
            return;
        }
        let few = f64::from(self.count) * STEP_MIN < 1.0;
        let step = 1.0 + if few { 1.0 / f64::from(self.count) } else { STEP_MIN };
        if seconds > self.seconds {
            if seconds > self.seconds * step {
                self.seconds *= step;
            }
        } else if seconds < self.seconds / step {
            self.seconds /= step;
        }
    }

    /// The typical interval, once enough intervals were seen.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        (self.count >= LEARN_MIN).then_some(self.seconds)
    }

    /// What about one interval in a hundred exceeds: far above the typical one for sensors that
    /// report by exception.
    #[must_use]
    pub fn long_seconds(&self) -> Option<f64> {
        (self.count >= LEARN_MIN).then_some(self.long_seconds)
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

    #[test]
    fn the_long_interval_is_seldom_exceeded() {
        let mut interval = TypicalInterval::default();
        // Intervals of 1 to 100 s, most of them close to 1 s: one in a hundred is above 91 s.
        let gap = |n: u32| 1.0 + f64::from(n * 37 % 101 + 1).powi(9) / 1e18 * 90.0;
        (0..20_000).for_each(|n| interval.learn(gap(n)));
        let long = interval.long_seconds().unwrap();
        assert!((50.0..110.0).contains(&long), "{long}");
        assert!(interval.seconds().unwrap() < 3.0);
    }
}
