use std::sync::Arc;

use futures_util::future::BoxFuture;
use kernel::SharedClock;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Broker, BrokerSettings};
use crate::source::{Field, FieldKind};
use crate::{Connector, ConnectorKind, Protocol, ReadingSink, SenseError, SourceStatus, settings};

/// External MQTT brokers, as one of the connectors that settings can name.
#[derive(Clone, Debug, Default)]
pub struct MqttKind {
    /// Used when neither the topic nor the settings name a site.
    pub default_site: Option<String>,
}

/// What is asked for of every link to a broker.
pub(crate) const HOST: Field =
    Field::new("host", "Broker host", FieldKind::Text).default("127.0.0.1");
pub(crate) const PORT: Field = Field::new("port", "Port", FieldKind::Number).default("1883");
pub(crate) const CLIENT_ID: Field = Field::new("client_id", "Client id", FieldKind::Text)
    .help("Names the session at the broker: one per source, and the same for ever.");
pub(crate) const USERNAME: Field = Field::new("username", "User", FieldKind::Text);
pub(crate) const PASSWORD: Field = Field::new("password", "Password", FieldKind::Secret);
pub(crate) const TLS: Field = Field::new("tls", "TLS", FieldKind::Json)
    .help("{} for TLS with the system's authorities; else ca_file, cert_file, key_file.");
pub(crate) const KEEP_ALIVE: Field =
    Field::new("keep_alive_s", "Keep alive, s", FieldKind::Number).default("30");
pub(crate) const ORIGIN: Field = Field::new("origin", "Origin", FieldKind::Select)
    .options(&["real", "simulated", "replayed"])
    .default("real");

const FIELDS: &[Field] = &[
    HOST,
    PORT,
    Field::new("version", "MQTT version", FieldKind::Select).options(&["5", "3.1.1"]).default("5"),
    CLIENT_ID.default("plainview"),
    USERNAME,
    PASSWORD,
    TLS,
    Field::new("topics", "Topics", FieldKind::Json)
        .default("[\"plainview/{site}/{asset}/{measure*}\"]")
        .help("Topics with places for the parts of the key; + and # match without meaning."),
    Field::new("default_site", "Site", FieldKind::Text).help("Used when a topic names no site."),
    KEEP_ALIVE,
    ORIGIN,
];

impl ConnectorKind for MqttKind {
    fn protocol(&self) -> Protocol {
        Protocol::Mqtt
    }

    fn title(&self) -> &'static str {
        "MQTT broker"
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn weaknesses(&self, settings: &Value) -> Vec<(&'static str, String)> {
        match settings::read::<BrokerSettings>(settings, FIELDS) {
            Ok(read) => weaknesses(&read.host, read.username.as_deref(), read.tls.is_some()),
            Err(_) => Vec::new(),
        }
    }

    fn build(
        &self,
        name: &str,
        settings: &Value,
        clock: SharedClock,
    ) -> Result<Arc<dyn Connector>, SenseError> {
        let mut read: BrokerSettings = settings::read(settings, FIELDS)?;
        name.clone_into(&mut read.name);
        if let (Some(site), None) = (&self.default_site, settings.get("default_site")) {
            read.default_site.clone_from(site);
        }
        Ok(Arc::new(Broker::new(read, clock)?))
    }
}

/// What production does not accept of a link to a broker.
pub(crate) fn weaknesses(
    host: &str,
    username: Option<&str>,
    is_encrypted: bool,
) -> Vec<(&'static str, String)> {
    let is_near = matches!(host, "localhost" | "::1") || host.starts_with("127.");
    let mut found = Vec::new();
    if username.is_none_or(str::is_empty) {
        found.push(("username", "log in at the broker, not anonymously".to_owned()));
    }
    if !is_encrypted && !is_near {
        found.push(("tls", "encrypt the way to a broker on another machine".to_owned()));
    }
    found
}

impl Connector for Broker {
    fn status(&self) -> &SourceStatus {
        self.status()
    }

    fn run(
        self: Arc<Self>,
        sink: Arc<dyn ReadingSink>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move { Self::run(&self, sink, stop).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::SystemClock;
    use serde_json::json;

    fn built(settings: &Value) -> Result<String, (&'static str, String)> {
        match MqttKind::default().build("north", settings, SystemClock::shared()) {
            Ok(connector) => Ok(connector.status().snapshot().address),
            Err(SenseError::Settings { field, reason }) => Err((field, reason)),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn settings_at_fault_are_named() {
        assert_eq!(built(&json!({ "host": "broker" })).unwrap(), "broker:1883");
        let field = |settings: Value| built(&settings).unwrap_err().0;
        assert_eq!(field(json!({ "version": "4" })), "version");
        assert_eq!(field(json!({ "topics": [] })), "topics");
        assert_eq!(field(json!({ "topics": ["a/{b}"] })), "topics");
        assert_eq!(field(json!({ "topics": ["a/#", 7] })), "topics");
        let (field, reason) = built(&json!({ "hots": "broker" })).unwrap_err();
        assert!(field == "settings" && reason.contains("hots"), "{field}: {reason}");
    }

    /// The part of the settings that every link to a broker has.
    #[test]
    fn links_to_brokers_are_checked_alike() {
        let kinds: [&dyn ConnectorKind; 2] =
            [&MqttKind::default(), &crate::sparkplug::SparkplugKind::default()];
        for kind in kinds {
            let field =
                |settings: Value| match kind.build("north", &settings, SystemClock::shared()) {
                    Err(SenseError::Settings { field, .. }) => field,
                    other => panic!("{:?}", other.map(|connector| connector.status().snapshot())),
                };
            assert_eq!(field(json!({ "port": "many" })), "port");
            assert_eq!(field(json!({ "port": 0 })), "port");
            assert_eq!(field(json!({ "port": 70_000 })), "port");
            assert_eq!(field(json!({ "host": "" })), "host");
            assert_eq!(field(json!({ "client_id": "" })), "client_id");
            assert_eq!(field(json!({ "tls": { "cert_file": "x" } })), "tls");
            assert_eq!(field(json!({ "tls": { "ca": "x" } })), "tls");
            assert_eq!(field(json!({ "origin": "x" })), "origin");
            assert_eq!(field(json!({ "hots": "broker" })), "settings");

            let weak = |settings: Value| -> Vec<&str> {
                kind.weaknesses(&settings).into_iter().map(|(field, _)| field).collect()
            };
            assert_eq!(weak(json!({ "host": "broker" })), ["username", "tls"]);
            assert_eq!(weak(json!({ "host": "broker", "username": "p", "tls": {} })), [""; 0]);
            assert_eq!(weak(json!({ "username": "p" })), [""; 0]);
        }
    }

    #[test]
    fn defaults_shown_are_the_defaults_used() {
        assert_eq!(settings::of_defaults::<BrokerSettings>(FIELDS), BrokerSettings::default());
    }
}
