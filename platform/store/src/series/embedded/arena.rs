//! Unsealed readings, by sensor, in few large pieces of memory: a million sensors with two
//! readings each must not become a million small allocations.
//!
//! A sensor's readings lie in a chain of chunks, each twice as long as the one before it.

use super::block::Slot;
use crate::series::{SeriesId, Span};

/// Readings in one piece of memory.
const PAGE_SLOTS: usize = 8_192;
const CHUNK_SLOTS_MIN: u32 = 2;
const CHUNK_SLOTS_MAX: u32 = 512;
/// From here on a chunk has memory of its own, which need not be cleared before it is written.
const CHUNK_SLOTS_LARGE: u32 = 64;
const NONE: u32 = u32::MAX;
const EMPTY: Slot = Slot { at: 0, value: 0.0, tag: 0 };

/// Readings by sensor, each in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pages: Vec<Vec<Slot>>,
    large: Vec<Vec<Slot>>,
    chunks: Vec<Chunk>,
    chains: Vec<Chain>,
    points: usize,
    /// Event times lie between these.
    times: Option<(i64, i64)>,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    /// Place in the pages, or of the piece among the large ones.
    start: u32,
    slots: u32,
    next: u32,
}

impl Chunk {
    fn is_large(self) -> bool {
        self.slots >= CHUNK_SLOTS_LARGE
    }
}

#[derive(Clone, Copy, Debug)]
struct Chain {
    first: u32,
    last: u32,
    /// Free slots at the end of the last chunk.
    free: u32,
    points: u32,
}

const NO_CHAIN: Chain = Chain { first: NONE, last: NONE, free: 0, points: 0 };

impl Runs {
    /// Makes room for sensors with ids below `sensors`.
    pub(super) fn reserve(&mut self, sensors: usize) {
        if self.chains.len() < sensors {
            self.chains.resize(sensors, NO_CHAIN);
        }
    }

    /// Adds readings of a sensor there is room for.
    pub(super) fn extend(&mut self, series: u32, slots: impl ExactSizeIterator<Item = Slot>) {
        let mut chain = self.chains[series as usize];
        let (mut low, mut high) = self.times.unwrap_or((i64::MAX, i64::MIN));
        let mut left = slots.len() as u32;
        if left == 0 {
            return;
        }
        self.points += left as usize;
        chain.points += left;
        let mut slots = slots.inspect(|slot| {
            low = low.min(slot.at);
            high = high.max(slot.at);
        });
        while left > 0 {
            if chain.free == 0 {
                chain = self.grow(chain);
            }
            let count = chain.free.min(left);
            self.fill(
                self.chunks[chain.last as usize],
                chain.free,
                slots.by_ref().take(count as usize),
            );
            chain.free -= count;
            left -= count;
        }
        drop(slots);
        self.chains[series as usize] = chain;
        self.times = Some((low, high));
    }

    fn fill(&mut self, chunk: Chunk, free: u32, slots: impl Iterator<Item = Slot>) {
        if chunk.is_large() {
            self.large[chunk.start as usize].extend(slots);
            return;
        }
        let place = (chunk.start + chunk.slots - free) as usize;
        let page = &mut self.pages[place / PAGE_SLOTS][place % PAGE_SLOTS..];
        page.iter_mut().zip(slots).for_each(|(cell, slot)| *cell = slot);
    }

    fn grow(&mut self, mut chain: Chain) -> Chain {
        let before = self.chunks.get(chain.last as usize).map_or(0, |chunk| chunk.slots);
        let slots = (before * 2).clamp(CHUNK_SLOTS_MIN, CHUNK_SLOTS_MAX);
        let start = self.room(slots);
        let id = self.chunks.len() as u32;
        self.chunks.push(Chunk { start, slots, next: NONE });
        match self.chunks.get_mut(chain.last as usize) {
            Some(last) => last.next = id,
            None => chain.first = id,
        }
        chain.last = id;
        chain.free = slots;
        chain
    }

    fn room(&mut self, slots: u32) -> u32 {
        if slots >= CHUNK_SLOTS_LARGE {
            self.large.push(Vec::with_capacity(slots as usize));
            return self.large.len() as u32 - 1;
        }
        let fits = |page: &Vec<Slot>| page.len() + slots as usize <= PAGE_SLOTS;
        if !self.pages.last().is_some_and(fits) {
            self.pages.push(Vec::with_capacity(PAGE_SLOTS));
        }
        let index = self.pages.len() - 1;
        let page = &mut self.pages[index];
        let start = (index * PAGE_SLOTS + page.len()) as u32;
        page.resize(page.len() + slots as usize, EMPTY);
        start
    }

    /// All readings.
    pub(super) fn points(&self) -> usize {
        self.points
    }

    /// How many readings one sensor has.
    pub(super) fn count(&self, series: u32) -> usize {
        self.chains.get(series as usize).map_or(0, |chain| chain.points as usize)
    }

    /// The readings of one sensor, piece by piece.
    pub(super) fn of(&self, series: u32) -> Slices<'_> {
        let chain = self.chains.get(series as usize).copied().unwrap_or(NO_CHAIN);
        Slices { runs: self, next: chain.first, left: chain.points }
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
            let inside = |slot: &&Slot| from <= slot.at && slot.at < to;
            out.extend(self.of(id.0).flatten().filter(inside));
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Slices<'a> {
    runs: &'a Runs,
    next: u32,
    left: u32,
}

impl<'a> Iterator for Slices<'a> {
    type Item = &'a [Slot];

    fn next(&mut self) -> Option<&'a [Slot]> {
        let chunk = self.runs.chunks.get(self.next as usize).filter(|_| self.left > 0)?;
        let used = chunk.slots.min(self.left);
        self.next = chunk.next;
        self.left -= used;
        let start = chunk.start as usize;
        if chunk.is_large() {
            return self.runs.large[start].get(..used as usize);
        }
        let (page, start) = (start / PAGE_SLOTS, start % PAGE_SLOTS);
        self.runs.pages[page].get(start..start + used as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keeps_every_reading_in_order(pushes in proptest::collection::vec((0u32..7, 1usize..900), 0..60)) {
            let mut runs = Runs::default();
            let mut model: Vec<Vec<Slot>> = vec![Vec::new(); 9];
            let mut at = 0;
            for (series, count) in pushes {
                runs.reserve(series as usize + 1);
                let slots: Vec<_> =
                    (at..at + count as i64).map(|at| Slot::new(at, at as f64, 0, 1)).collect();
                at += count as i64;
                runs.extend(series, slots.iter().copied());
                model[series as usize].extend(slots);
            }
            prop_assert_eq!(runs.points(), model.iter().map(Vec::len).sum::<usize>());
            let with: Vec<u32> = (0..9).filter(|s| !model[*s as usize].is_empty()).collect();
            prop_assert_eq!(runs.sensors().collect::<Vec<_>>(), with);
            for (series, wanted) in model.iter().enumerate() {
                let got: Vec<Slot> = runs.of(series as u32).flatten().copied().collect();
                prop_assert_eq!(&got, wanted);
            }
        }
    }
}
