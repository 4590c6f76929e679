use std::time::Duration;

use rumqttc as v5;
use rumqttc_v4 as v4;

use super::{BrokerSettings, BrokerTls, Mapping, Message, MqttVersion};
use crate::SenseError;

/// Acknowledgements that may wait to be sent. Every packet id is outstanding at most once, so
/// sending one never waits for the connection, which might itself wait for the store.
const ACKS_MAX: usize = 65_536;
/// Messages that a version 5 broker may send ahead of acknowledgements.
const RECEIVE_MAX: u16 = 8_192;
/// A broker of version 5 keeps larger packets back by itself.
const PACKET_BYTES_MAX: u32 = 8 * 1024 * 1024;
/// A broker of version 3.1.1 cannot be told a limit. To refuse the packet here would end the
/// connection, and the broker would send it again for ever; so whatever MQTT allows is read, and
/// a payload that is too large is refused by name and acknowledged.
const V3_PACKET_BYTES_MAX: usize = 268_435_460;
const REQUESTS_PER_TURN: usize = 1_024;
/// The library looks at every place for a message of ours at each flush, 65,535 unless it is told
/// otherwise; and we publish nothing.
const OUTGOING_MAX: u16 = 64;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const FAREWELL: Duration = Duration::from_secs(1);

/// Empty for messages that need no acknowledgement.
pub(super) enum Token {
    V3(Option<v4::ManualAck>),
    V5(Option<v5::ManualAck>),
}

/// What the connection brought.
pub(super) enum Heard {
    Connected { session_present: bool },
    Refused(String),
    Message(Message<Token>),
    Nothing,
}

/// The sending side: acknowledgements.
pub(super) enum Acks {
    V3(v4::AsyncClient),
    V5(v5::AsyncClient),
}

impl Acks {
    /// Acknowledges one message. A connection that is gone needs none: the broker sends again.
    pub(super) fn send(&self, token: Token) {
        let gone = match (self, token) {
            (Self::V3(client), Token::V3(Some(ack))) => client.try_manual_ack(ack).is_err(),
            (Self::V5(client), Token::V5(Some(ack))) => client.try_manual_ack(ack).is_err(),
            _ => false,
        };
        if gone {
            tracing::debug!("connection gone before an acknowledgement");
        }
    }
}

/// The receiving side of one connection.
pub(super) enum Link {
    V3 { client: v4::AsyncClient, events: Box<v4::EventLoop> },
    V5 { client: v5::AsyncClient, events: Box<v5::EventLoop> },
}

/// Prepares a connection; it is made with the first [`Link::next`].
pub(super) fn open(settings: &BrokerSettings) -> Result<(Acks, Link), SenseError> {
    match settings.version {
        MqttVersion::V3 => open_v3(settings),
        MqttVersion::V5 => open_v5(settings),
    }
}

fn open_v3(settings: &BrokerSettings) -> Result<(Acks, Link), SenseError> {
    let address = (settings.host.clone(), settings.port);
    let mut options = v4::MqttOptions::new(settings.client_id.clone(), address);
    options
        .set_keep_alive(settings.keep_alive_s)
        .set_clean_session(false)
        .set_ack_mode(v4::AckMode::Manual)
        .set_inflight(OUTGOING_MAX)
        .set_max_request_batch(REQUESTS_PER_TURN)
        .set_max_packet_size(V3_PACKET_BYTES_MAX, PACKET_BYTES_MAX as usize);
    if let Some(username) = &settings.username {
        options.set_credentials(username.clone(), settings.password.clone().unwrap_or_default());
    }
    if let Some(tls) = &settings.tls {
        options.set_transport(v3_transport(tls)?);
    }
    let (client, mut events) = v4::AsyncClient::builder(options).capacity(ACKS_MAX).build();
    let mut network = events.network_options();
    network.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
    events.set_network_options(network);
    Ok((Acks::V3(client.clone()), Link::V3 { client, events: Box::new(events) }))
}

/// How a client of version 3.1.1 encrypts.
pub(crate) fn v3_transport(tls: &BrokerTls) -> Result<v4::Transport, SenseError> {
    let (ca, own) = pem(tls)?;
    match ca {
        Some(ca) => Ok(v4::Transport::tls(ca, own, None)),
        None => v4::Transport::try_tls_with_default_config()
            .map_err(|error| super::invalid("tls", error.to_string())),
    }
}

