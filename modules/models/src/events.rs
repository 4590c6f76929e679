use kernel::{EventDraft, EventType};

use crate::model::Prediction;

/// What will happen if nobody acts. Payload: the whole [`Prediction`].
pub const MAINTENANCE_PREDICTED: EventType = EventType::new("maintenance.predicted", 1);

pub const ALL: &[EventType] = &[MAINTENANCE_PREDICTED];

pub(crate) fn predicted(prediction: &Prediction) -> Result<EventDraft, serde_json::Error> {
    EventDraft::new(MAINTENANCE_PREDICTED, prediction.asset.clone(), prediction)
}
