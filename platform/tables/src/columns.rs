use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use kernel::{Quality, SensorKey, Timestamp};

use crate::values::{QUALITY_WORDS, REASON_WORDS, reason_index, reason_word};

/// The sensors of a table with their units: rows name a sensor by its place here. One legend for
/// a whole stream keeps its dictionaries the same from the first batch to the last.
#[derive(Clone, Debug, Default)]
pub struct Legend {
    sensors: Vec<(SensorKey, Option<String>)>,
    units: Vec<String>,
    /// For each sensor the place of its unit.
    unit_of: Vec<Option<i32>>,
}

impl Legend {
    #[must_use]
    pub fn new(sensors: Vec<(SensorKey, Option<String>)>) -> Self {
        let mut units: Vec<String> = Vec::new();
        let unit_of = sensors
            .iter()
            .map(|(_, unit)| {
                let unit = unit.as_ref()?;
                let place = units.iter().position(|known| known == unit).unwrap_or_else(|| {
                    units.push(unit.clone());
                    units.len() - 1
                });
                i32::try_from(place).ok()
            })
            .collect();
        Self { sensors, units, unit_of }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.sensors.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sensors.is_empty()
    }

    fn name(&self, place: u32) -> (&str, &str) {
        self.sensors
            .get(place as usize)
            .map_or(("", ""), |(key, unit)| (key.as_str(), unit.as_deref().unwrap_or_default()))
    }
}

/// A legend as the values of dictionaries, made once for a stream.
#[derive(Clone, Debug)]
pub struct Dictionaries {
    sensors: ArrayRef,
    units: ArrayRef,
    qualities: ArrayRef,
    reasons: ArrayRef,
}

impl Dictionaries {
    pub(crate) fn of(legend: &Legend) -> Self {
        let texts = |words: &[&str]| Arc::new(StringArray::from(words.to_vec())) as ArrayRef;
        let keys = legend.sensors.iter().map(|(key, _)| key.as_str());
        Self {
            sensors: Arc::new(StringArray::from_iter_values(keys)),
            units: Arc::new(StringArray::from_iter_values(&legend.units)),
            qualities: texts(&QUALITY_WORDS),
            reasons: texts(&REASON_WORDS),
        }
    }
}

/// Rows of one kind, column by column. All columns have one length.
pub trait Columns {
    /// The names of the columns of a CSV file.
    const CSV_HEAD: &'static [&'static str];

    fn schema() -> SchemaRef;

    /// # Errors
    /// When a row names a sensor that is not in the legend.
    fn batch(&self, legend: &Legend, values: &Dictionaries) -> Result<RecordBatch, ArrowError>;

    /// # Errors
    /// When a row cannot be written.
    fn csv(&self, legend: &Legend, out: &mut csv::Writer<Vec<u8>>) -> Result<(), csv::Error>;
}

/// Stored readings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadingRows {
    sensor: Vec<u32>,
    at: Vec<i64>,
    value: Vec<f64>,
    quality: Vec<u8>,
}

impl ReadingRows {
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        Self {
            sensor: Vec::with_capacity(rows),
            at: Vec::with_capacity(rows),
            value: Vec::with_capacity(rows),
            quality: Vec::with_capacity(rows),
        }
    }

    /// Adds a reading of the sensor at `place` of the legend.
    pub fn push(&mut self, place: u32, at: Timestamp, value: f64, quality: Quality) {
        self.sensor.push(place);
        self.at.push(at.as_micros());
        self.value.push(value);
        self.quality.push(quality.to_byte());
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.at.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }
}

