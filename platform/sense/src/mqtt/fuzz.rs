//! What the fuzzers under `fuzz/` reach of this door. Nothing else uses it.

use kernel::{SensorKey, Timestamp};

use super::topics::{TopicKey, TopicTemplate};
use super::{Mapping, payload};
use crate::Rows;

/// Reads one message.
#[must_use]
pub fn read(
    mapping: &Mapping,
    topic: &str,
    message: &[u8],
    retained: bool,
    now: Timestamp,
) -> Rows {
    payload::parse(message, &mapping.key(topic), retained, mapping.lines(), now)
}

/// What a template is subscribed to as, and the key that it finds in a topic.
#[must_use]
pub fn template(text: &str, topic: &str) -> Option<(String, Option<SensorKey>)> {
    let template = TopicTemplate::parse(text).ok()?;
    let key = match template.read(topic, "site") {
        Some(TopicKey::Named(key)) => Some(key),
        _ => None,
    };
    Some((template.filter(), key))
}
