use kernel::{CorrelationId, Timestamp};
use serde::{Deserialize, Serialize};
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

/// Where an alarm is in its life, after ISA-18.2 and OPC UA Part 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    Unacknowledged,
    Acknowledged,
    ReturnedUnacknowledged,
    Normal,
    Shelved,
    Suppressed,
    OutOfService,
}

impl AlertState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unacknowledged => "unacknowledged",
            Self::Acknowledged => "acknowledged",
            Self::ReturnedUnacknowledged => "returned_unacknowledged",
            Self::Normal => "normal",
            Self::Shelved => "shelved",
            Self::Suppressed => "suppressed",
            Self::OutOfService => "out_of_service",
        }
    }
}

/// One alarm: what is wrong with one sensor by one rule, over all its occurrences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    pub alert_id: Uuid,
    /// Shown as `A-17`.
    pub number: i64,
    pub sensor: String,
    pub asset: String,
    pub site: String,
    pub title: String,
    pub rule: String,
    /// 1 (now) to 4.
    pub priority: i32,
    pub state: AlertState,
    /// The plant is wrong now, whatever people did about the alarm.
    pub active: bool,
    pub severity: Severity,
    pub value: Option<f64>,
    pub unit: Option<String>,
    pub limit: Option<f64>,
    pub anomaly_id: Uuid,
    pub incident_id: Option<Uuid>,
    /// Start of this occurrence, plant time.
    pub raised_at: Timestamp,
    /// Start of the first occurrence, plant time.
    pub first_raised_at: Timestamp,
    pub cleared_at: Option<Timestamp>,
    pub acknowledged_by: Option<String>,
    pub acknowledged_at: Option<Timestamp>,
    pub note: Option<String>,
    pub shelved_until: Option<Timestamp>,
    pub shelved_by: Option<String>,
    pub shelve_reason: Option<String>,
    pub resolved_by: Option<String>,
    pub resolved_at: Option<Timestamp>,
    pub resolution: Option<String>,
    pub occurrences: u32,
    /// It comes and goes faster than people can follow.
    pub chattering: bool,
    pub origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    Open,
    Investigating,
    Resolved,
    Dismissed,
}

impl IncidentState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Investigating => "investigating",
            Self::Resolved => "resolved",
            Self::Dismissed => "dismissed",
        }
    }

    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Investigating)
    }
}

/// Why people set an incident aside, and until when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Dismissal {
    pub reason: String,
    pub by: String,
    pub until: Timestamp,
}

/// The newest thing that was done to an incident, and by whom; `by` is empty for the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    pub by: Option<String>,
    pub what: String,
    pub note: Option<String>,
}

/// Names an [`Alert`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "uuid")]
pub struct AlertId(pub Uuid);

/// Alarms that belong together, and what people do about them. Its alarms are ids, or whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Incident<A = AlertId> {
    pub incident_id: Uuid,
    /// Shown as `INC-2071`.
    pub number: i64,
    pub title: String,
    pub asset: String,
    pub site: String,
    /// 1 (now) to 4; the most urgent of its alarms, one more urgent once escalated.
    pub priority: i32,
    pub state: IncidentState,
    pub opened_at: Timestamp,
    pub updated_at: Timestamp,
    pub closed_at: Option<Timestamp>,
    pub assignee: Option<String>,
    pub alerts: Vec<A>,
    pub sensors: Vec<String>,
    pub summary: String,
    pub dismissal: Option<Dismissal>,
    pub dismissals: u32,
    pub escalated: bool,
    /// Plant time of its newest alarm.
    pub last_alarm_at: Timestamp,
    /// Chains of events that belong to it, newest last.
    pub correlations: Vec<CorrelationId>,
    pub change: Change,
    pub origin: Origin,
}

impl Incident {
    /// The same incident with its alarms whole.
    #[must_use]
    pub fn with_alerts(self, alerts: Vec<Alert>) -> Incident<Alert> {
        Incident {
            incident_id: self.incident_id,
            number: self.number,
            title: self.title,
            asset: self.asset,
            site: self.site,
            priority: self.priority,
            state: self.state,
            opened_at: self.opened_at,
            updated_at: self.updated_at,
            closed_at: self.closed_at,
            assignee: self.assignee,
            alerts,
            sensors: self.sensors,
            summary: self.summary,
            dismissal: self.dismissal,
            dismissals: self.dismissals,
            escalated: self.escalated,
            last_alarm_at: self.last_alarm_at,
            correlations: self.correlations,
            change: self.change,
            origin: self.origin,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    Alarm,
    Signal,
    Person,
    Decision,
    Prediction,
    Work,
    Message,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    Alarms,
    Signals,
    People,
    Decisions,
    Work,
}

/// One thing that happened, on the one axis of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// When it happened; for replayed recordings when Plainview saw it.
    pub at: Timestamp,
    /// When it happened by the plant's own time.
    pub plant_time: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub kind: EntryKind,
    pub lane: Lane,
    pub title: String,
    pub detail: String,
    pub actor: Option<String>,
    pub event_id: Uuid,
    pub priority: Option<i32>,
}

/// An incident with all that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentDetail {
    #[serde(flatten)]
    pub incident: Incident<Alert>,
    pub timeline: Vec<Entry>,
}

/// How sound the alarm system itself is, after EEMUA 191 and ISA-18.2.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Quality {
    pub from: Timestamp,
    pub to: Timestamp,
    pub last_10_min: u64,
    /// Target: at most 1.
    pub mean_per_10_min: f64,
    /// Share of 10-minute periods in flood (starts above 10, ends below 5). Target: below 0.01.
    pub flood_share: f64,
    /// Sensors with three alarms within a minute. Target: none.
    pub chattering: Vec<String>,
    /// Alarms that stand longer than a day. Target: below 5 % of those that stand.
    pub stale: u64,
    pub standing: u64,
    pub per_10_min: Vec<Period>,
    pub by_priority: std::collections::BTreeMap<i32, u64>,
    /// The loudest sensors.
    pub top: Vec<Loud>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Period {
    pub at: Timestamp,
    pub count: u64,
    pub flood: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Loud {
    pub sensor: String,
    pub count: u64,
}

/// The last part of an asset key as people say it: `north/p-2` is `P-2`.
#[must_use]
pub fn asset_label(asset: &str) -> String {
    asset.rsplit('/').next().unwrap_or(asset).to_uppercase()
}
