use std::io::Cursor;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, StringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, Int32Array, RecordBatch, StringArray, TimestampMillisecondArray,
    TimestampNanosecondArray,
};
use bytes::Bytes;
use kernel::{Quality, Reading, Reason, SensorKey, Timestamp};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::*;

fn key(text: &str) -> SensorKey {
    SensorKey::new(text).unwrap()
}

fn options() -> ParquetOptions {
    ParquetOptions { sensor: None, prefix: None, parse_time: |text| text.parse().ok() }
}

fn legend() -> Legend {
    Legend::new(vec![
        (key("a/b/c"), Some("bar".to_owned())),
        (key("a/b/d"), None),
        (key("a/b/e"), Some("bar".to_owned())),
    ])
}

type Row = (u32, i64, f64, Quality);

fn rows_of(rows: &[Row]) -> ReadingRows {
    let mut table = ReadingRows::with_capacity(rows.len());
    for (place, at, value, quality) in rows {
        table.push(*place, Timestamp::from_micros(*at), *value, *quality);
    }
    table
}

fn encoded(rows: &[Row], format: Format, chunk: usize) -> Vec<u8> {
    let mut encoder = Encoder::<ReadingRows, _>::new(Vec::new(), format, legend()).unwrap();
    let mut bytes = Vec::new();
    for part in rows.chunks(chunk.max(1)) {
        encoder.write(&rows_of(part)).unwrap();
        bytes.extend(encoder.drain());
    }
    bytes.extend(encoder.finish().unwrap());
    bytes
}

fn read_back(bytes: Vec<u8>) -> Vec<Reading> {
    let stretches = read_parquet_bytes(Bytes::from(bytes), options()).unwrap();
    stretches.flat_map(|stretch| stretch.unwrap().readings).collect()
}

fn expected(rows: &[Row]) -> Vec<Reading> {
    let names = [("a/b/c", Some("bar")), ("a/b/d", None), ("a/b/e", Some("bar"))];
    rows.iter()
        .map(|(place, at, value, quality)| Reading {
            sensor: key(names[*place as usize].0),
            at: Timestamp::from_micros(*at),
            value: *value,
            quality: *quality,
            unit: names[*place as usize].1.map(str::to_owned),
        })
        .collect()
}

fn a_row() -> impl Strategy<Value = Row> {
    let quality = (0u8..28).prop_map(|n| match n {
        0..=9 => Quality::Good,
        10..=18 => Quality::from_byte(0x40 | (n - 9)),
        _ => Quality::from_byte(0x80 | (n - 18)),
    });
    let value = any::<f64>().prop_filter("finite", |value| value.is_finite());
    (0u32..3, -62_135_596_800_000_000i64..253_402_207_200_000_000, value, quality)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parquet_round_trips_bit_for_bit(
        rows in prop::collection::vec(a_row(), 0..300), chunk in 1usize..120,
    ) {
        let read = read_back(encoded(&rows, Format::Parquet, chunk));
        let wanted = expected(&rows);
        prop_assert_eq!(read.len(), wanted.len());
        for (read, wanted) in read.iter().zip(&wanted) {
            prop_assert_eq!(read.value.to_bits(), wanted.value.to_bits());
            prop_assert_eq!(read, wanted);
        }
    }

    #[test]
    fn numbers_in_csv_read_back_as_the_same_bits(value in any::<f64>()) {
        prop_assume!(value.is_finite());
        let text = encoded(&[(0, 0, value, Quality::Good)], Format::Csv, 1);
        let text = String::from_utf8(text).unwrap();
        let cell = text.lines().nth(1).unwrap().split(',').nth(2).unwrap();
        prop_assert!(cell.len() < 32, "{}", cell);
        prop_assert_eq!(cell.parse::<f64>().unwrap().to_bits(), value.to_bits());
    }

    #[test]
    fn an_arrow_stream_round_trips_in_pieces_of_any_size(
        rows in prop::collection::vec(a_row(), 0..200), chunk in 1usize..80, piece in 1usize..999,
    ) {
        let bytes = encoded(&rows, Format::ArrowStream, chunk);
        let mut decoder = ArrowDecoder::new();
        let mut read = Vec::new();
        for piece in bytes.chunks(piece) {
            decoder.take(Bytes::copy_from_slice(piece), |batch| {
                for row in 0..batch.at.len() {
                    let place = ["a/b/c", "a/b/d", "a/b/e"]
                        .iter()
                        .position(|name| *name == batch.sensor[row].as_str());
                    let at = batch.at[row].as_micros();
                    let bits = batch.value[row].to_bits();
                    read.push((place.unwrap() as u32, at, bits, batch.quality[row]));
                }
                Ok(())
            }).unwrap();
        }
        decoder.finish().unwrap();
        let wanted: Vec<_> = rows.iter().map(|r| (r.0, r.1, r.2.to_bits(), r.3)).collect();
        prop_assert_eq!(read, wanted);
    }

    #[test]
    fn a_damaged_file_is_refused_and_nothing_falls(
        at in 0usize..2_000, flip in 1u8..=255, cut in 0usize..2_000,
    ) {
        let rows: Vec<Row> =
            (0..200).map(|n| (n % 3, i64::from(n) * 1_000, f64::from(n), Quality::Good)).collect();
        let mut bytes = encoded(&rows, Format::Parquet, 200);
        let place = at % bytes.len();
        bytes[place] ^= flip;
        let part = bytes[..bytes.len() - cut % bytes.len()].to_vec();
        for bytes in [bytes, part] {
            let Ok(file) = read_parquet_bytes(Bytes::from(bytes), options()) else { continue };
            prop_assert!(file.take(1_000).count() <= 201);
        }
    }
}

