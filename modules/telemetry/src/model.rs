//! What telemetry means by a sensor, its trust, and an anomaly.

use std::time::Duration;

use kernel::{CorrelationId, SensorKey, SensorKind, Timestamp};
use sense::Origin;
use sense::line::KeyMapping;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// What happens to a reading of a sensor nobody registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownSensors {
    /// Registered and taken.
    #[default]
    Auto,
    /// Registered and stored as uncertain, but not judged until an engineer confirms the sensor.
    Quarantine,
    /// Refused.
    Reject,
}

/// How telemetry behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    pub unknown_sensors: UnknownSensors,
    /// Sensors that may be registered; beyond it unknown ones are refused.
    pub sensors_max: usize,
    /// Detector shards; 0 takes one per processor.
    pub detector_shards: usize,
    /// How line protocol becomes keys.
    pub mapping: KeyMapping,
    /// How long readings are kept; `None` keeps them all.
    pub retention: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            unknown_sensors: UnknownSensors::Auto,
            sensors_max: 200_000,
            detector_shards: 0,
            mapping: KeyMapping::default(),
            retention: None,
        }
    }
}

/// How far a sensor as such can be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    #[default]
    Trusted,
    Stuck,
    Silent,
    Suspect,
}

impl Trust {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Stuck => "stuck",
            Self::Silent => "silent",
            Self::Suspect => "suspect",
        }
    }
}

/// Everything that is registered about one sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    pub key: SensorKey,
    pub kind: SensorKind,
    /// Symbol of the unit its values are kept in.
    pub unit: Option<String>,
    pub profile: Profile,
    pub trust: TrustState,
    pub origin: Origin,
    /// Registered by the quarantine policy and not yet confirmed.
    pub quarantined: bool,
    pub metadata: Value,
    /// Grows with each change; the entity tag.
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What an engineer knows about a sensor's values, in the sensor's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Profile {
    pub expected_low: Option<f64>,
    pub expected_high: Option<f64>,
    pub rate_max_per_s: Option<f64>,
    pub interval_s: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrustState {
    pub trust: Trust,
    pub reason: Option<String>,
    pub since: Option<Timestamp>,
}

/// Which rule found an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyRule {
    Score,
    Range,
    Rate,
    Flatline,
    Missing,
    /// The sensors of an asset no longer go together as they did; found by its process model.
    Process,
}

impl AnomalyRule {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Range => "range",
            Self::Rate => "rate",
            Self::Flatline => "flatline",
            Self::Missing => "missing",
            Self::Process => "process",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// From a detector's 0-to-1 measure.
    #[must_use]
    pub fn from_measure(measure: f64) -> Self {
        if measure >= 0.85 {
            Self::Critical
        } else if measure >= 0.6 {
            Self::High
        } else if measure >= 0.3 {
            Self::Medium
        } else {
            Self::Low
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyState {
    Active,
    Cleared,
}

impl AnomalyState {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Cleared => "cleared",
        }
    }
}

/// Lowest and highest value that would have been in order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Band {
    pub low: f64,
    pub high: f64,
}

/// The readings and the baseline that an anomaly rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Readings the baseline was learned from.
    pub samples: u64,
    pub baseline_mean: f64,
    pub baseline_spread: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DetectorName {
    pub name: String,
    pub version: String,
}

/// A sensor and its share in a finding, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Contribution {
    pub sensor: SensorKey,
    pub share: f64,
}

/// What a process model saw, and all that is needed to see it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProcessFinding {
    /// The asset's model at that time.
    pub model_version: i64,
    /// Width of a row of the model.
    pub interval_s: f64,
    /// Which look was furthest beyond its limit: `row`, `spread` or `level`.
    pub look: String,
    /// Distance of the row in the main directions and in the rest.
    pub t2: f64,
    pub q: f64,
    /// Start of the row that `score` and `contributions` belong to.
    pub row_at: Timestamp,
    /// Rows from here on give the same answer again.
    pub replay_from: Timestamp,
}

/// Something unusual about one sensor, from its onset to its end. Identity: one per sensor, rule
/// and start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Anomaly {
    #[schema(value_type = String, format = "uuid")]
    pub anomaly_id: Uuid,
    pub sensor: SensorKey,
    pub asset: String,
    pub site: String,
    pub kind: SensorKind,
    pub unit: Option<String>,
    pub rule: AnomalyRule,
    pub state: AnomalyState,
    pub severity: Severity,
    pub score: f64,
    pub value: f64,
    pub expected: Option<Band>,
    pub started_at: Timestamp,
    pub detected_at: Timestamp,
    pub cleared_at: Option<Timestamp>,
    pub evidence: Evidence,
    pub detector: DetectorName,
    #[schema(value_type = String)]
    pub origin: Origin,
    /// The sensors it shows in, largest share first.
    #[serde(default)]
    pub contributions: Vec<Contribution>,
    /// For `process`: what the model of the asset saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessFinding>,
}

/// Where one sensor of an asset was before and after the asset's state changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangedInput {
    pub sensor: SensorKey,
    pub before: f64,
    pub after: f64,
    /// The change in the spreads that the sensor has in normal operation.
    pub spreads: f64,
}

/// A level of a sensor, or the state of an asset, that changed and stays changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Changepoint {
    #[schema(value_type = String, format = "uuid")]
    pub changepoint_id: Uuid,
    /// `None`: the asset as a whole.
    pub sensor: Option<SensorKey>,
    pub asset: String,
    pub site: String,
    pub unit: Option<String>,
    pub changed_at: Timestamp,
    /// When it was taken for lasting.
    pub noticed_at: Timestamp,
    /// Levels of the sensor before and after.
    pub before: Option<f64>,
    pub after: Option<f64>,
    /// How far single readings lie from the level: mean absolute deviation.
    pub noise: Option<f64>,
    /// 0 to 1.
    pub confidence: f64,
    pub detector: DetectorName,
    /// For an asset: the version of its model, and the sensors that moved most.
    pub model_version: Option<i64>,
    pub inputs: Vec<ChangedInput>,
    /// The anomaly that stands meanwhile; its explanation is the evidence.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub anomaly_id: Option<Uuid>,
    #[schema(value_type = String)]
    pub origin: Origin,
}

/// An anomaly with the chain it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ChainedAnomaly {
    #[serde(flatten)]
    pub anomaly: Anomaly,
    pub correlation_id: CorrelationId,
}
