use kernel::Retryable;
use store::records::RecordsError;

/// What can go wrong on the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("event log")]
    Records(#[from] RecordsError),
    #[error("event log")]
    Database(#[from] sea_orm::DbErr),
    #[error("stored event {offset} is damaged")]
    Damaged { offset: i64, source: serde_json::Error },
    #[error("an event's data has at most {data_bytes_max} bytes; this one has {data_bytes}")]
    TooLarge { data_bytes: usize, data_bytes_max: usize },
    #[error(
        "an event's subject has at most {subject_bytes_max} bytes and no NUL; this one has {subject_bytes} bytes"
    )]
    BadSubject { subject_bytes: usize, subject_bytes_max: usize },
    #[error("event log")]
    Post { source: std::sync::Arc<BusError> },
    #[error("{waiting_max} events wait for their commit already")]
    Overloaded { waiting_max: usize },
    #[error("stopped before the event was committed or refused")]
    Interrupted,
    #[error("there is no dead letter {id}")]
    NoSuchLetter { id: i64 },
    #[error("dead letter {id} was already {state}")]
    LetterSettled { id: i64, state: &'static str },
}

impl Retryable for BusError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Records(error) => error.is_retryable(),
            Self::Post { source } => source.is_retryable(),
            Self::Database(_) | Self::Overloaded { .. } => true,
            Self::Damaged { .. }
            | Self::TooLarge { .. }
            | Self::BadSubject { .. }
            // The event may be in the log: saying it again may say it twice.
            | Self::Interrupted
            | Self::NoSuchLetter { .. }
            | Self::LetterSettled { .. } => false,
        }
    }
}
