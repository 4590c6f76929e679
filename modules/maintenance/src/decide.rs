//! From a prediction to a question, and from an answer to a settled decision.

use std::time::Duration;

use kernel::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::model::{Decision, DecisionState, Proposal, Severity, asset_label};
use crate::sense::Predicted;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Below this risk nobody is asked.
pub(crate) const RISK_MIN: f64 = 0.2;
/// The second dismissal within this time makes the question an escalated one.
pub(crate) const DISMISSALS_LOOK_BACK: Duration = Duration::from_secs(30 * 86_400);
const DISMISSALS_ESCALATE: u32 = 2;
/// Work is due before this share of the pessimistic time to the limit has passed.
const MARGIN: f64 = 0.8;
const DUE_MIN: Duration = Duration::from_secs(4 * 3_600);
const DUE_MAX: Duration = Duration::from_secs(90 * 86_400);
/// Longest time a question may be put off.
const DEFERRAL_MAX: Duration = Duration::from_secs(90 * 86_400);
/// Longest reason kept.
pub(crate) const REASON_CHARS_MAX: usize = 2_000;

/// What makes a question new: who it is and how often it was dismissed before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fresh {
    pub(crate) id: Uuid,
    pub(crate) number: i64,
    pub(crate) dismissed_before: u32,
}

#[must_use]
pub(crate) fn is_worth_asking(predicted: &Predicted) -> bool {
    predicted.risk >= RISK_MIN
}

/// The question that `predicted` raises.
#[must_use]
pub(crate) fn request(
    predicted: &Predicted,
    evidence: Value,
    fresh: Fresh,
    now: Timestamp,
) -> Decision {
    let proposal = propose(predicted, now);
    Decision {
        decision_id: fresh.id,
        number: fresh.number,
        title: title(predicted),
        question: question(&proposal, predicted),
        asset: predicted.asset.clone(),
        sensor: predicted.sensor.clone(),
        severity: predicted.severity,
        state: DecisionState::Waiting,
        requested_at: now,
        expires_at: expiry(predicted.severity, proposal.due_to, now),
        requested_by: format!("{} {}", predicted.model.name, predicted.model.version),
        proposal,
        evidence,
        prediction_id: predicted.prediction_id,
        anomaly_id: predicted.anomaly_id,
        answered_by: None,
        answered_at: None,
        reason: None,
        deferred_until: None,
        starts_at: None,
        approval_expires_at: None,
        dismissed_before: fresh.dismissed_before,
        escalated: fresh.dismissed_before >= DISMISSALS_ESCALATE,
        predictions: 1,
        origin: predicted.origin,
    }
}

/// A further prediction for a question that is still open: the newest evidence counts, severity
/// never falls while nobody answered, and the deadline only moves closer.
#[must_use]
pub(crate) fn attach(
    mut open: Decision,
    predicted: &Predicted,
    evidence: Value,
    now: Timestamp,
) -> Decision {
    let worse = predicted.severity > open.severity;
    open.severity = open.severity.max(predicted.severity);
    let mut proposal = propose(predicted, now);
    proposal.due_to = proposal.due_to.min(open.proposal.due_to).max(now);
    proposal.due_from = proposal.due_from.min(proposal.due_to);
    open.expires_at = open.expires_at.min(expiry(open.severity, proposal.due_to, now));
    open.title = title(predicted);
    open.question = question(&proposal, predicted);
    open.proposal = proposal;
    open.evidence = evidence;
    open.prediction_id = predicted.prediction_id;
    open.anomaly_id = predicted.anomaly_id.or(open.anomaly_id);
    open.predictions = open.predictions.saturating_add(1);
    if worse && open.state == DecisionState::Deferred {
        // It was put off on weaker evidence: a person must look again.
        open.state = DecisionState::Waiting;
        open.deferred_until = None;
        open.expires_at = expiry(open.severity, open.proposal.due_to, now);
    }
    open
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Approve,
    Reject,
    Defer,
}

/// What a person says to a question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) actor: String,
    pub(crate) choice: Choice,
    pub(crate) reason: String,
    pub(crate) deferred_until: Option<Timestamp>,
    pub(crate) starts_at: Option<Timestamp>,
}

