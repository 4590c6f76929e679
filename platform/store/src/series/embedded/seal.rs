//! Moves readings from the log into blocks, in the background.
//!
//! A pass takes everything up to one offset, writes it into the day files, each in one
//! transaction that also records that offset, and only then moves the log's watermark. After a
//! crash in between, the next pass finds in each day file how far it came and skips that much.
//! The blocks of one sensor in one day never overlap: readings that fall into a block are merged
//! into it, so a reader needs no rule for which block wins.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use kernel::Timestamp;
use tokio::sync::oneshot;

use super::block::{BLOCK_POINTS, BLOCK_POINTS_SMALL, Columns, Slot};
use super::day::{DayWriter, Replaced, day_of};
use super::log::AuditRow;
use super::memory::{Frozen, in_order, lock, read, write};
use super::writer::{Command, Reply, cause};
use super::{CHECKPOINT_BYTES, Shared};
use crate::series::{Corrected, Offset, SeriesError, SeriesId};

/// How often the sealer looks for work that nobody rang for.
const TICK: Duration = Duration::from_millis(200);
/// A failed pass is tried again after this; a full disk may have room by then.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Rows per command to the writer: one command must not hold up an append.
const LEARNT_ROWS: usize = 1_000;
/// Between two steps of truncation, so that appends get their turn.
const TRUNCATE_PAUSE: Duration = Duration::from_millis(2);
/// A log with less than this in it is idle enough to give its room back.
const SHRINK_BELOW_BYTES: u64 = 1 << 20;
/// Sensors sealed between two rests.
const PACE_SENSORS: usize = 64;
/// A paced pass rests for work / this.
const PACE_REST: u32 = 4;
/// Late readings noted per pass; a flood of them is counted, not listed.
const REPLACED_MAX: usize = 10_000;
/// What the audit trail says of a reading that replaced another on its own.
pub(super) const LATE_ACTOR: &str = "ingest";
pub(super) const LATE_REASON: &str = "late reading with a different value";

/// Work that somebody waits for.
pub(super) enum Request {
    Seal {
        reply: Reply<()>,
    },
    /// Seals everything, then removes the files of every day before this one.
    Retain {
        before: i64,
        reply: Reply<u64>,
    },
}

pub(super) struct Sealer {
    shared: Arc<Shared>,
    commands: SyncSender<Command>,
    /// When the oldest unsealed batch was first seen.
    waiting_since: Option<Duration>,
    retry_at: Option<Duration>,
    /// The truncation after which the log was last made smaller.
    shrunk: u64,
}

impl Sealer {
    pub(super) fn new(shared: Arc<Shared>, commands: SyncSender<Command>) -> Self {
        Self { shared, commands, waiting_since: None, retry_at: None, shrunk: 0 }
    }

    pub(super) fn run(mut self) {
        while !self.shared.sealer_bell.wait(TICK) {
            self.tick();
        }
    }

    fn tick(&mut self) {
        let requests = std::mem::take(&mut *lock(&self.shared.requests));
        let mut outcome = Ok(());
        if !requests.is_empty() || self.is_due() {
            outcome = self.pass();
            if outcome.is_ok() && !requests.is_empty() {
                // The first pass may have been an earlier one taken up again.
                outcome = self.pass();
            }
            let now = self.shared.clock.monotonic();
            self.waiting_since = None;
            self.retry_at = outcome.is_err().then(|| now + RETRY_PAUSE);
        }
        let tidied =
            self.report_damage().and_then(|()| self.truncate()).and_then(|()| self.shrink());
        for error in [outcome.as_ref().err(), tidied.as_ref().err()].into_iter().flatten() {
            tracing::error!(error = cause(error), "sealing readings");
        }
        for request in requests {
            self.answer(request, &outcome);
        }
    }

    fn is_due(&mut self) -> bool {
        let now = self.shared.clock.monotonic();
        if self.retry_at.is_some_and(|at| now < at) {
            return false;
        }
        let options = &self.shared.options;
        let (points, applied) = {
            let memory = read(&self.shared.memory);
            (memory.active_points(), memory.applied())
        };
        if applied.0 <= self.shared.sealed.load(Relaxed) {
            self.waiting_since = None;
            return false;
        }
        let since = *self.waiting_since.get_or_insert(now);
        self.retry_at.is_some()
            || points >= options.seal_points
            || now.saturating_sub(since) >= options.seal_age
            || self.shared.log_bytes.load(Relaxed) >= options.log_bytes_max
    }

