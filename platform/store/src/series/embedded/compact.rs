//! Merges the segments of a day, in the background, and reads old blocks now and then to see
//! whether they are still sound.
//!
//! Neighbours in the order of the log are merged, so that the order of what remains still says
//! which of two readings is served. Large blocks that nothing overlaps are copied as they are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use super::block::{BLOCK_POINTS, BLOCK_POINTS_SMALL, Columns};
use super::cursor::{Cursor, Piece};
use super::days::{DAY_MICROS, Segments, day_of, start_of};
use super::memory::lock;
use super::packed::{Minute, join_minutes, minutes_of};
use super::scrub::Scrub;
use super::segment::{READINGS_PER_MINUTE_MIN, Segment, SegmentWriter, Table};
use super::walk::sealed_of;
use super::writer::cause;
use crate::series::SeriesError;

const TICK: Duration = Duration::from_secs(1);
/// A failed merge is tried again after this; a full disk may have room by then.
const RETRY_PAUSE: Duration = Duration::from_secs(30);
/// So many segments of one size become one of the next.
const FAN_IN: usize = 4;
/// The smallest size that counts; each next one is [`FAN_IN`] times as large.
const TIER_BYTES: u64 = 64 << 10;
const TIERS_MAX: u32 = 16;
/// A day that is over and rests this long is brought into its final form.
const SETTLE_AFTER: Duration = Duration::from_secs(600);
/// Late segments smaller than this part of the rest of their day wait for more.
const SETTLE_SHARE: u64 = 8;
/// A block of this size is not worth making larger.
const BLOCK_POINTS_FULL: usize = 3 * BLOCK_POINTS_SMALL / 2;
/// Sensors merged between two rests, and between two looks at whether to stop.
const PACE_SENSORS: usize = 64;
/// A paced merge rests for work / this.
const PACE_REST: u32 = 2;

pub(super) struct Compactor {
    shared: Arc<Shared>,
    scrub: Scrub,
    /// The newest segment of each day and when it was first seen.
    resting: BTreeMap<i64, (u64, Duration)>,
    retry_at: Option<Duration>,
}

