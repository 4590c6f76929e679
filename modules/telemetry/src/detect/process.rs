use std::collections::HashMap;
use std::sync::Arc;

use kernel::{AssetKey, CorrelationId, Quality, SensorKey, SensorKind, Timestamp};
use sense::Origin;
use serde::{Deserialize, Serialize};
use signal::process::{
    Drift, DriftWatch, ProcessModel, ProcessVerdict, ProcessWatch, STRETCH, VERSION,
};
use store::series::{Batch, Offset, SeriesId};

use super::grid::{Grid, Plan, Row, Sample};
use super::watch::{detector_name, identity, name_uuid};
use super::{Doubt, Effect, Standing};
use crate::model::{
    Anomaly, AnomalyRule, AnomalyState, Band, ChangedInput, Changepoint, Contribution, Evidence,
    ProcessFinding, Severity,
};

/// Rows before an onset after which averages have forgotten where they began.
const WARM_ROWS: i64 = 400;
/// Half width of the expected band of an input, in spreads.
const BAND_SPREADS: f64 = 3.0;

/// An input without which so much of an alarm would be gone, for so many rows, is itself in doubt.
const LONE_SHARE: f64 = 0.8;
const LONE_ROWS: u32 = 60;
const LONE_DOUBTFUL: u32 = 2;
/// Inputs named with a change of state.
const CHANGED_MAX: usize = 5;

/// The accepted model of an asset, with what its rows are made of.
#[derive(Debug)]
pub(crate) struct AssetModel {
    pub plan: Plan,
    pub version: i64,
    pub model: ProcessModel,
    pub ids: Vec<SeriesId>,
    pub kinds: Vec<(SensorKind, Option<String>)>,
    pub origin: Origin,
}

/// An asset's state as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedAsset {
    detector: String,
    model_version: i64,
    grid: Grid,
    watch: ProcessWatch,
    since: Option<Timestamp>,
    began: Option<Timestamp>,
    lone: Option<(usize, u32)>,
    #[serde(default)]
    drift: DriftWatch,
}

/// What was last said about an asset.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AssetNow {
    pub row_at: Timestamp,
    pub score: f64,
    pub alarm: bool,
    /// Too much was missing to judge the row.
    pub held: bool,
    pub rows: u64,
    pub contributions: Vec<Contribution>,
    pub changed_at: Option<Timestamp>,
}

/// One asset under watch.
#[derive(Debug)]
pub(crate) struct AssetWatch {
    pub(crate) asset: Arc<AssetModel>,
    grid: Grid,
    watch: ProcessWatch,
    standing: Option<Standing>,
    /// The first of the rows beyond a limit without a calm one between them.
    since: Option<Timestamp>,
    /// The first row of this stretch of rows.
    began: Option<Timestamp>,
    /// The input that alone makes up the alarm, and for how many rows.
    lone: Option<(usize, u32)>,
    drift: DriftWatch,
    /// The input that drifts.
    drifting: Option<Drift>,
    /// Every row judged, for those who look again.
    trace: Option<Vec<AssetNow>>,
    now: Option<AssetNow>,
    applied: Offset,
    unsaved: Option<Offset>,
    said: Vec<Effect>,
}

impl AssetWatch {
    pub(crate) fn new(asset: Arc<AssetModel>, applied: Offset) -> Self {
        Self {
            grid: Grid::default(),
            watch: ProcessWatch::new(&asset.model),
            drift: DriftWatch::new(&asset.model),
            drifting: None,
            asset,
            standing: None,
            since: None,
            began: None,
            lone: None,
            trace: None,
            now: None,
            applied,
            unsaved: None,
            said: Vec::new(),
        }
    }

