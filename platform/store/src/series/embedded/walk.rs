//! Goes through what there is of one sensor on one day in order of time, and takes the coarsest
//! form that still answers exactly: whole blocks by their summary, whole minutes by their figures,
//! the rest reading by reading.

use std::ops::Range;

use super::block::{BLOCK_POINTS, Columns, Figures, Slot, Summary};
use super::cursor::{Cursor, Piece as Found};
use super::packed::MINUTE_MICROS;
use crate::series::SeriesError;

/// Fewer single readings than this are taken one by one.
const SLOTS_FEW: usize = 64;

/// What a walk over time meets.
pub(super) enum Piece<'a> {
    Reading(i64, f64, u8),
    /// Readings of one bucket, from this time on.
    Figures(i64, &'a Figures),
}

/// Takes pieces in order of time.
pub(super) trait Sink {
    /// Whether the summary of this block is as good as its readings.
    fn takes(&self, summary: &Summary) -> bool;

    /// Whether the figures of whole minutes are as good as their readings, and worth asking for.
    fn minutes(&self) -> bool;

    /// Whether first and last values matter.
    fn ends(&self) -> bool {
        true
    }

    /// Returns false when it has enough.
    fn take(&mut self, piece: Piece<'_>) -> bool;

    /// Takes part of a block.
    fn take_columns(&mut self, columns: &Columns, part: Range<usize>) -> bool;
}

/// Returns false when the sink has enough. `unsealed` are newer than everything in segments.
pub(super) fn walk_day(
    cursor: &mut Cursor<'_>,
    series: u32,
    (from, to): (i64, i64),
    unsealed: &[Slot],
    sink: &mut impl Sink,
) -> Result<bool, SeriesError> {
    if cursor.is_empty() {
        return Ok(take_slots(unsealed, sink));
    }
    let found = cursor.pieces(series, from, to)?;
    let merged;
    let mut slots = if found.slots.is_empty() {
        unsealed
    } else {
        let mut all = found.slots;
        all.extend_from_slice(unsealed);
        super::memory::in_order(&mut all, |_, _| ());
        merged = all;
        &merged
    };
    let blocks = &found.blocks;
    let mut index = 0;
    while let Some(piece) = blocks.get(index) {
        let summary = piece.entry.summary();
        let before = split(&mut slots, |slot| slot.at < summary.first);
        if !take_slots(before, sink) {
            return Ok(false);
        }
        let inside = split(&mut slots, |slot| slot.at <= summary.last);
        let whole = inside.is_empty() && from <= summary.first && summary.last < to;
        if whole && sink.takes(&summary) {
            if !sink.take(Piece::Figures(summary.first, &summary.figures)) {
                return Ok(false);
            }
            index += 1;
            continue;
        }
        if inside.is_empty() && sink.minutes() {
            let run = &blocks[index..];
            let next = slots.first().map_or(i64::MAX, |slot| slot.at);
            let run = &run[..same_run(run, next)];
            if by_minutes(cursor, series, run, (from, to), sink)? {
                index += run.len();
                continue;
            }
        }
        let more = if inside.is_empty() {
            by_stretches(cursor, piece, (from, to), sink)?
        } else {
            let columns = cursor.load(piece)?.unwrap_or_default();
            let part = part_of(&columns, from, to);
            interleave(&columns, part, inside, cursor.rank(piece.part), sink)
        };
        if !more {
            return Ok(false);
        }
        index += 1;
    }
    Ok(take_slots(slots, sink))
}

/// All sealed readings of a sensor in a span, the last writer's only.
pub(super) fn sealed_of(
    cursor: &mut Cursor<'_>,
    series: u32,
    span: (i64, i64),
) -> Result<Columns, SeriesError> {
    let mut flat = Flat(Columns::default());
    walk_day(cursor, series, span, &[], &mut flat)?;
    Ok(flat.0)
}

struct Flat(Columns);

impl Sink for Flat {
    fn takes(&self, _: &Summary) -> bool {
        false
    }

    fn minutes(&self) -> bool {
        false
    }

    fn take(&mut self, piece: Piece<'_>) -> bool {
        if let Piece::Reading(at, value, quality) = piece {
            self.0.push(at, value, quality);
        }
        true
    }

