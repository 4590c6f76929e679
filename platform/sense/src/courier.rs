//! Readings on their way from a connector that cannot ask its peer to wait.

use std::sync::Arc;

use kernel::{Reading, SharedClock};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::keep::{Keeper, Said};
use crate::{Delivery, Origin, ReadingSink, SourceStatus};

/// Deliveries that wait while the store is away; beyond it the newest are left out, and counted.
const DELIVERIES_MAX: usize = 512;

/// The connector's end. Sending never waits.
pub struct Courier {
    status: SourceStatus,
    clock: SharedClock,
    origin: Origin,
    queue: mpsc::Sender<Parcel>,
    left_out: u64,
}

struct Parcel {
    delivery: Delivery,
    refused: u64,
}

/// The store's end.
pub struct Waiting(mpsc::Receiver<Parcel>);

impl Courier {
    #[must_use]
    pub fn new(status: &SourceStatus, clock: &SharedClock, origin: Origin) -> (Self, Waiting) {
        let (queue, waiting) = mpsc::channel(DELIVERIES_MAX);
        let (status, clock) = (status.clone(), Arc::clone(clock));
        (Self { status, clock, origin, queue, left_out: 0 }, Waiting(waiting))
    }

    /// Waits until another delivery finds room: for those who can take their time, as when they
    /// read what a server kept.
    pub async fn room(&self) {
        // A store's end that is gone makes no room; sending finds out.
        drop(self.queue.reserve().await);
    }

    /// Sends readings off, with the number of those that could not even be read.
    pub fn send(&mut self, readings: Vec<Reading>, refused: u64) {
        if readings.is_empty() && refused == 0 {
            return;
        }
        let received = self.clock.now();
        let source = self.status.snapshot().id;
        let count = readings.len() as u64;
        let delivery =
            Delivery { source, origin: self.origin, correlation: None, received, readings };
        if self.queue.try_send(Parcel { delivery, refused }).is_err() {
            self.left_out += count;
            self.status.trouble("the store is away for too long; readings are left out", received);
            self.status.detail("readings left out", self.left_out.to_string());
        }
        let waiting = self.queue.max_capacity() - self.queue.capacity();
        self.status.waiting(waiting as u64);
    }
}

/// Hands over what comes until the connector's end is dropped, or until it is stopped while the
/// store is away.
pub async fn carry(
    mut waiting: Waiting,
    status: &SourceStatus,
    clock: &SharedClock,
    sink: Arc<dyn ReadingSink>,
    stop: CancellationToken,
) {
    let keeper = Keeper::new(status, clock, &sink, &stop);
    let mut said = Said::default();
    while let Some(Parcel { delivery, refused }) = waiting.0.recv().await {
        let receipt = keeper.store(delivery, &mut said).await.unwrap_or_default();
        keeper.stored(1, receipt.accepted as u64, refused + receipt.refused.len() as u64);
    }
}
