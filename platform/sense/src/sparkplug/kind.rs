use std::sync::Arc;

use kernel::SharedClock;
use serde_json::Value;

use super::{Declare, Host, HostSettings};
use crate::mqtt::weaknesses;
use crate::source::{Field, FieldKind};
use crate::{Connector, ConnectorKind, Protocol, SenseError, settings};

/// Sparkplug B hosts, as one of the connectors that settings can name.
#[derive(Clone, Default)]
pub struct SparkplugKind {
    /// Where units and ranges that births say are told to.
    pub declare: Option<Declare>,
}

impl std::fmt::Debug for SparkplugKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SparkplugKind").finish_non_exhaustive()
    }
}

const FIELDS: &[Field] = &[
    Field::new("host", "Broker host", FieldKind::Text).default("127.0.0.1"),
    Field::new("port", "Port", FieldKind::Number).default("1883"),
    Field::new("client_id", "Client id", FieldKind::Text).default("plainview-sparkplug"),
    Field::new("username", "User", FieldKind::Text),
    Field::new("password", "Password", FieldKind::Secret),
    Field::new("tls", "TLS", FieldKind::Json)
        .help("{} for TLS with the system's authorities; else ca_file, cert_file, key_file."),
    Field::new("host_id", "Host id", FieldKind::Text)
        .default("plainview")
        .help("The primary host that edge nodes wait for; empty to say no STATE."),
    Field::new("legacy_state", "STATE of Sparkplug 2.2", FieldKind::Json).default("false"),
    Field::new("groups", "Groups", FieldKind::Json)
        .default("[]")
        .help("Names of groups to listen to; an empty list listens to all."),
    Field::new("key", "Sensor key", FieldKind::Text)
        .default("{group}/{node}/{device}/{metric}")
        .help("How group, node, device and metric become site/asset/measure."),
    Field::new("rebirth_every_s", "Ask for a birth at most every, s", FieldKind::Number)
        .default("10"),
    Field::new("keep_alive_s", "Keep alive, s", FieldKind::Number).default("30"),
    Field::new("origin", "Origin", FieldKind::Select)
        .options(&["real", "simulated", "replayed"])
        .default("real"),
];

impl ConnectorKind for SparkplugKind {
    fn protocol(&self) -> Protocol {
        Protocol::SparkplugB
    }

    fn title(&self) -> &'static str {
        "Sparkplug B host"
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn weaknesses(&self, settings: &Value) -> Vec<(&'static str, String)> {
        match settings::read::<HostSettings>(settings, FIELDS) {
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
        let mut read: HostSettings = settings::read(settings, FIELDS)?;
        name.clone_into(&mut read.name);
        Ok(Arc::new(Host::new(read, self.declare.clone(), clock)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::SystemClock;
    use serde_json::json;

    #[test]
    fn settings_at_fault_are_named() {
        let field = |settings: Value| match SparkplugKind::default().build(
            "n",
            &settings,
            SystemClock::shared(),
        ) {
            Err(SenseError::Settings { field, .. }) => field,
            other => panic!("{:?}", other.map(|connector| connector.status().snapshot())),
        };
        assert_eq!(field(json!({ "host": "" })), "host");
        assert_eq!(field(json!({ "port": 70_000 })), "port");
        assert_eq!(field(json!({ "host_id": "a/b" })), "host_id");
        assert_eq!(field(json!({ "groups": ["+"] })), "groups");
        assert_eq!(field(json!({ "groups": "north" })), "groups");
        assert_eq!(field(json!({ "key": "{group}" })), "key");
        assert_eq!(field(json!({ "rebirth_every_s": 0 })), "rebirth_every_s");
        assert_eq!(field(json!({ "grups": [] })), "settings");
    }

    #[test]
    fn defaults_shown_are_the_defaults_used() {
        let defaults: serde_json::Map<_, _> = FIELDS
            .iter()
            .filter_map(|field| Some((field.name.to_owned(), field.default_value()?)))
            .collect();
        let shown: HostSettings = settings::read(&Value::Object(defaults), FIELDS).unwrap();
        assert_eq!(shown, HostSettings::default());
    }
}
