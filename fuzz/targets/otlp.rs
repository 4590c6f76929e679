//! OTLP metrics, protobuf and JSON: what is a message at all keeps the good point in it.
#![no_main]

use fuzz::pen::{bytes, fixed64};
use fuzz::{GOOD_VALUE, NOW, bounded, has_probe, sound};
use kernel::SensorKey;
use libfuzzer_sys::fuzz_target;
use sense::line::KeyMapping;
use sense::otlp::{Encoding, Exported, Reader};

const PROBE: &str = r#"{"resource":{"attributes":[{"key":"site","value":{"stringValue":"fuzz"}},
    {"key":"asset","value":{"stringValue":"good"}}]},"scopeMetrics":[{"metrics":[{"name":"probe",
    "gauge":{"dataPoints":[{"asDouble":42.25}]}}]}]}"#;

fuzz_target!(|data: &[u8]| {
    if let Some(alone) = read(data, Encoding::Protobuf) {
        let both = read(&[data, &probe()].concat(), Encoding::Protobuf).expect("one more resource");
        assert!(has_probe(&both.rows.readings));
        assert_eq!(both.points, alone.points + 1);
    }
    drop(read(data, Encoding::Json));
    let Ok(metrics) = std::str::from_utf8(data) else { return };
    // As one resource beside a good one.
    let body = format!(r#"{{"resourceMetrics":[{PROBE},{metrics},{PROBE}]}}"#);
    if let Some(all) = read(body.as_bytes(), Encoding::Json) {
        assert!(has_probe(&all.rows.readings));
    }
});

fn read(body: &[u8], encoding: Encoding) -> Option<Exported> {
    let mapping = KeyMapping::default();
    let lookup = |_: &SensorKey| None;
    let reader = Reader { mapping: &mapping, lookup: &lookup, received: NOW };
    // A histogram of one bucket is six figures with their names.
    let read = bounded(body.len(), 256 << 10, 2_000, || reader.read(body, encoding)).ok()?;
    sound(&read.rows.readings);
    assert_eq!(read.rows.readings.len(), read.rows.rows.len());
    Some(read)
}

fn probe() -> Vec<u8> {
    let text =
        |name: &str, value: &str| bytes(1, [bytes(1, name), bytes(2, bytes(1, value))].concat());
    let resource = bytes(1, [text("site", "fuzz"), text("asset", "good")].concat());
    let point = bytes(1, fixed64(4, GOOD_VALUE.to_bits()));
    let metric = bytes(2, [bytes(1, "probe"), bytes(5, point)].concat());
    bytes(1, [resource, bytes(2, metric)].concat())
}
