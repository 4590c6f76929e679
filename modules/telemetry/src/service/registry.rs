//! The sensors in memory: what every reading needs, without asking a database.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use kernel::{Quality, Reason, SensorKey, Timestamp, Unit};
use store::series::{Point, SeriesId};

use crate::detect::Subject;
use crate::model::{AnomalyRule, Sensor, Severity};
use crate::sense::{Known, Seen};

/// What is known of a sensor's present.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now {
    /// The reading that arrived last, stored or about to be.
    pub seen: Option<Seen>,
    /// The stored reading with the greatest event time.
    pub latest: Option<Point>,
    pub received_at: Option<Timestamp>,
    pub score: f64,
    pub anomaly: Option<Brief>,
    /// Whether it waits for the next tick.
    pub changed: bool,
    /// The delivery that last had a reading of this sensor, and its place among that delivery's
    /// sensors.
    pub delivery: (u64, usize),
}

/// The worst anomaly that stands, for lists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Brief {
    pub score: f64,
    pub severity: Severity,
    pub since: Timestamp,
    pub rule: AnomalyRule,
}

/// One registered sensor.
#[derive(Debug)]
pub(crate) struct Entry {
    pub id: SeriesId,
    pub sensor: Sensor,
    pub known: Known,
    pub subject: Arc<Subject>,
    pub now: Arc<Mutex<Now>>,
}

impl Entry {
    fn new(id: SeriesId, sensor: Sensor, now: Arc<Mutex<Now>>) -> Self {
        let known = Known {
            profile: sensor.profile,
            unit: sensor.unit.as_deref().and_then(|unit| Unit::parse(unit).ok()),
            quarantined: sensor.quarantined,
        };
        let subject = Arc::new(Subject {
            key: sensor.key.clone(),
            kind: sensor.kind,
            unit: sensor.unit.clone(),
            origin: sensor.origin,
            judged: !sensor.quarantined,
            profile: sensor.profile,
            doubted: None,
        });
        Self { id, sensor, known, subject, now }
    }

    pub(crate) fn read_now(&self) -> Now {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn with_now<T>(&self, change: impl FnOnce(&mut Now) -> T) -> T {
        change(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a stored reading over, unless a later one is known; whether the sensor was waiting for
    /// a tick already.
    pub(crate) fn stored(&self, point: Point, received: Timestamp) -> bool {
        self.with_now(|now| {
            if is_present(point) && now.latest.is_none_or(|latest| latest.at <= point.at) {
                now.latest = Some(point);
                now.received_at = Some(received);
            }
            std::mem::replace(&mut now.changed, true)
        })
    }
}

/// A time from the future is no present.
pub(crate) fn is_present(point: Point) -> bool {
    point.quality.reason() != Some(Reason::FutureTime)
}

#[derive(Debug, Default)]
struct Maps {
    by_key: HashMap<SensorKey, Arc<Entry>>,
    by_id: Vec<Option<Arc<Entry>>>,
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    maps: RwLock<Maps>,
    /// Grows with every sensor and with every change to one.
    generation: AtomicU64,
    /// Grows with every change to a sensor that was there: who has looked at it must look again.
    revision: AtomicU64,
    /// Sensors that spoke since the last tick.
    changed: Mutex<VecDeque<SeriesId>>,
}

impl Registry {
    pub(crate) fn put(&self, id: SeriesId, sensor: Sensor) {
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        let now = maps.by_key.get(&sensor.key).map(|entry| Arc::clone(&entry.now));
        let is_new = now.is_none();
        let entry = Arc::new(Entry::new(id, sensor, now.unwrap_or_default()));
        let slot = id.0 as usize;
        if slot >= maps.by_id.len() {
            maps.by_id.resize(slot + 1, None);
        }
        maps.by_id[slot] = Some(Arc::clone(&entry));
        maps.by_key.insert(entry.sensor.key.clone(), entry);
        drop(maps);
        self.generation.fetch_add(1, Ordering::Release);
        if !is_new {
            self.touch();
        }
    }

    /// Changes a registered sensor under the lock, so that no other change is lost.
    pub(crate) fn change(&self, key: &SensorKey, change: impl FnOnce(&mut Sensor)) {
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        let Some(old) = maps.by_key.get(key).cloned() else { return };
        let mut sensor = old.sensor.clone();
        change(&mut sensor);
        let entry = Arc::new(Entry::new(old.id, sensor, Arc::clone(&old.now)));
        maps.by_id[old.id.0 as usize] = Some(Arc::clone(&entry));
        maps.by_key.insert(key.clone(), entry);
        drop(maps);
        self.generation.fetch_add(1, Ordering::Release);
        self.touch();
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Has everything that is known of the sensors looked at again.
    pub(crate) fn touch(&self) {
        self.revision.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn get(&self, key: &SensorKey) -> Option<Arc<Entry>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        maps.by_key.get(key).cloned()
    }

    pub(crate) fn by_id(&self, id: SeriesId) -> Option<Arc<Entry>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        maps.by_id.get(id.0 as usize).cloned().flatten()
    }

    /// Looks many up under one lock.
    pub(crate) fn find<'a>(
        &self,
        keys: impl Iterator<Item = &'a SensorKey>,
    ) -> Vec<Option<Arc<Entry>>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        keys.map(|key| maps.by_key.get(key).cloned()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.maps.read().unwrap_or_else(PoisonError::into_inner).by_key.len()
    }

    /// Every sensor, in order of key.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        let mut entries: Vec<_> = maps.by_key.values().cloned().collect();
        drop(maps);
        entries.sort_by(|a, b| a.sensor.key.cmp(&b.sensor.key));
        entries
    }

    /// Gives the sensors by id to `work`, which holds up registration as long as it takes.
    pub(crate) fn with_ids<T>(&self, work: impl FnOnce(&[Option<Arc<Entry>>]) -> T) -> T {
        work(&self.maps.read().unwrap_or_else(PoisonError::into_inner).by_id)
    }

    /// Takes over the newest stored reading of each sensor of a delivery.
    pub(crate) fn stored(&self, newest: &[(SeriesId, Point)], received: Timestamp) {
        let fresh: Vec<SeriesId> = self.with_ids(|by_id| {
            let entries = newest.iter().filter_map(|(id, point)| {
                let entry = by_id.get(id.0 as usize)?.as_ref()?;
                (!entry.stored(*point, received)).then_some(*id)
            });
            entries.collect()
        });
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).extend(fresh);
    }

    /// Up to `max` of the sensors that spoke; the others wait for the next tick.
    pub(crate) fn take_changed(&self, max: usize) -> Vec<Arc<Entry>> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = changed.len().min(max);
        let some: Vec<SeriesId> = changed.drain(..count).collect();
        drop(changed);
        let entries: Vec<_> = some.into_iter().filter_map(|id| self.by_id(id)).collect();
        entries.iter().for_each(|entry| entry.with_now(|now| now.changed = false));
        entries
    }
}

/// The class of a quality as an index into counters.
pub(crate) fn class_index(quality: Quality) -> usize {
    match quality {
        Quality::Good => 0,
        Quality::Uncertain(_) => 1,
        Quality::Bad(_) => 2,
    }
}
