//! [`Series`] as the embedded store keeps it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kernel::{Quality, Reason, SensorKey, Timestamp};

use super::log::AuditRow;
use super::memory::{lock, read, weight};
use super::writer::{Command, Fault};
use super::{BATCH_READINGS_MAX, Embedded, Request, SENSORS_MAX, Shared};
use super::{UNSEALED_FACTOR_MAX, checked, codec, read as answers};
use crate::series::{
    Aggregate, Batch, Bucket, Corrected, Correction, Offset, Point, Series, SeriesError, SeriesId,
    SeriesStatus, Span, Tail,
};

/// Bytes of readings in one answer to a follower, whatever it asked for.
const TAIL_BYTES_MAX: usize = 16 << 20;
/// Batches in one answer to a follower.
const TAIL_BATCHES_MAX: usize = 4_096;
/// Readers that may hold the log back.
const READERS_MAX: usize = 256;

impl Series for Embedded {
    fn register<'a>(
        &'a self,
        keys: &'a [SensorKey],
    ) -> BoxFuture<'a, Result<Vec<SeriesId>, SeriesError>> {
        async move {
            let (found, fresh) = {
                let registry = read(&self.shared.registry);
                let found: Option<Vec<_>> = keys.iter().map(|key| registry.id(key)).collect();
                let fresh = keys.iter().filter(|key| registry.id(key).is_none());
                (found, fresh.collect::<HashSet<_>>().len() + registry.len())
            };
            if let Some(ids) = found {
                return Ok(ids);
            }
            if fresh > SENSORS_MAX {
                return Err(SeriesError::Full {
                    reason: format!("{SENSORS_MAX} sensors are the most"),
                });
            }
            self.ask(0, |reply| Command::Register { keys: keys.to_vec(), reply }).await
        }
        .boxed()
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<(SeriesId, SensorKey)>, SeriesError>> {
        async move {
            let registry = read(&self.shared.registry);
            let keys = registry.keys.iter().enumerate();
            Ok(keys.map(|(id, key)| (SeriesId(id as u32), key.clone())).collect())
        }
        .boxed()
    }

    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Offset, SeriesError>> {
        self.store(batch, None).boxed()
    }

    fn tail(
        &self,
        after: Offset,
        max: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Tail, SeriesError>> {
        self.follow(after, max, wait).boxed()
    }

    fn hold<'a>(&'a self, reader: &'a str, done: Offset) -> BoxFuture<'a, Result<(), SeriesError>> {
        async move {
            {
                let mut held = lock(&self.shared.held);
                if let Some(known) = held.get_mut(reader) {
                    // Written down before the next truncation; until then an older place is
                    // only more careful.
                    *known = done.0;
                    return Ok(());
                }
                if held.len() >= READERS_MAX {
                    return Err(SeriesError::Full {
                        reason: format!("{READERS_MAX} held readers are the most"),
                    });
                }
            }
            let reader = reader.to_owned();
            self.ask(0, |reply| Command::Hold { reader, done, reply }).await
        }
        .boxed()
    }

    fn range(
        &self,
        id: SeriesId,
        span: Span,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Point>, SeriesError>> {
        self.blocking(move |shared| {
            shared.known(id)?;
            answers::range(shared, id, span, limit)
        })
        .boxed()
    }

    fn buckets(
        &self,
        id: SeriesId,
        span: Span,
        width: Duration,
    ) -> BoxFuture<'_, Result<Vec<Bucket>, SeriesError>> {
        self.blocking(move |shared| {
            shared.known(id)?;
            answers::buckets(shared, id, span, width)
        })
        .boxed()
    }

    fn aggregate<'a>(
        &'a self,
        ids: &'a [SeriesId],
        span: Span,
        width: Duration,
    ) -> BoxFuture<'a, Result<Vec<Aggregate>, SeriesError>> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        self.blocking(move |shared| {
            ids.iter().try_for_each(|id| shared.known(*id))?;
            answers::aggregate(shared, &ids, span, width)
        })
        .boxed()
    }

    fn latest<'a>(
        &'a self,
        ids: &'a [SeriesId],
    ) -> BoxFuture<'a, Result<Vec<Option<Point>>, SeriesError>> {
        async move {
            ids.iter().try_for_each(|id| self.shared.known(*id))?;
            let memory = read(&self.shared.memory);
            Ok(ids.iter().map(|id| memory.latest(*id).map(super::block::Slot::point)).collect())
        }
        .boxed()
    }

    fn correct(
        &self,
        id: SeriesId,
        correction: Correction,
    ) -> BoxFuture<'_, Result<Offset, SeriesError>> {
        async move {
            let at = correction.at;
            let before = self
                .blocking(move |shared| {
                    shared.known(id)?;
                    answers::at(shared, id, at)
                })
                .await?;
            let now = self.shared.clock.now();
            let mut batch = Batch { received: now, ..Batch::default() };
            let quality = Quality::Uncertain(Reason::Manual);
            batch.push(id, Point { at, value: correction.value, quality });
            let entry = Corrected {
                at,
                before,
                after: correction.value,
                actor: correction.actor,
                reason: correction.reason,
                recorded: now,
            };
            self.store(batch, Some(AuditRow { series: id, offset: Offset(0), entry })).await
        }
        .boxed()
    }

    fn corrections(
        &self,
        id: SeriesId,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Corrected>, SeriesError>> {
        self.blocking(move |shared| {
            shared.known(id)?;
            shared.with_log(|log| log.audited(id, limit))
        })
        .boxed()
    }

    fn retain(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, SeriesError>> {
        let before = answers::first_kept_day(before);
        self.request(move |reply| Request::Retain { before, reply }).boxed()
    }

    fn status(&self) -> BoxFuture<'_, Result<SeriesStatus, SeriesError>> {
        self.blocking(|shared| {
            let last = *shared.last.borrow();
            let lost = shared.lost_batches.load(Relaxed);
            let sealed = Offset(shared.sealed.load(Relaxed));
            let unsealed = read(&shared.memory).points_after(sealed) as u64;
            Ok(SeriesStatus {
                readings: shared.days.readings() + unsealed,
                sensors: read(&shared.registry).len() as u64,
                last,
                unsealed: last.0.saturating_sub(sealed.0),
                bytes_on_disk: bytes_in(&shared.options.dir)? + bytes_in(shared.days.dir())?,
                quarantined: shared.days.quarantined() + lost,
                damage: shared.days.damage(),
                damage_over: shared.days.over(),
                held: lock(&shared.held).clone(),
                fault: lock(&shared.fault).as_ref().map(|fault| fault.reason().to_owned()),
            })
        })
        .boxed()
    }
}

