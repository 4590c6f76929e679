//! What an OPC UA server says of a value, in our words.
#![no_main]

use arbitrary::Arbitrary;
use fuzz::NOW;
use kernel::SensorKey;
use libfuzzer_sys::fuzz_target;
use opcua_types::{DataValue, DateTime, NodeId, StatusCode, Variant};

#[allow(dead_code, unreachable_pub, reason = "a private part of the opcua crate")]
#[path = "../../platform/opcua/src/tags.rs"]
mod tags;
#[allow(dead_code, unreachable_pub, reason = "a private part of the opcua crate")]
#[path = "../../platform/opcua/src/values.rs"]
mod values;

#[derive(Arbitrary, Debug)]
struct Said<'a> {
    value: Option<Value<'a>>,
    status: Option<u32>,
    source: Option<i64>,
    server: Option<i64>,
    how: u8,
}

#[derive(Arbitrary, Debug)]
enum Value<'a> {
    Empty,
    Truth(bool),
    SByte(i8),
    Byte(u8),
    Int16(i16),
    UInt16(u16),
    Int32(i32),
    UInt32(u32),
    Int64(i64),
    UInt64(u64),
    Float(f32),
    Double(f64),
    Text(&'a str),
    Time(i64),
    Status(u32),
    Inner(u32),
    List(Vec<f64>),
}

impl Said<'_> {
    fn data(&self) -> DataValue {
        let value = self.value.as_ref().map(|value| match value {
            Value::Empty => Variant::Empty,
            Value::Truth(it) => Variant::from(*it),
            Value::SByte(it) => Variant::from(*it),
            Value::Byte(it) => Variant::from(*it),
            Value::Int16(it) => Variant::from(*it),
            Value::UInt16(it) => Variant::from(*it),
            Value::Int32(it) => Variant::from(*it),
            Value::UInt32(it) => Variant::from(*it),
            Value::Int64(it) => Variant::from(*it),
            Value::UInt64(it) => Variant::from(*it),
            Value::Float(it) => Variant::from(*it),
            Value::Double(it) => Variant::from(*it),
            Value::Text(it) => Variant::from(*it),
            Value::Time(ticks) => Variant::from(DateTime::from(*ticks)),
            Value::Status(code) => Variant::from(StatusCode::from(*code)),
            Value::Inner(it) => Variant::Variant(Box::new(Variant::from(*it))),
            Value::List(all) => Variant::from(all.clone()),
        });
        DataValue {
            value,
            status: self.status.map(StatusCode::from),
            source_timestamp: self.source.map(DateTime::from),
            server_timestamp: self.server.map(DateTime::from),
            ..DataValue::null()
        }
    }
}

fuzz_target!(|all: Vec<Said<'_>>| {
    let mut tag = tags::Tag {
        node: NodeId::new(2, "Pump"),
        sensor: SensorKey::new("a/b/c").expect("a key"),
        unit: None,
        sampling_ms: 100,
        deadband: None,
        last: tags::Last::default(),
    };
    for said in &all {
        let data = said.data();
        let reading = match said.how % 4 {
            0 => tag.hear(&data, NOW).ok(),
            1 => tag.confirm(&data, NOW).ok(),
            2 => tag.past(&data),
            _ => tag.expire(NOW),
        };
        let Some(reading) = reading else { continue };
        fuzz::sound(std::slice::from_ref(&reading));
        if said.how % 4 < 2 && said.status.is_some_and(|bits| bits >> 31 == 1) {
            assert!(reading.quality.is_bad(), "{said:?} {reading:?}");
        }
    }
});
