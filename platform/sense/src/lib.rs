//! SENSE: how readings come in from the outside.
//!
//! Doors turn a protocol into [`Delivery`]s and hand them to a [`ReadingSink`]; they acknowledge
//! to the sender only what the sink has made durable.

pub mod courier;
pub mod csv;
mod error;
pub mod json;
mod keep;
pub mod labels;
pub mod line;
pub mod modbus;
#[cfg(test)]
mod mosquitto;
pub mod mqtt;
pub mod otlp;
pub mod reconnect;
pub mod remote_write;
mod rows;
pub mod settings;
mod sink;
mod source;
pub mod sparkplug;
mod time;
mod wire;

pub use error::SenseError;
pub use rows::{Hint, REFUSALS_NAMED_MAX, RowRefusal, Rows};
pub use sink::{Delivery, Origin, ReadingSink, Receipt, Refusal, SinkError};
pub use source::{
    Connector, ConnectorKind, Field, FieldKind, LinkState, Protocol, SourceError, SourceHealth,
    SourceId, SourceStatus,
};
pub use time::parse_time;
pub use wire::WireError;
