//! Process models of assets: fitted on request, in force once accepted, replayed to explain.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use kernel::{AssetKey, SensorKey, Timestamp};
use serde::{Deserialize, Serialize};
use signal::process::{FitError, INPUTS_MAX, ProcessModel, ProcessWatch};
use store::series::Span;
use utoipa::ToSchema;

use super::{Entry, SeriesExplained, Telemetry};
use crate::detect::{AssetModel, AssetNow, Doubt, LATE_ROWS, Plan, Row, Sample, replay, rows};
use crate::error::TelemetryError;
use crate::model::{Anomaly, Contribution};
use crate::records;

/// Readings of one input in one period, and rows of a period.
const READINGS_MAX: usize = 400_000;
const ROWS_MAX: i64 = 50_000;
/// Assets with a model in force; the state of each is written down as it changes.
pub(crate) const ASSETS_MAX: usize = 500;
/// An input that has a value in fewer rows than this is left out.
const FILLED_SHARE_MIN: f64 = 0.8;
/// Widths of rows that are chosen when none is asked for, in seconds.
const INTERVALS_S: [f64; 13] =
    [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];
/// A score this close to the one recorded is the same: averages forget where they began, not to
/// the last bit.
const SAME_SCORE: f64 = 1e-6;

/// A stretch of event time, start included, end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Period {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// What a model shall be made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModelAsked {
    pub fit: Period,
    /// Otherwise the last quarter of `fit`, which the model then does not see.
    pub calibrate: Option<Period>,
    /// Otherwise all sensors of the asset.
    pub sensors: Option<Vec<SensorKey>>,
    /// Otherwise what most of the sensors report in.
    pub interval_s: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ModelState {
    /// Fitted while another was in force; judges nothing until somebody accepts it.
    #[default]
    Proposed,
    Accepted,
    Retired,
}

/// A sensor that is no input, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct LeftOut {
    pub sensor: SensorKey,
    pub reason: String,
}

/// Who did not want a proposed version, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Rejection {
    pub reason: String,
    pub at: Timestamp,
    pub by: String,
}

/// One version of an asset's model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelRecord {
    pub asset: String,
    pub version: i64,
    #[serde(default, skip)]
    pub state: ModelState,
    pub fit: Period,
    pub calibrate: Option<Period>,
    pub interval_us: i64,
    pub inputs: Vec<SensorKey>,
    pub left_out: Vec<LeftOut>,
    pub model: ProcessModel,
    /// Share of the calibration rows that would have been in alarm.
    pub alarm_share: f64,
    pub created_at: Timestamp,
    pub created_by: String,
    pub accepted_at: Option<Timestamp>,
    pub accepted_by: Option<String>,
    #[serde(default)]
    pub rejection: Option<Rejection>,
}

/// The versions of an asset's model, newest first, and what the one in force says now.
#[derive(Clone, Debug)]
pub(crate) struct ModelStatus {
    pub versions: Vec<ModelRecord>,
    pub now: Option<AssetNow>,
}

/// An anomaly judged again from the stored readings.
#[derive(Debug)]
pub(crate) struct Explained {
    pub anomaly: Anomaly,
    pub rows: Vec<AssetNow>,
    /// What the readings say today.
    pub again: Option<Anomaly>,
    pub same: bool,
    /// For anomalies of sensors.
    pub series: Option<SeriesExplained>,
}

/// What all clones of the service know of process models.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    /// Grows with every model that comes into force.
    generation: AtomicU64,
    /// The generation that the agent judges by.
    adopted: AtomicU64,
    now: RwLock<HashMap<AssetKey, AssetNow>>,
    /// Sensors that the others of their assets contradict.
    doubted: RwLock<HashMap<SensorKey, Doubt>>,
}

impl Processes {
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Notes that the agent judges by the models of this generation.
    pub(super) fn adopted(&self, generation: u64) {
        self.adopted.store(generation, Ordering::Release);
    }

