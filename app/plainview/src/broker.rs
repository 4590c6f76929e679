//! The broker inside Plainview: who may log in, and what `[broker]` says.

use std::sync::Arc;

use broker::{BrokerKind, Client, Verify};
use sense::{Protocol, SourceId};
use serde_json::{Value, json};
use telemetry::{ConfiguredSource, Connectors};
use web::{Keys, Role};

use crate::config::Config;

const NAME: &str = "built-in";

/// Adds the broker to the connectors; it runs when the settings say so.
pub(crate) fn add(config: &Config, keys: Keys, mut connectors: Connectors) -> Connectors {
    connectors.kinds.push(Arc::new(BrokerKind { verify: verify(keys) }));
    if config.broker.enabled {
        let id = SourceId::new(Protocol::Broker, NAME);
        connectors.configured.push(ConfiguredSource { id, settings: settings(config) });
    }
    connectors
}

/// The user is a key's name, the password the key.
fn verify(keys: Keys) -> Verify {
    Arc::new(move |user, password| {
        let keys = keys.clone();
        Box::pin(async move {
            let caller = keys.verify(&password).await.map_err(|error| error.to_string())?;
            let known = caller.filter(|caller| caller.name == user);
            Ok(known.and_then(|caller| {
                let role = caller.role?;
                Some(Client {
                    name: caller.name,
                    may_read: role >= Role::Viewer,
                    may_command: role >= Role::Operator,
                })
            }))
        })
    })
}

fn settings(config: &Config) -> Value {
    let broker = &config.broker;
    let mut settings = json!({
        "listen": broker.listen,
        "topics": broker.topics,
        "default_site": config.ingest.default_site,
        "connections_max": broker.connections_max,
        "packet_bytes_max": broker.packet_bytes_max,
        "inflight_max": broker.inflight_max,
    });
    if let (Some(cert), Some(key)) = (&broker.cert_file, &broker.key_file) {
        settings["tls"] = json!({ "cert_file": cert, "key_file": key });
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::SystemClock;
    use sense::ConnectorKind;

    #[test]
    fn the_section_is_what_the_broker_reads() {
        let nobody: Verify = Arc::new(|_, _| Box::pin(async { Ok(None) }));
        let kind = BrokerKind { verify: nobody };
        let mut config = Config::default();
        config.broker.cert_file = Some("chain.pem".into());
        config.broker.key_file = Some("key.pem".into());
        let built = kind.build(NAME, &settings(&config), SystemClock::shared()).unwrap();
        assert_eq!(built.status().snapshot().address, "127.0.0.1:1883");
    }
}
