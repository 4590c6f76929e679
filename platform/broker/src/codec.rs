//! Packets of both versions as one language, read and written by the codecs of rumqttc.

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{Error as V5Error, QoS, v5};
use rumqttc_v4::mqttbytes::{Error as V4Error, QoS as V4QoS, v4};

use crate::error::Breach;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V3,
    V5,
}

/// A client's first packet.
#[derive(Debug)]
pub(crate) struct Hello {
    pub(crate) client_id: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) keep_alive_s: u16,
    pub(crate) will: Option<Letter>,
    /// The client wants an authentication dance of version 5.
    pub(crate) wants_dance: bool,
}

/// A message to pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) topic: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// 0 for QoS 0.
    pub(crate) packet_id: u16,
}

#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) filter: String,
    pub(crate) no_local: bool,
    pub(crate) retained: bool,
}

/// What a client says after its login.
#[derive(Debug)]
pub(crate) enum Request {
    Publish(Letter),
    Subscribe {
        packet_id: u16,
        wishes: Vec<Wish>,
    },
    Unsubscribe {
        packet_id: u16,
        filters: Vec<String>,
    },
    Release {
        packet_id: u16,
    },
    Ping,
    Leave {
        with_will: bool,
    },
    /// An acknowledgement nobody waits for.
    Nothing,
}

/// Why a subscription is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    NotAuthorized,
    Invalid,
    TooMany,
    Shared,
}

/// What the broker says.
#[derive(Debug)]
pub(crate) enum Answer {
    Welcome { inflight_max: u16, packet_bytes_max: u32, assigned_id: Option<String> },
    Unwelcome(v5::ConnectReturnCode),
    Acknowledged { packet_id: u16, unheard: bool },
    Received { packet_id: u16 },
    Completed { packet_id: u16 },
    Subscribed { packet_id: u16, grants: Vec<Result<(), Denied>> },
    Unsubscribed { packet_id: u16, count: usize },
    Pong,
    Letter(Letter),
    Goodbye(v5::DisconnectReasonCode),
}

/// The version in a CONNECT packet at the start of `buffer`; `None` while it is incomplete.
pub(crate) fn version(buffer: &[u8]) -> Result<Option<Version>, Breach> {
    const CONNECT: u8 = 0x10;
    /// The name's length, the name `MQTT`, the version.
    const NAME_BYTES: usize = 6;
    let Some((first, rest)) = buffer.split_first() else { return Ok(None) };
    if *first != CONNECT {
        return Err(Breach::Protocol("the first packet is no CONNECT"));
    }
    let length_bytes = rest.iter().take(4).position(|byte| byte & 0x80 == 0);
    let Some(body) = length_bytes.and_then(|last| rest.get(last + 1..)) else {
        return if rest.len() >= 4 { Err(Breach::Protocol("no length")) } else { Ok(None) };
    };
    let Some(level) = body.get(NAME_BYTES) else { return Ok(None) };
    match (&body[..NAME_BYTES], level) {
        (b"\x00\x04MQTT", 4) => Ok(Some(Version::V3)),
        (b"\x00\x04MQTT", 5) => Ok(Some(Version::V5)),
        (b"\x00\x04MQTT", other) => Err(Breach::Version(*other)),
        (b"\x00\x06MQIs", _) => Err(Breach::Version(3)),
        _ => Err(Breach::Protocol("no CONNECT of MQTT")),
    }
}

/// Takes one packet off the buffer; `None` while it is incomplete.
fn take_v3(buffer: &mut BytesMut, max: usize) -> Result<Option<v4::Packet>, Breach> {
    match v4::Packet::read(buffer, max) {
        Ok(packet) => Ok(Some(packet)),
        Err(V4Error::InsufficientBytes(_)) => Ok(None),
        Err(V4Error::PayloadSizeLimitExceeded(_)) => Err(Breach::TooLarge { max }),
        Err(error) => Err(Breach::Malformed(error.to_string())),
    }
}

fn take_v5(buffer: &mut BytesMut, max: usize) -> Result<Option<v5::Packet>, Breach> {
    match v5::Packet::read(buffer, Some(u32::try_from(max).unwrap_or(u32::MAX))) {
        Ok(packet) => Ok(Some(packet)),
        Err(V5Error::InsufficientBytes(_)) => Ok(None),
        Err(V5Error::PayloadSizeLimitExceeded { .. }) => Err(Breach::TooLarge { max }),
        Err(error) => Err(Breach::Malformed(error.to_string())),
    }
}

