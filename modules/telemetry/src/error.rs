use bus::BusError;
use kernel::{Retryable, SensorKey};
use store::records::{QueryError, RecordsError};
use store::series::SeriesError;
use web::ErrorCode;

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
    #[error("encoding of the detectors' states")]
    Unwritten(#[source] rmp_serde::encode::Error),
    #[error("there is no source `{0}`")]
    NoSuchSource(String),
    #[error("there is a source `{0}`")]
    SourceExists(String),
    #[error("the source `{0}` stands in the settings file")]
    SourceInFile(String),
    #[error("source `{id}` is at version {current}, not {given}")]
    SourceChanged { id: String, current: i64, given: i64 },
    #[error("a source cannot be made of these settings")]
    SourceInvalid(Vec<(String, String)>),
    #[error("query")]
    Query(#[from] promql::PromqlError),
    #[error("`{0}` has no process model")]
    NoModel(String),
    #[error("`{asset}` has no version {version} of its process model")]
    NoModelVersion { asset: String, version: i64 },
    #[error("there is no anomaly `{0}`")]
    NoSuchAnomaly(String),
    #[error("no process model can be made of this")]
    Unfit { field: &'static str, reason: String },
    #[error("{max} long answers are being sent already")]
    AnswersFull { max: usize },
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
            Self::AnswersFull { .. } => true,
            _ => false,
        }
    }
}

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
pub(crate) const POINTS_REFUSED: ErrorCode =
    ErrorCode { code: "points-refused", status: 400, title: "No data point could be stored" };
pub(crate) const SERIES_REFUSED: ErrorCode =
    ErrorCode { code: "series-refused", status: 400, title: "Some series could not be stored" };
pub(crate) const TOO_MANY_BUCKETS: ErrorCode =
    ErrorCode { code: "too-many-buckets", status: 422, title: "That is too fine a question" };
pub(crate) const STORE_BUSY: ErrorCode =
    ErrorCode { code: "store-busy", status: 503, title: "The store is busy; try again" };
pub(crate) const STORE_FULL: ErrorCode =
    ErrorCode { code: "store-full", status: 507, title: "There is no room to store readings" };
pub(crate) const SOURCE_UNKNOWN: ErrorCode =
    ErrorCode { code: "source-unknown", status: 404, title: "There is no such source" };
pub(crate) const SOURCE_EXISTS: ErrorCode =
    ErrorCode { code: "source-exists", status: 409, title: "A source of this name exists" };
pub(crate) const SOURCE_IN_FILE: ErrorCode =
    ErrorCode { code: "source-in-file", status: 409, title: "This source is set in the file" };
pub(crate) const SOURCE_CHANGED: ErrorCode =
    ErrorCode { code: "source-changed", status: 412, title: "The source was changed meanwhile" };
pub(crate) const SOURCE_INVALID: ErrorCode =
    ErrorCode { code: "source-invalid", status: 422, title: "No source can be made of this" };

pub(crate) const PROCESS_MODEL_UNKNOWN: ErrorCode =
    ErrorCode { code: "process-model-unknown", status: 404, title: "There is no such model" };
pub(crate) const PROCESS_MODEL_UNFIT: ErrorCode =
    ErrorCode { code: "process-model-unfit", status: 422, title: "No model can be made of this" };
pub(crate) const ANOMALY_UNKNOWN: ErrorCode =
    ErrorCode { code: "anomaly-unknown", status: 404, title: "There is no such anomaly" };

pub(crate) const CODES: &[ErrorCode] = &[
    SOURCE_UNKNOWN,
    SOURCE_EXISTS,
    SOURCE_IN_FILE,
    SOURCE_CHANGED,
    SOURCE_INVALID,
    SENSOR_UNKNOWN,
    SENSOR_CHANGED,
    IF_MATCH_MISSING,
    TELEMETRY_INVALID,
    READINGS_REFUSED,
    READINGS_UNREADABLE,
    LINES_REFUSED,
    SERIES_REFUSED,
    POINTS_REFUSED,
    TOO_MANY_BUCKETS,
    STORE_BUSY,
    STORE_FULL,
    PROCESS_MODEL_UNKNOWN,
    PROCESS_MODEL_UNFIT,
    ANOMALY_UNKNOWN,
];
