use std::time::Duration;

use kernel::{SharedClock, Timestamp};
use store::records::{Records, Tx};

use crate::CoordError;
use crate::records::leases;

/// The longest lease. A stored end further off than this was written before the clock jumped
/// back, and holds nobody up.
const TTL_MAX: Duration = Duration::from_secs(3_600);

/// The right to act alone until `until`. Whoever writes under it carries `fence`: a later
/// holder's is greater, so a sleeper's late write can be told and refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub name: String,
    pub owner: String,
    pub fence: i64,
    pub until: Timestamp,
}

#[derive(Clone, Debug)]
pub struct Leases {
    records: Records,
    clock: SharedClock,
}

impl Leases {
    #[must_use]
    pub fn new(records: Records, clock: SharedClock) -> Self {
        Self { records, clock }
    }

    /// `None` while another owner holds it. An owner that asks again gets it anew, with a greater
    /// fence: what it started before a restart is shut out too. `ttl` counts up to an hour.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn acquire(
        &self,
        name: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, CoordError> {
        let now = self.clock.now();
        let until = now.plus(ttl.min(TTL_MAX));
        let tx = self.records.begin().await?;
        let fence =
            leases::acquire(tx.conn(), (name, owner), until, now, now.plus(TTL_MAX)).await?;
        tx.commit().await?;
        Ok(fence.map(|fence| Lease {
            name: name.to_owned(),
            owner: owner.to_owned(),
            fence,
            until,
        }))
    }

    /// `None` when it was lost meanwhile.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<Option<Lease>, CoordError> {
        let until = self.clock.now().plus(ttl.min(TTL_MAX));
        let tx = self.records.begin().await?;
        let kept = leases::extend(tx.conn(), lease, until).await?;
        tx.commit().await?;
        Ok(kept.then(|| Lease { until, ..lease.clone() }))
    }

    /// Whether `lease` still holds, checked as part of `tx`: nobody else can take it before `tx`
    /// ends, so a write of the same transaction cannot come too late.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn guard(&self, tx: &Tx, lease: &Lease) -> Result<bool, CoordError> {
        leases::hold(tx.conn(), lease, self.clock.now()).await
    }

    /// Gives the lease back; does nothing when it was lost before.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn release(&self, lease: &Lease) -> Result<(), CoordError> {
        let tx = self.records.begin().await?;
        leases::release(tx.conn(), lease).await?;
        Ok(tx.commit().await?)
    }
}