    #[cfg(test)]
    pub(super) fn is_adopted(&self) -> bool {
        self.adopted.load(Ordering::Acquire) == self.generation()
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    pub(super) fn show(&self, asset: &AssetKey, now: &AssetNow) {
        let mut all = self.now.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(asset.clone(), now.clone());
    }

    /// What the model of its asset has against this sensor.
    pub(super) fn doubts(&self, sensor: &SensorKey) -> Option<Doubt> {
        self.doubted.read().unwrap_or_else(PoisonError::into_inner).get(sensor).copied()
    }

    /// Takes over which sensors are doubted; true when that has changed.
    pub(super) fn doubt(&self, sensors: HashMap<SensorKey, Doubt>) -> bool {
        let mut doubted = self.doubted.write().unwrap_or_else(PoisonError::into_inner);
        let changed = *doubted != sensors;
        *doubted = sensors;
        changed
    }

    fn now(&self, asset: &AssetKey) -> Option<AssetNow> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).get(asset).cloned()
    }
}

struct Material {
    plan: Plan,
    fit: Vec<Row>,
    calibrate: Option<Vec<Row>>,
    left_out: Vec<LeftOut>,
}

impl Telemetry {
    /// Fits a new version of the asset's model. The first is in force at once; later ones wait
    /// until they are accepted.
    pub(crate) async fn fit_model(
        &self,
        asset: &AssetKey,
        asked: ModelAsked,
        by: &str,
    ) -> Result<ModelRecord, TelemetryError> {
        self.ensure_loaded().await?;
        let material = self.material(asset, &asked).await?;
        let (plan, left_out) = (material.plan.clone(), material.left_out.clone());
        let made = tokio::task::spawn_blocking(move || made(&material));
        let (model, alarm_share) =
            made.await.map_err(|error| TelemetryError::Shard(error.to_string()))??;
        let tx = self.records.begin().await?;
        let versions = records::models_of(&self.records, asset).await?;
        let in_force = versions.iter().any(|record| record.state == ModelState::Accepted);
        if !in_force && records::accepted_models(&self.records).await?.len() >= ASSETS_MAX {
            let reason = format!("{ASSETS_MAX} assets have a model in force already");
            return Err(TelemetryError::Unfit { field: "asset", reason });
        }
        let now = self.clock.now();
        let record = ModelRecord {
            asset: asset.as_str().to_owned(),
            version: versions.first().map_or(0, |newest| newest.version) + 1,
            state: if in_force { ModelState::Proposed } else { ModelState::Accepted },
            fit: asked.fit,
            calibrate: asked.calibrate,
            interval_us: plan.interval_us,
            inputs: plan.inputs,
            left_out,
            model,
            alarm_share,
            created_at: now,
            created_by: by.to_owned(),
            accepted_at: (!in_force).then_some(now),
            accepted_by: (!in_force).then(|| by.to_owned()),
            rejection: None,
        };
        records::put_model(&tx, &record).await?;
        tx.commit().await?;
        self.processes.changed();
        Ok(record)
    }

    /// Puts a version in force; the one before is retired.
    pub(crate) async fn accept_model(
        &self,
        asset: &AssetKey,
        version: i64,
        by: &str,
    ) -> Result<ModelRecord, TelemetryError> {
        let tx = self.records.begin().await?;
        let (mut record, mut others) = self.model_version(asset, version).await?;
        if record.state == ModelState::Accepted {
            return Ok(record);
        }
        for other in others.iter_mut().filter(|other| other.state == ModelState::Accepted) {
            other.state = ModelState::Retired;
            records::put_model(&tx, other).await?;
        }
        record.state = ModelState::Accepted;
        record.accepted_at = Some(self.clock.now());
        record.accepted_by = Some(by.to_owned());
        record.rejection = None;
        records::put_model(&tx, &record).await?;
        tx.commit().await?;
        self.processes.changed();
        Ok(record)
    }

