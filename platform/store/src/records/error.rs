use kernel::Retryable;

/// What can go wrong with records.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    #[error("database")]
    Database(#[from] sea_orm::DbErr),
    #[error("`{url}` names no database Plainview knows; use sqlite:// or postgres://")]
    UnknownDatabase { url: String },
    #[error(
        "the database holds migration `{name}`, which this version does not know; use a newer Plainview"
    )]
    NewerSchema { name: String },
    #[error("stored value of {field} is damaged: {reason}")]
    Damaged { field: &'static str, reason: String },
}

impl Retryable for RecordsError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if !matches!(error, sea_orm::DbErr::RecordNotFound(_) | sea_orm::DbErr::Query(_)))
    }
}
