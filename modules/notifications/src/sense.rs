//! What other modules say, read for the few fields a message needs.

use kernel::Event;
use serde::Deserialize;

use crate::decide::Matter;
use crate::model::Severity;

/// The event types that people may be told of.
pub(crate) const TYPES: &[&str] = &[
    "incident.created",
    "decision.requested",
    "maintenance.scheduled",
    "maintenance.completed",
    "dead_letter.added",
    "agent.failed",
    "sensor.trust.changed",
];

/// Longest piece of foreign text that goes into a message.
const TEXT_CHARS_MAX: usize = 500;

#[derive(Deserialize)]
struct Incident {
    number: Option<i64>,
    title: String,
    summary: Option<String>,
    priority: Option<u8>,
    asset: Option<String>,
    origin: Option<String>,
}

#[derive(Deserialize)]
struct Decision {
    number: Option<i64>,
    title: String,
    question: Option<String>,
    severity: Option<String>,
    state: Option<String>,
    expires_at: Option<String>,
    #[serde(default)]
    escalated: bool,
    origin: Option<String>,
}

#[derive(Deserialize)]
struct Work {
    number: Option<i64>,
    title: String,
    state: Option<String>,
    severity: Option<String>,
    priority: Option<u8>,
    starts_at: Option<String>,
    assignee: Option<String>,
    approved_by: Option<String>,
    completion: Option<Completion>,
    origin: Option<String>,
}

#[derive(Deserialize)]
struct Completion {
    completed_by: Option<String>,
    verdict: Option<String>,
}

