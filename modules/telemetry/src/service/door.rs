//! The way in: look up, validate, make durable, answer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use kernel::{Reading, Retryable, SensorKey, SensorKind, Unit};
use sense::{Delivery, Hint, ReadingSink, Receipt, Refusal, SinkError};
use serde_json::Value;

use super::Telemetry;
use super::intake::Head;
use super::registry::Entry;
use crate::error::TelemetryError;
use crate::model::{Profile, Sensor, TrustState, UnknownSensors};
use crate::records;
use crate::sense::{Fault, validate};

/// Sensors registered in one transaction.
const REGISTERED_AT_ONCE: usize = 2_000;

/// Takes readings for the plant this process watches. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Door(pub(crate) Telemetry);

impl ReadingSink for Door {
    fn submit(&self, delivery: Delivery) -> BoxFuture<'_, Result<Receipt, SinkError>> {
        Box::pin(async move {
            self.0.take(delivery, &[]).await.map_err(|error| {
                if error.is_retryable() {
                    SinkError::Unavailable(Box::new(error))
                } else {
                    SinkError::Failed(Box::new(error))
                }
            })
        })
    }
}

impl Telemetry {
    /// Stores what can be stored. What the receipt calls accepted is durable.
    pub(crate) async fn take(
        &self,
        delivery: Delivery,
        hints: &[Hint],
    ) -> Result<Receipt, TelemetryError> {
        self.ensure_loaded().await?;
        let mut entries = self.registry.find(delivery.readings.iter().map(|r| &r.sensor));
        if entries.iter().any(Option::is_none) {
            self.admit(&delivery, hints, &mut entries).await?;
        }
        self.adopt_units(&delivery, &mut entries).await?;
        let mut refused = Vec::new();
        let mut intake = self.intake(&Head::of(&delivery), delivery.readings.len());
        for (index, (reading, entry)) in delivery.readings.iter().zip(&entries).enumerate() {
            let offered = match entry {
                Some(entry) => {
                    intake.offer(entry, |known, seen, now| validate(reading, known, seen, now))
                }
                None => Err(self.why_unknown(reading)),
            };
            if let Err(fault) = offered {
                self.counters.count_fault(fault.field);
                refused.push(Refusal { index, field: fault.field, reason: fault.reason });
            }
        }
        let newest_at = intake.newest_at();
        let (accepted, offset) = self.store(intake).await?;
        let counts = (accepted, refused.len());
        self.sources.heard(&delivery.source, delivery.received, counts, newest_at);
        Ok(Receipt { accepted, refused, offset })
    }

    /// Why a reading's sensor was not registered by [`Self::admit`].
    fn why_unknown(&self, reading: &Reading) -> Fault {
        let unit = reading.unit.as_deref().map(Unit::parse);
        if self.settings.unknown_sensors == UnknownSensors::Reject {
            let reason = format!("the sensor `{}` is not registered", reading.sensor);
            return Fault { field: "sensor", reason };
        }
        if let Some(Err(error)) = unit {
            return Fault { field: "unit", reason: error.to_string() };
        }
        let reason = format!(
            "the sensor `{}` is not registered, and there is room for {} sensors only",
            reading.sensor, self.settings.sensors_max
        );
        Fault { field: "sensor", reason }
    }

