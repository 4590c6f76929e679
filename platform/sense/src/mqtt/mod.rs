//! Readings from an external MQTT broker, 3.1.1 or 5.
//!
//! A message of QoS 1 is acknowledged only after the sink has made its readings durable. The
//! session persists, so what arrives while Plainview is away waits at the broker. A lost
//! connection is dropped whole and a new one begun: the broker then sends again what was not
//! acknowledged, and a reading that comes twice is stored once, because it has the same sensor
//! and time.

#[doc(hidden)]
pub mod fuzz;
mod intake;
mod kind;
pub(crate) mod link;
mod measures;
mod payload;
mod room;
mod topics;

use std::path::PathBuf;
use std::sync::Arc;

use kernel::SharedClock;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::reconnect::{PATIENCE, Patience, Reconnect};
use crate::{Origin, Protocol, ReadingSink, SenseError, SourceId, SourceStatus};

pub use intake::{Intake, Mapping, Message};
pub use kind::MqttKind;
pub(crate) use kind::{
    CLIENT_ID, HOST, KEEP_ALIVE, ORIGIN, PASSWORD, PORT, TLS, USERNAME, weaknesses,
};
use link::{Heard, Link, Token};
pub use room::{Place, Room};

/// Messages that wait between the connection and the store.
const QUEUE_MAX: usize = 8_192;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MqttVersion {
    #[serde(rename = "3.1.1")]
    V3,
    #[default]
    #[serde(rename = "5")]
    V5,
}

/// How the connection is protected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerTls {
    /// PEM file with the authorities to trust; the system's when left out.
    pub ca_file: Option<PathBuf>,
    /// PEM files with the client's own certificate and key.
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

impl BrokerTls {
    pub(crate) fn check(&self) -> Result<(), SenseError> {
        if self.cert_file.is_some() != self.key_file.is_some() {
            let reason = "a client certificate needs both `cert_file` and `key_file`";
            return Err(invalid("tls", reason));
        }
        if self.ca_file.is_none() && self.cert_file.is_some() {
            return Err(invalid("tls", "a client certificate needs `ca_file` too"));
        }
        Ok(())
    }
}

/// One broker to read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerSettings {
    /// For logs, health and the source of deliveries.
    pub name: String,
    pub host: String,
    pub port: u16,
    pub version: MqttVersion,
    /// Names the session at the broker: keep it the same for ever, and one per Plainview.
    pub client_id: String,
    pub username: Option<String>,
    #[serde(skip_serializing)]
    pub password: Option<String>,
    pub tls: Option<BrokerTls>,
    /// Topics with places for the parts of the key: `plant/{site}/{asset}/{measure}`. `{measure*}`
    /// at the end takes all that is left. `+` and `#` match without meaning.
    pub topics: Vec<String>,
    /// Used when a topic names no site.
    pub default_site: String,
    pub keep_alive_s: u16,
    pub origin: Origin,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self {
            name: "mqtt".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 1883,
            version: MqttVersion::default(),
            client_id: "plainview".to_owned(),
            username: None,
            password: None,
            tls: None,
            topics: vec!["plainview/{site}/{asset}/{measure*}".to_owned()],
            default_site: "default".to_owned(),
            keep_alive_s: 30,
            origin: Origin::Real,
        }
    }
}

/// A configured broker, checked, ready to run.
#[derive(Clone)]
pub struct Broker {
    settings: Arc<BrokerSettings>,
    mapping: Mapping,
    clock: SharedClock,
    status: SourceStatus,
    patience: Patience,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

impl Broker {
    /// Checks the settings. Connects to nothing yet.
    ///
    /// # Errors
    /// When a topic template or the client id cannot be used.
    pub fn new(settings: BrokerSettings, clock: SharedClock) -> Result<Self, SenseError> {
        let BrokerSettings { host, port, client_id, tls, .. } = &settings;
        check_peer(host, *port, client_id, tls.as_ref())?;
        let mapping = Mapping::new(&settings.topics, &settings.default_site)?;
        let id = SourceId::new(Protocol::Mqtt, &settings.name);
        let status = SourceStatus::new(id, format!("{}:{}", settings.host, settings.port));
        Ok(Self { settings: Arc::new(settings), mapping, clock, status, patience: PATIENCE })
    }

