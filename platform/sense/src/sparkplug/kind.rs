use std::sync::Arc;

use kernel::SharedClock;
use serde_json::Value;

use super::{Declare, Host, HostSettings};
use crate::mqtt::weaknesses;
use crate::mqtt::{CLIENT_ID, HOST, KEEP_ALIVE, ORIGIN, PASSWORD, PORT, TLS, USERNAME};
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
    HOST,
    PORT,
    CLIENT_ID.default("plainview-sparkplug"),
    USERNAME,
    PASSWORD,
    TLS,
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
    KEEP_ALIVE,
    ORIGIN,
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
        assert_eq!(field(json!({ "host_id": "a/b" })), "host_id");
        assert_eq!(field(json!({ "groups": ["+"] })), "groups");
        assert_eq!(field(json!({ "groups": "north" })), "groups");
        assert_eq!(field(json!({ "key": "{group}" })), "key");
        assert_eq!(field(json!({ "rebirth_every_s": 0 })), "rebirth_every_s");
    }

    #[test]
    fn defaults_shown_are_the_defaults_used() {
        assert_eq!(settings::of_defaults::<HostSettings>(FIELDS), HostSettings::default());
    }
}