/// Why an answer cannot stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Settled { state: DecisionState, by: Option<String> },
    Expired { at: Timestamp },
    Field { field: &'static str, reason: &'static str },
}

/// Settles or puts off an open question.
pub(crate) fn answer(
    mut decision: Decision,
    answer: Answer,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    if !decision.state.is_open() {
        return Err(Refusal::Settled { state: decision.state, by: decision.answered_by });
    }
    if decision.state == DecisionState::Waiting && now >= decision.expires_at {
        return Err(Refusal::Expired { at: decision.expires_at });
    }
    check(&answer, now)?;
    decision.answered_by = Some(answer.actor);
    decision.answered_at = Some(now);
    decision.reason = Some(answer.reason.trim().to_owned());
    decision.deferred_until = None;
    match answer.choice {
        Choice::Approve => {
            decision.state = DecisionState::Approved;
            decision.starts_at = answer.starts_at;
            let due = decision.proposal.due_to.max(now.plus(DAY));
            decision.approval_expires_at = Some(answer.starts_at.map_or(due, |at| at.max(due)));
        }
        Choice::Reject => {
            decision.state = DecisionState::Rejected;
            // This rejection counts too.
            decision.escalated |= decision.dismissed_before + 1 >= DISMISSALS_ESCALATE;
        }
        Choice::Defer => {
            decision.state = DecisionState::Deferred;
            decision.deferred_until = answer.deferred_until;
        }
    }
    Ok(decision)
}

fn check(answer: &Answer, now: Timestamp) -> Result<(), Refusal> {
    let refuse = |field, reason| Err(Refusal::Field { field, reason });
    if answer.reason.trim().is_empty() {
        return refuse("reason", "say why in a few words; it is kept with the decision");
    }
    if answer.reason.chars().count() > REASON_CHARS_MAX {
        return refuse("reason", "at most 2000 characters");
    }
    if answer.choice == Choice::Defer {
        let Some(until) = answer.deferred_until else {
            return refuse("deferred_until", "say until when it is put off");
        };
        if until <= now || until > now.plus(DEFERRAL_MAX) {
            return refuse("deferred_until", "choose a time within the next 90 days");
        }
    }
    if answer.choice == Choice::Approve
        && answer.starts_at.is_some_and(|at| at <= now || at > now.plus(DUE_MAX * 4))
    {
        return refuse("starts_at", "choose a time within the next year");
    }
    Ok(())
}

/// What time alone does to an open decision: a waiting one expires, a deferred one is asked again.
/// `None` when nothing is due.
#[must_use]
pub(crate) fn lapse(mut decision: Decision, now: Timestamp) -> Option<Decision> {
    match decision.state {
        DecisionState::Waiting if now >= decision.expires_at => {
            decision.state = DecisionState::Expired;
            decision.answered_at = Some(now);
            decision.escalated |= decision.dismissed_before + 1 >= DISMISSALS_ESCALATE;
            Some(decision)
        }
        DecisionState::Deferred if decision.deferred_until.is_none_or(|until| now >= until) => {
            decision.state = DecisionState::Waiting;
            decision.deferred_until = None;
            decision.proposal.due_to = decision.proposal.due_to.max(now.plus(DUE_MIN));
            decision.expires_at = expiry(decision.severity, decision.proposal.due_to, now);
            Some(decision)
        }
        _ => None,
    }
}

/// When [`lapse`] must look again.
#[must_use]
pub(crate) fn wake_at(decision: &Decision) -> Option<Timestamp> {
    match decision.state {
        DecisionState::Waiting => Some(decision.expires_at),
        DecisionState::Deferred => decision.deferred_until,
        _ => None,
    }
}

/// The window in which the work should happen: before the pessimistic end of the time to the
/// limit, or by severity when the model will not say.
fn propose(predicted: &Predicted, now: Timestamp) -> Proposal {
    let by_severity = match predicted.severity {
        Severity::Critical => DAY,
        Severity::High => 3 * DAY,
        Severity::Medium => 7 * DAY,
        Severity::Low => 14 * DAY,
    };
    let within = match predicted.time_to_limit_s {
        Some(time) if time.low.is_finite() && time.low >= 0.0 => {
            // Clamped first: a huge float has no Duration.
            Duration::from_secs_f64((time.low * MARGIN).min(DUE_MAX.as_secs_f64()))
        }
        _ => by_severity,
    };
    let within = within.clamp(DUE_MIN, DUE_MAX);
    let (action, duration_h, skill) = remedy(predicted.kind.as_deref().unwrap_or_default());
    Proposal {
        action: format!("{action} ({})", asset_label(&predicted.asset)),
        due_from: now.plus(HOUR),
        due_to: now.plus(within),
        duration_h,
        skill: skill.to_owned(),
    }
}

