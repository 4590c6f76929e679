//! The connectors of this binary, and what the settings file says about sources.

use std::sync::Arc;

use anyhow::{Context, bail};
use kernel::SensorKind;
use opcua::{Newest, OpcUaKind};
use sense::modbus::ModbusKind;
use sense::mqtt::{BrokerTls, MqttKind, MqttVersion};
use sense::sparkplug::{Declare, SparkplugKind};
use sense::{ConnectorKind, Origin, Protocol, SourceId};
use serde_json::Value;
use telemetry::{ConfiguredSource, Connectors, LateDoor, SensorDeclaration};

use crate::config::{Config, Environment, Mqtt, Source};

const PORT: u16 = 1883;
const TLS_PORT: u16 = 8883;
/// Certificates of OPC UA, in the data directory.
const OPC_UA_FOLDER: &str = "opcua";
/// What the broker of the older section `[mqtt]` is called.
const OLDER_BROKER: &str = "mqtt";

/// How a source that describes its sensors tells the registry.
fn declare(door: &LateDoor) -> Declare {
    let door = door.clone();
    Arc::new(move |tag| {
        let door = door.get();
        Box::pin(async move {
            let (Some(door), Some(unit)) = (door, tag.unit) else { return };
            let declaration = SensorDeclaration {
                kind: SensorKind::from_measure(tag.key.measure()),
                key: tag.key,
                unit: unit.to_owned(),
                expected_low: tag.expected_low,
                expected_high: tag.expected_high,
                rate_max_per_s: None,
                interval_s: None,
            };
            if let Err(error) = door.declare(declaration, Origin::Real).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "declaration not taken");
            }
        })
    })
}

/// How a source that has a history learns from where on it is new.
fn newest(door: &LateDoor) -> Newest {
    let door = door.clone();
    Arc::new(move |sensor| door.newest(sensor))
}

/// Every kind of connector there is.
pub(crate) fn kinds(config: &Config, door: Option<&LateDoor>) -> Vec<Arc<dyn ConnectorKind>> {
    let declare = door.map(declare);
    let newest = door.map(newest);
    let default_site = Some(config.ingest.default_site.clone());
    vec![
        Arc::new(MqttKind { default_site }),
        Arc::new(SparkplugKind { declare }),
        Arc::new(ModbusKind),
        Arc::new(OpcUaKind::new(
            config.data.dir.join(OPC_UA_FOLDER),
            config.environment == Environment::Development,
            newest,
        )),
    ]
}

/// What telemetry is given to go out and read with.
pub(crate) fn connectors(config: &Config, door: &LateDoor) -> anyhow::Result<Connectors> {
    let mut configured = Vec::new();
    if !config.mqtt.url.is_empty() {
        let id = SourceId::new(Protocol::Mqtt, OLDER_BROKER);
        configured.push(ConfiguredSource { id, settings: broker(config)? });
    }
    for source in &config.sources {
        let one = one(source)?;
        if configured.iter().any(|other: &ConfiguredSource| other.id == one.id) {
            bail!("there are two sources {}", one.id);
        }
        configured.push(one);
    }
    let production = config.environment == Environment::Production;
    Ok(Connectors { kinds: kinds(config, Some(door)), configured, production })
}

fn one(source: &Source) -> anyhow::Result<ConfiguredSource> {
    let protocol = Protocol::parse(&source.protocol)
        .filter(|protocol| protocol.goes_out())
        .with_context(|| format!("the source `{}` has no protocol", source.name))?;
    let settings = Value::Object(source.settings.clone());
    Ok(ConfiguredSource { id: SourceId::new(protocol, &source.name), settings })
}

/// Weak settings of sources, as production sees them: where, and what to do.
pub(crate) fn weaknesses(config: &Config) -> Vec<String> {
    let kinds = kinds(config, None);
    let mut named = Vec::new();
    for source in &config.sources {
        let kind = kinds.iter().find(|kind| kind.protocol().name() == source.protocol);
        let settings = Value::Object(source.settings.clone());
        for (field, advice) in kind.map(|kind| kind.weaknesses(&settings)).unwrap_or_default() {
            named.push(format!("{}: {field}: {advice}", source.name));
        }
    }
    named
}

/// The settings of `[mqtt]` as the connector has them.
fn broker(config: &Config) -> anyhow::Result<Value> {
    let mqtt = &config.mqtt;
    let (encrypted, rest) = match mqtt.url.split_once("://") {
        Some(("mqtt", rest)) => (false, rest),
        Some(("mqtts", rest)) => (true, rest),
        _ => bail!("mqtt.url `{}` starts with neither mqtt:// nor mqtts://", mqtt.url),
    };
    let default_port = if encrypted { TLS_PORT } else { PORT };
    let (host, port) = match rest.trim_end_matches('/').rsplit_once(':') {
        Some((host, port)) => {
            (host, port.parse().with_context(|| format!("mqtt.url has no port `{port}`"))?)
        }
        None => (rest.trim_end_matches('/'), default_port),
    };
    let mut settings = serde_json::json!({
        "host": host,
        "port": port,
        "version": version(mqtt)?,
        "client_id": mqtt.client_id,
        "topics": mqtt.topics,
    });
    for (name, text) in [("username", &mqtt.user), ("password", &mqtt.password)] {
        if !text.is_empty() {
            settings[name] = text.as_str().into();
        }
    }
    if encrypted {
        let tls = BrokerTls { ca_file: mqtt.ca_file.clone(), ..BrokerTls::default() };
        settings["tls"] = serde_json::to_value(tls)?;
    }
    Ok(settings)
}

fn version(mqtt: &Mqtt) -> anyhow::Result<MqttVersion> {
    match mqtt.version {
        4 => Ok(MqttVersion::V3),
        5 => Ok(MqttVersion::V5),
        other => bail!("mqtt.version is 4 (MQTT 3.1.1) or 5, not {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::SystemClock;

    fn with(url: &str) -> Config {
        let mut config = Config::default();
        config.mqtt.url = url.to_owned();
        config
    }

    fn address(url: &str) -> anyhow::Result<(String, Value)> {
        let connectors = connectors(&with(url), &LateDoor::default())?;
        let source = &connectors.configured[0];
        let kind = &connectors.kinds[0];
        let built = kind.build(&source.id.name, &source.settings, SystemClock::shared())?;
        Ok((built.status().snapshot().address, source.settings.clone()))
    }

    #[test]
    fn an_address_says_host_port_and_encryption() {
        let (plain, settings) = address("mqtt://broker").unwrap();
        assert_eq!((plain.as_str(), settings.get("tls")), ("broker:1883", None));
        let (secure, settings) = address("mqtts://broker:9883/").unwrap();
        assert_eq!(secure, "broker:9883");
        assert!(settings.get("tls").is_some());
        assert!(address("http://broker").is_err());
        assert!(address("mqtt://broker:many").is_err());
    }
}