    fn take_columns(&mut self, columns: &Columns, part: Range<usize>) -> bool {
        self.0.append(columns, part.start, part.end);
        true
    }
}

fn part_of(columns: &Columns, from: i64, to: i64) -> Range<usize> {
    let start = columns.at.partition_point(|at| *at < from);
    start..columns.at.partition_point(|at| *at < to).max(start)
}

/// Readings of a block among single ones; of one time the one from further on in the log counts.
fn interleave(
    columns: &Columns,
    part: Range<usize>,
    inside: &[Slot],
    rank: u64,
    sink: &mut impl Sink,
) -> bool {
    let mut start = part.start;
    for slot in inside {
        let before = columns.at[start..part.end].partition_point(|at| *at < slot.at);
        if before > 0 && !sink.take_columns(columns, start..start + before) {
            return false;
        }
        start += before;
        let same = start < part.end && columns.at[start] == slot.at;
        if same && slot.offset() <= rank {
            // The block's own is the later one, and comes with the next stretch.
            continue;
        }
        start += usize::from(same);
        if !sink.take(reading(slot)) {
            return false;
        }
    }
    start >= part.end || sink.take_columns(columns, start..part.end)
}

/// How many blocks follow each other in one segment with nothing in between.
fn same_run(blocks: &[Found], next_slot: i64) -> usize {
    let Some(first) = blocks.first() else { return 0 };
    let alike = |piece: &&Found| piece.part == first.part && piece.entry.to < next_slot;
    blocks.iter().take_while(alike).count().max(1)
}

/// Answers for blocks by the figures of their minutes, and reads only what is left at the ends.
/// Returns false when there are no such figures.
fn by_minutes(
    cursor: &mut Cursor<'_>,
    series: u32,
    run: &[Found],
    (from, to): (i64, i64),
    sink: &mut impl Sink,
) -> Result<bool, SeriesError> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(false) };
    let part = first.part;
    if cursor.minutes(part, series, sink.ends())?.is_none() {
        return Ok(false);
    }
    // A minute at an end counts only if all that the segment has of it lies in the run and in
    // the span.
    let (low, high) = (first.entry.from.max(from), last.entry.to.saturating_add(1).min(to));
    let mut near = Vec::new();
    let (floor_low, floor_high) = (floor(low), floor(high.saturating_sub(1)));
    cursor.dense(part, series, floor_low, floor_high.saturating_add(MINUTE_MICROS), &mut near)?;
    let before = near.iter().any(|piece| piece.entry.from < first.entry.from);
    let after = near.iter().any(|piece| piece.entry.from > last.entry.from);
    let cut_low = before || low > first.entry.from;
    let cut_high = after || high <= last.entry.to;
    let start = if cut_low && low != floor_low { floor_low + MINUTE_MICROS } else { floor_low };
    let end =
        if cut_high && high != floor(high) { floor(high) } else { floor_high + MINUTE_MICROS };
    if start >= end {
        return Ok(false);
    }
    read_part(cursor, run, (low, start.min(high)), sink)?;
    if let Some((minutes, rows)) = cursor.minutes(part, series, sink.ends())? {
        for row in rows {
            let minute = minutes.minute(row);
            if minute.at >= end {
                break;
            }
            if minute.at >= start {
                sink.take(Piece::Figures(minute.at.max(low), &minute.figures));
            }
        }
    }
    read_part(cursor, run, (end.max(low), high), sink)?;
    Ok(true)
}

/// Reads `[from, to)` of blocks.
fn read_part(
    cursor: &Cursor<'_>,
    run: &[Found],
    (from, to): (i64, i64),
    sink: &mut impl Sink,
) -> Result<(), SeriesError> {
    if from >= to {
        return Ok(());
    }
    for piece in run.iter().filter(|piece| piece.entry.from < to && piece.entry.to >= from) {
        by_stretches(cursor, piece, (from, to), sink)?;
    }
    Ok(())
}

/// Takes `[from, to)` of a block: stretches that lie wholly in it by their figures where those
/// do, the others reading by reading. Returns false when the sink has enough.
fn by_stretches(
    cursor: &Cursor<'_>,
    piece: &Found,
    (from, to): (i64, i64),
    sink: &mut impl Sink,
) -> Result<bool, SeriesError> {
    let Some(block) = cursor.block(piece)? else { return Ok(true) };
    let whole = piece.entry.summary();
    let stretch = |index| block.summary(&whole, index);
    let inside = |one: &Summary| from <= one.first && one.last < to;
    let mut index = 0;
    while index < block.len() {
        let one = stretch(index);
        if one.last < from || one.first >= to {
            index += 1;
            continue;
        }
        if inside(&one) && sink.takes(&one) {
            if !sink.take(Piece::Figures(one.first, &one.figures)) {
                return Ok(false);
            }
            index += 1;
            continue;
        }
        let read = (index + 1..block.len())
            .map(stretch)
            .take_while(|next| next.first < to && !(inside(next) && sink.takes(next)));
        let end = index + 1 + read.count();
        let columns = cursor.read(piece, &block, index..end)?.unwrap_or_default();
        let part = part_of(&columns, from, to);
        if !sink.take_columns(&columns, part) {
            return Ok(false);
        }
        index = end;
    }
    Ok(true)
}

fn floor(at: i64) -> i64 {
    at.div_euclid(MINUTE_MICROS).saturating_mul(MINUTE_MICROS)
}

fn split<'a>(slots: &mut &'a [Slot], head: impl Fn(&Slot) -> bool) -> &'a [Slot] {
    let (before, after) = slots.split_at(slots.partition_point(head));
    *slots = after;
    before
}

/// Takes single readings; many of them as columns, which sinks are faster with.
fn take_slots(slots: &[Slot], sink: &mut impl Sink) -> bool {
    if slots.len() < SLOTS_FEW {
        return slots.iter().all(|slot| sink.take(reading(slot)));
    }
    let mut columns = Columns::default();
    slots.chunks(BLOCK_POINTS).all(|some| {
        columns.clear();
        some.iter().for_each(|slot| columns.push(slot.at, slot.value, slot.quality()));
        sink.take_columns(&columns, 0..some.len())
    })
}

fn reading(slot: &Slot) -> Piece<'static> {
    Piece::Reading(slot.at, slot.value, slot.quality())
}