/// The first thing to do by kind of sensor: an inspection; what is found decides the repair.
fn remedy(kind: &str) -> (&'static str, f64, &'static str) {
    match kind {
        "vibration" => ("Inspect bearing, alignment and foundation", 4.0, "mechanical"),
        "temperature" => ("Inspect cooling, lubrication and load", 3.0, "mechanical"),
        "pressure" => ("Inspect for leaks, blockage and regulator drift", 3.0, "process"),
        "flow" => ("Inspect for leaks and check the meter", 3.0, "process"),
        "position" | "torque" => ("Inspect valve, stem and actuator", 3.0, "mechanical"),
        "level" => ("Check level control and gauge", 2.0, "instrumentation"),
        "speed" | "power" => ("Inspect drive and load", 3.0, "electrical"),
        _ => ("Inspect on site and check the sensor", 2.0, "instrumentation"),
    }
}

fn title(predicted: &Predicted) -> String {
    let measure = predicted
        .kind
        .as_deref()
        .filter(|kind| *kind != "other")
        .unwrap_or_else(|| predicted.sensor.rsplit('/').next().unwrap_or("reading"));
    let moves = match (&predicted.time_to_limit_s, predicted.trend) {
        (Some(_), Some(trend)) if trend.slope_per_day > 0.0 => "rising",
        (Some(_), Some(trend)) if trend.slope_per_day < 0.0 => "falling",
        _ => "unusual",
    };
    format!("Inspect {}: {measure} {moves}", asset_label(&predicted.asset))
}

fn question(proposal: &Proposal, predicted: &Predicted) -> String {
    let days = proposal.due_to.since(predicted.predicted_at).as_secs_f64() / DAY.as_secs_f64();
    let within =
        if days < 2.0 { format!("{:.0} h", days * 24.0) } else { format!("{days:.0} days") };
    let why = predicted.summary.trim_end_matches('.');
    format!("{why}. {} within {within}?", proposal.action)
}

