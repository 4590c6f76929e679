use bus::{BusError, HandlerError};
use kernel::{Retryable, Timestamp};
use store::records::{QueryError, RecordsError};
use uuid::Uuid;
use web::ErrorCode;

use crate::model::ReportState;

/// What can go wrong in this module.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    #[error("there is no decision {0}")]
    NoSuchDecision(Uuid),
    #[error("decision {number} is {state} already")]
    Settled { number: i64, state: &'static str, by: Option<String> },
    #[error("the approval of decision {number} ended {at}")]
    ApprovalExpired { number: i64, at: Timestamp },
    #[error("there is no work order {0}")]
    NoSuchWork(Uuid),
    #[error("work order {number} is {state} already")]
    WorkSettled { number: i64, state: &'static str },
    #[error("{assignee} is not free then")]
    Overlap { assignee: String },
    #[error("there is no report {0}")]
    NoSuchReport(Uuid),
    #[error("report {id} is {}", state.as_str())]
    NotReady { id: Uuid, state: ReportState },
    #[error("{waiting} reports wait already")]
    TooManyReports { waiting: u64 },
    #[error("{field}: {reason}")]
    Field { field: &'static str, reason: String },
    /// Somebody else changed the same thing in between.
    #[error("changed by somebody else in between")]
    Race,
    #[error("event payload")]
    Payload(#[from] serde_json::Error),
    #[error("report")]
    Csv(#[from] csv::Error),
    #[error("records")]
    Records(#[from] RecordsError),
    #[error("records")]
    Database(#[from] QueryError),
    #[error("bus")]
    Bus(#[from] BusError),
}

impl Retryable for MaintenanceError {
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

impl From<MaintenanceError> for HandlerError {
    fn from(error: MaintenanceError) -> Self {
        if error.is_retryable() { Self::retry(error) } else { Self::poison(error) }
    }
}

pub(crate) const NO_SUCH_DECISION: ErrorCode =
    ErrorCode { code: "decision-unknown", status: 404, title: "There is no such decision" };
pub(crate) const DECISION_SETTLED: ErrorCode =
    ErrorCode { code: "decision-settled", status: 409, title: "This decision has its answer" };
pub(crate) const NO_SUCH_WORK: ErrorCode =
    ErrorCode { code: "work-unknown", status: 404, title: "There is no such work order" };
pub(crate) const WORK_SETTLED: ErrorCode =
    ErrorCode { code: "work-settled", status: 409, title: "This work order is closed" };
pub(crate) const WORK_OVERLAPS: ErrorCode =
    ErrorCode { code: "work-overlaps", status: 409, title: "The assignee is not free then" };
pub(crate) const NO_SUCH_REPORT: ErrorCode =
    ErrorCode { code: "report-unknown", status: 404, title: "There is no such report" };
pub(crate) const REPORT_NOT_READY: ErrorCode =
    ErrorCode { code: "report-not-ready", status: 409, title: "The report is not made yet" };
pub(crate) const REPORTS_BUSY: ErrorCode =
    ErrorCode { code: "reports-busy", status: 503, title: "Too many reports are waiting" };
pub(crate) const MAINTENANCE_INVALID: ErrorCode = ErrorCode {
    code: "maintenance-invalid",
    status: 422,
    title: "Something in this request does not fit",
};
pub(crate) const MAINTENANCE_BUSY: ErrorCode = ErrorCode {
    code: "maintenance-busy",
    status: 503,
    title: "Others are changing the same record",
};

pub(crate) const CODES: &[ErrorCode] = &[
    NO_SUCH_DECISION,
    DECISION_SETTLED,
    NO_SUCH_WORK,
    WORK_SETTLED,
    WORK_OVERLAPS,
    NO_SUCH_REPORT,
    REPORT_NOT_READY,
    REPORTS_BUSY,
    MAINTENANCE_INVALID,
    MAINTENANCE_BUSY,
];
