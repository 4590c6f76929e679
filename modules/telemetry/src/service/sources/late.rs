use std::sync::{Arc, OnceLock, Weak};

use kernel::{SensorKey, Timestamp};

use crate::service::{Door, Inner, Telemetry};

/// Telemetry's door for connectors, which are there before it is. Keeps nothing alive.
#[derive(Clone, Default)]
pub struct LateDoor(Arc<OnceLock<Weak<Inner>>>);

impl LateDoor {
    /// Ties the door, once.
    pub fn tie(&self, door: &Door) {
        self.0.get_or_init(|| Arc::downgrade(&door.0.0));
    }

    /// The event time of the newest reading of a sensor.
    #[must_use]
    pub fn newest(&self, sensor: &SensorKey) -> Option<Timestamp> {
        let entry = self.0.get()?.upgrade()?.registry.get(sensor)?;
        entry.read_now().latest.map(|point| point.at)
    }

    /// The door, while there is one.
    #[must_use]
    pub fn get(&self) -> Option<Door> {
        self.0.get()?.upgrade().map(|inner| Door(Telemetry(inner)))
    }
}
