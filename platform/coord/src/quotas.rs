use kernel::SharedClock;
use store::records::{Records, Tx};

use crate::CoordError;

/// A durable allowance for one period, such as 15 greetings on 2026-11-19.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    pub name: String,
    /// The period it counts in: `2026-11-19`, `2026-W47`.
    pub period: String,
    pub limit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Taken; this many are left.
    Left(u32),
    /// Nothing was taken.
    Exhausted,
}

#[derive(Clone, Debug)]
pub struct Quotas {
    _records: Records,
    _clock: SharedClock,
}

impl Quotas {
    #[must_use]
    pub fn new(records: Records, clock: SharedClock) -> Self {
        Self { _records: records, _clock: clock }
    }

    /// Takes one, as part of `tx`, or none when the quota is used up.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn take(&self, _tx: &Tx, _quota: &Quota) -> Result<Taken, CoordError> {
        todo!()
    }

    /// How many were taken.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn used(&self, _quota: &Quota) -> Result<u32, CoordError> {
        todo!()
    }
}
