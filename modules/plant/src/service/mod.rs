mod golden;
mod live;
mod orchestrate;
mod simulate;
mod tasks;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use bus::Bus;
use kernel::{CorrelationId, Reading, Timestamp};
use sense::{Delivery, Origin, Protocol, ReadingSink, Receipt, SourceId};
use tokio::sync::Notify;

pub(crate) use simulate::{Order, Simulation};

use crate::error::PlantError;
use crate::model::{ApprovePort, ConfigurePort, North, Settings};

/// What this module is given.
#[derive(Clone)]
pub struct Deps {
    pub bus: Bus,
    /// The door that real readings come through, too.
    pub sink: Arc<dyn ReadingSink>,
    /// Tells the sensor registry ranges and units.
    pub configure: ConfigurePort,
    /// Approves a decision for a golden path that was asked to do so.
    pub approve: ApprovePort,
    pub settings: Settings,
}

/// Name of the door in logs and health.
const SOURCE: &str = "plant";

/// The module's façade; cheap to clone.
#[derive(Clone)]
pub struct Plant {
    bus: Bus,
    sink: Arc<dyn ReadingSink>,
    configure: ConfigurePort,
    approve: ApprovePort,
    settings: Settings,
    north: Arc<North>,
    /// Wakes the orchestrator's task when a path was started.
    started: Arc<Notify>,
}

impl Plant {
    /// # Errors
    /// When the plant's own table of sensors is wrong.
    pub fn new(deps: Deps) -> Result<Self, PlantError> {
        let Deps { bus, sink, configure, approve, settings } = deps;
        let north = North::new(settings.seed).map_err(|source| PlantError::Table { source })?;
        let (north, started) = (Arc::new(north), Arc::new(Notify::new()));
        Ok(Self { bus, sink, configure, approve, settings, north, started })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.bus.clock().now()
    }

    async fn submit(
        &self,
        readings: Vec<Reading>,
        correlation: Option<CorrelationId>,
    ) -> Result<Receipt, PlantError> {
        let delivery = Delivery {
            source: SourceId::new(Protocol::Simulation, SOURCE),
            origin: Origin::Simulated,
            correlation,
            received: self.now(),
            readings,
        };
        Ok(self.sink.submit(delivery).await?)
    }
}
