//! What becomes of events on the timeline of an incident.

use kernel::{CorrelationId, Event, Timestamp};
use serde::Deserialize;
use uuid::Uuid;

use crate::model::{Alert, Entry, EntryKind, Incident, Lane, Origin};
use crate::sense::Anomaly;

/// What the timeline listens to.
pub(crate) const TYPES: &[&str] = &[
    "anomaly.detected",
    "alert.created",
    "alert.acknowledged",
    "alert.shelved",
    "alert.cleared",
    "alert.resolved",
    "incident.updated",
    "maintenance.predicted",
    "decision.requested",
    "decision.submitted",
    "maintenance.scheduled",
    "maintenance.completed",
    "notification.sent",
    "notification.failed",
];

/// An entry with what finds it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    /// Events with one key make one entry: an alarm and its end are one bar.
    pub(crate) key: String,
    pub(crate) entry: Entry,
    pub(crate) correlation: CorrelationId,
    pub(crate) incident: Option<Uuid>,
    pub(crate) sensor: Option<String>,
}

#[derive(Deserialize)]
struct Predicted {
    sensor: String,
    #[serde(default)]
    summary: String,
    risk: f64,
    model: Model,
    #[serde(default)]
    why_unsure: Option<String>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Decision {
    number: i64,
    title: String,
    sensor: String,
    state: String,
    #[serde(default)]
    question: String,
    #[serde(default)]
    answered_by: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Work {
    number: i64,
    title: String,
    #[serde(default)]
    sensor: Option<String>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    #[serde(default)]
    assignee: Option<String>,
    #[serde(default)]
    approved_by: Option<String>,
    #[serde(default)]
    completion: Option<Completion>,
}

#[derive(Deserialize)]
struct Completion {
    completed_by: String,
    verdict: String,
    #[serde(default)]
    notes: String,
}

#[derive(Deserialize)]
struct Message {
    channel: String,
    #[serde(default)]
    to: Option<String>,
    title: String,
    #[serde(default)]
    error: Option<String>,
}

/// The entry that `event` makes; `None` for one that says nothing new to people.
pub(crate) fn place(event: &Event) -> Result<Option<Placed>, serde_json::Error> {
    Ok(match event.kind.as_str() {
        "anomaly.detected" => Some(signal(event, &event.read()?)),
        "alert.created" | "alert.cleared" => Some(alarm(event, &event.read()?)),
        "alert.acknowledged" | "alert.shelved" | "alert.resolved" => handled(event, &event.read()?),
        "incident.updated" => changed(event, &event.read()?),
        "maintenance.predicted" => Some(predicted(event, event.read()?)),
        "decision.requested" | "decision.submitted" => Some(decision(event, event.read()?)),
        "maintenance.scheduled" | "maintenance.completed" => Some(work(event, event.read()?)),
        "notification.sent" | "notification.failed" => Some(message(event, event.read()?)),
        _ => None,
    })
}

fn base(event: &Event, kind: EntryKind, lane: Lane, title: String) -> Placed {
    Placed {
        key: event.id.to_string(),
        entry: Entry {
            at: event.time,
            plant_time: None,
            until: None,
            kind,
            lane,
            title,
            detail: String::new(),
            actor: None,
            event_id: event.id.0,
            priority: None,
        },
        correlation: event.correlationid,
        incident: None,
        sensor: None,
    }
}

/// Puts what has a plant time at that time, unless it was replayed: a recording's own time would
/// tear the axis apart.
fn at_plant_time(placed: &mut Placed, from: Timestamp, until: Option<Timestamp>, origin: Origin) {
    placed.entry.plant_time = Some(from);
    if origin == Origin::Replayed {
        placed.entry.until = until.map(|_| placed.entry.at);
    } else {
        placed.entry.at = from;
        placed.entry.until = until;
    }
}

fn signal(event: &Event, anomaly: &Anomaly) -> Placed {
    let unit = anomaly.unit.as_deref().unwrap_or_default();
    let value = anomaly.value.map(|value| format!("{value:.3} {unit}")).unwrap_or_default();
    let title = format!("{} by {}", anomaly.sensor, anomaly.rule);
    let mut placed = base(event, EntryKind::Signal, Lane::Signals, title);
    placed.key = format!("anomaly/{}", anomaly.anomaly_id);
    let score = anomaly.score.map(|score| format!("score {score:.2}")).unwrap_or_default();
    placed.entry.detail = [value.trim(), &score].join(" ").trim().to_owned();
    placed.sensor = Some(anomaly.sensor.clone());
    at_plant_time(&mut placed, anomaly.started_at, anomaly.cleared_at, anomaly.origin);
    placed
}

fn alarm(event: &Event, alert: &Alert) -> Placed {
    let mut placed = base(event, EntryKind::Alarm, Lane::Alarms, alert.title.clone());
    placed.key = format!("alert/{}/{}", alert.alert_id, alert.occurrences);
    placed.entry.priority = Some(alert.priority);
    placed.entry.detail = format!("A-{}", alert.number);
    placed.incident = alert.incident_id;
    placed.sensor = Some(alert.sensor.clone());
    at_plant_time(&mut placed, alert.raised_at, alert.cleared_at, alert.origin);
    placed
}

fn handled(event: &Event, alert: &Alert) -> Option<Placed> {
    let (what, actor, detail) = match event.kind.as_str() {
        "alert.acknowledged" => ("acknowledged", alert.acknowledged_by.clone(), alert.note.clone()),
        "alert.resolved" => ("resolved", alert.resolved_by.clone(), alert.resolution.clone()),
        // Said also when the alarm changes under its shelving; that is nothing people did.
        _ if alert.shelved_until.is_none() => return None,
        _ => ("shelved", alert.shelved_by.clone(), alert.shelve_reason.clone()),
    };
    let title = format!("{}: A-{} {what}", actor.as_deref().unwrap_or("Somebody"), alert.number);
    let mut placed = base(event, EntryKind::Person, Lane::People, title);
    if what == "shelved" {
        // One entry per shelving, however often the alarm changes meanwhile.
        let until = alert.shelved_until.unwrap_or_default();
        placed.key = format!("shelved/{}/{}", alert.alert_id, until.as_micros());
        placed.entry.until = alert.shelved_until;
    }
    placed.entry.actor = actor;
    placed.entry.detail = detail.unwrap_or_default();
    placed.incident = alert.incident_id;
    placed.sensor = Some(alert.sensor.clone());
    Some(placed)
}

fn changed(event: &Event, incident: &Incident) -> Option<Placed> {
    let by = incident.change.by.clone()?;
    let title = format!("{by}: {}", incident.change.what);
    let mut placed = base(event, EntryKind::Person, Lane::People, title);
    placed.entry.detail = incident.change.note.clone().unwrap_or_default();
    placed.entry.actor = Some(by);
    placed.incident = Some(incident.incident_id);
    Some(placed)
}

fn predicted(event: &Event, view: Predicted) -> Placed {
    let mut placed = base(event, EntryKind::Prediction, Lane::Decisions, view.summary);
    let unsure = view.why_unsure.map(|why| format!("; {why}")).unwrap_or_default();
    let Model { name, version } = &view.model;
    placed.entry.detail = format!("risk {:.0} %, {name} {version}{unsure}", view.risk * 100.0);
    placed.entry.actor = Some(format!("{name} {version}"));
    placed.sensor = Some(view.sensor);
    placed
}

fn decision(event: &Event, view: Decision) -> Placed {
    let title = match view.state.as_str() {
        "waiting" => format!("D-{} asks: {}", view.number, view.title),
        state => format!("D-{} {state}: {}", view.number, view.title),
    };
    let mut placed = base(event, EntryKind::Decision, Lane::Decisions, title);
    placed.entry.detail = view.reason.unwrap_or(view.question);
    placed.entry.actor = view.answered_by;
    placed.sensor = Some(view.sensor);
    placed
}

fn work(event: &Event, view: Work) -> Placed {
    let who = view.assignee.as_deref().unwrap_or("nobody yet");
    let (what, detail, actor) = match view.completion {
        Some(done) => {
            let detail = format!("{} {}", done.verdict, done.notes).trim().to_owned();
            ("done", detail, Some(done.completed_by))
        }
        None => {
            let detail = format!("{} to {}, {who}", view.starts_at, view.ends_at);
            ("scheduled", detail, view.approved_by)
        }
    };
    let title = format!("W-{} {what}: {}", view.number, view.title);
    let mut placed = base(event, EntryKind::Work, Lane::Work, title);
    placed.entry.detail = detail;
    placed.entry.actor = actor;
    placed.sensor = view.sensor;
    placed
}

fn message(event: &Event, view: Message) -> Placed {
    let what = if view.error.is_some() { "not delivered" } else { "sent" };
    let title = format!("Message {what}: {}", view.title);
    let mut placed = base(event, EntryKind::Message, Lane::People, title);
    let to = view.to.map(|to| format!(" to {to}")).unwrap_or_default();
    placed.entry.detail = format!("{}{to}", view.channel);
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{EventDraft, EventType};
    use serde_json::json;

    fn event(kind: &'static str, data: serde_json::Value) -> Event {
        EventDraft::new(EventType::new(kind, 1), "x", &data)
            .unwrap()
            .seal("test", Timestamp::from_secs(1_800_000_000))
    }

    #[test]
    fn an_anomaly_and_its_end_are_one_bar() {
        let word = |state: &str, cleared: Option<&str>, origin: &str| {
            event(
                "anomaly.detected",
                json!({
                    "anomaly_id": Uuid::nil(), "sensor": "north/p-2/vibration", "asset": "north/p-2",
                    "site": "north", "rule": "score", "state": state, "severity": "high",
                    "score": 0.97, "value": 9.0, "unit": "mm/s", "started_at": "2026-11-19T14:00:00Z",
                    "detected_at": "2026-11-19T14:00:05Z", "cleared_at": cleared, "origin": origin
                }),
            )
        };
        let start = place(&word("active", None, "real")).unwrap().unwrap();
        let end = place(&word("cleared", Some("2026-11-19T15:00:00Z"), "real")).unwrap().unwrap();
        assert_eq!(start.key, end.key);
        assert_eq!(end.entry.at.to_string(), "2026-11-19T14:00:00Z");
        assert_eq!(end.entry.until.unwrap().to_string(), "2026-11-19T15:00:00Z");
        let replayed = place(&word("active", None, "replayed")).unwrap().unwrap();
        assert_eq!(replayed.entry.at, Timestamp::from_secs(1_800_000_000));
        assert_eq!(replayed.entry.plant_time.unwrap().to_string(), "2026-11-19T14:00:00Z");
    }

    #[test]
    fn others_are_read_tolerantly() {
        let data = json!({"number": 318, "title": "Inspect P-2", "sensor": "a/b/c",
            "state": "approved", "answered_by": "ines", "reason": "in stock", "more": [1]});
        let placed = place(&event("decision.submitted", data)).unwrap().unwrap();
        assert_eq!(placed.entry.title, "D-318 approved: Inspect P-2");
        assert_eq!(placed.entry.actor.as_deref(), Some("ines"));
        assert!(place(&event("decision.submitted", json!({}))).is_err());
        assert!(place(&event("leak.alert", json!({}))).unwrap().is_none());
    }
}
