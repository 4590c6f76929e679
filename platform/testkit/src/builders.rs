use std::time::Duration;

use kernel::{
    CorrelationId, EventDraft, EventType, Quality, Reading, SensorKey, SensorKeyError, Timestamp,
};
use serde_json::Value;

/// A draft of a type that only tests know, about `subject`.
#[must_use]
pub fn draft(kind: &'static str, subject: &str, data: Value) -> EventDraft {
    EventDraft {
        kind: EventType::new(kind, 1),
        subject: subject.to_owned(),
        correlation: CorrelationId::new(),
        cause: None,
        data,
    }
}

/// Drafts of one chain.
#[derive(Clone, Copy, Debug)]
pub struct CorrelatedDrafts {
    pub correlation: CorrelationId,
}

impl CorrelatedDrafts {
    #[must_use]
    pub fn draft(&self, kind: &'static str, subject: &str, data: Value) -> EventDraft {
        draft(kind, subject, data).correlated(self.correlation)
    }
}

/// Makes readings of one sensor, evenly spaced.
#[derive(Clone, Debug)]
pub struct Readings {
    sensor: SensorKey,
    next: Timestamp,
    every: Duration,
}

impl Readings {
    /// # Errors
    /// When `sensor` is no sensor key.
    pub fn of(sensor: &str, start: Timestamp, every: Duration) -> Result<Self, SensorKeyError> {
        Ok(Self { sensor: SensorKey::new(sensor)?, next: start, every })
    }

    /// The next good reading.
    pub fn say(&mut self, value: f64) -> Reading {
        let at = self.next;
        self.next = at.plus(self.every);
        Reading { sensor: self.sensor.clone(), at, value, quality: Quality::Good, unit: None }
    }

    pub fn say_all(&mut self, values: impl IntoIterator<Item = f64>) -> Vec<Reading> {
        values.into_iter().map(|value| self.say(value)).collect()
    }
}
