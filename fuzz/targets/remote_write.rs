//! Remote-write: snappy and protobuf. What is a message at all keeps the good series in it.
#![no_main]

use fuzz::pen::{bytes, fixed64, varint};
use fuzz::{GOOD_VALUE, bounded, has_probe, sound};
use kernel::SensorKey;
use libfuzzer_sys::fuzz_target;
use sense::labels::KnownSensor;
use sense::line::KeyMapping;
use sense::remote_write::{BODY_BYTES_MAX, Reader, unpack};

fuzz_target!(|data: &[u8]| {
    bounded(data.len(), 64 << 10, 64, || {
        let packed = snap::raw::Encoder::new().compress_vec(data).expect("small enough");
        assert_eq!(unpack(&packed).expect("a block"), data);
    });
    if let Ok(plain) = bounded(data.len(), BODY_BYTES_MAX + (1 << 20), 2, || unpack(data)) {
        read(&plain);
    }
    read(data);
});

fn read(body: &[u8]) {
    let mapping = KeyMapping::default();
    let lookup = |sensor: &SensorKey| {
        sensor.as_str().len().is_multiple_of(2).then_some(KnownSensor { latest: Some(1.0) })
    };
    let reader = Reader { mapping: &mapping, lookup: &lookup, family: &|_| None };
    let Ok(alone) = bounded(body.len(), 64 << 10, 400, || reader.read(body)) else { return };
    sound(&alone.rows.readings);
    assert_eq!(alone.rows.readings.len(), alone.rows.rows.len());
    let both = reader.read(&[body, &probe()].concat()).expect("one more series");
    assert!(has_probe(&both.rows.readings));
    assert_eq!(both.rows.readings.len(), alone.rows.readings.len() + 1);
}

fn probe() -> Vec<u8> {
    let label = |name: &str, value: &str| bytes(1, [bytes(1, name), bytes(2, value)].concat());
    let labels = [label("__name__", "probe"), label("asset", "good"), label("site", "fuzz")];
    let sample =
        bytes(2, [fixed64(1, GOOD_VALUE.to_bits()), varint(2, 1_700_000_000_000)].concat());
    bytes(1, [labels.concat(), sample].concat())
}
