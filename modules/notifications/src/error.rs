use bus::HandlerError;
use kernel::Retryable;
use uuid::Uuid;
use web::ErrorCode;

/// What can go wrong with notifications.
#[derive(Debug, thiserror::Error)]
pub enum NotificationsError {
    #[error("records")]
    Records(#[from] store::records::RecordsError),
    #[error("records")]
    Database(#[from] store::records::QueryError),
    #[error("event log")]
    Bus(#[from] bus::BusError),
    #[error("payload of {kind} cannot be read or written")]
    Payload { kind: String, source: serde_json::Error },
    #[error("stored {field} `{value}` is damaged")]
    Damaged { field: &'static str, value: String },
    #[error("there is no notification {id}")]
    Unknown { id: Uuid },
}

impl Retryable for NotificationsError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Records(error) => error.is_retryable(),
            Self::Bus(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
            Self::Payload { .. } | Self::Damaged { .. } | Self::Unknown { .. } => false,
        }
    }
}

impl From<NotificationsError> for HandlerError {
    fn from(error: NotificationsError) -> Self {
        if error.is_retryable() { Self::retry(error) } else { Self::poison(error) }
    }
}

pub(crate) const NOTIFICATION_UNKNOWN: ErrorCode =
    ErrorCode { code: "notification-unknown", status: 404, title: "There is no such notification" };

pub(crate) const CODES: &[ErrorCode] = &[NOTIFICATION_UNKNOWN];
