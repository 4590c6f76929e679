use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use kernel::{Event, Timestamp};
use store::records::Tx;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::agent::Handler;
use crate::records::parked::{self, Parked};
use crate::records::{events, progress};
use crate::status::{Handle, chain, shorten};
use crate::{AgentState, Bus, BusError, Filter, HandlerError, Offset, RetryPolicy, letters};

/// Events fetched, and parked deliveries looked at, in one round.
const BATCH: u64 = 64;
/// How long a consumer without work waits when nobody wakes it.
const IDLE: Duration = Duration::from_secs(5);
/// How long at most while something is parked: its time is wall time, which may jump.
const PARKED_POLL: Duration = Duration::from_millis(250);
/// A handler that takes longer is stopped and counts as failed; on SQLite it holds up every writer.
const HANDLER_MAX: Duration = Duration::from_secs(30);
/// Subjects that may have something parked before a consumer reads no further.
const PARKED_SUBJECTS_MAX: i64 = 1_024;
/// Events of other types that are passed before the place is written down.
const PASSED_MAX: i64 = 1_024;

/// A durable consumer: hands events to its handler, each with a transaction of its own.
pub(crate) struct Consumer {
    pub(crate) bus: Bus,
    pub(crate) name: &'static str,
    pub(crate) types: &'static [&'static str],
    pub(crate) handler: Handler,
    pub(crate) policy: RetryPolicy,
    pub(crate) handle: Handle,
    pub(crate) wake: Arc<Notify>,
    pub(crate) stop: CancellationToken,
}

/// Where a consumer stands: `position` in the database, `passed` further on, with nothing for it
/// in between.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    position: Offset,
    passed: Offset,
}

/// Why an attempt failed.
struct Failure {
    error: String,
    poison: bool,
}

impl Consumer {
    /// Works until stopped, or until the database fails.
    pub(crate) async fn run(&self) -> Result<(), BusError> {
        let tx = self.bus.records().begin().await?;
        progress::ensure(tx.conn(), self.name, self.bus.clock().now()).await?;
        tx.commit().await?;
        self.handle.enter(AgentState::Running);
        let mut place = Place::default();
        while !self.stop.is_cancelled() {
            let (parked_work, wait) = self.retry_due().await?;
            let log_work = self.read_on(&mut place).await?;
            if parked_work || log_work {
                continue;
            }
            self.note_passed(&mut place).await?;
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        Ok(())
    }

    /// Tries the parked deliveries that are due. Returns whether there were any, and how long to
    /// wait for the next one otherwise.
    async fn retry_due(&self) -> Result<(bool, Duration), BusError> {
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let heads = parked::heads(self.bus.records().read(), self.name, limit).await?;
        let mut worked = false;
        let mut wait = IDLE;
        for parked in heads {
            if self.stop.is_cancelled() {
                break;
            }
            let pause = self.pause_before(parked.next_at);
            if pause.is_zero() {
                self.retry(&parked).await?;
                worked = true;
            } else {
                wait = wait.min(pause).min(PARKED_POLL);
            }
        }
        Ok((worked, wait))
    }

    /// Zero when due. A time further off than any backoff was written before the clock jumped.
    fn pause_before(&self, due: Timestamp) -> Duration {
        let pause = due.since(self.bus.clock().now());
        if pause > self.policy.backoff.max { Duration::ZERO } else { pause }
    }

    /// Handles the next events of the log. Returns whether there may be more.
    async fn read_on(&self, place: &mut Place) -> Result<bool, BusError> {
        let conn = self.bus.records().read();
        let Some(position) = progress::position(conn, self.name).await? else {
            // Forgotten while running: begin anew, as a new consumer does.
            let tx = self.bus.records().begin().await?;
            progress::ensure(tx.conn(), self.name, self.bus.clock().now()).await?;
            tx.commit().await?;
            *place = Place::default();
            return Ok(true);
        };
        if position != place.position {
            *place = Place { position, passed: position };
        }
        let parked = parked::heads(conn, self.name, PARKED_SUBJECTS_MAX).await?.len();
        if i64::try_from(parked).unwrap_or(i64::MAX) >= PARKED_SUBJECTS_MAX {
            return Ok(false);
        }
        // Read before the events: whatever lies up to here is either among them or not for us.
        let head = events::head(conn).await?;
        if head <= place.passed {
            return Ok(false);
        }
        let found = events::after(conn, place.passed, &self.filter(), BATCH).await?;
        let all = u64::try_from(found.len()).unwrap_or(u64::MAX) < BATCH;
        let any = !found.is_empty();
        for (offset, event) in found {
            if self.stop.is_cancelled() {
                return Ok(true);
            }
            if !self.handle_next(place.position, offset, &event).await? {
                return Ok(true);
            }
            *place = Place { position: offset, passed: offset };
        }
        if all {
            place.passed = place.passed.max(head);
        }
        Ok(any)
    }

    fn filter(&self) -> Filter {
        Filter {
            types: self.types.iter().map(|name| (*name).to_owned()).collect(),
            ..Filter::default()
        }
    }

    /// Writes down how far nothing was for this consumer, so that pruning need not wait for it.
    async fn note_passed(&self, place: &mut Place) -> Result<(), BusError> {
        if place.passed.0.saturating_sub(place.position.0) < PASSED_MAX {
            return Ok(());
        }
        let now = self.bus.clock().now();
        let tx = self.bus.records().begin().await?;
        if progress::advance(tx.conn(), self.name, place.position, place.passed, now).await? {
            tx.commit().await?;
            place.position = place.passed;
        } else {
            tx.rollback().await?;
        }
        Ok(())
    }

    /// Handles one event of the log. False when another process did meanwhile.
    async fn handle_next(
        &self,
        from: Offset,
        offset: Offset,
        event: &Event,
    ) -> Result<bool, BusError> {
        let tx = self.bus.records().begin().await?;
        let now = self.bus.clock().now();
        if !progress::advance(tx.conn(), self.name, from, offset, now).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        if parked::holds(tx.conn(), self.name, &event.subject).await? {
            let parked = waiting(offset, event);
            parked::add(tx.conn(), self.name, &parked, None).await?;
            tx.commit().await?;
            return Ok(true);
        }
        let Err(failure) = self.attempt(event, &tx).await else {
            tx.commit().await?;
            self.handle.handled(1);
            return Ok(true);
        };
        self.abandon(tx).await;
        self.handle.failed(&failure.error);
        let tx = self.bus.records().begin().await?;
        if !progress::advance(tx.conn(), self.name, from, offset, now).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        if let Some(next_at) = self.next_attempt(event, 1, &failure) {
            let parked = Parked { attempts: 1, next_at, ..waiting(offset, event) };
            parked::add(tx.conn(), self.name, &parked, Some(&failure.error)).await?;
            tx.commit().await?;
        } else {
            self.give_up(tx, (offset, event), 1, &failure).await?;
        }
        Ok(true)
    }

    /// Tries a parked delivery once more.
    async fn retry(&self, parked: &Parked) -> Result<(), BusError> {
        let tx = self.bus.records().begin().await?;
        if !parked::take(tx.conn(), self.name, parked).await? {
            tx.rollback().await?;
            return Ok(());
        }
        let Some(event) = events::at(tx.conn(), parked.offset).await? else {
            // Pruning spares what is parked, so somebody removed it by hand.
            tracing::error!(agent = self.name, offset = parked.offset.0, "a parked event is gone");
            return Ok(tx.commit().await?);
        };
        let Err(failure) = self.attempt(&event, &tx).await else {
            tx.commit().await?;
            self.handle.handled(1);
            return Ok(());
        };
        self.abandon(tx).await;
        self.handle.failed(&failure.error);
        let attempts = parked.attempts.saturating_add(1);
        let tx = self.bus.records().begin().await?;
        if let Some(next_at) = self.next_attempt(&event, attempts, &failure) {
            parked::postpone(tx.conn(), self.name, parked, next_at, &failure.error).await?;
            tx.commit().await?;
        } else if parked::take(tx.conn(), self.name, parked).await? {
            self.give_up(tx, (parked.offset, &event), attempts, &failure).await?;
        } else {
            tx.rollback().await?;
        }
        Ok(())
    }

    /// Runs the handler; a panic and a handler that never ends are failures like any other.
    async fn attempt(&self, event: &Event, tx: &Tx) -> Result<(), Failure> {
        let handling = AssertUnwindSafe(async { (self.handler)(event, tx).await }).catch_unwind();
        match tokio::time::timeout(HANDLER_MAX, handling).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(Failure {
                error: chain(&error),
                poison: matches!(error, HandlerError::Poison(_)),
            }),
            Ok(Err(panic)) => Err(Failure { error: panic_text(&*panic), poison: false }),
            Err(_elapsed) => Err(Failure {
                error: format!("the handler took longer than {} s", HANDLER_MAX.as_secs()),
                poison: false,
            }),
        }
    }

