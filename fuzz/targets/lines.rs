//! Line protocol: the full reader and the quick one for known lines agree on every body, and a good
//! line is read whatever stands around it.
#![no_main]

use std::collections::BTreeMap;

use fuzz::{NOW, bounded, has_probe, sound};
use libfuzzer_sys::fuzz_target;
use sense::line::{KeyMapping, KnownLines, Precision, parse, parse_lines};

const UNITS: [Precision; 7] = [
    Precision::Nanoseconds,
    Precision::Microseconds,
    Precision::Milliseconds,
    Precision::Seconds,
    Precision::Minutes,
    Precision::Hours,
    Precision::Auto,
];
const PROBE: &[u8] = b"\nprobe,site=fuzz,asset=good value=42.25 1\n";
/// A reading and its names take about this much more than the shortest text for it.
const BYTES_PER_BYTE: usize = 400;

/// Sensor, time and bits of the value, by line.
type Read = BTreeMap<usize, Vec<(String, i64, u64)>>;

fuzz_target!(|data: &[u8]| {
    let Some((unit, lines)) = data.split_first() else { return };
    let precision = UNITS[usize::from(*unit) % UNITS.len()];
    let body = [PROBE, lines, PROBE].concat();
    bounded(body.len(), 64 << 10, BYTES_PER_BYTE, || read(&body, precision));
});

fn read(body: &[u8], precision: Precision) {
    let mapping = KeyMapping::default();
    let rows = parse(body, precision, &mapping, NOW);
    assert!(has_probe(&rows.readings) && rows.readings.len() == rows.rows.len());
    sound(&rows.readings);
    let count = body.split(|byte| *byte == b'\n').count();
    for refusal in &rows.refused {
        assert!((1..=count).contains(&refusal.row) && !refusal.reason.is_empty(), "{refusal:?}");
    }
    let mut slow = Read::new();
    for (line, reading) in rows.rows.iter().zip(&rows.readings) {
        let row = (reading.sensor.to_string(), reading.at.as_micros(), reading.value.to_bits());
        slow.entry(*line).or_default().push(row);
    }
    assert_eq!(twice(body, precision, &mapping), slow);
}

/// Reads with a memory of lines that this very body filled.
fn twice(body: &[u8], precision: Precision, mapping: &KeyMapping) -> Read {
    let mut known = KnownLines::new(1_000);
    let mut keys = Vec::new();
    let (_, rest) = known.read(body, precision, NOW);
    let (rows, names) = parse_lines(rest.into_iter(), precision, mapping, NOW);
    for (reading, (series, field)) in rows.readings.iter().zip(names) {
        if !series.is_empty() {
            known.learn(series, field, keys.len() as u32);
            keys.push(reading.sensor.to_string());
        }
    }
    let mut all = Read::new();
    let (fast, rest) = known.read(body, precision, NOW);
    for row in 0..fast.at.len() {
        let key = keys[fast.handle[row] as usize].clone();
        let read = (key, fast.at[row], fast.value[row].to_bits());
        all.entry(fast.line[row] as usize).or_default().push(read);
    }
    let (rows, _) = parse_lines(rest.into_iter(), precision, mapping, NOW);
    for (line, reading) in rows.rows.iter().zip(&rows.readings) {
        let read = (reading.sensor.to_string(), reading.at.as_micros(), reading.value.to_bits());
        all.entry(*line).or_default().push(read);
    }
    all
}
