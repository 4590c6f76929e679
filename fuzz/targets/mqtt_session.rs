//! Conversations of several clients with the broker. Whatever the others say, the good client's
//! messages are stored and acknowledged.
#![no_main]

use std::sync::{Arc, Mutex};

use arbitrary::Arbitrary;
use broker::{Broker, BrokerSettings, Client, Verify};
use fuzz::{GOOD_KEY, GOOD_VALUE, pen, runtime};
use kernel::{Reading, SystemClock};
use libfuzzer_sys::fuzz_target;
use sense::{Delivery, ReadingSink, Receipt, SinkError};

const CLIENTS_MAX: usize = 4;
const PACKETS_MAX: usize = 64;
const GOOD: u16 = 3;

#[derive(Arbitrary, Debug)]
struct Talker<'a> {
    five: bool,
    client: u8,
    user: u8,
    will: Option<(Topic<'a>, &'a [u8])>,
    says: Vec<Packet<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Packet<'a> {
    Publish { topic: Topic<'a>, payload: &'a [u8], qos: u8, retain: bool, id: u16 },
    Subscribe { filters: Vec<Topic<'a>>, id: u16 },
    Unsubscribe { filters: Vec<Topic<'a>>, id: u16 },
    Answer { kind: u8, id: u16 },
    Ping,
    Leave,
    Connect,
    Raw(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
enum Topic<'a> {
    Reading,
    Command,
    All,
    Sparkplug,
    Raw(&'a [u8]),
}

impl Topic<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Topic::Reading => b"plainview/s/a/m",
            Topic::Command => b"valves/1/command",
            Topic::All => b"#",
            Topic::Sparkplug => b"spBv1.0/g/NCMD/n",
            Topic::Raw(bytes) => bytes,
        }
    }
}

#[derive(Default)]
struct Store(Mutex<Vec<Reading>>);

impl ReadingSink for Store {
    fn submit(
        &self,
        delivery: Delivery,
    ) -> futures_util::future::BoxFuture<'_, Result<Receipt, SinkError>> {
        Box::pin(async move {
            let accepted = delivery.readings.len();
            self.0.lock().expect("no panic before").extend(delivery.readings);
            Ok(Receipt { accepted, refused: Vec::new(), offset: Some(1) })
        })
    }
}

fuzz_target!(|talkers: Vec<Talker<'_>>| {
    let clients = talkers.iter().take(CLIENTS_MAX).map(speech).chain([good()]).collect();
    let settings = BrokerSettings { inflight_max: 4, ..BrokerSettings::default() };
    let verify: Verify = Arc::new(|user, _| {
        Box::pin(async move {
            let free = !user.ends_with('1');
            Ok(Some(Client { name: user, may_read: free, may_command: free }))
        })
    });
    let broker = Broker::new("fuzz", settings, verify, SystemClock::shared()).expect("settings");
    let store = Arc::new(Store::default());
    let sink: Arc<dyn ReadingSink> = Arc::<Store>::clone(&store);
    let heard = runtime().block_on(broker::fuzz::converse(broker, sink, clients));
    let acks = heard
        .last()
        .expect("the good client")
        .chunks(4)
        .filter(|part| part.starts_with(&[0x40, 2]));
    assert_eq!(acks.count(), usize::from(GOOD), "{heard:?}");
    let kept = store.0.lock().expect("no panic before");
    let probes = kept.iter().filter(|r| r.sensor.as_str() == GOOD_KEY && r.value == GOOD_VALUE);
    assert!(probes.count() >= usize::from(GOOD));
});

fn speech(talker: &Talker<'_>) -> Vec<u8> {
    let five = talker.five;
    let (client, user) = ([b'c', b'0' + talker.client % 3], [b'u', b'0' + talker.user % 3]);
    let will = talker.will.as_ref().map(|(topic, message)| (topic.bytes(), *message));
    let hello = pen::connect(five, &client, &user, will);
    let mut out = hello.clone();
    for packet in talker.says.iter().take(PACKETS_MAX) {
        out.extend(match packet {
            Packet::Publish { topic, payload, qos, retain, id } => {
                pen::publish(five, topic.bytes(), payload, qos % 4, *retain, *id)
            }
            Packet::Subscribe { filters, id } => {
                let filters: Vec<&[u8]> = filters.iter().map(Topic::bytes).collect();
                pen::subscribe(five, &filters, *id)
            }
            Packet::Unsubscribe { filters, id } => {
                let filters: Vec<&[u8]> = filters.iter().map(Topic::bytes).collect();
                pen::unsubscribe(five, &filters, *id)
            }
            Packet::Answer { kind, id } => pen::answer(4 + kind % 4, *id),
            Packet::Ping => pen::ping(),
            Packet::Leave => pen::leave(),
            Packet::Connect => hello.clone(),
            Packet::Raw(bytes) => bytes.to_vec(),
        });
    }
    out
}

fn good() -> Vec<u8> {
    let mut out = pen::connect(false, b"good", b"good", None);
    for id in 1..=GOOD {
        out.extend(pen::publish(false, b"plainview/fuzz/good/probe", b"42.25", 1, false, id));
    }
    out.extend(pen::leave());
    out
}
