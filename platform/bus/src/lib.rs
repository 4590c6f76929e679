//! BUS: durable events between stages.
//!
//! An event is published inside its author's transaction and read by agents, each in a
//! transaction of its own: what an agent writes, what it publishes and its own progress commit
//! together. That is how effects happen once.

mod agent;
mod consumer;
mod coordinator;
mod error;
mod letters;
mod log;
mod post;
mod records;
mod status;

use std::sync::Arc;
use std::time::Duration;

use kernel::{Event, EventDraft, SharedClock, Timestamp};
use serde::Serialize;
use store::records::{Migration, Records, Tx};
use tokio::sync::{broadcast, watch};

use crate::records::{events, parked, progress};

pub use agent::{
    Agent, AgentReport, AgentState, HandlerError, RetryPolicy, TaskContext, TaskError,
};
pub use coordinator::Coordinator;
pub use error::BusError;
pub use letters::{DeadLetter, DeadLetterState};
pub use status::Handle;

/// Position of an event in the log. Grows, is never reused; 0 lies before the first event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Offset(pub i64);

/// Which events a reader wants. Empty lists want everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    pub types: Vec<String>,
    pub subjects: Vec<String>,
    pub correlation: Option<kernel::CorrelationId>,
}

/// Events removed in one transaction: few enough that publishers hardly wait.
const PRUNE_BATCH: i64 = 1_000;

/// Unread ephemeral events a subscriber may fall behind before it misses some.
pub(crate) const EPHEMERAL_BACKLOG: usize = 1_024;

/// A handle on the event log; cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus {
    records: Records,
    clock: SharedClock,
    ephemeral: broadcast::Sender<Arc<Event>>,
    nudges: watch::Sender<u64>,
    post_box: Arc<post::PostBox>,
}

impl Bus {
    #[must_use]
    pub fn new(records: Records, clock: SharedClock) -> Self {
        Self {
            records,
            clock,
            ephemeral: broadcast::Sender::new(EPHEMERAL_BACKLOG),
            nudges: watch::Sender::new(0),
            post_box: Arc::default(),
        }
    }

    /// The tables the bus needs: log, agent progress, parked deliveries, dead letters.
    #[must_use]
    pub fn migrations() -> Vec<Migration> {
        records::migrations()
    }

    #[must_use]
    pub fn records(&self) -> &Records {
        &self.records
    }

    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Adds `draft` to the log as part of `tx`: it exists once `tx` commits, and not otherwise.
    /// `source` is the module's name.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn publish(
        &self,
        tx: &Tx,
        source: &str,
        draft: EventDraft,
    ) -> Result<Event, BusError> {
        let (event, row) = log::seal(self, source, draft)?;
        log::append(tx, vec![row]);
        Ok(event)
    }

    /// As [`Bus::publish`], for many at once; all or none are refused.
    ///
    /// # Errors
    /// When one of them is too large or the database refuses it.
    pub async fn publish_all(
        &self,
        tx: &Tx,
        source: &str,
        drafts: impl IntoIterator<Item = EventDraft>,
    ) -> Result<Vec<Event>, BusError> {
        let sealed: Result<Vec<(Event, _)>, BusError> =
            drafts.into_iter().map(|draft| log::seal(self, source, draft)).collect();
        let (events, rows) = sealed?.into_iter().unzip();
        log::append(tx, rows);
        Ok(events)
    }

    /// Publishes a fact that stands alone, in a transaction shared with whatever else is posted
    /// at this moment: durable once this returns. Never call it while holding a [`Tx`].
    ///
    /// # Errors
    /// When the event is too large, too many wait, or the database refuses it.
    pub async fn post(&self, source: &str, draft: EventDraft) -> Result<Event, BusError> {
        post::post(self, source, draft).await
    }

    /// Tells present listeners and keeps nothing: for ticks, never for facts.
    pub fn announce(&self, event: Event) {
        // No listener is no fault.
        drop(self.ephemeral.send(Arc::new(event)));
    }

    /// What [`Bus::announce`] tells from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.ephemeral.subscribe()
    }

    /// Committed events after `after` that pass `filter`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn read(
        &self,
        after: Offset,
        filter: &Filter,
        limit: u64,
    ) -> Result<Vec<(Offset, Event)>, BusError> {
        log::read(self, after, filter, limit).await
    }

    /// As [`Bus::read`], but waits up to `wait` for the first event.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tail(
        &self,
        after: Offset,
        filter: &Filter,
        limit: u64,
        wait: Duration,
    ) -> Result<Vec<(Offset, Event)>, BusError> {
        log::tail(self, after, filter, limit, wait).await
    }

    /// The offset of the last committed event.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn head(&self) -> Result<Offset, BusError> {
        log::head(self).await
    }

    /// Dead letters, newest first; `before` continues a page.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn dead_letters(
        &self,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<DeadLetter>, BusError> {
        letters::list(self, before, limit).await
    }

    /// Puts a dead letter back to its agent, once.
    ///
    /// # Errors
    /// [`BusError::NoSuchLetter`], [`BusError::LetterSettled`] or a database fault.
    pub async fn replay_letter(&self, id: i64) -> Result<DeadLetter, BusError> {
        letters::replay(self, id).await
    }

    /// Sets a dead letter aside for good; it stays readable.
    ///
    /// # Errors
    /// [`BusError::NoSuchLetter`], [`BusError::LetterSettled`] or a database fault.
    pub async fn discard_letter(&self, id: i64, reason: &str) -> Result<DeadLetter, BusError> {
        letters::discard(self, id, reason).await
    }

    /// Puts `agent` back (or forward) to just after `to`: it handles every later event again.
    /// Offset 0 replays everything that is still kept.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn rewind(&self, agent: &str, to: Offset) -> Result<(), BusError> {
        let tx = self.records.begin().await?;
        progress::set(tx.conn(), agent, to, self.clock.now()).await?;
        parked::drop_after(tx.conn(), agent, to).await?;
        tx.commit().await?;
        self.nudge();
        Ok(())
    }

    /// Forgets the progress of an agent that exists no more, so that it holds back no pruning.
    /// False when there was none.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn forget(&self, agent: &str) -> Result<bool, BusError> {
        let tx = self.records.begin().await?;
        let known = progress::forget(tx.conn(), agent).await?;
        parked::drop_after(tx.conn(), agent, Offset(0)).await?;
        tx.commit().await?;
        Ok(known)
    }

    /// Removes events older than `before` that every agent has finished and no dead letter waits
    /// for, in small transactions. Returns how many.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn prune(&self, before: Timestamp) -> Result<u64, BusError> {
        let mut removed = 0;
        loop {
            let tx = self.records.begin().await?;
            let batch = events::prune(tx.conn(), before, PRUNE_BATCH).await?;
            tx.commit().await?;
            removed += batch;
            if batch < PRUNE_BATCH.unsigned_abs() {
                return Ok(removed);
            }
        }
    }

    pub(crate) fn post_box(&self) -> &Arc<post::PostBox> {
        &self.post_box
    }

    pub(crate) fn nudges(&self) -> watch::Receiver<u64> {
        self.nudges.subscribe()
    }

    /// Has the consumers of this process look for work.
    pub(crate) fn nudge(&self) {
        self.nudges.send_modify(|count| *count += 1);
    }
}
