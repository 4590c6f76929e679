//! CSV files: `timestamp,value` of one sensor, or `timestamp,sensor,value[,unit,quality]`.
//! Columns are found by the names in the first line; a file without names is read in this order.
//! Compressed files (gzip) are read as they are.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use kernel::{Quality, Reading, SensorKey, Timestamp};

use crate::json::quality_from;
use crate::rows::excerpt;
use crate::{RowRefusal, SenseError, parse_time};

const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The byte order mark in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";
const TIME_NAMES: [&str; 7] = ["timestamp", "time", "at", "ts", "date", "datetime", "date_time"];
const SENSOR_NAMES: [&str; 4] = ["sensor", "sensor_id", "key", "tag"];

/// Where each column stands.
#[derive(Clone, Copy, Debug)]
struct Columns {
    time: usize,
    value: usize,
    sensor: Option<usize>,
    unit: Option<usize>,
    quality: Option<usize>,
}

/// The readings of a file one by one, each with its line; faulty lines come as refusals.
pub struct CsvReadings {
    rows: ::csv::Reader<Box<dyn Read + Send>>,
    columns: Columns,
    sensor: Option<SensorKey>,
    row: ::csv::StringRecord,
    /// The first line of a file without names, which is a reading already.
    first: Option<::csv::StringRecord>,
    ended: bool,
}

impl std::fmt::Debug for CsvReadings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsvReadings").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl CsvReadings {
    /// Opens a file. `sensor` is taken where a file has no column for it.
    ///
    /// # Errors
    /// When the file cannot be read, or lacks a column that is needed.
    pub fn open(path: &Path, sensor: Option<SensorKey>) -> Result<Self, SenseError> {
        Self::read(File::open(path)?, sensor)
    }

    /// # Errors
    /// As [`CsvReadings::open`].
    pub fn read(
        input: impl Read + Send + 'static,
        sensor: Option<SensorKey>,
    ) -> Result<Self, SenseError> {
        let (is_packed, input) = begins_with(input, &GZIP)?;
        let plain: Box<dyn Read + Send> =
            if is_packed { Box::new(MultiGzDecoder::new(BufReader::new(input))) } else { input };
        let plain = without_mark(plain)?;
        let mut rows = ::csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(::csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(plain);
        let mut head = ::csv::StringRecord::new();
        rows.read_record(&mut head).map_err(broken)?;
        let named = head.get(0).is_some_and(|cell| parse_time(bare(cell)).is_none());
        let columns = if named { by_name(&head)? } else { by_place(head.len(), sensor.is_some()) };
        if columns.sensor.is_none() && sensor.is_none() && !head.is_empty() {
            return Err(SenseError::SensorNotNamed);
        }
        let first = (!named && !head.is_empty()).then_some(head);
        let row = ::csv::StringRecord::new();
        Ok(Self { rows, columns, sensor, row, first, ended: false })
    }

    fn reading(&self, row: &::csv::StringRecord) -> Result<Reading, (&'static str, String)> {
        let cell = |index: usize| row.get(index).unwrap_or_default();
        let maybe = |index: Option<usize>| index.map(cell).filter(|text| !text.is_empty());
        let at = time(bare(cell(self.columns.time)))?;
        let value = value(cell(self.columns.value))?;
        let sensor = match (maybe(self.columns.sensor), &self.sensor) {
            (Some(text), _) => SensorKey::new(text).map_err(|e| ("sensor", e.to_string()))?,
            (None, Some(sensor)) => sensor.clone(),
            (None, None) => return Err(("sensor", "missing".to_owned())),
        };
        let quality = match maybe(self.columns.quality) {
            None => Quality::Good,
            Some(text) => quality_from(text).ok_or_else(|| {
                ("quality", format!("`{}` is not good, uncertain or bad", excerpt(text, 40)))
            })?,
        };
        let unit = maybe(self.columns.unit).map(str::to_owned);
        Ok(Reading { sensor, at, value, quality, unit })
    }
}

