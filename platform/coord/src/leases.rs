use std::time::Duration;

use kernel::{SharedClock, Timestamp};
use store::records::Records;

use crate::CoordError;

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
    _records: Records,
    _clock: SharedClock,
}

impl Leases {
    #[must_use]
    pub fn new(records: Records, clock: SharedClock) -> Self {
        Self { _records: records, _clock: clock }
    }

    /// `None` while another owner holds it.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn acquire(
        &self,
        _name: &str,
        _owner: &str,
        _ttl: Duration,
    ) -> Result<Option<Lease>, CoordError> {
        todo!()
    }

    /// `None` when it was lost meanwhile.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn renew(&self, _lease: &Lease, _ttl: Duration) -> Result<Option<Lease>, CoordError> {
        todo!()
    }

    /// # Errors
    /// When the database cannot be reached.
    pub async fn release(&self, _lease: &Lease) -> Result<(), CoordError> {
        todo!()
    }
}
