//! Answers over sealed blocks and the unsealed log together.
//!
//! The unsealed readings are copied first. What is sealed meanwhile is then seen twice, which
//! merging by time makes harmless; the other order could miss it.

use std::num::NonZero;
use std::ops::Range;
use std::time::Duration;

use kernel::Timestamp;

use super::block::{Columns, Figures, Slot, Summary, point};
use super::cursor::Cursor;
use super::days::{DAY_MICROS, Days, start_of};
use super::memory::read;
use super::walk::{Piece, Sink, sealed_of, walk_day};
use super::{Shared, days};
use crate::series::{Aggregate, BUCKETS_MAX, Bucket, Offset, Point, SeriesError, SeriesId, Span};

/// Threads of one question.
const THREADS_MAX: usize = 8;
/// Fewer days than this are not worth a thread of their own.
const DAYS_PER_THREAD_MIN: usize = 8;
/// Sensors whose unsealed readings are copied at once.
const SENSORS_PER_STEP: usize = 128;
/// Wider buckets are mostly made of whole blocks; minute figures would cost more than they save.
const MINUTES_WIDTH_MAX: i64 = 3_600_000_000;
const MINUTE_MICROS: i64 = super::packed::MINUTE_MICROS;

pub(super) fn range(
    shared: &Shared,
    id: SeriesId,
    span: Span,
    limit: usize,
) -> Result<Vec<Point>, SeriesError> {
    let mut points = Points { points: Vec::new(), limit };
    if limit > 0 && span.from < span.to {
        let unsealed = read(&shared.memory).collect(id, span);
        let days = days_of(shared, span, &unsealed);
        walk(shared, id, span, &days, &unsealed, &mut points)?;
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
    if span.from >= span.to {
        return Ok(Vec::new());
    }
    let unsealed = read(&shared.memory).collect(id, span);
    let days = days_of(shared, span, &unsealed);
    let share = |days: &[i64]| {
        let mut buckets = Buckets::new(width);
        walk(shared, id, span, days, &unsealed, &mut buckets)?;
        buckets.close();
        Ok(buckets.done)
    };
    let mut all: Vec<(i64, Figures)> = Vec::new();
    for part in in_parallel(&days, DAYS_PER_THREAD_MIN, share)? {
        for (start, figures) in part {
            match all.last_mut().filter(|(last, _)| *last == start) {
                Some((_, known)) => known.merge(&figures),
                None => all.push((start, figures)),
            }
        }
    }
    Ok(all.into_iter().map(|(start, figures)| bucket(start, &figures)).collect())
}

fn bucket(start: i64, figures: &Figures) -> Bucket {
    Bucket {
        start: Timestamp::from_micros(start),
        count: figures.count,
        min: figures.min,
        max: figures.max,
        sum: figures.sum,
        first: figures.first,
        last: figures.last,
    }
}

/// The buckets of all these sensors together.
pub(super) fn aggregate(
    shared: &Shared,
    ids: &[SeriesId],
    span: Span,
    width: Duration,
) -> Result<Vec<Aggregate>, SeriesError> {
    let width = checked_width(span, width)?;
    if span.from >= span.to {
        return Ok(Vec::new());
    }
    let share = |ids: &[SeriesId]| {
        let mut totals = Totals::new(width, span);
        for some in ids.chunks(SENSORS_PER_STEP) {
            aggregate_some(shared, some, span, &mut totals)?;
        }
        Ok(totals)
    };
    let mut all = Totals::new(width, span);
    for part in in_parallel(ids, SENSORS_PER_STEP / 2, share)? {
        all.join(&part);
    }
    Ok(all.done())
}

fn aggregate_some(
    shared: &Shared,
    ids: &[SeriesId],
    span: Span,
    totals: &mut Totals,
) -> Result<(), SeriesError> {
    let unsealed: Vec<Vec<Slot>> = {
        let memory = read(&shared.memory);
        ids.iter().map(|id| memory.collect(*id, span)).collect()
    };
    let mut days = shared.days.between(span.from.as_micros(), span.to.as_micros());
    for slots in &unsealed {
        add_days(&mut days, slots);
    }
    for day in days {
        let mut cursor = Cursor::new(&shared.days, day)?;
        for (id, slots) in ids.iter().zip(&unsealed) {
            walk_one(&mut cursor, *id, span, day, slots, totals)?;
        }
    }
    Ok(())
}

/// Splits work among threads, in order; little work stays where it is.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    share_min: usize,
    work: impl Fn(&[T]) -> Result<R, SeriesError> + Sync,
) -> Result<Vec<R>, SeriesError> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    let shares = threads.min(items.len() / share_min.max(1)).max(1);
    if shares == 1 {
        return Ok(vec![work(items)?]);
    }
    let work = &work;
    std::thread::scope(|scope| {
        let mut shares = items.chunks(items.len().div_ceil(shares));
        // This thread takes the first share itself.
        let own = shares.next().unwrap_or_default();
        let others: Vec<_> = shares
            .map(|share| std::thread::Builder::new().spawn_scoped(scope, move || work(share)))
            .collect();
        let mut done = vec![work(own)];
        for other in others {
            done.push(other?.join().unwrap_or_else(|_| {
                Err(SeriesError::Failed { reason: "a reading thread panicked".to_owned() })
            }));
        }
        done.into_iter().collect()
    })
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

