//! What is kept in memory: the readings not yet in blocks, the latest of each sensor, and the
//! newest batches for those who follow the log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::arena::Runs;
use super::block::Slot;
use crate::series::{Batch, Offset, SeriesId, Span};

/// The followers' ring holds at most this many bytes of readings; older batches come from the log.
const RING_BYTES_MAX: usize = 16 << 20;
/// And at most this many batches, so that tiny batches stay cheap too.
const RING_BATCHES_MAX: usize = 16_384;
/// Series id, time, value and quality.
const READING_BYTES: usize = 21;
/// What an empty batch still costs in the ring.
const BATCH_BYTES: usize = 160;

/// No code runs under these locks that could leave half a change behind, so a panic elsewhere
/// does not make the data unusable.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Readings on their way into blocks: nothing is added any more.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) runs: Runs,
    pub(super) through: Offset,
}

/// The unsealed part of the store, and the latest reading of every sensor.
#[derive(Debug, Default)]
pub(super) struct Memory {
    active: Runs,
    frozen: Option<Arc<Frozen>>,
    latest: Vec<Option<Slot>>,
    applied: Offset,
}

impl Memory {
    pub(super) fn new(applied: Offset, latest: Vec<Option<Slot>>) -> Self {
        Self { applied, latest, ..Self::default() }
    }

    pub(super) fn apply(&mut self, offset: Offset, batch: &Arc<Batch>) {
        let sensors = batch.series.iter().map(|id| id.0 as usize + 1).max().unwrap_or(0);
        self.active.reserve(sensors);
        if self.latest.len() < sensors {
            self.latest.resize(sensors, None);
        }
        for (id, rows) in batch.runs() {
            let slot = |i| Slot::new(batch.at[i], batch.value[i], batch.quality[i], offset.0);
            self.note_latest(id, rows.map(slot));
        }
        self.active.add(offset, batch);
        self.applied = self.applied.max(offset);
    }

    fn note_latest(&mut self, id: SeriesId, slots: impl Iterator<Item = Slot>) {
        let mut latest = self.latest[id.0 as usize];
        for slot in slots {
            let order = |slot: Slot| (slot.at, slot.offset());
            if latest.is_none_or(|known| order(known) <= order(slot)) {
                latest = Some(slot);
            }
        }
        self.latest[id.0 as usize] = latest;
    }

    pub(super) fn latest(&self, id: SeriesId) -> Option<Slot> {
        self.latest.get(id.0 as usize).copied().flatten()
    }

    /// The latest of every sensor so far, by id.
    pub(super) fn latest_all(&self) -> &[Option<Slot>] {
        &self.latest
    }

    /// The unsealed reading at exactly this time.
    pub(super) fn at(&self, id: SeriesId, at: i64) -> Option<Slot> {
        let frozen = self.frozen.as_ref().map(|frozen| &frozen.runs);
        let newest = |runs: &Runs| {
            let found = runs.of(id.0).filter(|slot| slot.at == at);
            found.max_by_key(|slot| slot.offset())
        };
        newest(&self.active).or_else(|| frozen.and_then(newest))
    }

    /// Forgets every latest reading before `cutoff`; returns whose.
    pub(super) fn forget_latest(&mut self, cutoff: i64) -> Vec<u32> {
        let mut gone = Vec::new();
        for (id, latest) in self.latest.iter_mut().enumerate() {
            if latest.is_some_and(|slot| slot.at < cutoff) {
                *latest = None;
                gone.push(id as u32);
            }
        }
        gone
    }

    /// Readings not yet in blocks, those on their way there included.
    pub(super) fn points(&self) -> usize {
        self.active.points() + self.frozen.as_ref().map_or(0, |frozen| frozen.runs.points())
    }

    /// Readings from behind this place of the log.
    pub(super) fn points_after(&self, sealed: Offset) -> usize {
        let frozen = self.frozen.as_ref().filter(|frozen| frozen.through > sealed);
        self.active.points() + frozen.map_or(0, |frozen| frozen.runs.points())
    }

    pub(super) fn active_points(&self) -> usize {
        self.active.points()
    }

    pub(super) fn applied(&self) -> Offset {
        self.applied
    }

    /// The unsealed readings of one sensor in order of time, the last writer's only.
    pub(super) fn collect(&self, id: SeriesId, span: Span) -> Vec<Slot> {
        let frozen = self.frozen.as_ref().map_or(0, |frozen| frozen.runs.count(id.0));
        // Room at once: growing copies, and the writer waits meanwhile.
        let mut slots = Vec::with_capacity(frozen + self.active.count(id.0));
        if let Some(frozen) = &self.frozen {
            frozen.runs.collect(id, span, &mut slots);
        }
        self.active.collect(id, span, &mut slots);
        in_order(&mut slots, |_, _| ());
        slots
    }

