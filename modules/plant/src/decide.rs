//! The golden path's process manager: what each event means for the walk, and what is overdue.

use std::time::Duration;

use kernel::{EventId, Timestamp};
use serde_json::Value;

use crate::model::{GoldenPath, OverallStatus, StepName, StepStatus};
use crate::sense::{Anomaly, Decision, News, Seen};

/// Events kept with a step; a noisy anomaly may say many.
const EVENTS_MAX: usize = 20;

/// How long a step may take before it counts as stuck, and what it then waits for.
fn deadline(step: StepName) -> (Duration, &'static str) {
    match step {
        StepName::Ingest => (Duration::from_secs(60), "the store to take the readings"),
        StepName::Validate => (Duration::from_secs(60), "the validation of the readings"),
        StepName::Detect => {
            (Duration::from_secs(60), "anomaly.detected from the agent anomaly-detection")
        }
        StepName::Predict => {
            (Duration::from_secs(60), "maintenance.predicted from the agent prediction")
        }
        StepName::Decide => {
            (Duration::from_secs(60), "decision.requested from the agent human-interface")
        }
        StepName::Schedule => {
            (Duration::from_secs(60), "maintenance.scheduled from the agent scheduling")
        }
        StepName::Notify => (
            Duration::from_secs(120),
            "notification.sent about the work order from the agents notification and delivery",
        ),
    }
}

/// What became of the readings of a path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taken {
    pub(crate) good: usize,
    pub(crate) refused: usize,
    pub(crate) batches: usize,
    pub(crate) evidence: Value,
}

/// Notes that the readings were taken in.
pub(crate) fn ingested(path: &mut GoldenPath, taken: Taken, now: Timestamp) {
    let Taken { good, refused, batches, evidence } = taken;
    let total = good + refused;
    finish(path, StepName::Ingest, now, format!("{total} readings in {batches} batches"));
    path.step_mut(StepName::Ingest).evidence = evidence;
    if good == 0 {
        fail(path, StepName::Validate, now, &format!("all {refused} readings were refused"));
    } else {
        finish(path, StepName::Validate, now, format!("{good} good, {refused} refused"));
    }
    refresh(path, now);
}

/// Notes what an event of the chain means.
pub(crate) fn follow(path: &mut GoldenPath, seen: &Seen) {
    match &seen.news {
        News::Anomaly(anomaly) => detected(path, seen, anomaly),
        News::Prediction(prediction) => {
            let detail = match prediction.risk {
                Some(risk) => format!("{} (risk {risk:.2})", prediction.summary),
                None => prediction.summary.clone(),
            };
            note(path, StepName::Predict, seen, Some(detail));
        }
        News::Requested(decision) => requested(path, seen, decision),
        News::Submitted(decision) => submitted(path, seen, decision),
        News::Scheduled(work) => {
            let ours = work.decision_id.is_none() || work.decision_id == path.decision_id;
            if ours {
                let number = work.number.map_or_else(String::new, |n| format!("W-{n} "));
                let start = work.starts_at.map_or_else(String::new, |at| format!(", starts {at}"));
                let detail = format!("{number}{}{start}", work.title);
                note(path, StepName::Schedule, seen, Some(detail));
            }
        }
        News::Sent(message) => {
            let about_work = message.about.kind == "maintenance.scheduled";
            let detail = format!("{} to {}: {}", message.channel, message.to, message.title);
            note(path, StepName::Notify, seen, about_work.then_some(detail));
        }
    }
    refresh(path, seen.at);
}

fn detected(path: &mut GoldenPath, seen: &Seen, anomaly: &Anomaly) {
    let shown = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |v| format!("{v:.2}"));
    let detail = format!(
        "{} anomaly by rule {}, score {}, value {}",
        anomaly.severity,
        anomaly.rule,
        shown(anomaly.score),
        shown(anomaly.value),
    );
    note(path, StepName::Detect, seen, (anomaly.state != "cleared").then_some(detail));
}

fn requested(path: &mut GoldenPath, seen: &Seen, decision: &Decision) {
    if path.decision_id.as_ref().is_some_and(|id| *id != decision.decision_id) {
        return;
    }
    path.decision_id = Some(decision.decision_id.clone());
    keep_event(path, StepName::Decide, seen.event);
    let step = path.step_mut(StepName::Decide);
    if step.status != StepStatus::Done {
        step.status = StepStatus::Waiting;
        step.detail = Some(format!("a person to decide {}", decision.label()));
        step.evidence = seen.data.clone();
        step.started_at = step.started_at.or(Some(seen.at));
    }
}

