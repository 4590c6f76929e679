use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema};
use bytes::Bytes;
use kernel::{Quality, Reading, SensorKey, Timestamp};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::TablesError;
use crate::values::{TimeCell, is_number, is_text, is_time, numbers, quality, texts, times};

/// Readings handed on at once.
pub const ROWS_MAX: usize = 10_000;
/// Faults of one stretch that are named; the rest are counted.
pub const FAULTS_NAMED_MAX: usize = 1_000;
/// Columns of a wide file.
const COLUMNS_MAX: usize = 10_000;

const TIME_NAMES: [&str; 7] = ["timestamp", "time", "at", "ts", "date", "datetime", "date_time"];
const SENSOR_NAMES: [&str; 4] = ["sensor", "sensor_id", "key", "tag"];
const VALUE_NAMES: [&str; 1] = ["value"];

/// What the file itself does not say.
#[derive(Clone, Debug)]
pub struct ParquetOptions {
    /// The sensor of a file that has no column for it.
    pub sensor: Option<SensorKey>,
    /// `site/asset`, put before columns of a wide file that are no sensor keys by themselves.
    pub prefix: Option<String>,
    /// Reads times that are texts or bare numbers.
    pub parse_time: fn(&str) -> Option<Timestamp>,
}

/// A row that could not be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// From 1, as a reader of the file counts.
    pub row: u64,
    /// The column at fault.
    pub field: String,
    pub reason: String,
}

/// Some readings of a file, in its order, and the rows beside them that were refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stretch {
    pub readings: Vec<Reading>,
    /// For each reading the row it stood in, from 1.
    pub rows: Vec<u64>,
    /// The first [`FAULTS_NAMED_MAX`] faults.
    pub refused: Vec<RowFault>,
    pub refused_total: u64,
}

impl Stretch {
    fn take(&mut self, row: u64, reading: Reading) {
        self.rows.push(row);
        self.readings.push(reading);
    }

    fn refuse(&mut self, row: u64, field: &str, reason: impl Into<String>) {
        self.refused_total += 1;
        if self.refused.len() < FAULTS_NAMED_MAX {
            self.refused.push(RowFault { row, field: field.to_owned(), reason: reason.into() });
        }
    }
}

/// Where the readings stand: a row each, or a row of many sensors.
#[derive(Debug)]
enum Layout {
    Long { value: String, sensor: Option<String>, quality: Option<String>, unit: Option<String> },
    Wide(Vec<(String, SensorKey)>),
}

/// The readings of a Parquet file, stretch by stretch; a file of any length takes little memory.
pub struct ParquetReadings {
    batches: ParquetRecordBatchReader,
    layout: Layout,
    time: String,
    options: ParquetOptions,
    known: HashMap<String, Result<SensorKey, String>>,
    skipped: Vec<String>,
    rows: u64,
    row: u64,
    ended: bool,
}

/// Opens a Parquet file of readings.
///
/// Long files have a row per reading: a time (`timestamp`, `time`, `at`), a `value`, and perhaps
/// `sensor`, `quality`, `reason` and `unit`. Wide files have a time and a column per sensor; an
/// empty cell is no reading.
///
/// # Errors
/// When it is no Parquet file, or lacks what is needed.
pub fn read_parquet(file: File, options: ParquetOptions) -> Result<ParquetReadings, TablesError> {
    sound(|| open(file, options))
}

/// As [`read_parquet`], for a file in memory.
///
/// # Errors
/// As [`read_parquet`].
pub fn read_parquet_bytes(
    bytes: Bytes,
    options: ParquetOptions,
) -> Result<ParquetReadings, TablesError> {
    sound(|| open(bytes, options))
}

/// A file whose end is an error to who reads on. The decoder passes over what it does not know
/// without a look whether it is there: of a damaged page of a few bytes it would pass over billions
/// of things that are not.
struct Ending<T>(T);

impl<T: Read> Read for Ending<T> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 if !out.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

impl<T: Length> Length for Ending<T> {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl<T: ChunkReader> ChunkReader for Ending<T> {
    type T = Ending<T::T>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.0.get_read(start).map(Ending)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.0.get_bytes(start, length)
    }
}

/// The decoder is meant to refuse damaged files, but some of them make it panic; a file must not
/// bring down who reads it.
fn sound<T>(work: impl FnOnce() -> Result<T, TablesError>) -> Result<T, TablesError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(TablesError::Damaged))
}

fn open(
    input: impl ChunkReader + 'static,
    options: ParquetOptions,
) -> Result<ParquetReadings, TablesError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Ending(input))?;
    let schema = std::sync::Arc::clone(builder.schema());
    if schema.fields().len() > COLUMNS_MAX {
        return Err(TablesError::TooManyColumns { found: schema.fields().len(), max: COLUMNS_MAX });
    }
    let time = time_column(&schema)?;
    let (layout, skipped) = layout(&schema, &time, &options)?;
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    let wanted = wanted(&schema, &time, &layout);
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let per_row = if let Layout::Wide(columns) = &layout { columns.len().max(1) } else { 1 };
    let batches =
        builder.with_projection(mask).with_batch_size((ROWS_MAX / per_row).max(1)).build()?;
    let known = HashMap::new();
    Ok(ParquetReadings {
        batches,
        layout,
        time,
        options,
        known,
        skipped,
        rows,
        row: 0,
        ended: false,
    })
}

