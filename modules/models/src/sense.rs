use kernel::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::model::{Origin, Severity};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnomalyState {
    Active,
    Cleared,
}

/// `anomaly.detected`, as far as predictions are concerned.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Anomaly {
    pub(crate) anomaly_id: Uuid,
    pub(crate) sensor: String,
    pub(crate) asset: String,
    #[serde(default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) unit: Option<String>,
    pub(crate) rule: String,
    pub(crate) state: AnomalyState,
    pub(crate) severity: Severity,
    pub(crate) score: f64,
    #[serde(default)]
    pub(crate) value: Option<f64>,
    /// What the detector learned, or the range it was told when `rule` is `range`.
    #[serde(default)]
    pub(crate) expected: Option<Band>,
    /// The sensor's registered range, when the event carries it.
    #[serde(default)]
    pub(crate) range: Option<Band>,
    pub(crate) started_at: Timestamp,
    pub(crate) detected_at: Timestamp,
    #[serde(default)]
    pub(crate) evidence: Option<Evidence>,
    #[serde(default)]
    pub(crate) origin: Origin,
}

/// Lowest and highest value in order; either may be open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct Band {
    #[serde(default)]
    pub low: Option<f64>,
    #[serde(default)]
    pub high: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(crate) struct Evidence {
    pub(crate) baseline_mean: f64,
}

/// Rules that speak of the process; the others speak of the sensor or its connection, and no trend
/// follows from them.
const PREDICTED_RULES: [&str; 3] = ["score", "range", "rate"];

impl Anomaly {
    /// Whether a prediction is worth making.
    #[must_use]
    pub(crate) fn is_worth_predicting(&self) -> bool {
        self.state == AnomalyState::Active
            && self.severity >= Severity::Medium
            && PREDICTED_RULES.contains(&self.rule.as_str())
    }
}
