use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kernel::{Event, EventDraft};
use store::records::Records;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::records::events::Row;
use crate::{Bus, BusError, log};

/// Events committed together at most.
const BATCH: usize = 512;
/// Events that may wait for their commit before posting is refused.
const WAITING_MAX: usize = 8_192;

type Answer = Result<(), Arc<BusError>>;

struct Posting {
    row: Row,
    done: oneshot::Sender<Answer>,
}

/// Events that wait for a common commit. While one batch is being committed, the next gathers.
#[derive(Default)]
pub(crate) struct PostBox {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Posting>,
    /// Whether a [`Committer`] is at work, which takes all that wait.
    committing: bool,
}

impl std::fmt::Debug for PostBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostBox").finish_non_exhaustive()
    }
}

pub(crate) async fn post(bus: &Bus, source: &str, draft: EventDraft) -> Result<Event, BusError> {
    let (event, row) = log::seal(bus, source, draft)?;
    let (done, answer) = oneshot::channel();
    if bus.post_box().put(Posting { row, done })? {
        let committer = Committer::new(bus);
        let records = bus.records().clone();
        // A thread of its own: as a task it would wait its turn behind the very posters it
        // answered, once per statement, and the disk would rest meanwhile.
        drop(tokio::task::spawn_blocking(move || committer.run(&records)));
    }
    // Nobody answers only when the runtime is being shut down.
    match answer.await.unwrap_or(Err(Arc::new(BusError::Interrupted))) {
        Ok(()) => Ok(event),
        Err(source) => Err(BusError::Post { source }),
    }
}

impl PostBox {
    /// Returns whether somebody must begin to commit.
    fn put(&self, posting: Posting) -> Result<bool, BusError> {
        let mut state = self.lock();
        if state.waiting.len() >= WAITING_MAX {
            return Err(BusError::Overloaded { waiting_max: WAITING_MAX });
        }
        state.waiting.push(posting);
        Ok(!std::mem::replace(&mut state.committing, true))
    }

    /// The oldest that wait, in order; when there are none, the committer is done.
    fn take(&self) -> Vec<Posting> {
        let mut state = self.lock();
        state.committing = !state.waiting.is_empty();
        let count = state.waiting.len().min(BATCH);
        state.waiting.drain(..count).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Commits batch after batch until none waits.
struct Committer {
    post_box: Arc<PostBox>,
    runtime: Handle,
    done: bool,
}

impl Committer {
    fn new(bus: &Bus) -> Self {
        Self { post_box: Arc::clone(bus.post_box()), runtime: Handle::current(), done: false }
    }

    fn run(mut self, records: &Records) {
        loop {
            let batch = self.post_box.take();
            if batch.is_empty() {
                self.done = true;
                break;
            }
            let (rows, waiting): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|posting| (posting.row, posting.done)).unzip();
            let outcome = self.runtime.block_on(write(records, rows)).map_err(Arc::new);
            // Waking so many takes a while, in which the next commit can be under way.
            self.runtime.spawn(async move { answer(waiting, &outcome) });
        }
    }
}

impl Drop for Committer {
    /// One that ends before its time, by a panic or with the runtime, leaves the box to the next;
    /// nobody waits for it any longer.
    fn drop(&mut self) {
        if !self.done {
            *self.post_box.lock() = State::default();
        }
    }
}

fn answer(waiting: Vec<oneshot::Sender<Answer>>, outcome: &Answer) {
    for done in waiting {
        // A poster that was cancelled meanwhile hears nothing.
        drop(done.send(outcome.clone()));
    }
}

async fn write(records: &Records, rows: Vec<Row>) -> Result<(), BusError> {
    let tx = records.begin().await?;
    log::append(&tx, rows);
    Ok(tx.commit().await?)
}
