//! The façade of telemetry: everything that touches the store, the records or the bus.

mod counters;
mod declare;
mod detection;
mod door;
mod feed;
mod readings;
mod registry;
mod retention;
mod sensors;

use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use kernel::SharedClock;
use sense::line::KeyMapping;
use store::records::Records;
use store::series::SharedSeries;
use tokio::sync::{Mutex, OnceCell};

use crate::error::TelemetryError;
use crate::model::UnknownSensors;
use crate::records;

pub(crate) use counters::{Counters, FAULTS};
pub use declare::SensorDeclaration;
pub use door::Door;
pub(crate) use feed::Flow;
pub(crate) use readings::{ReadingsAsked, SeriesAnswer, SeriesData, Shape};
pub(crate) use registry::{Entry, Registry};
pub(crate) use sensors::SensorChange;

/// How telemetry behaves.
#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    pub unknown_sensors: UnknownSensors,
    /// Sensors that may be registered; beyond it unknown ones are refused.
    pub sensors_max: usize,
    /// Detector shards; 0 takes one per processor.
    pub detector_shards: usize,
    /// How line protocol becomes keys.
    pub mapping: KeyMapping,
    /// How long readings are kept; `None` keeps them all.
    pub retention: Option<Duration>,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            unknown_sensors: UnknownSensors::Auto,
            sensors_max: 200_000,
            detector_shards: 0,
            mapping: KeyMapping::default(),
            retention: None,
        }
    }
}

/// What telemetry is built from.
pub struct TelemetryDeps {
    pub series: SharedSeries,
    pub records: Records,
    pub bus: Bus,
    pub clock: SharedClock,
    pub settings: TelemetrySettings,
}

/// Shared by every handler and agent of the module; cheap to clone.
#[derive(Clone)]
pub(crate) struct Telemetry(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) series: SharedSeries,
    pub(crate) records: Records,
    pub(crate) bus: Bus,
    pub(crate) clock: SharedClock,
    pub(crate) settings: TelemetrySettings,
    pub(crate) registry: Registry,
    pub(crate) counters: Counters,
    loaded: OnceCell<()>,
    /// Held while sensors are added or changed.
    registering: Mutex<()>,
}

impl std::ops::Deref for Telemetry {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Telemetry {
    pub(crate) fn new(deps: TelemetryDeps) -> Self {
        Self(Arc::new(Inner {
            series: deps.series,
            records: deps.records,
            bus: deps.bus,
            clock: deps.clock,
            settings: deps.settings,
            registry: Registry::default(),
            counters: Counters::default(),
            loaded: OnceCell::new(),
            registering: Mutex::new(()),
        }))
    }

    /// Fills the registry from the records once; the tables exist only after migration, so this
    /// cannot happen when the module is built.
    pub(crate) async fn ensure_loaded(&self) -> Result<(), TelemetryError> {
        self.loaded.get_or_try_init(|| self.load()).await.copied()
    }

    async fn load(&self) -> Result<(), TelemetryError> {
        let sensors = records::all_sensors(&self.records).await?;
        let keys: Vec<_> = sensors.iter().map(|sensor| sensor.key.clone()).collect();
        let ids = self.series.register(&keys).await?;
        let latest = self.series.latest(&ids).await?;
        for ((id, sensor), latest) in ids.into_iter().zip(sensors).zip(latest) {
            let key = sensor.key.clone();
            self.registry.put(id, sensor);
            if let (Some(entry), Some(point)) = (self.registry.get(&key), latest) {
                entry.stored(point, point.at);
                entry.with_now(|now| now.received_at = None);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
