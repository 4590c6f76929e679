//! Words and numbers as cells of a table.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::{DataType, TimeUnit};
use kernel::{Quality, Reason, Timestamp};

pub(crate) const QUALITY_WORDS: [&str; 3] = ["good", "uncertain", "bad"];
/// In order of their numbers, from 1.
pub(crate) const REASON_WORDS: [&str; 9] = [
    "source",
    "out_of_range",
    "rate_exceeded",
    "future_time",
    "stuck",
    "drifting",
    "stale",
    "manual",
    "simulated",
];

/// The name of a reason as JSON writes it.
#[must_use]
pub fn reason_word(reason: Reason) -> &'static str {
    REASON_WORDS[reason as usize - 1]
}

pub(crate) fn reason_index(quality: Quality) -> Option<i32> {
    quality.reason().map(|reason| i32::from(reason as u8) - 1)
}

/// `None` for words that are no quality.
pub(crate) fn quality(word: &str, reason: Option<&str>) -> Option<Quality> {
    let place = |word: &str| REASON_WORDS.iter().position(|known| *known == word);
    let number = reason.and_then(place).map_or(Reason::Source as u8, |place| place as u8 + 1);
    match word.to_ascii_lowercase().as_str() {
        "good" => Some(Quality::Good),
        "uncertain" => Some(Quality::from_byte(0x40 | number)),
        "bad" => Some(Quality::from_byte(0x80 | number)),
        _ => None,
    }
}

/// Whether [`numbers`] reads the type.
pub(crate) fn is_number(kind: &DataType) -> bool {
    kind.is_integer() || matches!(kind, DataType::Float32 | DataType::Float64 | DataType::Boolean)
}

fn floats<T: ArrowPrimitiveType>(
    array: &dyn Array,
    cell: impl Fn(T::Native) -> f64,
) -> Vec<Option<f64>> {
    array.as_primitive::<T>().iter().map(|value| value.map(&cell)).collect()
}

/// A column of numbers; truth is 1 and 0. `None` when it holds something else.
pub(crate) fn numbers(array: &dyn Array) -> Option<Vec<Option<f64>>> {
    Some(match array.data_type() {
        DataType::Float64 => floats::<Float64Type>(array, |v| v),
        DataType::Float32 => floats::<Float32Type>(array, f64::from),
        DataType::Int8 => floats::<Int8Type>(array, f64::from),
        DataType::Int16 => floats::<Int16Type>(array, f64::from),
        DataType::Int32 => floats::<Int32Type>(array, f64::from),
        DataType::Int64 => floats::<Int64Type>(array, |v| v as f64),
        DataType::UInt8 => floats::<UInt8Type>(array, f64::from),
        DataType::UInt16 => floats::<UInt16Type>(array, f64::from),
        DataType::UInt32 => floats::<UInt32Type>(array, f64::from),
        DataType::UInt64 => floats::<UInt64Type>(array, |v| v as f64),
        DataType::Boolean => {
            array.as_boolean().iter().map(|v| v.map(|v| f64::from(u8::from(v)))).collect()
        }
        _ => return None,
    })
}

/// Whether [`texts`] reads the type.
pub(crate) fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// A column of texts, in a dictionary or not. `None` when it holds something else.
pub(crate) fn texts(array: &dyn Array) -> Option<Vec<Option<&str>>> {
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().iter().collect()),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().iter().collect()),
        DataType::Utf8View => Some(array.as_string_view().iter().collect()),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let words = texts(dictionary.values().as_ref())?;
            let keys = dictionary.keys();
            // An array of nulls only may have no words at all.
            let codes =
                if words.is_empty() { vec![0; array.len()] } else { dictionary.normalized_keys() };
            let cell = |(row, code): (usize, usize)| {
                if keys.is_null(row) { None } else { words.get(code).copied().flatten() }
            };
            Some(codes.into_iter().enumerate().map(cell).collect())
        }
        _ => None,
    }
}

/// Whether [`times`] reads the type.
pub(crate) fn is_time(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}

/// A cell of a time column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TimeCell {
    Missing,
    At(Timestamp),
    /// Not a time, as written.
    Wrong(String),
}

fn stamps<T: ArrowPrimitiveType<Native = i64>>(
    array: &dyn Array,
    micros: impl Fn(i64) -> Option<i64>,
) -> Vec<TimeCell> {
    let cell = |value: Option<i64>| {
        let Some(ticks) = value else { return TimeCell::Missing };
        let at = micros(ticks).map(Timestamp::from_micros).filter(|at| at.is_representable());
        at.map_or_else(|| TimeCell::Wrong(ticks.to_string()), TimeCell::At)
    };
    array.as_primitive::<T>().iter().map(cell).collect()
}

/// A column of times. Numbers and texts are read by `parse`; stamps without a zone are UTC.
pub(crate) fn times(
    array: &dyn Array,
    parse: fn(&str) -> Option<Timestamp>,
) -> Option<Vec<TimeCell>> {
    const DAY_MICROS: i64 = 86_400_000_000;
    let read = |text: &str| {
        parse(text).map_or_else(|| TimeCell::Wrong(text.chars().take(40).collect()), TimeCell::At)
    };
    Some(match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            stamps::<TimestampSecondType>(array, |t| t.checked_mul(1_000_000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            stamps::<TimestampMillisecondType>(array, |t| t.checked_mul(1_000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            stamps::<TimestampMicrosecondType>(array, Some)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            stamps::<TimestampNanosecondType>(array, |t| Some(t.div_euclid(1_000)))
        }
        DataType::Date64 => stamps::<Date64Type>(array, |t| t.checked_mul(1_000)),
        DataType::Date32 => array
            .as_primitive::<Date32Type>()
            .iter()
            .map(|day| match day {
                None => TimeCell::Missing,
                Some(day) => {
                    TimeCell::At(Timestamp::from_micros(i64::from(day).saturating_mul(DAY_MICROS)))
                }
            })
            .collect(),
        DataType::Int64 => {
            let cells = array.as_primitive::<Int64Type>().iter();
            cells.map(|v| v.map_or(TimeCell::Missing, |v| read(&v.to_string()))).collect()
        }
        kind if is_text(kind) => {
            texts(array)?.into_iter().map(|text| text.map_or(TimeCell::Missing, read)).collect()
        }
        kind if is_number(kind) => numbers(array)?
            .into_iter()
            .map(|v| v.map_or(TimeCell::Missing, |v| read(&v.to_string())))
            .collect(),
        _ => return None,
    })
}
