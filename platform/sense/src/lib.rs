//! SENSE: how readings come in from the outside.
//!
//! Doors turn a protocol into [`Delivery`]s and hand them to a [`ReadingSink`]; they acknowledge
//! to the sender only what the sink has made durable.

mod sink;

pub use sink::{Delivery, Origin, ReadingSink, Receipt, Refusal, SinkError};
