use bus::{BusError, HandlerError};
use kernel::Retryable;
use store::records::{QueryError, RecordsError};
use uuid::Uuid;
use web::ErrorCode;

use crate::model::AlertState;

/// What can go wrong in this module.
#[derive(Debug, thiserror::Error)]
pub enum IncidentsError {
    #[error("there is no alert {0}")]
    NoSuchAlert(Uuid),
    #[error("there is no incident {0}")]
    NoSuchIncident(Uuid),
    #[error("alert {number} is {}", state.as_str())]
    WrongState { number: i64, state: AlertState, hint: &'static str },
    #[error("incident is at version {current} now")]
    Stale { current: i64 },
    #[error("{field}: {reason}")]
    Field { field: &'static str, reason: String },
    /// Somebody else changed the same thing in between.
    #[error("changed by somebody else in between")]
    Race,
    #[error("event payload")]
    Payload(#[from] serde_json::Error),
    #[error("records")]
    Records(#[from] RecordsError),
    #[error("records")]
    Database(#[from] QueryError),
    #[error("bus")]
    Bus(#[from] BusError),
}

impl Retryable for IncidentsError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Race => true,
            Self::Database(error) => error.is_retryable(),
            Self::Records(error) => error.is_retryable(),
            Self::Bus(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl From<IncidentsError> for HandlerError {
    fn from(error: IncidentsError) -> Self {
        if error.is_retryable() { Self::retry(error) } else { Self::poison(error) }
    }
}

pub(crate) const NO_SUCH_ALERT: ErrorCode =
    ErrorCode { code: "alert-unknown", status: 404, title: "There is no such alarm" };
pub(crate) const NO_SUCH_INCIDENT: ErrorCode =
    ErrorCode { code: "incident-unknown", status: 404, title: "There is no such incident" };
pub(crate) const ALERT_STATE: ErrorCode = ErrorCode {
    code: "alert-state",
    status: 409,
    title: "The alarm is not in a state that allows this",
};
pub(crate) const INCIDENT_CHANGED: ErrorCode = ErrorCode {
    code: "incident-changed",
    status: 412,
    title: "Somebody changed this incident meanwhile",
};
pub(crate) const IF_MATCH_MISSING: ErrorCode = ErrorCode {
    code: "if-match-missing",
    status: 428,
    title: "Say which version you change with If-Match",
};
pub(crate) const INCIDENTS_INVALID: ErrorCode = ErrorCode {
    code: "incidents-invalid",
    status: 422,
    title: "Something in this request does not fit",
};
pub(crate) const INCIDENTS_BUSY: ErrorCode =
    ErrorCode { code: "incidents-busy", status: 503, title: "Others are changing the same record" };

pub(crate) const CODES: &[ErrorCode] = &[
    NO_SUCH_ALERT,
    NO_SUCH_INCIDENT,
    ALERT_STATE,
    INCIDENT_CHANGED,
    IF_MATCH_MISSING,
    INCIDENTS_INVALID,
    INCIDENTS_BUSY,
];
