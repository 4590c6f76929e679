//! OPC UA servers as sources: subscribed to, never written to.
//!
//! A crate of its own because the protocol's stack is the heaviest that any connector brings.

mod backfill;
mod error;
mod kind;
mod link;
mod nodes;
mod pki;
mod settings;
mod tags;
mod values;
mod watch;

pub use error::OpcUaError;
pub use kind::{Newest, OpcUaKind};
