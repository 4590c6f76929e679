use store::records::RecordsError;

/// What can go wrong with coordination.
#[derive(Debug, thiserror::Error)]
pub enum CoordError {
    #[error("coordination records")]
    Records(#[from] RecordsError),
    #[error("coordination records")]
    Database(#[from] sea_orm::DbErr),
}
