//! What telemetry answers over HTTP.

mod anomalies;
mod flow;
mod ingest;
mod lines;
mod readings;
mod sensors;

use std::sync::Arc;

use axum::http::HeaderMap;
use kernel::{CorrelationId, Retryable, SensorKey};
use sense::line::KeyMapping;
use store::series::SeriesError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ErrorCode, Problem};

use crate::error::TelemetryError;
use crate::service::Telemetry;

pub(crate) const SENSOR_UNKNOWN: ErrorCode =
    ErrorCode { code: "sensor-unknown", status: 404, title: "There is no such sensor" };
pub(crate) const SENSOR_CHANGED: ErrorCode =
    ErrorCode { code: "sensor-changed", status: 412, title: "The sensor was changed meanwhile" };
pub(crate) const IF_MATCH_MISSING: ErrorCode =
    ErrorCode { code: "if-match-missing", status: 428, title: "This change needs an If-Match" };
pub(crate) const TELEMETRY_INVALID: ErrorCode =
    ErrorCode { code: "telemetry-invalid", status: 422, title: "Some fields are not right" };
pub(crate) const READINGS_REFUSED: ErrorCode =
    ErrorCode { code: "readings-refused", status: 422, title: "No reading could be stored" };
pub(crate) const READINGS_UNREADABLE: ErrorCode =
    ErrorCode { code: "readings-unreadable", status: 400, title: "The body holds no readings" };
pub(crate) const LINES_REFUSED: ErrorCode =
    ErrorCode { code: "lines-refused", status: 400, title: "Some lines could not be stored" };
pub(crate) const TOO_MANY_BUCKETS: ErrorCode =
    ErrorCode { code: "too-many-buckets", status: 422, title: "That is too fine a question" };
pub(crate) const STORE_BUSY: ErrorCode =
    ErrorCode { code: "store-busy", status: 503, title: "The store is busy; try again" };

pub(crate) const ERRORS: &[ErrorCode] = &[
    SENSOR_UNKNOWN,
    SENSOR_CHANGED,
    IF_MATCH_MISSING,
    TELEMETRY_INVALID,
    READINGS_REFUSED,
    READINGS_UNREADABLE,
    LINES_REFUSED,
    TOO_MANY_BUCKETS,
    STORE_BUSY,
];

/// Seconds after which trying again makes sense.
const RETRY_AFTER_S: u64 = 1;

/// What the handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) telemetry: Telemetry,
    pub(crate) mapping: Arc<KeyMapping>,
}

pub(crate) fn routes(telemetry: Telemetry, mapping: KeyMapping) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(ingest::ingest))
        .routes(routes!(sensors::list))
        .routes(routes!(sensors::one, sensors::set))
        .routes(routes!(readings::readings))
        .routes(routes!(readings::correct, readings::corrections))
        .routes(routes!(anomalies::list))
        .routes(routes!(flow::health))
        .routes(routes!(flow::metrics))
        .routes(routes!(flow::anomalies))
        .with_state(Desk { telemetry, mapping: Arc::new(mapping) })
}

/// The doors of Influx clients.
pub(crate) fn root_routes(telemetry: Telemetry, mapping: KeyMapping) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(lines::write))
        .routes(routes!(lines::write_v2))
        .routes(routes!(lines::ping))
        .with_state(Desk { telemetry, mapping: Arc::new(mapping) })
}

impl From<TelemetryError> for Problem {
    fn from(error: TelemetryError) -> Self {
        match error {
            TelemetryError::NoSuchSensor(key) => {
                Self::of(&SENSOR_UNKNOWN).detail(format!("No sensor has the key {key}."))
            }
            TelemetryError::VersionConflict { current, .. } => Self::of(&SENSOR_CHANGED)
                .detail(format!("It is at version {current} now. Read it again, then change it.")),
            TelemetryError::Invalid { field, reason } => {
                Self::of(&TELEMETRY_INVALID).field(field, reason)
            }
            TelemetryError::Series(SeriesError::TooManyBuckets { wanted, max }) => {
                Self::of(&TOO_MANY_BUCKETS)
                    .detail(format!("{wanted} buckets asked for; at most {max} are answered."))
            }
            error if error.is_retryable() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "store busy");
                Self::of(&STORE_BUSY).retry_after(RETRY_AFTER_S)
            }
            error => Self::internal(&error),
        }
    }
}

fn invalid(field: &str, reason: impl Into<String>) -> Problem {
    Problem::of(&TELEMETRY_INVALID).field(field, reason)
}

fn key(text: &str) -> Result<SensorKey, Problem> {
    SensorKey::new(text).map_err(|error| invalid("sensor", error.to_string()))
}

/// The chain that the caller named, or a new one.
fn correlation(headers: &HeaderMap) -> Result<CorrelationId, Problem> {
    let Some(given) = headers.get("x-correlation-id") else { return Ok(CorrelationId::new()) };
    given
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid("X-Correlation-ID", "a UUID is needed"))
}

fn time(field: &str, text: Option<&str>) -> Result<Option<kernel::Timestamp>, Problem> {
    text.map(|text| {
        sense::parse_time(text)
            .ok_or_else(|| invalid(field, "neither an RFC 3339 time nor an epoch"))
    })
    .transpose()
}

#[cfg(test)]
mod tests;
