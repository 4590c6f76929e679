use std::time::Duration;

use kernel::SharedClock;

/// An allowance that refills evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls per `per`.
    pub calls: u32,
    pub per: Duration,
    /// Calls allowed at once.
    pub burst: u32,
}

/// The answer to "may I now?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub allowed: bool,
    pub remaining: u32,
    /// When the whole burst is free again.
    pub reset: Duration,
    /// When to come back; zero when allowed.
    pub retry_after: Duration,
}

/// Request limits after the generic cell rate algorithm (ITU-T I.371), in memory.
#[derive(Debug)]
pub struct Limits {
    _clock: SharedClock,
}

impl Limits {
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self { _clock: clock }
    }

    /// Counts `cost` calls of `caller` against `rate` in the class `class`.
    pub fn check(&self, _class: &'static str, _caller: &str, _rate: Rate, _cost: u32) -> Verdict {
        todo!()
    }
}
