use serde::{Deserialize, Serialize};

use super::tail::Tail;

/// Readings before the score counts.
const WARM_UP: u64 = 150;
/// Readings that the distributions remember.
const MEMORY: f64 = 2_000.0;
const SURPRISE_FULL: f64 = 23.025_850_929_940_457;

/// What the scorer says about one reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surprise {
    /// 0 to 1; see the [module](super).
    pub score: f64,
    pub ready: bool,
    /// Where the reading was expected.
    pub expected: Option<(f64, f64)>,
}

/// Level and spread of the sensor, and how many readings they rest on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baseline {
    pub mean: f64,
    pub spread: f64,
    pub samples: u64,
}

/// The ensemble that scores the readings of one sensor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scorer {
    samples: u64,
    #[serde(with = "crate::exact::one")]
    fast: f64,
    #[serde(with = "crate::exact::one")]
    slow: f64,
    #[serde(with = "crate::exact::one")]
    spread: f64,
    jump: Tail,
    shift: Tail,
}

impl Scorer {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Scores the reading and learns from it. `at` in µs, later than the reading before.
    pub fn observe(&mut self, _at: i64, value: f64) -> Surprise {
        let expected = self.expected();
        self.samples += 1;
        let seen = self.samples as f64;
        if self.samples == 1 {
            self.fast = value;
            self.slow = value;
        }
        let jump = (value - self.fast).abs();
        self.fast += (1.0 / seen).max(0.2) * (value - self.fast);
        let shift = (self.fast - self.slow).abs();
        let surprise = self.jump.surprise(jump).max(self.shift.surprise(shift));
        self.jump.learn(jump, MEMORY);
        self.shift.learn(shift, MEMORY);
        let weight = (1.0 / seen).max(1.0 / 500.0);
        self.slow += weight * (value - self.slow);
        self.spread += weight * ((value - self.slow).abs() * 1.2533 - self.spread);
        let ready = self.samples > WARM_UP;
        let score = if ready { (surprise / SURPRISE_FULL).clamp(0.0, 1.0) } else { 0.0 };
        Surprise { score, ready, expected }
    }

    /// Where the next reading is expected; `None` while warming up.
    #[must_use]
    pub fn expected(&self) -> Option<(f64, f64)> {
        let reach = 4.0 * self.spread;
        (self.samples > WARM_UP).then_some((self.fast - reach, self.fast + reach))
    }

    #[must_use]
    pub fn baseline(&self) -> Baseline {
        Baseline { mean: self.slow, spread: self.spread, samples: self.samples }
    }
}
