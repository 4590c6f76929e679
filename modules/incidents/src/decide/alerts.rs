use std::time::Duration;

use kernel::Timestamp;
use uuid::Uuid;

use crate::detect::delays::AlarmPolicy;
pub(crate) use crate::detect::life::Effect;
use crate::detect::life::{Hold, Illegal, Input, Life};
use crate::model::{Alert, AlertState, Severity, asset_label};
use crate::sense::Anomaly;

/// Longest shelving, by priority 1 to 4: the more urgent, the sooner people look again.
const SHELVE_MAX: [Duration; 4] = [
    Duration::from_secs(3_600),
    Duration::from_secs(8 * 3_600),
    Duration::from_secs(12 * 3_600),
    Duration::from_secs(7 * 86_400),
];
/// So many alarms within [`CHATTER_WITHIN`] are chatter.
pub(crate) const CHATTER_COUNT: usize = 3;
pub(crate) const CHATTER_WITHIN: Duration = Duration::from_secs(60);

/// Why a person's wish about an alarm cannot be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Illegal(Illegal),
    Field { field: &'static str, reason: &'static str },
}

/// A new alarm for what `anomaly` says; not raised yet.
#[must_use]
pub(crate) fn fresh(anomaly: &Anomaly, id: Uuid, number: i64) -> Alert {
    Alert {
        alert_id: id,
        number,
        sensor: anomaly.sensor.clone(),
        asset: anomaly.asset.clone(),
        site: anomaly.site.clone(),
        title: title(anomaly),
        rule: anomaly.rule.clone(),
        priority: anomaly.severity.priority(),
        state: AlertState::Normal,
        active: false,
        severity: anomaly.severity,
        value: anomaly.value,
        unit: anomaly.unit.clone(),
        limit: anomaly.limit(),
        anomaly_id: anomaly.anomaly_id,
        incident_id: None,
        raised_at: anomaly.detected_at,
        first_raised_at: anomaly.detected_at,
        cleared_at: None,
        acknowledged_by: None,
        acknowledged_at: None,
        note: None,
        shelved_until: None,
        shelved_by: None,
        shelve_reason: None,
        resolved_by: None,
        resolved_at: None,
        resolution: None,
        occurrences: 0,
        chattering: false,
        origin: anomaly.origin,
    }
}

/// Whether an anomaly at `at` is the same alarm once more: it never ended for people, or ended
/// only a moment ago.
#[must_use]
pub(crate) fn is_same(alert: &Alert, at: Timestamp, policy: &AlarmPolicy) -> bool {
    if alert.active || life(alert).hold.is_some() {
        return true;
    }
    if alert.resolved_at.is_some() {
        return false;
    }
    let recent = alert.cleared_at.is_some_and(|cleared| at.since(cleared) <= policy.reoccurrence);
    alert.state == AlertState::ReturnedUnacknowledged || recent
}

/// The plant goes wrong.
pub(crate) fn raise(mut alert: Alert, anomaly: &Anomaly, at: Timestamp) -> (Alert, Effect) {
    let effect = take(&mut alert, Input::Raise);
    if effect != Effect::Nothing {
        alert.occurrences = alert.occurrences.saturating_add(1);
        alert.raised_at = at;
        alert.cleared_at = None;
        alert.severity = anomaly.severity;
        alert.priority = anomaly.severity.priority();
        forget_acknowledgement(&mut alert);
        refresh(&mut alert, anomaly);
    }
    (alert, effect)
}

/// It gets worse. Severity is latched: it never falls while the alarm stands.
pub(crate) fn worsen(mut alert: Alert, anomaly: &Anomaly) -> (Alert, Effect) {
    if anomaly.severity <= alert.severity {
        return (alert, Effect::Nothing);
    }
    let effect = take(&mut alert, Input::Worsen);
    if effect != Effect::Nothing {
        alert.severity = anomaly.severity;
        alert.priority = anomaly.severity.priority();
        forget_acknowledgement(&mut alert);
        refresh(&mut alert, anomaly);
    }
    (alert, effect)
}

/// The plant is in order again.
pub(crate) fn clear(mut alert: Alert, at: Timestamp) -> (Alert, Effect) {
    let effect = take(&mut alert, Input::Return);
    if effect != Effect::Nothing {
        alert.cleared_at = Some(at);
    }
    (alert, effect)
}

pub(crate) fn acknowledge(
    mut alert: Alert,
    actor: &str,
    note: Option<String>,
    now: Timestamp,
) -> Result<(Alert, Effect), Refusal> {
    let effect = ask(&mut alert, Input::Acknowledge)?;
    if effect != Effect::Nothing {
        alert.acknowledged_by = Some(actor.to_owned());
        alert.acknowledged_at = Some(now);
        alert.note = note.or(alert.note);
    }
    Ok((alert, effect))
}

