use kernel::EventType;

/// A message was handed over. Payload: the whole [`Notification`](crate::model::Notification).
pub const NOTIFICATION_SENT: EventType = EventType::new("notification.sent", 1);
/// A message was given up, or its outcome is unknown. Payload: the whole
/// [`Notification`](crate::model::Notification).
pub const NOTIFICATION_FAILED: EventType = EventType::new("notification.failed", 1);

pub const ALL: &[EventType] = &[NOTIFICATION_SENT, NOTIFICATION_FAILED];
