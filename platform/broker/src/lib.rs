//! The MQTT broker inside Plainview, so that a small site needs no second program.
//!
//! It is a door first: a message of QoS 1 or 2 whose topic is about readings is acknowledged only
//! after the sink has made its readings durable. It is a broker for the rest: what is published is
//! passed on to subscribers with QoS 0, retained messages are kept in memory, wills are said.
//!
//! Every client logs in with a key. Sessions do not outlive their connection: a publisher that was
//! cut off sends again what was not acknowledged, as the protocol demands.

mod codec;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod hub;
mod listener;
mod session;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kernel::SharedClock;
use sense::mqtt::Mapping;
use sense::{
    Connector, ConnectorKind, Field, FieldKind, Protocol, ReadingSink, SenseError, SourceId,
    SourceStatus,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use settings::{BrokerSettings, TlsFiles};

/// Who logged in, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The key's name.
    pub name: String,
    /// Subscribe to anything; without it only to what is said to the client itself.
    pub may_read: bool,
    /// Publish to topics that are not about readings, commands among them.
    pub may_command: bool,
}

/// Tells who has this user name and password. `None` for nobody, an error when that cannot be told
/// now.
pub type Verify =
    Arc<dyn Fn(String, String) -> BoxFuture<'static, Result<Option<Client>, String>> + Send + Sync>;

/// A configured broker, checked, ready to listen.
#[derive(Clone)]
pub struct Broker {
    settings: Arc<BrokerSettings>,
    mapping: Mapping,
    verify: Verify,
    /// How often a client that is connected must still be known.
    verify_every: Duration,
    clock: SharedClock,
    status: SourceStatus,
}

const VERIFY_EVERY: Duration = Duration::from_secs(30);

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Broker {
    /// Checks the settings. Listens to nothing yet.
    ///
    /// # Errors
    /// [`SenseError::Settings`] that names the field at fault.
    pub fn new(
        name: &str,
        settings: BrokerSettings,
        verify: Verify,
        clock: SharedClock,
    ) -> Result<Self, SenseError> {
        settings.check()?;
        let mapping = Mapping::new(&settings.topics, &settings.default_site)?;
        let id = SourceId::new(Protocol::Broker, name);
        let status = SourceStatus::new(id, settings.listen.to_string());
        let (settings, verify_every) = (Arc::new(settings), VERIFY_EVERY);
        Ok(Self { settings, mapping, verify, verify_every, clock, status })
    }
}

impl Connector for Broker {
    fn status(&self) -> &SourceStatus {
        &self.status
    }

    fn run(
        self: Arc<Self>,
        sink: Arc<dyn ReadingSink>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(listener::listen(self, sink, stop))
    }
}

/// The broker, as one of the sources that settings can name.
#[derive(Clone)]
pub struct BrokerKind {
    pub verify: Verify,
}

impl std::fmt::Debug for BrokerKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerKind").finish_non_exhaustive()
    }
}

const FIELDS: &[Field] = &[
    Field::new("listen", "Listen", FieldKind::Text).default("127.0.0.1:1883"),
    Field::new("topics", "Topics", FieldKind::Json)
        .default("[\"plainview/{site}/{asset}/{measure*}\"]")
        .help("Topics of readings, with places for the parts of the key."),
    Field::new("default_site", "Site", FieldKind::Text).help("Used when a topic names no site."),
    Field::new("tls", "TLS", FieldKind::Json).help("PEM files: cert_file and key_file."),
    Field::new("connections_max", "Connections", FieldKind::Number).default("1000"),
    Field::new("packet_bytes_max", "Bytes of a packet", FieldKind::Number).default("1048576"),
    Field::new("inflight_max", "Messages of a client in flight", FieldKind::Number).default("1024"),
];

impl ConnectorKind for BrokerKind {
    fn protocol(&self) -> Protocol {
        Protocol::Broker
    }

    fn title(&self) -> &'static str {
        "Built-in MQTT broker"
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn build(
        &self,
        name: &str,
        settings: &Value,
        clock: SharedClock,
    ) -> Result<Arc<dyn Connector>, SenseError> {
        let read: BrokerSettings = sense::settings::read(settings, FIELDS)?;
        Ok(Arc::new(Broker::new(name, read, Arc::clone(&self.verify), clock)?))
    }

    fn secrets(&self) -> &'static [&'static str] {
        &[]
    }

    fn weaknesses(&self, settings: &Value) -> Vec<(&'static str, String)> {
        match sense::settings::read::<BrokerSettings>(settings, FIELDS) {
            Ok(read) if !read.listen.ip().is_loopback() && read.tls.is_none() => {
                vec![("listen", "listen on 127.0.0.1, or name a certificate in `tls`".to_owned())]
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
