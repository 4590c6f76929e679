//! Moves readings from the log into blocks, in the background.
//!
//! A pass takes everything up to one offset, writes one segment for each day that it touches, and
//! only then moves the log's watermark. After a crash in between, opening the store finds
//! segments made from batches behind the watermark, removes them, and the next pass makes them
//! again. Earlier segments are not touched: of two readings with one time the one from the later
//! segment is served, and compaction brings them together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use kernel::Timestamp;
use tokio::sync::oneshot;

use super::block::{Columns, Slot};
use super::cursor::Cursor;
use super::days::{day_of, start_of};
use super::log::{AuditRow, FREE_PAGES_KEPT, FREE_PAGES_QUIET};
use super::memory::{Frozen, in_order, lock, read, write};
use super::segment::{Segment, SegmentWriter};
use super::walk::sealed_of;
use super::writer::{Command, Reply, cause};
use super::{CHECKPOINT_BYTES, Shared, latest};
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
/// Fewer readings than this are not worth a segment of their own before their time.
const QUIET_POINTS: usize = 1 << 16;
/// The latest readings of so many sensors are written with each seal;
const LATEST_SENSORS_FEW: usize = 1 << 16;
/// those of more once so many readings a sensor are sealed.
const LATEST_READINGS: usize = 8;
/// Sensors sealed between two rests.
const PACE_SENSORS: usize = 64;
/// A paced pass rests for work / this.
const PACE_REST: u32 = 4;
/// Days written side by side; each holds a buffer.
const DAYS_AT_ONCE: usize = 16;
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
    shrunk: (u64, bool),
    /// The greatest event time in segments of each sensor; what comes later replaces nothing.
    sealed_to: Vec<i64>,
    /// How far the log had come when it was last seen to grow, and when that was.
    grown: (Offset, Duration),
    /// Readings sealed since the latest ones were written down.
    unwritten: usize,
}

impl Sealer {
    pub(super) fn new(
        shared: Arc<Shared>,
        commands: SyncSender<Command>,
        sealed_to: Vec<i64>,
    ) -> Self {
        let grown = (*shared.last.borrow(), shared.clock.monotonic());
        Self {
            shared,
            commands,
            waiting_since: None,
            retry_at: None,
            shrunk: (0, false),
            sealed_to,
            grown,
            unwritten: 0,
        }
    }

    pub(super) fn run(mut self) {
        while !self.shared.sealer_bell.wait(TICK) {
            self.tick();
        }
    }

