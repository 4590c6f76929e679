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

/// A level outside counts as changed after so many readings and seconds.
const LASTING_MIN: u32 = 60;
const LASTING_S: f64 = 600.0;
/// It is still while it lies this close to the average of the last forty readings: in shares of its
/// distance from the band and in mean absolute deviations.
const STILL_SHARE: f64 = 0.1;
const STILL_NOISE: f64 = 0.5;
/// How sure a change must be to be told; no more than the last is ever claimed.
const SURE_MIN: f64 = 0.95;
const SURE_MAX: f64 = 0.999;
/// Mean absolute deviation to standard deviation, for normal noise.
const SIGMA_PER_MAD: f64 = 1.253_314_137_315_5;

/// Where a level is against which something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Where it was in the days before.
    Within,
    /// Where it never was.
    Outside,
    /// There for so long that it is normal from now on.
    Relearned,
}

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
    /// Readings of that time.
    outside: u32,
    samples: u32,
}

impl Normal {
    /// Takes a reading during which nothing is wrong.
    pub(super) fn learn(&mut self, value: f64, level: f64, elapsed_s: f64) {
        self.samples = self.samples.saturating_add(1);
        self.outside_s = 0.0;
        self.outside = 0;
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

    /// Where the level of a sensor is against which something stands.
    pub(super) fn place(&mut self, level: f64, elapsed_s: f64) -> Place {
        if self.samples < LEARN_MIN || self.is_within(level) {
            self.outside_s = 0.0;
            self.outside = 0;
            return Place::Within;
        }
        self.outside_s += elapsed_s.clamp(0.0, ELAPSED_MAX_S);
        self.outside = self.outside.saturating_add(1);
        if self.outside_s < RELEARN_S {
            return Place::Outside;
        }
        self.accept(level);
        Place::Relearned
    }

    /// How sure it is that a level outside stays there; `None` while it moves, or has not been there
    /// for long. `slow` is the average of the last forty readings.
    pub(super) fn lasting(&self, level: f64, slow: f64) -> Option<f64> {
        let (low, high) = self.band()?;
        let beyond = (low - level).max(level - high).max(0.0);
        let still = (level - slow).abs() <= STILL_SHARE * beyond + STILL_NOISE * self.noise;
        if self.outside < LASTING_MIN || self.outside_s < LASTING_S || !still || beyond <= 0.0 {
            return None;
        }
        // Averages of a dozen readings, so one in a dozen is new.
        let count = f64::from(self.outside) / 12.0;
        let sigmas = beyond / (SIGMA_PER_MAD * self.noise + f64::MIN_POSITIVE) * count.sqrt();
        let sure = 1.0 - libm::erfc(sigmas / std::f64::consts::SQRT_2);
        (sure >= SURE_MIN).then_some(sure.min(SURE_MAX))
    }

    /// Mean absolute deviation of readings from their level.
    pub(super) fn noise(&self) -> f64 {
        self.noise
    }

    /// Makes the level part of what is normal.
    pub(super) fn accept(&mut self, level: f64) {
        self.low = self.low.min(level);
        self.high = self.high.max(level);
        self.outside_s = 0.0;
        self.outside = 0;
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
