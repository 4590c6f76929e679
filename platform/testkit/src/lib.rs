//! What tests share: a clock of their own, a fresh database each, a network that fails on
//! command, and an oracle that knows what was acknowledged.
//!
//! Knows no store, bus or module; it hands out URLs and addresses.

mod builders;
mod clock;
mod error;
mod oracle;
mod proxy;
mod records;

pub use builders::{CorrelatedDrafts, Readings, draft};
pub use clock::FakeClock;
pub use error::TestkitError;
pub use oracle::{Ack, AckLog, Verdict, compare, fingerprint};
pub use proxy::{FaultProxy, Faults, Path};
pub use records::TestDatabase;
