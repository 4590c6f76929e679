use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kernel::{Clock, Timestamp};

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct FakeClock {
    now: Mutex<(Timestamp, Duration)>,
}

impl FakeClock {
    /// 2026-11-19T12:00:00Z: a Thursday noon, far from midnight and from a change of season.
    pub const START: Timestamp = Timestamp::from_secs(1_795_089_600);

    #[must_use]
    pub fn at(start: Timestamp) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new((start, Duration::ZERO)) })
    }

    /// A clock that shows [`FakeClock::START`].
    #[must_use]
    pub fn shared() -> Arc<Self> {
        Self::at(Self::START)
    }

    /// Lets time pass: both clocks move.
    pub fn advance(&self, by: Duration) {
        let mut now = self.lock();
        now.0 = now.0.plus(by);
        now.1 = now.1.saturating_add(by);
    }

    /// Jumps the wall clock, as an operator or a time server may; the monotonic one stays.
    pub fn set(&self, to: Timestamp) {
        self.lock().0 = to;
    }

    fn lock(&self) -> MutexGuard<'_, (Timestamp, Duration)> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.lock().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_leaves_monotonic_time_alone() {
        let clock = FakeClock::shared();
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.now(), FakeClock::START.plus(Duration::from_secs(5)));
        clock.set(Timestamp::from_secs(0));
        assert_eq!(clock.now(), Timestamp::from_secs(0));
        assert_eq!(clock.monotonic(), Duration::from_secs(5));
    }
}
