mod golden;
mod live;
mod orchestrate;
mod simulate;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use bus::Bus;
use kernel::{CorrelationId, Reading, Timestamp};
use sense::{Delivery, Origin, ReadingSink, Receipt};
use tokio::sync::Notify;

pub(crate) use simulate::{Order, Simulation};

use crate::error::PlantError;
use crate::model::{ApprovePort, ConfigurePort, North, PortError, Settings};

/// Name of the door in logs and health.
const SOURCE: &str = "plant";

/// The simulated plant, its scenarios and the golden path.
pub struct Plant {
    bus: Bus,
    sink: Arc<dyn ReadingSink>,
    configure: ConfigurePort,
    approve: ApprovePort,
    settings: Settings,
    north: North,
    /// Wakes the orchestrator's task when a path was started.
    started: Notify,
}

impl Plant {
    /// # Errors
    /// When the plant's own table of sensors is wrong.
    pub fn new(
        bus: Bus,
        sink: Arc<dyn ReadingSink>,
        configure: ConfigurePort,
        approve: ApprovePort,
        settings: Settings,
    ) -> Result<Self, PortError> {
        let north = North::new(settings.seed)?;
        Ok(Self { bus, sink, configure, approve, settings, north, started: Notify::new() })
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
            source: SOURCE.to_owned(),
            origin: Origin::Simulated,
            correlation,
            received: self.now(),
            readings,
        };
        Ok(self.sink.submit(delivery).await?)
    }
}
