use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use kernel::SharedClock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::payload;
use super::room::Place;
use super::topics::{TopicKey, TopicTemplate};
use crate::keep::{Keeper, Said};
use crate::line::KeyMapping;
use crate::{Delivery, Origin, ReadingSink, SenseError, SourceStatus};

/// Messages stored together: one wait for the disk serves them all.
const BATCH_MAX: usize = 4_096;
/// Readings stored together; a batch of large messages is cut here.
const READINGS_MAX: usize = 50_000;
/// Topics whose keys are remembered; when they are more, all are forgotten and learned anew.
const KEYS_MAX: usize = 100_000;

/// One published message; `token` is what its acknowledgement needs.
#[derive(Debug)]
pub struct Message<T> {
    pub topic: Bytes,
    pub payload: Bytes,
    pub retain: bool,
    pub token: T,
    /// Its place among those that wait, free once it is read.
    pub place: Option<Place>,
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

    pub(super) fn lines(&self) -> &KeyMapping {
        &self.lines
    }

    pub(super) fn key(&self, topic: &str) -> TopicKey {
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

impl Intake {
    /// Runs until the channel closes and what it brought is stored, or until it is stopped while
    /// the store is away. Messages are acknowledged in the order in which they came. While one
    /// batch waits for the disk, the next one is read.
    pub async fn run<T>(self, waiting: mpsc::Receiver<Message<T>>, acknowledge: impl FnMut(T)) {
        let (full, ready) = mpsc::channel(1);
        let keeper = Keeper::new(&self.status, &self.clock, &self.sink, &self.stop);
        tokio::join!(self.read(waiting, full, &keeper), keep(&keeper, ready, acknowledge));
    }

    async fn read<T>(
        &self,
        mut waiting: mpsc::Receiver<Message<T>>,
        full: mpsc::Sender<Batch<T>>,
        keeper: &Keeper,
    ) {
        let mut said = Said::new();
        let mut keys = HashMap::new();
        let mut messages = Vec::with_capacity(BATCH_MAX);
        while waiting.recv_many(&mut messages, BATCH_MAX).await > 0 {
            self.status.waiting((messages.len() + waiting.len()) as u64);
            let mut batch = self.fresh(messages.len());
            for message in messages.drain(..) {
                let topic = message.topic.clone();
                if let Some(refusal) = self.add(message, &mut batch, &mut keys) {
                    keeper.say(&String::from_utf8_lossy(&topic), &refusal, &mut said);
                }
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

    /// Reads one message; the first refusal in it, if there is one.
    fn add<T>(
        &self,
        message: Message<T>,
        batch: &mut Batch<T>,
        keys: &mut HashMap<Bytes, TopicKey>,
    ) -> Option<String> {
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
        batch.tokens.push(message.token);
        let key = keys.get(&message.topic)?;
        let lines = &self.mapping.lines;
        let rows = payload::parse(&message.payload, key, message.retain, lines, now);
        batch.delivery.readings.extend(rows.readings);
        batch.refused += rows.refused_total as u64;
        rows.refused.first().map(|first| format!("{}: {}", first.field, first.reason))
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
}

/// Stores batches one after another and acknowledges what is durable. Ends early when it was
/// stopped before a batch was durable; nothing of it is acknowledged then.
async fn keep<T>(
    keeper: &Keeper,
    mut ready: mpsc::Receiver<Batch<T>>,
    mut acknowledge: impl FnMut(T),
) {
    let mut said = Said::new();
    while let Some(batch) = ready.recv().await {
        let (read, messages) = (batch.delivery.readings.len() as u64, batch.tokens.len());
        let refused = match keeper.store(batch.delivery, &mut said).await {
            Some(receipt) => receipt.refused.len() as u64,
            None if read > 0 => return,
            None => 0,
        };
        batch.tokens.into_iter().for_each(&mut acknowledge);
        keeper.stored(messages as u64, read - refused, batch.refused + refused);
    }
}