    /// Takes a proposed version off the table. It may be accepted all the same, later.
    pub(crate) async fn reject_model(
        &self,
        asset: &AssetKey,
        version: i64,
        reason: String,
        by: &str,
    ) -> Result<ModelRecord, TelemetryError> {
        let tx = self.records.begin().await?;
        let (mut record, _) = self.model_version(asset, version).await?;
        if record.state != ModelState::Proposed {
            let reason = format!("version {version} is not proposed");
            return Err(TelemetryError::Invalid { field: "version", reason });
        }
        record.state = ModelState::Retired;
        record.rejection = Some(Rejection { reason, at: self.clock.now(), by: by.to_owned() });
        records::put_model(&tx, &record).await?;
        tx.commit().await?;
        Ok(record)
    }

    /// A version of an asset's model, and its others.
    async fn model_version(
        &self,
        asset: &AssetKey,
        version: i64,
    ) -> Result<(ModelRecord, Vec<ModelRecord>), TelemetryError> {
        let mut versions = records::models_of(&self.records, asset).await?;
        let Some(place) = versions.iter().position(|record| record.version == version) else {
            let asset = asset.as_str().to_owned();
            return Err(TelemetryError::NoModelVersion { asset, version });
        };
        Ok((versions.swap_remove(place), versions))
    }

    pub(crate) async fn model_status(
        &self,
        asset: &AssetKey,
    ) -> Result<ModelStatus, TelemetryError> {
        let versions = records::models_of(&self.records, asset).await?;
        if versions.is_empty() {
            return Err(TelemetryError::NoModel(asset.as_str().to_owned()));
        }
        Ok(ModelStatus { versions, now: self.processes.now(asset) })
    }

    /// The models in force, each with what it says now.
    pub(crate) async fn models_in_force(&self) -> Result<Vec<ModelStatus>, TelemetryError> {
        let records = records::accepted_models(&self.records).await?;
        let status = |record: ModelRecord| ModelStatus {
            now: asset_key(&record).and_then(|asset| self.processes.now(&asset)),
            versions: vec![record],
        };
        Ok(records.into_iter().map(status).collect())
    }

    /// Judges the readings behind an anomaly again.
    pub(crate) async fn explain(&self, id: &str) -> Result<Explained, TelemetryError> {
        self.ensure_loaded().await?;
        let unknown = || TelemetryError::NoSuchAnomaly(id.to_owned());
        let anomaly = records::one_anomaly(&self.records, id).await?.ok_or_else(unknown)?;
        let Some(finding) = anomaly.process.clone() else {
            return self.explain_series(anomaly).await;
        };
        let asset = anomaly.sensor.asset();
        let versions = records::models_of(&self.records, &asset).await?;
        let version = finding.model_version;
        let record = versions.into_iter().find(|record| record.version == version);
        let record = record.ok_or_else(|| TelemetryError::NoModelVersion {
            asset: asset.as_str().to_owned(),
            version,
        })?;
        let model = self.asset_model(record)?;
        let late = (LATE_ROWS + 2) * model.plan.interval_us;
        let to = Timestamp::from_micros(anomaly.evidence.to.as_micros().saturating_add(late));
        let span = Span { from: finding.replay_from, to };
        let entries = self.entries(&model.plan.inputs)?;
        let samples = self.samples(&entries, span).await?;
        let again = tokio::task::spawn_blocking(move || replay(&model, &samples));
        let (mut rows, said) =
            again.await.map_err(|error| TelemetryError::Shard(error.to_string()))?;
        rows.retain(|row| row.row_at <= finding.row_at);
        let again = said.into_iter().rfind(|one| {
            one.started_at == anomaly.started_at
                && one.process.as_ref().is_some_and(|it| it.row_at == finding.row_at)
        });
        let same = again.as_ref().is_some_and(|again| is_same(&anomaly, again));
        Ok(Explained { anomaly, rows, again, same, series: None })
    }