    fn answer(&self, request: Request, outcome: &Result<(), SeriesError>) {
        let failed = |error: &SeriesError| SeriesError::Failed { reason: cause(error) };
        match request {
            Request::Seal { reply } => {
                drop(reply.send(outcome.as_ref().copied().map_err(failed)));
            }
            Request::Retain { before, reply } => {
                let removed = match outcome {
                    Ok(()) => self.retain(before),
                    Err(error) => Err(failed(error)),
                };
                drop(reply.send(removed));
            }
        }
    }

    fn pass(&self) -> Result<(), SeriesError> {
        let started = Instant::now();
        let sealed = Offset(self.shared.sealed.load(Relaxed));
        let frozen = write(&self.shared.memory).freeze();
        if frozen.through > sealed {
            self.seal(&frozen, sealed)?;
        }
        let thawed = {
            let mut memory = write(&self.shared.memory);
            let thawed = memory.thaw();
            self.shared.unsealed_points.store(memory.points(), Relaxed);
            thawed
        };
        // Freed outside the lock: it is many allocations.
        drop(thawed);
        metrics::counter!("series_sealed_readings_total").increment(frozen.runs.points as u64);
        metrics::histogram!("series_seal_seconds").record(started.elapsed().as_secs_f64());
        Ok(())
    }

    fn seal(&self, frozen: &Frozen, sealed: Offset) -> Result<(), SeriesError> {
        let mut replaced = BTreeMap::new();
        let runs = self.ordered(frozen, &mut replaced);
        let mut days: BTreeMap<i64, Vec<(usize, Range<usize>)>> = BTreeMap::new();
        for (index, (_, run)) in runs.iter().enumerate() {
            let mut start = 0;
            while let Some(slot) = run.get(start) {
                let day = day_of(slot.at);
                let end = start + run[start..].partition_point(|slot| day_of(slot.at) == day);
                days.entry(day).or_default().push((index, start..end));
                start = end;
            }
        }
        let mut audit = Vec::new();
        for (day, parts) in days {
            let parts: Vec<_> = parts
                .into_iter()
                .map(|(index, range)| (runs[index].0, &runs[index].1[range]))
                .collect();
            let replaced = replaced.remove(&day).unwrap_or_default();
            let part = DayPart { day, parts, replaced, sealed, through: frozen.through };
            audit.extend(self.seal_day(&part)?);
        }
        self.shared.faults.at_watermark()?;
        let latest: Vec<_> = {
            let memory = read(&self.shared.memory);
            let known = |(series, _): &(u32, _)| {
                memory.latest(SeriesId(*series)).map(|slot| (*series, Some(slot)))
            };
            runs.iter().filter_map(known).collect()
        };
        self.learn(latest, audit)?;
        self.ask(|reply| Command::Sealed { through: frozen.through, reply })
    }

