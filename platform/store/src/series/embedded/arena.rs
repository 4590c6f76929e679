//! Unsealed readings, by sensor, in few large pieces of memory: a million sensors with two
//! readings each must not become a million small allocations.
//!
//! A sensor's readings lie in a chain of chunks. Those of large batches stay in their batch, which
//! is kept; others are copied into chunks, each twice as long as the one before it.

use std::ops::Range;
use std::sync::Arc;

use super::block::Slot;
use crate::series::{Batch, Offset, SeriesId, Span};

/// Readings in one piece of memory.
const PAGE_SLOTS: usize = 8_192;
const CHUNK_SLOTS_MIN: u32 = 2;
const CHUNK_SLOTS_MAX: u32 = 512;
/// From here on a chunk has memory of its own, which need not be cleared before it is written.
const CHUNK_SLOTS_LARGE: u32 = 64;
/// A batch is kept as it is when it has so many readings, and so many of a sensor in a row: then
/// copying costs more than finding them again.
const KEPT_READINGS_MIN: usize = 512;
const KEPT_RUN_MIN: usize = 4;
const NONE: u32 = u32::MAX;
const EMPTY: Slot = Slot { at: 0, value: 0.0, tag: 0 };

/// Readings by sensor, each in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pages: Vec<Vec<Slot>>,
    large: Vec<Vec<Slot>>,
    batches: Vec<(Offset, Arc<Batch>)>,
    chunks: Vec<Chunk>,
    chains: Vec<Chain>,
    points: usize,
    /// Event times lie between these.
    times: Option<(i64, i64)>,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    home: Home,
    used: u32,
    slots: u32,
    next: u32,
}

/// Where the readings of a chunk lie.
#[derive(Clone, Copy, Debug)]
enum Home {
    /// From this place of the pages on.
    Pages(u32),
    /// In a large piece of their own.
    Large(u32),
    /// In a batch, from this row on.
    Batch { place: u32, row: u32 },
}

#[derive(Clone, Copy, Debug)]
struct Chain {
    first: u32,
    last: u32,
    points: u32,
    /// Slots of the last chunk that was made for copies.
    grown: u32,
}

const NO_CHAIN: Chain = Chain { first: NONE, last: NONE, points: 0, grown: 0 };

impl Runs {
    /// Makes room for sensors with ids below `sensors`.
    pub(super) fn reserve(&mut self, sensors: usize) {
        if self.chains.len() < sensors {
            self.chains.resize(sensors, NO_CHAIN);
        }
    }

    /// Adds a batch of sensors there is room for.
    pub(super) fn add(&mut self, offset: Offset, batch: &Arc<Batch>) {
        let (Some(low), Some(high)) = (batch.at.iter().min(), batch.at.iter().max()) else {
            return;
        };
        let (first, last) = self.times.unwrap_or((*low, *high));
        self.times = Some((first.min(*low), last.max(*high)));
        self.points += batch.len();
        let large = batch.len() >= KEPT_READINGS_MIN;
        if large && batch.runs().count() * KEPT_RUN_MIN <= batch.len() {
            let place = self.batches.len() as u32;
            self.batches.push((offset, Arc::clone(batch)));
            for (id, rows) in batch.runs() {
                self.keep(id.0, place, rows);
            }
            return;
        }
        for (id, rows) in batch.runs() {
            let slot = |i| Slot::new(batch.at[i], batch.value[i], batch.quality[i], offset.0);
            self.copy(id.0, rows.map(slot));
        }
    }

    /// Links the rows of a kept batch.
    fn keep(&mut self, series: u32, place: u32, rows: Range<usize>) {
        let home = Home::Batch { place, row: rows.start as u32 };
        let used = rows.len() as u32;
        self.link(series, Chunk { home, used, slots: used, next: NONE });
        self.chains[series as usize].points += used;
    }

