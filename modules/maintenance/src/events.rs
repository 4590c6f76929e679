use kernel::{EventDraft, EventType};

use crate::model::{Decision, WorkOrder};

/// A person is asked, or what they are asked changed. Payload: the whole [`Decision`].
pub const DECISION_REQUESTED: EventType = EventType::new("decision.requested", 1);
/// A decision got its answer, or expired. Payload: the whole [`Decision`].
pub const DECISION_SUBMITTED: EventType = EventType::new("decision.submitted", 1);
/// Work has its place in the calendar. Payload: the whole [`WorkOrder`].
pub const MAINTENANCE_SCHEDULED: EventType = EventType::new("maintenance.scheduled", 1);
/// Work is done, with its verdict. Payload: the whole [`WorkOrder`].
pub const MAINTENANCE_COMPLETED: EventType = EventType::new("maintenance.completed", 1);

pub const ALL: &[EventType] =
    &[DECISION_REQUESTED, DECISION_SUBMITTED, MAINTENANCE_SCHEDULED, MAINTENANCE_COMPLETED];

pub(crate) fn decision(
    kind: EventType,
    decision: &Decision,
) -> Result<EventDraft, serde_json::Error> {
    EventDraft::new(kind, format!("decision/{}", decision.decision_id), decision)
}

pub(crate) fn work(kind: EventType, work: &WorkOrder) -> Result<EventDraft, serde_json::Error> {
    EventDraft::new(kind, format!("work/{}", work.work_id), work)
}