fn find<'a>(schema: &'a Schema, names: &[&str]) -> Option<&'a Field> {
    let is_named =
        |field: &&Field| names.iter().any(|name| field.name().eq_ignore_ascii_case(name));
    schema.fields().iter().map(AsRef::as_ref).find(is_named)
}

/// By its name, else the only column whose type is a time, as pandas writes an index.
fn time_column(schema: &Schema) -> Result<String, TablesError> {
    if let Some(field) = find(schema, &TIME_NAMES) {
        let kind = field.data_type();
        if !(is_time(kind) || is_text(kind) || is_number(kind)) {
            return Err(wrong_type(field, "times"));
        }
        return Ok(field.name().clone());
    }
    let mut stamps = schema.fields().iter().filter(|field| is_time(field.data_type()));
    match (stamps.next(), stamps.next()) {
        (Some(only), None) => Ok(only.name().clone()),
        _ => Err(TablesError::NoTime),
    }
}

fn wrong_type(field: &Field, wanted: &'static str) -> TablesError {
    let (column, found) = (field.name().clone(), field.data_type().to_string());
    TablesError::ColumnType { column, found, wanted }
}

fn layout(
    schema: &Schema,
    time: &str,
    options: &ParquetOptions,
) -> Result<(Layout, Vec<String>), TablesError> {
    let Some(value) = find(schema, &VALUE_NAMES) else { return wide(schema, time, options) };
    if !is_number(value.data_type()) {
        return Err(wrong_type(value, "numbers"));
    }
    let words = |names: &[&str]| match find(schema, names) {
        Some(field) if is_text(field.data_type()) => Ok(Some(field.name().clone())),
        Some(field) => Err(wrong_type(field, "texts")),
        None => Ok(None),
    };
    let sensor = words(&SENSOR_NAMES)?;
    if sensor.is_none() && options.sensor.is_none() {
        return Err(TablesError::SensorNotNamed);
    }
    let (quality, unit) = (words(&["quality"])?, words(&["unit"])?);
    Ok((Layout::Long { value: value.name().clone(), sensor, quality, unit }, Vec::new()))
}

fn wide(
    schema: &Schema,
    time: &str,
    options: &ParquetOptions,
) -> Result<(Layout, Vec<String>), TablesError> {
    let (mut columns, mut skipped) = (Vec::new(), Vec::new());
    for field in schema.fields().iter().filter(|field| field.name() != time) {
        let name = field.name();
        if is_number(field.data_type()) {
            columns.push((name.clone(), column_key(name, options.prefix.as_deref())?));
        } else {
            skipped.push(name.clone());
        }
    }
    if columns.is_empty() {
        return Err(TablesError::NoValues);
    }
    Ok((Layout::Wide(columns), skipped))
}

/// A column's name is its sensor, or the measure of the asset that the prefix names.
fn column_key(name: &str, prefix: Option<&str>) -> Result<SensorKey, TablesError> {
    let wrong = || TablesError::ColumnNoSensor(name.to_owned());
    if let Ok(key) = SensorKey::new(name) {
        return Ok(key);
    }
    let prefix = prefix.ok_or_else(wrong)?.trim_matches('/');
    let measure: String = name
        .trim()
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.:/".contains(c) { c } else { '_' })
        .collect();
    SensorKey::new(&format!("{prefix}/{}", measure.trim_matches('/'))).map_err(|_| wrong())
}

fn wanted(schema: &Schema, time: &str, layout: &Layout) -> Vec<usize> {
    let is_wanted = |name: &str| {
        name == time
            || match layout {
                Layout::Wide(columns) => columns.iter().any(|(column, _)| column == name),
                Layout::Long { value, sensor, quality, unit } => {
                    name == value
                        || name.eq_ignore_ascii_case("reason")
                        || [sensor, quality, unit].into_iter().any(|c| c.as_deref() == Some(name))
                }
            }
    };
    let fields = schema.fields().iter().enumerate();
    fields.filter(|(_, field)| is_wanted(field.name())).map(|(place, _)| place).collect()
}

