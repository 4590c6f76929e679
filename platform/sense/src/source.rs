//! What every source of readings says about itself, and what a connector promises.
//!
//! A source is either *passive*, an agent that calls one of our doors, or *active*, a connector of
//! ours that goes out and reads. Both are known by one [`SourceId`] and shown by one
//! [`SourceHealth`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kernel::{SharedClock, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::rows::excerpt;
use crate::{ReadingSink, SenseError};

/// Seconds over which a rate is smoothed.
const RATE_WINDOW_S: f64 = 10.0;
/// Length of an error kept for people.
const ERROR_CHARS_MAX: usize = 300;

/// How a source speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    Json,
    LineProtocol,
    RemoteWrite,
    Otlp,
    File,
    Mqtt,
    /// The broker inside Plainview.
    Broker,
    SparkplugB,
    ModbusTcp,
    OpcUa,
    /// The plant inside Plainview.
    Simulation,
}

impl Protocol {
    /// As it stands in ids and settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::LineProtocol => "line_protocol",
            Self::RemoteWrite => "remote_write",
            Self::Otlp => "otlp",
            Self::File => "file",
            Self::Mqtt => "mqtt",
            Self::Broker => "broker",
            Self::SparkplugB => "sparkplug_b",
            Self::ModbusTcp => "modbus_tcp",
            Self::OpcUa => "opc_ua",
            Self::Simulation => "simulation",
        }
    }

    const ALL: [Self; 11] = [
        Self::Json,
        Self::LineProtocol,
        Self::RemoteWrite,
        Self::Otlp,
        Self::File,
        Self::Mqtt,
        Self::Broker,
        Self::SparkplugB,
        Self::ModbusTcp,
        Self::OpcUa,
        Self::Simulation,
    ];

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// Spoken by connectors, which go out and read; every other one is a door that is called.
    #[must_use]
    pub fn goes_out(self) -> bool {
        matches!(self, Self::Mqtt | Self::SparkplugB | Self::ModbusTcp | Self::OpcUa)
    }
}

/// A source: the protocol, and the name its settings or its key give it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SourceId {
    pub protocol: Protocol,
    pub name: Arc<str>,
}

impl SourceId {
    #[must_use]
    pub fn new(protocol: Protocol, name: &str) -> Self {
        Self { protocol, name: Arc::from(name) }
    }
}

/// `mqtt/north`.
impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol.name(), self.name)
    }
}

/// Where a connector's link stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    #[default]
    Idle,
    Connecting,
    Connected,
    /// Waiting to connect again.
    Waiting,
    /// The breaker is open after many failures: one try a minute.
    Open,
}

/// The last thing that went wrong with a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceError {
    pub at: Timestamp,
    pub message: String,
}

/// How a source does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceHealth {
    pub id: SourceId,
    /// Without any secret.
    pub address: String,
    pub link: LinkState,
    pub connected_since: Option<Timestamp>,
    pub reconnects: u64,
    /// Messages, polls or notifications that came.
    pub messages: u64,
    /// Readings handed over and stored.
    pub readings: u64,
    /// Rows, tags and messages that could not be taken.
    pub refused: u64,
    /// Readings per second, smoothed over ten seconds.
    pub rate_per_s: f64,
    /// Messages read and not yet acknowledged.
    pub backlog: u64,
    pub last_message_at: Option<Timestamp>,
    pub last_error: Option<SourceError>,
    /// What only this protocol knows, for people: `rebirths asked` `2`.
    pub details: Vec<(&'static str, String)>,
}

/// The live state of one source; cheap to clone.
#[derive(Clone, Debug)]
pub struct SourceStatus(Arc<Mutex<SourceHealth>>);

impl SourceStatus {
    #[must_use]
    pub fn new(id: SourceId, address: impl Into<String>) -> Self {
        Self(Arc::new(Mutex::new(SourceHealth {
            id,
            address: address.into(),
            link: LinkState::Idle,
            connected_since: None,
            reconnects: 0,
            messages: 0,
            readings: 0,
            refused: 0,
            rate_per_s: 0.0,
            backlog: 0,
            last_message_at: None,
            last_error: None,
            details: Vec::new(),
        })))
    }

    #[must_use]
    pub fn snapshot(&self) -> SourceHealth {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut SourceHealth)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub fn connecting(&self) {
        self.change(|health| health.link = LinkState::Connecting);
    }

    pub fn connected(&self, now: Timestamp) {
        self.change(|health| {
            health.link = LinkState::Connected;
            health.connected_since = Some(now);
        });
    }

