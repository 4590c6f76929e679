use kernel::{EventDraft, EventType};

use crate::model::{Alert, Incident};

/// An alarm calls for attention: new, back again, or worse. Payload: the whole [`Alert`].
pub const ALERT_CREATED: EventType = EventType::new("alert.created", 1);
pub const ALERT_ACKNOWLEDGED: EventType = EventType::new("alert.acknowledged", 1);
/// An alarm is shelved, or changed while it is. Payload: the whole [`Alert`].
pub const ALERT_SHELVED: EventType = EventType::new("alert.shelved", 1);
/// The plant is in order again. Payload: the whole [`Alert`].
pub const ALERT_CLEARED: EventType = EventType::new("alert.cleared", 1);
/// A person said what it was. Payload: the whole [`Alert`].
pub const ALERT_RESOLVED: EventType = EventType::new("alert.resolved", 1);
/// Payload: the whole [`Incident`].
pub const INCIDENT_CREATED: EventType = EventType::new("incident.created", 1);
/// Payload: the whole [`Incident`]; `change` says what was done.
pub const INCIDENT_UPDATED: EventType = EventType::new("incident.updated", 1);

pub const ALL: &[EventType] = &[
    ALERT_CREATED,
    ALERT_ACKNOWLEDGED,
    ALERT_SHELVED,
    ALERT_CLEARED,
    ALERT_RESOLVED,
    INCIDENT_CREATED,
    INCIDENT_UPDATED,
];

pub(crate) fn alert(kind: EventType, alert: &Alert) -> Result<EventDraft, serde_json::Error> {
    EventDraft::new(kind, format!("alert/{}", alert.alert_id), alert)
}

pub(crate) fn incident(
    kind: EventType,
    incident: &Incident,
) -> Result<EventDraft, serde_json::Error> {
    EventDraft::new(kind, format!("incident/{}", incident.incident_id), incident)
}
