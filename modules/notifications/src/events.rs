use kernel::EventType;

pub(crate) const MODULE: &str = "notifications";

/// A message was handed over; `data` is the whole [`Notification`](crate::Notification).
pub(crate) const SENT: EventType = EventType::new("notification.sent", 1);
/// A message was given up, or its outcome is unknown.
pub(crate) const FAILED: EventType = EventType::new("notification.failed", 1);

pub(crate) const ALL: &[EventType] = &[SENT, FAILED];