fn submitted(path: &mut GoldenPath, seen: &Seen, decision: &Decision) {
    if path.decision_id.as_ref().is_some_and(|id| *id != decision.decision_id) {
        return;
    }
    path.decision_id = Some(decision.decision_id.clone());
    let label = decision.label();
    let who = decision.answered_by.as_deref().unwrap_or("somebody");
    let reason = decision.reason.as_deref().unwrap_or("no reason given");
    match decision.state.as_str() {
        "deferred" => {
            keep_event(path, StepName::Decide, seen.event);
            let until = decision.deferred_until.as_deref().unwrap_or("later");
            let step = path.step_mut(StepName::Decide);
            step.status = StepStatus::Waiting;
            step.detail = Some(format!("{label}, deferred by {who} until {until}"));
        }
        "rejected" | "expired" => {
            let detail = format!("{label} {} by {who}: {reason}", decision.state);
            note(path, StepName::Decide, seen, Some(detail));
            let why = format!("no work follows: {label} was {}", decision.state);
            fail(path, StepName::Schedule, seen.at, &why);
        }
        _ => {
            let detail = format!("{label} approved by {who}: {reason}");
            note(path, StepName::Decide, seen, Some(detail));
        }
    }
}

/// Looks at the clock: a step that takes too long makes the path stuck. True when that changed
/// something.
pub(crate) fn watch(path: &mut GoldenPath, now: Timestamp) -> bool {
    if path.overall_status.is_final() || path.overall_status == OverallStatus::Stuck {
        return false;
    }
    let Some(name) = current(path) else { return false };
    let step = path.step(name);
    let waits_for_a_person = name == StepName::Decide && path.decision_id.is_some();
    let (limit, awaited) = deadline(name);
    let since = step.started_at.unwrap_or(path.started_at);
    if waits_for_a_person || now.since(since) <= limit {
        return false;
    }
    let step = path.step_mut(name);
    step.status = StepStatus::Waiting;
    step.detail = Some(format!("overdue after {} s: waits for {awaited}", limit.as_secs()));
    path.overall_status = OverallStatus::Stuck;
    path.waiting_for = Some(awaited.to_owned());
    true
}

/// True when the orchestrator should ask for the approval itself.
pub(crate) fn wants_approval(path: &GoldenPath) -> bool {
    path.auto_approve
        && path.approval_asked_at.is_none()
        && path.decision_id.is_some()
        && path.step(StepName::Decide).status == StepStatus::Waiting
}

/// Keeps the event, and with `detail` finishes the step. What was finished once stays as it was.
fn note(path: &mut GoldenPath, name: StepName, seen: &Seen, detail: Option<String>) {
    keep_event(path, name, seen.event);
    let done = path.step(name).status == StepStatus::Done;
    if let Some(detail) = detail.filter(|_| !done) {
        path.step_mut(name).evidence = seen.data.clone();
        finish(path, name, seen.at, detail);
    }
}

fn keep_event(path: &mut GoldenPath, name: StepName, event: EventId) {
    let ids = &mut path.step_mut(name).event_ids;
    if ids.len() < EVENTS_MAX && !ids.contains(&event) {
        ids.push(event);
    }
}

fn finish(path: &mut GoldenPath, name: StepName, at: Timestamp, detail: String) {
    let begun = begin(path, name);
    let step = path.step_mut(name);
    step.status = StepStatus::Done;
    step.started_at = Some(step.started_at.unwrap_or(begun).min(at));
    step.finished_at = Some(at);
    step.detail = Some(detail);
}

fn fail(path: &mut GoldenPath, name: StepName, at: Timestamp, why: &str) {
    let step = path.step_mut(name);
    step.status = StepStatus::Failed;
    step.finished_at = Some(at);
    step.detail = Some(why.to_owned());
}

/// When a step could begin: at the end of the one before.
fn begin(path: &GoldenPath, name: StepName) -> Timestamp {
    let before = &path.steps[..name as usize];
    before.iter().rev().find_map(|step| step.finished_at).unwrap_or(path.started_at)
}

fn current(path: &GoldenPath) -> Option<StepName> {
    path.steps.iter().find(|step| step.status != StepStatus::Done).map(|step| step.name)
}

/// Derives the whole from the steps.
fn refresh(path: &mut GoldenPath, now: Timestamp) {
    if path.steps.iter().any(|step| step.status == StepStatus::Failed) {
        path.overall_status = OverallStatus::Failed;
        path.finished_at = path.finished_at.or(Some(now));
        path.waiting_for = None;
        return;
    }
    let Some(name) = current(path) else {
        path.overall_status = OverallStatus::Completed;
        path.finished_at = path.steps.iter().filter_map(|step| step.finished_at).max();
        path.waiting_for = None;
        return;
    };
    let begun = begin(path, name);
    let asks_a_person = name == StepName::Decide && path.decision_id.is_some();
    let step = path.step_mut(name);
    step.started_at = step.started_at.or(Some(begun));
    if asks_a_person {
        path.waiting_for = step.detail.clone();
        path.overall_status = OverallStatus::Waiting;
    } else {
        step.status = StepStatus::Running;
        step.detail = None;
        path.waiting_for = None;
        path.overall_status = OverallStatus::Running;
    }
}
