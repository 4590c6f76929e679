use bus::HandlerError;
use kernel::{CorrelationId, Retryable};
use uuid::Uuid;
use web::ErrorCode;

use crate::model::PortError;

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
    Port { port: &'static str, source: PortError },
    #[error("the plant's own table of sensors is wrong")]
    Table { source: PortError },
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
            Self::Table { .. }
            | Self::Damaged { .. }
            | Self::Invalid { .. }
            | Self::Disabled
            | Self::ApprovalForbidden
            | Self::UnknownPath { .. }
            | Self::UnknownRun { .. } => false,
        }
    }
}

impl From<PlantError> for HandlerError {
    fn from(error: PlantError) -> Self {
        if error.is_retryable() { Self::retry(error) } else { Self::poison(error) }
    }
}

pub(crate) const SIMULATION_INVALID: ErrorCode =
    ErrorCode { code: "simulation-invalid", status: 422, title: "This cannot be simulated" };
pub(crate) const SIMULATION_DISABLED: ErrorCode =
    ErrorCode { code: "simulation-disabled", status: 409, title: "Simulations are switched off" };
pub(crate) const AUTO_APPROVE_FORBIDDEN: ErrorCode = ErrorCode {
    code: "auto-approve-forbidden",
    status: 403,
    title: "Only people approve decisions here",
};
pub(crate) const GOLDEN_PATH_BUSY: ErrorCode =
    ErrorCode { code: "golden-path-busy", status: 429, title: "Enough golden paths are under way" };
pub(crate) const GOLDEN_PATH_UNKNOWN: ErrorCode =
    ErrorCode { code: "golden-path-unknown", status: 404, title: "There is no such golden path" };
pub(crate) const SCENARIO_RUN_UNKNOWN: ErrorCode = ErrorCode {
    code: "scenario-run-unknown",
    status: 404,
    title: "There is no such scenario under way",
};

pub(crate) const CODES: &[ErrorCode] = &[
    SIMULATION_INVALID,
    SIMULATION_DISABLED,
    AUTO_APPROVE_FORBIDDEN,
    GOLDEN_PATH_BUSY,
    GOLDEN_PATH_UNKNOWN,
    SCENARIO_RUN_UNKNOWN,
];
