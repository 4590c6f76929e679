//! Readings: an append-only log of columnar batches, sealed into compressed blocks per sensor.

#[cfg(test)]
mod conformance;
pub mod embedded;
mod error;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kernel::{CorrelationId, Quality, SensorKey, Timestamp};
use serde::Serialize;

pub use error::SeriesError;

pub type SharedSeries = Arc<dyn Series>;

/// Stands for one sensor inside one series store; never leaves the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SeriesId(pub u32);

/// Position of a batch in the log. Grows by one for each batch, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Offset(pub u64);

/// Batches in order of their offsets.
pub type Tail = Vec<(Offset, Arc<Batch>)>;

/// Readings that arrived together, column by column. All columns have one length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// When the door received it.
    pub received: Timestamp,
    /// The chain this batch starts, when its sender named one.
    pub correlation: Option<CorrelationId>,
    pub series: Vec<SeriesId>,
    /// Event times, µs UTC.
    pub at: Vec<i64>,
    /// Finite values.
    pub value: Vec<f64>,
    /// [`Quality::to_byte`].
    pub quality: Vec<u8>,
}

impl Batch {
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    pub fn push(&mut self, series: SeriesId, point: Point) {
        self.series.push(series);
        self.at.push(point.at.as_micros());
        self.value.push(point.value);
        self.quality.push(point.quality.to_byte());
    }

    /// The readings that follow each other and are of one sensor.
    pub fn runs(&self) -> impl Iterator<Item = (SeriesId, Range<usize>)> + '_ {
        let mut start = 0;
        self.series.chunk_by(|a, b| a == b).map(move |run| {
            let rows = start..start + run.len();
            start = rows.end;
            (run[0], rows)
        })
    }
}

/// One stored reading of a known sensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub at: Timestamp,
    pub value: f64,
    pub quality: Quality,
}

/// Summary of the readings in `[start, start + width)`. Bad readings are left out of the figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    pub start: Timestamp,
    pub count: u64,
    pub min: f64,
    pub max: f64,
    pub sum: f64,
    pub first: f64,
    pub last: f64,
}

impl Bucket {
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// Summary of the readings of many sensors in `[start, start + width)`. Bad readings are left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aggregate {
    pub start: Timestamp,
    pub count: u64,
    pub min: f64,
    pub max: f64,
    pub sum: f64,
}

impl Aggregate {
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// A stretch of event time, start included, end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// What the store says about itself, for health pages and limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SeriesStatus {
    pub sensors: u64,
    /// Readings in the store. One that was replaced counts until the two are merged.
    pub readings: u64,
    /// Offset of the last durable batch.
    pub last: Offset,
    /// Batches not yet sealed into blocks.
    pub unsealed: u64,
    pub bytes_on_disk: u64,
    /// Blocks that failed their checksum and are no longer served.
    pub quarantined: u64,
    /// The newest of them, oldest first, at most [`DAMAGE_LISTED_MAX`].
    pub damage: Vec<Damage>,
    /// Ids of those of which nothing is in service any more: the sound part of their files was
    /// copied, and everything that is served was read since without finding them.
    pub damage_over: Vec<u64>,
    /// Each reader that holds the log back, with the offset it has finished.
    pub held: BTreeMap<String, u64>,
    /// `None` when appends succeed; otherwise why they do not.
    pub fault: Option<String>,
}

/// A piece of storage that failed its checksum and is no longer served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Grows with each find; never used twice by one store.
    pub id: u64,
    /// The file, below the store's directory.
    pub file: String,
    /// Where in the file; `None` for all of it.
    pub place: Option<u64>,
    /// First and last sensor that may have lost readings; `None` when that is not known.
    pub series: Option<(SeriesId, SeriesId)>,
    /// The stretch of event time that the lost readings are from.
    pub from: Timestamp,
    pub to: Timestamp,
    pub reason: String,
    pub found: Timestamp,
}

/// A value put right after the fact.
#[derive(Clone, Debug, PartialEq)]
pub struct Correction {
    pub at: Timestamp,
    pub value: f64,
    /// Who corrected it, and why; both kept in the audit trail.
    pub actor: String,
    pub reason: String,
}