    /// Goes on from what was written down with batch `applied`; a state of another model is left
    /// aside, and an anomaly of it ends with the next row.
    pub(crate) fn restored(
        asset: Arc<AssetModel>,
        saved: Option<SavedAsset>,
        applied: Offset,
        standing: Option<Standing>,
    ) -> Self {
        let mut watch = Self { standing, ..Self::new(asset, applied) };
        let size = watch.asset.plan.inputs.len();
        let fitting = saved.filter(|saved| {
            saved.detector == VERSION
                && saved.model_version == watch.asset.version
                && saved.grid.fits(size)
                && saved.watch.fits(&watch.asset.model)
        });
        if let Some(saved) = fitting {
            watch.grid = saved.grid;
            watch.watch = saved.watch;
            watch.since = saved.since;
            watch.began = saved.began;
            watch.lone = saved.lone;
            if saved.drift.fits(&watch.asset.model) {
                watch.drifting = saved.drift.drifting(&watch.asset.model);
                watch.drift = saved.drift;
            }
        }
        watch
    }

    pub(crate) fn save(&self) -> SavedAsset {
        SavedAsset {
            detector: VERSION.to_owned(),
            model_version: self.asset.version,
            grid: self.grid.clone(),
            watch: self.watch.clone(),
            since: self.since,
            began: self.began,
            lone: self.lone,
            drift: self.drift.clone(),
        }
    }

    pub(crate) fn applied(&self) -> Offset {
        self.applied
    }

    pub(crate) fn unsaved(&self) -> Option<Offset> {
        self.unsaved
    }

    pub(crate) fn mark_saved(&mut self) {
        self.unsaved = None;
    }

    /// The sensor that the others contradict.
    pub(crate) fn doubted(&self) -> Option<(SensorKey, Doubt)> {
        let (input, doubt) = match (self.drifting, self.lone) {
            (Some(drift), _) if drift.offset < 0.0 => (drift.input, Doubt::DriftsDown),
            (Some(drift), _) => (drift.input, Doubt::DriftsUp),
            (None, Some((input, rows))) if rows >= LONE_ROWS => (input, Doubt::Alone),
            (None, _) => return None,
        };
        Some((self.asset.plan.inputs.get(input)?.clone(), doubt))
    }

    pub(crate) fn now(&self) -> Option<&AssetNow> {
        self.now.as_ref()
    }

    /// Takes one row of a batch; false when it is part of the state already.
    fn observe(&mut self, offset: Offset, batch: &Batch, row: usize, input: usize) -> bool {
        if offset <= self.applied && self.unsaved.is_none_or(|first| offset < first) {
            return false;
        }
        self.applied = self.applied.max(offset);
        self.unsaved.get_or_insert(offset);
        let sample = Sample {
            input,
            at: Timestamp::from_micros(batch.at[row]),
            value: batch.value[row],
            quality: Quality::from_byte(batch.quality[row]),
        };
        self.take(sample, batch.received, batch.correlation);
        true
    }

    /// Takes a reading; `now` is when it was received.
    pub(crate) fn take(
        &mut self,
        sample: Sample,
        now: Timestamp,
        correlation: Option<CorrelationId>,
    ) {
        let mut rows = Vec::new();
        self.grid.take(&self.asset.plan, sample, |row| rows.push(row));
        for row in rows {
            self.judge(&row, now, correlation);
        }
    }

