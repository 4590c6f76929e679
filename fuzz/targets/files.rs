//! CSV files, plain and packed, through the door's own reader: what it hands on is sound, and a good
//! row among bad ones is there.
#![no_main]

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use fuzz::{bounded, has_probe, sound};
use kernel::SensorKey;
use libfuzzer_sys::fuzz_target;
use tokio::sync::mpsc;

#[allow(dead_code, unreachable_pub, reason = "a private part of the telemetry module")]
#[path = "../../modules/telemetry/src/http/files/read.rs"]
mod read;

const PROBE: &[u8] = b"2024-01-01T00:00:00Z,fuzz/good/probe,42.25\n";
/// What the reader keeps ahead of a row, and one chunk of readings.
const BASE: usize = 24 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((how, body)) = data.split_first() else { return };
    bounded(data.len(), BASE, 400, || match how % 4 {
        0 => drop(csv(body.to_vec())),
        // Whatever it is, and said to be packed.
        1 => drop(csv([&[0x1f, 0x8b, 8, 0][..], body].concat())),
        2 => {
            let (plain, packed) = (csv(body.to_vec()), csv(pack(body)));
            // What is packed twice is not read at all.
            if !body.starts_with(&[0x1f, 0x8b]) {
                assert_eq!(plain, packed);
            }
        }
        _ => {
            let rows = [b"timestamp,sensor,value\n", PROBE, body, b"\n", PROBE].concat();
            let (readings, ended) = csv(rows);
            assert!(has_probe(&readings));
            // A quote may take all that follows into one cell.
            let probes = readings.iter().filter(|r| r.sensor.as_str() == fuzz::GOOD_KEY).count();
            assert!(
                probes >= 2 || body.contains(&b'"') || body.contains(&b'#') || !ended.is_empty()
            );
        }
    });
});

fn pack(body: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(body).expect("memory");
    packer.finish().expect("memory")
}

/// The readings of a file, and why it was not read to its end.
fn csv(body: Vec<u8>) -> (Vec<kernel::Reading>, String) {
    let asked = read::Asked {
        kind: read::Kind::Csv,
        sensor: SensorKey::new("fuzz/only/one").ok(),
        prefix: None,
    };
    let (parts, incoming) = mpsc::channel(64);
    for part in body.chunks(body.len() / 8 + 1) {
        parts.blocking_send(Some(Bytes::copy_from_slice(part))).expect("room");
    }
    drop(parts);
    let (chunks, mut handed_on) = mpsc::channel(2);
    let reader = std::thread::spawn(move || read::file(&asked, incoming, &chunks));
    let mut readings = Vec::new();
    while let Some(chunk) = handed_on.blocking_recv() {
        assert_eq!(chunk.readings.len(), chunk.rows.len());
        assert!(chunk.refused.len() as u64 <= chunk.refused_total);
        sound(&chunk.readings);
        // A bomb may hold more than belongs into one account.
        if readings.len() < 10_000 {
            readings.extend(chunk.readings);
        }
    }
    let ended = reader.join().expect("the reader ended well");
    (readings, ended.err().unwrap_or_default())
}
