use std::time::Duration;

use kernel::Timestamp;
use uuid::Uuid;

use crate::model::{Decision, Severity, WorkOrder, WorkState};

const MINUTE_US: i64 = 60_000_000;
const DAY_MINUTES: i64 = 24 * 60;
/// Work starts on the quarter hour.
const STEP_MINUTES: i64 = 15;
/// How far ahead a free slot is looked for.
const HORIZON_DAYS: i64 = 180;
const DURATION_MIN: Duration = Duration::from_secs(15 * 60);

/// Somebody who does work, one piece at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignee {
    pub name: String,
    pub skills: Vec<String>,
}

/// When and by whom work is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkCalendar {
    /// Monday first.
    pub working_days: [bool; 7],
    /// Minutes after local midnight.
    pub day_start_min: u32,
    pub day_end_min: u32,
    /// Local time ahead of UTC.
    pub utc_offset_min: i32,
    pub assignees: Vec<Assignee>,
}

impl Default for WorkCalendar {
    fn default() -> Self {
        let crew = |name: &str, skills: &[&str]| Assignee {
            name: name.to_owned(),
            skills: skills.iter().map(|skill| (*skill).to_owned()).collect(),
        };
        Self {
            working_days: [true, true, true, true, true, false, false],
            day_start_min: 7 * 60,
            day_end_min: 17 * 60,
            utc_offset_min: 0,
            assignees: vec![
                crew("Mechanical crew", &["mechanical"]),
                crew("Instrument crew", &["instrumentation", "electrical"]),
                crew("Process crew", &["process"]),
            ],
        }
    }
}

/// A stretch of somebody's time that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Booking {
    pub(crate) assignee: String,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

/// What needs a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wanted<'a> {
    pub(crate) skill: &'a str,
    pub(crate) duration: Duration,
    /// 1 need not wait for working hours.
    pub(crate) priority: i32,
    pub(crate) due_from: Timestamp,
    pub(crate) due_to: Timestamp,
    /// A person chose this start.
    pub(crate) starts_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) assignee: Option<String>,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) late: bool,
}

/// The earliest free slot in working hours of somebody with the skill.
///
/// A start that a person chose stands, whoever is free then. The most urgent work ignores working
/// hours; other work that finds no slot before it is due takes the first one after and is late.
#[must_use]
pub(crate) fn place(
    calendar: &WorkCalendar,
    bookings: &[Booking],
    wanted: Wanted<'_>,
    now: Timestamp,
) -> Slot {
    let duration = wanted.duration.max(DURATION_MIN);
    let slot = |assignee: Option<&Assignee>, from: Timestamp| Slot {
        assignee: assignee.map(|one| one.name.clone()),
        from,
        to: from.plus(duration),
        late: from > wanted.due_to,
    };
    let able = || calendar.assignees.iter().filter(|a| a.skills.iter().any(|s| s == wanted.skill));
    if let Some(from) = wanted.starts_at {
        let free = able().find(|a| is_free(bookings, &a.name, from, from.plus(duration)));
        return slot(free, from);
    }
    let earliest = quarter_after(wanted.due_from.max(now));
    let any_hour = wanted.priority <= 1;
    able()
        .filter_map(|one| {
            first_free(calendar, bookings, &one.name, earliest, duration, any_hour)
                .map(|from| slot(Some(one), from))
        })
        .min_by_key(|found| found.from)
        .unwrap_or_else(|| {
            // Nobody has the skill: a time without a name is better than no work order.
            let from = if any_hour { earliest } else { opening(calendar, earliest, duration) };
            slot(None, from)
        })
}

/// True when `assignee` has nothing else in `[from, to)`.
#[must_use]
pub(crate) fn is_free(
    bookings: &[Booking],
    assignee: &str,
    from: Timestamp,
    to: Timestamp,
) -> bool {
    !bookings.iter().any(|b| b.assignee == assignee && b.from < to && from < b.to)
}

/// The work order of an approved decision.
#[must_use]
pub(crate) fn work_order(
    decision: &Decision,
    slot: Slot,
    id: Uuid,
    number: i64,
    now: Timestamp,
) -> WorkOrder {
    WorkOrder {
        work_id: id,
        number,
        decision_id: Some(decision.decision_id),
        asset: decision.asset.clone(),
        sensor: Some(decision.sensor.clone()),
        title: decision.proposal.action.clone(),
        state: WorkState::Scheduled,
        priority: decision.severity.priority(),
        starts_at: slot.from,
        ends_at: slot.to,
        assignee: slot.assignee,
        skill: decision.proposal.skill.clone(),
        severity: decision.severity,
        completion: None,
        created_at: now,
        approved_by: decision.answered_by.clone().unwrap_or_default(),
        reason: decision.reason.clone(),
        late: slot.late,
        anomaly_id: decision.anomaly_id,
        origin: decision.origin,
    }
}

/// The severity a priority stands for, for work that people schedule themselves.
#[must_use]
pub(crate) fn severity_of(priority: i32) -> Severity {
    match priority {
        ..=1 => Severity::Critical,
        2 => Severity::High,
        3 => Severity::Medium,
        _ => Severity::Low,
    }
}

fn first_free(
    calendar: &WorkCalendar,
    bookings: &[Booking],
    assignee: &str,
    earliest: Timestamp,
    duration: Duration,
    any_hour: bool,
) -> Option<Timestamp> {
    let horizon = earliest.as_micros() + HORIZON_DAYS * DAY_MINUTES * MINUTE_US;
    let mut from = earliest;
    while from.as_micros() < horizon {
        if !any_hour {
            from = opening(calendar, from, duration);
        }
        let to = from.plus(duration);
        let clash =
            bookings.iter().filter(|b| b.assignee == assignee && b.from < to && from < b.to);
        match clash.map(|b| b.to).max() {
            None => return Some(from),
            Some(end) => from = quarter_after(end),
        }
    }
    None
}