    /// Registers the unknown sensors of a delivery, as far as the policy and the limit allow; part
    /// by part, so that other doors need not wait for all of them.
    async fn admit(
        &self,
        delivery: &Delivery,
        hints: &[Hint],
        entries: &mut [Option<Arc<Entry>>],
    ) -> Result<(), TelemetryError> {
        if self.settings.unknown_sensors == UnknownSensors::Reject {
            return Ok(());
        }
        // The first that is said of a sensor counts.
        let hints: HashMap<&SensorKey, &Hint> =
            hints.iter().rev().map(|hint| (&hint.sensor, hint)).collect();
        // Where there is not room for all, the first to come are taken.
        let mut unknown: Vec<(&SensorKey, Option<&str>)> = Vec::new();
        let mut seen = HashSet::new();
        for (reading, _) in delivery.readings.iter().zip(&*entries).filter(|(_, it)| it.is_none()) {
            let unit = reading.unit.as_deref();
            if unit.is_none_or(|unit| Unit::parse(unit).is_ok()) && seen.insert(&reading.sensor) {
                unknown.push((&reading.sensor, unit));
            }
        }
        for some in unknown.chunks(REGISTERED_AT_ONCE) {
            let registering = self.registering.lock().await;
            let room = self.settings.sensors_max.saturating_sub(self.registry.len());
            let fresh = some.iter().filter(|(key, _)| self.registry.get(key).is_none());
            let fresh = fresh
                .take(room)
                .map(|(key, unit)| self.describe(key, *unit, delivery, hints.get(key).copied()));
            self.register(fresh.collect()).await?;
            drop(registering);
        }
        let found = self.registry.find(delivery.readings.iter().map(|r| &r.sensor));
        entries.clone_from_slice(&found);
        Ok(())
    }

    fn describe(
        &self,
        key: &SensorKey,
        unit: Option<&str>,
        delivery: &Delivery,
        hint: Option<&Hint>,
    ) -> Sensor {
        let kind = hint
            .and_then(|hint| hint.kind)
            .unwrap_or_else(|| SensorKind::from_measure(key.measure()));
        let metadata = hint.and_then(|hint| hint.metadata.clone());
        Sensor {
            key: key.clone(),
            kind,
            unit: unit.and_then(|unit| Unit::parse(unit).ok()).map(|unit| unit.symbol.to_owned()),
            profile: Profile::default(),
            trust: TrustState::default(),
            origin: delivery.origin,
            quarantined: self.settings.unknown_sensors == UnknownSensors::Quarantine,
            metadata: metadata.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
            version: 1,
            created_at: delivery.received,
            updated_at: delivery.received,
        }
    }

    /// Adds sensors to the series store, the records and the memory, in this order: a crash in
    /// between leaves nothing that the next reading does not complete.
    pub(super) async fn register(&self, sensors: Vec<Sensor>) -> Result<(), TelemetryError> {
        if sensors.is_empty() {
            return Ok(());
        }
        let keys: Vec<SensorKey> = sensors.iter().map(|sensor| sensor.key.clone()).collect();
        let ids = self.series.register(&keys).await?;
        let tx = self.records.begin().await?;
        records::insert_sensors(&tx, &sensors).await?;
        tx.commit().await?;
        for (id, sensor) in ids.into_iter().zip(sensors) {
            self.registry.put(id, sensor);
        }
        Ok(())
    }

    /// A sensor without a unit takes the first one its sender names.
    async fn adopt_units(
        &self,
        delivery: &Delivery,
        entries: &mut [Option<Arc<Entry>>],
    ) -> Result<(), TelemetryError> {
        let mut adopted: BTreeMap<SensorKey, &'static str> = BTreeMap::new();
        for (reading, entry) in delivery.readings.iter().zip(entries.iter()) {
            let (Some(written), Some(entry)) = (&reading.unit, entry) else { continue };
            if entry.sensor.unit.is_none()
                && let Ok(unit) = Unit::parse(written)
            {
                adopted.entry(reading.sensor.clone()).or_insert(unit.symbol);
            }
        }
        if adopted.is_empty() {
            return Ok(());
        }
        let registering = self.registering.lock().await;
        let tx = self.records.begin().await?;
        for (key, unit) in &adopted {
            records::set_unit(&tx, key, unit).await?;
        }
        tx.commit().await?;
        for (key, unit) in adopted {
            self.registry.change(&key, |sensor| {
                sensor.unit.get_or_insert_with(|| unit.to_owned());
            });
        }
        drop(registering);
        let found = self.registry.find(delivery.readings.iter().map(|r| &r.sensor));
        entries.clone_from_slice(&found);
        Ok(())
    }
}