    fn copy(&mut self, series: u32, mut slots: impl ExactSizeIterator<Item = Slot>) {
        let mut left = slots.len() as u32;
        self.chains[series as usize].points += left;
        while left > 0 {
            let last = self.chains[series as usize].last;
            let free = self.chunks.get(last as usize).map_or(0, |chunk| chunk.slots - chunk.used);
            if free == 0 {
                self.grow(series);
                continue;
            }
            let count = free.min(left);
            self.fill(last, slots.by_ref().take(count as usize));
            self.chunks[last as usize].used += count;
            left -= count;
        }
    }

    fn fill(&mut self, chunk: u32, slots: impl Iterator<Item = Slot>) {
        let Chunk { home, used, .. } = self.chunks[chunk as usize];
        match home {
            Home::Pages(start) => {
                let place = (start + used) as usize;
                let page = &mut self.pages[place / PAGE_SLOTS][place % PAGE_SLOTS..];
                page.iter_mut().zip(slots).for_each(|(cell, slot)| *cell = slot);
            }
            Home::Large(piece) => self.large[piece as usize].extend(slots),
            // Has as many slots as it uses.
            Home::Batch { .. } => {}
        }
    }

    fn grow(&mut self, series: u32) {
        let chain = &mut self.chains[series as usize];
        let slots = (chain.grown * 2).clamp(CHUNK_SLOTS_MIN, CHUNK_SLOTS_MAX);
        chain.grown = slots;
        let home = self.room(slots);
        self.link(series, Chunk { home, used: 0, slots, next: NONE });
    }

    fn link(&mut self, series: u32, chunk: Chunk) {
        let chain = &mut self.chains[series as usize];
        let id = self.chunks.len() as u32;
        self.chunks.push(chunk);
        match self.chunks.get_mut(chain.last as usize) {
            Some(last) => last.next = id,
            None => chain.first = id,
        }
        chain.last = id;
    }

    fn room(&mut self, slots: u32) -> Home {
        if slots >= CHUNK_SLOTS_LARGE {
            self.large.push(Vec::with_capacity(slots as usize));
            return Home::Large(self.large.len() as u32 - 1);
        }
        let fits = |page: &Vec<Slot>| page.len() + slots as usize <= PAGE_SLOTS;
        if !self.pages.last().is_some_and(fits) {
            self.pages.push(Vec::with_capacity(PAGE_SLOTS));
        }
        let index = self.pages.len() - 1;
        let page = &mut self.pages[index];
        let start = (index * PAGE_SLOTS + page.len()) as u32;
        page.resize(page.len() + slots as usize, EMPTY);
        Home::Pages(start)
    }

    /// All readings.
    pub(super) fn points(&self) -> usize {
        self.points
    }

    /// How many readings one sensor has.
    pub(super) fn count(&self, series: u32) -> usize {
        self.chains.get(series as usize).map_or(0, |chain| chain.points as usize)
    }

