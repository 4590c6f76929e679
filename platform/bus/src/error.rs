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
    #[error("there is no dead letter {id}")]
    NoSuchLetter { id: i64 },
    #[error("dead letter {id} was already {state}")]
    LetterSettled { id: i64, state: &'static str },
}

impl Retryable for BusError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Records(error) => error.is_retryable(),
            Self::Database(_) => true,
            Self::Damaged { .. } | Self::NoSuchLetter { .. } | Self::LetterSettled { .. } => false,
        }
    }
}
