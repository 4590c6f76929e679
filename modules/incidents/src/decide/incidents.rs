use std::time::Duration;

use kernel::{CorrelationId, Timestamp};
use uuid::Uuid;

use crate::model::{Alert, AlertId, Change, Dismissal, Incident, IncidentState, asset_label};

/// Alarms of one chain at one site belong together within this time.
const TOGETHER: Duration = Duration::from_secs(600);
/// The least urgent priority that opens an incident; the rest only joins one.
const OPENS_UP_TO: i32 = 3;
/// Chains, alarms and sensors kept in one incident; the oldest go first.
const KEPT_MAX: usize = 200;
const DISMISSALS_ESCALATE: u32 = 2;
/// Longest dismissal.
const DISMISSAL_MAX: Duration = Duration::from_secs(90 * 86_400);

#[must_use]
pub(crate) fn opens(alert: &Alert) -> bool {
    alert.priority <= OPENS_UP_TO
}

/// The incident among `candidates` that the alarm belongs to: one about the same asset, else one
/// of the same chain at the same site and about the same time.
#[must_use]
pub(crate) fn home<'a>(
    candidates: &'a [Incident],
    alert: &Alert,
    chain: CorrelationId,
    now: Timestamp,
) -> Option<&'a Incident> {
    let collects = |incident: &Incident| match &incident.dismissal {
        _ if incident.state.is_open() => true,
        Some(dismissal) => incident.state == IncidentState::Dismissed && now < dismissal.until,
        None => false,
    };
    let mut open = candidates.iter().filter(|incident| collects(incident));
    let same_asset = open.clone().find(|incident| incident.asset == alert.asset);
    same_asset.or_else(|| {
        open.find(|incident| {
            let apart = incident.last_alarm_at.micros_since(alert.raised_at).unsigned_abs();
            incident.site == alert.site
                && incident.correlations.contains(&chain)
                && u128::from(apart) <= TOGETHER.as_micros()
        })
    })
}

/// A new incident around its first alarm.
#[must_use]
pub(crate) fn open(
    alert: &Alert,
    chain: CorrelationId,
    id: Uuid,
    number: i64,
    now: Timestamp,
) -> Incident {
    Incident {
        incident_id: id,
        number,
        title: alert.title.clone(),
        asset: alert.asset.clone(),
        site: alert.site.clone(),
        priority: alert.priority,
        state: IncidentState::Open,
        opened_at: now,
        updated_at: now,
        closed_at: None,
        assignee: None,
        alerts: vec![AlertId(alert.alert_id)],
        sensors: vec![alert.sensor.clone()],
        summary: summary(1, 1, &alert.asset),
        dismissal: None,
        dismissals: 0,
        escalated: false,
        last_alarm_at: alert.raised_at,
        correlations: vec![chain],
        change: Change { by: None, what: format!("opened by A-{}", alert.number), note: None },
        origin: alert.origin,
    }
}

/// Adds an alarm, or what became of one, to its incident.
#[must_use]
pub(crate) fn collect(
    mut incident: Incident,
    alert: &Alert,
    chain: CorrelationId,
    now: Timestamp,
) -> Incident {
    let worse = alert.priority < incident.priority;
    push(&mut incident.alerts, AlertId(alert.alert_id));
    push(&mut incident.sensors, alert.sensor.clone());
    push(&mut incident.correlations, chain);
    if worse {
        incident.priority = alert.priority;
        incident.title.clone_from(&alert.title);
    }
    incident.last_alarm_at = incident.last_alarm_at.max(alert.raised_at);
    incident.updated_at = now;
    incident.summary = summary(incident.alerts.len(), incident.sensors.len(), &incident.asset);
    let what = format!("A-{} joined: {}", alert.number, alert.title);
    incident.change = Change { by: None, what, note: None };
    if worse && incident.state == IncidentState::Dismissed {
        // It was set aside as something less urgent.
        reopen(&mut incident, "opened again: it got worse");
    }
    incident
}

/// What a person wants to change.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Update {
    pub(crate) state: Option<IncidentState>,
    pub(crate) assignee: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) dismissal: Option<(String, Timestamp)>,
}

/// Why it cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) field: &'static str,
    pub(crate) reason: &'static str,
}

