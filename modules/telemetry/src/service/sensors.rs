use std::sync::Arc;

use kernel::{SensorKey, SensorKind, Unit};
use sense::Origin;
use serde_json::Value;

use super::{Entry, Telemetry};
use crate::error::TelemetryError;
use crate::model::{ChainedAnomaly, Profile, Sensor, TrustState};
use crate::records::{self, AnomalyFilter};

/// What an engineer sets about a sensor; the whole of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SensorChange {
    pub kind: Option<SensorKind>,
    pub unit: Option<String>,
    pub profile: Profile,
    pub metadata: Value,
}

impl Telemetry {
    /// Writes `sensor` over version `before`, in the records and then in memory.
    pub(super) async fn replace(&self, sensor: Sensor, before: i64) -> Result<(), TelemetryError> {
        let tx = self.records.begin().await?;
        if !records::update_sensor(&tx, &sensor, before).await? {
            let (key, current) = (sensor.key, before + 1);
            return Err(TelemetryError::VersionConflict { key, current, given: before });
        }
        tx.commit().await?;
        let key = sensor.key.clone();
        self.registry.change(&key, |kept| {
            let trust = std::mem::take(&mut kept.trust);
            *kept = Sensor { trust, ..sensor };
        });
        Ok(())
    }

    pub(crate) fn sensor(&self, key: &SensorKey) -> Result<Arc<Entry>, TelemetryError> {
        self.registry.get(key).ok_or_else(|| TelemetryError::NoSuchSensor(key.clone()))
    }

    pub(crate) async fn sensors(&self) -> Result<Vec<Arc<Entry>>, TelemetryError> {
        self.ensure_loaded().await?;
        Ok(self.registry.all())
    }

    pub(crate) async fn anomalies(
        &self,
        filter: &AnomalyFilter,
    ) -> Result<Vec<ChainedAnomaly>, TelemetryError> {
        records::anomalies(&self.records, filter).await
    }

    /// Sets a sensor, registering it when it is new. `expected` is the version the caller saw;
    /// `None` for a sensor that must be new. Confirms a quarantined sensor.
    pub(crate) async fn set_sensor(
        &self,
        key: &SensorKey,
        change: SensorChange,
        expected: Option<i64>,
    ) -> Result<Arc<Entry>, TelemetryError> {
        self.ensure_loaded().await?;
        let unit = sound_unit(change.unit.as_deref())?;
        sound_profile(&change.profile)?;
        let registering = self.registering.lock().await;
        let now = self.clock.now();
        let Some(entry) = self.registry.get(key) else {
            if expected.is_some() {
                return Err(TelemetryError::NoSuchSensor(key.clone()));
            }
            let sensor = Sensor {
                key: key.clone(),
                kind: change.kind.unwrap_or_else(|| SensorKind::from_measure(key.measure())),
                unit,
                profile: change.profile,
                trust: TrustState::default(),
                origin: Origin::Real,
                quarantined: false,
                metadata: change.metadata,
                version: 1,
                created_at: now,
                updated_at: now,
            };
            self.register(vec![sensor]).await?;
            drop(registering);
            return self.sensor(key);
        };
        let old = &entry.sensor;
        let given = expected.unwrap_or(0);
        if given != old.version {
            return Err(TelemetryError::VersionConflict {
                key: key.clone(),
                current: old.version,
                given,
            });
        }
        if let Some(stored) = old.unit.as_ref().filter(|stored| unit.as_ref() != Some(stored))
            && entry.read_now().latest.is_some()
        {
            return Err(TelemetryError::Invalid {
                field: "unit",
                reason: format!("readings are stored in {stored}; the unit is fixed"),
            });
        }
        let sensor = Sensor {
            kind: change.kind.unwrap_or(old.kind),
            unit,
            profile: change.profile,
            quarantined: false,
            metadata: change.metadata,
            version: old.version + 1,
            updated_at: now,
            ..old.clone()
        };
        self.replace(sensor, old.version).await?;
        drop(registering);
        self.sensor(key)
    }
}

pub(super) fn sound_unit(unit: Option<&str>) -> Result<Option<String>, TelemetryError> {
    unit.map(|text| {
        Unit::parse(text)
            .map(|unit| unit.symbol.to_owned())
            .map_err(|error| TelemetryError::Invalid { field: "unit", reason: error.to_string() })
    })
    .transpose()
}

pub(super) fn sound_profile(profile: &Profile) -> Result<(), TelemetryError> {
    let fault =
        |field, reason: &str| Err(TelemetryError::Invalid { field, reason: reason.to_owned() });
    let bounds = [profile.expected_low, profile.expected_high];
    if bounds.iter().flatten().any(|bound| !bound.is_finite()) {
        return fault("expected_low", "bounds are finite numbers");
    }
    if let [Some(low), Some(high)] = bounds
        && low >= high
    {
        return fault("expected_high", "must lie above expected_low");
    }
    if profile.rate_max_per_s.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
        return fault("rate_max_per_s", "must be greater than 0");
    }
    if profile.interval_s.is_some_and(|interval| !interval.is_finite() || interval <= 0.0) {
        return fault("interval_s", "must be greater than 0");
    }
    Ok(())
}
