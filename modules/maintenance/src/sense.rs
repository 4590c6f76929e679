use kernel::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::model::{Origin, Severity};

/// What this module needs of `maintenance.predicted`; the rest travels on as evidence.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Predicted {
    pub(crate) prediction_id: Uuid,
    pub(crate) asset: String,
    pub(crate) sensor: String,
    #[serde(default)]
    pub(crate) anomaly_id: Option<Uuid>,
    #[serde(default)]
    pub(crate) kind: Option<String>,
    pub(crate) risk: f64,
    pub(crate) severity: Severity,
    #[serde(default)]
    pub(crate) summary: String,
    #[serde(default)]
    pub(crate) time_to_limit_s: Option<TimeToLimit>,
    #[serde(default)]
    pub(crate) trend: Option<Trend>,
    pub(crate) model: Model,
    pub(crate) predicted_at: Timestamp,
    #[serde(default)]
    pub(crate) origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(crate) struct TimeToLimit {
    pub(crate) median: f64,
    pub(crate) low: f64,
    /// Unknown when the trend may never get there.
    #[serde(default)]
    pub(crate) high: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(crate) struct Trend {
    pub(crate) slope_per_day: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) version: String,
}
