//! What the fuzzers under `fuzz/` reach of this crate. Nothing else uses it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use rumqttc::mqttbytes::QoS;
use sense::ReadingSink;
use sense::mqtt::{Intake, Message, Room};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Broker;
use crate::codec::{self, Answer, Letter, Request, Version};
use crate::hub::Hub;
use crate::session::{Debt, House, Token, serve};

const MESSAGES_MAX: usize = 64;
const WIRE_BYTES: usize = 64 * 1024;

fn version(five: bool) -> Version {
    if five { Version::V5 } else { Version::V3 }
}

/// Topic and payload of every message in a stream of packets, and why the rest is none.
#[must_use]
pub fn letters(five: bool, stream: &[u8], bytes_max: usize) -> (Vec<(Bytes, Bytes)>, String) {
    let mut buffer = BytesMut::from(stream);
    let mut found = Vec::new();
    loop {
        let before = buffer.len();
        match codec::request(version(five), &mut buffer, bytes_max) {
            Ok(Some(request)) => {
                assert!(buffer.len() < before, "a packet takes at least a byte");
                if let Request::Publish(letter) = request {
                    found.push((letter.topic, letter.payload));
                }
            }
            Ok(None) => return (found, String::new()),
            Err(breach) => return (found, breach.to_string()),
        }
    }
}

/// Reads a stream as a login; whether it is a whole one.
#[must_use]
pub fn is_login(stream: &[u8], bytes_max: usize) -> bool {
    let Ok(Some(version)) = codec::version(stream) else { return false };
    codec::hello(version, &mut BytesMut::from(stream), bytes_max).is_ok_and(|hello| hello.is_some())
}

/// A message as the broker writes it; `None` when it refuses to.
#[must_use]
pub fn written(five: bool, topic: &str, payload: &[u8], retain: bool) -> Option<Vec<u8>> {
    let letter = Letter {
        topic: Bytes::copy_from_slice(topic.as_bytes()),
        payload: Bytes::copy_from_slice(payload),
        qos: QoS::AtMostOnce,
        retain,
        packet_id: 0,
    };
    let mut out = BytesMut::new();
    codec::write(version(five), Answer::Letter(letter), &mut out).ok()?;
    Some(out.to_vec())
}

/// Lets clients say all of this to the broker at once, each on a connection of its own, and
/// returns what each of them heard.
pub async fn converse(
    broker: Broker,
    sink: Arc<dyn ReadingSink>,
    clients: Vec<Vec<u8>>,
) -> Vec<Vec<u8>> {
    let (broker, stop) = (Arc::new(broker), CancellationToken::new());
    let (intake, waiting) = mpsc::channel::<Message<Token>>(MESSAGES_MAX);
    let house = House {
        broker: Arc::clone(&broker),
        hub: Arc::new(Hub::default()),
        intake,
        room: Room::new(),
        stop: stop.clone(),
    };
    let keeper = Intake {
        mapping: broker.mapping.clone(),
        origin: broker.settings.origin,
        clock: Arc::clone(&broker.clock),
        status: broker.status.clone(),
        sink,
        stop,
    };
    let keeping = keeper.run(waiting, |token: Token| {
        if let Some(debt) = token {
            Debt::pay(debt);
        }
    });
    let talking =
        async move { join_all(clients.into_iter().map(|said| talk(house.clone(), said))).await };
    tokio::join!(talking, keeping).0
}

async fn talk(house: House, said: Vec<u8>) -> Vec<u8> {
    let (ours, theirs) = tokio::io::duplex(WIRE_BYTES);
    let client = async move {
        let (mut reader, mut writer) = tokio::io::split(ours);
        let speaking = async {
            // The broker may hang up in the middle.
            drop(writer.write_all(&said).await);
            drop(writer.shutdown().await);
        };
        let mut heard = Vec::new();
        let (_, read) = tokio::join!(speaking, reader.read_to_end(&mut heard));
        drop(read);
        heard
    };
    tokio::join!(serve(house, theirs, "fuzz".to_owned()), client).1
}
