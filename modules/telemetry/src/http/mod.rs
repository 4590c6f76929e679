//! What telemetry answers over HTTP.

mod aggregate;
mod anomalies;
mod changepoints;
mod files;
mod flow;
mod ingest;
mod lines;
mod otlp;
mod processes;
mod prometheus;
mod readings;
mod readings_table;
mod remote_write;
mod sensors;
mod sources;

use axum::http::HeaderMap;
use kernel::{CorrelationId, Retryable, SensorKey, Timestamp};
use sense::SenseError;
use store::series::SeriesError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use web::{Page, Problem};

use crate::error::{self, TelemetryError};
use crate::service::Telemetry;

/// Seconds after which trying again makes sense.
const RETRY_AFTER_S: u64 = 1;
/// A disk does not empty itself in a second.
const FULL_RETRY_AFTER_S: u64 = 10;

pub(crate) fn routes(service: Telemetry) -> OpenApiRouter {
    let files = OpenApiRouter::new()
        .routes(routes!(files::upload))
        .with_state(files::Files::new(service.clone()));
    OpenApiRouter::new()
        .routes(routes!(ingest::ingest))
        .routes(routes!(remote_write::write))
        .routes(routes!(sensors::list))
        .routes(routes!(sensors::one, sensors::set))
        .routes(routes!(readings::readings))
        .routes(routes!(aggregate::aggregate))
        .routes(routes!(readings::correct, readings::corrections))
        .routes(routes!(anomalies::list))
        .routes(routes!(anomalies::explain))
        .routes(routes!(anomalies::accept_level))
        .routes(routes!(changepoints::list))
        .routes(routes!(processes::list))
        .routes(routes!(processes::one, processes::fit))
        .routes(routes!(processes::accept))
        .routes(routes!(processes::reject))
        .routes(routes!(flow::health))
        .routes(routes!(flow::metrics))
        .routes(routes!(flow::anomalies))
        .routes(routes!(sources::list, sources::create))
        .routes(routes!(sources::kinds))
        .routes(routes!(sources::one, sources::replace, sources::remove))
        .routes(routes!(sources::start))
        .routes(routes!(sources::stop))
        .with_state(service)
        .merge(files)
}

/// The doors of Influx clients.
pub(crate) fn root_routes(service: Telemetry) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(lines::write))
        .routes(routes!(lines::write_v2))
        .routes(routes!(lines::write_v3))
        .routes(routes!(lines::ping))
        .routes(routes!(otlp::export))
        .with_state(service.clone())
        .merge(prometheus::routes(service))
}

impl From<TelemetryError> for Problem {
    fn from(fault: TelemetryError) -> Self {
        match fault {
            TelemetryError::NoSuchSensor(key) => {
                Self::of(&error::SENSOR_UNKNOWN).detail(format!("No sensor has the key {key}."))
            }
            TelemetryError::VersionConflict { current, .. } => Self::of(&error::SENSOR_CHANGED)
                .detail(format!("It is at version {current} now. Read it again, then change it.")),
            TelemetryError::Invalid { field, reason } => {
                Self::of(&error::TELEMETRY_INVALID).field(field, reason)
            }
            TelemetryError::Series(SeriesError::TooManyBuckets { wanted, max }) => {
                Self::of(&error::TOO_MANY_BUCKETS)
                    .detail(format!("{wanted} buckets asked for; at most {max} are answered."))
            }
            TelemetryError::NoSuchSource(id) => {
                Self::of(&error::SOURCE_UNKNOWN).detail(format!("No source is called {id}."))
            }
            TelemetryError::SourceExists(id) => {
                Self::of(&error::SOURCE_EXISTS).detail(format!("{id} is configured already."))
            }
            TelemetryError::SourceInFile(id) => Self::of(&error::SOURCE_IN_FILE)
                .detail(format!("{id} is changed in the settings file.")),
            TelemetryError::SourceChanged { current, .. } => Self::of(&error::SOURCE_CHANGED)
                .detail(format!("It is at version {current} now. Read it again, then change it.")),
            TelemetryError::SourceInvalid(fields) => fields
                .into_iter()
                .fold(Self::of(&error::SOURCE_INVALID), |it, (name, why)| it.field(name, why)),
            TelemetryError::NoModel(asset) => Self::of(&error::PROCESS_MODEL_UNKNOWN)
                .detail(format!("{asset} has no process model yet; fit one with PUT.")),
            TelemetryError::NoModelVersion { asset, version } => {
                Self::of(&error::PROCESS_MODEL_UNKNOWN)
                    .detail(format!("The model of {asset} has no version {version}."))
            }
            TelemetryError::NoSuchAnomaly(id) => {
                Self::of(&error::ANOMALY_UNKNOWN).detail(format!("No anomaly has the id {id}."))
            }
            TelemetryError::Unfit { field, reason } => {
                Self::of(&error::PROCESS_MODEL_UNFIT).field(field, reason)
            }
            TelemetryError::Series(fault @ SeriesError::Full { .. }) => {
                tracing::warn!(error = &fault as &dyn std::error::Error, "store full");
                Self::of(&error::STORE_FULL).retry_after(FULL_RETRY_AFTER_S)
            }
            fault if fault.is_retryable() => {
                tracing::warn!(error = &fault as &dyn std::error::Error, "store busy");
                Self::of(&error::STORE_BUSY).retry_after(RETRY_AFTER_S)
            }
            other => Self::internal(&other),
        }
    }
}

fn invalid(field: &str, reason: impl Into<String>) -> Problem {
    Problem::of(&error::TELEMETRY_INVALID).field(field, reason)
}

/// A body that cannot be read as a whole.
fn unreadable(fault: &SenseError) -> Problem {
    let field = match fault {
        SenseError::Json { line, .. } => format!("line {line}"),
        _ => "body".to_owned(),
    };
    Problem::of(&error::READINGS_UNREADABLE).field(field, fault.to_string())
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

/// The time and the id after which a list goes on, newest first.
fn after(cursor: Option<&str>) -> Result<Option<(i64, String)>, Problem> {
    let wrong = || invalid("cursor", "pass `next` of the page before, unchanged");
    let read = |cursor: &str| {
        let (at, id) = cursor.split_once('_').ok_or_else(wrong)?;
        Ok((at.parse().map_err(|_| wrong())?, id.to_owned()))
    };
    cursor.map(read).transpose()
}

/// A page of `limit` out of items of which one more was asked for. `place` is what [`after`] reads.
fn page_of<T>(mut items: Vec<T>, limit: u64, place: impl Fn(&T) -> (Timestamp, Uuid)) -> Page<T> {
    let more = items.len() as u64 > limit;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|last| {
        let (at, id) = place(last);
        format!("{}_{id}", at.as_micros())
    });
    Page { items, next }
}

#[cfg(test)]
mod tests;