    async fn abandon(&self, tx: Tx) {
        if let Err(error) = tx.rollback().await {
            // A transaction that cannot be rolled back was rolled back by the database.
            tracing::warn!(agent = self.name, error = chain(&error), "rolling back failed");
        }
    }

    /// When to try again after `attempts` failed ones; `None` when no further one may help.
    fn next_attempt(&self, event: &Event, attempts: u32, failure: &Failure) -> Option<Timestamp> {
        let again = !failure.poison && attempts <= self.policy.retries_max;
        let jitter = kernel::spread((self.name, event.id, attempts));
        let pause = || self.policy.backoff.pause(attempts, jitter);
        again.then(|| self.bus.clock().now().plus(pause()))
    }

    /// Ends the story of an event in `tx`, which already has it off the agent's hands.
    async fn give_up(
        &self,
        tx: Tx,
        (offset, event): (Offset, &Event),
        attempts: u32,
        failure: &Failure,
    ) -> Result<(), BusError> {
        if !self.policy.dead_letters {
            tracing::error!(
                agent = self.name,
                event = %event.id,
                attempts,
                error = failure.error,
                "an event was thrown away; dead letters are off"
            );
            return Ok(tx.commit().await?);
        }
        letters::bury(&self.bus, &tx, self.name, (offset, event), attempts, &failure.error).await?;
        let tell = !letters::is_about_failure(event) && self.handle.may_tell();
        if tell {
            let failed = crate::coordinator::failed(self.name, "dead_letter", &self.handle)?;
            self.bus.publish(&tx, "bus", failed.caused_by(event)).await?;
        }
        tx.commit().await?;
        if tell {
            self.handle.told();
        }
        metrics::counter!("plainview_dead_letters_total", "agent" => self.name).increment(1);
        Ok(())
    }
}

/// A delivery that waits its turn behind another of its subject.
fn waiting(offset: Offset, event: &Event) -> Parked {
    Parked { offset, subject: event.subject.clone(), attempts: 0, next_at: Timestamp::MIN }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let said = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    shorten(format!("panicked: {said}"))
}