#[derive(Deserialize)]
struct DeadLetter {
    id: Option<i64>,
    agent: Option<String>,
    error: Option<String>,
    event: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct AgentFailure {
    agent: Option<String>,
    reason: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Trust {
    sensor: String,
    trust: String,
    reason: Option<String>,
    since: Option<String>,
}

/// What `event` means to people; `None` when nobody needs to hear of it.
///
/// # Errors
/// When a field that no message can do without is missing.
pub(crate) fn matter(event: &Event) -> Result<Option<Matter>, serde_json::Error> {
    Ok(match event.kind.as_str() {
        "incident.created" => Some(incident(&event.read()?, &event.subject)),
        "decision.requested" => decision(&event.read()?, &event.subject),
        "maintenance.scheduled" => Some(scheduled(&event.read()?, &event.subject)),
        "maintenance.completed" => Some(completed(&event.read()?, &event.subject)),
        "dead_letter.added" => dead_letter(&event.read()?, event),
        "agent.failed" => agent_failed(&event.read()?, event),
        "sensor.trust.changed" => Some(trust(&event.read()?, event)),
        _ => None,
    })
}

fn incident(view: &Incident, subject: &str) -> Matter {
    let mut lines = vec![view.summary.clone().unwrap_or_default()];
    lines.extend(view.asset.as_ref().map(|asset| format!("Asset: {asset}")));
    Matter {
        severity: from_priority(view.priority),
        title: short(&format!("{}{}", label("INC", view.number), view.title)),
        body: body(lines, view.origin.as_deref()),
        dedupe: format!("incident.created:{subject}"),
    }
}

fn decision(view: &Decision, subject: &str) -> Option<Matter> {
    let waiting = view.state.as_deref().is_none_or(|state| state == "waiting");
    if !waiting {
        return None;
    }
    let mut lines = vec![view.question.clone().unwrap_or_default()];
    lines.extend(view.expires_at.as_ref().map(|at| format!("Answer before {at}.")));
    let urgent = if view.escalated { "Escalated: " } else { "" };
    Some(Matter {
        severity: severity(view.severity.as_deref()).unwrap_or_default(),
        title: short(&format!("{urgent}{}{}", label("D", view.number), view.title)),
        body: body(lines, view.origin.as_deref()),
        dedupe: format!("decision.requested:{subject}:{}", view.escalated),
    })
}

fn scheduled(view: &Work, subject: &str) -> Matter {
    let state = view.state.as_deref().unwrap_or("scheduled");
    let mut lines = Vec::new();
    lines.extend(view.starts_at.as_ref().map(|at| format!("Starts {at}.")));
    lines.extend(view.assignee.as_ref().map(|who| format!("Assigned to {who}.")));
    lines.extend(view.approved_by.as_ref().map(|who| format!("Approved by {who}.")));
    Matter {
        severity: work_severity(view),
        title: short(&format!("{}{state}: {}", label("W", view.number), view.title)),
        body: body(lines, view.origin.as_deref()),
        dedupe: format!("maintenance.scheduled:{subject}:{state}"),
    }
}

fn completed(view: &Work, subject: &str) -> Matter {
    let done = view.completion.as_ref();
    let mut lines = Vec::new();
    lines.extend(done.and_then(|c| c.completed_by.as_ref()).map(|who| format!("Done by {who}.")));
    lines.extend(done.and_then(|c| c.verdict.as_ref()).map(|v| format!("Verdict: {v}.")));
    Matter {
        severity: Severity::Low,
        title: short(&format!("{}completed: {}", label("W", view.number), view.title)),
        body: body(lines, view.origin.as_deref()),
        dedupe: format!("maintenance.completed:{subject}"),
    }
}

/// A dead letter about a dead letter is not told: the first one was.
fn dead_letter(view: &DeadLetter, event: &Event) -> Option<Matter> {
    let kind = view.event.as_ref().and_then(|inner| inner.kind.as_deref()).unwrap_or("an event");
    if kind == "dead_letter.added" {
        return None;
    }
    let agent = view.agent.as_deref().unwrap_or("an agent");
    let id = view.id.map_or_else(|| event.subject.clone(), |id| id.to_string());
    Some(Matter {
        severity: Severity::High,
        title: short(&format!("Agent {agent} could not handle {kind}")),
        body: body(vec![view.error.clone().unwrap_or_default()], None),
        dedupe: format!("dead_letter.added:{id}"),
    })
}

/// An agent that fails again and again is told once an hour. When it gave up an event, the dead
/// letter tells it already.
fn agent_failed(view: &AgentFailure, event: &Event) -> Option<Matter> {
    const HOUR_MICROS: i64 = 3_600_000_000;
    if view.reason.as_deref() == Some("dead_letter") {
        return None;
    }
    let agent = view.agent.as_deref().unwrap_or(&event.subject);
    let hour = event.time.as_micros().div_euclid(HOUR_MICROS);
    Some(Matter {
        severity: Severity::High,
        title: short(&format!("Agent {agent} failed")),
        body: body(vec![view.error.clone().unwrap_or_default()], None),
        dedupe: format!("agent.failed:{agent}:{hour}"),
    })
}

fn trust(view: &Trust, event: &Event) -> Matter {
    let back = view.trust == "trusted";
    let title = if back {
        format!("Sensor {} can be trusted again", view.sensor)
    } else {
        format!("Sensor {} is {}", view.sensor, view.trust)
    };
    let since = view.since.clone().unwrap_or_else(|| event.id.to_string());
    Matter {
        severity: if back { Severity::Low } else { Severity::Medium },
        title: short(&title),
        body: body(vec![view.reason.clone().unwrap_or_default()], None),
        dedupe: format!("sensor.trust.changed:{}:{}:{since}", view.sensor, view.trust),
    }
}

fn work_severity(view: &Work) -> Severity {
    severity(view.severity.as_deref()).unwrap_or_else(|| from_priority(view.priority))
}

fn severity(name: Option<&str>) -> Option<Severity> {
    name.and_then(Severity::from_name)
}

fn from_priority(priority: Option<u8>) -> Severity {
    match priority {
        Some(1) => Severity::Critical,
        Some(2) => Severity::High,
        Some(4..) => Severity::Low,
        _ => Severity::Medium,
    }
}

fn label(prefix: &str, number: Option<i64>) -> String {
    number.map_or_else(String::new, |number| format!("{prefix}-{number} "))
}

/// Titles become mail subjects: one line, bounded.
fn short(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

fn body(lines: Vec<String>, origin: Option<&str>) -> String {
    let mut lines: Vec<String> = lines
        .into_iter()
        .filter(|line| !line.is_empty())
        .map(|line| line.chars().take(TEXT_CHARS_MAX).collect())
        .collect();
    if let Some(origin) = origin.filter(|origin| *origin != "real") {
        lines.push(format!("Origin: {origin}, not a real plant."));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use kernel::{EventDraft, EventType, Timestamp};
    use serde_json::{Value, json};

    use super::*;

    fn event(name: &'static str, subject: &str, data: &Value) -> Event {
        EventDraft::new(EventType::new(name, 1), subject, data)
            .unwrap()
            .seal("test", Timestamp::from_secs(1_800_000_000))
    }

    #[test]
    fn a_decision_is_told_with_its_number_and_question() {
        let event = event(
            "decision.requested",
            "decision/1",
            &json!({"number": 12, "title": "Inspect P-2", "question": "Stop it?", "severity": "high",
                "state": "waiting", "escalated": false, "origin": "simulated"}),
        );
        let matter = matter(&event).unwrap().unwrap();
        assert_eq!(matter.title, "D-12 Inspect P-2");
        assert_eq!(matter.severity, Severity::High);
        assert!(matter.body.contains("Stop it?"));
        assert!(matter.body.contains("simulated"));
    }

    #[test]
    fn a_dead_letter_about_a_dead_letter_is_silent() {
        let event = event(
            "dead_letter.added",
            "dead-letter/3",
            &json!({"id": 3, "agent": "notification", "event": {"type": "dead_letter.added"}}),
        );
        assert!(matter(&event).unwrap().is_none());
    }

    #[test]
    fn a_title_never_breaks_a_mail_header() {
        let event = event(
            "incident.created",
            "incident/1",
            &json!({"title": "x\r\nBcc: someone@example.org", "priority": 1}),
        );
        let matter = matter(&event).unwrap().unwrap();
        assert!(!matter.title.contains(['\r', '\n']));
        assert_eq!(matter.severity, Severity::Critical);
    }

    #[test]
    fn what_no_message_can_be_made_of_is_an_error() {
        let event = event("incident.created", "incident/1", &json!({"number": 1}));
        assert!(matter(&event).is_err());
    }
}
