use icalendar::{Calendar, Component, Event, EventLike};
use kernel::Timestamp;

use crate::model::{WorkOrder, WorkState};

/// The work orders as an iCalendar feed that calendar programs subscribe to.
#[must_use]
pub(crate) fn feed(work: &[WorkOrder], now: Timestamp) -> String {
    let mut calendar = Calendar::new();
    calendar.name("Plainview maintenance");
    for order in work {
        let mut event = Event::new();
        event
            .uid(&format!("{}@plainview", order.work_id))
            .add_property("DTSTAMP", stamp(now))
            .add_property("DTSTART", stamp(order.starts_at))
            .add_property("DTEND", stamp(order.ends_at))
            .add_property("PRIORITY", (order.priority * 2 - 1).to_string())
            .add_property("STATUS", status(order.state))
            .summary(&format!("W-{} {}", order.number, order.title))
            .location(&order.asset)
            .description(&description(order));
        calendar.push(event.done());
    }
    calendar.done().to_string()
}

fn description(order: &WorkOrder) -> String {
    let who = order.assignee.as_deref().unwrap_or("nobody yet");
    let mut text = format!("Assigned to {who}, skill {}.", order.skill);
    if let Some(reason) = &order.reason {
        text.push_str(&format!("\nApproved by {}: {reason}", order.approved_by));
    }
    text
}

fn status(state: WorkState) -> &'static str {
    match state {
        WorkState::Scheduled | WorkState::Completed => "CONFIRMED",
        WorkState::Cancelled => "CANCELLED",
    }
}

/// `20261130T070000Z`, the instant without fractions.
fn stamp(at: Timestamp) -> String {
    let whole = Timestamp::from_secs(at.as_micros().div_euclid(1_000_000));
    whole.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::report::tests::order;

    #[test]
    fn a_feed_holds_each_order_in_utc() {
        let text = feed(&[order("Inspect bearing; P-2, drive end")], Timestamp::from_secs(0));
        assert!(text.starts_with("BEGIN:VCALENDAR"));
        assert!(text.contains("DTSTART:20261130T070000Z"), "{text}");
        assert!(text.contains("DTSTAMP:19700101T000000Z"), "{text}");
        assert!(text.contains("SUMMARY:W-633 Inspect bearing\\; P-2\\, drive end"), "{text}");
        assert_eq!(text.matches("BEGIN:VEVENT").count(), 1);
    }

    #[test]
    fn text_cannot_add_a_line_of_its_own() {
        let text = feed(&[order("x\r\nATTENDEE:evil")], Timestamp::from_secs(0));
        assert!(!text.lines().any(|line| line.starts_with("ATTENDEE")), "{text}");
    }
}