    /// Every sensor's readings in order of time; borrowed where they came in order already.
    fn ordered<'a>(
        &self,
        frozen: &'a Frozen,
        replaced: &mut BTreeMap<i64, Vec<Replaced>>,
    ) -> Vec<(u32, Cow<'a, [Slot]>)> {
        let recorded = self.shared.clock.now().as_micros();
        let mut noted = 0;
        let runs = frozen.runs.by_series.iter().enumerate().filter(|(_, run)| !run.is_empty());
        runs.map(|(series, run)| {
            let series = series as u32;
            if run.is_sorted_by(|a, b| a.at < b.at) {
                return (series, Cow::Borrowed(run.as_slice()));
            }
            let mut run = run.clone();
            in_order(&mut run, |old, new| {
                if old.value != new.value && noted < REPLACED_MAX {
                    noted += 1;
                    let row = replacement(series, old.value, new, recorded);
                    replaced.entry(day_of(new.at)).or_default().push(row);
                }
            });
            (series, Cow::Owned(run))
        })
        .collect()
    }

    fn seal_day(&self, part: &DayPart<'_>) -> Result<Vec<AuditRow>, SeriesError> {
        let writer = self.shared.days.writer(part.day)?;
        let recorded = self.shared.clock.now().as_micros();
        let done = writer.sealed()?;
        let transaction = writer.begin()?;
        writer.forget_replaced(part.sealed)?;
        let mut replaced = part.replaced.clone();
        let mut worked = Instant::now();
        for (index, (series, slots)) in part.parts.iter().enumerate() {
            // Only after a crash between blocks and watermark is part of this in blocks already.
            let fresh: Cow<'_, [Slot]> = if done > part.sealed {
                slots.iter().filter(|slot| slot.offset() > done.0).copied().collect()
            } else {
                Cow::Borrowed(slots)
            };
            merge(&writer, *series, &fresh, &mut |old, new| {
                if replaced.len() < REPLACED_MAX {
                    replaced.push(replacement(*series, old, new, recorded));
                }
            })?;
            if index % PACE_SENSORS == PACE_SENSORS - 1 {
                self.rest(worked.elapsed());
                worked = Instant::now();
            }
        }
        if replaced.len() >= REPLACED_MAX {
            tracing::warn!(kept = REPLACED_MAX, "too many late readings to list each");
        }
        for row in &replaced {
            writer.note_replaced(row)?;
        }
        writer.set_sealed(part.through)?;
        transaction.commit()?;
        writer.checkpoint();
        Ok(writer.replaced()?.into_iter().map(audit_row).collect())
    }

    /// Leaves the processor to appends, unless the backlog says that sealing is what they need.
    fn rest(&self, worked: Duration) {
        let options = &self.shared.options;
        if options.paced && read(&self.shared.memory).active_points() < options.seal_points {
            std::thread::sleep(worked / PACE_REST);
        }
    }

    fn learn(
        &self,
        mut latest: Vec<(u32, Option<Slot>)>,
        mut audit: Vec<AuditRow>,
    ) -> Result<(), SeriesError> {
        while !latest.is_empty() || !audit.is_empty() {
            let some = latest.split_off(latest.len().saturating_sub(LEARNT_ROWS));
            let rows = audit.split_off(audit.len().saturating_sub(LEARNT_ROWS));
            self.ask(|reply| Command::Learnt { latest: some, audit: rows, reply })?;
        }
        Ok(())
    }

    fn report_damage(&self) -> Result<(), SeriesError> {
        let found = self.shared.days.take_found();
        if found.is_empty() {
            return Ok(());
        }
        self.ask(|reply| Command::Quarantine { found, reply })
    }

    /// Drops the part of the log that is sealed and that no held reader still needs; above the
    /// hard limit readers no longer count.
    fn truncate(&self) -> Result<(), SeriesError> {
        let max = self.shared.options.log_bytes_max;
        loop {
            let sealed = self.shared.sealed.load(Relaxed);
            let held = lock(&self.shared.held).values().copied().min().unwrap_or(u64::MAX);
            let forced = self.shared.log_bytes.load(Relaxed) > max && held < sealed;
            let through = if forced { sealed } else { sealed.min(held) };
            if through <= self.shared.truncated.load(Relaxed) {
                return Ok(());
            }
            let more = self.ask(|reply| Command::Truncate { through: Offset(through), reply })?;
            if forced {
                self.name_losers();
            }
            if !more {
                return Ok(());
            }
            std::thread::sleep(TRUNCATE_PAUSE);
        }
    }

    /// Gives the room of a log that has become small back to the file system.
    fn shrink(&mut self) -> Result<(), SeriesError> {
        let truncated = self.shared.truncated.load(Relaxed);
        let idle = self.shared.log_bytes.load(Relaxed) < SHRINK_BELOW_BYTES;
        if !idle || truncated == self.shrunk {
            return Ok(());
        }
        let mut shrank = false;
        while self.ask(|reply| Command::Shrink { reply })? {
            shrank = true;
            std::thread::sleep(TRUNCATE_PAUSE);
        }
        self.shrunk = truncated;
        if shrank {
            // The file gets shorter when the write-ahead log is moved into it.
            self.shared.wal_bytes.fetch_max(CHECKPOINT_BYTES, Relaxed);
            self.shared.keeper_bell.ring();
        }
        Ok(())
    }

    fn name_losers(&self) {
        let truncated = self.shared.truncated.load(Relaxed);
        for (reader, done) in lock(&self.shared.held).iter() {
            if *done < truncated {
                tracing::warn!(
                    reader,
                    done,
                    truncated,
                    "the log is at its limit: a reader loses its place"
                );
            }
        }
    }

    fn retain(&self, before: i64) -> Result<u64, SeriesError> {
        let removed = self.shared.days.remove_before(before)?;
        let cutoff = before.saturating_mul(super::day::DAY_MICROS);
        let gone = write(&self.shared.memory).forget_latest(cutoff);
        self.learn(gone.into_iter().map(|series| (series, None)).collect(), Vec::new())?;
        self.ask(|reply| Command::ForgetDays { before, reply })?;
        Ok(removed)
    }

    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, SeriesError> {
        let stopped = || SeriesError::Failed { reason: "the writer has stopped".to_owned() };
        let (reply, answer) = oneshot::channel();
        self.shared.queue.entered(0);
        self.commands.send(command(reply)).map_err(|_| stopped())?;
        answer.blocking_recv().map_err(|_| stopped())?
    }
}

