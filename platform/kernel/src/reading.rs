use serde::{Deserialize, Serialize};

use crate::{Quality, SensorKey, Timestamp};

/// One measured value: what a door hands in, before validation.
///
/// `value` is finite; doors refuse NaN and infinities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub sensor: SensorKey,
    /// Event time: when the plant says it was so.
    pub at: Timestamp,
    pub value: f64,
    #[serde(default)]
    pub quality: Quality,
    /// Unit as the source wrote it; `None` when it said none.
    #[serde(default)]
    pub unit: Option<String>,
}
