use serde::{Deserialize, Serialize};

/// Seconds in which the band forgets all but a third of how far it once reached.
const MEMORY_S: f64 = 2.0 * 86_400.0;
/// A silence counts as no more than this.
const ELAPSED_MAX_S: f64 = 3_600.0;
/// Weight of one reading in the noise around the level.
const NOISE_WEIGHT: f64 = 0.01;
/// Room beside the band, in mean absolute deviations of the readings from their level.
const ROOM: f64 = 1.0;
/// Readings before the band counts.
const LEARN_MIN: u32 = 150;
/// Readings in which the level finds its place.
const PLACED: u32 = 30;
/// Seconds after which a level that stays is taken for the new normal.
const RELEARN_S: f64 = 86_400.0;

/// Where the level of the sensor has been in the last days while nothing stood against it.
///
/// The score asks what is new and gets used to a fault that stays. This band does not: it learns
/// nothing while an anomaly stands, for a day at most; a level that stays longer is the new normal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Normal {
    #[serde(with = "crate::exact::one")]
    low: f64,
    #[serde(with = "crate::exact::one")]
    high: f64,
    #[serde(with = "crate::exact::one")]
    noise: f64,
    /// Seconds that the level has been outside without a break.
    #[serde(with = "crate::exact::one")]
    outside_s: f64,
    samples: u32,
}

impl Normal {
    /// Takes a reading during which nothing is wrong.
    pub(super) fn learn(&mut self, value: f64, level: f64, elapsed_s: f64) {
        self.samples = self.samples.saturating_add(1);
        self.outside_s = 0.0;
        let noise_weight = NOISE_WEIGHT.max(1.0 / f64::from(self.samples));
        self.noise += noise_weight * ((value - level).abs() - self.noise);
        if self.samples <= PLACED {
            (self.low, self.high) = (level, level);
            return;
        }
        let weight = elapsed_s.clamp(0.0, ELAPSED_MAX_S) / MEMORY_S;
        self.low = level.min(self.low + weight * (level - self.low));
        self.high = level.max(self.high + weight * (level - self.high));
    }

    /// Whether the level of a sensor against which something stands is where it never was, and not
    /// for so long that it must be called normal.
    pub(super) fn is_left(&mut self, level: f64, elapsed_s: f64) -> bool {
        if self.samples < LEARN_MIN || self.is_within(level) {
            self.outside_s = 0.0;
            return false;
        }
        self.outside_s += elapsed_s.clamp(0.0, ELAPSED_MAX_S);
        if self.outside_s < RELEARN_S {
            return true;
        }
        self.accept(level);
        false
    }

    /// Makes the level part of what is normal.
    pub(super) fn accept(&mut self, level: f64) {
        self.low = self.low.min(level);
        self.high = self.high.max(level);
        self.outside_s = 0.0;
    }

    /// Lowest and highest level that is normal, once that is known.
    pub(super) fn band(&self) -> Option<(f64, f64)> {
        let room = ROOM * self.noise;
        (self.samples >= LEARN_MIN).then_some((self.low - room, self.high + room))
    }

    fn is_within(&self, level: f64) -> bool {
        self.band().is_none_or(|(low, high)| (low..=high).contains(&level))
    }
}
