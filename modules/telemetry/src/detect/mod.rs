//! DETECT: follows the series log, one detector per sensor, and says what starts and what ends.
//!
//! Pure: batches and times come in, effects go out. A sensor always belongs to the same shard, so
//! its readings are judged in the order of the log.

mod chains;
mod clock;
mod grid;
mod kept;
mod process;
mod replay;
mod watch;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use kernel::{CorrelationId, SensorKey, SensorKind, Timestamp};
use sense::Origin;
use signal::detector::SensorProfile;
use store::series::{Batch, Offset, SeriesId};

use crate::model::{Anomaly, Changepoint, Profile, Trust};

use chains::Chains;

pub(crate) use grid::{LATE_ROWS, Plan, Row, Sample, rows};
pub(crate) use kept::{BUNDLE_SENSORS, KeptState, bundle_of, members, read_states, write_states};
pub(crate) use process::{AssetModel, AssetNow, AssetWatch, Fleet, SavedAsset, replay};
pub(crate) use replay::{Again, Judged, Onset, SavedBefore, judge_again};
pub(crate) use watch::{Saved, Standing, Watch};

/// What detection knows about a sensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subject {
    pub key: SensorKey,
    pub kind: SensorKind,
    pub unit: Option<String>,
    pub origin: Origin,
    /// Quarantined sensors are stored, not judged.
    pub judged: bool,
    pub profile: Profile,
    /// What the model of its asset has against it.
    pub doubted: Option<Doubt>,
}

/// What the model of an asset has against one of its sensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It moves while the others do not.
    Alone,
    /// It slowly leaves the place where the others would have it.
    DriftsUp,
    DriftsDown,
}

impl Doubt {
    fn reason(self) -> &'static str {
        match self {
            Self::Alone => "moves while the other sensors of its asset do not",
            Self::DriftsUp => {
                "drifts upwards, away from where the other sensors of its asset put it"
            }
            Self::DriftsDown => {
                "drifts downwards, away from where the other sensors of its asset put it"
            }
        }
    }
}

impl Subject {
    /// Whether silence means anything: a real source is expected to go on, a replay or a generated
    /// series ends, unless somebody said how often its sensor reports.
    pub(crate) fn is_expected(&self) -> bool {
        self.judged && (self.origin == Origin::Real || self.profile.interval_s.is_some())
    }

    pub(crate) fn sensor_profile(&self) -> SensorProfile {
        let Profile { expected_low, expected_high, rate_max_per_s, interval_s } = self.profile;
        let range = match (expected_low, expected_high) {
            (None, None) => None,
            (low, high) => Some((low.unwrap_or(f64::MIN / 4.0), high.unwrap_or(f64::MAX / 4.0))),
        };
        SensorProfile { range, rate_max_per_s, interval_s, ..SensorProfile::default() }
    }
}

/// What detection wants done; all effects of one commit are written together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// An anomaly started, grew worse or ended; `revision` counts its states from 1.
    Anomaly {
        anomaly: Box<Anomaly>,
        revision: i64,
        correlation: CorrelationId,
        /// With the first state of a sensor's anomaly: what it rests on.
        onset: Option<Box<Onset>>,
    },
    /// A level or a state changed and stays changed.
    Change { change: Box<Changepoint>, correlation: CorrelationId },
    Trust {
        sensor: SensorKey,
        trust: Trust,
        previous: Trust,
        reason: Option<String>,
        since: Timestamp,
        correlation: CorrelationId,
    },
}

/// An effect and the sensor whose state it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    pub series: SeriesId,
    pub effect: Effect,
}

/// What one pass over some batches brought.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub said: Vec<Said>,
    /// Newest score of each sensor that spoke.
    pub scores: Vec<(SeriesId, f64)>,
    /// Readings that were gone through, with those that are `left`.
    pub judged: u64,
    pub left: Left,
}

/// Readings that the score neither judged nor learned from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Not later than the newest of their sensor.
    pub late: u64,
    /// Of a quality that is not to be believed.
    pub doubtful: u64,
}

impl Left {
    fn join(&mut self, other: Self) {
        self.late += other.late;
        self.doubtful += other.doubtful;
    }
}

impl Outcome {
    pub(crate) fn join(&mut self, other: Self) {
        self.said.extend(other.said);
        self.scores.extend(other.scores);
        self.judged += other.judged;
        self.left.join(other.left);
    }
}

/// Every `count`-th sensor, starting with `index`.
#[derive(Debug)]
pub(crate) struct Shard {
    index: u32,
    count: u32,
    watches: Vec<Option<Box<Watch>>>,
    touched: Vec<u32>,
    chains: Chains,
    /// Sensors whose states have changed since they were written down, and the first batch that did
    /// it, oldest first. An entry that its sensor no longer says counts for nothing.
    unsaved: VecDeque<(Offset, SeriesId)>,
    /// The sensor to look at next for silence.
    silence_slot: usize,
}

/// Sensors looked at for silence in one round: a million take turns.
const SILENCE_CHECKS_MAX: usize = 50_000;

impl Shard {
    pub(crate) fn new(index: u32, count: u32) -> Self {
        Self {
            index,
            count: count.max(1),
            watches: Vec::new(),
            touched: Vec::new(),
            chains: Chains::default(),
            unsaved: VecDeque::new(),
            silence_slot: 0,
        }
    }

    pub(crate) fn owns(&self, id: SeriesId) -> bool {
        id.0 % self.count == self.index
    }

    pub(crate) fn put(&mut self, id: SeriesId, watch: Watch) {
        let slot = self.slot(id);
        self.watches[slot] = Some(Box::new(watch));
    }

