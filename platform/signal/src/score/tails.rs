use serde::{Deserialize, Serialize};
use wide::f64x4;

use super::tail::{
    BODY, BODY_SURPRISE, EXCESS_MIN, FIRST, PER_BODY, PER_TAIL, PRIOR, REACH, SURPRISE_MAX, TAIL,
    TAIL_SURPRISE, Tail,
};

/// The tails of four statistics that are learned together, one value of each at a time.
///
/// Bit for bit what four [`Tail`]s say. Side by side and without branches: a processor works on two
/// or four at once and guesses no branch wrong, where each tail has one that goes the other way with
/// every tenth reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tails {
    #[serde(with = "crate::exact::many")]
    mean: [f64; 4],
    #[serde(with = "crate::exact::many")]
    body: [f64; 4],
    #[serde(with = "crate::exact::many")]
    body_excess: [f64; 4],
    #[serde(with = "crate::exact::many")]
    tail: [f64; 4],
    #[serde(with = "crate::exact::many")]
    tail_excess: [f64; 4],
    /// Excesses that were averaged.
    #[serde(with = "crate::exact::many")]
    body_count: [f64; 4],
    #[serde(with = "crate::exact::many")]
    tail_count: [f64; 4],
    samples: u32,
}

impl Tails {
    /// −ln P(Y > y) of each, with Y as it was lately; 0 to 40.
    #[must_use]
    #[inline(always)]
    pub fn surprise(&self, y: [f64; 4]) -> [f64; 4] {
        if self.samples == 0 {
            return [0.0; 4];
        }
        let (y, body, tail) = (f64x4::new(y), f64x4::new(self.body), f64x4::new(self.tail));
        let excess = f64x4::new(self.tail_excess);
        let excess = excess.fast_max(f64x4::new(self.mean) * EXCESS_MIN) + f64::MIN_POSITIVE;
        let (in_body, in_tail) = (y.simd_le(body), y.simd_le(tail));
        // One division for whichever of the three it is.
        let from = in_tail.bitselect(body, tail.fast_max(body));
        let above = in_body.bitselect(y * BODY_SURPRISE, y - from);
        let span = in_body.bitselect(body, in_tail.bitselect(tail - body, excess));
        let share = above / span;
        let in_middle = share * (TAIL_SURPRISE - BODY_SURPRISE) + BODY_SURPRISE;
        let beyond = in_tail.bitselect(in_middle, share + TAIL_SURPRISE);
        let surprise = in_body.bitselect(share, beyond.fast_min(f64x4::splat(SURPRISE_MAX)));
        (surprise & y.simd_gt(f64x4::ZERO)).to_array()
    }

    /// The values that 98.5 % of the recent ones stay below.
    #[must_use]
    #[inline(always)]
    pub fn usual_max(&self) -> [f64; 4] {
        f64x4::new(self.tail).fast_max(f64x4::new(self.body)).to_array()
    }

    /// Learns one value of each, 0 or more, with a memory of `memory` values.
    #[inline(always)]
    pub fn learn(&mut self, y: [f64; 4], memory: f64) {
        if self.samples < FIRST {
            self.learn_first(y, memory);
            return;
        }
        self.samples = self.samples.saturating_add(1);
        let seen = f64::from(self.samples);
        let weight = 1.0 / if seen < memory { seen } else { memory };
        let (tail, excess) = (f64x4::new(self.tail), f64x4::new(self.tail_excess));
        let y = f64x4::new(y);
        let known = excess.simd_gt(f64x4::ZERO);
        let y = known.bitselect(y.fast_min(tail + excess * REACH), y);
        let mean = f64x4::new(self.mean);
        let mean = mean + (y - mean) * weight;
        self.mean = mean.to_array();
        let body = self.learn_bodies(y, mean, weight);
        self.learn_tails(y, mean, body, weight);
    }

