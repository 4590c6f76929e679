use kernel::SharedClock;
use store::records::{Records, Tx};

use crate::CoordError;
use crate::records::quotas;

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
    records: Records,
    clock: SharedClock,
}

impl Quotas {
    #[must_use]
    pub fn new(records: Records, clock: SharedClock) -> Self {
        Self { records, clock }
    }

    /// Takes one, as part of `tx`, or none when the quota is used up. Whoever takes from several
    /// quotas in one transaction takes from all in the same order everywhere.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn take(&self, tx: &Tx, quota: &Quota) -> Result<Taken, CoordError> {
        if quota.limit == 0 {
            return Ok(Taken::Exhausted);
        }
        let used = quotas::take(tx.conn(), quota, self.clock.now()).await?;
        Ok(used.map_or(Taken::Exhausted, |used| Taken::Left(quota.limit.saturating_sub(used))))
    }

    /// How many were taken.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn used(&self, quota: &Quota) -> Result<u32, CoordError> {
        quotas::used(self.records.read(), quota).await
    }
}
