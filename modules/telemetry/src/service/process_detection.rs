//! The agent that follows the series log with the process models of the assets.
//!
//! As with the sensors' detectors, the transaction that says an anomaly also writes the state of
//! its asset and the batch it has reached; ids are derived from sensor, rule and start.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bus::{TaskContext, TaskError};
use kernel::AssetKey;
use store::series::{Batch, Offset};

use super::Telemetry;
use super::detection::encoding;
use crate::detect::{AssetWatch, Effect, Fleet, SavedAsset, Standing};
use crate::error::TelemetryError;
use crate::model::AnomalyRule;
use crate::records::{self, SavedState};

pub(crate) const READER: &str = "process-detection";
/// How often changed states are written down.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// States of assets lie beside those of sensors, under names that no sensor can have.
const STATE_PREFIX: &str = "process:";

/// The models in force, and how far they have come.
struct Engine {
    fleet: Fleet,
    reached: Offset,
    /// The checkpoint as it is written down.
    written: Offset,
    generation: u64,
    housekept: Duration,
}

impl Telemetry {
    /// Runs until it is stopped. An error loses nothing: the next run goes on from what is
    /// written down.
    pub(crate) async fn detect_processes(self, context: TaskContext) -> Result<(), TaskError> {
        self.ensure_loaded().await?;
        let mut engine = self.restore_processes().await?;
        while let Some(batches) = self.follow(&context, &mut engine.reached).await? {
            let passed = batches.len() as u64;
            self.adopt_models(&mut engine).await?;
            engine = self.pass_processes(engine, batches).await?;
            let lag = self.behind(engine.reached, passed).await?;
            self.counters.process_lag.store(lag, Relaxed);
            let now = self.clock.monotonic();
            if now.saturating_sub(engine.housekept) >= HOUSEKEEPING {
                engine.housekept = now;
                self.write_processes(&mut engine, Vec::new()).await?;
            }
            context.handle.progress(passed, lag);
        }
        self.write_processes(&mut engine, Vec::new()).await?;
        Ok(())
    }

    async fn restore_processes(&self) -> Result<Engine, TelemetryError> {
        let generation = self.processes.generation();
        let standing = records::standing(&self.records).await?.into_iter();
        let mut standing: BTreeMap<String, Standing> = standing
            .filter(|one| one.anomaly.rule == AnomalyRule::Process)
            .map(|one| (one.anomaly.asset.clone(), one))
            .collect();
        let states = records::saved_states(&self.records, STATE_PREFIX).await?.into_iter();
        let mut states: HashMap<String, SavedState> = states
            .filter_map(|state| Some((state.sensor.strip_prefix(STATE_PREFIX)?.to_owned(), state)))
            .collect();
        let written = Offset(records::checkpoint(&self.records, READER).await?);
        let reached = if written == Offset(0) { self.series.status().await?.last } else { written };
        self.series.hold(READER, reached).await?;
        let mut fleet = Fleet::default();
        for record in records::accepted_models(&self.records).await? {
            let name = record.asset.clone();
            let asset = match self.asset_model(record) {
                Ok(asset) => asset,
                Err(error) => {
                    tracing::warn!(asset = name, %error, "a process model rests");
                    continue;
                }
            };
            let state = states.remove(&name);
            let applied = Offset(state.as_ref().map_or(reached.0, |state| state.applied));
            let saved = state.and_then(|s| serde_json::from_str::<SavedAsset>(&s.body).ok());
            fleet.put(AssetWatch::restored(asset, saved, applied, standing.remove(&name)));
        }
        let housekept = self.clock.monotonic();
        let engine = Engine { fleet, reached, written, generation, housekept };
        self.doubt(&engine);
        Ok(engine)
    }

    /// Takes over models that came into force.
    async fn adopt_models(&self, engine: &mut Engine) -> Result<(), TelemetryError> {
        let generation = self.processes.generation();
        if generation == engine.generation {
            return Ok(());
        }
        let mut said = Vec::new();
        for record in records::accepted_models(&self.records).await? {
            let asset = self.asset_model(record)?;
            let key = asset.plan.asset.clone();
            if engine.fleet.get(&key).is_some_and(|watch| watch.asset.version == asset.version) {
                continue;
            }
            let ended = engine.fleet.remove(&key);
            said.extend(ended.into_iter().map(|effect| (key.clone(), effect)));
            engine.fleet.put(AssetWatch::new(asset, engine.reached));
        }
        self.write_processes(engine, said).await?;
        engine.generation = generation;
        self.processes.adopted(generation);
        Ok(())
    }

    async fn pass_processes(
        &self,
        mut engine: Engine,
        batches: Vec<(Offset, Arc<Batch>)>,
    ) -> Result<Engine, TelemetryError> {
        let Some((last, _)) = batches.last() else { return Ok(engine) };
        let last = *last;
        if !engine.fleet.is_empty() {
            let mut fleet = engine.fleet;
            let run = tokio::task::spawn_blocking(move || {
                let said = fleet.run(&batches);
                (fleet, said)
            });
            let (fleet, said) =
                run.await.map_err(|error| TelemetryError::Shard(error.to_string()))?;
            engine.fleet = fleet;
            engine.reached = last;
            if !said.is_empty() {
                self.write_processes(&mut engine, said).await?;
            }
            for watch in engine.fleet.all() {
                if let Some(now) = watch.now() {
                    self.processes.show(&watch.asset.plan.asset, now);
                }
            }
            self.doubt(&engine);
        }
        engine.reached = last;
        Ok(engine)
    }

    /// Tells the sensors' detectors which sensors their assets contradict.
    fn doubt(&self, engine: &Engine) {
        if self.processes.doubt(engine.fleet.all().filter_map(AssetWatch::doubted).collect()) {
            self.registry.touch();
        }
    }

    /// Writes what was said, every changed state and the batch they have come to, all at once.
    async fn write_processes(
        &self,
        engine: &mut Engine,
        said: Vec<(AssetKey, Effect)>,
    ) -> Result<(), TelemetryError> {
        let changed: Vec<AssetKey> = engine
            .fleet
            .all()
            .filter(|watch| watch.unsaved().is_some())
            .map(|watch| watch.asset.plan.asset.clone())
            .collect();
        if said.is_empty() && changed.is_empty() && engine.written == engine.reached {
            return Ok(());
        }
        let mut states = Vec::with_capacity(changed.len());
        for watch in changed.iter().filter_map(|key| engine.fleet.get(key)) {
            states.push(SavedState {
                sensor: format!("{STATE_PREFIX}{}", watch.asset.plan.asset.as_str()),
                applied: watch.applied().0,
                body: serde_json::to_string(&watch.save()).map_err(encoding("process"))?,
            });
        }
        let tx = self.records.begin().await?;
        for (_, effect) in &said {
            match effect {
                Effect::Anomaly { anomaly, revision, correlation, .. } => {
                    self.say_anomaly(&tx, anomaly, *revision, *correlation).await?;
                }
                Effect::Change { change, correlation } => {
                    self.say_change(&tx, change, *correlation).await?;
                }
                Effect::Trust { .. } => {}
            }
        }
        records::save_states(&tx, states).await?;
        records::save_checkpoint(&tx, READER, engine.reached.0).await?;
        tx.commit().await?;
        for key in &changed {
            if let Some(watch) = engine.fleet.get_mut(key) {
                watch.mark_saved();
            }
        }
        engine.written = engine.reached;
        Ok(self.series.hold(READER, engine.reached).await?)
    }
}

#[cfg(test)]
mod tests;