impl Iterator for CsvReadings {
    /// The number of the line, from 1, with its reading.
    type Item = Result<(usize, Reading), RowRefusal>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(first) = self.first.take() {
            return Some(self.judge(1, &first));
        }
        if self.ended {
            return None;
        }
        let mut row = std::mem::take(&mut self.row);
        let read = self.rows.read_record(&mut row);
        let line = row.position().map_or(0, |place| usize::try_from(place.line()).unwrap_or(0));
        let item = match read {
            Ok(true) => Some(self.judge(line, &row)),
            Ok(false) => {
                self.ended = true;
                None
            }
            Err(error) => {
                // After a fault of the file itself nothing sound can follow.
                self.ended = error.is_io_error();
                let line = error.position().map_or(line, |place| place.line() as usize);
                let reason = match error.kind() {
                    ::csv::ErrorKind::Utf8 { .. } => "invalid UTF-8".to_owned(),
                    _ => "the file cannot be read on".to_owned(),
                };
                Some(Err(RowRefusal { row: line, field: "line".to_owned(), reason }))
            }
        };
        self.row = row;
        item
    }
}

impl CsvReadings {
    fn judge(
        &self,
        line: usize,
        row: &::csv::StringRecord,
    ) -> Result<(usize, Reading), RowRefusal> {
        self.reading(row).map(|reading| (line, reading)).map_err(|(field, reason)| RowRefusal {
            row: line,
            field: field.to_owned(),
            reason,
        })
    }
}

/// Whether a file begins so, and the whole of it. Its first part may be shorter than that.
fn begins_with(
    mut input: impl Read + Send + 'static,
    wanted: &[u8],
) -> std::io::Result<(bool, Box<dyn Read + Send>)> {
    let mut head = Vec::with_capacity(wanted.len());
    input.by_ref().take(wanted.len() as u64).read_to_end(&mut head)?;
    Ok((head == wanted, Box::new(Cursor::new(head).chain(input))))
}

/// Takes off the mark that some programs put before a file, however often they did: the reader below
/// takes a first part that is nothing else for the end of the file, and a mark only for one when it
/// comes in one part.
fn without_mark(mut input: Box<dyn Read + Send>) -> std::io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::with_capacity(MARK.len());
    loop {
        head.clear();
        input.by_ref().take(MARK.len() as u64).read_to_end(&mut head)?;
        if head != MARK {
            return Ok(Box::new(Cursor::new(head).chain(input)));
        }
    }
}

/// Without the mark that some programs put before a file.
fn bare(cell: &str) -> &str {
    cell.trim_start_matches('\u{feff}')
}

fn broken(error: ::csv::Error) -> SenseError {
    SenseError::Io(std::io::Error::other(error))
}

fn by_name(head: &::csv::StringRecord) -> Result<Columns, SenseError> {
    let names: Vec<String> = head.iter().map(|cell| bare(cell).to_ascii_lowercase()).collect();
    let find = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
    Ok(Columns {
        time: find(&TIME_NAMES).ok_or(SenseError::Column("timestamp"))?,
        value: find(&["value"]).ok_or(SenseError::Column("value"))?,
        sensor: find(&SENSOR_NAMES),
        unit: find(&["unit"]),
        quality: find(&["quality"]),
    })
}

fn by_place(cells: usize, named: bool) -> Columns {
    if named || cells < 3 {
        return Columns { time: 0, value: 1, sensor: None, unit: None, quality: None };
    }
    Columns {
        time: 0,
        sensor: Some(1),
        value: 2,
        unit: (cells > 3).then_some(3),
        quality: (cells > 4).then_some(4),
    }
}

fn time(text: &str) -> Result<Timestamp, (&'static str, String)> {
    parse_time(text).ok_or_else(|| ("timestamp", format!("`{}` is no time", excerpt(text, 40))))
}

