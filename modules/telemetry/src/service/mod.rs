//! The façade of telemetry: everything that touches the store, the records or the bus.

mod aggregate;
mod changes;
mod counters;
mod declare;
mod detection;
mod door;
mod evidence;
mod families;
mod feed;
mod intake;
mod integrity;
mod kept;
mod process_detection;
mod processes;
pub(crate) mod prometheus;
mod readings;
mod registry;
mod retention;
mod sensors;
mod sources;
mod tasks;

use std::sync::{Arc, RwLock};

use bus::Bus;
use kernel::SharedClock;
use sense::line::KnownLines;
use store::records::Records;
use store::series::SharedSeries;
use tokio::sync::{Mutex, OnceCell, Semaphore};

use crate::error::TelemetryError;
use crate::model::Settings;
use crate::records;
use sources::Sources;

pub(crate) use aggregate::Chosen;
pub(crate) use counters::{Counters, FAULTS};
pub use declare::SensorDeclaration;
pub use door::Door;
pub(crate) use evidence::SeriesExplained;
pub(crate) use feed::Flow;
pub(crate) use intake::Head;
pub(crate) use processes::{
    ModelAsked, ModelRecord, ModelState, ModelStatus, Period, Processes, Rejection,
};
pub(crate) use readings::{Pages, ReadingsAsked, SeriesAnswer, SeriesData, Shape};
pub(crate) use registry::{Entry, Registry};
pub(crate) use sensors::SensorChange;
pub(crate) use sources::{
    ConfiguredIn, Desired, SourceFlow, SourceRecord, SourceState, SourceView,
};
pub use sources::{ConfiguredSource, Connectors, LateDoor};

/// Fields of series whose writing is remembered, at about 100 bytes each.
const LINES_KNOWN_MAX: usize = 2_000_000;

/// What this module is given.
#[derive(Clone)]
pub struct Deps {
    pub series: SharedSeries,
    pub records: Records,
    pub bus: Bus,
    pub clock: SharedClock,
    pub settings: Settings,
    pub connectors: Connectors,
}

/// The module's façade; cheap to clone.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

/// What all clones share.
pub struct Inner {
    pub(crate) series: SharedSeries,
    pub(crate) records: Records,
    pub(crate) bus: Bus,
    pub(crate) clock: SharedClock,
    pub(crate) settings: Settings,
    pub(crate) registry: Registry,
    pub(crate) counters: Counters,
    pub(crate) families: families::Families,
    /// How senders write the sensors that line protocol has brought.
    lines: RwLock<KnownLines>,
    pub(crate) sources: Sources,
    pub(crate) processes: Processes,
    pub(crate) levels: detection::AcceptedLevels,
    /// Places for long answers that are being sent.
    pub(crate) answers: Arc<Semaphore>,
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
    #[must_use]
    pub fn new(deps: Deps) -> Self {
        Self(Arc::new(Inner {
            series: deps.series,
            records: deps.records,
            bus: deps.bus,
            clock: deps.clock,
            settings: deps.settings,
            registry: Registry::default(),
            counters: Counters::default(),
            families: families::Families::default(),
            lines: RwLock::new(KnownLines::new(LINES_KNOWN_MAX)),
            sources: Sources::new(deps.connectors),
            processes: Processes::default(),
            levels: detection::AcceptedLevels::default(),
            answers: Arc::new(Semaphore::new(readings::ANSWERS_MAX)),
            loaded: OnceCell::new(),
            registering: Mutex::new(()),
        }))
    }

    /// The way in for everything that hands in readings.
    #[must_use]
    pub fn door(&self) -> Door {
        Door(self.clone())
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
