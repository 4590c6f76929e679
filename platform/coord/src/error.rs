use kernel::Retryable;
use store::records::RecordsError;

/// What can go wrong with coordination.
#[derive(Debug, thiserror::Error)]
pub enum CoordError {
    #[error("coordination records")]
    Records(#[from] RecordsError),
    #[error("coordination records")]
    Database(#[from] sea_orm::DbErr),
    #[error("{field} has at most {bytes_max} bytes; this one has {bytes}")]
    TooLong { field: &'static str, bytes: usize, bytes_max: usize },
    #[error("a stored {field} is damaged")]
    Damaged { field: &'static str },
}

impl Retryable for CoordError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Records(error) => error.is_retryable(),
            Self::Database(_) => true,
            Self::TooLong { .. } | Self::Damaged { .. } => false,
        }
    }
}
