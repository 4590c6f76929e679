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
}
