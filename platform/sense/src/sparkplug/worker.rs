use std::time::Duration;

use kernel::Timestamp;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::link::{Said, Voice};
use super::nodes::{Nodes, Outcome};
use super::topic::Topic;
use super::{Host, proto};
use crate::Delivery;
use crate::keep::{Keeper, Said as Spoken};

/// Messages stored together: one wait for the disk serves them all.
const BATCH_MAX: usize = 1_024;
/// How often it is looked whether a birth must be asked for, or a tag lapses.
const TICK: Duration = Duration::from_secs(1);

/// Takes messages from the connection to the store, and asks for births.
pub(super) struct Worker<'a> {
    pub(super) host: &'a Host,
    pub(super) voice: Voice,
    pub(super) keeper: Keeper,
}

impl Worker<'_> {
    /// Runs until the connection ends and what it brought is stored.
    pub(super) async fn run(self, nodes: &mut Nodes, mut waiting: mpsc::Receiver<Said>) {
        let mut spoken = Spoken::new();
        let mut messages = Vec::with_capacity(BATCH_MAX);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let lapsed = tokio::select! {
                count = waiting.recv_many(&mut messages, BATCH_MAX) => {
                    if count == 0 {
                        return;
                    }
                    Outcome::default()
                }
                _ = tick.tick() => nodes.lapse(self.host.clock.now()),
            };
            self.host.status.waiting((messages.len() + waiting.len()) as u64);
            if !self.take(nodes, &mut messages, lapsed, &mut spoken).await {
                return;
            }
            self.ask(nodes);
            self.tell(nodes);
        }
    }

    /// False when it was stopped before everything was stored.
    async fn take(
        &self,
        nodes: &mut Nodes,
        messages: &mut Vec<Said>,
        mut all: Outcome,
        spoken: &mut Spoken,
    ) -> bool {
        let now = self.host.clock.now();
        let count = messages.len() as u64;
        for said in messages.drain(..) {
            let out = self.hear(nodes, &said, now);
            let topic = String::from_utf8_lossy(&said.topic);
            for (what, reason) in &out.named {
                self.keeper.say(&format!("{topic} {what}"), reason, spoken);
            }
            all.readings.extend(out.readings);
            all.declared.extend(out.declared);
            all.refused += out.refused;
        }
        if let Some(declare) = &self.host.declare {
            for tag in all.declared {
                declare(tag).await;
            }
        }
        let delivery = Delivery {
            source: self.host.status.snapshot().id,
            origin: self.host.settings.origin,
            correlation: None,
            received: now,
            readings: all.readings,
        };
        let read = delivery.readings.len() as u64;
        let refused = match self.keeper.store(delivery, spoken).await {
            Some(receipt) => receipt.refused.len() as u64,
            None if read > 0 => return false,
            None => 0,
        };
        if count > 0 || read > 0 {
            self.keeper.stored(count, read - refused, all.refused + refused);
        }
        true
    }

    fn hear(&self, nodes: &mut Nodes, said: &Said, now: Timestamp) -> Outcome {
        let refused = |reason: &str| Outcome {
            refused: 1,
            named: vec![(String::new(), reason.to_owned())],
            ..Outcome::default()
        };
        let Some(topic) = std::str::from_utf8(&said.topic).ok().and_then(Topic::parse) else {
            return refused("no topic of Sparkplug B");
        };
        let (verb, id, device) = match topic {
            Topic::Command => return Outcome::default(),
            Topic::State(host) => {
                if self.voice.is_denied_by(&host, &said.payload)
                    && let Err(error) = self.voice.online()
                {
                    tracing::debug!(error = %error, "state not said");
                }
                return Outcome::default();
            }
            Topic::Node(verb, id) => (verb, id, None),
            Topic::Device(verb, id, device) => (verb, id, Some(device)),
        };
        match proto::read_payload(said.payload.clone()) {
            Ok(payload) => nodes.hear(verb, &id, device.as_deref(), &payload, now),
            Err(reason) => refused(&reason),
        }
    }

    fn ask(&self, nodes: &mut Nodes) {
        let now = self.host.clock.now();
        for (id, reason) in nodes.due_questions(now) {
            let source = self.host.settings.name.as_str();
            tracing::info!(source, node = %id, reason, "asking the node to be born again");
            if let Err(error) = self.voice.ask_rebirth(&id, now) {
                tracing::warn!(source, node = %id, error = %error, "the node could not be asked");
            }
        }
    }

    fn tell(&self, nodes: &Nodes) {
        let status = &self.host.status;
        let (alive, known, devices, tags) = nodes.census();
        status.detail("nodes alive", format!("{alive} of {known}"));
        status.detail("devices alive", devices.to_string());
        status.detail("tags", tags.to_string());
        status.detail("births", nodes.figures.births.to_string());
        status.detail("deaths", nodes.figures.deaths.to_string());
        status.detail("sequence gaps", nodes.figures.gaps.to_string());
        status.detail("rebirths asked", nodes.figures.rebirths_asked.to_string());
    }
}
