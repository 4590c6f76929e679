use std::time::Duration;

use bytes::Bytes;
use kernel::Timestamp;
use prost::Message;
use rumqttc_v4 as v4;

use super::HostSettings;
use super::proto::{Metric, MetricValue, PAYLOAD_BYTES_MAX, Payload};
use super::topic::{NAMESPACE, NodeId, state_topic};
use crate::SenseError;
use crate::mqtt::Place;
use crate::mqtt::link::v3_transport;

/// Requests to nodes that may wait to be sent.
const REQUESTS_MAX: usize = 16_384;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const FAREWELL: Duration = Duration::from_secs(1);
/// The packet around the largest payload.
const PACKET_BYTES_MAX: usize = 268_435_460;

/// One message of the broker.
pub(super) struct Said {
    pub(super) topic: Bytes,
    pub(super) payload: Bytes,
    /// Its place among those that wait, free once it is read.
    pub(super) place: Option<Place>,
}

pub(super) enum Heard {
    Connected,
    Subscribed,
    Refused(String),
    Said(Said),
    Nothing,
}

/// What the host itself says.
#[derive(Clone)]
pub(super) struct Voice {
    client: v4::AsyncClient,
    host_id: String,
    legacy: bool,
    /// The time in the will, which the messages of this session repeat.
    session: Timestamp,
}

pub(super) struct Link {
    events: Box<v4::EventLoop>,
}

/// Prepares a connection; it is made with the first [`Link::next`]. Sparkplug wants a clean
/// session, and a will that says that the host is offline.
pub(super) fn open(settings: &HostSettings, now: Timestamp) -> Result<(Voice, Link), SenseError> {
    let address = (settings.host.clone(), settings.port);
    let mut options = v4::MqttOptions::new(settings.client_id.clone(), address);
    options
        .set_keep_alive(settings.keep_alive_s)
        .set_clean_session(true)
        .set_max_packet_size(PACKET_BYTES_MAX, PAYLOAD_BYTES_MAX);
    if let Some(username) = &settings.username {
        options.set_credentials(username.clone(), settings.password.clone().unwrap_or_default());
    }
    if let Some(tls) = &settings.tls {
        options.set_transport(v3_transport(tls)?);
    }
    if !settings.host_id.is_empty() {
        let topic = state_topic(&settings.host_id);
        let will = v4::LastWill::new(topic, state(false, now), v4::QoS::AtLeastOnce, true);
        options.set_last_will(will);
    }
    let (client, mut events) = v4::AsyncClient::builder(options).capacity(REQUESTS_MAX).build();
    let mut network = events.network_options();
    network.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
    events.set_network_options(network);
    let host_id = settings.host_id.clone();
    let voice = Voice { client, host_id, legacy: settings.legacy_state, session: now };
    Ok((voice, Link { events: Box::new(events) }))
}

/// The STATE of Sparkplug 3.0.
fn state(online: bool, session: Timestamp) -> String {
    let timestamp = session.as_micros() / 1_000;
    format!("{{\"online\":{online},\"timestamp\":{timestamp}}}")
}

impl Voice {
    pub(super) fn subscribe(&self, settings: &HostSettings) -> Result<(), SenseError> {
        let mut filters: Vec<String> =
            settings.groups.iter().map(|group| format!("{NAMESPACE}/{group}/#")).collect();
        if filters.is_empty() {
            filters.push(format!("{NAMESPACE}/#"));
        } else if !self.host_id.is_empty() {
            filters.push(state_topic(&self.host_id));
        }
        let all = filters.into_iter().map(|f| v4::SubscribeFilter::new(f, v4::QoS::AtLeastOnce));
        self.client.try_subscribe_many(all).map_err(failed)
    }

    /// Says that the host is online.
    pub(super) fn online(&self) -> Result<(), SenseError> {
        self.say_state(true)
    }

    fn say_state(&self, online: bool) -> Result<(), SenseError> {
        if self.host_id.is_empty() {
            return Ok(());
        }
        let kept = v4::PublishOptions::at_least_once().retained();
        if self.legacy {
            let word = if online { "ONLINE" } else { "OFFLINE" };
            self.client
                .try_publish(format!("STATE/{}", self.host_id), word, kept)
                .map_err(failed)?;
        }
        let topic = state_topic(&self.host_id);
        self.client.try_publish(topic, state(online, self.session), kept).map_err(failed)
    }

    /// Whether a STATE message is of this session, and says that the host is offline: the will of
    /// an older session of ours that came late.
    pub(super) fn is_denied_by(&self, host: &str, payload: &[u8]) -> bool {
        let says_online = serde_json::from_slice::<serde_json::Value>(payload)
            .ok()
            .and_then(|state| state.get("online").and_then(serde_json::Value::as_bool));
        host == self.host_id && says_online == Some(false)
    }

    /// Asks a node to be born again.
    pub(super) fn ask_rebirth(&self, id: &NodeId, now: Timestamp) -> Result<(), SenseError> {
        const BOOLEAN: u32 = 11;
        let millis = u64::try_from(now.as_micros() / 1_000).unwrap_or_default();
        let metric = Metric {
            name: Some("Node Control/Rebirth".to_owned()),
            timestamp: Some(millis),
            datatype: Some(BOOLEAN),
            value: Some(MetricValue::Boolean(true)),
            ..Metric::default()
        };
        let command = Payload { timestamp: Some(millis), metrics: vec![metric], seq: None };
        let options = v4::PublishOptions::at_most_once();
        self.client
            .try_publish(id.command_topic(), command.encode_to_vec(), options)
            .map_err(failed)
    }
}

fn failed(error: v4::ClientError) -> SenseError {
    SenseError::Connection(error.to_string())
}

impl Link {
    pub(super) async fn next(&mut self) -> Result<Heard, SenseError> {
        let event = self.events.poll().await.map_err(|e| SenseError::Connection(e.to_string()))?;
        Ok(match event {
            v4::Event::Incoming(v4::Packet::ConnAck(_)) => Heard::Connected,
            v4::Event::Incoming(v4::Packet::Publish(publish)) => {
                Heard::Said(Said { topic: publish.topic, payload: publish.payload, place: None })
            }
            v4::Event::Incoming(v4::Packet::SubAck(ack)) => {
                let granted = |code: &v4::SubscribeReasonCode| {
                    matches!(code, v4::SubscribeReasonCode::Success(_))
                };
                match ack.return_codes.iter().find(|code| !granted(code)) {
                    Some(code) => Heard::Refused(format!("{code:?}")),
                    None => Heard::Subscribed,
                }
            }
            _ => Heard::Nothing,
        })
    }

    /// Says that the host is offline, and takes leave.
    pub(super) async fn farewell(&mut self, voice: &Voice) {
        let said = voice.say_state(false).is_ok() && voice.client.try_disconnect().is_ok();
        let drained = tokio::time::timeout(FAREWELL, async { while self.next().await.is_ok() {} });
        if !said || drained.await.is_err() {
            tracing::debug!("broker did not end the connection in time");
        }
    }
}
