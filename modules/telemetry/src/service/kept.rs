//! What the detectors of sensors write down and find again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use kernel::SensorKey;
use store::series::{Offset, SeriesId};

use super::Telemetry;
use super::detection::{Engine, READER};
use crate::detect::{
    BUNDLE_SENSORS, KeptState, Shard, Standing, Watch, bundle_of, members, read_states,
    write_states,
};
use crate::error::TelemetryError;
use crate::model::AnomalyRule;
use crate::records::{self, Numbered};

/// Each changed state is written within about this many rounds of housekeeping. The log since the
/// oldest is kept, and at a million sensors, which fill it within a minute, that is most of it.
const SAVE_ROUNDS: usize = 60;
/// Bundles read at once when detection is taken up.
const BUNDLES_PER_READ: u64 = 64;

impl Telemetry {
    /// Puts every sensor that has spoken back where its written state and what stands say.
    pub(super) async fn restore_watches(&self, shards: &mut [Shard]) -> Result<(), TelemetryError> {
        let mut standing: BTreeMap<SensorKey, Vec<Standing>> = BTreeMap::new();
        let standing_now = records::standing(&self.records).await?.into_iter();
        let own = |one: &Standing| one.anomaly.rule != AnomalyRule::Process;
        for one in standing_now.filter(own) {
            standing.entry(one.anomaly.sensor.clone()).or_default().push(one);
        }
        let mut singles = by_sensor(records::single_states(&self.records).await?);
        let mut after = None;
        loop {
            let bundles = records::bundles_after(&self.records, after, BUNDLES_PER_READ).await?;
            let Some((last, _)) = bundles.last() else { break };
            after = Some(*last);
            for (_, bytes) in bundles {
                for state in read_states(&bytes).unwrap_or_default() {
                    let state = match singles.remove(&state.series()) {
                        Some(single) if single.applied() >= state.applied() => single,
                        _ => state,
                    };
                    self.put_watch(shards, state, &mut standing);
                }
            }
        }
        singles.into_values().for_each(|state| self.put_watch(shards, state, &mut standing));
        // What stands without a state behind it is ended by the readings to come.
        for (key, standing) in standing {
            let Some(entry) = self.registry.get(&key) else { continue };
            let trust = entry.sensor.trust.trust;
            let subject = Arc::clone(&entry.subject);
            let watch = Watch::restored(subject, None, Offset(0), standing, trust);
            self.show(entry.id, &watch);
            put(shards, entry.id, watch);
        }
        Ok(())
    }

    fn put_watch(
        &self,
        shards: &mut [Shard],
        state: KeptState,
        standing: &mut BTreeMap<SensorKey, Vec<Standing>>,
    ) {
        let Some(entry) = self.registry.by_id(state.series()) else { return };
        let key = &entry.sensor.key;
        if key.as_str() != state.key {
            return;
        }
        let standing = standing.remove(key).unwrap_or_default();
        let applied = state.applied();
        let trust = entry.sensor.trust.trust;
        let subject = Arc::clone(&entry.subject);
        let watch = Watch::restored(subject, Some(state.saved), applied, standing, trust);
        self.show(entry.id, &watch);
        put(shards, entry.id, watch);
    }

    /// The written states of some sensors, as far as there are any.
    pub(super) async fn kept_of(
        &self,
        sensors: &[SeriesId],
    ) -> Result<HashMap<SeriesId, KeptState>, TelemetryError> {
        if sensors.is_empty() {
            return Ok(HashMap::new());
        }
        let numbers: Vec<u32> = sensors.iter().map(|id| id.0).collect();
        let mut kept = by_sensor(records::single_states_of(&self.records, &numbers).await?);
        let bundles: BTreeSet<u32> = sensors.iter().map(|id| bundle_of(*id)).collect();
        let bundles: Vec<u32> = bundles.into_iter().collect();
        for (_, bytes) in records::bundles_of(&self.records, &bundles).await? {
            for state in read_states(&bytes).unwrap_or_default() {
                let series = state.series();
                let known = kept.get(&series);
                let newer = known.is_none_or(|known| known.applied() < state.applied());
                if newer && sensors.binary_search(&series).is_ok() {
                    kept.insert(series, state);
                }
            }
        }
        Ok(kept)
    }

    /// Writes bundles, those of the states that have waited longest, then the batch up to which all
    /// are complete, and lets the log go up to there.
    pub(super) async fn write_down(
        &self,
        engine: &mut Engine,
        bundles_max: usize,
    ) -> Result<(), TelemetryError> {
        let (bundles, done) = engine.waiting(bundles_max);
        if bundles.is_empty() && done == engine.written {
            return Ok(());
        }
        let mut written = Vec::with_capacity(bundles.len());
        for bundle in &bundles {
            let states: Vec<KeptState> =
                members(*bundle).filter_map(|id| engine.kept(id)).collect();
            written.push((*bundle, write_states(&states).map_err(TelemetryError::Unwritten)?));
        }
        let tx = self.records.begin().await?;
        for one in written {
            let first = one.0 * BUNDLE_SENSORS;
            records::save_bundle(&tx, one, first..first + BUNDLE_SENSORS).await?;
        }
        records::save_checkpoint(&tx, READER, done.0).await?;
        tx.commit().await?;
        let ids = bundles.iter().flat_map(|bundle| members(*bundle));
        ids.for_each(|id| engine.mark_saved(id));
        engine.written = done;
        Ok(self.series.hold(READER, done).await?)
    }

    /// Writes everything that is not written.
    pub(super) async fn write_all_down(&self, engine: &mut Engine) -> Result<(), TelemetryError> {
        while engine.written != engine.reached {
            self.write_down(engine, BUNDLES_PER_READ as usize).await?;
        }
        Ok(())
    }

    /// How many bundles are written in a round.
    pub(super) fn bundles_per_round(&self) -> usize {
        let bundles = bundle_of(SeriesId(self.registry.len() as u32)) as usize + 1;
        bundles.div_ceil(SAVE_ROUNDS)
    }
}

/// The states in these bytes, each under its sensor.
fn by_sensor(numbered: Vec<Numbered>) -> HashMap<SeriesId, KeptState> {
    let states = numbered.into_iter().filter_map(|(_, bytes)| read_states(&bytes)?.pop());
    states.map(|state| (state.series(), state)).collect()
}

fn put(shards: &mut [Shard], id: SeriesId, watch: Watch) {
    if let Some(shard) = shards.iter_mut().find(|shard| shard.owns(id)) {
        shard.put(id, watch);
    }
}
