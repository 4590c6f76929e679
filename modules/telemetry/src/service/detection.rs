//! The agent that follows the series log with the detectors.
//!
//! How an anomaly is said exactly once: the transaction that writes a state of an anomaly and
//! publishes it also writes the detector state of that sensor and the batch it has reached.
//! After a crash every sensor goes on from its own written state; batches it has applied already
//! are passed over, the others are judged again with the same result. Ids are derived from
//! sensor, rule and start, so even a lost state repeats no anomaly: the row is there already.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::{TaskContext, TaskError};
use kernel::{CorrelationId, EventDraft, SensorKey, Timestamp};
use store::records::Tx;
use store::series::{Batch, Offset, SeriesError, SeriesId, Tail};

use super::Telemetry;
use super::counters::add;
use super::registry::Brief;
use crate::detect::{
    Effect, KeptState, Outcome, Said, Shard, Subject, Watch, bundle_of, write_states,
};
use crate::error::TelemetryError;
use crate::events::{ANOMALY_DETECTED, SENSOR_TRUST_CHANGED, TrustChanged};
use crate::model::{Anomaly, AnomalyRule, AnomalyState, TrustState};
use crate::records;

pub(crate) const READER: &str = "anomaly-detection";
const BATCHES_PER_PASS: usize = 64;
const TAIL_WAIT: Duration = Duration::from_millis(250);
/// How often silence is judged and states are written down.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// After a start nobody is called silent: sources need time to come back.
const SILENCE_GRACE: Duration = Duration::from_secs(60);
const SHARDS_MAX: usize = 64;

/// Levels that wait to be taken for normal.
const ACCEPTED_MAX: usize = 1_000;

/// Sensors whose level somebody called normal, until the detectors take it over.
#[derive(Debug, Default)]
pub(crate) struct AcceptedLevels(Mutex<Vec<SensorKey>>);

impl AcceptedLevels {
    /// False when too many wait.
    fn put(&self, sensor: &SensorKey) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = waiting.len() < ACCEPTED_MAX;
        if room {
            waiting.push(sensor.clone());
        }
        room
    }

    fn take(&self) -> Vec<SensorKey> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The detectors of all sensors, and how far they have come.
pub(super) struct Engine {
    shards: Vec<Shard>,
    pub(super) reached: Offset,
    revision: u64,
    /// The checkpoint as it is written down.
    pub(super) written: Offset,
    started: Duration,
    housekept: Duration,
}

impl Engine {
    fn watch(&mut self, id: SeriesId) -> Option<&mut Watch> {
        self.shards.iter_mut().find(|shard| shard.owns(id))?.watch(id)
    }

    /// The state of a sensor's detector, to be written down.
    pub(super) fn kept(&mut self, id: SeriesId) -> Option<KeptState> {
        let watch = self.watch(id)?;
        Some(KeptState::new(id, watch.key().as_str(), watch.applied(), watch.save()))
    }

    pub(super) fn mark_saved(&mut self, id: SeriesId) {
        self.watch(id).into_iter().for_each(Watch::mark_saved);
    }

    /// The bundles of the sensors that have waited longest to be written down, and the batch up to
    /// which every state is complete once these are written.
    pub(super) fn waiting(&mut self, bundles_max: usize) -> (BTreeSet<u32>, Offset) {
        let mut bundles = BTreeSet::new();
        loop {
            let lines = self.shards.iter_mut().enumerate();
            let firsts = lines.filter_map(|(at, shard)| Some((shard.first_unsaved()?, at)));
            let Some(((first, id), at)) = firsts.min() else { return (bundles, self.reached) };
            let bundle = bundle_of(id);
            if !bundles.contains(&bundle) && bundles.len() >= bundles_max {
                return (bundles, Offset(first.0.saturating_sub(1)));
            }
            bundles.insert(bundle);
            self.shards[at].pass_unsaved();
        }
    }
}

impl Telemetry {
    /// Runs until it is stopped. An error loses nothing: the next run goes on from what is
    /// written down.
    pub(crate) async fn detect(self, context: TaskContext) -> Result<(), TaskError> {
        self.ensure_loaded().await?;
        let mut engine = self.restore().await?;
        while let Some(batches) = self.follow(&context, &mut engine.reached).await? {
            let passed = batches.len() as u64;
            engine = self.pass(engine, batches).await?;
            let now = self.clock.monotonic();
            if now.saturating_sub(engine.housekept) >= HOUSEKEEPING {
                engine.housekept = now;
                self.keep_house(&mut engine).await?;
            }
            let lag = self.behind(engine.reached, passed).await?;
            self.counters.detector_lag.store(lag, Relaxed);
            metrics::gauge!("plainview_detector_lag_batches").set(lag as f64);
            context.handle.progress(passed, lag);
        }
        self.write_all_down(&mut engine).await?;
        Ok(())
    }

