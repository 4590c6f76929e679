//! What this module needs of what others say.

pub(crate) mod timeline;

use kernel::{CorrelationId, EventId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::{Origin, Severity};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnomalyState {
    Active,
    Cleared,
}

/// `anomaly.detected`, as far as alarms are concerned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Anomaly {
    pub(crate) anomaly_id: Uuid,
    pub(crate) sensor: String,
    pub(crate) asset: String,
    pub(crate) site: String,
    #[serde(default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) unit: Option<String>,
    pub(crate) rule: String,
    pub(crate) state: AnomalyState,
    pub(crate) severity: Severity,
    #[serde(default)]
    pub(crate) score: Option<f64>,
    #[serde(default)]
    pub(crate) value: Option<f64>,
    #[serde(default)]
    pub(crate) expected: Option<Band>,
    pub(crate) started_at: Timestamp,
    pub(crate) detected_at: Timestamp,
    #[serde(default)]
    pub(crate) cleared_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Band {
    #[serde(default)]
    pub(crate) low: Option<f64>,
    #[serde(default)]
    pub(crate) high: Option<f64>,
}

impl Anomaly {
    /// The limit that the value passed, if it passed one.
    #[must_use]
    pub(crate) fn limit(&self) -> Option<f64> {
        let (band, value) = (self.expected?, self.value?);
        match (band.low, band.high) {
            (_, Some(high)) if value > high => Some(high),
            (Some(low), _) if value < low => Some(low),
            (low, high) => high.or(low),
        }
    }
}

/// The event that led to something, as much of it as is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cause {
    pub(crate) event: EventId,
    pub(crate) correlation: CorrelationId,
}
