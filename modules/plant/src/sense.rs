//! The events of the chain, read for the few fields that the orchestrator needs.

use kernel::{Event, EventId, Timestamp};
use serde::Deserialize;
use serde_json::Value;

/// The event types that the orchestrator follows.
pub(crate) const TYPES: &[&str] = &[
    "anomaly.detected",
    "maintenance.predicted",
    "decision.requested",
    "decision.submitted",
    "maintenance.scheduled",
    "notification.sent",
];

/// One event of the chain as the orchestrator sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) event: EventId,
    pub(crate) at: Timestamp,
    pub(crate) news: News,
    /// The payload: evidence for people.
    pub(crate) data: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum News {
    Anomaly(Anomaly),
    Prediction(Prediction),
    Requested(Decision),
    Submitted(Decision),
    Scheduled(Work),
    Sent(Message),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Anomaly {
    #[serde(default)]
    pub(crate) rule: String,
    #[serde(default)]
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) severity: String,
    pub(crate) score: Option<f64>,
    pub(crate) value: Option<f64>,
    pub(crate) started_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Prediction {
    #[serde(default)]
    pub(crate) summary: String,
    pub(crate) risk: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Decision {
    pub(crate) decision_id: String,
    pub(crate) number: Option<i64>,
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) state: String,
    pub(crate) answered_by: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) deferred_until: Option<String>,
}

impl Decision {
    /// As people call it: `D-12`.
    pub(crate) fn label(&self) -> String {
        self.number.map_or_else(|| self.title.clone(), |number| format!("D-{number}"))
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Work {
    pub(crate) number: Option<i64>,
    pub(crate) decision_id: Option<String>,
    #[serde(default)]
    pub(crate) title: String,
    pub(crate) starts_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Message {
    #[serde(default)]
    pub(crate) channel: String,
    #[serde(default)]
    pub(crate) to: String,
    #[serde(default)]
    pub(crate) title: String,
    pub(crate) about: About,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct About {
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// Reads `event`; `None` when it is of no type that is followed.
///
/// # Errors
/// When a field that is needed is missing or of another type.
pub(crate) fn see(event: &Event) -> Result<Option<Seen>, serde_json::Error> {
    let news = match event.kind.as_str() {
        "anomaly.detected" => News::Anomaly(event.read()?),
        "maintenance.predicted" => News::Prediction(event.read()?),
        "decision.requested" => News::Requested(event.read()?),
        "decision.submitted" => News::Submitted(event.read()?),
        "maintenance.scheduled" => News::Scheduled(event.read()?),
        "notification.sent" => News::Sent(event.read()?),
        _ => return Ok(None),
    };
    Ok(Some(Seen { event: event.id, at: event.time, news, data: event.data.clone() }))
}