impl Columns for ReadingRows {
    const CSV_HEAD: &'static [&'static str] =
        &["timestamp", "sensor", "value", "unit", "quality", "reason"];

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            word("sensor", false),
            time("at"),
            Field::new("value", DataType::Float64, false),
            word("quality", false),
            word("reason", true),
            word("unit", true),
        ]))
    }

    fn batch(&self, legend: &Legend, values: &Dictionaries) -> Result<RecordBatch, ArrowError> {
        let quality = |byte: &u8| i32::from(byte >> 6).min(2);
        let reason = |byte: &u8| reason_index(Quality::from_byte(*byte));
        let columns: Vec<ArrayRef> = vec![
            sensors(&self.sensor, values)?,
            times(&self.at),
            Arc::new(Float64Array::from(self.value.clone())),
            coded(self.quality.iter().map(|b| Some(quality(b))), &values.qualities)?,
            coded(self.quality.iter().map(reason), &values.reasons)?,
            units(&self.sensor, legend, values)?,
        ];
        RecordBatch::try_new(Self::schema(), columns)
    }

    fn csv(&self, legend: &Legend, out: &mut csv::Writer<Vec<u8>>) -> Result<(), csv::Error> {
        for (row, place) in self.sensor.iter().enumerate() {
            let (sensor, unit) = legend.name(*place);
            let quality = Quality::from_byte(self.quality[row]);
            out.write_record([
                Timestamp::from_micros(self.at[row]).to_string().as_str(),
                sensor,
                number(self.value[row]).as_str(),
                unit,
                quality.class(),
                quality.reason().map_or("", reason_word),
            ])?;
        }
        Ok(())
    }
}

/// Readings summarised into buckets of one width.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BucketRows {
    sensor: Vec<u32>,
    at: Vec<i64>,
    count: Vec<u64>,
    /// Lowest, highest, mean, first and last value.
    figures: [Vec<f64>; 5],
}

const FIGURES: [&str; 5] = ["min", "max", "mean", "first", "last"];

impl BucketRows {
    /// Adds a bucket of the sensor at `place` of the legend; `figures` are its lowest, highest,
    /// mean, first and last value.
    pub fn push(&mut self, place: u32, start: Timestamp, count: u64, figures: [f64; 5]) {
        self.sensor.push(place);
        self.at.push(start.as_micros());
        self.count.push(count);
        for (column, figure) in self.figures.iter_mut().zip(figures) {
            column.push(figure);
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.at.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }
}

impl Columns for BucketRows {
    const CSV_HEAD: &'static [&'static str] =
        &["timestamp", "sensor", "count", "min", "max", "mean", "first", "last", "unit"];

    fn schema() -> SchemaRef {
        let figures = FIGURES.map(|name| Field::new(name, DataType::Float64, false));
        let mut fields =
            vec![word("sensor", false), time("at"), Field::new("count", DataType::UInt64, false)];
        fields.extend(figures);
        fields.push(word("unit", true));
        Arc::new(Schema::new(fields))
    }

    fn batch(&self, legend: &Legend, values: &Dictionaries) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            sensors(&self.sensor, values)?,
            times(&self.at),
            Arc::new(UInt64Array::from(self.count.clone())),
        ];
        for figure in &self.figures {
            columns.push(Arc::new(Float64Array::from(figure.clone())));
        }
        columns.push(units(&self.sensor, legend, values)?);
        RecordBatch::try_new(Self::schema(), columns)
    }

    fn csv(&self, legend: &Legend, out: &mut csv::Writer<Vec<u8>>) -> Result<(), csv::Error> {
        for (row, place) in self.sensor.iter().enumerate() {
            let (sensor, unit) = legend.name(*place);
            out.write_field(Timestamp::from_micros(self.at[row]).to_string())?;
            out.write_field(sensor)?;
            out.write_field(self.count[row].to_string())?;
            for figure in &self.figures {
                out.write_field(number(figure[row]))?;
            }
            out.write_field(unit)?;
            out.write_record(None::<&[u8]>)?;
        }
        Ok(())
    }
}

/// The shortest text that reads back as the same bits; without hundreds of zeros where a number is
/// very large or very small.
fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-5..1e16).contains(&size) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

fn word(name: &str, nullable: bool) -> Field {
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Field::new(name, kind, nullable)
}

fn time(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false)
}

fn times(at: &[i64]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(at.to_vec()).with_timezone("UTC"))
}

fn sensors(places: &[u32], values: &Dictionaries) -> Result<ArrayRef, ArrowError> {
    coded(places.iter().map(|place| i32::try_from(*place).ok()), &values.sensors)
}

fn units(places: &[u32], legend: &Legend, values: &Dictionaries) -> Result<ArrayRef, ArrowError> {
    let unit = |place: &u32| legend.unit_of.get(*place as usize).copied().flatten();
    coded(places.iter().map(unit), &values.units)
}

/// Checks that each code is within the dictionary.
fn coded(
    codes: impl Iterator<Item = Option<i32>>,
    values: &ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let codes: Int32Array = codes.collect();
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(codes, Arc::clone(values))?))
}
