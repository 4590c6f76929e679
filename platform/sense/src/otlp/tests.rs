use super::*;
use crate::labels::KnownSensor;
use crate::wire::write::{bytes, double, fixed, int};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const NANOS: u64 = 1_700_000_000_123_456_789;

fn read_with(body: &[u8], encoding: Encoding, latest: Option<f64>) -> Result<Exported, SenseError> {
    let mapping = KeyMapping::default();
    let lookup = |_: &SensorKey| latest.map(|value| KnownSensor { latest: Some(value) });
    Reader { mapping: &mapping, lookup: &lookup, received: NOW }.read(body, encoding)
}

fn read(body: &[u8], encoding: Encoding) -> Exported {
    read_with(body, encoding, None).unwrap()
}

fn attribute(number: u32, name: &str, value: &str) -> Vec<u8> {
    bytes(number, [bytes(1, name), bytes(2, bytes(1, value))].concat())
}

/// A request of one metric, whose `data` is under field `kind`.
fn request(name: &str, unit: &str, kind: u32, data: &[u8]) -> Vec<u8> {
    let metric = [bytes(1, name), bytes(2, "what it is"), bytes(3, unit), bytes(kind, data)];
    let scope = [bytes(1, bytes(1, "meter")), bytes(2, metric.concat())].concat();
    let resource = [
        attribute(1, "service.name", "press"),
        attribute(1, "service.instance.id", "p-2"),
        attribute(1, "telemetry.sdk.language", "rust"),
    ];
    bytes(1, [bytes(1, resource.concat()), bytes(2, scope)].concat())
}

fn json(metric: &serde_json::Value) -> Vec<u8> {
    serde_json::json!({"resourceMetrics": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "press"}},
            {"key": "service.instance.id", "value": {"stringValue": "p-2"}},
            {"key": "telemetry.sdk.language", "value": {"stringValue": "rust"}},
        ]},
        "scopeMetrics": [{"scope": {"name": "meter"}, "metrics": [metric]}],
    }]})
    .to_string()
    .into_bytes()
}

fn named(exported: &Exported) -> Vec<(String, f64)> {
    exported.rows.readings.iter().map(|r| (r.sensor.to_string(), r.value)).collect()
}

#[test]
fn both_encodings_say_the_same() {
    let point = [fixed(3, NANOS), double(4, 71.5), attribute(7, "bearing", "de")].concat();
    let written = request("oil.temperature", "Cel", 5, &bytes(1, point));
    let from_protobuf = read(&written, Encoding::Protobuf);
    let from_json = read(
        &json(&serde_json::json!({
            "name": "oil.temperature", "unit": "Cel", "description": "what it is",
            "gauge": {"dataPoints": [{
                "timeUnixNano": NANOS.to_string(), "asDouble": 71.5,
                "attributes": [{"key": "bearing", "value": {"stringValue": "de"}}],
            }]},
        })),
        Encoding::Json,
    );
    assert_eq!(from_protobuf, from_json);
    let reading = &from_protobuf.rows.readings[0];
    assert_eq!(reading.sensor.as_str(), "press/p-2/oil.temperature/bearing:de");
    assert_eq!((reading.value, reading.unit.as_deref()), (71.5, Some("°C")));
    assert_eq!(reading.at.as_micros(), 1_700_000_000_123_456);
    let metadata = from_protobuf.rows.hints[0].metadata.as_ref().unwrap();
    assert_eq!(metadata["labels"]["__name__"], "oil_temperature");
    assert_eq!(metadata["resource"]["telemetry.sdk.language"], "rust");
    assert_eq!((&metadata["type"], &metadata["unit"]), (&"gauge".into(), &"Cel".into()));
}

#[test]
fn histograms_become_cumulative_buckets() {
    let packed = |numbers: &[u64]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
    let bounds = packed(&[0.5_f64.to_bits(), 1.0_f64.to_bits()]);
    let point = [
        fixed(3, NANOS),
        fixed(4, 6),
        double(5, 4.5),
        bytes(6, packed(&[1, 2, 3])),
        bytes(7, bounds),
        double(12, 2.5),
    ]
    .concat();
    let exported = read(&request("lag", "s", 9, &bytes(1, point)), Encoding::Protobuf);
    let expected = [
        ("press/p-2/lag_count", 6.0),
        ("press/p-2/lag_sum", 4.5),
        ("press/p-2/lag_max", 2.5),
        ("press/p-2/lag_bucket/le:0.5", 1.0),
        ("press/p-2/lag_bucket/le:1", 3.0),
        ("press/p-2/lag_bucket/le:Inf", 6.0),
    ];
    assert_eq!(named(&exported), expected.map(|(name, value)| (name.to_owned(), value)));
    let units: Vec<_> = exported.rows.readings.iter().map(|r| r.unit.as_deref()).collect();
    assert_eq!(units, [None, Some("s"), Some("s"), None, None, None]);
    assert_eq!(exported.rows.rows, [0; 6]);
}

