use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// How bad it is when nobody acts. `Critical` is greatest.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// 1 is the most urgent of four.
    #[must_use]
    pub fn priority(self) -> i32 {
        match self {
            Self::Critical => 1,
            Self::High => 2,
            Self::Medium => 3,
            Self::Low => 4,
        }
    }
}

/// Whether it happened, was made up, or happened before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    #[default]
    Real,
    Simulated,
    Replayed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecisionState {
    Waiting,
    Approved,
    Rejected,
    Deferred,
    Expired,
}

impl DecisionState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Deferred => "deferred",
            Self::Expired => "expired",
        }
    }

    /// A person may still answer.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Deferred)
    }
}

/// What a model proposes to do, and by when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Proposal {
    pub action: String,
    pub due_from: Timestamp,
    pub due_to: Timestamp,
    pub duration_h: f64,
    pub skill: String,
}

/// A question that a person answers, with all that speaks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    pub decision_id: Uuid,
    /// Shown as `D-318`.
    pub number: i64,
    pub title: String,
    pub question: String,
    pub asset: String,
    pub sensor: String,
    pub severity: Severity,
    pub state: DecisionState,
    pub requested_at: Timestamp,
    /// Unanswered by then, it expires.
    pub expires_at: Timestamp,
    pub requested_by: String,
    pub proposal: Proposal,
    /// The newest prediction, whole.
    #[schema(value_type = Object)]
    pub evidence: Value,
    pub prediction_id: Uuid,
    pub anomaly_id: Option<Uuid>,
    pub answered_by: Option<String>,
    pub answered_at: Option<Timestamp>,
    pub reason: Option<String>,
    pub deferred_until: Option<Timestamp>,
    /// When the approving person wants the work to start; otherwise the calendar decides.
    pub starts_at: Option<Timestamp>,
    /// An approval that led to no work by then is void.
    pub approval_expires_at: Option<Timestamp>,
    /// How often the same question was turned down or left unanswered in the last 30 days.
    pub dismissed_before: u32,
    pub escalated: bool,
    /// Grows with every prediction that joined this question; 1 is the first.
    pub predictions: u32,
    pub origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkState {
    Scheduled,
    Completed,
    Cancelled,
}

impl WorkState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Whether the prediction was right, as found on site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Confirmed,
    FalseAlarm,
    NotFound,
}

impl Verdict {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::FalseAlarm => "false_alarm",
            Self::NotFound => "not_found",
        }
    }
}

/// How the equipment failed to do its work, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureMode {
    Vibration,
    Overheating,
    Noise,
    ExternalLeak,
    InternalLeak,
    LowOutput,
    HighOutput,
    ErraticOutput,
    FailsToStart,
    FailsToStop,
    StopsUnasked,
    FailsToOpen,
    FailsToClose,
    FalseReading,
    Blocked,
    StructuralDefect,
    Other,
    None,
}

/// What happened physically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureMechanism {
    Wear,
    Fatigue,
    Corrosion,
    Erosion,
    Misalignment,
    Looseness,
    Imbalance,
    Cavitation,
    Clogging,
    Sticking,
    Overload,
    LubricationLoss,
    Electrical,
    Instrument,
    Software,
    External,
    Unknown,
    None,
}

/// Why it could happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    Design,
    Manufacture,
    Installation,
    Operation,
    Maintenance,
    Age,
    Environment,
    Unknown,
    None,
}

/// What was found and done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Completion {
    pub completed_at: Timestamp,
    pub completed_by: String,
    pub verdict: Verdict,
    pub failure_mode: Option<FailureMode>,
    pub failure_mechanism: Option<FailureMechanism>,
    pub failure_cause: Option<FailureCause>,
    pub notes: String,
}

/// Work with a place in the calendar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkOrder {
    pub work_id: Uuid,
    /// Shown as `W-633`.
    pub number: i64,
    pub decision_id: Option<Uuid>,
    pub asset: String,
    pub sensor: Option<String>,
    pub title: String,
    pub state: WorkState,
    /// 1 (now) to 4.
    pub priority: i32,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub assignee: Option<String>,
    pub skill: String,
    pub severity: Severity,
    pub completion: Option<Completion>,
    pub created_at: Timestamp,
    pub approved_by: String,
    pub reason: Option<String>,
    /// It starts after the window in which it was due, because nobody was free before.
    pub late: bool,
    pub anomaly_id: Option<Uuid>,
    pub origin: Origin,
}

/// One line of the maintenance log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    pub event_id: Uuid,
    pub at: Timestamp,
    /// `scheduled` or `completed`.
    pub what: String,
    pub work_id: Uuid,
    pub number: i64,
    pub asset: String,
    pub title: String,
    pub actor: String,
    pub detail: String,
    pub verdict: Option<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportFormat {
    Html,
    Csv,
}

impl ReportFormat {
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Csv => "csv",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportState {
    Queued,
    Running,
    Done,
    Failed,
}

impl ReportState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A report asked for, and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    pub report_id: Uuid,
    pub kind: String,
    pub format: ReportFormat,
    pub from: Timestamp,
    pub to: Timestamp,
    pub state: ReportState,
    pub requested_by: String,
    pub requested_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub rows: Option<u64>,
    pub error: Option<String>,
}

/// The last part of an asset key as people say it: `north/p-2` is `P-2`.
#[must_use]
pub fn asset_label(asset: &str) -> String {
    asset.rsplit('/').next().unwrap_or(asset).to_uppercase()
}
