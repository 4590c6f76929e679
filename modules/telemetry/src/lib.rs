//! TELEMETRY: the sensor registry, validation, readings and the always-on detectors.

pub(crate) mod detect;
pub mod error;
pub mod events;
pub mod model;
pub(crate) mod records;
pub(crate) mod sense;
pub mod service;

pub use error::TelemetryError;
pub use service::{Door, TelemetryDeps, TelemetrySettings};