#[test]
fn summaries_sums_and_exponential_histograms() {
    let quantile = bytes(6, [double(1, 0.99), double(2, 7.0)].concat());
    let summary = [fixed(3, NANOS), fixed(4, 2), double(5, 9.0), quantile].concat();
    let exported = read(&request("wait", "ms", 11, &bytes(1, summary)), Encoding::Protobuf);
    assert_eq!(named(&exported)[2], ("press/p-2/wait/quantile:0.99".to_owned(), 7.0));
    let sum = [bytes(1, [fixed(3, NANOS), fixed(6, (-3_i64).cast_unsigned())].concat()), int(2, 1)];
    let exported = read(&request("parts", "{part}", 7, &sum.concat()), Encoding::Protobuf);
    assert_eq!(named(&exported), [("press/p-2/parts".to_owned(), -3.0)]);
    let metadata = exported.rows.hints[0].metadata.as_ref().unwrap();
    assert_eq!((&metadata["type"], &metadata["temporality"]), (&"gauge".into(), &"delta".into()));
    let exponential = [fixed(3, NANOS), fixed(4, 2), double(5, 9.0), double(12, 4.0)].concat();
    let exported = read(&request("size", "By", 10, &bytes(1, exponential)), Encoding::Protobuf);
    assert_eq!((exported.without_buckets, exported.rows.readings.len()), (1, 3));
}

#[test]
fn faulty_points_are_named_and_the_good_ones_taken() {
    let bad = |what: serde_json::Value| {
        let mut point = serde_json::json!({"timeUnixNano": "1700000000000000000"});
        point.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        point
    };
    let exported = read(
        &json(&serde_json::json!({"name": "m", "sum": {"isMonotonic": true, "dataPoints": [
            bad(serde_json::json!({"asInt": "7"})),
            bad(serde_json::json!({"asDouble": "Infinity"})),
            bad(serde_json::json!({})),
            bad(serde_json::json!({"asDouble": "NaN"})),
            bad(serde_json::json!({"asDouble": 1, "timeUnixNano": u64::MAX.to_string()})),
            bad(serde_json::json!({"asDouble": 2, "timeUnixNano": 0})),
            bad(serde_json::json!({"flags": 1})),
        ]}})),
        Encoding::Json,
    );
    let faults: Vec<_> = exported.rows.refused.iter().map(|r| (r.row, r.field.as_str())).collect();
    assert_eq!(faults, [(1, "value"), (2, "value")]);
    assert_eq!(exported.rows.rows, [0, 4, 5]);
    assert_eq!((exported.points, exported.valueless), (7, 2));
    assert_eq!(exported.rows.readings[2].at, NOW);
}

#[test]
fn a_point_without_a_value_makes_the_last_one_old() {
    let point = [fixed(3, NANOS), int(8, 1)].concat();
    let body = request("m", "Cel", 5, &bytes(1, point));
    let exported = read_with(&body, Encoding::Protobuf, Some(4.0)).unwrap();
    let reading = &exported.rows.readings[0];
    assert_eq!((reading.value, reading.quality), (4.0, Quality::Bad(Reason::Stale)));
    assert!(read(&body, Encoding::Protobuf).rows.readings.is_empty());
}

#[test]
fn numbers_of_json_are_read_to_the_last_bit() {
    for value in [0.020684058999999998, 1795287125.7839723, f64::MAX, f64::MIN_POSITIVE, -0.1] {
        for written in [serde_json::json!(value), serde_json::json!(value.to_string())] {
            let points = serde_json::json!([{"asDouble": written}]);
            let metric = serde_json::json!({"name": "m", "gauge": {"dataPoints": points}});
            let read = read(&json(&metric), Encoding::Json);
            assert_eq!(read.rows.readings[0].value.to_bits(), value.to_bits());
        }
    }
    let wrong = serde_json::json!({"name": "m", "gauge": {"dataPoints": [{"asDouble": "x"}]}});
    assert!(read_with(&json(&wrong), Encoding::Json, None).is_err());
}