pub(crate) fn shelve(
    mut alert: Alert,
    actor: &str,
    reason: &str,
    until: Timestamp,
    now: Timestamp,
) -> Result<(Alert, Effect), Refusal> {
    if reason.trim().is_empty() {
        let reason = "say why; the next shift reads it";
        return Err(Refusal::Field { field: "reason", reason });
    }
    let longest = usize::try_from(alert.priority - 1)
        .ok()
        .and_then(|index| SHELVE_MAX.get(index).copied())
        .unwrap_or(SHELVE_MAX[0]);
    if until <= now || until > now.plus(longest) {
        let reason = match alert.priority {
            ..=1 => "choose an end within the next hour; priority 1 is shelved no longer",
            2 => "choose an end within the next 8 hours; priority 2 is shelved no longer",
            3 => "choose an end within the next 12 hours; priority 3 is shelved no longer",
            _ => "choose an end within the next 7 days",
        };
        return Err(Refusal::Field { field: "until", reason });
    }
    let effect = ask(&mut alert, Input::Hold(Hold::Shelved))?;
    alert.shelved_until = Some(until);
    alert.shelved_by = Some(actor.to_owned());
    alert.shelve_reason = Some(reason.trim().to_owned());
    Ok((alert, effect))
}

/// Ends a hold, by a person or because its time is over.
pub(crate) fn unshelve(mut alert: Alert) -> Result<(Alert, Effect), Refusal> {
    let effect = ask(&mut alert, Input::Release)?;
    alert.shelved_until = None;
    if effect == Effect::Annunciate {
        forget_acknowledgement(&mut alert);
    }
    Ok((alert, effect))
}

pub(crate) fn resolve(
    mut alert: Alert,
    actor: &str,
    resolution: &str,
    now: Timestamp,
) -> Result<(Alert, Effect), Refusal> {
    if resolution.trim().is_empty() {
        let reason = "say what it was and what was done";
        return Err(Refusal::Field { field: "resolution", reason });
    }
    if alert.resolved_at.is_some() && !alert.active {
        return Err(Refusal::Illegal(Illegal::Over));
    }
    // An alarm that is over for people but was never explained may still be.
    let effect = match ask(&mut alert, Input::Resolve) {
        Err(Refusal::Illegal(Illegal::Over)) => Effect::Resolved,
        other => other?,
    };
    if alert.acknowledged_at.is_none() {
        alert.acknowledged_by = Some(actor.to_owned());
        alert.acknowledged_at = Some(now);
    }
    alert.shelved_until = None;
    alert.resolved_by = Some(actor.to_owned());
    alert.resolved_at = Some(now);
    alert.resolution = Some(resolution.trim().to_owned());
    Ok((alert, effect))
}

/// Whether the newest raises, newest first, come faster than people can follow.
#[must_use]
pub(crate) fn is_chattering(raises: &[Timestamp]) -> bool {
    match (raises.first(), raises.get(CHATTER_COUNT - 1)) {
        (Some(newest), Some(third)) => newest.since(*third) <= CHATTER_WITHIN,
        _ => false,
    }
}

/// The life that an alarm's facts tell.
fn life(alert: &Alert) -> Life {
    Life {
        active: alert.active,
        acknowledged: match alert.state {
            AlertState::Acknowledged | AlertState::Normal => true,
            AlertState::Unacknowledged | AlertState::ReturnedUnacknowledged => false,
            _ => alert.acknowledged_at.is_some(),
        },
        hold: match alert.state {
            AlertState::Shelved => Some(Hold::Shelved),
            AlertState::Suppressed => Some(Hold::Suppressed),
            AlertState::OutOfService => Some(Hold::OutOfService),
            _ => None,
        },
    }
}

fn ask(alert: &mut Alert, input: Input) -> Result<Effect, Refusal> {
    let (life, effect) = life(alert).step(input).map_err(Refusal::Illegal)?;
    alert.state = life.state();
    alert.active = life.active;
    Ok(effect)
}

/// An input of the plant; none of them can be refused.
fn take(alert: &mut Alert, input: Input) -> Effect {
    ask(alert, input).unwrap_or(Effect::Nothing)
}

fn forget_acknowledgement(alert: &mut Alert) {
    alert.acknowledged_by = None;
    alert.acknowledged_at = None;
}

fn refresh(alert: &mut Alert, anomaly: &Anomaly) {
    alert.value = anomaly.value;
    alert.limit = anomaly.limit();
    alert.anomaly_id = anomaly.anomaly_id;
    alert.title = title(anomaly);
    alert.resolved_by = None;
    alert.resolved_at = None;
    alert.resolution = None;
}

