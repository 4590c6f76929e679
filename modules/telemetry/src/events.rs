//! What telemetry says on the bus.

use kernel::{EventType, SensorKey, Timestamp};
use serde::Serialize;

use crate::model::Trust;

/// Payload: [`crate::model::Anomaly`], whole, on onset, escalation and end.
pub const ANOMALY_DETECTED: EventType = EventType::new("anomaly.detected", 1);
/// Payload: [`TrustChanged`].
pub const SENSOR_TRUST_CHANGED: EventType = EventType::new("sensor.trust.changed", 1);
/// Payload: [`Tick`]. Ephemeral.
pub const TELEMETRY_TICK: EventType = EventType::new("telemetry.tick", 1);

pub const ALL: &[EventType] = &[ANOMALY_DETECTED, SENSOR_TRUST_CHANGED, TELEMETRY_TICK];

/// A sensor became less or more believable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrustChanged {
    pub sensor: SensorKey,
    pub trust: Trust,
    pub reason: Option<String>,
    pub since: Timestamp,
    pub previous: Trust,
}

/// The latest values of the sensors that changed since the last tick.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tick {
    pub at: Timestamp,
    pub values: Vec<TickValue>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TickValue {
    pub sensor: SensorKey,
    pub at: Timestamp,
    pub value: f64,
    pub quality: &'static str,
    pub score: f64,
}