    /// A record with what its rows are made of.
    pub(super) fn asset_model(
        &self,
        record: ModelRecord,
    ) -> Result<Arc<AssetModel>, TelemetryError> {
        let entries = self.entries(&record.inputs)?;
        let Some(asset) = asset_key(&record) else {
            return Err(TelemetryError::NoModel(record.asset));
        };
        Ok(Arc::new(AssetModel {
            plan: Plan { asset, inputs: record.inputs, interval_us: record.interval_us },
            version: record.version,
            model: record.model,
            ids: entries.iter().map(|entry| entry.id).collect(),
            kinds: entries.iter().map(|e| (e.sensor.kind, e.sensor.unit.clone())).collect(),
            origin: entries.first().map_or(sense::Origin::Real, |entry| entry.sensor.origin),
        }))
    }

    fn entries(&self, inputs: &[SensorKey]) -> Result<Vec<Arc<Entry>>, TelemetryError> {
        inputs.iter().map(|key| self.sensor(key)).collect()
    }

    /// The readings of some inputs in the order of their times.
    async fn samples(
        &self,
        entries: &[Arc<Entry>],
        span: Span,
    ) -> Result<Vec<Sample>, TelemetryError> {
        let mut samples = Vec::new();
        for (input, entry) in entries.iter().enumerate() {
            let points = self.series.range(entry.id, span, READINGS_MAX + 1).await?;
            if points.len() > READINGS_MAX {
                let reason = format!("{}: more than {READINGS_MAX} readings", entry.sensor.key);
                return Err(TelemetryError::Unfit { field: "fit", reason });
            }
            samples.extend(points.iter().map(|point| Sample {
                input,
                at: point.at,
                value: point.value,
                quality: point.quality,
            }));
        }
        samples.sort_by_key(|sample| (sample.at, sample.input));
        Ok(samples)
    }

    /// The rows that a model is made of.
    async fn material(
        &self,
        asset: &AssetKey,
        asked: &ModelAsked,
    ) -> Result<Material, TelemetryError> {
        let keys = match &asked.sensors {
            Some(keys) => keys.clone(),
            None => self.sensors_of(asset),
        };
        if keys.is_empty() || keys.len() > INPUTS_MAX {
            let reason = format!("{} sensors; a model takes 1 to {INPUTS_MAX}", keys.len());
            return Err(TelemetryError::Unfit { field: "sensors", reason });
        }
        let mut entries = self.entries(&keys)?;
        let fit = self.samples(&entries, span("fit", asked.fit)?).await?;
        let interval_us = match asked.interval_s {
            Some(seconds) => (seconds * 1e6) as i64,
            None => usual_interval_us(&fit, entries.len()),
        };
        let length = |period: Period| period.to.as_micros() - period.from.as_micros();
        let longest = length(asked.fit).max(asked.calibrate.map_or(0, length));
        if interval_us < 1_000 || longest / interval_us > ROWS_MAX {
            let reason = format!("rows of {} s; at most {ROWS_MAX} rows", interval_us as f64 / 1e6);
            return Err(TelemetryError::Unfit { field: "interval_s", reason });
        }
        let plan = |entries: &[Arc<Entry>]| Plan {
            asset: asset.clone(),
            inputs: entries.iter().map(|entry| entry.sensor.key.clone()).collect(),
            interval_us,
        };
        let left_out = left_out(&entries, &rows(&plan(&entries), &fit));
        entries.retain(|entry| left_out.iter().all(|out| out.sensor != entry.sensor.key));
        let fit = self.samples(&entries, span("fit", asked.fit)?).await?;
        let calibrate = match asked.calibrate {
            Some(period) => Some(self.samples(&entries, span("calibrate", period)?).await?),
            None => None,
        };
        let plan = plan(&entries);
        let fit = rows(&plan, &fit);
        let calibrate = calibrate.map(|samples| rows(&plan, &samples));
        Ok(Material { plan, fit, calibrate, left_out })
    }

    fn sensors_of(&self, asset: &AssetKey) -> Vec<SensorKey> {
        let all = self.registry.all().into_iter();
        let own = all.filter(|entry| entry.sensor.key.asset() == *asset && entry.subject.judged);
        own.map(|entry| entry.sensor.key.clone()).collect()
    }
}