    fn slot(&mut self, id: SeriesId) -> usize {
        let slot = (id.0 / self.count) as usize;
        if slot >= self.watches.len() {
            self.watches.resize_with(slot + 1, || None);
        }
        slot
    }

    pub(crate) fn watch(&mut self, id: SeriesId) -> Option<&mut Watch> {
        let slot = (id.0 / self.count) as usize;
        self.watches.get_mut(slot)?.as_deref_mut()
    }

    /// All sensors of this shard that have spoken.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = (SeriesId, &mut Watch)> {
        let (index, count) = (self.index, self.count);
        self.watches.iter_mut().enumerate().filter_map(move |(slot, watch)| {
            let id = SeriesId(slot as u32 * count + index);
            watch.as_deref_mut().map(|watch| (id, watch))
        })
    }

    /// Judges the readings of this shard's sensors. `subject` describes a sensor met first.
    pub(crate) fn run(
        &mut self,
        batches: &[(Offset, Arc<Batch>)],
        subject: &dyn Fn(SeriesId) -> Option<Arc<Subject>>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        self.touched.clear();
        let mut rest = batches;
        while !rest.is_empty() {
            let (some, after) = rest.split_at(chains::together(rest));
            self.run_some(some, subject, &mut outcome);
            rest = after;
        }
        for id in std::mem::take(&mut self.touched) {
            let id = SeriesId(id);
            if let Some(watch) = self.watch(id) {
                watch.fresh = false;
                outcome.scores.push((id, watch.score()));
            }
        }
        outcome
    }

    /// Sensor after sensor, each in the order of the log: so the state of a detector, which is far
    /// larger than a reading, is fetched once for all of them.
    fn run_some(
        &mut self,
        batches: &[(Offset, Arc<Batch>)],
        subject: &dyn Fn(SeriesId) -> Option<Arc<Subject>>,
        outcome: &mut Outcome,
    ) {
        let mut chains = std::mem::take(&mut self.chains);
        chains.begin();
        for (place, (_, batch)) in batches.iter().enumerate() {
            for (id, rows) in batch.runs() {
                if !self.owns(id) {
                    continue;
                }
                chains.add(self.slot(id), place, rows);
            }
        }
        while let Some((slot, first)) = chains.next_chain() {
            let mut run = Some(first);
            while let Some(this) = run {
                let (place, rows) = chains.rows(this);
                let (offset, batch) = &batches[place];
                self.judge(*offset, batch, slot, rows, subject, outcome);
                run = chains.after(this);
            }
        }
        self.chains = chains;
    }

    fn judge(
        &mut self,
        offset: Offset,
        batch: &Batch,
        slot: usize,
        rows: Range<usize>,
        subject: &dyn Fn(SeriesId) -> Option<Arc<Subject>>,
        outcome: &mut Outcome,
    ) {
        let id = batch.series[rows.start];
        if self.watches[slot].is_none() {
            let Some(subject) = subject(id) else { return };
            self.watches[slot] = Some(Box::new(Watch::new(subject)));
        }
        let Some(watch) = self.watches[slot].as_deref_mut() else { return };
        let count = rows.len() as u64;
        let was_saved = watch.unsaved().is_none();
        let judged = watch.observe(offset, batch, rows);
        if was_saved && let Some(first) = watch.unsaved() {
            self.unsaved.push_back((first, id));
        }
        if let Some(left) = judged {
            outcome.judged += count;
            outcome.left.join(left);
            outcome.said.extend(watch.said().map(|effect| Said { series: id, effect }));
            if !watch.fresh {
                watch.fresh = true;
                self.touched.push(id.0);
            }
        }
    }

    /// Looks for sensors that should have spoken by `now`.
    pub(crate) fn silence(&mut self, now: Timestamp) -> Vec<Said> {
        let mut said = Vec::new();
        for _ in 0..self.watches.len().min(SILENCE_CHECKS_MAX) {
            self.silence_slot = (self.silence_slot + 1) % self.watches.len();
            let id = SeriesId(self.silence_slot as u32 * self.count + self.index);
            if let Some(watch) = self.watches[self.silence_slot].as_deref_mut() {
                watch.silence(now);
                said.extend(watch.said().map(|effect| Said { series: id, effect }));
            }
        }
        said
    }

    /// Takes the level that a sensor has for normal.
    pub(crate) fn accept_level(&mut self, id: SeriesId) {
        let Some(watch) = self.watch(id) else { return };
        let was_saved = watch.unsaved().is_none();
        watch.accept_level();
        if was_saved && let Some(first) = watch.unsaved() {
            self.unsaved.push_back((first, id));
        }
    }

    /// The sensor whose state has waited longest to be written down, and the first batch that its
    /// written state lacks.
    pub(crate) fn first_unsaved(&mut self) -> Option<(Offset, SeriesId)> {
        while let Some((first, id)) = self.unsaved.front().copied() {
            if self.watch(id).and_then(|watch| watch.unsaved()) == Some(first) {
                return Some((first, id));
            }
            self.unsaved.pop_front();
        }
        None
    }

    /// Takes the sensor that has waited longest out of the line.
    pub(crate) fn pass_unsaved(&mut self) {
        self.unsaved.pop_front();
    }

    /// Takes over what was changed about the sensors.
    pub(crate) fn refresh(
        &mut self,
        now: Timestamp,
        subject: &dyn Fn(SeriesId) -> Option<Arc<Subject>>,
    ) -> Vec<Said> {
        let mut said = Vec::new();
        for (id, watch) in self.all() {
            if let Some(subject) = subject(id) {
                watch.refresh(subject, now);
                said.extend(watch.said().map(|effect| Said { series: id, effect }));
            }
        }
        said
    }
}

#[cfg(test)]
mod tests;