/// Every day with readings in the span, in order. Asked after the unsealed ones were copied.
fn days_of(shared: &Shared, span: Span, unsealed: &[Slot]) -> Vec<i64> {
    let mut days = shared.days.between(span.from.as_micros(), span.to.as_micros());
    add_days(&mut days, unsealed);
    days
}

fn add_days(days: &mut Vec<i64>, slots: &[Slot]) {
    let mut rest = slots;
    while let Some(slot) = rest.first() {
        let day = days::day_of(slot.at);
        if let Err(place) = days.binary_search(&day) {
            days.insert(place, day);
        }
        rest = &rest[rest.partition_point(|slot| days::day_of(slot.at) <= day)..];
    }
}

fn walk(
    shared: &Shared,
    id: SeriesId,
    span: Span,
    days: &[i64],
    unsealed: &[Slot],
    sink: &mut impl Sink,
) -> Result<(), SeriesError> {
    for day in days {
        let mut cursor = Cursor::new(&shared.days, *day)?;
        if !walk_one(&mut cursor, id, span, *day, unsealed, sink)? {
            break;
        }
    }
    Ok(())
}

/// Returns false when the sink has enough.
fn walk_one(
    cursor: &mut Cursor<'_>,
    id: SeriesId,
    span: Span,
    day: i64,
    unsealed: &[Slot],
    sink: &mut impl Sink,
) -> Result<bool, SeriesError> {
    let start = start_of(day);
    let end = start.saturating_add(DAY_MICROS);
    let from = unsealed.partition_point(|slot| slot.at < start);
    let to = unsealed.partition_point(|slot| slot.at < end);
    let times = (span.from.as_micros().max(start), span.to.as_micros().min(end));
    walk_day(cursor, id.0, times, &unsealed[from..to], sink)
}

struct Points {
    points: Vec<Point>,
    limit: usize,
}

impl Sink for Points {
    fn takes(&self, _: &Summary) -> bool {
        false
    }

    fn minutes(&self) -> bool {
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
    done: Vec<(i64, Figures)>,
}

impl Buckets {
    fn new(width: i64) -> Self {
        Self { width, start: i64::MIN, figures: Figures::default(), done: Vec::new() }
    }

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
            self.done.push((self.start, figures));
        }
    }
}

impl Sink for Buckets {
    fn takes(&self, summary: &Summary) -> bool {
        self.start_of(summary.first) == self.start_of(summary.last)
    }

    fn minutes(&self) -> bool {
        self.width % MINUTE_MICROS == 0 && self.width <= MINUTES_WIDTH_MAX
    }

