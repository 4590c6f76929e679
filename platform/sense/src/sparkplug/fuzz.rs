//! What the fuzzers under `fuzz/` reach of this host. Nothing else uses it.

use std::time::Duration;

use bytes::Bytes;
use kernel::{Reading, Timestamp};

use super::nodes::{Nodes, Outcome};
use super::proto;
use super::tags::KeyTemplate;
use super::topic::Topic;
use crate::SenseError;

const ASK_EVERY: Duration = Duration::from_secs(10);

/// What one host knows of its edge nodes.
#[derive(Debug)]
pub struct Memory(Nodes);

/// What a message came to.
#[derive(Debug)]
pub struct Heard {
    pub readings: Vec<Reading>,
    pub refused: u64,
    /// What was refused, and why.
    pub named: Vec<(String, String)>,
}

impl From<Outcome> for Heard {
    fn from(out: Outcome) -> Self {
        Self { readings: out.readings, refused: out.refused, named: out.named }
    }
}

impl Memory {
    /// # Errors
    /// When `key` is no template of keys.
    pub fn new(key: &str) -> Result<Self, SenseError> {
        Ok(Self(Nodes::new(KeyTemplate::parse(key)?, ASK_EVERY)))
    }

    /// Takes one message as the broker hands it over; `None` when it is none of a node.
    pub fn hear(&mut self, topic: &str, payload: &[u8], now: Timestamp) -> Option<Heard> {
        let (verb, id, device) = match Topic::parse(topic)? {
            Topic::Node(verb, id) => (verb, id, None),
            Topic::Device(verb, id, device) => (verb, id, Some(device)),
            Topic::State(_) | Topic::Command => return None,
        };
        let payload = proto::read_payload(Bytes::copy_from_slice(payload)).ok()?;
        Some(self.0.hear(verb, &id, device.as_deref(), &payload, now).into())
    }

    pub fn link_is_new(&mut self, now: Timestamp) {
        self.0.link_is_new(now);
    }

    pub fn lapse(&mut self, now: Timestamp) -> Heard {
        self.0.lapse(now).into()
    }

    /// How many nodes are asked for their birth.
    pub fn questions(&mut self, now: Timestamp) -> usize {
        self.0.due_questions(now).len()
    }

    /// Nodes and tags it knows.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let (_, nodes, _, tags) = self.0.census();
        (nodes, tags)
    }
}