    /// The readings to seal next. A pass that failed is taken up again before anything newer.
    pub(super) fn freeze(&mut self) -> Arc<Frozen> {
        let through = self.applied;
        let active = &mut self.active;
        let frozen = self
            .frozen
            .get_or_insert_with(|| Arc::new(Frozen { runs: std::mem::take(active), through }));
        Arc::clone(frozen)
    }

    /// The frozen readings are in blocks, durably.
    pub(super) fn thaw(&mut self) -> Option<Arc<Frozen>> {
        self.frozen.take()
    }
}

/// Sorts by time and keeps the last writer of each time, telling of every one it drops.
pub(super) fn in_order(slots: &mut Vec<Slot>, mut replaced: impl FnMut(Slot, Slot)) {
    if slots.is_sorted_by(|a, b| a.at < b.at) {
        return;
    }
    // Most come in order even where some are late: only those are sorted.
    let mut late = Vec::new();
    let mut newest = i64::MIN;
    slots.retain(|slot| {
        let on_time = slot.at > newest;
        if on_time {
            newest = slot.at;
        } else {
            late.push(*slot);
        }
        on_time
    });
    // Stable: within one batch the later position wins.
    late.sort_by_key(|slot| (slot.at, slot.offset()));
    let on_time = std::mem::take(slots);
    slots.reserve(on_time.len() + late.len());
    let mut put = |slot: Slot| match slots.last_mut() {
        Some(last) if last.at == slot.at => {
            let (old, new) =
                if last.offset() <= slot.offset() { (*last, slot) } else { (slot, *last) };
            replaced(old, new);
            *last = new;
        }
        _ => slots.push(slot),
    };
    let mut late = late.into_iter().peekable();
    for slot in on_time {
        while let Some(before) = late.next_if(|late| late.at < slot.at) {
            put(before);
        }
        put(slot);
        // Among those of one time the one that was first in order came first of all.
        while let Some(same) = late.next_if(|late| late.at == slot.at) {
            put(same);
        }
    }
    late.for_each(put);
}

/// The newest batches, for those who follow the log closely.
#[derive(Debug, Default)]
pub(super) struct Ring {
    batches: VecDeque<(Offset, Arc<Batch>)>,
    bytes: usize,
}

impl Ring {
    pub(super) fn push(&mut self, offset: Offset, batch: Arc<Batch>) {
        self.bytes += weight(&batch);
        self.batches.push_back((offset, batch));
        while self.bytes > RING_BYTES_MAX || self.batches.len() > RING_BATCHES_MAX {
            let Some((_, oldest)) = self.batches.pop_front() else { break };
            self.bytes -= weight(&oldest);
        }
    }

    /// Up to `max` batches after `after`; `None` when the ring does not reach back that far.
    pub(super) fn after(&self, after: Offset, max: usize) -> Option<Vec<(Offset, Arc<Batch>)>> {
        let (oldest, _) = self.batches.front()?;
        // A batch found damaged on open leaves a gap, so positions are searched, not computed.
        if oldest.0 > after.0 + 1 {
            return None;
        }
        let start = self.batches.partition_point(|(offset, _)| *offset <= after);
        Some(self.batches.iter().skip(start).take(max).cloned().collect())
    }
}

pub(super) fn weight(batch: &Batch) -> usize {
    BATCH_BYTES + batch.len() * READING_BYTES
}

#[cfg(test)]
mod tests {
    use kernel::Timestamp;

    use super::*;

    #[test]
    fn the_last_writer_stays_and_the_others_are_named() {
        let slot = |at, value, offset| Slot::new(at, value, 0, offset);
        let mut slots = vec![slot(5, 1.0, 3), slot(2, 2.0, 4), slot(5, 3.0, 5), slot(5, 4.0, 4)];
        let mut dropped = Vec::new();
        in_order(&mut slots, |old, new| dropped.push((old.value, new.value)));
        assert_eq!(slots, vec![slot(2, 2.0, 4), slot(5, 3.0, 5)]);
        assert_eq!(dropped, vec![(1.0, 4.0), (4.0, 3.0)]);
    }

    #[test]
    fn the_ring_is_bounded_and_knows_its_reach() {
        let mut ring = Ring::default();
        let mut batch = Batch { received: Timestamp::from_secs(1), ..Batch::default() };
        for at in 0..10_000 {
            batch.series.push(SeriesId(0));
            batch.at.push(at);
            batch.value.push(0.0);
            batch.quality.push(0);
        }
        let batch = Arc::new(batch);
        for offset in 1..=200 {
            ring.push(Offset(offset), Arc::clone(&batch));
        }
        assert!(ring.bytes <= RING_BYTES_MAX);
        assert!(ring.after(Offset(0), 1).is_none());
        let tail = ring.after(Offset(198), 10).unwrap();
        assert_eq!(tail.iter().map(|(o, _)| o.0).collect::<Vec<_>>(), vec![199, 200]);
    }
}