/// One entry of a sensor's audit trail: a correction, or a late reading that replaced another.
#[derive(Clone, Debug, PartialEq)]
pub struct Corrected {
    pub at: Timestamp,
    pub before: Option<f64>,
    pub after: f64,
    pub actor: String,
    pub reason: String,
    pub recorded: Timestamp,
}

/// The contract of a series store.
///
/// - **Durable:** `append` returns only once the batch survives `kill -9` and power loss.
/// - **Ordered:** offsets grow by one per batch; `tail` returns batches in that order, each whole.
/// - **Last writer wins:** of two readings with the same sensor and event time, the one with the
///   higher offset is served, before and after sealing. A retried batch therefore changes nothing.
/// - **Late is welcome:** a reading lands at its event time; `latest` is by event time, so a late
///   one never rewrites it.
/// - **Corrupt is never served:** a block that fails its checksum is quarantined and counted.
/// - **Bounded:** the log keeps what a held reader has not finished, up to a named limit.
pub trait Series: Send + Sync {
    /// Gives each key its id, durably making new ones. Same key, same id, for ever.
    fn register<'a>(
        &'a self,
        keys: &'a [SensorKey],
    ) -> BoxFuture<'a, Result<Vec<SeriesId>, SeriesError>>;

    /// Every known sensor.
    fn keys(&self) -> BoxFuture<'_, Result<Vec<(SeriesId, SensorKey)>, SeriesError>>;

    /// Stores the batch and returns its offset once it is durable.
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Offset, SeriesError>>;

    /// Up to `max` batches after `after`; waits up to `wait` for the first one, then returns
    /// what there is, perhaps nothing. Fails with [`SeriesError::Truncated`] when the log no
    /// longer reaches back that far.
    fn tail(
        &self,
        after: Offset,
        max: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Tail, SeriesError>>;

    /// Tells that `reader` has finished everything up to `done`; the log keeps what comes after,
    /// across a restart too. Without any held reader the log keeps only what is not sealed.
    fn hold<'a>(&'a self, reader: &'a str, done: Offset) -> BoxFuture<'a, Result<(), SeriesError>>;

    /// The readings of one sensor in order of event time, at most `limit`.
    fn range(
        &self,
        id: SeriesId,
        span: Span,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Point>, SeriesError>>;

    /// The readings of one sensor, summarised into buckets of `width` aligned to the epoch.
    /// Readings outside `span` do not count, though their bucket may; buckets without a reading
    /// that is not bad are left out. At most [`BUCKETS_MAX`]; a width below 1 µs is too many.
    fn buckets(
        &self,
        id: SeriesId,
        span: Span,
        width: Duration,
    ) -> BoxFuture<'_, Result<Vec<Bucket>, SeriesError>>;

    /// The readings of all these sensors together, summarised into buckets as in
    /// [`Series::buckets`]. A sensor named twice counts once.
    fn aggregate<'a>(
        &'a self,
        ids: &'a [SeriesId],
        span: Span,
        width: Duration,
    ) -> BoxFuture<'a, Result<Vec<Aggregate>, SeriesError>>;

    /// The reading with the greatest event time of each sensor asked for.
    fn latest<'a>(
        &'a self,
        ids: &'a [SeriesId],
    ) -> BoxFuture<'a, Result<Vec<Option<Point>>, SeriesError>>;

    /// Puts a value right and keeps what it replaced. The corrected reading is stored as
    /// uncertain, entered by a person.
    fn correct(
        &self,
        id: SeriesId,
        correction: Correction,
    ) -> BoxFuture<'_, Result<Offset, SeriesError>>;

    /// The audit trail of one sensor, newest first, at most `limit`. A correction is listed at
    /// once; a late reading that replaced another with a different value, once it is sealed.
    fn corrections(
        &self,
        id: SeriesId,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Corrected>, SeriesError>>;

    /// Removes every whole UTC day before `before`; returns how many days went. A sensor that
    /// has nothing left has no latest reading.
    fn retain(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, SeriesError>>;

    fn status(&self) -> BoxFuture<'_, Result<SeriesStatus, SeriesError>>;
}

/// Most buckets one question may ask for.
pub const BUCKETS_MAX: usize = 20_000;
/// Most damaged places that a status lists; the others are only counted.
pub const DAMAGE_LISTED_MAX: usize = 256;