    /// The first values, by which everything finds its place.
    #[cold]
    fn learn_first(&mut self, y: [f64; 4], memory: f64) {
        for (i, y) in y.into_iter().enumerate() {
            let mut one = Tail {
                mean: self.mean[i],
                body: self.body[i],
                body_excess: self.body_excess[i],
                tail: self.tail[i],
                tail_excess: self.tail_excess[i],
                samples: self.samples,
                body_count: self.body_count[i] as u32,
                tail_count: self.tail_count[i] as u32,
            };
            one.learn(y, memory);
            self.mean[i] = one.mean;
            self.body[i] = one.body;
            self.body_excess[i] = one.body_excess;
            self.tail[i] = one.tail;
            self.tail_excess[i] = one.tail_excess;
            self.body_count[i] = f64::from(one.body_count);
            self.tail_count[i] = f64::from(one.tail_count);
        }
        self.samples += 1;
    }

    /// Answers where the bodies end now.
    #[inline(always)]
    fn learn_bodies(&mut self, y: f64x4, mean: f64x4, weight: f64) -> f64x4 {
        let body = f64x4::new(self.body);
        let above = y.simd_gt(body);
        if above.any() {
            let count = f64x4::new(self.body_count) + (above & f64x4::ONE);
            let share = (f64x4::ONE / count).fast_max(f64x4::splat(weight * PER_BODY));
            let excess = f64x4::new(self.body_excess);
            let learned = excess + share.fast_min(f64x4::ONE) * (y - body - excess);
            self.body_count = count.to_array();
            self.body_excess = above.bitselect(learned, excess).to_array();
        }
        let (up, down) = (3.0 * weight * BODY, 3.0 * weight * (BODY - 1.0));
        let step = above.bitselect(f64x4::splat(up), f64x4::splat(down)) * mean;
        let body = (body + step).fast_max(f64x4::ZERO);
        self.body = body.to_array();
        body
    }

    #[inline(always)]
    fn learn_tails(&mut self, y: f64x4, mean: f64x4, body: f64x4, weight: f64) {
        let tail = f64x4::new(self.tail);
        let above = y.simd_gt(tail);
        if above.any() {
            let count = f64x4::new(self.tail_count) + (above & f64x4::ONE);
            let share = (f64x4::ONE / count).fast_max(f64x4::splat(weight * PER_TAIL));
            let share = share.fast_min(f64x4::splat(1.0 / f64::from(PRIOR)));
            let excess = f64x4::new(self.tail_excess);
            let learned = excess + share * (y - tail - excess);
            self.tail_count = count.to_array();
            self.tail_excess = above.bitselect(learned, excess).to_array();
        }
        let step = f64x4::new(self.body_excess).fast_max(mean) * (3.0 * PER_BODY * weight);
        let pull = above.bitselect(f64x4::splat(TAIL), f64x4::splat(TAIL - 1.0));
        self.tail = (tail + step * pull).fast_max(body).to_array();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Side by side is the same as one by one, to the last bit.
        #[test]
        fn equals_single_tails(seed in any::<u64>(), heavy in 0.5..4.0f64, count in 1usize..3_000) {
            let mut state = seed;
            let mut chance = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ((state >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
            };
            let mut singles = [Tail::default(); 4];
            let mut tails = Tails::default();
            for _ in 0..count {
                let y = [-chance().ln(), (-chance().ln()).powf(heavy), (chance() * 3.0).floor(), 0.0];
                let apart: [f64; 4] = std::array::from_fn(|i| singles[i].surprise(y[i]));
                prop_assert_eq!(tails.surprise(y).map(f64::to_bits), apart.map(f64::to_bits));
                let usual: [f64; 4] = std::array::from_fn(|i| singles[i].usual_max());
                prop_assert_eq!(tails.usual_max().map(f64::to_bits), usual.map(f64::to_bits));
                tails.learn(y, 500.0);
                singles.iter_mut().zip(y).for_each(|(one, y)| one.learn(y, 500.0));
            }
        }
    }
}
