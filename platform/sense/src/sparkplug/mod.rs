//! A Sparkplug B host: reads what edge nodes publish through an MQTT broker.
//!
//! Births define tags, data updates them, deaths mark them stale: a reading of bad quality with
//! the last value says so. A gap in the sequence, an unknown alias or a missing birth makes the
//! host ask the node to be born again. The host says in `spBv1.0/STATE/<host_id>` whether it is
//! online, so that nodes that know it as their primary host keep their data until it is.
//!
//! After Eclipse Sparkplug 3.0. Sparkplug publishes with QoS 0: what is lost on the way shows as a
//! gap in the sequence, and what a node kept comes later as historical values.

#[doc(hidden)]
pub mod fuzz;
mod kind;
mod link;
mod nodes;
mod proto;
mod tags;
mod topic;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kernel::SharedClock;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::mqtt::{BrokerTls, Room, check_peer, invalid};
use crate::reconnect::{PATIENCE, Reconnect};
use crate::{Connector, Origin, Protocol, ReadingSink, SenseError, SourceId, SourceStatus};

pub use kind::SparkplugKind;
pub use nodes::TagDeclaration;

use link::{Heard, Link};
use nodes::Nodes;
use tags::KeyTemplate;
use worker::Worker;

/// Messages that wait between the connection and the store.
const QUEUE_MAX: usize = 4_096;

/// Tells the registry what births say of their tags.
pub type Declare = Arc<dyn Fn(TagDeclaration) -> BoxFuture<'static, ()> + Send + Sync>;

/// The broker and the nodes to listen to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostSettings {
    #[serde(skip)]
    pub name: String,
    pub host: String,
    pub port: u16,
    pub client_id: String,
    pub username: Option<String>,
    #[serde(skip_serializing)]
    pub password: Option<String>,
    pub tls: Option<BrokerTls>,
    /// The host's name in its STATE topic; empty to say no state at all.
    pub host_id: String,
    /// Also says ONLINE and OFFLINE in `STATE/<host_id>`, as Sparkplug 2.2 had it.
    pub legacy_state: bool,
    /// Groups to listen to; empty listens to all.
    pub groups: Vec<String>,
    /// How `{group}`, `{node}`, `{device}` and `{metric}` become `site/asset/measure`.
    pub key: String,
    /// A node is asked for its birth at most once in this time.
    pub rebirth_every_s: u32,
    pub keep_alive_s: u16,
    pub origin: Origin,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            name: "sparkplug".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 1883,
            client_id: "plainview-sparkplug".to_owned(),
            username: None,
            password: None,
            tls: None,
            host_id: "plainview".to_owned(),
            legacy_state: false,
            groups: Vec::new(),
            key: "{group}/{node}/{device}/{metric}".to_owned(),
            rebirth_every_s: 10,
            keep_alive_s: 30,
            origin: Origin::Real,
        }
    }
}

impl HostSettings {
    fn check(&self) -> Result<KeyTemplate, SenseError> {
        check_peer(&self.host, self.port, &self.client_id, self.tls.as_ref())?;
        let no_level = |text: &str| text.contains(['/', '+', '#', '\0']);
        if no_level(&self.host_id) {
            return Err(invalid("host_id", "may hold no `/`, `+` or `#`"));
        }
        if self.groups.iter().any(|group| group.is_empty() || no_level(group)) {
            return Err(invalid("groups", "a group is a name without `/`, `+` or `#`"));
        }
        if self.rebirth_every_s == 0 {
            return Err(invalid("rebirth_every_s", "is at least 1"));
        }
        KeyTemplate::parse(&self.key)
    }
}

/// A configured host, checked, ready to run.
#[derive(Clone)]
pub struct Host {
    settings: Arc<HostSettings>,
    template: KeyTemplate,
    declare: Option<Declare>,
    clock: SharedClock,
    status: SourceStatus,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

impl Host {
    /// Checks the settings. Connects to nothing yet.
    ///
    /// # Errors
    /// [`SenseError::Settings`] that names the field at fault.
    pub fn new(
        settings: HostSettings,
        declare: Option<Declare>,
        clock: SharedClock,
    ) -> Result<Self, SenseError> {
        let template = settings.check()?;
        let id = SourceId::new(Protocol::SparkplugB, &settings.name);
        let status = SourceStatus::new(id, format!("{}:{}", settings.host, settings.port));
        Ok(Self { settings: Arc::new(settings), template, declare, clock, status })
    }

    async fn read(&self, sink: Arc<dyn ReadingSink>, stop: CancellationToken) {
        let every = Duration::from_secs(u64::from(self.settings.rebirth_every_s));
        let mut nodes = Nodes::new(self.template.clone(), every);
        let mut reconnect = Reconnect::new(&self.status, &self.clock, PATIENCE);
        while !stop.is_cancelled() {
            self.status.connecting();
            let lost = self.session(&mut nodes, Arc::clone(&sink), &stop).await;
            let Err((error, was_connected)) = lost else { break };
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
        nodes: &mut Nodes,
        sink: Arc<dyn ReadingSink>,
        stop: &CancellationToken,
    ) -> Result<(), (SenseError, bool)> {
        let now = self.clock.now();
        let (voice, mut link) = link::open(&self.settings, now).map_err(|error| (error, false))?;
        nodes.link_is_new(now);
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let worker = Worker {
            host: self,
            voice: voice.clone(),
            keeper: crate::keep::Keeper::new(&self.status, &self.clock, &sink, stop),
        };
        let pump = async {
            let ended = tokio::select! {
                () = stop.cancelled() => Ok(()),
                ended = self.pump(&mut link, &voice, &queue) => ended,
            };
            drop(queue);
            ended
        };
        let (ended, ()) = tokio::join!(pump, worker.run(nodes, waiting));
        if ended.is_ok() {
            link.farewell(&voice).await;
        }
        ended
    }

    async fn pump(
        &self,
        link: &mut Link,
        voice: &link::Voice,
        queue: &mpsc::Sender<link::Said>,
    ) -> Result<(), (SenseError, bool)> {
        let mut connected = false;
        let room = Room::new();
        loop {
            match link.next().await.map_err(|error| (error, connected))? {
                Heard::Connected => {
                    connected = true;
                    self.status.connected(self.clock.now());
                    voice.subscribe(&self.settings).map_err(|error| (error, true))?;
                }
                Heard::Subscribed => voice.online().map_err(|error| (error, true))?,
                Heard::Refused(reason) => {
                    tracing::error!(source = %self.settings.name, reason, "topic refused by broker");
                    self.status.trouble(&format!("topic refused: {reason}"), self.clock.now());
                }
                Heard::Said(mut said) => {
                    said.place = Some(room.take(said.payload.len()).await);
                    if queue.send(said).await.is_err() {
                        return Ok(());
                    }
                }
                Heard::Nothing => {}
            }
        }
    }
}

impl Connector for Host {
    fn status(&self) -> &SourceStatus {
        &self.status
    }

    fn run(
        self: Arc<Self>,
        sink: Arc<dyn ReadingSink>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.read(sink, stop).await })
    }
}

#[cfg(test)]
mod tests;
