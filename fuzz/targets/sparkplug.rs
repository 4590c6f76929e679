//! Births, data and deaths of Sparkplug B through the host's memory of its nodes. Whatever the other
//! nodes say, the good node's value is read.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use fuzz::pen::{bytes, fixed32, fixed64, varint};
use fuzz::{GOOD_VALUE, NOW, bounded, has_probe, sound};
use libfuzzer_sys::fuzz_target;
use sense::sparkplug::fuzz::Memory;

const MESSAGES_MAX: usize = 32;
const TEMPLATE_DEPTH_MAX: usize = 6;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Said { verb: Verb, node: u8, device: Option<u8>, payload: Payload<'a> },
    Raw { topic: &'a str, payload: &'a [u8] },
    LinkIsNew,
    Wait { seconds: u16 },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Verb {
    Birth,
    Data,
    Death,
}

#[derive(Arbitrary, Debug)]
enum Payload<'a> {
    Built { at: Option<u64>, seq: Option<u8>, metrics: Vec<Metric<'a>> },
    Raw(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
struct Metric<'a> {
    name: Option<Name<'a>>,
    alias: Option<u8>,
    at: Option<u64>,
    datatype: u8,
    flags: u8,
    properties: &'a [u8],
    value: Value<'a>,
}

#[derive(Arbitrary, Debug)]
enum Name<'a> {
    Short(u8),
    BdSeq,
    Raw(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Value<'a> {
    None,
    Int(u32),
    Long(u64),
    Float(u32),
    Double(u64),
    Truth(bool),
    Text(&'a str),
    Template(Vec<Metric<'a>>),
    Raw(u8, &'a [u8]),
}

impl Metric<'_> {
    fn write(&self, depth: usize) -> Vec<u8> {
        let mut out = Vec::new();
        match &self.name {
            None => {}
            Some(Name::Short(name)) => out.extend(bytes(1, format!("m{}", name % 4))),
            Some(Name::BdSeq) => out.extend(bytes(1, "bdSeq")),
            Some(Name::Raw(name)) => out.extend(bytes(1, name)),
        }
        if let Some(alias) = self.alias {
            out.extend(varint(2, u64::from(alias % 8)));
        }
        if let Some(at) = self.at {
            out.extend(varint(3, at));
        }
        out.extend(varint(4, u64::from(self.datatype % 24)));
        for (bit, field) in [(1, 5), (2, 6), (4, 7)] {
            if self.flags & bit != 0 {
                out.extend(varint(field, 1));
            }
        }
        if !self.properties.is_empty() {
            out.extend(bytes(9, self.properties));
        }
        out.extend(match &self.value {
            Value::None => Vec::new(),
            Value::Int(value) => varint(10, u64::from(*value)),
            Value::Long(value) => varint(11, *value),
            Value::Float(bits) => fixed32(12, *bits),
            Value::Double(bits) => fixed64(13, *bits),
            Value::Truth(value) => varint(14, u64::from(*value)),
            Value::Text(text) => bytes(15, text),
            Value::Template(_) if depth >= TEMPLATE_DEPTH_MAX => Vec::new(),
            Value::Template(members) => {
                let members: Vec<u8> =
                    members.iter().flat_map(|member| bytes(2, member.write(depth + 1))).collect();
                bytes(18, members)
            }
            Value::Raw(field, raw) => bytes(15 + u32::from(field % 4), raw),
        });
        out
    }
}

impl Payload<'_> {
    fn write(&self) -> Vec<u8> {
        let (at, seq, metrics) = match self {
            Payload::Raw(raw) => return raw.to_vec(),
            Payload::Built { at, seq, metrics } => (at, seq, metrics),
        };
        let mut out: Vec<u8> =
            metrics.iter().flat_map(|metric| bytes(2, metric.write(0))).collect();
        out.extend(at.map(|at| varint(1, at)).unwrap_or_default());
        out.extend(seq.map(|seq| varint(3, u64::from(seq))).unwrap_or_default());
        out
    }
}

fn topic(verb: Verb, node: u8, device: Option<u8>) -> String {
    let word = match verb {
        Verb::Birth => "BIRTH",
        Verb::Data => "DATA",
        Verb::Death => "DEATH",
    };
    match device {
        None => format!("spBv1.0/g/N{word}/n{}", node % 3),
        Some(device) => format!("spBv1.0/g/D{word}/n{}/d{}", node % 3, device % 3),
    }
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let mut memory = Memory::new("{group}/{node}/{device}/{metric}").expect("a template");
    let mut now = NOW;
    let mut spoken = 0;
    for step in steps.iter().take(MESSAGES_MAX) {
        match step {
            Step::Said { verb, node, device, payload } => {
                let payload = payload.write();
                spoken += payload.len();
                hear(&mut memory, &topic(*verb, *node, *device), &payload, now, spoken);
            }
            Step::Raw { topic, payload } => {
                spoken += topic.len() + payload.len();
                hear(&mut memory, topic, payload, now, spoken);
            }
            Step::LinkIsNew => memory.link_is_new(now),
            Step::Wait { seconds } => {
                now = now.plus(Duration::from_secs(u64::from(*seconds)));
                sound(&memory.lapse(now).readings);
                assert!(memory.questions(now) <= memory.size().0);
            }
        }
    }
    let value =
        bytes(2, [bytes(1, "probe"), varint(4, 10), fixed64(13, GOOD_VALUE.to_bits())].concat());
    let birth = [value.clone(), varint(3, 0)].concat();
    let heard = memory.hear("spBv1.0/fuzz/NBIRTH/good", &birth, now).expect("a message");
    assert!(has_probe(&heard.readings) && heard.refused == 0, "{heard:?}");
    let data = [value, varint(3, 1)].concat();
    let heard = memory.hear("spBv1.0/fuzz/NDATA/good", &data, now).expect("a message");
    assert!(has_probe(&heard.readings) && heard.refused == 0, "{heard:?}");
});

fn hear(memory: &mut Memory, topic: &str, payload: &[u8], now: kernel::Timestamp, spoken: usize) {
    // A tag said before may be said stale again; so all that was spoken counts.
    let heard = bounded(topic.len() + spoken, 64 << 10, 1_000, || memory.hear(topic, payload, now));
    let Some(heard) = heard else { return };
    sound(&heard.readings);
    assert!(heard.named.len() as u64 <= heard.refused.max(20) + payload.len() as u64);
}