/// What one pass puts into one day.
struct DayPart<'a> {
    day: i64,
    parts: Vec<(u32, &'a [Slot])>,
    replaced: Vec<Replaced>,
    /// The log's watermark before this pass.
    sealed: Offset,
    through: Offset,
}

fn replacement(series: u32, before: f64, new: Slot, recorded: i64) -> Replaced {
    let offset = Offset(new.offset());
    Replaced { series, offset, at: new.at, before, after: new.value, recorded }
}

fn audit_row(row: Replaced) -> AuditRow {
    AuditRow {
        series: SeriesId(row.series),
        offset: row.offset,
        entry: Corrected {
            at: Timestamp::from_micros(row.at),
            before: Some(row.before),
            after: row.after,
            actor: LATE_ACTOR.to_owned(),
            reason: LATE_REASON.to_owned(),
            recorded: Timestamp::from_micros(row.recorded),
        },
    }
}

/// Puts readings, in order of time and newer than every stored one, among the sensor's blocks.
fn merge(
    writer: &DayWriter<'_>,
    series: u32,
    new: &[Slot],
    replaced: &mut dyn FnMut(f64, Slot),
) -> Result<(), SeriesError> {
    let (Some(first), Some(last)) = (new.first(), new.last()) else { return Ok(()) };
    let reader = writer.reader();
    let from = writer.before(series, first.at)?.unwrap_or(first.at);
    let blocks = reader.blocks(series, from, last.at.saturating_add(1))?;
    let mut pending = Columns::default();
    let mut rest = new;
    for (index, (id, block)) in blocks.iter().enumerate() {
        let gap;
        (gap, rest) = rest.split_at(rest.partition_point(|slot| slot.at < block.first));
        push(&mut pending, gap);
        let inside;
        (inside, rest) = rest.split_at(rest.partition_point(|slot| slot.at <= block.last));
        let next = blocks.get(index + 1).map_or(i64::MAX, |(_, next)| next.first);
        let after = rest.partition_point(|slot| slot.at < next);
        if inside.is_empty() && !joins(block.count as usize, pending.len() + after) {
            flush(writer, series, &mut pending)?;
            continue;
        }
        match reader.load(*id, block)? {
            Some(old) => {
                interleave(&mut pending, &old, inside, replaced);
                writer.remove(*id, block)?;
            }
            None => push(&mut pending, inside),
        }
    }
    push(&mut pending, rest);
    flush(writer, series, &mut pending)
}

/// Whether a block that needs no change is better written anew together with its neighbours.
fn joins(block: usize, neighbours: usize) -> bool {
    let small = block < BLOCK_POINTS_SMALL;
    // Only doubling makes the rewriting pay.
    let grows = block + neighbours <= BLOCK_POINTS && 2 * neighbours >= block;
    neighbours > 0 && (small || grows)
}

fn push(pending: &mut Columns, slots: &[Slot]) {
    for slot in slots {
        pending.push(slot.at, slot.value, slot.quality());
    }
}

fn interleave(
    pending: &mut Columns,
    old: &Columns,
    new: &[Slot],
    replaced: &mut dyn FnMut(f64, Slot),
) {
    let mut new = new.iter().peekable();
    for i in 0..old.len() {
        while let Some(slot) = new.next_if(|slot| slot.at < old.at[i]) {
            pending.push(slot.at, slot.value, slot.quality());
        }
        match new.next_if(|slot| slot.at == old.at[i]) {
            Some(slot) => {
                if slot.value != old.value[i] {
                    replaced(old.value[i], *slot);
                }
                pending.push(slot.at, slot.value, slot.quality());
            }
            None => pending.push(old.at[i], old.value[i], old.quality[i]),
        }
    }
    for slot in new {
        pending.push(slot.at, slot.value, slot.quality());
    }
}

fn flush(writer: &DayWriter<'_>, series: u32, pending: &mut Columns) -> Result<(), SeriesError> {
    let count = (pending.len() / BLOCK_POINTS).max(1);
    for i in 0..count {
        let (from, to) = (pending.len() * i / count, pending.len() * (i + 1) / count);
        writer.insert(series, &pending.slice(from, to))?;
    }
    *pending = Columns::default();
    Ok(())
}