pub(crate) fn update(
    mut incident: Incident,
    update: Update,
    actor: &str,
    now: Timestamp,
) -> Result<Incident, Refusal> {
    let mut done = Vec::new();
    if let Some(assignee) = update.assignee {
        let name = assignee.trim().to_owned();
        done.push(if name.is_empty() {
            "unassigned".to_owned()
        } else {
            format!("assigned to {name}")
        });
        incident.assignee = (!name.is_empty()).then_some(name);
    }
    let dismissing = update.dismissal.is_some();
    if let Some((reason, until)) = update.dismissal {
        dismiss(&mut incident, &reason, until, actor, now)?;
        done.push(format!("dismissed until {until}"));
    }
    if let Some(state) = update.state.filter(|state| *state != incident.state) {
        if state == IncidentState::Dismissed || dismissing {
            let reason = "a dismissal needs a reason and an end, and no other state beside it";
            return Err(Refusal { field: "dismissal", reason });
        }
        incident.state = state;
        incident.closed_at = (!state.is_open()).then_some(now);
        incident.dismissal = None;
        done.push(state.as_str().to_owned());
    }
    let note = update.note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
    if done.is_empty() && note.is_none() {
        let reason = "nothing changes: give a state, an assignee, a note or a dismissal";
        return Err(Refusal { field: "state", reason });
    }
    if done.is_empty() {
        done.push("note".to_owned());
    }
    incident.updated_at = now;
    incident.change = Change { by: Some(actor.to_owned()), what: done.join(", "), note };
    Ok(incident)
}

fn dismiss(
    incident: &mut Incident,
    reason: &str,
    until: Timestamp,
    actor: &str,
    now: Timestamp,
) -> Result<(), Refusal> {
    if reason.trim().is_empty() {
        return Err(Refusal { field: "dismissal.reason", reason: "say why it may be set aside" });
    }
    if until <= now || until > now.plus(DISMISSAL_MAX) {
        let reason = "choose an end within the next 90 days";
        return Err(Refusal { field: "dismissal.until", reason });
    }
    incident.dismissals = incident.dismissals.saturating_add(1);
    if incident.dismissals >= DISMISSALS_ESCALATE && !incident.escalated {
        incident.escalated = true;
        incident.priority = (incident.priority - 1).max(1);
    }
    incident.state = IncidentState::Dismissed;
    incident.closed_at = Some(now);
    let by = actor.to_owned();
    incident.dismissal = Some(Dismissal { reason: reason.trim().to_owned(), by, until });
    Ok(())
}

/// The end of a dismissal: what still stands opens again, the rest is resolved.
#[must_use]
pub(crate) fn lapse(mut incident: Incident, standing: bool, now: Timestamp) -> Option<Incident> {
    let over = incident.dismissal.as_ref().is_some_and(|dismissal| dismissal.until <= now);
    if incident.state != IncidentState::Dismissed || !over {
        return None;
    }
    incident.updated_at = now;
    if standing {
        reopen(&mut incident, "opened again: the dismissal ended and alarms stand");
    } else {
        incident.state = IncidentState::Resolved;
        let what = "resolved: the dismissal ended and no alarm stands".to_owned();
        incident.change = Change { by: None, what, note: None };
    }
    Some(incident)
}

fn reopen(incident: &mut Incident, why: &str) {
    incident.state = IncidentState::Open;
    incident.closed_at = None;
    incident.change = Change { by: None, what: why.to_owned(), note: None };
}

