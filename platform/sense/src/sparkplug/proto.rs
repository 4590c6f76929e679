//! The messages of `sparkplug_b.proto` (Eclipse Sparkplug 3.0, section 6.4), as far as readings
//! need them. Templates and properties stay bytes until somebody wants them, so that a small
//! message cannot become a large structure.

use bytes::Bytes;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};

/// Bytes of one message.
pub(super) const PAYLOAD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Metrics in one message.
pub(super) const METRICS_MAX: usize = 50_000;
const METRICS_TAG: u32 = 2;
/// Bytes of one metric's properties.
const PROPERTIES_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Payload {
    /// Milliseconds since 1970.
    #[prost(uint64, optional, tag = "1")]
    pub(super) timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    pub(super) metrics: Vec<Metric>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) seq: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) alias: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    pub(super) datatype: Option<u32>,
    #[prost(bool, optional, tag = "5")]
    pub(super) is_historical: Option<bool>,
    #[prost(bool, optional, tag = "6")]
    pub(super) is_transient: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub(super) is_null: Option<bool>,
    #[prost(bytes = "bytes", optional, tag = "9")]
    pub(super) properties: Option<Bytes>,
    #[prost(oneof = "MetricValue", tags = "10, 11, 12, 13, 14, 15, 16, 17, 18")]
    pub(super) value: Option<MetricValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum MetricValue {
    #[prost(uint32, tag = "10")]
    Int(u32),
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(float, tag = "12")]
    Float(f32),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Boolean(bool),
    #[prost(bytes, tag = "15")]
    Text(Bytes),
    #[prost(bytes, tag = "16")]
    Bytes(Bytes),
    #[prost(bytes, tag = "17")]
    DataSet(Bytes),
    #[prost(bytes, tag = "18")]
    Template(Bytes),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Template {
    #[prost(message, repeated, tag = "2")]
    pub(super) metrics: Vec<Metric>,
    #[prost(bool, optional, tag = "5")]
    pub(super) is_definition: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PropertySet {
    #[prost(string, repeated, tag = "1")]
    pub(super) keys: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub(super) values: Vec<PropertyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PropertyValue {
    #[prost(uint32, optional, tag = "1")]
    pub(super) datatype: Option<u32>,
    #[prost(bool, optional, tag = "2")]
    pub(super) is_null: Option<bool>,
    #[prost(oneof = "PropertyContent", tags = "3, 4, 5, 6, 7, 8")]
    pub(super) value: Option<PropertyContent>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum PropertyContent {
    #[prost(uint32, tag = "3")]
    Int(u32),
    #[prost(uint64, tag = "4")]
    Long(u64),
    #[prost(float, tag = "5")]
    Float(f32),
    #[prost(double, tag = "6")]
    Double(f64),
    #[prost(bool, tag = "7")]
    Boolean(bool),
    #[prost(string, tag = "8")]
    Text(String),
}

/// Reads a message; the reason when it is none.
pub(super) fn read_payload(bytes: Bytes) -> Result<Payload, String> {
    if bytes.len() > PAYLOAD_BYTES_MAX {
        return Err(format!("{} bytes; at most {PAYLOAD_BYTES_MAX} are read", bytes.len()));
    }
    count_metrics(bytes.clone())?;
    Payload::decode(bytes).map_err(|error| format!("no Sparkplug message: {error}"))
}

pub(super) fn read_template(bytes: Bytes) -> Result<Template, String> {
    count_metrics(bytes.clone())?;
    Template::decode(bytes).map_err(|error| format!("no template: {error}"))
}

/// `None` when they cannot be read or are too many: properties only adorn.
pub(super) fn read_properties(bytes: &Bytes) -> Option<PropertySet> {
    if bytes.len() > PROPERTIES_BYTES_MAX {
        return None;
    }
    PropertySet::decode(bytes.clone()).ok()
}

/// Metrics stand under the same number in a payload and in a template.
fn count_metrics(mut bytes: Bytes) -> Result<(), String> {
    let wrong = |error: prost::DecodeError| format!("no Sparkplug message: {error}");
    let mut metrics = 0;
    while !bytes.is_empty() {
        let (tag, wire) = decode_key(&mut bytes).map_err(wrong)?;
        if tag == METRICS_TAG && wire == WireType::LengthDelimited {
            metrics += 1;
            if metrics > METRICS_MAX {
                return Err(format!("more than {METRICS_MAX} metrics in one message"));
            }
        }
        skip_field(wire, tag, &mut bytes, DecodeContext::default()).map_err(wrong)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_small_message_cannot_become_a_large_one() {
        let empty_metrics = Bytes::from([0x12, 0x00].repeat(METRICS_MAX + 1));
        assert!(read_payload(empty_metrics).unwrap_err().contains("metrics"));
        assert!(read_payload(Bytes::from(vec![0; PAYLOAD_BYTES_MAX + 1])).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bytes = Bytes::from(bytes);
            drop(read_payload(bytes.clone()));
            drop(read_template(bytes.clone()));
            drop(read_properties(&bytes));
        }

        #[test]
        fn what_is_written_is_read(
            seq in any::<u64>(),
            values in proptest::collection::vec((any::<u64>(), any::<f64>()), 0..20),
        ) {
            let metrics = values.iter().map(|(alias, value)| Metric {
                alias: Some(*alias),
                value: Some(MetricValue::Long(value.to_bits())),
                ..Metric::default()
            });
            let payload = Payload { timestamp: Some(1), metrics: metrics.collect(), seq: Some(seq) };
            prop_assert_eq!(read_payload(payload.encode_to_vec().into()), Ok(payload));
        }
    }
}
