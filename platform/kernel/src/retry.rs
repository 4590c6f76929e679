use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Whether trying again can help. Every error that crosses a seam answers this.
pub trait Retryable {
    fn is_retryable(&self) -> bool;
}

/// Exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter", 2015).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    pub first: Duration,
    pub max: Duration,
}

impl Backoff {
    /// The pause before attempt `attempt` (1 is the first retry). `random` lies in `0.0..1.0`;
    /// the pause lies between half and the whole of the exponential step.
    #[must_use]
    pub fn pause(&self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(30);
        let step = self.first.saturating_mul(1 << doublings).min(self.max);
        step.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }
}

/// Spreads pauses: a number in `0.0..1.0` that looks random and depends on `what` alone, so that
/// a run can be repeated and no two that wait for the same thing wait in step.
#[must_use]
pub fn spread(what: impl Hash) -> f64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap() {
        let backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) };
        assert_eq!(backoff.pause(1, 1.0), Duration::from_secs(1));
        assert_eq!(backoff.pause(3, 1.0), Duration::from_secs(4));
        assert_eq!(backoff.pause(3, 0.0), Duration::from_secs(2));
        assert_eq!(backoff.pause(99, 1.0), Duration::from_secs(60));
    }

    #[test]
    fn pauses_are_spread_over_the_whole_range() {
        let mut buckets = [0_u32; 10];
        for attempt in 0..1_000_u32 {
            buckets[(spread(("agent", attempt)) * 10.0) as usize] += 1;
        }
        assert!(buckets.iter().all(|count| (50..200).contains(count)), "{buckets:?}");
    }
}