fn value(text: &str) -> Result<f64, (&'static str, String)> {
    let shown = || excerpt(text, 40);
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(("value", format!("`{}` is not finite", shown()))),
        Err(_) => Err(("value", format!("`{}` is no number", shown()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn key() -> SensorKey {
        SensorKey::new("plant/press/temperature").unwrap()
    }

    fn all(text: &str, sensor: Option<SensorKey>) -> Vec<Result<(usize, Reading), RowRefusal>> {
        CsvReadings::read(Cursor::new(text.as_bytes().to_vec()), sensor).unwrap().collect()
    }

    #[test]
    fn a_recording_of_one_sensor() {
        let rows = all(
            "timestamp,value\n2013-12-02 21:15:00,73.9\n2013-12-02 21:20:00,74.9\n",
            Some(key()),
        );
        let (line, reading) = rows[0].clone().unwrap();
        assert_eq!((line, reading.value, reading.sensor), (2, 73.9, key()));
        assert_eq!(reading.at.to_string(), "2013-12-02T21:15:00Z");
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn many_sensors_with_units_and_qualities() {
        let rows = all(
            "\u{feff}Time,Key,Value,Unit,Quality\n1700000000,a/b/c,1,bar,uncertain\n1700000001,a/b/d,2,,\n",
            None,
        );
        let (_, first) = rows[0].clone().unwrap();
        assert_eq!((first.unit.as_deref(), first.quality.class()), (Some("bar"), "uncertain"));
        assert_eq!(rows[1].clone().unwrap().1.unit, None);
        let unnamed = all("1700000000,a/b/c,1\n", None);
        assert_eq!(unnamed[0].clone().unwrap().0, 1);
    }

    #[test]
    fn faults_are_named_by_line() {
        let rows = all(
            "timestamp,value\nnoon,1\n1700000000,x\n1700000000,NaN\n1700000000\n1700000000,5\n",
            Some(key()),
        );
        let named: Vec<_> = rows
            .iter()
            .filter_map(|r| r.as_ref().err())
            .map(|r| (r.row, r.field.as_str()))
            .collect();
        assert_eq!(named, [(2, "timestamp"), (3, "value"), (4, "value"), (5, "value")]);
        assert_eq!(rows[4].clone().unwrap().1.value, 5.0);
        let bytes = b"timestamp,value\n1700000000,\xff\n1700000001,2\n".to_vec();
        let rows: Vec<_> = CsvReadings::read(Cursor::new(bytes), Some(key())).unwrap().collect();
        assert!(rows[0].is_err() && rows[1].is_ok());
    }

    #[test]
    fn compressed_files_are_read_and_broken_ones_end() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for second in 0..50_000 {
            writeln!(gz, "{},{second}", 1_700_000_000 + second).unwrap();
        }
        let bytes = gz.finish().unwrap();
        let cut = bytes[..bytes.len() / 2].to_vec();
        let rows = CsvReadings::read(Cursor::new(bytes), Some(key())).unwrap();
        assert_eq!(rows.filter(|row| row.is_ok()).count(), 50_000);
        let rows: Vec<_> = CsvReadings::read(Cursor::new(cut), Some(key())).unwrap().collect();
        assert!(rows.last().unwrap().is_err() && rows.len() < 50_000);
    }

    /// However the file comes in, part by part.
    #[test]
    fn a_file_reads_the_same_in_any_parts() {
        struct Parts(Vec<u8>, usize);
        impl Read for Parts {
            fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
                let count = self.1.min(out.len()).min(self.0.len());
                out[..count].copy_from_slice(&self.0[..count]);
                self.0.drain(..count);
                Ok(count)
            }
        }
        for body in [
            &b"\xef\xbb\xbf2024-10-01,1\n20\xb24-01-02,2\n"[..],
            b"\xef\xbb\xbftimestamp,value\n2024-10-01,1\n",
            b"\xef\xbb\xbf\"timestamp\",value\n2024-10-01,1\n",
            b"\xef\xbb\xbf\xef\xbb\xbf\"timestamp\",value\n2024-10-01,1\n",
        ] {
            let read = |part| -> Vec<_> {
                CsvReadings::read(Parts(body.to_vec(), part), Some(key())).unwrap().collect()
            };
            assert!(read(100).iter().any(Result::is_ok), "{:?}", read(100));
            for part in 1..5 {
                assert_eq!(read(part), read(100), "{part}");
            }
        }
    }

    #[test]
    fn says_what_a_file_lacks() {
        let open = |text: &str| CsvReadings::read(Cursor::new(text.as_bytes().to_vec()), None);
        assert!(matches!(open("timestamp,value\n"), Err(SenseError::SensorNotNamed)));
        assert!(matches!(open("timestamp,sensor\n"), Err(SenseError::Column("value"))));
        assert!(matches!(open("a,b\n"), Err(SenseError::Column("timestamp"))));
        assert_eq!(all("", Some(key())).len(), 0);
    }
}