impl Embedded {
    async fn store(&self, batch: Batch, audit: Option<AuditRow>) -> Result<Offset, SeriesError> {
        self.check(&batch)?;
        self.has_room()?;
        let bytes = codec::encode(&batch);
        let (batch, audit) = (Arc::new(batch), audit.map(Box::new));
        self.ask(bytes.len(), |reply| Command::Append { batch, bytes, audit, reply }).await
    }

    fn check(&self, batch: &Batch) -> Result<(), SeriesError> {
        let (series, at) = (batch.series.len(), batch.at.len());
        let (value, quality) = (batch.value.len(), batch.quality.len());
        if series != at || series != value || series != quality {
            return Err(SeriesError::Ragged { series, at, value, quality });
        }
        if series > BATCH_READINGS_MAX {
            let reason = format!("a batch holds at most {BATCH_READINGS_MAX} readings");
            return Err(SeriesError::Full { reason });
        }
        if let Some(value) = batch.value.iter().copied().find(|value| !value.is_finite()) {
            return Err(SeriesError::NotFinite { value });
        }
        let possible = |at: &i64| Timestamp::from_micros(*at).is_representable();
        if let Some(at) = batch.at.iter().copied().find(|at| !possible(at)) {
            return Err(SeriesError::TimeOutOfRange { at });
        }
        let highest = batch.series.iter().max().copied();
        highest.map_or(Ok(()), |id| self.shared.known(id))
    }

