//! COORD: who may act now, how often, and whether it was done already.
//!
//! Leases, request limits, durable quotas and idempotency keys.

mod error;
mod idempotency;
mod leases;
mod limits;
mod quotas;
mod records;

pub use error::CoordError;
pub use idempotency::{Begun, Idempotency, KeyedRequest, StoredResponse};
pub use leases::{Lease, Leases};
pub use limits::{Limits, Rate, Verdict};
pub use quotas::{Quota, Quotas, Taken};

/// The tables that leases, quotas and idempotency keys need.
#[must_use]
pub fn migrations() -> Vec<store::records::Migration> {
    records::migrations()
}