    /// The next batches of the log, perhaps none; `None` when it is time to stop. What the log no
    /// longer has is passed over and said.
    pub(super) async fn follow(
        &self,
        context: &TaskContext,
        reached: &mut Offset,
    ) -> Result<Option<Tail>, TelemetryError> {
        let tail = self.series.tail(*reached, BATCHES_PER_PASS, TAIL_WAIT);
        let batches = tokio::select! {
            () = context.stop.cancelled() => return Ok(None),
            batches = tail => batches,
        };
        match batches {
            Ok(batches) => Ok(Some(batches)),
            Err(error @ SeriesError::Truncated { oldest, .. }) => {
                context.handle.trouble(&error);
                *reached = Offset(oldest.0.saturating_sub(1).max(reached.0));
                Ok(Some(Tail::new()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Batches of the log that a reader has before it after a pass over `passed`.
    pub(super) async fn behind(&self, reached: Offset, passed: u64) -> Result<u64, TelemetryError> {
        // A short pass has emptied the log; asking would cost more than it tells.
        if passed < BATCHES_PER_PASS as u64 {
            return Ok(0);
        }
        Ok(self.series.status().await?.last.0.saturating_sub(reached.0))
    }

    async fn restore(&self) -> Result<Engine, TelemetryError> {
        let count = match self.settings.detector_shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given,
        }
        .min(SHARDS_MAX) as u32;
        let mut shards: Vec<Shard> = (0..count).map(|index| Shard::new(index, count)).collect();
        self.restore_watches(&mut shards).await?;
        let now = self.clock.monotonic();
        let reached = Offset(records::checkpoint(&self.records, READER).await?);
        // From here on the log waits for the detectors, also before their first checkpoint.
        self.series.hold(READER, reached).await?;
        // No revision that there is: the first refresh takes over doubts, and what changed meanwhile.
        Ok(Engine {
            shards,
            reached,
            written: reached,
            revision: u64::MAX,
            started: now,
            housekept: now,
        })
    }

    /// Judges some batches, shards beside each other, and commits what they said.
    async fn pass(
        &self,
        mut engine: Engine,
        batches: Vec<(Offset, Arc<Batch>)>,
    ) -> Result<Engine, TelemetryError> {
        let Some((last, _)) = batches.last() else { return Ok(engine) };
        let last = *last;
        let said = self.refresh(&mut engine);
        let batches = Arc::new(batches);
        let runs = engine.shards.drain(..).map(|mut shard| {
            let batches = Arc::clone(&batches);
            let telemetry = self.clone();
            tokio::task::spawn_blocking(move || {
                let outcome = shard.run(&batches, &|id| telemetry.subject(id));
                (shard, outcome)
            })
        });
        let mut outcome = Outcome { said, ..Outcome::default() };
        let mut shards = Vec::new();
        for run in futures_util::future::join_all(runs).await {
            let (shard, one) = run.map_err(|error| TelemetryError::Shard(error.to_string()))?;
            shards.push(shard);
            outcome.join(one);
        }
        engine.shards = shards;
        engine.reached = last;
        self.count_judged(&outcome);
        for (id, score) in &outcome.scores {
            if let Some(entry) = self.registry.by_id(*id) {
                entry.with_now(|now| now.score = *score);
            }
        }
        self.commit(&mut engine, outcome.said).await?;
        Ok(engine)
    }

    fn subject(&self, id: SeriesId) -> Option<Arc<Subject>> {
        let subject = Arc::clone(&self.registry.by_id(id)?.subject);
        match self.processes.doubts(&subject.key) {
            None => Some(subject),
            doubted => Some(Arc::new(Subject { doubted, ..(*subject).clone() })),
        }
    }

    fn refresh(&self, engine: &mut Engine) -> Vec<Said> {
        let revision = self.registry.revision();
        if revision == engine.revision {
            return Vec::new();
        }
        engine.revision = revision;
        let now = self.clock.now();
        let refreshed = engine.shards.iter_mut().map(|s| s.refresh(now, &|id| self.subject(id)));
        refreshed.flatten().collect()
    }

    /// Writes effects, the states they come from, and the events, in one transaction.
    async fn commit(&self, engine: &mut Engine, said: Vec<Said>) -> Result<(), TelemetryError> {
        if said.is_empty() {
            return Ok(());
        }
        let mut ids: Vec<SeriesId> = said.iter().map(|said| said.series).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut states = Vec::with_capacity(ids.len());
        for state in ids.iter().filter_map(|id| engine.kept(*id)) {
            let series = state.series().0;
            states.push((series, write_states(&[state]).map_err(TelemetryError::Unwritten)?));
        }
        let mut trusts = Vec::new();
        let before = self.states_before(&said).await?;
        let tx = self.records.begin().await?;
        for said in &said {
            match &said.effect {
                Effect::Anomaly { anomaly, revision, correlation, onset } => {
                    let new = self.say_anomaly(&tx, anomaly, *revision, *correlation).await?;
                    if let Some(onset) = onset.as_ref().filter(|_| new) {
                        let before = before.get(&said.series);
                        self.keep_evidence(&tx, anomaly, onset, before).await?;
                    }
                }
                Effect::Change { change, correlation } => {
                    self.say_change(&tx, change, *correlation).await?;
                }
                Effect::Trust { sensor, trust, previous, reason, since, correlation } => {
                    let state =
                        TrustState { trust: *trust, reason: reason.clone(), since: Some(*since) };
                    records::set_trust(&tx, sensor, &state).await?;
                    let payload = TrustChanged {
                        sensor: sensor.clone(),
                        trust: *trust,
                        reason: reason.clone(),
                        since: *since,
                        previous: *previous,
                    };
                    let draft = EventDraft::new(SENSOR_TRUST_CHANGED, sensor.as_str(), &payload)
                        .map_err(encoding("trust"))?
                        .correlated(*correlation);
                    self.bus.publish(&tx, "telemetry", draft).await?;
                    trusts.push((sensor.clone(), state));
                }
            }
        }
        records::save_singles(&tx, states).await?;
        tx.commit().await?;
        self.committed(engine, &ids, trusts);
        Ok(())
    }

    /// Writes a state of an anomaly and says it, once; false when that was done already.
    pub(super) async fn say_anomaly(
        &self,
        tx: &Tx,
        anomaly: &Anomaly,
        revision: i64,
        correlation: CorrelationId,
    ) -> Result<bool, TelemetryError> {
        let new = records::record_anomaly(tx, anomaly, revision, correlation).await?;
        if new {
            let draft = EventDraft::new(ANOMALY_DETECTED, anomaly.sensor.as_str(), anomaly)
                .map_err(encoding("anomaly"))?
                .correlated(correlation);
            self.bus.publish(tx, "telemetry", draft).await?;
            add(&self.counters.anomalies, u64::from(revision == 1));
        }
        Ok(new)
    }

    fn committed(
        &self,
        engine: &mut Engine,
        ids: &[SeriesId],
        trusts: Vec<(SensorKey, TrustState)>,
    ) {
        for id in ids {
            if let Some(watch) = engine.watch(*id) {
                watch.mark_saved();
                self.show(*id, watch);
            }
        }
        for (key, trust) in trusts {
            self.registry.change(&key, |sensor| sensor.trust = trust);
        }
    }

    pub(super) fn show(&self, id: SeriesId, watch: &Watch) {
        let brief = watch.worst().map(|anomaly| Brief {
            score: anomaly.score,
            severity: anomaly.severity,
            since: anomaly.started_at,
            rule: anomaly.rule,
        });
        if let Some(entry) = self.registry.by_id(id) {
            entry.with_now(|now| now.anomaly = brief);
        }
    }

    /// Takes the level that a sensor has now for normal. Within a second the detectors know; a crash
    /// before that forgets it.
    pub(crate) async fn accept_level(&self, id: &str) -> Result<Anomaly, TelemetryError> {
        let unknown = || TelemetryError::NoSuchAnomaly(id.to_owned());
        let anomaly = records::one_anomaly(&self.records, id).await?.ok_or_else(unknown)?;
        let refused =
            |reason: &str| TelemetryError::Unfit { field: "anomaly_id", reason: reason.to_owned() };
        if anomaly.rule != AnomalyRule::Score || anomaly.state != AnomalyState::Active {
            return Err(refused("only a standing anomaly of the score ends by a new normal level"));
        }
        if !self.levels.put(&anomaly.sensor) {
            return Err(refused("too many levels wait to be taken over; try again"));
        }
        Ok(anomaly)
    }

    async fn keep_house(&self, engine: &mut Engine) -> Result<(), TelemetryError> {
        for sensor in self.levels.take() {
            let Some(entry) = self.registry.get(&sensor) else { continue };
            let shard = engine.shards.iter_mut().find(|shard| shard.owns(entry.id));
            shard.into_iter().for_each(|shard| shard.accept_level(entry.id));
        }
        let said = self.refresh(engine);
        self.commit(engine, said).await?;
        let running = self.clock.monotonic().saturating_sub(engine.started);
        if running >= SILENCE_GRACE {
            let now: Timestamp = self.clock.now();
            let said = engine.shards.iter_mut().flat_map(|shard| shard.silence(now)).collect();
            self.commit(engine, said).await?;
        }
        self.write_down(engine, self.bundles_per_round()).await
    }
}

pub(super) fn encoding(what: &'static str) -> impl Fn(serde_json::Error) -> TelemetryError {
    move |source| TelemetryError::Encoding { what, source }
}
