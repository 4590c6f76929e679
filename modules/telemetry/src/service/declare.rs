//! Sensors that a source describes before it sends readings.

use kernel::{SensorKey, SensorKind};
use sense::Origin;
use serde_json::Value;

use super::sensors::{sound_profile, sound_unit};
use super::{Door, Telemetry};
use crate::error::TelemetryError;
use crate::model::{Profile, Sensor, TrustState};

/// What a source knows about one of its sensors.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorDeclaration {
    pub key: SensorKey,
    pub kind: SensorKind,
    pub unit: String,
    pub expected_low: Option<f64>,
    pub expected_high: Option<f64>,
    pub rate_max_per_s: Option<f64>,
    pub interval_s: Option<f64>,
}

impl Door {
    /// Registers a sensor with what its source knows, or fills in what nobody has said about it:
    /// what an engineer has set outlives what a source says at its next start.
    ///
    /// # Errors
    /// When the declaration contradicts itself, when a simulation declares a sensor of the real
    /// plant, or when the database cannot be reached.
    pub async fn declare(
        &self,
        declaration: SensorDeclaration,
        origin: Origin,
    ) -> Result<(), TelemetryError> {
        self.0.declare(declaration, origin).await
    }

    /// The expected range of a sensor as registered: low and high, each when known. `None` for a
    /// sensor that nobody knows.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn range_of(
        &self,
        key: &SensorKey,
    ) -> Result<Option<(Option<f64>, Option<f64>)>, TelemetryError> {
        self.0.ensure_loaded().await?;
        let profile = self.0.registry.get(key).map(|entry| entry.sensor.profile);
        Ok(profile.map(|profile| (profile.expected_low, profile.expected_high)))
    }
}

impl Telemetry {
    async fn declare(
        &self,
        declaration: SensorDeclaration,
        origin: Origin,
    ) -> Result<(), TelemetryError> {
        self.ensure_loaded().await?;
        let unit = sound_unit(Some(&declaration.unit))?;
        let profile = Profile {
            expected_low: declaration.expected_low,
            expected_high: declaration.expected_high,
            rate_max_per_s: declaration.rate_max_per_s,
            interval_s: declaration.interval_s,
        };
        sound_profile(&profile)?;
        let registering = self.registering.lock().await;
        if let Some(entry) = self.registry.get(&declaration.key) {
            return self.fill_in(&entry.sensor, unit, profile, origin).await;
        }
        let now = self.clock.now();
        let sensor = Sensor {
            key: declaration.key,
            kind: declaration.kind,
            unit,
            profile,
            trust: TrustState::default(),
            origin,
            quarantined: false,
            metadata: Value::Object(serde_json::Map::new()),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        self.register(vec![sensor]).await?;
        drop(registering);
        Ok(())
    }

    async fn fill_in(
        &self,
        known: &Sensor,
        unit: Option<String>,
        profile: Profile,
        origin: Origin,
    ) -> Result<(), TelemetryError> {
        if known.origin == Origin::Real && origin == Origin::Simulated {
            let reason =
                format!("`{}` is a real sensor; a simulation may not declare it", known.key);
            return Err(TelemetryError::Invalid { field: "sensor", reason });
        }
        let own = known.profile;
        let filled = Sensor {
            unit: known.unit.clone().or(unit),
            profile: Profile {
                expected_low: own.expected_low.or(profile.expected_low),
                expected_high: own.expected_high.or(profile.expected_high),
                rate_max_per_s: own.rate_max_per_s.or(profile.rate_max_per_s),
                interval_s: own.interval_s.or(profile.interval_s),
            },
            version: known.version + 1,
            updated_at: self.clock.now(),
            ..known.clone()
        };
        if filled.unit == known.unit && filled.profile == known.profile {
            return Ok(());
        }
        sound_profile(&filled.profile)?;
        self.replace(filled, known.version).await
    }
}
