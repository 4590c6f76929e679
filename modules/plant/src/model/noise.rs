use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Random access noise: the value at an index depends on nothing but key and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noise {
    key: u64,
}

/// Deals keys to channels, always the same from the same seed.
pub(super) fn deal(seed: u64, channels: usize) -> Vec<Noise> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..channels).map(|_| Noise { key: rng.next_u64() }).collect()
}

/// Smooth parts of the noise: period in seconds and weight. Together with the white part they give
/// roughly the autocorrelation of a first-order process.
const OCTAVES: [(f64, f64); 3] = [(15.0, 0.45), (120.0, 0.3), (900.0, 0.2)];
const WHITE: f64 = 0.8;
/// Seconds between two independent white values; live readings are this far apart.
const WHITE_PERIOD_S: f64 = 1.0;

impl Noise {
    /// Mean 0, spread about 0.58, never beyond ±2: instruments have no infinite tails.
    pub(super) fn at(self, seconds: f64) -> f64 {
        let mut sum = WHITE * self.bell(0, (seconds / WHITE_PERIOD_S).floor() as i64);
        for (channel, (period, weight)) in OCTAVES.iter().enumerate() {
            sum += weight * self.smooth(channel as u64 + 1, seconds / period);
        }
        sum
    }

    /// Slow wandering only, in ±1, over `period` seconds.
    pub(super) fn slow(self, seconds: f64, period: f64) -> f64 {
        self.smooth(9, seconds / period)
    }

    fn smooth(self, channel: u64, position: f64) -> f64 {
        let index = position.floor();
        let part = position - index;
        let ease = part * part * (3.0 - 2.0 * part);
        let (left, right) =
            (self.bell(channel, index as i64), self.bell(channel, index as i64 + 1));
        left + ease * (right - left)
    }

    /// The mean of four even values in ±1: bell-shaped and bounded.
    fn bell(self, channel: u64, index: i64) -> f64 {
        let bits = mix(self.key ^ mix(channel) ^ mix((index as u64).wrapping_mul(0x9e37_79b9)));
        let part = |shift: u32| f64::from((bits >> shift) as u16) / f64::from(u16::MAX);
        (part(0) + part(16) + part(32) + part(48)) / 2.0 - 1.0
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014).
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_centred_bounded_and_alive() {
        let noise = deal(7, 1)[0];
        let values: Vec<f64> = (0..20_000).map(|s| noise.at(f64::from(s))).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.05, "mean {mean}");
        assert!((0.2..0.5).contains(&variance.sqrt()), "spread {}", variance.sqrt());
        assert!(values.iter().all(|v| v.abs() < 2.0));
    }

    #[test]
    fn channels_differ() {
        let channels = deal(7, 2);
        assert_ne!(channels[0].at(100.0), channels[1].at(100.0));
    }
}