    fn judge(&mut self, row: &Row, now: Timestamp, correlation: Option<CorrelationId>) {
        let asset = Arc::clone(&self.asset);
        if row.fresh {
            self.watch = self.watch.resumed(&asset.model);
            self.began = Some(row.at);
        }
        let verdict = self.watch.observe(&asset.model, &row.values);
        self.drifting = self.drift.observe(&asset.model, &row.values);
        let contributions = contributions(&asset, &verdict);
        let before = self.now.take();
        let changed = verdict.changepoint.then_some(row.at);
        if verdict.changepoint {
            self.changed(row, verdict.change_confidence, correlation);
        }
        self.now = Some(AssetNow {
            row_at: row.at,
            score: verdict.score,
            alarm: verdict.alarm,
            held: verdict.held,
            rows: before.as_ref().map_or(0, |now| now.rows) + 1,
            contributions: contributions.clone(),
            changed_at: changed.or(before.and_then(|now| now.changed_at)),
        });
        if let (Some(trace), Some(now)) = (&mut self.trace, &self.now) {
            trace.push(now.clone());
        }
        if verdict.held {
            return;
        }
        let beyond = verdict.score > signal::process::THRESHOLD;
        self.since = if beyond { self.since.or(Some(row.at)) } else { None };
        self.lone = verdict.alarm.then(|| self.blame(&verdict)).flatten();
        match (verdict.alarm, self.standing.is_some()) {
            (true, false) => self.raise(row, &verdict, contributions, now, correlation),
            (true, true) => self.worsen(row, &verdict, contributions),
            (false, true) => self.clear(row.at),
            (false, false) => {}
        }
    }

    /// Says that the state has changed: between the last two stretches of rows.
    fn changed(&mut self, row: &Row, confidence: f64, correlation: Option<CorrelationId>) {
        let asset = Arc::clone(&self.asset);
        let stretches = self.watch.stretches(&asset.model);
        let name = asset.plan.asset.as_str();
        let Some(first) = asset.plan.inputs.first() else { return };
        let back = if stretches.is_empty() { 0 } else { STRETCH as i64 - 1 };
        let changed_at = row.at.as_micros().saturating_sub(back * asset.plan.interval_us);
        let changed_at = Timestamp::from_micros(changed_at);
        let changepoint_id = name_uuid(changed_at, &[name, "change"]);
        let standing = self.standing.as_ref();
        let chain = standing.map(|it| it.correlation).or(correlation);
        let change = Changepoint {
            changepoint_id,
            sensor: None,
            asset: name.to_owned(),
            site: first.site().to_owned(),
            unit: None,
            changed_at,
            noticed_at: self.end_of(row),
            before: None,
            after: None,
            noise: None,
            confidence,
            detector: detector_name(VERSION),
            model_version: Some(asset.version),
            inputs: changed_inputs(&asset, &stretches),
            anomaly_id: standing.map(|it| it.anomaly.anomaly_id),
            origin: asset.origin,
        };
        let correlation = chain.unwrap_or(CorrelationId(changepoint_id));
        self.said.push(Effect::Change { change: Box::new(change), correlation });
    }

    /// Counts the rows that one input alone explains; rows that it does not explain count twice
    /// against it.
    fn blame(&self, verdict: &ProcessVerdict) -> Option<(usize, u32)> {
        let named = verdict.top.first().filter(|_| verdict.lone >= LONE_SHARE).map(|top| top.0);
        match (self.lone, named) {
            (Some((input, rows)), Some(named)) if input == named => {
                Some((input, rows.saturating_add(1)))
            }
            (Some((input, rows)), _) if rows > LONE_DOUBTFUL => Some((input, rows - LONE_DOUBTFUL)),
            (_, named) => named.map(|input| (input, 1)),
        }
    }