    fn take(&mut self, piece: Piece<'_>) -> bool {
        match piece {
            Piece::Reading(at, value, quality) => {
                self.enter(at);
                self.figures.add(value, quality);
            }
            Piece::Figures(at, figures) => {
                self.enter(at);
                self.figures.merge(figures);
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

/// Buckets of many sensors, in a table by position.
struct Totals {
    width: i64,
    first: i64,
    figures: Vec<Figures>,
}

impl Totals {
    fn new(width: i64, span: Span) -> Self {
        let (from, to) = (span.from.as_micros(), span.to.as_micros() - 1);
        let first = from.div_euclid(width);
        let count = (to.div_euclid(width) - first) as usize + 1;
        Self { width, first, figures: vec![Figures::default(); count] }
    }

    fn at(&mut self, at: i64) -> Option<&mut Figures> {
        // Half of a minute may lie before the span; its bucket does not.
        let place = at.div_euclid(self.width) - self.first;
        self.figures.get_mut(usize::try_from(place).unwrap_or(0))
    }

    fn join(&mut self, other: &Self) {
        for (known, more) in self.figures.iter_mut().zip(&other.figures) {
            known.merge(more);
        }
    }

    fn done(self) -> Vec<Aggregate> {
        let aggregate = |(place, figures): (usize, Figures)| Aggregate {
            start: Timestamp::from_micros((self.first + place as i64).saturating_mul(self.width)),
            count: figures.count,
            min: figures.min,
            max: figures.max,
            sum: figures.sum,
        };
        let full = self.figures.into_iter().enumerate().filter(|(_, figures)| figures.count > 0);
        full.map(aggregate).collect()
    }
}

impl Sink for Totals {
    fn takes(&self, summary: &Summary) -> bool {
        summary.first.div_euclid(self.width) == summary.last.div_euclid(self.width)
    }

    fn minutes(&self) -> bool {
        self.width % MINUTE_MICROS == 0
    }

    fn ends(&self) -> bool {
        false
    }

    fn take(&mut self, piece: Piece<'_>) -> bool {
        match piece {
            Piece::Reading(at, value, quality) => {
                if let Some(figures) = self.at(at) {
                    figures.add(value, quality);
                }
            }
            Piece::Figures(at, more) => {
                if let Some(figures) = self.at(at) {
                    figures.merge(more);
                }
            }
        }
        true
    }

    fn take_columns(&mut self, columns: &Columns, part: Range<usize>) -> bool {
        let width = self.width;
        let mut start = part.start;
        while start < part.end {
            let at = columns.at[start];
            let next = at.div_euclid(width).saturating_add(1).saturating_mul(width);
            let rest = &columns.at[start..part.end];
            let end = start + rest.partition_point(|at| *at < next).max(1);
            if let Some(figures) = self.at(at) {
                figures.add_all(&columns.value[start..end], &columns.quality[start..end]);
            }
            start = end;
        }
        true
    }
}

/// Finds the latest sealed reading of sensors for which nobody wrote it down.
pub(super) fn latest_sealed(
    days: &Days,
    known: &mut [Option<Slot>],
    lost: &[Range<u32>],
) -> Result<(), SeriesError> {
    let mut left: Vec<u32> = lost.iter().cloned().flatten().collect();
    for (day, _) in days.all().into_iter().rev() {
        if left.is_empty() {
            break;
        }
        let mut cursor = Cursor::new(days, day)?;
        let span = (start_of(day), start_of(day).saturating_add(DAY_MICROS));
        let mut missing = Vec::new();
        for series in left {
            let columns = sealed_of(&mut cursor, series, span)?;
            match (columns.len().checked_sub(1), known.get_mut(series as usize)) {
                (Some(last), Some(place)) => {
                    let (value, quality) = (columns.value[last], columns.quality[last]);
                    *place = Some(Slot::new(columns.at[last], value, quality, 0));
                }
                _ => missing.push(series),
            }
        }
        left = missing;
    }
    Ok(())
}

/// Brings latest readings up to date with the segments made from behind `through`.
pub(super) fn latest_since(
    days: &Days,
    known: &mut [Option<Slot>],
    through: Offset,
) -> Result<(), SeriesError> {
    for (day, segments) in days.all() {
        if segments.iter().all(|one| one.head.through <= through) {
            continue;
        }
        let mut cursor = Cursor::new(days, day)?;
        for part in
            (0..cursor.parts()).filter(|part| cursor.rank(*part) > through.0).collect::<Vec<_>>()
        {
            for series in cursor.sensors(part)? {
                let Some(last) = cursor.last(part, series)? else { continue };
                let Some(place) = known.get_mut(series as usize) else { continue };
                if place.is_none_or(|known| known.at <= last.at) {
                    *place = Some(last);
                }
            }
        }
    }
    Ok(())
}

/// The first day that a cutoff leaves whole: days before it go.
pub(super) fn first_kept_day(before: Timestamp) -> i64 {
    days::day_of(before.as_micros())
}
