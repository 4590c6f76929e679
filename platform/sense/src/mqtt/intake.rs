use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kernel::{Backoff, Retryable, SharedClock, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::payload;
use super::topics::{TopicKey, TopicTemplate};
use crate::line::KeyMapping;
use crate::rows::excerpt;
use crate::{Delivery, Origin, ReadingSink, Receipt, SenseError, SourceStatus};

/// Messages stored together: one wait for the disk serves them all.
const BATCH_MAX: usize = 4_096;
/// Readings stored together; a batch of large messages is cut here.
const READINGS_MAX: usize = 50_000;
const STORE_AGAIN: Backoff =
    Backoff { first: Duration::from_millis(100), max: Duration::from_secs(5) };
/// A topic's refusals are said once in this time.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Topics whose refusals are remembered; beyond it refusals are only counted.
const TOPICS_MAX: usize = 1_000;
/// Topics whose keys are remembered; when they are more, all are forgotten and learned anew.
const KEYS_MAX: usize = 100_000;

/// One published message; `token` is what its acknowledgement needs.
#[derive(Debug)]
pub struct Message<T> {
    pub topic: Bytes,
    pub payload: Bytes,
    pub retain: bool,
    pub token: T,
}

/// How topics and payloads become readings.
#[derive(Clone, Debug)]
pub struct Mapping {
    templates: Arc<Vec<TopicTemplate>>,
    lines: KeyMapping,
}

impl Mapping {
    /// # Errors
    /// When a topic template cannot be used, or there is none.
    pub fn new(topics: &[String], default_site: &str) -> Result<Self, SenseError> {
        if topics.is_empty() {
            return Err(super::invalid("topics", "none are named"));
        }
        let templates = topics.iter().map(|text| TopicTemplate::parse(text));
        let templates = templates.collect::<Result<Vec<_>, _>>()?;
        let lines = KeyMapping { default_site: default_site.to_owned(), ..KeyMapping::default() };
        Ok(Self { templates: Arc::new(templates), lines })
    }

    pub(super) fn filters(&self) -> impl Iterator<Item = String> {
        self.templates.iter().map(TopicTemplate::filter)
    }

    /// Whether a template is about this topic.
    #[must_use]
    pub fn covers(&self, topic: &str) -> bool {
        self.templates.iter().any(|template| template.read(topic, "").is_some())
    }

    fn key(&self, topic: &str) -> TopicKey {
        self.templates
            .iter()
            .find_map(|template| template.read(topic, &self.lines.default_site))
            .unwrap_or(TopicKey::Unnamed)
    }
}

/// Turns messages into readings, makes them durable, and only then has them acknowledged.
pub struct Intake {
    pub mapping: Mapping,
    pub origin: Origin,
    pub clock: SharedClock,
    pub status: SourceStatus,
    pub sink: Arc<dyn ReadingSink>,
    pub stop: CancellationToken,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").field("mapping", &self.mapping).finish_non_exhaustive()
    }
}

/// Messages that were read and wait for the disk.
struct Batch<T> {
    delivery: Delivery,
    tokens: Vec<T>,
    refused: u64,
}

/// Refusals said lately, by topic.
type Said = HashMap<String, Timestamp>;

impl Intake {
    /// Runs until the channel closes and what it brought is stored, or until it is stopped while
    /// the store is away. Messages are acknowledged in the order in which they came. While one
    /// batch waits for the disk, the next one is read.
    pub async fn run<T>(self, waiting: mpsc::Receiver<Message<T>>, acknowledge: impl FnMut(T)) {
        let (full, ready) = mpsc::channel(1);
        tokio::join!(self.read(waiting, full), self.keep(ready, acknowledge));
    }

