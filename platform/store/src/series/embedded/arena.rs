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
const NONE: u32 = u32::MAX;
const EMPTY: Slot = Slot { at: 0, value: 0.0, tag: 0 };

/// Readings by sensor, each in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pages: Vec<Vec<Slot>>,
    chunks: Vec<Chunk>,
    chains: Vec<Chain>,
    points: usize,
    /// Event times lie between these.
    times: Option<(i64, i64)>,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    start: u32,
    slots: u32,
    next: u32,
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

    /// Adds a reading of a sensor there is room for.
    pub(super) fn push(&mut self, series: u32, slot: Slot) {
        let mut chain = self.chains[series as usize];
        if chain.free == 0 {
            chain = self.grow(chain);
        }
        let chunk = self.chunks[chain.last as usize];
        let place = (chunk.start + chunk.slots - chain.free) as usize;
        self.pages[place / PAGE_SLOTS][place % PAGE_SLOTS] = slot;
        chain.free -= 1;
        chain.points += 1;
        self.chains[series as usize] = chain;
        self.points += 1;
        let (low, high) = self.times.unwrap_or((slot.at, slot.at));
        self.times = Some((low.min(slot.at), high.max(slot.at)));
    }

    fn grow(&mut self, mut chain: Chain) -> Chain {
        let before = self.chunks.get(chain.last as usize).map_or(0, |chunk| chunk.slots);
        let slots = (before * 2).clamp(CHUNK_SLOTS_MIN, CHUNK_SLOTS_MAX);
        let fits = |page: &Vec<Slot>| page.len() + slots as usize <= PAGE_SLOTS;
        if !self.pages.last().is_some_and(fits) {
            self.pages.push(Vec::with_capacity(PAGE_SLOTS));
        }
        let index = self.pages.len() - 1;
        let page = &mut self.pages[index];
        let start = (index * PAGE_SLOTS + page.len()) as u32;
        page.resize(page.len() + slots as usize, EMPTY);
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

    /// All readings.
    pub(super) fn points(&self) -> usize {
        self.points
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
        let (page, start) = (chunk.start as usize / PAGE_SLOTS, chunk.start as usize % PAGE_SLOTS);
        self.next = chunk.next;
        self.left -= used;
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
                for _ in 0..count {
                    at += 1;
                    let slot = Slot::new(at, at as f64, 0, 1);
                    runs.push(series, slot);
                    model[series as usize].push(slot);
                }
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