    fn raise(
        &mut self,
        row: &Row,
        verdict: &ProcessVerdict,
        contributions: Vec<Contribution>,
        now: Timestamp,
        correlation: Option<CorrelationId>,
    ) {
        let asset = &self.asset;
        let Some((input, _)) = verdict.top.first() else { return };
        let sensor = asset.plan.inputs[*input].clone();
        let started_at = self.since.unwrap_or(row.at);
        let anomaly_id = identity(&sensor, AnomalyRule::Process, started_at);
        let (mean, spread) = asset.model.normal().nth(*input).map_or((0.0, 0.0), |n| (n.1, n.2));
        let (kind, unit) = asset.kinds[*input].clone();
        let (fit_rows, _) = asset.model.rows();
        // One row more, because the first row of a stretch is none.
        let rows = |count: i64| count * asset.plan.interval_us;
        let warm = started_at.as_micros().saturating_sub(rows(WARM_ROWS));
        let began = self.began.map_or(warm, |began| began.as_micros() - rows(1));
        let warm = Timestamp::from_micros(warm.max(began));
        let anomaly = Anomaly {
            anomaly_id,
            asset: asset.plan.asset.as_str().to_owned(),
            site: sensor.site().to_owned(),
            sensor,
            kind,
            unit,
            rule: AnomalyRule::Process,
            state: AnomalyState::Active,
            severity: Severity::from_measure(verdict.score),
            score: verdict.score,
            value: if row.values[*input].is_finite() { row.values[*input] } else { mean },
            expected: Some(Band {
                low: mean - BAND_SPREADS * spread,
                high: mean + BAND_SPREADS * spread,
            }),
            started_at,
            detected_at: now,
            cleared_at: None,
            evidence: Evidence {
                from: started_at,
                to: self.end_of(row),
                samples: fit_rows as u64,
                baseline_mean: mean,
                baseline_spread: spread,
            },
            detector: detector_name(VERSION),
            origin: asset.origin,
            contributions,
            process: Some(self.finding(row, verdict, warm)),
        };
        let correlation = correlation.unwrap_or(CorrelationId(anomaly_id));
        self.standing = Some(Standing { anomaly, correlation, revision: 0 });
        self.say();
    }

    fn finding(&self, row: &Row, verdict: &ProcessVerdict, warm: Timestamp) -> ProcessFinding {
        ProcessFinding {
            model_version: self.asset.version,
            interval_s: self.asset.plan.interval_us as f64 / 1e6,
            look: verdict.look.name().to_owned(),
            t2: verdict.t2,
            q: verdict.q,
            row_at: row.at,
            replay_from: warm,
        }
    }

    fn end_of(&self, row: &Row) -> Timestamp {
        Timestamp::from_micros(row.at.as_micros().saturating_add(self.asset.plan.interval_us))
    }

    /// The same anomaly, grown more severe: what it rests on is the newest row.
    fn worsen(&mut self, row: &Row, verdict: &ProcessVerdict, contributions: Vec<Contribution>) {
        let severity = Severity::from_measure(verdict.score);
        let to = self.end_of(row);
        let Some(standing) = &self.standing else { return };
        if severity <= standing.anomaly.severity {
            return;
        }
        let warm = standing.anomaly.process.as_ref().map_or(row.at, |it| it.replay_from);
        let finding = self.finding(row, verdict, warm);
        if let Some(standing) = &mut self.standing {
            standing.anomaly.severity = severity;
            standing.anomaly.score = verdict.score;
            standing.anomaly.contributions = contributions;
            standing.anomaly.evidence.to = to;
            standing.anomaly.process = Some(finding);
        }
        self.say();
    }

    fn clear(&mut self, at: Timestamp) {
        if let Some(standing) = &mut self.standing {
            let anomaly = &mut standing.anomaly;
            anomaly.state = AnomalyState::Cleared;
            anomaly.cleared_at = Some(at.max(anomaly.started_at));
            anomaly.evidence.to = anomaly.evidence.to.max(at);
        }
        self.say();
        self.standing = None;
    }

    fn say(&mut self) {
        if let Some(standing) = &mut self.standing {
            standing.revision += 1;
            self.said.push(Effect::Anomaly {
                anomaly: Box::new(standing.anomaly.clone()),
                revision: standing.revision,
                correlation: standing.correlation,
                onset: None,
            });
        }
    }
}

/// The inputs that moved most from one stretch of rows to the next.
fn changed_inputs(asset: &AssetModel, stretches: &[(f64, f64)]) -> Vec<ChangedInput> {
    let normal = asset.plan.inputs.iter().zip(asset.model.normal());
    let mut inputs: Vec<ChangedInput> = normal
        .zip(stretches)
        .map(|((sensor, (_, _, spread)), (before, after))| ChangedInput {
            sensor: sensor.clone(),
            before: *before,
            after: *after,
            spreads: (after - before) / spread,
        })
        .collect();
    inputs.sort_by(|a, b| b.spreads.abs().total_cmp(&a.spreads.abs()));
    inputs.truncate(CHANGED_MAX);
    inputs
}