impl Compactor {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let scrub = Scrub::new(shared.clock.monotonic());
        Self { shared, scrub, resting: BTreeMap::new(), retry_at: None }
    }

    pub(super) fn run(mut self) {
        while !self.shared.compactor_bell.wait(TICK) {
            self.tick();
        }
    }

    fn tick(&mut self) {
        let settlers = std::mem::take(&mut *lock(&self.shared.settlers));
        let scrubbers = std::mem::take(&mut *lock(&self.shared.scrubbers));
        let mut outcome = Ok(());
        if !settlers.is_empty() {
            outcome = self.settle();
        } else if self.retry_at.is_none_or(|at| self.shared.clock.monotonic() >= at) {
            outcome = self.keep_tidy();
        }
        let pause = outcome.is_err().then(|| self.shared.clock.monotonic() + RETRY_PAUSE);
        self.retry_at = pause;
        if let Err(error) = &outcome {
            tracing::error!(error = cause(error), "merging segments");
        }
        let answer = |outcome: &Result<(), SeriesError>| {
            outcome.as_ref().copied().map_err(|error| SeriesError::Failed { reason: cause(error) })
        };
        settlers.into_iter().for_each(|reply| drop(reply.send(answer(&outcome))));
        let looked = if scrubbers.is_empty() {
            self.scrub.step(&self.shared)
        } else {
            super::scrub::all(&self.shared)
        };
        if let Err(error) = &looked {
            tracing::error!(error = cause(error), "looking for damaged blocks");
        }
        scrubbers.into_iter().for_each(|reply| drop(reply.send(answer(&looked))));
    }

    /// Makes one segment of every day.
    fn settle(&mut self) -> Result<(), SeriesError> {
        for (day, segments) in self.shared.days.all() {
            for range in self.sound(&segments) {
                self.merge(day, &segments[range], false)?;
            }
        }
        Ok(())
    }

    fn keep_tidy(&mut self) -> Result<(), SeriesError> {
        for (day, segments) in self.shared.days.all() {
            if segments.len() < 2 {
                self.resting.remove(&day);
                continue;
            }
            let over = self.rests(day, &segments);
            let sound = self.sound(&segments);
            let due = sound.into_iter().find_map(|range| due(&segments, range, over));
            if let Some(range) = due {
                self.merge(day, &segments[range], self.shared.options.paced)?;
            }
            if self.shared.compactor_bell.is_stopping() {
                break;
            }
        }
        Ok(())
    }

    /// Whether a day is over and nothing has come for it in a while.
    fn rests(&mut self, day: i64, segments: &Segments) -> bool {
        let now = self.shared.clock.monotonic();
        let newest = segments.iter().map(|one| one.head.generation).max().unwrap_or(0);
        let known = self.resting.entry(day).or_insert((newest, now));
        if known.0 != newest {
            *known = (newest, now);
        }
        let today = day_of(self.shared.clock.now().as_micros());
        day < today && now.saturating_sub(known.1) >= SETTLE_AFTER
    }

    /// Stretches of neighbours that can all be read.
    fn sound(&self, segments: &Segments) -> Vec<Range<usize>> {
        let broken = |one: &Arc<Segment>| self.shared.days.is_quarantined(one, None);
        let mut stretches = Vec::new();
        let mut start = 0;
        for part in segments.split(broken) {
            if part.len() > 1 {
                stretches.push(start..start + part.len());
            }
            start += part.len() + 1;
        }
        stretches
    }

    fn merge(&self, day: i64, segments: &[Arc<Segment>], paced: bool) -> Result<(), SeriesError> {
        let started = Instant::now();
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
            return Ok(());
        };
        let days = &self.shared.days;
        let mut snapshot = Vec::with_capacity(segments.len());
        for segment in segments {
            match days.open_segment(segment) {
                Ok(Some(opened)) => snapshot.push((Arc::clone(segment), opened)),
                // Found broken just now: the next look leaves it out.
                Ok(None) => return Ok(()),
                // Retention was faster.
                Err(SeriesError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        let cursor = Cursor::over(days, snapshot);
        let through = last.head.through.max(first.head.through);
        let writer = days.create(day, first.head.after, through)?;
        let Some(writer) = self.merge_all(day, cursor, writer, paced)? else { return Ok(()) };
        let merged = writer.finish()?;
        let bytes = merged.as_ref().map_or(0, |merged| merged.bytes);
        metrics::counter!("series_compacted_bytes_total").increment(bytes);
        days.sync()?;
        days.replace(day, segments, merged)?;
        metrics::histogram!("series_compaction_seconds").record(started.elapsed().as_secs_f64());
        Ok(())
    }

    /// `None` when the store is closing.
    fn merge_all(
        &self,
        day: i64,
        mut cursor: Cursor<'_>,
        mut writer: SegmentWriter,
        paced: bool,
    ) -> Result<Option<SegmentWriter>, SeriesError> {
        let mut sensors = Vec::new();
        for part in 0..cursor.parts() {
            sensors.extend(cursor.sensors(part)?);
        }
        sensors.sort_unstable();
        sensors.dedup();
        let mut worked = Instant::now();
        for (index, series) in sensors.into_iter().enumerate() {
            merge_one(&mut cursor, &mut writer, day, series)?;
            if index % PACE_SENSORS == PACE_SENSORS - 1 {
                if self.shared.compactor_bell.is_stopping() {
                    writer.abandon()?;
                    return Ok(None);
                }
                if paced {
                    std::thread::sleep(worked.elapsed() / PACE_REST);
                    worked = Instant::now();
                }
            }
        }
        Ok(Some(writer))
    }
}

/// What to merge of neighbours that can be read, if anything.
fn due(segments: &Segments, range: Range<usize>, over: bool) -> Option<Range<usize>> {
    let sizes: Vec<u64> = segments[range.clone()].iter().map(|one| one.bytes).collect();
    due_of(&sizes, over).map(|part| range.start + part.start..range.start + part.end)
}

fn due_of(sizes: &[u64], over: bool) -> Option<Range<usize>> {
    let total: u64 = sizes.iter().sum();
    let largest = sizes.iter().copied().max().unwrap_or(0);
    if over && (sizes.len() > FAN_IN || (total - largest) * SETTLE_SHARE >= largest) {
        return Some(0..sizes.len());
    }
    for tier in 0..TIERS_MAX {
        let most = TIER_BYTES.saturating_mul((FAN_IN as u64).saturating_pow(tier));
        let mut start = 0;
        for part in sizes.split(|bytes| *bytes > most) {
            let (sum, max) = (part.iter().sum::<u64>(), part.iter().copied().max().unwrap_or(0));
            // A large one is not written again for the sake of a few small ones.
            if part.len() >= FAN_IN && (sum - max) * 2 >= max {
                return Some(start..start + part.len());
            }
            start += part.len() + 1;
        }
    }
    None
}

/// What one segment has of one sensor.
struct Run {
    part: usize,
    blocks: Vec<Piece>,
    few: Columns,
}

impl Run {
    fn ends(&self) -> Option<(i64, i64)> {
        match (self.blocks.first(), self.blocks.last()) {
            (Some(first), Some(last)) => Some((first.entry.from, last.entry.to)),
            _ => Some((*self.few.at.first()?, *self.few.at.last()?)),
        }
    }

    fn count(&self) -> usize {
        self.few.len() + self.blocks.iter().map(|one| one.entry.count as usize).sum::<usize>()
    }
}

fn merge_one(
    cursor: &mut Cursor<'_>,
    writer: &mut SegmentWriter,
    day: i64,
    series: u32,
) -> Result<(), SeriesError> {
    let span = (start_of(day), start_of(day).saturating_add(DAY_MICROS));
    let mut runs = Vec::new();
    for part in 0..cursor.parts() {
        let (mut blocks, mut few) = (Vec::new(), Vec::new());
        cursor.dense(part, series, span.0, span.1, &mut blocks)?;
        cursor.few(part, series, span.0, span.1, &mut few)?;
        let mut run = Run { part, blocks, few: Columns::default() };
        few.iter().for_each(|slot| run.few.push(slot.at, slot.value, slot.quality()));
        if run.count() > 0 {
            runs.push(run);
        }
    }
    runs.sort_by_key(Run::ends);
    let pure = runs.iter().all(|run| run.blocks.is_empty() || run.few.len() == 0);
    let apart = pure && runs.windows(2).all(|pair| {
        matches!((pair[0].ends(), pair[1].ends()), (Some((_, to)), Some((from, _))) if to < from)
    });
    let count: usize = runs.iter().map(Run::count).sum();
    if !apart || count < BLOCK_POINTS_SMALL {
        return writer.run(series, &sealed_of(cursor, series, span)?);
    }
    join(cursor, writer, series, &runs)?;
    if let Some(minutes) = joined_minutes(cursor, series, &runs)?
        && count >= minutes.len() * READINGS_PER_MINUTE_MIN
    {
        writer.minutes(series, &minutes)?;
    }
    Ok(())
}

/// Puts runs that follow each other in time behind each other. Small blocks become larger ones.
fn join(
    cursor: &Cursor<'_>,
    writer: &mut SegmentWriter,
    series: u32,
    runs: &[Run],
) -> Result<(), SeriesError> {
    let mut pending = Columns::default();
    for run in runs {
        pending.append(&run.few, 0, run.few.len());
        for piece in &run.blocks {
            let size = piece.entry.count as usize;
            let full = size >= BLOCK_POINTS_FULL
                && (pending.len() == 0 || pending.len() >= BLOCK_POINTS_SMALL);
            if full {
                writer.dense_all(series, &pending)?;
                pending.clear();
                if let Some(bytes) = cursor.raw(piece)? {
                    writer.block(Table::Dense, piece.entry, &bytes)?;
                }
                continue;
            }
            if let Some(columns) = cursor.load(piece)? {
                pending.append(&columns, 0, columns.len());
            }
            if pending.len() >= BLOCK_POINTS {
                writer.dense_all(series, &pending)?;
                pending.clear();
            }
        }
    }
    writer.dense_all(series, &pending)
}

/// The minute figures of runs that follow each other; `None` unless every one has them.
fn joined_minutes(
    cursor: &mut Cursor<'_>,
    series: u32,
    runs: &[Run],
) -> Result<Option<Vec<Minute>>, SeriesError> {
    let mut joined = Vec::new();
    for run in runs {
        if run.blocks.is_empty() {
            join_minutes(&mut joined, &minutes_of(&run.few));
            continue;
        }
        let Some((minutes, rows)) = cursor.minutes(run.part, series, true)? else {
            return Ok(None);
        };
        let rows: Vec<Minute> = rows.map(|row| minutes.minute(row)).collect();
        join_minutes(&mut joined, &rows);
    }
    Ok(Some(joined))
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: u64 = TIER_BYTES;

    #[test]
    fn four_of_a_size_become_one_and_a_large_one_is_left_alone() {
        type Case<'a> = (&'a [u64], bool, Option<Range<usize>>);
        let cases: [Case<'_>; 8] = [
            (&[K, K], false, None),
            (&[K, K, K, K], false, Some(0..4)),
            (&[64 * K, K, K, K], false, None),
            (&[64 * K, K, K, K, K], false, Some(1..5)),
            (&[4 * K, 3 * K, 2 * K, K], false, Some(0..4)),
            (&[64 * K, K], true, None),
            (&[64 * K, 9 * K], true, Some(0..2)),
            (&[64 * K, 1, 1, 1, 1], true, Some(0..5)),
        ];
        for (sizes, over, wanted) in cases {
            assert_eq!(due_of(sizes, over), wanted, "{sizes:?}");
        }
    }
}