    fn has_room(&self) -> Result<(), SeriesError> {
        let shared = &*self.shared;
        if let Some(fault @ Fault::Failed(_)) = &*lock(&shared.fault) {
            return Err(fault.error());
        }
        let most = shared.options.seal_points.saturating_mul(UNSEALED_FACTOR_MAX);
        if shared.unsealed_points.load(Relaxed) > most {
            shared.sealer_bell.ring();
            let waiting = shared.last.borrow().0.saturating_sub(shared.sealed.load(Relaxed));
            return Err(SeriesError::Busy { waiting: waiting as usize });
        }
        let bytes = shared.log_bytes.load(Relaxed);
        if bytes > shared.options.log_bytes_max.saturating_mul(2) {
            shared.sealer_bell.ring();
            let reason = format!("the log holds {bytes} bytes that could not be sealed");
            return Err(SeriesError::Full { reason });
        }
        Ok(())
    }

    async fn follow(&self, after: Offset, max: usize, wait: Duration) -> Result<Tail, SeriesError> {
        let mut last = self.shared.last.subscribe();
        let grown = last.wait_for(|last| *last > after);
        // Nothing in time is an answer too.
        if tokio::time::timeout(wait, grown).await.is_err() && *self.shared.last.borrow() <= after {
            return Ok(Vec::new());
        }
        let max = max.min(TAIL_BATCHES_MAX);
        let near = lock(&self.shared.ring).after(after, max);
        if let Some(mut batches) = near {
            shorten(&mut batches);
            return Ok(batches);
        }
        let batches = self.blocking(move |shared| from_log(shared, after, max)).await?;
        if batches.is_empty() {
            // Everything after `after` is damaged: wait for more, or the caller would ask in a
            // tight loop.
            drop(tokio::time::timeout(wait, last.changed()).await);
        }
        Ok(batches)
    }
}

pub(super) fn from_log(shared: &Shared, after: Offset, max: usize) -> Result<Tail, SeriesError> {
    let mut batches = Vec::new();
    let mut bytes = 0;
    shared.with_log(|log| {
        log.scan(after, |offset, crc, data| {
            if batches.len() >= max {
                return false;
            }
            match checked(offset, crc, data) {
                Ok(batch) => {
                    bytes += weight(&batch);
                    batches.push((offset, Arc::new(batch)));
                }
                Err(error) => {
                    tracing::error!(offset = offset.0, %error, "a batch of the log is damaged; it is not served");
                }
            }
            bytes < TAIL_BYTES_MAX
        })
    })?;
    // Looked at afterwards: what was truncated while reading is missed no more than before.
    let oldest = Offset(shared.truncated.load(Relaxed));
    let first = batches.first().map_or(u64::MAX, |(offset, _): &(Offset, _)| offset.0);
    if after < oldest && first > after.0 + 1 {
        return Err(SeriesError::Truncated { wanted: after, oldest });
    }
    Ok(batches)
}

/// Keeps one answer to a follower within bounds; the first batch always stays.
fn shorten(batches: &mut Tail) {
    let mut bytes = 0;
    let fits = batches.iter().take_while(|(_, batch)| {
        let fits = bytes < TAIL_BYTES_MAX;
        bytes += weight(batch);
        fits
    });
    let keep = fits.count();
    batches.truncate(keep);
}

/// The size of the files in one directory.
fn bytes_in(dir: &Path) -> Result<u64, SeriesError> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        match entry?.metadata() {
            Ok(metadata) if metadata.is_file() => bytes += metadata.len(),
            Ok(_) => {}
            // A write-ahead log may go while we look.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}