fn title(anomaly: &Anomaly) -> String {
    let measure = anomaly.kind.as_deref().filter(|kind| *kind != "other");
    let measure = measure
        .or_else(|| anomaly.sensor.rsplit('/').next())
        .unwrap_or("Reading")
        .replace(['_', '-'], " ");
    let limit = anomaly.limit().zip(anomaly.value);
    let what = match anomaly.rule.as_str() {
        "range" if limit.is_some_and(|(limit, value)| value < limit) => "low",
        "range" => "high",
        "rate" => "changes too fast",
        "flatline" => "stuck",
        "missing" => "silent",
        "out_of_order" => "out of order",
        "unit_jump" => "jumped by a unit",
        _ if anomaly.severity >= Severity::High => "far from normal",
        _ => "unusual",
    };
    let mut text = format!("{measure} {what}, {}", asset_label(&anomaly.asset));
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::delays::tests::anomaly;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn standing() -> Alert {
        let word = anomaly("active", "medium", 0);
        raise(fresh(&word, Uuid::nil(), 17), &word, NOW).0
    }

    #[test]
    fn an_alarm_says_what_is_wrong_where() {
        let alert = standing();
        assert_eq!(alert.title, "Vibration unusual, P-2");
        assert_eq!((alert.limit, alert.priority, alert.occurrences), (Some(4.5), 3, 1));
    }

    #[test]
    fn an_acknowledgement_lasts_until_it_gets_worse() {
        let (acked, effect) = acknowledge(standing(), "ines", None, NOW).unwrap();
        assert_eq!((acked.state, effect), (AlertState::Acknowledged, Effect::Acknowledged));
        let (again, effect) = acknowledge(acked.clone(), "tom", None, NOW).unwrap();
        assert_eq!(effect, Effect::Nothing);
        assert_eq!(again.acknowledged_by.as_deref(), Some("ines"));
        let (same, effect) = worsen(acked.clone(), &anomaly("active", "low", 5));
        assert_eq!((same, effect), (acked.clone(), Effect::Nothing));
        let (worse, effect) = worsen(acked, &anomaly("active", "critical", 5));
        assert_eq!((worse.state, effect), (AlertState::Unacknowledged, Effect::Annunciate));
        assert_eq!((worse.priority, worse.acknowledged_by), (1, None));
    }

    #[test]
    fn shelving_needs_reason_and_a_near_end() {
        let hour = Duration::from_secs(3_600);
        let refused = |reason, until| shelve(standing(), "ines", reason, until, NOW).is_err();
        assert!(refused(" ", NOW.plus(hour)));
        assert!(refused("why", NOW));
        assert!(refused("why", NOW.plus(13 * hour)));
        let (shelved, _) = shelve(standing(), "ines", "why", NOW.plus(hour), NOW).unwrap();
        assert!(matches!(
            acknowledge(shelved.clone(), "ines", None, NOW),
            Err(Refusal::Illegal(Illegal::Held))
        ));
        let (quiet, effect) = clear(shelved, NOW);
        assert_eq!(effect, Effect::Quiet);
        let (quiet, effect) = raise(quiet, &anomaly("active", "high", 9), NOW);
        assert_eq!((quiet.state, effect), (AlertState::Shelved, Effect::Quiet));
        let (back, effect) = unshelve(quiet).unwrap();
        assert_eq!((back.state, effect), (AlertState::Unacknowledged, Effect::Annunciate));
        assert_eq!(back.occurrences, 2);
    }

    #[test]
    fn what_returns_soon_is_the_same_alarm() {
        let policy = AlarmPolicy::default();
        let (alert, _) = acknowledge(standing(), "ines", None, NOW).unwrap();
        let (alert, effect) = clear(alert, NOW);
        assert_eq!((alert.state, effect), (AlertState::Normal, Effect::Cleared));
        assert!(is_same(&alert, NOW.plus(policy.reoccurrence), &policy));
        let late = NOW.plus(policy.reoccurrence + Duration::from_secs(1));
        assert!(!is_same(&alert, late, &policy));
        let (resolved, _) = resolve(alert, "ines", "loose sensor", NOW).unwrap();
        assert!(!is_same(&resolved, NOW, &policy));
        assert!(resolve(resolved, "ines", "again", NOW).is_err());
    }

    #[test]
    fn three_within_a_minute_are_chatter() {
        let back = |s| NOW.minus(Duration::from_secs(s));
        assert!(!is_chattering(&[NOW, back(10)]));
        assert!(!is_chattering(&[NOW, back(10), back(61)]));
        assert!(is_chattering(&[NOW, back(10), back(60)]));
    }
}