/// A question stands until its work would come too late, and no longer than its severity allows.
fn expiry(severity: Severity, due_to: Timestamp, now: Timestamp) -> Timestamp {
    let stands = match severity {
        Severity::Critical => 4 * HOUR,
        Severity::High => DAY,
        Severity::Medium => 3 * DAY,
        Severity::Low => 7 * DAY,
    };
    now.plus(stands).min(due_to)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn predicted(risk: f64, severity: Severity) -> Predicted {
        serde_json::from_value(serde_json::json!({
            "prediction_id": Uuid::nil(), "asset": "north/p-2", "sensor": "north/p-2/vibration",
            "kind": "vibration", "risk": risk, "severity": severity,
            "summary": "Vibration reaches 7.1 mm/s in 19 days [12–27]",
            "time_to_limit_s": {"median": 19.0 * 86_400.0, "low": 12.0 * 86_400.0,
                                 "high": 27.0 * 86_400.0, "confidence": 0.8},
            "trend": {"slope_per_day": 0.13},
            "model": {"name": "trend-to-limit", "version": "1.0.0"},
            "predicted_at": NOW, "origin": "simulated", "later_field": 1
        }))
        .unwrap()
    }

    fn waiting(dismissed_before: u32) -> Decision {
        let view = predicted(0.8, Severity::High);
        let fresh = Fresh { id: Uuid::nil(), number: 318, dismissed_before };
        request(&view, serde_json::json!({}), fresh, NOW)
    }

    fn says(choice: Choice) -> Answer {
        Answer {
            actor: "ines".to_owned(),
            choice,
            reason: "bearing is in stock".to_owned(),
            deferred_until: None,
            starts_at: None,
        }
    }

    #[test]
    fn a_small_risk_bothers_nobody() {
        assert!(!is_worth_asking(&predicted(0.1, Severity::Low)));
        assert!(is_worth_asking(&predicted(0.2, Severity::Low)));
    }

    #[test]
    fn a_question_names_asset_trend_and_window() {
        let decision = waiting(0);
        assert_eq!(decision.title, "Inspect P-2: vibration rising");
        assert_eq!(decision.proposal.due_to, NOW.plus(DAY.mul_f64(12.0 * MARGIN)));
        assert_eq!(decision.expires_at, NOW.plus(DAY));
        assert_eq!(decision.requested_by, "trend-to-limit 1.0.0");
        assert!(decision.question.contains("within 10 days?"), "{}", decision.question);
    }

    #[test]
    fn without_a_time_the_severity_sets_the_window() {
        let mut view = predicted(0.8, Severity::Critical);
        view.time_to_limit_s = None;
        let fresh = Fresh { id: Uuid::nil(), number: 1, dismissed_before: 0 };
        let decision = request(&view, Value::Null, fresh, NOW);
        assert_eq!(decision.proposal.due_to, NOW.plus(DAY));
        assert_eq!(decision.title, "Inspect P-2: vibration unusual");
    }

    #[test]
    fn an_absurd_time_is_kept_within_bounds() {
        for low in [f64::MAX, 0.0, -5.0, f64::NAN] {
            let mut view = predicted(0.8, Severity::High);
            view.time_to_limit_s = Some(crate::sense::TimeToLimit { median: low, low, high: None });
            let proposal = propose(&view, NOW);
            assert!(proposal.due_to >= NOW.plus(DUE_MIN) && proposal.due_to <= NOW.plus(DUE_MAX));
        }
    }

    #[test]
    fn an_answer_needs_a_reason_and_stands_once() {
        let empty = Answer { reason: "  ".to_owned(), ..says(Choice::Approve) };
        assert!(matches!(
            answer(waiting(0), empty, NOW),
            Err(Refusal::Field { field: "reason", .. })
        ));
        let approved = answer(waiting(0), says(Choice::Approve), NOW).unwrap();
        assert_eq!(approved.state, DecisionState::Approved);
        assert!(approved.approval_expires_at.is_some());
        assert!(matches!(
            answer(approved, says(Choice::Reject), NOW),
            Err(Refusal::Settled { state: DecisionState::Approved, .. })
        ));
    }

    #[test]
    fn rejecting_twice_escalates() {
        assert!(!answer(waiting(0), says(Choice::Reject), NOW).unwrap().escalated);
        assert!(answer(waiting(1), says(Choice::Reject), NOW).unwrap().escalated);
        assert!(waiting(2).escalated);
    }

    #[test]
    fn time_expires_a_question_and_brings_back_a_deferred_one() {
        let decision = waiting(0);
        assert!(lapse(decision.clone(), NOW).is_none());
        let late = decision.expires_at;
        assert!(matches!(
            answer(decision.clone(), says(Choice::Approve), late),
            Err(Refusal::Expired { .. })
        ));
        assert_eq!(lapse(decision.clone(), late).unwrap().state, DecisionState::Expired);

        let until = NOW.plus(2 * DAY);
        let put_off = Answer { deferred_until: Some(until), ..says(Choice::Defer) };
        let deferred = answer(decision, put_off, NOW).unwrap();
        assert_eq!(wake_at(&deferred), Some(until));
        assert!(lapse(deferred.clone(), NOW.plus(DAY)).is_none());
        let again = lapse(deferred, until).unwrap();
        assert_eq!(again.state, DecisionState::Waiting);
        assert!(again.expires_at > until);
    }

    #[test]
    fn more_evidence_never_softens_an_open_question() {
        let open = waiting(0);
        let milder = attach(open.clone(), &predicted(0.4, Severity::Low), Value::Null, NOW);
        assert_eq!(milder.severity, Severity::High);
        assert!(milder.proposal.due_to <= open.proposal.due_to);
        assert_eq!(milder.predictions, 2);

        let put_off = Answer { deferred_until: Some(NOW.plus(2 * DAY)), ..says(Choice::Defer) };
        let deferred = answer(open, put_off, NOW).unwrap();
        let worse = attach(deferred, &predicted(0.9, Severity::Critical), Value::Null, NOW);
        assert_eq!(worse.state, DecisionState::Waiting);
    }
}
