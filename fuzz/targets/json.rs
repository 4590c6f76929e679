//! JSON readings: a faulty row is named and the good ones beside it are read.
#![no_main]

use fuzz::{NOW, bounded, has_probe, sound};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

const PROBE: &str = r#"{"sensor":"fuzz/good/probe","value":42.25}"#;

fuzz_target!(|data: &[u8]| {
    bounded(data.len(), 64 << 10, 400, || {
        if let Ok(rows) = sense::json::parse(data, NOW) {
            sound(&rows.readings);
            assert_eq!(rows.readings.len(), rows.rows.len());
        }
    });
    if let Ok(row) = serde_json::from_slice::<&RawValue>(data) {
        let body = format!("[{PROBE},{row},{PROBE}]");
        let rows = sense::json::parse(body.as_bytes(), NOW).expect("a list of rows");
        assert!(has_probe(&rows.readings) && (2..=3).contains(&rows.readings.len()));
        assert_eq!(rows.readings.len() + rows.refused_total, 3);
    }
});