    fn tick(&mut self) {
        let requests = std::mem::take(&mut *lock(&self.shared.requests));
        let mut outcome = Ok(());
        self.look();
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

    /// Notes whether anything comes, and says how much waits.
    fn look(&mut self) {
        let (now, last) = (self.shared.clock.monotonic(), *self.shared.last.borrow());
        if self.grown.0 != last {
            self.grown = (last, now);
        }
        let quiet = now.saturating_sub(self.grown.1) >= self.shared.options.quiet_after;
        self.shared.quiet.store(quiet, Relaxed);
        let waiting = self.shared.unsealed_points.load(Relaxed);
        metrics::gauge!("series_unsealed_readings").set(waiting as f64);
        metrics::gauge!("series_log_bytes").set(self.shared.log_bytes.load(Relaxed) as f64);
        metrics::gauge!("series_segments").set(self.shared.days.count() as f64);
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
            || points >= QUIET_POINTS && self.shared.quiet.load(Relaxed)
            || now.saturating_sub(since) >= options.seal_age
            || self.shared.log_bytes.load(Relaxed) >= options.log_bytes_max
    }

    fn answer(&mut self, request: Request, outcome: &Result<(), SeriesError>) {
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

    fn pass(&mut self) -> Result<(), SeriesError> {
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
        let points = frozen.runs.points();
        metrics::counter!("series_sealed_readings_total").increment(points as u64);
        metrics::histogram!("series_seal_seconds").record(started.elapsed().as_secs_f64());
        Ok(())
    }

    fn seal(&mut self, frozen: &Frozen, sealed: Offset) -> Result<(), SeriesError> {
        let mut pass = Pass {
            shared: &self.shared,
            frozen,
            sealed,
            sealed_to: &self.sealed_to,
            recorded: self.shared.clock.now().as_micros(),
            fresh: Vec::new(),
            audit: Vec::new(),
        };
        let written = pass.write();
        let Pass { fresh, audit, .. } = pass;
        let prepared = written.and_then(|()| self.prepare(frozen, audit));
        if let Err(error) = prepared {
            // Nobody has seen them, and the next try makes them again.
            for segment in &fresh {
                self.shared.days.remove(segment)?;
            }
            return Err(error);
        }
        // From here on the files stay, whatever the answer: the watermark may have moved.
        self.ask(|reply| Command::Sealed { through: frozen.through, reply })?;
        count(&fresh);
        self.shared.days.publish(fresh);
        self.note_sealed(frozen);
        self.shared.compactor_bell.ring();
        Ok(())
    }

    /// Everything that must be durable before the watermark moves.
    fn prepare(&mut self, frozen: &Frozen, audit: Vec<AuditRow>) -> Result<(), SeriesError> {
        self.shared.days.sync()?;
        let sensors = read(&self.shared.registry).len();
        self.unwritten += frozen.runs.points();
        if sensors <= LATEST_SENSORS_FEW || self.unwritten >= sensors * LATEST_READINGS {
            self.write_latest(frozen.through)?;
        }
        self.shared.faults.at_watermark()?;
        self.learn(audit)
    }

    fn write_latest(&mut self, through: Offset) -> Result<(), SeriesError> {
        let known = read(&self.shared.memory).latest_all().to_vec();
        latest::save(&self.shared.options.dir, &known, through)?;
        self.unwritten = 0;
        Ok(())
    }

    fn note_sealed(&mut self, frozen: &Frozen) {
        for series in frozen.runs.sensors() {
            let place = series as usize;
            if self.sealed_to.len() <= place {
                self.sealed_to.resize(place + 1, i64::MIN);
            }
            let last = frozen.runs.of(series).map(|slot| slot.at).max();
            let known = &mut self.sealed_to[place];
            *known = last.unwrap_or(*known).max(*known);
        }
    }

    fn learn(&self, mut audit: Vec<AuditRow>) -> Result<(), SeriesError> {
        while !audit.is_empty() {
            let rows = audit.split_off(audit.len().saturating_sub(LEARNT_ROWS));
            self.ask(|reply| Command::Learnt { audit: rows, reply })?;
        }
        Ok(())
    }

    fn report_damage(&self) -> Result<(), SeriesError> {
        let found = self.shared.days.take_found();
        if found.is_empty() {
            return Ok(());
        }
        let told = self.ask(|reply| Command::Quarantine { found: found.clone(), reply });
        if told.is_err() {
            self.shared.days.put_found(found);
        }
        told
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
        let quiet = self.shared.quiet.load(Relaxed);
        if !(idle || quiet) || (truncated, quiet) == self.shrunk {
            return Ok(());
        }
        let kept = if quiet { FREE_PAGES_QUIET } else { FREE_PAGES_KEPT };
        while self.ask(|reply| Command::Shrink { kept, reply })? {
            std::thread::sleep(TRUNCATE_PAUSE);
        }
        let shrank = self.shrunk.0 != truncated || quiet;
        self.shrunk = (truncated, quiet);
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

    fn retain(&mut self, before: i64) -> Result<u64, SeriesError> {
        let removed = self.shared.days.remove_before(before)?;
        write(&self.shared.memory).forget_latest(start_of(before));
        self.write_latest(Offset(self.shared.sealed.load(Relaxed)))?;
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

/// What becomes of the readings of one pass.
struct Pass<'a> {
    shared: &'a Shared,
    frozen: &'a Frozen,
    /// The log's watermark before this pass.
    sealed: Offset,
    sealed_to: &'a [i64],
    recorded: i64,
    fresh: Vec<Segment>,
    audit: Vec<AuditRow>,
}

/// The segment that a pass makes of one day.
struct DayPass<'a> {
    writer: SegmentWriter,
    /// What the day has already; opened for the first late reading.
    before: Option<Cursor<'a>>,
}

impl<'a> Pass<'a> {
    fn write(&mut self) -> Result<(), SeriesError> {
        let days = self.days();
        for some in days.chunks(DAYS_AT_ONCE) {
            self.write_days(some)?;
        }
        Ok(())
    }

    fn days(&self) -> Vec<i64> {
        let runs = &self.frozen.runs;
        let Some((low, high)) = runs.times() else { return Vec::new() };
        if day_of(low) == day_of(high) {
            return vec![day_of(low)];
        }
        let mut days = BTreeSet::new();
        let mut known = i64::MIN;
        for slot in runs.sensors().flat_map(|series| runs.of(series)) {
            let day = day_of(slot.at);
            if day != known {
                days.insert(day);
                known = day;
            }
        }
        days.into_iter().collect()
    }

    fn write_days(&mut self, days: &[i64]) -> Result<(), SeriesError> {
        let shared = self.shared;
        let mut passes = BTreeMap::new();
        for day in days {
            let writer = shared.days.create(*day, self.sealed, self.frozen.through)?;
            passes.insert(*day, DayPass { writer, before: None });
        }
        let (mut run, mut late, mut rest_of) = (Vec::new(), Columns::default(), Columns::default());
        let mut worked = Instant::now();
        for (index, series) in self.frozen.runs.sensors().enumerate() {
            run.clear();
            self.frozen.runs.append_to(series, &mut run);
            self.bring_in_order(series, &mut run, days);
            let mut rest = run.as_slice();
            while let Some(slot) = rest.first() {
                let day = day_of(slot.at);
                let part;
                (part, rest) = rest.split_at(rest.partition_point(|slot| day_of(slot.at) <= day));
                let Some(pass) = passes.get_mut(&day) else { continue };
                self.note_late(pass, day, series, part)?;
                let (before, after) = part.split_at(self.late(series, part));
                fill(&mut late, before);
                fill(&mut rest_of, after);
                pass.writer.run_with_late(series, &late, &rest_of)?;
            }
            if index % PACE_SENSORS == PACE_SENSORS - 1 {
                self.rest(worked.elapsed());
                worked = Instant::now();
            }
        }
        for pass in passes.into_values() {
            self.fresh.extend(pass.writer.finish()?);
        }
        Ok(())
    }

    /// Sorts by time; of readings with one time the last writer's stays.
    fn bring_in_order(&mut self, series: u32, run: &mut Vec<Slot>, days: &[i64]) {
        let (audit, recorded) = (&mut self.audit, self.recorded);
        in_order(run, |old, new| {
            let listed = days.contains(&day_of(new.at)) && audit.len() < REPLACED_MAX;
            if old.value != new.value && listed {
                audit.push(replaced(series, old.value, new, recorded));
            }
        });
    }

    /// How many of these are no later than what is sealed of their sensor.
    fn late(&self, series: u32, slots: &[Slot]) -> usize {
        let sealed_to = self.sealed_to.get(series as usize).copied().unwrap_or(i64::MIN);
        slots.partition_point(|slot| slot.at <= sealed_to)
    }

    /// Finds the sealed readings that late ones replace.
    fn note_late(
        &mut self,
        pass: &mut DayPass<'a>,
        day: i64,
        series: u32,
        slots: &[Slot],
    ) -> Result<(), SeriesError> {
        let late = &slots[..self.late(series, slots)];
        let (Some(first), Some(last)) = (late.first(), late.last()) else { return Ok(()) };
        if self.audit.len() >= REPLACED_MAX {
            return Ok(());
        }
        let cursor = match &mut pass.before {
            Some(cursor) => cursor,
            none => none.insert(Cursor::new(&self.shared.days, day)?),
        };
        let before = sealed_of(cursor, series, (first.at, last.at.saturating_add(1)))?;
        for slot in late {
            if let Ok(place) = before.at.binary_search(&slot.at)
                && before.value[place] != slot.value
                && self.audit.len() < REPLACED_MAX
            {
                self.audit.push(replaced(series, before.value[place], *slot, self.recorded));
            }
        }
        Ok(())
    }

    /// Leaves the processor to appends, unless the backlog says that sealing is what they need.
    fn rest(&self, worked: Duration) {
        let options = &self.shared.options;
        if options.paced && read(&self.shared.memory).active_points() < options.seal_points {
            std::thread::sleep(worked / PACE_REST);
        }
    }
}

fn count(fresh: &[Segment]) {
    let blocks: u64 = fresh.iter().map(|one| u64::from(one.blocks)).sum();
    let bytes: u64 = fresh.iter().map(|one| one.bytes).sum();
    metrics::counter!("series_sealed_blocks_total").increment(blocks);
    metrics::counter!("series_sealed_bytes_total").increment(bytes);
}

fn fill(columns: &mut Columns, slots: &[Slot]) {
    columns.clear();
    slots.iter().for_each(|slot| columns.push(slot.at, slot.value, slot.quality()));
}

fn replaced(series: u32, before: f64, new: Slot, recorded: i64) -> AuditRow {
    AuditRow {
        series: SeriesId(series),
        offset: Offset(new.offset()),
        entry: Corrected {
            at: Timestamp::from_micros(new.at),
            before: Some(before),
            after: new.value,
            actor: LATE_ACTOR.to_owned(),
            reason: LATE_REASON.to_owned(),
            recorded: Timestamp::from_micros(recorded),
        },
    }
}
