use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use bus::{Bus, BusError, Filter, Offset};
use kernel::{Backoff, CorrelationId, Event};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

/// Frames a reader may fall behind before it is dropped; it can resume where it stopped.
const BEHIND_MAX: usize = 512;
/// Events read from the log at once.
const BATCH: u64 = 256;
/// How long one wait for the log lasts; it ends earlier with the first event.
const WAIT: Duration = Duration::from_secs(10);
/// One task a process asks, so its pauses need no jitter.
const RETRY: Backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(5) };

/// One event, written once for all readers.
#[derive(Debug)]
pub(super) struct Frame {
    /// `None` for what is only announced and cannot be resumed from.
    pub(super) offset: Option<Offset>,
    kind: String,
    subject: String,
    correlation: CorrelationId,
    pub(super) text: Bytes,
}

impl Frame {
    /// `None` for an event that cannot be written, which is said in the log.
    pub(super) fn new(offset: Option<Offset>, event: &Event) -> Option<Self> {
        let data = serde_json::to_string(event)
            .inspect_err(|error| {
                let error: &dyn std::error::Error = error;
                tracing::error!(error, event = %event.id, "event cannot be written");
            })
            .ok()?;
        let id = offset.map_or_else(String::new, |offset| format!("id: {}\n", offset.0));
        Some(Self {
            offset,
            kind: event.kind.clone(),
            subject: event.subject.clone(),
            correlation: event.correlationid,
            text: Bytes::from(format!("{id}event: {}\ndata: {data}\n\n", event.kind)),
        })
    }

    pub(super) fn passes(&self, filter: &Filter) -> bool {
        let wants = |list: &[String], text: &String| list.is_empty() || list.contains(text);
        wants(&filter.types, &self.kind)
            && wants(&filter.subjects, &self.subject)
            && filter.correlation.is_none_or(|wanted| wanted == self.correlation)
    }
}

/// The one reader of the log that all streams listen to; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    bus: Bus,
    frames: broadcast::Sender<Arc<Frame>>,
    pub(super) places: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
}

impl Hub {
    /// Starts to follow the log; ends when `stop` is cancelled.
    pub(crate) fn start(bus: Bus, streams_max: usize, stop: CancellationToken) -> Self {
        let hub = Self {
            bus,
            frames: broadcast::Sender::new(BEHIND_MAX),
            places: Arc::new(Semaphore::new(streams_max)),
            stop,
        };
        tokio::spawn(hub.clone().follow());
        tokio::spawn(hub.clone().relay());
        hub
    }

    pub(super) async fn head(&self) -> Result<Offset, BusError> {
        self.bus.head().await
    }

    /// Says what the log gains, in order.
    async fn follow(self) {
        let mut after = None;
        let mut failures = 0;
        while !self.stop.is_cancelled() {
            let step = tokio::select! {
                () = self.stop.cancelled() => return,
                step = self.step(after) => step,
            };
            match step {
                Ok(reached) => {
                    after = Some(reached);
                    failures = 0;
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        failures,
                        "event log not read; trying again"
                    );
                    tokio::time::sleep(RETRY.pause(failures, 1.0)).await;
                }
            }
        }
    }

    async fn step(&self, after: Option<Offset>) -> Result<Offset, BusError> {
        let Some(after) = after else { return self.bus.head().await };
        let events = self.bus.tail(after, &Filter::default(), BATCH, WAIT).await?;
        let mut reached = after;
        for (offset, event) in &events {
            self.say(Frame::new(Some(*offset), event));
            reached = *offset;
        }
        Ok(reached)
    }

    /// Says what is announced and not kept.
    async fn relay(self) {
        let mut announced = self.bus.listen();
        loop {
            let event = tokio::select! {
                () = self.stop.cancelled() => return,
                event = announced.recv() => event,
            };
            match event {
                Ok(event) => self.say(Frame::new(None, &event)),
                Err(RecvError::Lagged(missed)) => {
                    metrics::counter!("event_stream_announcements_missed_total").increment(missed);
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn say(&self, frame: Option<Frame>) {
        if let Some(frame) = frame {
            // Nobody listening is no fault.
            drop(self.frames.send(Arc::new(frame)));
        }
    }

    /// Where a reader that was at `cursor` goes on.
    pub(super) fn reader(&self, filter: Filter, cursor: Offset) -> Reader {
        Reader { hub: self.clone(), filter, cursor, place: Place::CatchingUp }
    }
}

#[derive(Debug)]
enum Place {
    /// Far behind: reads the log until little is left.
    CatchingUp,
    /// Listens already and reads the last of the log, so that nothing falls between.
    Joining(broadcast::Receiver<Arc<Frame>>),
    Live(broadcast::Receiver<Arc<Frame>>),
}

/// One stream's way through the log.
#[derive(Debug)]
pub(super) struct Reader {
    hub: Hub,
    filter: Filter,
    /// The last kept event that was said or passed over.
    cursor: Offset,
    place: Place,
}

/// Why a stream ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the reader fell {0} events behind")]
    TooSlow(u64),
    #[error("event log")]
    Log(#[from] BusError),
    #[error("the program stops")]
    Stopped,
}

impl Reader {
    /// The next frames, in order; never empty.
    pub(super) async fn next(&mut self) -> Result<Vec<Bytes>, Ended> {
        loop {
            let frames = match &mut self.place {
                Place::CatchingUp => {
                    let (frames, is_last) = self.read().await?;
                    if is_last {
                        self.place = Place::Joining(self.hub.frames.subscribe());
                    }
                    frames
                }
                Place::Joining(_) => {
                    let (frames, is_last) = self.read().await?;
                    if is_last {
                        self.go_live();
                    }
                    frames
                }
                Place::Live(receiver) => {
                    let frame = receiver.recv().await.map_err(|error| match error {
                        RecvError::Lagged(missed) => Ended::TooSlow(missed),
                        RecvError::Closed => Ended::Stopped,
                    })?;
                    self.take(&frame).into_iter().collect()
                }
            };
            if !frames.is_empty() {
                return Ok(frames);
            }
        }
    }

    fn go_live(&mut self) {
        let place = std::mem::replace(&mut self.place, Place::CatchingUp);
        if let Place::Joining(receiver) = place
            // Too much came in meanwhile: that was not the reader's fault, so it joins again.
            && receiver.len() < BEHIND_MAX
        {
            self.place = Place::Live(receiver);
        }
    }

    /// One batch of the log, and whether it was the last for now.
    async fn read(&mut self) -> Result<(Vec<Bytes>, bool), Ended> {
        let events = self.hub.bus.read(self.cursor, &self.filter, BATCH).await?;
        let is_last = u64::try_from(events.len()).unwrap_or(u64::MAX) < BATCH;
        let mut frames = Vec::with_capacity(events.len());
        for (offset, event) in &events {
            frames.extend(Frame::new(Some(*offset), event).map(|frame| frame.text));
            self.cursor = *offset;
        }
        Ok((frames, is_last))
    }

    fn take(&mut self, frame: &Frame) -> Option<Bytes> {
        if let Some(offset) = frame.offset {
            if offset <= self.cursor {
                return None;
            }
            self.cursor = offset;
        }
        frame.passes(&self.filter).then(|| frame.text.clone())
    }
}
