//! Answers over sealed blocks and the unsealed log together.
//!
//! The unsealed readings are copied first. What is sealed meanwhile is then seen twice, which
//! merging by time makes harmless; the other order could miss it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use kernel::Timestamp;

use super::block::{Columns, Figures, Slot, Summary, point};
use super::day::DayReader;
use super::memory::read;
use super::{Shared, day};
use crate::series::{Aggregate, BUCKETS_MAX, Bucket, Point, SeriesError, SeriesId, Span};

/// What a walk over time meets.
enum Piece<'a> {
    Reading(i64, f64, u8),
    /// A whole block that no unsealed reading touches.
    Block(&'a Summary),
}

/// Takes pieces in order of time.
trait Sink {
    /// Whether the summary of this block is as good as its readings.
    fn takes(&self, summary: &Summary) -> bool;

    /// Returns false when it has enough.
    fn take(&mut self, piece: Piece<'_>) -> bool;

    /// Takes part of a block that no unsealed reading touches.
    fn take_columns(&mut self, columns: &Columns, part: Range<usize>) -> bool;
}

pub(super) fn range(
    shared: &Shared,
    id: SeriesId,
    span: Span,
    limit: usize,
) -> Result<Vec<Point>, SeriesError> {
    let mut points = Points { points: Vec::new(), limit };
    if limit > 0 {
        walk(shared, id, span, &mut points)?;
    }
    Ok(points.points)
}

pub(super) fn buckets(
    shared: &Shared,
    id: SeriesId,
    span: Span,
    width: Duration,
) -> Result<Vec<Bucket>, SeriesError> {
    let width = checked_width(span, width)?;
    let mut buckets =
        Buckets { width, start: i64::MIN, figures: Figures::default(), done: Vec::new() };
    walk(shared, id, span, &mut buckets)?;
    buckets.close();
    Ok(buckets.done)
}

/// The buckets of all these sensors together.
pub(super) fn aggregate(
    shared: &Shared,
    ids: &[SeriesId],
    span: Span,
    width: Duration,
) -> Result<Vec<Aggregate>, SeriesError> {
    let mut all: BTreeMap<Timestamp, Aggregate> = BTreeMap::new();
    for id in ids {
        for b in buckets(shared, *id, span, width)? {
            let Bucket { start, count, min, max, sum, .. } = b;
            let one = Aggregate { start, count, min, max, sum };
            all.entry(start).and_modify(|known| join(known, &one)).or_insert(one);
        }
    }
    Ok(all.into_values().collect())
}

fn join(known: &mut Aggregate, more: &Aggregate) {
    known.count += more.count;
    known.min = known.min.min(more.min);
    known.max = known.max.max(more.max);
    known.sum += more.sum;
}

/// The sealed value at exactly this time.
pub(super) fn at(shared: &Shared, id: SeriesId, at: Timestamp) -> Result<Option<f64>, SeriesError> {
    let span = Span { from: at, to: Timestamp::from_micros(at.as_micros().saturating_add(1)) };
    Ok(range(shared, id, span, 1)?.first().map(|point| point.value))
}

fn checked_width(span: Span, width: Duration) -> Result<i64, SeriesError> {
    let micros = i64::try_from(width.as_micros()).unwrap_or(i64::MAX);
    let too_many = |wanted| SeriesError::TooManyBuckets { wanted, max: BUCKETS_MAX };
    if micros == 0 {
        return Err(too_many(u64::MAX));
    }
    if span.from >= span.to {
        return Ok(micros);
    }
    let bucket = |at: i64| i128::from(at.div_euclid(micros));
    let wanted = bucket(span.to.as_micros() - 1) - bucket(span.from.as_micros()) + 1;
    if wanted > BUCKETS_MAX as i128 {
        return Err(too_many(u64::try_from(wanted).unwrap_or(u64::MAX)));
    }
    Ok(micros)
}

fn walk(
    shared: &Shared,
    id: SeriesId,
    span: Span,
    sink: &mut impl Sink,
) -> Result<(), SeriesError> {
    let (from, to) = (span.from.as_micros(), span.to.as_micros());
    if from >= to {
        return Ok(());
    }
    let unsealed = read(&shared.memory).collect(id, span);
    let mut unsealed = unsealed.as_slice();
    for day in shared.days.between(from, to) {
        let more = shared
            .days
            .read(&day, |reader| walk_day(reader, id, (from, to), &mut unsealed, sink))?;
        if more == Some(false) {
            return Ok(());
        }
    }
    unsealed.iter().all(|slot| sink.take(reading(slot)));
    Ok(())
}

/// Returns false when the sink has enough.
fn walk_day(
    reader: &DayReader<'_>,
    id: SeriesId,
    (from, to): (i64, i64),
    unsealed: &mut &[Slot],
    sink: &mut impl Sink,
) -> Result<bool, SeriesError> {
    for (block, summary) in reader.blocks(id.0, from, to)? {
        let before = split(unsealed, |slot| slot.at < summary.first);
        if !before.iter().all(|slot| sink.take(reading(slot))) {
            return Ok(false);
        }
        let inside = split(unsealed, |slot| slot.at <= summary.last);
        let whole = inside.is_empty() && from <= summary.first && summary.last < to;
        if whole && sink.takes(&summary) {
            if !sink.take(Piece::Block(&summary)) {
                return Ok(false);
            }
            continue;
        }
        let columns = reader.load(block, &summary)?.unwrap_or_default();
        let start = columns.at.partition_point(|at| *at < from);
        let end = columns.at.partition_point(|at| *at < to);
        if inside.is_empty() {
            if !sink.take_columns(&columns, start..end) {
                return Ok(false);
            }
            continue;
        }
        let mut inside = inside.iter().peekable();
        for i in start..end {
            let at = columns.at[i];
            while let Some(slot) = inside.next_if(|slot| slot.at < at) {
                if !sink.take(reading(slot)) {
                    return Ok(false);
                }
            }
            let piece = match inside.next_if(|slot| slot.at == at) {
                Some(newer) => reading(newer),
                None => Piece::Reading(at, columns.value[i], columns.quality[i]),
            };
            if !sink.take(piece) {
                return Ok(false);
            }
        }
        if !inside.all(|slot| sink.take(reading(slot))) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn split<'a>(slots: &mut &'a [Slot], head: impl Fn(&Slot) -> bool) -> &'a [Slot] {
    let (before, after) = slots.split_at(slots.partition_point(head));
    *slots = after;
    before
}

fn reading(slot: &Slot) -> Piece<'static> {
    Piece::Reading(slot.at, slot.value, slot.quality())
}

