use bus::BusError;
use kernel::{Retryable, SensorKey};
use store::records::{QueryError, RecordsError};
use store::series::SeriesError;

/// What can go wrong in telemetry.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("there is no sensor `{0}`")]
    NoSuchSensor(SensorKey),
    #[error("sensor `{key}` is at version {current}, not {given}")]
    VersionConflict { key: SensorKey, current: i64, given: i64 },
    #[error("{field}: {reason}")]
    Invalid { field: &'static str, reason: String },
    #[error("readings")]
    Series(#[from] SeriesError),
    #[error("records")]
    Records(#[from] RecordsError),
    #[error("records")]
    Database(#[from] QueryError),
    #[error("events")]
    Bus(#[from] BusError),
    #[error("encoding of {what}")]
    Encoding { what: &'static str, source: serde_json::Error },
    #[error("a detector shard stopped: {0}")]
    Shard(String),
}

impl Retryable for TelemetryError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Series(error) => error.is_retryable(),
            Self::Records(error) => error.is_retryable(),
            Self::Bus(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
            _ => false,
        }
    }
}
