//! Parquet files: refused or read, and what is read is sound. Panics of the decoder are caught where
//! it is called, and only those.
#![no_main]

use bytes::Bytes;
use fuzz::{excuse_libraries, sound};
use kernel::SensorKey;
use libfuzzer_sys::fuzz_target;
use tables::{ParquetOptions, read_parquet_bytes};

const STRETCHES_MAX: usize = 100;

fuzz_target!(
    init: excuse_libraries(),
    |data: &[u8]| {
        let options = ParquetOptions {
            sensor: SensorKey::new("fuzz/only/one").ok(),
            prefix: Some("fuzz/wide".to_owned()),
            parse_time: sense::parse_time,
        };
        let Ok(stretches) = read_parquet_bytes(Bytes::copy_from_slice(data), options) else { return };
        for stretch in stretches.take(STRETCHES_MAX) {
            let Ok(stretch) = stretch else { break };
            sound(&stretch.readings);
            assert_eq!(stretch.readings.len(), stretch.rows.len());
            assert!(stretch.refused.len() as u64 <= stretch.refused_total);
        }
    }
);