struct Points {
    points: Vec<Point>,
    limit: usize,
}

impl Sink for Points {
    fn takes(&self, _: &Summary) -> bool {
        false
    }

    fn take(&mut self, piece: Piece<'_>) -> bool {
        if let Piece::Reading(at, value, quality) = piece {
            self.points.push(point(at, value, quality));
        }
        self.points.len() < self.limit
    }

    fn take_columns(&mut self, columns: &Columns, part: Range<usize>) -> bool {
        let some = part.take(self.limit.saturating_sub(self.points.len()));
        self.points
            .extend(some.map(|i| point(columns.at[i], columns.value[i], columns.quality[i])));
        self.points.len() < self.limit
    }
}

struct Buckets {
    width: i64,
    start: i64,
    figures: Figures,
    done: Vec<Bucket>,
}

impl Buckets {
    fn start_of(&self, at: i64) -> i64 {
        at.div_euclid(self.width).saturating_mul(self.width)
    }

    /// Goes on to the bucket that holds `at`.
    #[inline]
    fn enter(&mut self, at: i64) {
        // A subtraction first: a division per reading costs more than everything else here.
        if at.wrapping_sub(self.start) as u64 >= self.width as u64 {
            self.close();
            self.start = self.start_of(at);
        }
    }

    fn close(&mut self) {
        let figures = std::mem::take(&mut self.figures);
        if figures.count > 0 {
            self.done.push(Bucket {
                start: Timestamp::from_micros(self.start),
                count: figures.count,
                min: figures.min,
                max: figures.max,
                sum: figures.sum,
                first: figures.first,
                last: figures.last,
            });
        }
    }
}

impl Sink for Buckets {
    fn takes(&self, summary: &Summary) -> bool {
        self.start_of(summary.first) == self.start_of(summary.last)
    }

    fn take(&mut self, piece: Piece<'_>) -> bool {
        match piece {
            Piece::Reading(at, value, quality) => {
                self.enter(at);
                self.figures.add(value, quality);
            }
            Piece::Block(summary) => {
                self.enter(summary.first);
                self.figures.merge(&summary.figures);
            }
        }
        true
    }

    fn take_columns(&mut self, columns: &Columns, part: Range<usize>) -> bool {
        let mut start = part.start;
        while start < part.end {
            self.enter(columns.at[start]);
            let next = self.start.saturating_add(self.width);
            let rest = &columns.at[start..part.end];
            let end = start + rest.partition_point(|at| *at < next).max(1);
            self.figures.add_all(&columns.value[start..end], &columns.quality[start..end]);
            start = end;
        }
        true
    }
}

/// The first day that a cutoff leaves whole: days before it go.
pub(super) fn first_kept_day(before: Timestamp) -> i64 {
    day::day_of(before.as_micros())
}
