use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Timestamp;

/// Where time comes from. Everything that asks for the time is given one, so that tests and
/// simulations own it.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Wall time, UTC. May jump; use it for stamps, never for leases or limits.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start. Never goes back; use it for leases, limits and timeouts.
    fn monotonic(&self) -> Duration;
}

pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}