/// The first start at or after `from` at which the work fits before the end of the working day;
/// work longer than a day starts when a day does.
fn opening(calendar: &WorkCalendar, from: Timestamp, duration: Duration) -> Timestamp {
    let start = i64::from(calendar.day_start_min);
    let end = i64::from(calendar.day_end_min).max(start + STEP_MINUTES);
    let needed = i64::try_from(duration.as_secs().div_ceil(60)).unwrap_or(i64::MAX);
    let offset = i64::from(calendar.utc_offset_min);
    let local = from.as_micros().div_euclid(MINUTE_US) + offset;
    let (day, minute) = (local.div_euclid(DAY_MINUTES), local.rem_euclid(DAY_MINUTES));
    // A calendar without working days would never open; then every day counts.
    let every_day = !calendar.working_days.contains(&true);
    for ahead in 0..=HORIZON_DAYS {
        // 1970-01-01 was a Thursday, the fourth day after Monday.
        let weekday = usize::try_from((day + ahead + 3).rem_euclid(7)).unwrap_or(0);
        if !every_day && !calendar.working_days[weekday] {
            continue;
        }
        let opens = if ahead == 0 { minute.max(start) } else { start };
        let fits = opens + needed <= end || (needed > end - start && opens == start);
        if fits {
            let at = (day + ahead) * DAY_MINUTES + opens - offset;
            return Timestamp::from_micros(at * MINUTE_US);
        }
    }
    from
}

fn quarter_after(at: Timestamp) -> Timestamp {
    let step = STEP_MINUTES * MINUTE_US;
    Timestamp::from_micros((at.as_micros() + step - 1).div_euclid(step) * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn wanted(priority: i32, from: &str, to: &str) -> Wanted<'static> {
        Wanted {
            skill: "mechanical",
            duration: 4 * HOUR,
            priority,
            due_from: at(from),
            due_to: at(to),
            starts_at: None,
        }
    }

    #[test]
    fn waits_for_the_next_working_morning() {
        // 2026-11-20 is a Friday; at 15:00 four hours no longer fit.
        let want = wanted(3, "2026-11-20T15:00:00Z", "2026-12-01T00:00:00Z");
        let slot = place(&WorkCalendar::default(), &[], want, at("2026-11-20T14:00:00Z"));
        assert_eq!(slot.from, at("2026-11-23T07:00:00Z"));
        assert_eq!(slot.assignee.as_deref(), Some("Mechanical crew"));
        assert!(!slot.late);
    }

    #[test]
    fn local_time_counts() {
        let calendar = WorkCalendar { utc_offset_min: 60, ..WorkCalendar::default() };
        let want = wanted(3, "2026-11-23T00:00:00Z", "2026-12-01T00:00:00Z");
        assert_eq!(
            place(&calendar, &[], want, at("2026-11-22T00:00:00Z")).from,
            at("2026-11-23T06:00:00Z")
        );
    }

    #[test]
    fn the_most_urgent_does_not_wait_for_morning() {
        let want = wanted(1, "2026-11-21T15:07:00Z", "2026-11-22T00:00:00Z");
        let slot = place(&WorkCalendar::default(), &[], want, at("2026-11-21T14:00:00Z"));
        assert_eq!(slot.from, at("2026-11-21T15:15:00Z"));
    }

    #[test]
    fn nobody_does_two_things_at_once() {
        let calendar = WorkCalendar::default();
        let now = at("2026-11-23T06:00:00Z");
        let want = wanted(3, "2026-11-23T06:00:00Z", "2026-11-24T00:00:00Z");
        let mut bookings: Vec<Booking> = Vec::new();
        for _ in 0..20 {
            let slot = place(&calendar, &bookings, want, now);
            let name = slot.assignee.clone().unwrap();
            assert!(is_free(&bookings, &name, slot.from, slot.to));
            bookings.push(Booking { assignee: name, from: slot.from, to: slot.to });
        }
        // Two fit a day, so the third is late already.
        let last = place(&calendar, &bookings, want, now);
        assert!(last.late);
        assert_eq!(last.from, at("2026-12-07T07:00:00Z"));
    }

    #[test]
    fn a_chosen_start_stands() {
        let chosen = at("2026-11-29T22:00:00Z");
        let want = Wanted {
            starts_at: Some(chosen),
            ..wanted(3, "2026-11-23T06:00:00Z", "2026-11-30T00:00:00Z")
        };
        let now = at("2026-11-23T06:00:00Z");
        let slot = place(&WorkCalendar::default(), &[], want, now);
        assert_eq!((slot.from, slot.assignee.is_some()), (chosen, true));
        let taken =
            Booking { assignee: "Mechanical crew".to_owned(), from: chosen, to: chosen.plus(HOUR) };
        assert_eq!(place(&WorkCalendar::default(), &[taken], want, now).assignee, None);
    }

    #[test]
    fn long_work_and_missing_skills_still_get_a_place() {
        let now = at("2026-11-21T06:00:00Z");
        let long = Wanted {
            duration: 40 * HOUR,
            skill: "diving",
            ..wanted(4, "2026-11-21T06:00:00Z", "2026-12-30T00:00:00Z")
        };
        let slot = place(&WorkCalendar::default(), &[], long, now);
        assert_eq!((slot.from, slot.assignee), (at("2026-11-23T07:00:00Z"), None));
    }
}
