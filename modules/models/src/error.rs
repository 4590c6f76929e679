use bus::{BusError, HandlerError};
use kernel::Retryable;
use store::records::{QueryError, RecordsError};
use store::series::SeriesError;
use web::ErrorCode;

/// What can go wrong in this module.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    #[error("there is no sensor {0}")]
    NoSuchSensor(String),
    #[error("there is no model {0}")]
    NoSuchModel(String),
    #[error("{found} values of the {needed} that are needed")]
    TooShort { found: usize, needed: usize },
    #[error("{field}: {reason}")]
    Field { field: &'static str, reason: String },
    #[error("event payload")]
    Payload(#[from] serde_json::Error),
    #[error("series")]
    Series(#[from] SeriesError),
    #[error("records")]
    Records(#[from] RecordsError),
    #[error("records")]
    Database(#[from] QueryError),
    #[error("bus")]
    Bus(#[from] BusError),
}

impl Retryable for ModelsError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Series(error) => error.is_retryable(),
            Self::Records(error) => error.is_retryable(),
            Self::Bus(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl From<ModelsError> for HandlerError {
    fn from(error: ModelsError) -> Self {
        if error.is_retryable() { Self::retry(error) } else { Self::poison(error) }
    }
}

pub(crate) const NO_SUCH_SENSOR: ErrorCode =
    ErrorCode { code: "model-sensor-unknown", status: 404, title: "There is no such sensor" };
pub(crate) const NO_SUCH_MODEL: ErrorCode =
    ErrorCode { code: "model-unknown", status: 404, title: "There is no such model or version" };
pub(crate) const HISTORY_TOO_SHORT: ErrorCode = ErrorCode {
    code: "history-too-short",
    status: 422,
    title: "This sensor has too little history for that",
};
pub(crate) const MODELS_INVALID: ErrorCode = ErrorCode {
    code: "models-invalid",
    status: 422,
    title: "Something in this request does not fit",
};

pub(crate) const CODES: &[ErrorCode] =
    &[NO_SUCH_SENSOR, NO_SUCH_MODEL, HISTORY_TOO_SHORT, MODELS_INVALID];