fn open_v5(settings: &BrokerSettings) -> Result<(Acks, Link), SenseError> {
    let address = (settings.host.clone(), settings.port);
    let mut options = v5::MqttOptions::new(settings.client_id.clone(), address);
    options
        .set_keep_alive(settings.keep_alive_s)
        .set_ack_mode(v5::AckMode::Manual)
        .set_max_request_batch(REQUESTS_PER_TURN)
        .set_connect_timeout(CONNECT_TIMEOUT)
        .set_session_mode(v5::SessionMode::Persistent)
        .set_receive_maximum(Some(RECEIVE_MAX))
        .set_outgoing_inflight_upper_limit(OUTGOING_MAX)
        .set_max_packet_size(Some(PACKET_BYTES_MAX))
        // This client sends nothing of QoS 1 or 2, so it has no state of its own to reconcile.
        .set_broker_session_resume_policy(v5::BrokerSessionResumePolicy::AllowBrokerOnly);
    if let Some(username) = &settings.username {
        options.set_credentials(username.clone(), settings.password.clone().unwrap_or_default());
    }
    if let Some(tls) = &settings.tls {
        let (ca, own) = pem(tls)?;
        let transport = match ca {
            Some(ca) => v5::Transport::tls(ca, own, None),
            None => v5::Transport::try_tls_with_default_config()
                .map_err(|error| super::invalid("tls", error.to_string()))?,
        };
        options.set_transport(transport);
    }
    let (client, events) = v5::AsyncClient::builder(options).capacity(ACKS_MAX).build();
    Ok((Acks::V5(client.clone()), Link::V5 { client, events: Box::new(events) }))
}

type Pem = Vec<u8>;
type Certificates = (Option<Pem>, Option<(Pem, Pem)>);

/// The authorities, and the client's own certificate with its key.
fn pem(tls: &BrokerTls) -> Result<Certificates, SenseError> {
    let own = match (&tls.cert_file, &tls.key_file) {
        (Some(cert), Some(key)) => Some((std::fs::read(cert)?, std::fs::read(key)?)),
        _ => None,
    };
    let ca = tls.ca_file.as_ref().map(std::fs::read).transpose()?;
    Ok((ca, own))
}

impl Link {
    pub(super) async fn next(&mut self) -> Result<Heard, SenseError> {
        match self {
            Self::V3 { client, events } => {
                let event =
                    events.poll().await.map_err(|e| SenseError::Connection(e.to_string()))?;
                Ok(hear_v3(client, event))
            }
            Self::V5 { client, events } => {
                let event =
                    events.poll().await.map_err(|e| SenseError::Connection(e.to_string()))?;
                Ok(hear_v5(client, event))
            }
        }
    }

    pub(super) fn subscribe(&self, mapping: &Mapping) -> Result<(), SenseError> {
        let failed = |error: String| SenseError::Connection(error);
        for filter in mapping.filters() {
            match self {
                Self::V3 { client, .. } => client
                    .try_subscribe(filter, v4::QoS::AtLeastOnce)
                    .map_err(|error| failed(error.to_string()))?,
                Self::V5 { client, .. } => client
                    .try_subscribe(filter, v5::QoS::AtLeastOnce)
                    .map_err(|error| failed(error.to_string()))?,
            }
        }
        Ok(())
    }

    /// Sends what acknowledgements are left and takes leave; the session stays at the broker.
    pub(super) async fn farewell(&mut self) {
        let left = match self {
            Self::V3 { client, .. } => client.try_disconnect().is_ok(),
            Self::V5 { client, .. } => client.try_disconnect().is_ok(),
        };
        if left {
            let drained =
                tokio::time::timeout(FAREWELL, async { while self.next().await.is_ok() {} });
            if drained.await.is_err() {
                tracing::debug!("broker did not end the connection in time");
            }
        }
    }
}

fn hear_v3(client: &v4::AsyncClient, event: v4::Event) -> Heard {
    match event {
        v4::Event::Incoming(v4::Packet::ConnAck(ack)) => {
            Heard::Connected { session_present: ack.session_present }
        }
        v4::Event::Incoming(v4::Packet::Publish(publish)) => Heard::Message(Message {
            token: Token::V3(client.prepare_ack(&publish)),
            topic: publish.topic,
            payload: publish.payload,
            retain: publish.retain,
            place: None,
        }),
        v4::Event::Incoming(v4::Packet::SubAck(ack)) => {
            let granted = |code: &v4::SubscribeReasonCode| {
                matches!(code, v4::SubscribeReasonCode::Success(_))
            };
            refused(ack.return_codes.iter().find(|code| !granted(code)))
        }
        _ => Heard::Nothing,
    }
}

fn hear_v5(client: &v5::AsyncClient, event: v5::Event) -> Heard {
    match event {
        v5::Event::Incoming(v5::Packet::ConnAck(ack)) => {
            Heard::Connected { session_present: ack.session_present }
        }
        v5::Event::Incoming(v5::Packet::Publish(publish)) => Heard::Message(Message {
            token: Token::V5(client.prepare_ack(&publish)),
            topic: publish.topic,
            payload: publish.payload,
            retain: publish.retain,
            place: None,
        }),
        v5::Event::Incoming(v5::Packet::SubAck(ack)) => {
            let granted = |code: &v5::SubscribeReasonCode| {
                matches!(code, v5::SubscribeReasonCode::Success(_))
            };
            refused(ack.return_codes.iter().find(|code| !granted(code)))
        }
        _ => Heard::Nothing,
    }
}

fn refused(code: Option<&impl std::fmt::Debug>) -> Heard {
    code.map_or(Heard::Nothing, |code| Heard::Refused(format!("{code:?}")))
}
