use kernel::{CorrelationId, Retryable};
use uuid::Uuid;

/// What can go wrong with the simulated plant and the golden path.
#[derive(Debug, thiserror::Error)]
pub enum PlantError {
    #[error("records")]
    Records(#[from] store::records::RecordsError),
    #[error("records")]
    Database(#[from] store::records::QueryError),
    #[error("readings were not taken")]
    Sink(#[from] sense::SinkError),
    #[error("the port `{port}` failed")]
    Port { port: &'static str, source: crate::PortError },
    #[error("stored {field} `{value}` is damaged")]
    Damaged { field: &'static str, value: String },
    #[error("{field}: {reason}")]
    Invalid { field: &'static str, reason: String },
    #[error("simulations are switched off here")]
    Disabled,
    #[error("decisions are approved by people outside development")]
    ApprovalForbidden,
    #[error("{running} golden paths are under way already")]
    Busy { running: u64 },
    #[error("there is no golden path {id}")]
    UnknownPath { id: CorrelationId },
    #[error("there is no scenario run {id}")]
    UnknownRun { id: Uuid },
}

impl Retryable for PlantError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Records(error) => error.is_retryable(),
            Self::Sink(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
            Self::Port { .. } | Self::Busy { .. } => true,
            Self::Damaged { .. }
            | Self::Invalid { .. }
            | Self::Disabled
            | Self::ApprovalForbidden
            | Self::UnknownPath { .. }
            | Self::UnknownRun { .. } => false,
        }
    }
}