#[test]
fn csv_is_what_people_and_the_ingest_door_read() {
    let rows = [
        (0, 1_700_000_000_250_000, 0.1, Quality::Good),
        (1, 1_700_000_001_000_000, -2.0, Quality::Bad(Reason::Stuck)),
    ];
    let text = String::from_utf8(encoded(&rows, Format::Csv, 1)).unwrap();
    assert_eq!(
        text,
        "timestamp,sensor,value,unit,quality,reason\n\
         2023-11-14T22:13:20.25Z,a/b/c,0.1,bar,good,\n\
         2023-11-14T22:13:21Z,a/b/d,-2,,bad,stuck\n"
    );
}

#[test]
fn buckets_have_their_own_columns() {
    let mut rows = BucketRows::default();
    rows.push(0, Timestamp::from_secs(60), 3, [1.0, 4.0, 2.5, 1.5, 4.0]);
    for format in [Format::Csv, Format::ArrowStream, Format::ArrowFile, Format::Parquet] {
        let mut encoder = Encoder::new(Vec::new(), format, legend()).unwrap();
        encoder.write(&rows).unwrap();
        let bytes = encoder.finish().unwrap();
        if format == Format::Csv {
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.ends_with("1970-01-01T00:01:00Z,a/b/c,3,1,4,2.5,1.5,4,bar\n"), "{text}");
        } else {
            assert!(bytes.len() > 200, "{format:?}");
        }
    }
}

#[test]
fn a_row_outside_the_legend_is_an_error() {
    let rows = rows_of(&[(7, 0, 1.0, Quality::Good)]);
    for format in [Format::ArrowStream, Format::Parquet] {
        let mut encoder = Encoder::new(Vec::new(), format, legend()).unwrap();
        assert!(matches!(encoder.write(&rows), Err(TablesError::Arrow(_))));
    }
}

fn written(columns: Vec<(&str, ArrayRef)>) -> Bytes {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap();
    let mut out = Cursor::new(Vec::new());
    let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    Bytes::from(out.into_inner())
}

fn stamps(millis: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from(millis))
}

#[test]
fn long_files_name_each_fault_by_row_and_column() {
    let bytes = written(vec![
        ("Time", stamps(vec![Some(1), None, Some(3), Some(4), Some(5), Some(6)])),
        (
            "sensor",
            Arc::new(StringArray::from(vec!["a/b/c", "a/b/c", "a/b", "a/b/c", "a/b/c", "a/b/c"])),
        ),
        ("value", {
            let mut values = Float64Builder::new();
            values.append_slice(&[1.0, 2.0, 3.0, f64::NAN]);
            values.append_null();
            values.append_value(6.0);
            Arc::new(values.finish())
        }),
        ("quality", {
            let mut words = StringBuilder::new();
            ["good", "good", "good", "good", "good", "fair"]
                .iter()
                .for_each(|w| words.append_value(w));
            Arc::new(words.finish())
        }),
    ]);
    let mut file = read_parquet_bytes(bytes, options()).unwrap();
    assert_eq!(file.rows(), 6);
    let stretch = file.next().unwrap().unwrap();
    assert!(file.next().is_none());
    assert_eq!(stretch.rows, [1]);
    assert_eq!(stretch.readings[0].at, Timestamp::from_millis(1));
    let faults: Vec<_> = stretch.refused.iter().map(|f| (f.row, f.field.as_str())).collect();
    assert_eq!(faults, [(2, "Time"), (3, "sensor"), (4, "value"), (5, "value"), (6, "quality")]);
    assert_eq!(stretch.refused_total, 5);
}

