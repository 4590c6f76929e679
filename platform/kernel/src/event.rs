use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CorrelationId, EventId, Timestamp};

/// One fact, in the one envelope used on the bus, on SSE, in webhooks and in exports:
/// CloudEvents 1.0 in JSON form.
///
/// A state-change event carries the entity's whole state after the change, so that any projection
/// can be rebuilt from the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// CloudEvents version; always `1.0`.
    pub specversion: String,
    pub id: EventId,
    /// Dotted name, such as `anomaly.detected`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The module that says it: `plainview/telemetry`.
    pub source: String,
    /// The entity it is about; the bus keeps events of one subject in order.
    pub subject: String,
    pub time: Timestamp,
    /// Name and version of the payload: `anomaly.detected/1`.
    pub dataschema: String,
    pub correlationid: CorrelationId,
    /// The event that led to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causationid: Option<EventId>,
    #[schema(value_type = Object)]
    pub data: Value,
}

/// A kind of event that a module says, with the version of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType {
    pub name: &'static str,
    pub version: u16,
}

impl EventType {
    #[must_use]
    pub const fn new(name: &'static str, version: u16) -> Self {
        Self { name, version }
    }
}

/// What a module has to say before the envelope is closed around it.
#[derive(Clone, Debug, PartialEq)]
pub struct EventDraft {
    pub kind: EventType,
    pub subject: String,
    pub correlation: CorrelationId,
    pub cause: Option<EventId>,
    pub data: Value,
}

impl EventDraft {
    /// A draft that starts a chain of its own.
    ///
    /// # Errors
    /// When `data` cannot be written as JSON.
    pub fn new(
        kind: EventType,
        subject: impl Into<String>,
        data: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind,
            subject: subject.into(),
            correlation: CorrelationId::new(),
            cause: None,
            data: serde_json::to_value(data)?,
        })
    }

    /// Joins the chain of `cause`.
    #[must_use]
    pub fn caused_by(mut self, cause: &Event) -> Self {
        self.correlation = cause.correlationid;
        self.cause = Some(cause.id);
        self
    }

    #[must_use]
    pub fn correlated(mut self, correlation: CorrelationId) -> Self {
        self.correlation = correlation;
        self
    }

    /// Closes the envelope. `source` is the module's name.
    #[must_use]
    pub fn seal(self, source: &str, now: Timestamp) -> Event {
        Event {
            specversion: "1.0".to_owned(),
            id: EventId::new(),
            kind: self.kind.name.to_owned(),
            source: format!("plainview/{source}"),
            subject: self.subject,
            time: now,
            dataschema: format!("{}/{}", self.kind.name, self.kind.version),
            correlationid: self.correlation,
            causationid: self.cause,
            data: self.data,
        }
    }
}

impl Event {
    /// Reads the payload as the reader's own view of it; unknown fields are ignored.
    ///
    /// # Errors
    /// When a field the reader needs is missing or of another type.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.data)
    }
}
