//! What telemetry says on the bus.

use kernel::{EventType, SensorKey, Timestamp};
use serde::Serialize;

use crate::model::Trust;
use crate::service::{ConfiguredIn, Desired, SourceFlow, SourceState, SourceView};

/// Payload: [`crate::model::Anomaly`], whole, on onset, escalation and end.
pub const ANOMALY_DETECTED: EventType = EventType::new("anomaly.detected", 1);
/// Payload: [`TrustChanged`].
pub const SENSOR_TRUST_CHANGED: EventType = EventType::new("sensor.trust.changed", 1);
/// Payload: [`crate::model::Changepoint`], once.
pub const CHANGEPOINT_DETECTED: EventType = EventType::new("changepoint.detected", 1);
/// Payload: [`Tick`]. Ephemeral.
pub const TELEMETRY_TICK: EventType = EventType::new("telemetry.tick", 1);

/// Payload: [`SourceChanged`].
pub const SOURCE_CHANGED: EventType = EventType::new("source.changed", 1);

/// Payload: [`SourceTick`]. Ephemeral.
pub const SOURCE_TICK: EventType = EventType::new("source.tick", 1);

pub const ALL: &[EventType] = &[
    ANOMALY_DETECTED,
    CHANGEPOINT_DETECTED,
    SENSOR_TRUST_CHANGED,
    SOURCE_CHANGED,
    SOURCE_TICK,
    TELEMETRY_TICK,
];

/// The sources that changed since the last tick.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SourceTick {
    pub(crate) at: Timestamp,
    /// Each whole, as `GET /api/v1/sources` shows it.
    pub(crate) sources: Vec<SourceView>,
    /// Ids of those that are gone.
    pub(crate) removed: Vec<String>,
    pub(crate) flow: SourceFlow,
}

/// A connector was made, changed, started, stopped or removed, or became ill or well.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SourceChanged {
    /// `kept`, `removed` or `state`.
    pub(crate) change: &'static str,
    /// Who last changed what is wanted; `None` for what the settings file says.
    pub(crate) changed_by: Option<String>,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) protocol: &'static str,
    pub(crate) address: String,
    pub(crate) desired: Desired,
    pub(crate) state: SourceState,
    pub(crate) reconciled: bool,
    pub(crate) configured_in: ConfiguredIn,
    /// With secrets shown as `***`.
    pub(crate) settings: serde_json::Value,
    pub(crate) version: i64,
    pub(crate) last_error: Option<String>,
}

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