#[test]
fn wide_files_have_a_sensor_per_column() {
    let columns = || -> Vec<(&str, ArrayRef)> {
        vec![
            (
                "__index_level_0__",
                Arc::new(
                    TimestampNanosecondArray::from(vec![1_500, 2_000_000]).with_timezone("UTC"),
                ),
            ),
            ("a/b/c", Arc::new(Int32Array::from(vec![Some(7), None]))),
            ("Bearing temp (DE)", Arc::new(BooleanArray::from(vec![Some(true), Some(false)]))),
            ("note", Arc::new(StringArray::from(vec!["x", "y"]))),
        ]
    };
    let refused = read_parquet_bytes(written(columns()), options()).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("Bearing temp (DE)"), "{refused}");
    let prefixed = ParquetOptions { prefix: Some("north/p-1".to_owned()), ..options() };
    let mut file = read_parquet_bytes(written(columns()), prefixed).unwrap();
    assert_eq!(file.skipped(), ["note"]);
    let stretch = file.next().unwrap().unwrap();
    let seen: Vec<_> =
        stretch.readings.iter().map(|r| (r.sensor.as_str(), r.at.as_micros(), r.value)).collect();
    assert_eq!(
        seen,
        [
            ("a/b/c", 1, 7.0),
            ("north/p-1/Bearing_temp__DE_", 1, 1.0),
            ("north/p-1/Bearing_temp__DE_", 2_000, 0.0),
        ]
    );
}

#[test]
fn says_what_a_file_lacks() {
    let open = |columns| read_parquet_bytes(written(columns), options()).map(|_| ());
    let texts = || Arc::new(StringArray::from(vec!["x"])) as ArrayRef;
    let numbers = || Arc::new(Int32Array::from(vec![1])) as ArrayRef;
    let time = || stamps(vec![Some(1)]);
    assert!(matches!(open(vec![("value", numbers())]), Err(TablesError::NoTime)));
    let unnamed = open(vec![("time", time()), ("value", numbers())]);
    assert!(matches!(unnamed, Err(TablesError::SensorNotNamed)));
    let texts_only = open(vec![("time", time()), ("value", texts())]);
    assert!(matches!(texts_only, Err(TablesError::ColumnType { .. })));
    assert!(matches!(open(vec![("time", time()), ("x", texts())]), Err(TablesError::NoValues)));
    let sensor = ParquetOptions { sensor: Some(key("a/b/c")), ..options() };
    let bytes = written(vec![("time", time()), ("value", numbers())]);
    assert_eq!(read_parquet_bytes(bytes, sensor).unwrap().next().unwrap().unwrap().rows, [1]);
    assert!(read_parquet_bytes(Bytes::from_static(b"PAR1"), options()).is_err());
}

#[test]
fn a_long_file_comes_in_bounded_stretches() {
    let rows: Vec<Row> =
        (0..25_000).map(|n| (0, i64::from(n), f64::from(n), Quality::Good)).collect();
    let bytes = Bytes::from(encoded(&rows, Format::Parquet, 9_000));
    let sizes: Vec<usize> = read_parquet_bytes(bytes, options())
        .unwrap()
        .map(|stretch| stretch.unwrap().readings.len())
        .collect();
    assert_eq!(sizes, [10_000, 10_000, 5_000]);
}

/// Its page header says that billions of things follow, which the decoder would pass over one by
/// one, after the end of the file too.
#[test]
fn a_page_without_an_end_is_refused_at_the_end_of_the_file() {
    let bytes = include_bytes!("../../../fuzz/corpus/parquet/endless-page");
    let options = ParquetOptions { sensor: Some(key("a/b/c")), ..options() };
    let read = read_parquet_bytes(Bytes::from_static(bytes), options);
    let ended = read.is_err() || read.is_ok_and(|mut file| file.any(|stretch| stretch.is_err()));
    assert!(ended, "a damaged file");
}