#[test]
fn attributes_of_every_type_become_text() {
    let exported = read(
        &json(
            &serde_json::json!({"name": "m", "gauge": {"dataPoints": [{"asInt": 1, "attributes": [
                {"key": "http.method", "value": {"stringValue": "GET"}},
                {"key": "http_method", "value": {"intValue": "7"}},
                {"key": "on", "value": {"boolValue": true}},
                {"key": "list", "value": {"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "a"}]}}},
            ]}]}}),
        ),
        Encoding::Json,
    );
    let labels = &exported.rows.hints[0].metadata.as_ref().unwrap()["labels"];
    assert_eq!(labels["http_method"], "GET;7");
    assert_eq!((&labels["on"], &labels["list"]), (&"true".into(), &"[1,\"a\"]".into()));
}

#[test]
fn answers_are_in_the_encoding_of_the_question() {
    assert!(partial_success(Encoding::Protobuf, 0, "").is_empty());
    assert_eq!(partial_success(Encoding::Json, 0, ""), b"{}");
    let json = partial_success(Encoding::Json, 2, "why");
    assert_eq!(
        String::from_utf8(json).unwrap(),
        r#"{"partialSuccess":{"errorMessage":"why","rejectedDataPoints":"2"}}"#
    );
    let written = partial_success(Encoding::Protobuf, 2, "why");
    assert_eq!(written, bytes(1, [int(1, 2), bytes(2, "why")].concat()));
}

#[test]
fn whole_bodies_are_refused() {
    assert!(matches!(
        read_with(b"{\"resourceMetrics\": 7}", Encoding::Json, None),
        Err(SenseError::Json { line: 1, .. })
    ));
    assert!(matches!(
        read_with(&[0x0a, 9], Encoding::Protobuf, None),
        Err(SenseError::Protobuf(_))
    ));
    let long = vec![b' '; JSON_BYTES_MAX + 1];
    assert!(matches!(read_with(&long, Encoding::Json, None), Err(SenseError::TooLarge { .. })));
    // Two bytes a point on the wire, and never more than the limit in memory.
    let points = bytes(1, fixed(6, 1)).repeat(READINGS_MAX + 1);
    let many = request("m", "", 5, &points);
    assert!(matches!(
        read_with(&many, Encoding::Protobuf, None),
        Err(SenseError::TooManyRows { .. })
    ));
}

/// Lists in lists were copied whole at each level: a small body became gigabytes.
#[test]
fn deep_attributes_are_cut_in_both_encodings() {
    let mut value = serde_json::json!({"stringValue": "core"});
    let mut packed = bytes(1, "core");
    for _ in 0..6 {
        value = serde_json::json!({"arrayValue": {"values": [value]}});
        packed = bytes(5, bytes(1, packed));
    }
    let metric = serde_json::json!({"name": "t", "gauge": {"dataPoints": [
        {"asDouble": 1.0, "attributes": [{"key": "deep", "value": value}]}]}});
    let attribute = bytes(7, [bytes(1, "deep"), bytes(2, packed)].concat());
    let point = bytes(1, [attribute, double(4, 1.0)].concat());
    let (text, binary) = (json(&metric), request("t", "", 5, &point));
    let labels = |body: &[u8], encoding| {
        let read = read(body, encoding);
        read.rows.hints[0].metadata.as_ref().unwrap()["labels"]["deep"].clone()
    };
    assert_eq!(labels(&text, Encoding::Json), "[[[[[]]]]]");
    assert_eq!(labels(&binary, Encoding::Protobuf), "[[[[[]]]]]");
}

proptest! {
    #[test]
    fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(read_with(&body, Encoding::Protobuf, Some(1.0)));
        drop(read_with(&body, Encoding::Json, Some(1.0)));
    }

    #[test]
    fn never_panics_inside_a_metric(
        data in proptest::collection::vec(any::<u8>(), 0..200),
        kind in prop::sample::select(vec![5_u32, 7, 9, 10, 11]),
    ) {
        let body = request("m", "s", kind, &bytes(1, data));
        drop(read_with(&body, Encoding::Protobuf, Some(1.0)));
    }
}
