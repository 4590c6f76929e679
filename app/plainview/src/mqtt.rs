//! The external MQTT broker as a source: its place among the agents and in the health report.

use std::sync::Arc;

use anyhow::{Context, bail};
use bus::Agent;
use futures_util::future::BoxFuture;
use kernel::SharedClock;
use sense::mqtt::{Broker, BrokerSettings, BrokerTls, MqttVersion};
use sense::{LinkState, SourceHealth};
use telemetry::Door;
use utoipa_axum::router::OpenApiRouter;
use web::{Check, HealthCheck, Module, Standing};

use crate::config::{Config, Mqtt};

const PORT: u16 = 1883;
const TLS_PORT: u16 = 8883;

/// A module of one agent when a broker is configured; without one, only its line in `/health`.
pub(crate) fn module(config: &Config, clock: SharedClock, door: &Door) -> anyhow::Result<Module> {
    let broker = match config.mqtt.url.as_str() {
        "" => None,
        _ => Some(Broker::new(settings(config)?, clock)?),
    };
    Ok(Module {
        agents: broker.iter().map(|broker| agent(broker.clone(), door.clone())).collect(),
        health: vec![health(broker)],
        ..Module::new("sense", OpenApiRouter::new())
    })
}

fn agent(broker: Broker, door: Door) -> Agent {
    Agent::task("mqtt", "Reads from the MQTT broker", move |context| {
        let (broker, door) = (broker.clone(), door.clone());
        Box::pin(async move {
            broker.run(Arc::new(door), context.stop).await;
            Ok(())
        })
    })
}

fn health(broker: Option<Broker>) -> HealthCheck {
    let ask = move || -> BoxFuture<'static, Check> {
        let check = match &broker {
            None => Check { status: Standing::Ok, detail: "not configured".to_owned() },
            Some(broker) => check(&broker.status().snapshot()),
        };
        Box::pin(async move { check })
    };
    HealthCheck { name: "mqtt", ask: Arc::new(ask) }
}

fn check(health: &SourceHealth) -> Check {
    let (status, state) = match health.link {
        LinkState::Connected => (Standing::Ok, "connected to"),
        LinkState::Idle | LinkState::Connecting => (Standing::Degraded, "connecting to"),
        LinkState::Waiting => (Standing::Degraded, "waiting to connect again to"),
        LinkState::Open => (Standing::Degraded, "trying once a minute to connect to"),
    };
    let error = health.last_error.as_ref().filter(|_| status != Standing::Ok);
    let detail = format!(
        "{state} {}, {} readings, {} refused{}",
        health.address,
        health.readings,
        health.refused,
        error.map(|error| format!("; last error: {}", error.message)).unwrap_or_default()
    );
    Check { status, detail }
}

fn settings(config: &Config) -> anyhow::Result<BrokerSettings> {
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
        None => (rest, default_port),
    };
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(BrokerSettings {
        host: host.to_owned(),
        port,
        version: version(mqtt)?,
        client_id: mqtt.client_id.clone(),
        username: given(&mqtt.user),
        password: given(&mqtt.password),
        tls: encrypted.then(|| BrokerTls { ca_file: mqtt.ca_file.clone(), ..BrokerTls::default() }),
        topics: mqtt.topics.clone(),
        default_site: config.ingest.default_site.clone(),
        ..BrokerSettings::default()
    })
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

    fn with(url: &str) -> Config {
        let mut config = Config::default();
        config.mqtt.url = url.to_owned();
        config
    }

    #[test]
    fn an_address_says_host_port_and_encryption() {
        let plain = settings(&with("mqtt://broker")).unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.tls), ("broker", 1883, None));
        let secure = settings(&with("mqtts://broker:9883/")).unwrap();
        assert_eq!((secure.host.as_str(), secure.port), ("broker", 9883));
        assert!(secure.tls.is_some());
        assert!(settings(&with("http://broker")).is_err());
        assert!(settings(&with("mqtt://broker:many")).is_err());
    }
}