fn asset_key(record: &ModelRecord) -> Option<AssetKey> {
    SensorKey::new(&format!("{}/-", record.asset)).ok().map(|key| key.asset())
}

fn span(field: &'static str, period: Period) -> Result<Span, TelemetryError> {
    if period.from >= period.to {
        let reason = "the end must lie after the start".to_owned();
        return Err(TelemetryError::Unfit { field, reason });
    }
    Ok(Span { from: period.from, to: period.to })
}

/// The median over the inputs of their median interval, as a round number.
fn usual_interval_us(samples: &[Sample], inputs: usize) -> i64 {
    let mut usual: Vec<i64> = (0..inputs)
        .filter_map(|input| {
            let own = samples.iter().filter(|sample| sample.input == input);
            let times: Vec<i64> = own.map(|sample| sample.at.as_micros()).collect();
            let mut steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            steps.sort_unstable();
            steps.get(steps.len() / 2).copied()
        })
        .collect();
    usual.sort_unstable();
    let seconds = usual.get(usual.len() / 2).map_or(1.0, |micros| *micros as f64 / 1e6);
    let round = INTERVALS_S.iter().find(|round| **round >= 0.95 * seconds);
    Duration::from_secs_f64(*round.unwrap_or(&INTERVALS_S[INTERVALS_S.len() - 1])).as_micros()
        as i64
}

fn left_out(entries: &[Arc<Entry>], rows: &[Row]) -> Vec<LeftOut> {
    let mut out = Vec::new();
    for (input, entry) in entries.iter().enumerate() {
        let values: Vec<f64> =
            rows.iter().map(|row| row.values[input]).filter(|value| value.is_finite()).collect();
        let share = values.len() as f64 / rows.len().max(1) as f64;
        let moves = values.windows(2).any(|pair| pair[0] != pair[1]);
        let reason = if share < FILLED_SHARE_MIN {
            format!("has a value in {:.0} % of the rows", 100.0 * share)
        } else if !moves {
            "does not move in the fit period".to_owned()
        } else {
            continue;
        };
        out.push(LeftOut { sensor: entry.sensor.key.clone(), reason });
    }
    out
}

/// The model, and the share of its calibration rows that it would have raised.
fn made(material: &Material) -> Result<(ProcessModel, f64), TelemetryError> {
    let values = |rows: &[Row]| rows.iter().map(|row| row.values.clone()).collect::<Vec<_>>();
    let names = material.plan.inputs.iter().map(|key| key.as_str().to_owned()).collect();
    let fit = values(&material.fit);
    let (model, limits) = match &material.calibrate {
        Some(calibrate) => {
            let calibrate = values(calibrate);
            (ProcessModel::fit(names, &fit, &calibrate), calibrate)
        }
        None => (ProcessModel::split(names, &fit), fit[fit.len() - fit.len() / 4..].to_vec()),
    };
    let model = model.map_err(|error| {
        let field = match error {
            FitError::Inputs { .. } => "sensors",
            FitError::FitRows { .. } => "fit",
            FitError::CalibrateRows { .. } => "calibrate",
        };
        TelemetryError::Unfit { field, reason: error.to_string() }
    })?;
    let mut watch = ProcessWatch::new(&model);
    let alarms = limits.iter().filter(|row| watch.observe(&model, row).alarm).count();
    let share = alarms as f64 / limits.len().max(1) as f64;
    Ok((model, share))
}

fn is_same(anomaly: &Anomaly, again: &Anomaly) -> bool {
    let names = |anomaly: &Anomaly| -> Vec<SensorKey> {
        anomaly.contributions.iter().map(|Contribution { sensor, .. }| sensor.clone()).collect()
    };
    anomaly.anomaly_id == again.anomaly_id
        && anomaly.severity == again.severity
        && (anomaly.score - again.score).abs() < SAME_SCORE
        && names(anomaly) == names(again)
}