    async fn read<T>(&self, mut waiting: mpsc::Receiver<Message<T>>, full: mpsc::Sender<Batch<T>>) {
        let mut said = Said::new();
        let mut keys = HashMap::new();
        let mut messages = Vec::with_capacity(BATCH_MAX);
        while waiting.recv_many(&mut messages, BATCH_MAX).await > 0 {
            self.status.waiting((messages.len() + waiting.len()) as u64);
            let mut batch = self.fresh(messages.len());
            for message in messages.drain(..) {
                self.add(message, &mut batch, &mut keys, &mut said);
                if batch.delivery.readings.len() >= READINGS_MAX {
                    let next = self.fresh(0);
                    if full.send(std::mem::replace(&mut batch, next)).await.is_err() {
                        return;
                    }
                }
            }
            if full.send(batch).await.is_err() {
                return;
            }
        }
    }

    fn add<T>(
        &self,
        message: Message<T>,
        batch: &mut Batch<T>,
        keys: &mut HashMap<Bytes, TopicKey>,
        said: &mut Said,
    ) {
        if !keys.contains_key(&message.topic) {
            if keys.len() >= KEYS_MAX {
                keys.clear();
            }
            let key = match std::str::from_utf8(&message.topic) {
                Ok(topic) => self.mapping.key(topic),
                Err(_) => TopicKey::Wrong("the topic is not UTF-8".to_owned()),
            };
            // A slice of a packet would keep the whole packet in memory.
            keys.insert(Bytes::copy_from_slice(&message.topic), key);
        }
        let now = batch.delivery.received;
        let rows = match keys.get(&message.topic) {
            Some(key) => {
                payload::parse(&message.payload, key, message.retain, &self.mapping.lines, now)
            }
            None => return,
        };
        if let Some(first) = rows.refused.first() {
            batch.refused += rows.refused_total as u64;
            let topic = String::from_utf8_lossy(&message.topic);
            self.say(&topic, &format!("{}: {}", first.field, first.reason), said);
        }
        batch.delivery.readings.extend(rows.readings);
        batch.tokens.push(message.token);
    }

    /// Stores batches one after another and acknowledges what is durable. Ends early when it was
    /// stopped before a batch was durable; nothing of it is acknowledged then.
    async fn keep<T>(&self, mut ready: mpsc::Receiver<Batch<T>>, mut acknowledge: impl FnMut(T)) {
        let mut said = Said::new();
        while let Some(batch) = ready.recv().await {
            let (read, messages) = (batch.delivery.readings.len() as u64, batch.tokens.len());
            let refused = match self.store(batch.delivery, &mut said).await {
                Some(receipt) => receipt.refused.len() as u64,
                None if read > 0 => return,
                None => 0,
            };
            batch.tokens.into_iter().for_each(&mut acknowledge);
            let (stored, now) = (read - refused, self.clock.now());
            self.status.stored(messages as u64, stored, batch.refused + refused, now);
        }
    }

    fn fresh<T>(&self, messages: usize) -> Batch<T> {
        let delivery = Delivery {
            source: self.status.snapshot().id,
            origin: self.origin,
            correlation: None,
            received: self.clock.now(),
            readings: Vec::with_capacity(messages),
        };
        Batch { delivery, tokens: Vec::with_capacity(messages), refused: 0 }
    }

    /// Hands over until it is durable. `None` when there was nothing, or it was stopped while the
    /// store was away.
    async fn store(&self, delivery: Delivery, said: &mut Said) -> Option<Receipt> {
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
                    tracing::warn!(source = %delivery.source, attempt, again, error = %error, "readings not stored");
                }
            }
            let jitter = kernel::spread((&delivery.source, self.clock.now()));
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(STORE_AGAIN.pause(attempt, jitter)) => {}
            }
        }
    }

    /// Names a refusal in the log and in the status, once per topic and minute.
    fn say(&self, topic: &str, reason: &str, said: &mut Said) {
        let now = self.clock.now();
        let due = said.get(topic).is_none_or(|last| now.since(*last) >= SAY_AGAIN);
        if !due || (said.len() >= TOPICS_MAX && !said.contains_key(topic)) {
            return;
        }
        said.insert(topic.to_owned(), now);
        let shown = excerpt(topic, 200);
        self.status.trouble(&format!("`{shown}`: {reason}"), now);
        let source = self.status.snapshot().id;
        tracing::warn!(%source, topic = shown, reason, "message refused");
    }
}
