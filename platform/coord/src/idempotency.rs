use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kernel::{SharedClock, Timestamp};
use store::records::{Records, Tx, with_rider};

use crate::CoordError;
use crate::records::idempotency::{self, Process, Stored};

/// How long a key is remembered.
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// A request under way longer than this belongs to a process that died: longer than any request
/// may take, short enough for a client that keeps trying.
const IN_FLIGHT_MAX: Duration = Duration::from_secs(120);
/// Expired keys are removed at most this often, a batch at a time.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const SWEEP_BATCH: i64 = 1_000;

const KEY_BYTES_MAX: usize = 255;
/// Larger answers are not kept: what repeats them is a `GET`.
const RESPONSE_BYTES_MAX: usize = 4 << 20;

/// What identifies a repeated request: who sent it, where to, and under which key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyedRequest {
    /// Name of the caller's key, so that two clients may choose the same `Idempotency-Key`.
    pub caller: String,
    /// Method and path.
    pub target: String,
    pub key: String,
    /// Hash of the body.
    pub body_hash: Vec<u8>,
}

/// The response to say again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    pub status: u16,
    pub content_type: String,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nobody did this yet; the caller now does and must `finish` or `abandon`.
    New,
    /// Done before: answer this.
    Replay(StoredResponse),
    /// Another request with this key is under way since then.
    InFlight { since: Timestamp },
    /// The key was used with another body.
    Mismatch,
}

/// Idempotency keys, kept for a day.
#[derive(Clone, Debug)]
pub struct Idempotency {
    records: Records,
    clock: SharedClock,
    process: Process,
    /// Monotonic microseconds of the last sweep; `u64::MAX` before the first.
    swept_at: Arc<AtomicU64>,
}

impl Idempotency {
    /// `instance` names the installation, of which one process runs at a time: what an earlier one
    /// left under way, the next may take over at once.
    #[must_use]
    pub fn new(records: Records, clock: SharedClock, instance: &str) -> Self {
        let boot = uuid::Uuid::now_v7().to_string();
        let process = Process { instance: instance.to_owned(), boot };
        Self { records, clock, process, swept_at: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Claims the key of `request`, or says what became of its first use.
    ///
    /// # Errors
    /// When the key is too long or the database cannot be reached.
    pub async fn begin(&self, request: &KeyedRequest) -> Result<Begun, CoordError> {
        if request.key.len() > KEY_BYTES_MAX {
            let bytes = request.key.len();
            return Err(CoordError::TooLong {
                field: "an idempotency key",
                bytes,
                bytes_max: KEY_BYTES_MAX,
            });
        }
        self.sweep_sometimes().await?;
        let now = self.clock.now();
        let times = idempotency::Times {
            now,
            expired: now.minus(KEPT),
            dead: now.minus(IN_FLIGHT_MAX),
            ahead: now.plus(IN_FLIGHT_MAX),
        };
        let tx = self.records.begin().await?;
        let begun = if idempotency::claim(tx.conn(), request, &self.process, times).await? {
            Begun::New
        } else {
            // The failed claim locked the row, so it is still there.
            match idempotency::get(tx.conn(), request).await? {
                Stored { body_hash, .. } if body_hash != request.body_hash => Begun::Mismatch,
                Stored { response: Some(response), .. } => Begun::Replay(response),
                stored if stored.effect && self.is_dead(&stored, times.dead) => {
                    Begun::Replay(lost())
                }
                Stored { since, .. } => Begun::InFlight { since },
            }
        };
        tx.commit().await?;
        Ok(begun)
    }

    fn is_dead(&self, stored: &Stored, dead: Timestamp) -> bool {
        let Process { instance, boot } = &stored.process;
        let restarted = *instance == self.process.instance && *boot != self.process.boot;
        restarted || stored.since <= dead
    }

    /// Does what a claimed `request` asks for. Whatever transactions it commits say so in
    /// themselves: after a crash the request is done again only when nothing of it was committed.
    /// What it changes elsewhere must bear repetition.
    pub async fn perform<F: Future>(&self, request: &KeyedRequest, work: F) -> F::Output {
        let effect = idempotency::effect(self.records.read(), request);
        with_rider(effect, work).await
    }

    /// Keeps the response. When a crash loses it, the effect is not repeated, but the answer to
    /// the repetition says no more than that it was done.
    ///
    /// # Errors
    /// When the response is too large or the database cannot be reached.
    pub async fn finish(
        &self,
        request: &KeyedRequest,
        response: &StoredResponse,
    ) -> Result<(), CoordError> {
        let tx = self.records.begin().await?;
        self.finish_in(&tx, request, response).await?;
        Ok(tx.commit().await?)
    }

    /// Keeps the response as part of `tx`, so that a crash cannot lose it alone.
    ///
    /// # Errors
    /// When the response is too large or the database cannot be reached.
    pub async fn finish_in(
        &self,
        tx: &Tx,
        request: &KeyedRequest,
        response: &StoredResponse,
    ) -> Result<(), CoordError> {
        let bytes = response.body.len();
        if bytes > RESPONSE_BYTES_MAX {
            return Err(CoordError::TooLong {
                field: "a response to keep",
                bytes,
                bytes_max: RESPONSE_BYTES_MAX,
            });
        }
        idempotency::finish(tx.conn(), request, response).await
    }

    /// Frees the key after a failure that changed nothing, so that the client may try again.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn abandon(&self, request: &KeyedRequest) -> Result<(), CoordError> {
        let tx = self.records.begin().await?;
        idempotency::abandon(tx.conn(), request).await?;
        Ok(tx.commit().await?)
    }

    async fn sweep_sometimes(&self) -> Result<(), CoordError> {
        let now = u64::try_from(self.clock.monotonic().as_micros()).unwrap_or(u64::MAX - 1);
        let last = self.swept_at.load(Ordering::Relaxed);
        let recent =
            last != u64::MAX && u128::from(now.saturating_sub(last)) < SWEEP_EVERY.as_micros();
        let mine = !recent
            && self
                .swept_at
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if !mine {
            return Ok(());
        }
        let tx = self.records.begin().await?;
        idempotency::sweep(tx.conn(), self.clock.now().minus(KEPT), SWEEP_BATCH).await?;
        Ok(tx.commit().await?)
    }
}

/// The answer to a request whose effect was committed just before its process died.
fn lost() -> StoredResponse {
    StoredResponse {
        status: 200,
        content_type: "application/json".to_owned(),
        body: br#"{"detail":"done before; the answer was lost in a crash"}"#.to_vec(),
    }
}