fn contributions(asset: &AssetModel, verdict: &ProcessVerdict) -> Vec<Contribution> {
    let name = |(input, share): &(usize, f64)| Contribution {
        sensor: asset.plan.inputs[*input].clone(),
        share: *share,
    };
    verdict.top.iter().map(name).collect()
}

/// All assets with an accepted model.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    assets: HashMap<AssetKey, AssetWatch>,
    /// Which asset and input a series belongs to; assets may share one.
    places: HashMap<SeriesId, Vec<(AssetKey, usize)>>,
}

impl Fleet {
    pub(crate) fn put(&mut self, watch: AssetWatch) {
        let key = watch.asset.plan.asset.clone();
        self.remove(&key);
        for (input, id) in watch.asset.ids.iter().enumerate() {
            self.places.entry(*id).or_default().push((key.clone(), input));
        }
        self.assets.insert(key, watch);
    }

    /// Ends the watch over an asset; an anomaly that stands ends with it.
    pub(crate) fn remove(&mut self, key: &AssetKey) -> Vec<Effect> {
        let Some(mut watch) = self.assets.remove(key) else { return Vec::new() };
        for places in self.places.values_mut() {
            places.retain(|(asset, _)| asset != key);
        }
        self.places.retain(|_, places| !places.is_empty());
        let at = watch.now().map(|now| now.row_at);
        if let Some(at) = at.filter(|_| watch.standing.is_some()) {
            watch.clear(at);
        }
        watch.said
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.assets.is_empty()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &AssetWatch> {
        self.assets.values()
    }

    pub(crate) fn get(&self, key: &AssetKey) -> Option<&AssetWatch> {
        self.assets.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &AssetKey) -> Option<&mut AssetWatch> {
        self.assets.get_mut(key)
    }

    /// Judges some batches; what they bring, with the asset whose state it belongs to.
    pub(crate) fn run(&mut self, batches: &[(Offset, Arc<Batch>)]) -> Vec<(AssetKey, Effect)> {
        let mut said = Vec::new();
        for (offset, batch) in batches {
            // A batch may hold its readings sensor by sensor; a row of an asset is one of time.
            let modelled = batch.runs().filter(|(id, _)| self.places.contains_key(id));
            let mut rows: Vec<usize> = modelled.flat_map(|(_, rows)| rows).collect();
            rows.sort_by_key(|row| batch.at[*row]);
            for row in rows {
                let Some(places) = self.places.get(&batch.series[row]) else { continue };
                for (key, input) in places {
                    let Some(watch) = self.assets.get_mut(key) else { continue };
                    if watch.observe(*offset, batch, row, *input) {
                        said.extend(watch.said.drain(..).map(|effect| (key.clone(), effect)));
                    }
                }
            }
        }
        said
    }
}

/// Judges stored readings again, in the order of their times: every row, and what was said.
pub(crate) fn replay(asset: &Arc<AssetModel>, samples: &[Sample]) -> (Vec<AssetNow>, Vec<Anomaly>) {
    let mut watch = AssetWatch::new(Arc::clone(asset), Offset(0));
    watch.trace = Some(Vec::with_capacity(samples.len() / asset.plan.inputs.len().max(1)));
    samples.iter().for_each(|sample| watch.take(*sample, sample.at, None));
    let said = watch.said.drain(..).filter_map(|effect| match effect {
        Effect::Anomaly { anomaly, .. } => Some(*anomaly),
        Effect::Change { .. } | Effect::Trust { .. } => None,
    });
    (watch.trace.take().unwrap_or_default(), said.collect())
}
