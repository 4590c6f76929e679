//! What senders say about metrics, beside their readings: kept for sensors to come, and written
//! into those that are there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kernel::{SensorKey, SensorKind};
use sense::SourceId;
use sense::labels::{Family, KnownSensor, NAME, kind_of, unit_of_word};
use sense::remote_write::family_of;
use serde_json::Value;

use super::{Entry, Telemetry};
use crate::error::TelemetryError;
use crate::model::Sensor;
use crate::records;

/// Metrics whose description is kept in memory; a large Prometheus has some thousands.
const FAMILIES_KEPT_MAX: usize = 50_000;
/// Sensors changed in one transaction.
const SENSORS_AT_ONCE: usize = 500;

#[derive(Debug, Default)]
pub(crate) struct Families(Mutex<HashMap<String, Family>>);

impl Families {
    /// What was said about the metric `name`, or about the histogram it is a part of.
    fn get(&self, name: &str) -> Option<Family> {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        families.get(name).or_else(|| families.get(family_of(name))).cloned()
    }

    fn news(&self, mut said: Vec<(String, Family)>) -> HashMap<String, Family> {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|(name, family)| families.get(name) != Some(family));
        said.into_iter().collect()
    }

    fn keep(&self, news: HashMap<String, Family>) {
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, family) in news {
            if families.len() < FAMILIES_KEPT_MAX || families.contains_key(&name) {
                families.insert(name, family);
            }
        }
    }
}

impl Telemetry {
    /// Notes in the health of a source what a door could not read of it: how many rows, and why
    /// the first of them.
    pub(crate) fn note_unread(&self, source: &SourceId, refused: usize, why: &str) {
        let now = self.clock.now();
        if refused > 0 {
            self.sources.heard(source, now, (0, refused), None);
        }
        self.sources.board.trouble(source, why, now);
    }

    /// What a door asks about a sensor while it reads a body.
    pub(crate) fn known(&self, key: &SensorKey) -> Option<KnownSensor> {
        let entry = self.registry.get(key)?;
        Some(KnownSensor { latest: entry.read_now().latest.map(|point| point.value) })
    }

    pub(crate) fn family(&self, name: &str) -> Option<Family> {
        self.families.get(name)
    }

    /// Notes what a sender says about metrics, in memory and in the sensors that are of them.
    pub(crate) async fn describe_metrics(
        &self,
        said: Vec<(String, Family)>,
    ) -> Result<(), TelemetryError> {
        let news = self.families.news(said);
        if news.is_empty() {
            return Ok(());
        }
        let known = self.sensors().await?;
        let touched: Vec<&Arc<Entry>> =
            known.iter().filter(|entry| described(&entry.sensor, &news).is_some()).collect();
        for some in touched.chunks(SENSORS_AT_ONCE) {
            self.describe_some(some, &news).await?;
        }
        self.families.keep(news);
        Ok(())
    }

    async fn describe_some(
        &self,
        some: &[&Arc<Entry>],
        news: &HashMap<String, Family>,
    ) -> Result<(), TelemetryError> {
        let registering = self.registering.lock().await;
        let now = self.clock.now();
        let tx = self.records.begin().await?;
        let mut changed = Vec::with_capacity(some.len());
        for entry in some {
            let Some(entry) = self.registry.get(&entry.sensor.key) else { continue };
            let Some(sensor) = described(&entry.sensor, news) else { continue };
            let before = sensor.version;
            let sensor = Sensor { version: before + 1, updated_at: now, ..sensor };
            if records::update_sensor(&tx, &sensor, before).await? {
                changed.push(sensor);
            }
        }
        tx.commit().await?;
        for sensor in changed {
            let key = sensor.key.clone();
            self.registry.change(&key, |kept| {
                let trust = std::mem::take(&mut kept.trust);
                *kept = Sensor { trust, ..sensor };
            });
        }
        drop(registering);
        Ok(())
    }
}

/// `sensor` with what is newly said about its metric; `None` when that changes nothing. What is
/// known of its unit and kind already stays.
fn described(sensor: &Sensor, news: &HashMap<String, Family>) -> Option<Sensor> {
    let name = sensor.metadata.get("labels")?.get(NAME)?.as_str()?;
    let (family, whole) = match (news.get(name), news.get(family_of(name))) {
        (Some(family), _) => (family, true),
        (None, Some(family)) => (family, !name.ends_with("_bucket") && !name.ends_with("_count")),
        (None, None) => return None,
    };
    let mut metadata = sensor.metadata.as_object()?.clone();
    let mut changed = family.describe(&mut metadata);
    let said = family.unit.as_deref().filter(|_| whole).and_then(unit_of_word);
    let unit = sensor.unit.clone().or_else(|| said.map(str::to_owned));
    let kind = match sensor.kind {
        SensorKind::Other => kind_of(name, unit.as_deref()),
        known => known,
    };
    changed |= unit != sensor.unit || kind != sensor.kind;
    let sensor = Sensor { unit, kind, metadata: Value::Object(metadata), ..sensor.clone() };
    changed.then_some(sensor)
}
