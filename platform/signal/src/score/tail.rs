use serde::{Deserialize, Serialize};

use super::order::{greater, lesser};

/// Share of values below the upper body, and below the tail proper.
pub(super) const BODY: f64 = 0.9;
pub(super) const TAIL: f64 = 0.985;
/// One over the shares above. A division takes as long as ten multiplications.
pub(super) const PER_BODY: f64 = 1.0 / (1.0 - BODY);
pub(super) const PER_TAIL: f64 = 1.0 / (1.0 - TAIL);
/// −ln of the shares above.
pub(super) const BODY_SURPRISE: f64 = std::f64::consts::LN_10;
pub(super) const TAIL_SURPRISE: f64 = 4.199_705_077_879_927;
/// Values from which only mean and mean absolute deviation are taken.
pub(super) const FIRST: u32 = 100;
/// Distance of the 90 % quantile from the mean and mean excess over the quantile, in mean absolute
/// deviations: about the same for normal, half-normal and exponential distributions. The first
/// shape, and what the first values are judged by.
const FIRST_BODY: f64 = 1.7;
const FIRST_EXCESS: f64 = 0.9;
/// Excesses that the first shape counts for.
pub(super) const PRIOR: u32 = 10;
/// A value further out than this many mean excesses teaches no more than one just there, so that a
/// single glitch cannot blind the sensor.
pub(super) const REACH: f64 = 30.0;
/// The mean excess is taken to be at least this share of the mean: a sensor that hardly moves is not
/// alarming when it moves a little.
pub(super) const EXCESS_MIN: f64 = 0.2;
/// Surprises end here; the probability means nothing further out.
pub(super) const SURPRISE_MAX: f64 = 40.0;

/// The upper tail of a statistic's own recent distribution.
///
/// Two thresholds follow the 90 % and 98.5 % quantiles (stochastic approximation; Robbins and
/// Monro, 1951). Excesses over a high threshold are asymptotically exponential for light tails
/// (Pickands, 1975; Siffer et al., "Anomaly detection in streams with extreme value theory", 2017),
/// so beyond the higher one −ln P(Y > y) grows linearly with slope one over the mean excess. The
/// pair keeps short regular bursts, which fill the upper few percent, from looking rare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    #[serde(with = "crate::exact::one")]
    pub(super) mean: f64,
    #[serde(with = "crate::exact::one")]
    pub(super) body: f64,
    #[serde(with = "crate::exact::one")]
    pub(super) body_excess: f64,
    #[serde(with = "crate::exact::one")]
    pub(super) tail: f64,
    #[serde(with = "crate::exact::one")]
    pub(super) tail_excess: f64,
    pub(super) samples: u32,
    pub(super) body_count: u32,
    pub(super) tail_count: u32,
}

impl Tail {
    /// Enough values were learned for a surprise to mean something.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.samples >= FIRST
    }

    /// −ln P(Y > y), with Y as it was lately; 0 to 40.
    #[must_use]
    pub fn surprise(&self, y: f64) -> f64 {
        if y <= 0.0 || self.samples == 0 {
            return 0.0;
        }
        if y <= self.body {
            return BODY_SURPRISE * y / self.body;
        }
        let surprise = if y <= self.tail {
            let share = (y - self.body) / (self.tail - self.body);
            BODY_SURPRISE + (TAIL_SURPRISE - BODY_SURPRISE) * share
        } else {
            let excess = greater(self.tail_excess, EXCESS_MIN * self.mean) + f64::MIN_POSITIVE;
            TAIL_SURPRISE + (y - greater(self.tail, self.body)) / excess
        };
        lesser(surprise, SURPRISE_MAX)
    }

    /// The value that 98.5 % of the recent ones stay below.
    #[must_use]
    pub fn usual_max(&self) -> f64 {
        greater(self.tail, self.body)
    }

    /// Learns one value, 0 or more, with a memory of `memory` values.
    #[inline]
    pub fn learn(&mut self, y: f64, memory: f64) {
        self.samples = self.samples.saturating_add(1);
        let weight = 1.0 / lesser(f64::from(self.samples), memory);
        let known = self.samples > FIRST && self.tail_excess > 0.0;
        let y = if known { lesser(y, self.tail + REACH * self.tail_excess) } else { y };
        self.mean += weight * (y - self.mean);
        if self.samples <= FIRST {
            let deviation = (y - self.mean).abs();
            self.body_excess += weight * (FIRST_EXCESS * deviation - self.body_excess);
            self.body = self.mean + FIRST_BODY / FIRST_EXCESS * self.body_excess;
            self.tail = self.body + self.body_excess * (TAIL_SURPRISE - BODY_SURPRISE);
            self.tail_excess = self.body_excess;
            (self.body_count, self.tail_count) = (PRIOR, PRIOR);
        } else {
            self.learn_body(y, weight);
            self.learn_tail(y, weight);
        }
    }

    fn learn_body(&mut self, y: f64, weight: f64) {
        let above = y > self.body;
        if above {
            self.body_count = self.body_count.saturating_add(1);
            let share = lesser(greater(weight * PER_BODY, 1.0 / f64::from(self.body_count)), 1.0);
            self.body_excess += share * (y - self.body - self.body_excess);
        }
        let pull = if above { BODY } else { BODY - 1.0 };
        self.body = greater(self.body + 3.0 * weight * pull * self.mean, 0.0);
    }

    fn learn_tail(&mut self, y: f64, weight: f64) {
        let above = y > self.tail;
        if above {
            self.tail_count = self.tail_count.saturating_add(1);
            let share = greater(weight * PER_TAIL, 1.0 / f64::from(self.tail_count));
            let share = lesser(share, 1.0 / f64::from(PRIOR));
            self.tail_excess += share * (y - self.tail - self.tail_excess);
        }
        let pull = if above { TAIL } else { TAIL - 1.0 };
        let step = 3.0 * PER_BODY * weight * greater(self.body_excess, self.mean);
        self.tail = greater(self.tail + step * pull, self.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exponential deviates with mean 1 from a fixed linear congruential generator.
    fn exponential(count: usize) -> impl Iterator<Item = f64> {
        let mut state = 7_u64;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            -(((state >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0).ln()
        })
        .take(count)
    }

    #[test]
    fn surprise_is_the_log_of_the_tail_probability() {
        let mut tail = Tail::default();
        exponential(20_000).for_each(|y| tail.learn(y, 5_000.0));
        for y in [2.3, 4.2, 7.0, 10.0] {
            let surprise = tail.surprise(y);
            assert!((surprise / y - 1.0).abs() < 0.2, "{y}: {surprise}");
        }
    }

    #[test]
    fn one_glitch_does_not_blind() {
        let mut tail = Tail::default();
        exponential(5_000).for_each(|y| tail.learn(y, 5_000.0));
        let before = tail.surprise(12.0);
        tail.learn(1e12, 5_000.0);
        assert!(tail.surprise(12.0) > 0.6 * before);
    }

    #[test]
    fn what_never_moved_is_surprised_by_any_move() {
        let mut tail = Tail::default();
        (0..500).for_each(|_| tail.learn(0.0, 5_000.0));
        assert!(tail.surprise(0.0).abs() < f64::EPSILON);
        assert!(tail.surprise(1e-9) > 30.0);
    }
}