    /// The link is gone; `open` when the breaker now allows one try a minute only.
    pub fn lost(&self, error: &dyn std::error::Error, open: bool, now: Timestamp) {
        self.change(|health| {
            health.link = if open { LinkState::Open } else { LinkState::Waiting };
            health.connected_since = None;
            health.reconnects += 1;
            health.backlog = 0;
            health.rate_per_s = 0.0;
            let message = excerpt(&error.to_string(), ERROR_CHARS_MAX);
            health.last_error = Some(SourceError { at: now, message });
        });
    }

    pub fn stopped(&self) {
        self.change(|health| {
            health.link = LinkState::Idle;
            health.connected_since = None;
            health.rate_per_s = 0.0;
        });
    }

    /// Something went wrong, and the link stands.
    pub fn trouble(&self, reason: &str, now: Timestamp) {
        self.change(|health| {
            let message = excerpt(reason, ERROR_CHARS_MAX);
            health.last_error = Some(SourceError { at: now, message });
        });
    }

    pub fn waiting(&self, messages: u64) {
        self.change(|health| health.backlog = messages);
    }

    pub fn stored(&self, messages: u64, readings: u64, refused: u64, now: Timestamp) {
        self.change(|health| {
            let seconds = health
                .last_message_at
                .map_or(RATE_WINDOW_S, |last| (now.micros_since(last) as f64 / 1e6).max(1e-3));
            let keep = (-seconds / RATE_WINDOW_S).exp();
            health.rate_per_s = health.rate_per_s * keep + (1.0 - keep) * readings as f64 / seconds;
            health.messages += messages;
            health.readings += readings;
            health.refused += refused;
            health.backlog = 0;
            health.last_message_at = Some(now);
        });
    }

    pub fn detail(&self, name: &'static str, value: impl Into<String>) {
        let value = value.into();
        self.change(|health| match health.details.iter_mut().find(|(known, _)| *known == name) {
            Some(detail) => detail.1 = value,
            None => health.details.push((name, value)),
        });
    }
}

/// A configured source that goes out and reads.
///
/// - It acknowledges to its peer only what the sink has made durable.
/// - It connects again by itself, with backoff and a breaker, and says so in its status.
/// - It returns only when `stop` is cancelled, or when nothing that time brings can help.
pub trait Connector: Send + Sync {
    fn status(&self) -> &SourceStatus;

    fn run(
        self: Arc<Self>,
        sink: Arc<dyn ReadingSink>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()>;

    /// How often something should come, when the settings say so; else it is learned.
    fn interval(&self) -> Option<Duration> {
        None
    }
}

/// How a field of settings is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    Text,
    Number,
    /// Text that is stored and never shown again.
    Secret,
    /// One of [`Field::options`].
    Select,
    /// Anything with parts of its own: a list, a map, `true` or `false`.
    Json,
}

/// One field of a connector's settings, for the page that asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub label: &'static str,
    pub kind: FieldKind,
    pub required: bool,
    /// Read by [`Self::kind`]: a number's digits, a JSON text, or the text itself.
    pub default: Option<&'static str>,
    pub options: &'static [&'static str],
    pub help: &'static str,
}

impl Field {
    /// A field that may be left out and has no default.
    #[must_use]
    pub const fn new(name: &'static str, label: &'static str, kind: FieldKind) -> Self {
        Self { name, label, kind, required: false, default: None, options: &[], help: "" }
    }

    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    #[must_use]
    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    #[must_use]
    pub const fn options(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    #[must_use]
    pub const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// The default as JSON has it.
    #[must_use]
    pub fn default_value(&self) -> Option<Value> {
        let text = self.default?;
        let value = match self.kind {
            FieldKind::Number | FieldKind::Json => serde_json::from_str(text).ok(),
            FieldKind::Text | FieldKind::Secret | FieldKind::Select => None,
        };
        Some(value.unwrap_or_else(|| Value::from(text)))
    }
}

/// A kind of connector: turns settings into a source that is ready to run.
pub trait ConnectorKind: Send + Sync {
    fn protocol(&self) -> Protocol;

    /// For people: `Modbus TCP`.
    fn title(&self) -> &'static str {
        self.protocol().name()
    }

    /// What a page asks for to make such a source.
    fn fields(&self) -> &'static [Field] {
        &[]
    }

    /// Checks the settings, a JSON object. Connects to nothing yet.
    ///
    /// # Errors
    /// [`SenseError::Settings`] that names the field at fault.
    fn build(
        &self,
        name: &str,
        settings: &Value,
        clock: SharedClock,
    ) -> Result<Arc<dyn Connector>, SenseError>;

    /// The settings' fields that hold secrets; they are never shown.
    fn secrets(&self) -> &'static [&'static str] {
        &["password"]
    }

    /// What production does not accept in these settings: the field, and what to do about it.
    fn weaknesses(&self, _settings: &Value) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
