use std::time::Duration;

use kernel::{CorrelationId, SensorKey, SensorKind};
use serde::Serialize;
use uuid::Uuid;

use super::Plant;
use crate::error::PlantError;
use crate::model::{Run, ScenarioKind, SensorSetup, Series, Shape, span_of};
use crate::records;

/// Longest run of a scenario a person may ask for.
const DURATION_MAX: Duration = Duration::from_secs(7 * 86_400);
const MAGNITUDE_MAX: f64 = 100.0;
/// Normal readings before the fault of a generated series, one a minute.
const NORMAL_READINGS: usize = 720;
const FAULT_READINGS_MIN: usize = 30;
const FAULT_READINGS_MAX: usize = 10_000;

/// What a person wants to happen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) kind: ScenarioKind,
    /// Sensor or asset.
    pub(crate) target: Option<String>,
    pub(crate) duration_s: Option<u64>,
    pub(crate) magnitude: Option<f64>,
}

/// What was set going: a scenario of the running plant, or a generated series.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct Simulation {
    /// The scenario that now plays; `null` when a series was generated or scenarios were ended.
    pub(crate) run: Option<Run>,
    /// Scenarios that were ended.
    pub(crate) ended: u64,
    /// The sensor that a series was generated for.
    pub(crate) sensor: Option<SensorKey>,
    /// Readings generated and stored.
    pub(crate) readings: usize,
    /// Follows the generated series through the chain.
    pub(crate) correlation_id: Option<CorrelationId>,
}

impl Plant {
    /// Plays a scenario on the running plant, or generates a series for a sensor that is not the
    /// plant's.
    pub(crate) async fn simulate(
        &self,
        order: Order,
        actor: &str,
    ) -> Result<Simulation, PlantError> {
        if !self.settings.enabled && !self.settings.development {
            return Err(PlantError::Disabled);
        }
        let (duration_s, magnitude) = span_of(order.kind, order.duration_s, order.magnitude);
        check(duration_s, magnitude)?;
        let target = order.target.clone().or(order.kind.info().target.map(str::to_owned));
        match target.as_deref() {
            Some(target) if !self.has(target) => {
                self.generate(order.kind, target, duration_s, order.magnitude).await
            }
            _ if !self.settings.enabled => Err(PlantError::Invalid {
                field: "sensor",
                reason: "the simulated plant is off; name a sensor to generate readings for"
                    .to_owned(),
            }),
            _ if order.kind == ScenarioKind::Normal => self.end_all(order.target.as_deref()).await,
            _ => self.play(order.kind, target, duration_s, magnitude, actor).await,
        }
    }

    /// Ends one run.
    pub(crate) async fn end(&self, id: Uuid) -> Result<(), PlantError> {
        let tx = self.bus.records().begin().await?;
        let ended = records::end_run(&tx, id, self.now()).await?;
        tx.commit().await?;
        if ended { Ok(()) } else { Err(PlantError::UnknownRun { id }) }
    }

    pub(crate) async fn runs(
        &self,
        before: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<Run>, PlantError> {
        records::list_runs(self.bus.records(), before, limit).await
    }

    fn has(&self, target: &str) -> bool {
        self.settings.enabled && (self.north.has(target) || self.north.has_asset(target))
    }

    async fn play(
        &self,
        kind: ScenarioKind,
        target: Option<String>,
        duration_s: u64,
        magnitude: f64,
        actor: &str,
    ) -> Result<Simulation, PlantError> {
        let is_sensor = target.as_deref().is_some_and(|target| self.north.has(target));
        if kind.is_of_a_sensor() != is_sensor && target.is_some() {
            let wanted = if kind.is_of_a_sensor() { "a sensor" } else { "an asset" };
            let reason = format!("{} acts on {wanted} of the plant", kind.as_str());
            return Err(PlantError::Invalid { field: "target", reason });
        }
        let run = Run {
            run_id: Uuid::now_v7(),
            kind,
            target,
            starts_at: self.now(),
            duration_s,
            magnitude,
            started_by: actor.to_owned(),
            ended_at: None,
        };
        let tx = self.bus.records().begin().await?;
        records::insert_run(&tx, &run).await?;
        tx.commit().await?;
        Ok(Simulation { run: Some(run), ended: 0, sensor: None, readings: 0, correlation_id: None })
    }

    async fn end_all(&self, target: Option<&str>) -> Result<Simulation, PlantError> {
        let tx = self.bus.records().begin().await?;
        let ended = records::end_runs(&tx, target, self.now()).await?;
        tx.commit().await?;
        Ok(Simulation { run: None, ended, sensor: None, readings: 0, correlation_id: None })
    }

    async fn generate(
        &self,
        kind: ScenarioKind,
        target: &str,
        duration_s: u64,
        magnitude: Option<f64>,
    ) -> Result<Simulation, PlantError> {
        let invalid = |reason: String| PlantError::Invalid { field: "sensor", reason };
        let sensor = SensorKey::new(target).map_err(|error| invalid(error.to_string()))?;
        let shape = match kind {
            ScenarioKind::Normal => Shape::Normal,
            ScenarioKind::SensorDrift => Shape::Drift,
            ScenarioKind::SensorSpike => Shape::Fault,
            _ => return Err(invalid(format!("{target} is no part of the simulated plant"))),
        };
        let correlation = CorrelationId::new();
        let minutes = usize::try_from(duration_s / 60).unwrap_or(usize::MAX);
        let series = Series {
            sensor: sensor.clone(),
            seed: correlation.0.as_u64_pair().1,
            until: self.now(),
            normal: NORMAL_READINGS,
            anomalous: minutes.clamp(FAULT_READINGS_MIN, FAULT_READINGS_MAX),
            shape,
            magnitude: magnitude.unwrap_or(1.0),
        };
        self.introduce(&sensor).await?;
        let (receipt, _) = self.hand_in(&series, Some(correlation)).await?;
        Ok(Simulation {
            run: None,
            ended: 0,
            sensor: Some(sensor),
            readings: receipt.accepted,
            correlation_id: Some(correlation),
        })
    }

    async fn introduce(&self, sensor: &SensorKey) -> Result<(), PlantError> {
        let setup = SensorSetup {
            key: sensor.clone(),
            kind: SensorKind::Vibration,
            unit: "mm/s".to_owned(),
            expected_low: 0.0,
            expected_high: 7.1,
            rate_max_per_s: None,
            interval_s: None,
        };
        (self.configure)(setup)
            .await
            .map_err(|source| PlantError::Port { port: "configure", source })
    }
}

fn check(duration_s: u64, magnitude: f64) -> Result<(), PlantError> {
    let days = DURATION_MAX.as_secs() / 86_400;
    if duration_s == 0 || duration_s > DURATION_MAX.as_secs() {
        let reason = format!("is at least one second and at most {days} days");
        return Err(PlantError::Invalid { field: "duration_s", reason });
    }
    if !(magnitude > 0.0 && magnitude <= MAGNITUDE_MAX) {
        let reason = format!("lies above 0 and is at most {MAGNITUDE_MAX}");
        return Err(PlantError::Invalid { field: "magnitude", reason });
    }
    Ok(())
}