    /// The readings of one sensor.
    pub(super) fn of(&self, series: u32) -> impl Iterator<Item = Slot> + '_ {
        self.pieces(series).flat_map(|chunk| {
            let (copied, rows): (&[Slot], _) = match chunk.home {
                Home::Batch { place, row } => {
                    let rows = row as usize..(row + chunk.used) as usize;
                    (&[], Some((&self.batches[place as usize], rows)))
                }
                Home::Large(piece) => (&self.large[piece as usize], None),
                Home::Pages(start) => {
                    let (page, from) = (start as usize / PAGE_SLOTS, start as usize % PAGE_SLOTS);
                    (&self.pages[page][from..from + chunk.used as usize], None)
                }
            };
            copied.iter().copied().chain(rows.into_iter().flat_map(in_batch))
        })
    }

    /// Adds the readings of one sensor to `out`.
    pub(super) fn append_to(&self, series: u32, out: &mut Vec<Slot>) {
        out.reserve(self.count(series));
        for chunk in self.pieces(series) {
            match chunk.home {
                Home::Batch { place, row } => {
                    let rows = row as usize..(row + chunk.used) as usize;
                    out.extend(in_batch((&self.batches[place as usize], rows)));
                }
                Home::Large(piece) => out.extend_from_slice(&self.large[piece as usize]),
                Home::Pages(start) => {
                    let (page, from) = (start as usize / PAGE_SLOTS, start as usize % PAGE_SLOTS);
                    out.extend_from_slice(&self.pages[page][from..from + chunk.used as usize]);
                }
            }
        }
    }

    fn pieces(&self, series: u32) -> impl Iterator<Item = Chunk> + '_ {
        let first = self.chains.get(series as usize).map_or(NONE, |chain| chain.first);
        let chunk = |place: u32| self.chunks.get(place as usize).copied();
        std::iter::successors(chunk(first), move |last| chunk(last.next))
    }

    /// The sensors that have readings, in order.
    pub(super) fn sensors(&self) -> impl Iterator<Item = u32> + '_ {
        let known = self.chains.iter().enumerate().filter(|(_, chain)| chain.points > 0);
        known.map(|(series, _)| series as u32)
    }

    /// First and last event time.
    pub(super) fn times(&self) -> Option<(i64, i64)> {
        self.times
    }

    pub(super) fn collect(&self, id: SeriesId, span: Span, out: &mut Vec<Slot>) {
        let (from, to) = (span.from.as_micros(), span.to.as_micros());
        let reaches = |(low, high): (i64, i64)| low < to && high >= from;
        if self.times.is_some_and(reaches) {
            let inside = |slot: &Slot| from <= slot.at && slot.at < to;
            out.extend(self.of(id.0).filter(inside));
        }
    }
}

/// Rows of a kept batch.
fn in_batch(
    ((offset, batch), rows): (&(Offset, Arc<Batch>), Range<usize>),
) -> impl ExactSizeIterator<Item = Slot> + '_ {
    let (at, value) = (&batch.at[rows.clone()], &batch.value[rows.clone()]);
    let columns = at.iter().zip(value).zip(&batch.quality[rows]);
    columns.map(|((at, value), quality)| Slot::new(*at, *value, *quality, offset.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A batch in which each of these sensors has so many readings in a row.
    fn batch(runs: &[(u32, usize)], at: &mut i64) -> Arc<Batch> {
        let mut batch = Batch::default();
        for (series, count) in runs {
            for _ in 0..*count {
                batch.series.push(SeriesId(*series));
                batch.at.push(*at);
                batch.value.push(*at as f64);
                batch.quality.push((*at % 3) as u8);
                *at += 1;
            }
        }
        Arc::new(batch)
    }

    proptest! {
        /// Whether batches are kept or copied, and in whatever turns.
        #[test]
        fn keeps_every_reading_in_order(
            batches in proptest::collection::vec(
                proptest::collection::vec((0u32..7, 1usize..300), 1..7), 0..30),
        ) {
            let mut runs = Runs::default();
            let mut model: Vec<Vec<Slot>> = vec![Vec::new(); 9];
            let mut at = 0;
            runs.reserve(7);
            for (offset, pushes) in (1..).zip(batches) {
                let batch = batch(&pushes, &mut at);
                for row in 0..batch.len() {
                    let slot = Slot::new(batch.at[row], batch.value[row], batch.quality[row], offset);
                    model[batch.series[row].0 as usize].push(slot);
                }
                runs.add(Offset(offset), &batch);
            }
            prop_assert_eq!(runs.points(), model.iter().map(Vec::len).sum::<usize>());
            prop_assert_eq!(runs.times(), (at > 0).then_some((0, at - 1)));
            let with: Vec<u32> = (0..9).filter(|s| !model[*s as usize].is_empty()).collect();
            prop_assert_eq!(runs.sensors().collect::<Vec<_>>(), with);
            for (series, wanted) in model.iter().enumerate() {
                prop_assert_eq!(runs.count(series as u32), wanted.len());
                prop_assert_eq!(&runs.of(series as u32).collect::<Vec<_>>(), wanted);
                let mut appended = Vec::new();
                runs.append_to(series as u32, &mut appended);
                prop_assert_eq!(&appended, wanted);
            }
        }
    }
}
