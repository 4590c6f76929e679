use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kernel::{SensorKey, SharedClock, Timestamp};
use sense::courier::{Courier, carry};
use sense::reconnect::{PATIENCE, Reconnect};
use sense::{
    Connector, ConnectorKind, Field, Protocol, ReadingSink, SenseError, SourceId, SourceStatus,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::settings::{FIELDS, OpcUaSettings, Security};
use crate::watch::Watch;

/// The event time of the newest reading of a sensor, as far as it is known.
pub type Newest = Arc<dyn Fn(&SensorKey) -> Option<Timestamp> + Send + Sync>;

/// OPC UA as one of the connectors that settings can name.
#[derive(Clone)]
pub struct OpcUaKind {
    pub(crate) pki_dir: PathBuf,
    is_development: bool,
    pub(crate) newest: Option<Newest>,
    /// Held while our certificate is made: sources start side by side.
    pub(crate) preparing: Arc<Mutex<()>>,
}

impl OpcUaKind {
    /// Our certificate and the trusted ones of servers are kept in `pki_dir`; `trust_any` may be
    /// set in development only; `newest` says from where on a server's history is new.
    #[must_use]
    pub fn new(pki_dir: PathBuf, is_development: bool, newest: Option<Newest>) -> Self {
        Self { pki_dir, is_development, newest, preparing: Arc::default() }
    }
}

impl std::fmt::Debug for OpcUaKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpcUaKind").field("pki_dir", &self.pki_dir).finish_non_exhaustive()
    }
}

impl ConnectorKind for OpcUaKind {
    fn protocol(&self) -> Protocol {
        Protocol::OpcUa
    }

    fn title(&self) -> &'static str {
        "OPC UA server"
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
        let settings: OpcUaSettings = sense::settings::read(settings, FIELDS)?;
        settings.check(self.is_development)?;
        let id = SourceId::new(Protocol::OpcUa, name);
        let status = SourceStatus::new(id, settings.endpoint.clone());
        let kind = self.clone();
        Ok(Arc::new(OpcUa { settings, clock, status, kind }))
    }

    fn weaknesses(&self, settings: &Value) -> Vec<(&'static str, String)> {
        let Ok(read) = sense::settings::read::<OpcUaSettings>(settings, FIELDS) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut weak = |field, advice: &str| found.push((field, advice.to_owned()));
        if read.security == Security::None {
            weak("security", "take a policy that encrypts: anyone could read and change values");
        }
        if read.username.as_deref().unwrap_or_default().is_empty() {
            weak("username", "log in at the server instead of connecting anonymously");
        }
        if read.trust_any {
            weak("trust_any", "set server_thumbprint instead of trusting any server");
        }
        found
    }
}

/// A configured server, checked, ready to run.
pub(crate) struct OpcUa {
    pub(crate) settings: OpcUaSettings,
    pub(crate) clock: SharedClock,
    pub(crate) status: SourceStatus,
    pub(crate) kind: OpcUaKind,
}

impl Connector for OpcUa {
    fn status(&self) -> &SourceStatus {
        &self.status
    }

    fn run(
        self: Arc<Self>,
        sink: Arc<dyn ReadingSink>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let (courier, waiting) = Courier::new(&self.status, &self.clock, self.settings.origin);
            let carried = carry(waiting, &self.status, &self.clock, sink, stop.clone());
            tokio::join!(self.keep_watching(courier, &stop), carried);
            self.status.stopped();
        })
    }

    /// Values that do not change are not said by the server; we ask for them after this time.
    fn interval(&self) -> Option<Duration> {
        let repeat = Duration::from_secs(u64::from(self.settings.repeat_s));
        (self.settings.repeat_s > 0).then_some(repeat)
    }
}

impl OpcUa {
    async fn keep_watching(&self, courier: Courier, stop: &CancellationToken) {
        let mut watch = Watch::new(self, courier);
        let mut reconnect = Reconnect::new(&self.status, &self.clock, PATIENCE);
        loop {
            self.status.connecting();
            let (error, was_connected) = match watch.session(stop).await {
                Ok(()) => break,
                Err(lost) => lost,
            };
            reconnect.lost(&error, was_connected);
            watch.mark_all_stale();
            if !reconnect.wait(stop).await {
                break;
            }
        }
    }
}