const NO_LOGIN: Breach = Breach::Protocol("the first packet is no CONNECT");

/// A client's login; `None` while it is incomplete.
pub(crate) fn hello(
    version: Version,
    buffer: &mut BytesMut,
    max: usize,
) -> Result<Option<Hello>, Breach> {
    match version {
        Version::V3 => match take_v3(buffer, max)? {
            None => Ok(None),
            Some(v4::Packet::Connect(connect)) => Ok(Some(hello_v3(connect))),
            Some(_) => Err(NO_LOGIN),
        },
        Version::V5 => match take_v5(buffer, max)? {
            None => Ok(None),
            Some(v5::Packet::Connect(connect, will, auth)) => {
                Ok(Some(hello_v5(connect, will, auth)))
            }
            Some(_) => Err(NO_LOGIN),
        },
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn hello_v3(connect: v4::Connect) -> Hello {
    let (user, password) = match connect.auth {
        v4::ConnectAuth::None => (String::new(), String::new()),
        v4::ConnectAuth::Username { username } => (username, String::new()),
        v4::ConnectAuth::UsernamePassword { username, password } => (username, text(&password)),
    };
    let will = connect.last_will.map(|will| Letter {
        topic: Bytes::from(will.topic),
        payload: will.message,
        qos: quality(will.qos),
        retain: will.retain,
        packet_id: 0,
    });
    let (client_id, keep_alive_s) = (connect.client_id, connect.keep_alive);
    Hello { client_id, user, password, keep_alive_s, will, wants_dance: false }
}

fn hello_v5(connect: v5::Connect, will: Option<v5::LastWill>, auth: v5::ConnectAuth) -> Hello {
    let (user, password) = match auth {
        v5::ConnectAuth::None => (String::new(), String::new()),
        v5::ConnectAuth::Username { username } => (username, String::new()),
        v5::ConnectAuth::Password { password } => (String::new(), text(&password)),
        v5::ConnectAuth::UsernamePassword { username, password } => (username, text(&password)),
    };
    let will = will.map(|will| Letter {
        topic: will.topic,
        payload: will.message,
        qos: will.qos,
        retain: will.retain,
        packet_id: 0,
    });
    let wants_dance = connect.properties.is_some_and(|all| all.authentication_method.is_some());
    let (client_id, keep_alive_s) = (connect.client_id, connect.keep_alive);
    Hello { client_id, user, password, keep_alive_s, will, wants_dance }
}

/// What a client says after its login; `None` while it is incomplete.
pub(crate) fn request(
    version: Version,
    buffer: &mut BytesMut,
    max: usize,
) -> Result<Option<Request>, Breach> {
    match version {
        Version::V3 => take_v3(buffer, max)?.map(request_v3).transpose(),
        Version::V5 => take_v5(buffer, max)?.map(request_v5).transpose(),
    }
}

const STRANGE: Breach = Breach::Protocol("a packet that only a broker sends, or a second CONNECT");

fn request_v3(packet: v4::Packet) -> Result<Request, Breach> {
    Ok(match packet {
        v4::Packet::Publish(publish) => Request::Publish(Letter {
            topic: publish.topic,
            payload: publish.payload,
            qos: quality(publish.qos),
            retain: publish.retain,
            packet_id: publish.pkid,
        }),
        v4::Packet::Subscribe(subscribe) => Request::Subscribe {
            packet_id: subscribe.pkid,
            wishes: subscribe
                .filters
                .into_iter()
                .map(|filter| Wish { filter: filter.path, no_local: false, retained: true })
                .collect(),
        },
        v4::Packet::Unsubscribe(all) => {
            Request::Unsubscribe { packet_id: all.pkid, filters: all.topics }
        }
        v4::Packet::PubRel(release) => Request::Release { packet_id: release.pkid },
        v4::Packet::PingReq => Request::Ping,
        v4::Packet::Disconnect => Request::Leave { with_will: false },
        v4::Packet::PubAck(_) | v4::Packet::PubRec(_) | v4::Packet::PubComp(_) => Request::Nothing,
        _ => return Err(STRANGE),
    })
}

fn request_v5(packet: v5::Packet) -> Result<Request, Breach> {
    Ok(match packet {
        v5::Packet::Publish(publish) => {
            if publish.properties.is_some_and(|all| all.topic_alias.is_some()) {
                return Err(Breach::Protocol("a topic alias, where none is allowed"));
            }
            Request::Publish(Letter {
                topic: publish.topic,
                payload: publish.payload,
                qos: publish.qos,
                retain: publish.retain,
                packet_id: publish.pkid,
            })
        }
        v5::Packet::Subscribe(subscribe) => Request::Subscribe {
            packet_id: subscribe.pkid,
            wishes: subscribe
                .filters
                .into_iter()
                .map(|filter| Wish {
                    filter: filter.path,
                    no_local: filter.nolocal,
                    retained: filter.retain_forward_rule != v5::RetainForwardRule::Never,
                })
                .collect(),
        },
        v5::Packet::Unsubscribe(all) => {
            Request::Unsubscribe { packet_id: all.pkid, filters: all.filters }
        }
        v5::Packet::PubRel(release) => Request::Release { packet_id: release.pkid },
        v5::Packet::PingReq => Request::Ping,
        v5::Packet::Disconnect(leave) => {
            let with_will =
                leave.reason_code == v5::DisconnectReasonCode::DisconnectWithWillMessage;
            Request::Leave { with_will }
        }
        v5::Packet::PubAck(_) | v5::Packet::PubRec(_) | v5::Packet::PubComp(_) => Request::Nothing,
        _ => return Err(STRANGE),
    })
}

/// Writes an answer. What a version has no words for is left out.
pub(crate) fn write(version: Version, answer: Answer, buffer: &mut BytesMut) -> Result<(), Breach> {
    match version {
        Version::V3 => match answer_v3(answer) {
            Some(packet) => packet.write(buffer, usize::MAX).map(drop).map_err(unwritten),
            None => Ok(()),
        },
        Version::V5 => answer_v5(answer).write(buffer, None).map(drop).map_err(unwritten),
    }
}

fn unwritten(error: impl std::fmt::Display) -> Breach {
    Breach::Malformed(format!("answer: {error}"))
}

fn answer_v3(answer: Answer) -> Option<v4::Packet> {
    Some(match answer {
        Answer::Welcome { .. } => {
            v4::Packet::ConnAck(v4::ConnAck::new(v4::ConnectReturnCode::Success, false))
        }
        Answer::Unwelcome(code) => {
            let code = match code {
                v5::ConnectReturnCode::BadUserNamePassword => {
                    v4::ConnectReturnCode::BadUserNamePassword
                }
                v5::ConnectReturnCode::ClientIdentifierNotValid => {
                    v4::ConnectReturnCode::BadClientId
                }
                _ => v4::ConnectReturnCode::ServiceUnavailable,
            };
            v4::Packet::ConnAck(v4::ConnAck::new(code, false))
        }
        Answer::Acknowledged { packet_id, .. } => v4::Packet::PubAck(v4::PubAck::new(packet_id)),
        Answer::Received { packet_id } => v4::Packet::PubRec(v4::PubRec::new(packet_id)),
        Answer::Completed { packet_id } => v4::Packet::PubComp(v4::PubComp::new(packet_id)),
        Answer::Subscribed { packet_id, grants } => {
            let codes = grants.into_iter().map(|grant| match grant {
                Ok(()) => v4::SubscribeReasonCode::Success(V4QoS::AtMostOnce),
                Err(_) => v4::SubscribeReasonCode::Failure,
            });
            v4::Packet::SubAck(v4::SubAck::new(packet_id, codes.collect()))
        }
        Answer::Unsubscribed { packet_id, .. } => {
            v4::Packet::UnsubAck(v4::UnsubAck::new(packet_id))
        }
        Answer::Pong => v4::Packet::PingResp,
        Answer::Letter(letter) => v4::Packet::Publish(v4::Publish {
            dup: false,
            qos: V4QoS::AtMostOnce,
            retain: letter.retain,
            topic: letter.topic,
            pkid: 0,
            payload: letter.payload,
        }),
        Answer::Goodbye(_) => return None,
    })
}

fn answer_v5(answer: Answer) -> v5::Packet {
    match answer {
        Answer::Welcome { inflight_max, packet_bytes_max, assigned_id } => {
            let code = v5::ConnectReturnCode::Success;
            let properties = Some(limits(inflight_max, packet_bytes_max, assigned_id));
            v5::Packet::ConnAck(v5::ConnAck { session_present: false, code, properties })
        }
        Answer::Unwelcome(code) => {
            v5::Packet::ConnAck(v5::ConnAck { session_present: false, code, properties: None })
        }
        Answer::Acknowledged { packet_id, unheard } => {
            let mut ack = v5::PubAck::new(packet_id, None);
            if unheard {
                ack.reason = v5::PubAckReason::NoMatchingSubscribers;
            }
            v5::Packet::PubAck(ack)
        }
        Answer::Received { packet_id } => v5::Packet::PubRec(v5::PubRec::new(packet_id, None)),
        Answer::Completed { packet_id } => v5::Packet::PubComp(v5::PubComp::new(packet_id, None)),
        Answer::Subscribed { packet_id, grants } => {
            let codes = grants.into_iter().map(|grant| match grant {
                Ok(()) => v5::SubscribeReasonCode::Success(QoS::AtMostOnce),
                Err(Denied::NotAuthorized) => v5::SubscribeReasonCode::NotAuthorized,
                Err(Denied::Invalid) => v5::SubscribeReasonCode::TopicFilterInvalid,
                Err(Denied::TooMany) => v5::SubscribeReasonCode::QuotaExceeded,
                Err(Denied::Shared) => v5::SubscribeReasonCode::SharedSubscriptionsNotSupported,
            });
            let return_codes = codes.collect();
            v5::Packet::SubAck(v5::SubAck { pkid: packet_id, return_codes, properties: None })
        }
        Answer::Unsubscribed { packet_id, count } => {
            let reasons = vec![v5::UnsubAckReason::Success; count];
            v5::Packet::UnsubAck(v5::UnsubAck { pkid: packet_id, reasons, properties: None })
        }
        Answer::Pong => v5::Packet::PingResp,
        Answer::Letter(letter) => v5::Packet::Publish(v5::Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: letter.retain,
            topic: letter.topic,
            pkid: 0,
            payload: letter.payload,
            properties: None,
        }),
        Answer::Goodbye(reason) => v5::Packet::Disconnect(v5::Disconnect::new(reason)),
    }
}

/// What a client of version 5 is told of the broker's limits.
fn limits(
    inflight_max: u16,
    packet_bytes_max: u32,
    assigned_id: Option<String>,
) -> v5::ConnAckProperties {
    v5::ConnAckProperties {
        session_expiry_interval: Some(0),
        receive_max: Some(inflight_max),
        max_qos: None,
        retain_available: None,
        max_packet_size: Some(packet_bytes_max),
        assigned_client_identifier: assigned_id,
        topic_alias_max: Some(0),
        reason_string: None,
        user_properties: Vec::new(),
        wildcard_subscription_available: None,
        subscription_identifiers_available: Some(0),
        shared_subscription_available: Some(0),
        server_keep_alive: None,
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    }
}

fn quality(qos: V4QoS) -> QoS {
    match qos {
        V4QoS::AtMostOnce => QoS::AtMostOnce,
        V4QoS::AtLeastOnce => QoS::AtLeastOnce,
        V4QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 1_024;

    #[test]
    fn the_version_stands_in_the_first_packet() {
        let connect = |level: u8| [0x10, 0x10, 0, 4, b'M', b'Q', b'T', b'T', level];
        assert_eq!(version(&connect(4)).unwrap(), Some(Version::V3));
        assert_eq!(version(&connect(5)).unwrap(), Some(Version::V5));
        assert_eq!(version(&connect(5)[..7]).unwrap(), None);
        assert_eq!(version(&[]).unwrap(), None);
        assert!(matches!(version(&connect(6)), Err(Breach::Version(6))));
        assert!(matches!(version(b"\x10\x10\x00\x06MQIsdp\x03"), Err(Breach::Version(3))));
        assert!(version(b"GET / HTTP/1.1").is_err());
        assert!(version(&[0x10, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    }

    #[test]
    fn a_packet_too_large_is_known_by_its_header() {
        let mut buffer = BytesMut::from(&[0x30, 0xff, 0xff, 0x7f, 0, 0][..]);
        for version in [Version::V3, Version::V5] {
            assert!(matches!(
                request(version, &mut buffer.clone(), MAX),
                Err(Breach::TooLarge { max: MAX })
            ));
        }
        buffer.truncate(1);
        assert!(request(Version::V5, &mut buffer, MAX).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), first in 0..16u8) {
            let mut bytes = bytes;
            if let Some(byte) = bytes.first_mut() {
                *byte = first << 4 | (*byte & 0xf);
            }
            drop(version(&bytes));
            for version in [Version::V3, Version::V5] {
                drop(hello(version, &mut BytesMut::from(&bytes[..]), MAX));
                drop(request(version, &mut BytesMut::from(&bytes[..]), MAX));
            }
        }
    }
}