fn summary(alerts: usize, sensors: usize, asset: &str) -> String {
    let plural = |count: usize, one: &str| {
        if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
    };
    let (alarms, sensors) = (plural(alerts, "alarm"), plural(sensors, "sensor"));
    format!("{alarms} from {sensors} around {}", asset_label(asset))
}

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.contains(&item) {
        return;
    }
    if list.len() >= KEPT_MAX {
        list.remove(0);
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::alerts;
    use crate::detect::delays::tests::anomaly;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn alert(severity: &str, at_s: i64, asset: &str) -> Alert {
        let mut word = anomaly("active", severity, at_s);
        word.asset = asset.to_owned();
        word.sensor = format!("{asset}/vibration");
        let fresh = alerts::fresh(&word, Uuid::now_v7(), 1);
        alerts::raise(fresh, &word, word.detected_at).0
    }

    fn incident(chain: CorrelationId) -> Incident {
        open(&alert("medium", 0, "north/p-2"), chain, Uuid::nil(), 2071, NOW)
    }

    fn wish(update: Update) -> Result<Incident, Refusal> {
        super::update(incident(CorrelationId::new()), update, "ines", NOW)
    }

    #[test]
    fn the_same_asset_always_belongs_another_only_with_the_chain_and_soon() {
        let chain = CorrelationId::new();
        let open = [incident(chain)];
        let other = CorrelationId::new();
        let finds = |alert: Alert, chain| home(&open, &alert, chain, NOW).is_some();
        assert!(finds(alert("low", 90_000, "north/p-2"), other));
        assert!(finds(alert("low", 599, "north/p-3"), chain));
        assert!(!finds(alert("low", 599, "north/p-3"), other));
        assert!(!finds(alert("low", 601, "north/p-3"), chain));
        let mut elsewhere = alert("low", 10, "south/p-3");
        elsewhere.site = "south".to_owned();
        assert!(!finds(elsewhere, chain));
    }

    #[test]
    fn an_incident_is_as_urgent_as_its_worst_alarm() {
        let chain = CorrelationId::new();
        let grown = collect(incident(chain), &alert("critical", 5, "north/p-2"), chain, NOW);
        assert_eq!((grown.priority, grown.alerts.len(), grown.sensors.len()), (1, 2, 1));
        assert_eq!(grown.summary, "2 alarms from 1 sensor around P-2");
        let same = collect(grown.clone(), &alert("low", 9, "north/p-2"), chain, NOW);
        assert_eq!((same.priority, same.title), (1, grown.title));
    }

    #[test]
    fn a_dismissal_needs_reason_and_end_and_the_second_escalates() {
        let bare = Update { state: Some(IncidentState::Dismissed), ..Update::default() };
        assert_eq!(wish(bare).unwrap_err().field, "dismissal");
        let empty =
            Update { dismissal: Some((" ".to_owned(), NOW.plus(DAY))), ..Update::default() };
        assert_eq!(wish(empty).unwrap_err().field, "dismissal.reason");
        let past = Update { dismissal: Some(("why".to_owned(), NOW)), ..Update::default() };
        assert_eq!(wish(past).unwrap_err().field, "dismissal.until");

        let good =
            Update { dismissal: Some(("why".to_owned(), NOW.plus(DAY))), ..Update::default() };
        let once = wish(good.clone()).unwrap();
        assert_eq!(
            (once.state, once.escalated, once.priority),
            (IncidentState::Dismissed, false, 3)
        );
        assert!(lapse(once.clone(), true, NOW).is_none());
        let back = lapse(once.clone(), true, NOW.plus(DAY)).unwrap();
        assert_eq!(back.state, IncidentState::Open);
        assert_eq!(lapse(once, false, NOW.plus(DAY)).unwrap().state, IncidentState::Resolved);
        let twice = super::update(back, good, "ines", NOW).unwrap();
        assert_eq!((twice.escalated, twice.priority, twice.dismissals), (true, 2, 2));
    }

    #[test]
    fn a_dismissed_incident_collects_quietly_until_it_gets_worse() {
        let good =
            Update { dismissal: Some(("why".to_owned(), NOW.plus(DAY))), ..Update::default() };
        let dismissed = [wish(good).unwrap()];
        let chain = CorrelationId::new();
        let mild = alert("low", 50, "north/p-2");
        let home = super::home(&dismissed, &mild, chain, NOW).unwrap();
        assert_eq!(collect(home.clone(), &mild, chain, NOW).state, IncidentState::Dismissed);
        let bad = alert("critical", 60, "north/p-2");
        assert_eq!(collect(home.clone(), &bad, chain, NOW).state, IncidentState::Open);
        assert!(super::home(&dismissed, &mild, chain, NOW.plus(DAY)).is_none());
    }

    #[test]
    fn an_update_must_change_something_and_names_who() {
        assert!(wish(Update::default()).is_err());
        let noted =
            wish(Update { note: Some("looks real".to_owned()), ..Update::default() }).unwrap();
        assert_eq!(noted.change.by.as_deref(), Some("ines"));
        assert_eq!(noted.change.note.as_deref(), Some("looks real"));
        let resolved =
            wish(Update { state: Some(IncidentState::Resolved), ..Update::default() }).unwrap();
        assert_eq!(resolved.closed_at, Some(NOW));
    }

    #[test]
    fn nothing_grows_without_end() {
        let chain = CorrelationId::new();
        let mut grown = incident(chain);
        for n in 0..300 {
            let next = alert("low", n, &format!("north/p-{n}"));
            grown = collect(grown, &next, CorrelationId::new(), NOW);
        }
        assert_eq!((grown.alerts.len(), grown.correlations.len()), (KEPT_MAX, KEPT_MAX));
    }
}
