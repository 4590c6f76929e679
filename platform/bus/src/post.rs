use std::sync::{Arc, Mutex, PoisonError};

use kernel::{Event, EventDraft};
use store::records::Records;
use tokio::sync::oneshot;

use crate::{Bus, BusError, log};

/// Events committed together at most.
const BATCH: usize = 512;
/// Events that may wait for their commit before posting is refused.
const WAITING_MAX: usize = 8_192;

struct Posting {
    event: Event,
    done: oneshot::Sender<Result<(), Arc<BusError>>>,
}

/// Events that wait for a common commit, and the baton of whoever makes it.
///
/// There is no task behind it: the first poster that holds the baton commits for all that wait,
/// and while it does the next batch gathers.
#[derive(Default)]
pub(crate) struct PostBox {
    waiting: Mutex<Vec<Posting>>,
    baton: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for PostBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostBox").finish_non_exhaustive()
    }
}

pub(crate) async fn post(bus: &Bus, source: &str, draft: EventDraft) -> Result<Event, BusError> {
    let event = log::seal(bus, source, draft)?;
    let (done, mut outcome) = oneshot::channel();
    bus.post_box().put(Posting { event: event.clone(), done })?;
    loop {
        let settled = tokio::select! {
            biased;
            settled = &mut outcome => settled,
            _baton = bus.post_box().baton.lock() => {
                let batch = bus.post_box().take();
                // A task of its own: a poster that is cancelled must not take the others with it.
                drop(tokio::spawn(commit(bus.records().clone(), batch)).await);
                continue;
            }
        };
        // Nobody answers only when the runtime is being shut down.
        return match settled.unwrap_or(Err(Arc::new(BusError::Interrupted))) {
            Ok(()) => Ok(event),
            Err(source) => Err(BusError::Post { source }),
        };
    }
}

async fn commit(records: Records, batch: Vec<Posting>) {
    let (events, waiting): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|posting| (posting.event, posting.done)).unzip();
    let outcome = write(&records, &events).await.map_err(Arc::new);
    for done in waiting {
        // A poster that was cancelled meanwhile hears nothing.
        drop(done.send(outcome.clone()));
    }
}

async fn write(records: &Records, events: &[Event]) -> Result<(), BusError> {
    if events.is_empty() {
        return Ok(());
    }
    let tx = records.begin().await?;
    log::append(&tx, events);
    Ok(tx.commit().await?)
}

impl PostBox {
    fn put(&self, posting: Posting) -> Result<(), BusError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            return Err(BusError::Overloaded { waiting_max: WAITING_MAX });
        }
        waiting.push(posting);
        Ok(())
    }

    /// The oldest that wait, in order.
    fn take(&self) -> Vec<Posting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(BATCH);
        waiting.drain(..count).collect()
    }
}
