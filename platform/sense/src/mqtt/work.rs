use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kernel::{Backoff, Retryable, SharedClock, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::link::{Acks, Message};
use super::payload;
use super::topics::{TopicKey, TopicTemplate};
use crate::line::KeyMapping;
use crate::rows::excerpt;
use crate::{Delivery, Origin, ReadingSink, Receipt, SourceId, SourceStatus};

/// Messages stored together: one wait for the disk serves them all.
const BATCH_MAX: usize = 1_024;
/// Readings stored together; a batch of large messages is cut here.
const READINGS_MAX: usize = 50_000;
const STORE_AGAIN: Backoff =
    Backoff { first: Duration::from_millis(100), max: Duration::from_secs(5) };
/// A topic's refusals are said once in this time.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Topics whose refusals are remembered; beyond it refusals are only counted.
const TOPICS_MAX: usize = 1_000;

/// Takes messages from the connection, makes them durable, acknowledges them.
pub(super) struct Worker {
    pub(super) source: SourceId,
    pub(super) origin: Origin,
    pub(super) templates: Arc<Vec<TopicTemplate>>,
    pub(super) mapping: KeyMapping,
    pub(super) clock: SharedClock,
    pub(super) status: SourceStatus,
    pub(super) sink: Arc<dyn ReadingSink>,
    pub(super) acks: Acks,
    pub(super) stop: CancellationToken,
}

impl Worker {
    /// Runs until the connection ends and what it brought is stored.
    pub(super) async fn run(self, mut waiting: mpsc::Receiver<Message>) {
        let mut said = HashMap::new();
        let mut messages = Vec::with_capacity(BATCH_MAX);
        while waiting.recv_many(&mut messages, BATCH_MAX).await > 0 {
            self.status.waiting((messages.len() + waiting.len()) as u64);
            if !self.take(&mut messages, &mut said).await {
                return;
            }
        }
    }

    /// False when it was stopped before everything was durable; nothing is acknowledged then.
    async fn take(
        &self,
        messages: &mut Vec<Message>,
        said: &mut HashMap<String, Timestamp>,
    ) -> bool {
        let mut delivery = self.fresh();
        let mut refused = 0;
        let mut done = 0;
        for index in 0..messages.len() {
            let message = &messages[index];
            let topic = String::from_utf8_lossy(&message.topic);
            let key = self.key(&topic);
            let now = delivery.received;
            let rows = payload::parse(&message.payload, &key, message.retain, &self.mapping, now);
            if let Some(first) = rows.refused.first() {
                refused += rows.refused_total as u64;
                self.say(&topic, &format!("{}: {}", first.field, first.reason), said);
            }
            delivery.readings.extend(rows.readings);
            let last = index + 1 == messages.len();
            if last || delivery.readings.len() >= READINGS_MAX {
                let full = std::mem::replace(&mut delivery, self.fresh());
                let (read, mut of_sink) = (full.readings.len() as u64, 0);
                match self.store(full, said).await {
                    Some(receipt) => of_sink += receipt.refused.len() as u64,
                    None if read > 0 => return false,
                    None => {}
                }
                for message in &messages[done..=index] {
                    self.acks.send(message).await;
                }
                let count = (index + 1 - done) as u64;
                let now = self.clock.now();
                self.status.stored(count, read - of_sink, refused + of_sink, now);
                refused = 0;
                done = index + 1;
            }
        }
        messages.clear();
        true
    }

    fn fresh(&self) -> Delivery {
        Delivery {
            source: self.source.clone(),
            origin: self.origin,
            correlation: None,
            received: self.clock.now(),
            readings: Vec::new(),
        }
    }

    fn key(&self, topic: &str) -> TopicKey {
        self.templates
            .iter()
            .find_map(|template| template.read(topic, &self.mapping.default_site))
            .unwrap_or(TopicKey::Unnamed)
    }

    /// Hands over until it is durable. `None` when there was nothing, or the store failed for
    /// good, or it was stopped while the store was away.
    async fn store(
        &self,
        delivery: Delivery,
        said: &mut HashMap<String, Timestamp>,
    ) -> Option<Receipt> {
        if delivery.readings.is_empty() {
            return None;
        }
        let mut attempt = 0;
        loop {
            match self.sink.submit(delivery.clone()).await {
                Ok(receipt) => {
                    for refusal in receipt.refused.iter().take(1) {
                        let reading = delivery.readings.get(refusal.index);
                        let sensor = reading.map_or("", |reading| reading.sensor.as_str());
                        self.say(sensor, &format!("{}: {}", refusal.field, refusal.reason), said);
                    }
                    return Some(receipt);
                }
                Err(error) => {
                    attempt += 1;
                    self.status.trouble(&error.to_string(), self.clock.now());
                    let again = error.is_retryable();
                    tracing::warn!(source = %self.source, attempt, again, error = %error, "readings not stored");
                }
            }
            let jitter = kernel::spread((&self.source, self.clock.now()));
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(STORE_AGAIN.pause(attempt, jitter)) => {}
            }
        }
    }

    /// Names a refusal in the log, once per topic and minute.
    fn say(&self, topic: &str, reason: &str, said: &mut HashMap<String, Timestamp>) {
        let now = self.clock.now();
        let due = said.get(topic).is_none_or(|last| now.since(*last) >= SAY_AGAIN);
        if !due || (said.len() >= TOPICS_MAX && !said.contains_key(topic)) {
            return;
        }
        let shown = excerpt(topic, 200);
        said.insert(topic.to_owned(), now);
        tracing::warn!(source = %self.source, topic = shown, reason, "message refused");
    }
}
