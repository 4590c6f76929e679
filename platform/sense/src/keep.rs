use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kernel::{Backoff, Retryable, SharedClock, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::rows::excerpt;
use crate::{Delivery, ReadingSink, Receipt, SourceStatus};

const STORE_AGAIN: Backoff =
    Backoff { first: Duration::from_millis(100), max: Duration::from_secs(5) };
/// A topic's refusals are said once in this time.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Topics whose refusals are remembered; beyond it refusals are only counted.
const TOPICS_MAX: usize = 1_000;

/// Refusals said lately, by topic.
pub(crate) type Said = HashMap<String, Timestamp>;

/// Hands deliveries of one source to the sink until they are durable.
pub(crate) struct Keeper {
    status: SourceStatus,
    clock: SharedClock,
    sink: Arc<dyn ReadingSink>,
    stop: CancellationToken,
}

impl Keeper {
    pub(crate) fn new(
        status: &SourceStatus,
        clock: &SharedClock,
        sink: &Arc<dyn ReadingSink>,
        stop: &CancellationToken,
    ) -> Self {
        Self {
            status: status.clone(),
            clock: Arc::clone(clock),
            sink: Arc::clone(sink),
            stop: stop.clone(),
        }
    }

    /// Hands over until it is durable. `None` when there was nothing, or it was stopped while the
    /// store was away.
    pub(crate) async fn store(&self, delivery: Delivery, said: &mut Said) -> Option<Receipt> {
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
    pub(crate) fn say(&self, topic: &str, reason: &str, said: &mut Said) {
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

    /// Counts what was stored.
    pub(crate) fn stored(&self, messages: u64, readings: u64, refused: u64) {
        self.status.stored(messages, readings, refused, self.clock.now());
    }
}
