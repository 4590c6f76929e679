use kernel::{CorrelationId, EventId, SensorKey, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The steps of the golden path, in order.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    Ingest,
    Validate,
    Detect,
    Predict,
    Decide,
    Schedule,
    Notify,
}

impl StepName {
    pub const ALL: [Self; 7] = [
        Self::Ingest,
        Self::Validate,
        Self::Detect,
        Self::Predict,
        Self::Decide,
        Self::Schedule,
        Self::Notify,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Its turn has not come.
    Pending,
    Running,
    /// Waits for a person, or is overdue; `detail` says for what.
    Waiting,
    Done,
    Failed,
}

/// One step with what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Step {
    pub name: StepName,
    pub status: StepStatus,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// Events that belong to this step, oldest first.
    pub event_ids: Vec<EventId>,
    pub detail: Option<String>,
    /// What the step's result rests on.
    #[schema(value_type = Object)]
    pub evidence: Value,
}

impl Step {
    fn new(name: StepName) -> Self {
        Self {
            name,
            status: StepStatus::Pending,
            started_at: None,
            finished_at: None,
            event_ids: Vec::new(),
            detail: None,
            evidence: Value::Null,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverallStatus {
    Running,
    /// Waits for a person.
    Waiting,
    Completed,
    /// A step is overdue; it goes on by itself if what it waits for comes late.
    Stuck,
    Failed,
}

impl OverallStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Stuck => "stuck",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// One walk from a batch of readings to a message about a work order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GoldenPath {
    pub correlation_id: CorrelationId,
    pub number: i64,
    pub sensor: SensorKey,
    pub target_anomaly_rate: f64,
    pub auto_approve: bool,
    pub started_by: String,
    pub overall_status: OverallStatus,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub waiting_for: Option<String>,
    pub steps: Vec<Step>,
    pub decision_id: Option<String>,
    /// When the orchestrator asked for the approval itself.
    pub approval_asked_at: Option<Timestamp>,
}

impl GoldenPath {
    pub(crate) fn new(
        correlation_id: CorrelationId,
        number: i64,
        sensor: SensorKey,
        target_anomaly_rate: f64,
        auto_approve: bool,
        started_by: &str,
        now: Timestamp,
    ) -> Self {
        let mut steps: Vec<Step> = StepName::ALL.into_iter().map(Step::new).collect();
        steps[0].status = StepStatus::Running;
        steps[0].started_at = Some(now);
        Self {
            correlation_id,
            number,
            sensor,
            target_anomaly_rate,
            auto_approve,
            started_by: started_by.to_owned(),
            overall_status: OverallStatus::Running,
            started_at: now,
            finished_at: None,
            waiting_for: None,
            steps,
            decision_id: None,
            approval_asked_at: None,
        }
    }

    pub(crate) fn step(&self, name: StepName) -> &Step {
        &self.steps[name as usize]
    }

    pub(crate) fn step_mut(&mut self, name: StepName) -> &mut Step {
        &mut self.steps[name as usize]
    }
}