    /// What the connection says about itself; live.
    #[must_use]
    pub fn status(&self) -> &SourceStatus {
        &self.status
    }

    /// Reads until `stop`, connecting again whenever the connection is lost.
    pub async fn run(&self, sink: Arc<dyn ReadingSink>, stop: CancellationToken) {
        let mut reconnect = Reconnect::new(&self.status, &self.clock, self.patience);
        let mut first = true;
        while !stop.is_cancelled() {
            self.status.connecting();
            let lost = self.session(Arc::clone(&sink), &stop, first).await;
            let Err((error, was_connected)) = lost else { break };
            first &= !was_connected;
            reconnect.lost(&error, was_connected);
            if !reconnect.wait(&stop).await {
                break;
            }
        }
        self.status.stopped();
    }

    /// One connection from its start to its end. `Ok` when it was stopped; else the error, and
    /// whether the broker had accepted the connection.
    async fn session(
        &self,
        sink: Arc<dyn ReadingSink>,
        stop: &CancellationToken,
        first: bool,
    ) -> Result<(), (SenseError, bool)> {
        let (acks, mut link) = link::open(&self.settings).map_err(|error| (error, false))?;
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let intake = Intake {
            mapping: self.mapping.clone(),
            origin: self.settings.origin,
            clock: Arc::clone(&self.clock),
            status: self.status.clone(),
            sink,
            stop: stop.clone(),
        };
        let pump = async {
            let ended = tokio::select! {
                () = stop.cancelled() => Ok(()),
                ended = self.pump(&mut link, &queue, first) => ended,
            };
            drop(queue);
            ended
        };
        // What was read when the connection ends is still stored, so that it need not come twice.
        let (ended, ()) = tokio::join!(pump, intake.run(waiting, |token| acks.send(token)));
        if ended.is_ok() {
            link.farewell().await;
        }
        ended
    }

    async fn pump(
        &self,
        link: &mut Link,
        queue: &mpsc::Sender<Message<Token>>,
        first: bool,
    ) -> Result<(), (SenseError, bool)> {
        let mut connected = false;
        let room = Room::new();
        loop {
            let heard = link.next().await.map_err(|error| (error, connected))?;
            match heard {
                Heard::Connected { session_present } => {
                    connected = true;
                    self.status.connected(self.clock.now());
                    // A session that persists keeps its topics, unless they were configured anew.
                    if first || !session_present {
                        link.subscribe(&self.mapping).map_err(|error| (error, true))?;
                    }
                }
                Heard::Refused(reason) => {
                    tracing::error!(broker = %self.settings.name, reason, "topic refused by broker");
                    self.status.trouble(&format!("topic refused: {reason}"), self.clock.now());
                }
                Heard::Message(mut message) => {
                    message.place = Some(room.take(message.payload.len()).await);
                    if queue.send(message).await.is_err() {
                        return Ok(());
                    }
                }
                Heard::Nothing => {}
            }
        }
    }
}

/// What every link to a broker needs.
pub(crate) fn check_peer(
    host: &str,
    port: u16,
    client_id: &str,
    tls: Option<&BrokerTls>,
) -> Result<(), SenseError> {
    if host.trim().is_empty() {
        return Err(invalid("host", "is empty"));
    }
    if port == 0 {
        return Err(invalid("port", "0 is no port to connect to"));
    }
    if client_id.is_empty() {
        return Err(invalid("client_id", "is empty"));
    }
    tls.map_or(Ok(()), BrokerTls::check)
}

pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> SenseError {
    SenseError::Settings { field, reason: reason.into() }
}

#[cfg(test)]
mod tests;