impl ParquetReadings {
    /// Rows of the whole file, by its own account.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Columns of a wide file that hold no numbers and are passed over.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    fn stretch(&mut self) -> Option<Result<Stretch, TablesError>> {
        let batch = match self.batches.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error.into())),
        };
        let first = self.row + 1;
        self.row += batch.num_rows() as u64;
        Some(match &self.layout {
            Layout::Wide(columns) => self.wide(&batch, columns, first),
            Layout::Long { .. } => self.long(&batch, first),
        })
    }

    fn times(&self, batch: &RecordBatch) -> Result<Vec<TimeCell>, TablesError> {
        let column = batch.column_by_name(&self.time).ok_or(TablesError::NoTime)?;
        times(column.as_ref(), self.options.parse_time).ok_or(TablesError::NoTime)
    }

    fn wide(
        &self,
        batch: &RecordBatch,
        columns: &[(String, SensorKey)],
        first: u64,
    ) -> Result<Stretch, TablesError> {
        let at = self.times(batch)?;
        let mut cells = Vec::with_capacity(columns.len());
        for (name, key) in columns {
            let column = batch.column_by_name(name).ok_or(TablesError::NoValues)?;
            cells.push((name, key, numbers(column.as_ref()).ok_or(TablesError::NoValues)?));
        }
        let mut stretch = Stretch::default();
        for (index, cell) in at.iter().enumerate() {
            let row = first + index as u64;
            let Some(at) = self.time(cell, row, &mut stretch) else { continue };
            for (name, key, values) in &cells {
                match values[index] {
                    Some(value) if value.is_finite() => {
                        stretch.take(row, reading((*key).clone(), at, value));
                    }
                    Some(value) => stretch.refuse(row, name, format!("`{value}` is not finite")),
                    None => {}
                }
            }
        }
        Ok(stretch)
    }

    fn time(&self, cell: &TimeCell, row: u64, stretch: &mut Stretch) -> Option<Timestamp> {
        match cell {
            TimeCell::At(at) => return Some(*at),
            TimeCell::Missing => stretch.refuse(row, &self.time, "missing"),
            TimeCell::Wrong(text) => {
                stretch.refuse(row, &self.time, format!("`{text}` is no time"))
            }
        }
        None
    }

    fn long(&mut self, batch: &RecordBatch, first: u64) -> Result<Stretch, TablesError> {
        let Layout::Long { value, sensor, quality, unit } = &self.layout else {
            return Err(TablesError::NoValues);
        };
        let at = self.times(batch)?;
        let values = batch.column_by_name(value).and_then(|column| numbers(column.as_ref()));
        let values = values.ok_or(TablesError::NoValues)?;
        let words =
            |name: Option<&str>| name.and_then(|name| texts(batch.column_by_name(name)?.as_ref()));
        let named = batch.schema_ref().fields().iter().map(|field| field.name().as_str());
        let reason = named.into_iter().find(|name| name.eq_ignore_ascii_case("reason"));
        let sensors = words(sensor.as_deref());
        let (qualities, reasons) = (words(quality.as_deref()), words(reason));
        let units = words(unit.as_deref());
        let cell = |column: &Option<Vec<Option<&str>>>, index: usize| -> Option<String> {
            column.as_ref()?[index].filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let mut stretch = Stretch::default();
        for (index, time) in at.iter().enumerate() {
            let row = first + index as u64;
            let Some(at) = self.time(time, row, &mut stretch) else { continue };
            let value = match values[index] {
                Some(value) if value.is_finite() => value,
                Some(value) => {
                    stretch.refuse(row, "value", format!("`{value}` is not finite"));
                    continue;
                }
                None => {
                    stretch.refuse(row, "value", "missing");
                    continue;
                }
            };
            let name = sensors.as_ref().and_then(|column| column[index]);
            let key = match sensor_key(name, self.options.sensor.as_ref(), &mut self.known) {
                Ok(key) => key,
                Err(reason) => {
                    stretch.refuse(row, "sensor", reason);
                    continue;
                }
            };
            let mut reading = reading(key, at, value);
            if let Some(word) = cell(&qualities, index) {
                match self::quality(&word, cell(&reasons, index).as_deref()) {
                    Some(quality) => reading.quality = quality,
                    None => {
                        let shown: String = word.chars().take(40).collect();
                        let reason = format!("`{shown}` is not good, uncertain or bad");
                        stretch.refuse(row, "quality", reason);
                        continue;
                    }
                }
            }
            reading.unit = cell(&units, index);
            stretch.take(row, reading);
        }
        Ok(stretch)
    }
}

impl Iterator for ParquetReadings {
    type Item = Result<Stretch, TablesError>;

    /// After a fault of the file itself nothing sound can follow.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = catch_unwind(AssertUnwindSafe(|| self.stretch()))
            .unwrap_or(Some(Err(TablesError::Damaged)));
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

fn reading(sensor: SensorKey, at: Timestamp, value: f64) -> Reading {
    Reading { sensor, at, value, quality: Quality::Good, unit: None }
}

/// Distinct texts are judged once; a file of a million rows has few of them.
fn sensor_key(
    text: Option<&str>,
    fallback: Option<&SensorKey>,
    known: &mut HashMap<String, Result<SensorKey, String>>,
) -> Result<SensorKey, String> {
    /// A file may be one of wrong keys only.
    const KNOWN_MAX: usize = 100_000;
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return fallback.cloned().ok_or_else(|| "missing".to_owned());
    };
    if let Some(key) = known.get(text) {
        return key.clone();
    }
    let key = SensorKey::new(text).map_err(|error| error.to_string());
    if known.len() < KNOWN_MAX {
        known.insert(text.to_owned(), key.clone());
    }
    key
}
