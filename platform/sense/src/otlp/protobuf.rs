//! The protobuf encoding, read where it lies. Field numbers are those of opentelemetry-proto 1.

use super::point::{Body, DELTA, Distribution, Metric, NO_RECORDED_VALUE, Point, Shape};
use super::{BUCKETS_MAX, Intake, Speaker};
use crate::SenseError;
use crate::wire::{Field, Message, WireError};

/// Lists inside lists of one attribute's value; what lies deeper is left out.
pub(super) const VALUE_DEPTH_MAX: usize = 4;
/// Bytes of one attribute's value as text; longer ones are refused with their labels.
const VALUE_BYTES_MAX: usize = 4 * 1024;
/// Attributes of one data point or resource that are read; a point with more is refused.
const ATTRIBUTES_MAX: usize = 256;

/// How a data point of one kind is read.
type ReadPoint = fn(Message<'_>) -> Result<Point, WireError>;

pub(super) fn read(body: &[u8], intake: &mut Intake<'_>) -> Result<(), SenseError> {
    for field in Message::new(body) {
        if let (1, resource) = field? {
            resource_metrics(resource.message(1)?, intake)?;
        }
    }
    Ok(())
}

fn resource_metrics(message: Message<'_>, intake: &mut Intake<'_>) -> Result<(), SenseError> {
    let mut attributes = Vec::new();
    for field in message {
        if let (1, resource) = field? {
            attributes = attributes_of(resource.message(1)?, 1)?;
        }
    }
    let mut speaker = Speaker::new(&attributes);
    for field in message {
        if let (2, scope) = field? {
            scope_metrics(scope.message(2)?, &mut speaker, intake)?;
        }
    }
    Ok(())
}

fn scope_metrics(
    message: Message<'_>,
    speaker: &mut Speaker,
    intake: &mut Intake<'_>,
) -> Result<(), SenseError> {
    speaker.scope.clear();
    for field in message {
        if let (1, scope) = field? {
            for field in scope.message(1)? {
                if let (1, name) = field? {
                    name.text(1)?.clone_into(&mut speaker.scope);
                }
            }
        }
    }
    for field in message {
        if let (2, one) = field? {
            metric(one.message(2)?, speaker, intake)?;
        }
    }
    Ok(())
}

fn metric(
    message: Message<'_>,
    speaker: &Speaker,
    intake: &mut Intake<'_>,
) -> Result<(), SenseError> {
    let (mut name, mut description, mut unit) = ("", "", "");
    let mut data = None;
    for field in message {
        match field? {
            (1, text) => name = text.text(1)?,
            (2, text) => description = text.text(2)?,
            (3, text) => unit = text.text(3)?,
            (number @ (5 | 7 | 9 | 10 | 11), points) => {
                data = Some((number, points.message(number)?));
            }
            _ => {}
        }
    }
    let Some((kind, data)) = data else { return Ok(()) };
    let (mut delta, mut monotonic) = (false, false);
    for field in data {
        match field? {
            (2, Field::Varint(temporality)) => delta = temporality == DELTA,
            (3, Field::Varint(value)) => monotonic = value != 0,
            _ => {}
        }
    }
    let (shape, read): (Shape, ReadPoint) = match kind {
        5 => (Shape::Gauge, number_point),
        7 => (Shape::Sum { monotonic }, number_point),
        9 => (Shape::Histogram, histogram_point),
        10 => (Shape::ExponentialHistogram, exponential_point),
        _ => (Shape::Summary, summary_point),
    };
    let metric = Metric { name, description, unit, shape, delta };
    for field in data {
        if let (1, point) = field? {
            intake.take(speaker, &metric, read(point.message(1)?)?)?;
        }
    }
    Ok(())
}

fn number_point(message: Message<'_>) -> Result<Point, WireError> {
    let (mut nanos, mut flags, mut value) = (0, 0, None);
    for field in message {
        match field? {
            (3, time) => nanos = time.fixed64(3)?,
            (4, double) => value = Some(double.double(4)?),
            (6, int) => value = Some(int.fixed64(6)?.cast_signed() as f64),
            (8, bits) => flags = bits.varint(8)?,
            _ => {}
        }
    }
    point(message, 7, nanos, flags, Body::Number(value))
}

fn histogram_point(message: Message<'_>) -> Result<Point, WireError> {
    let (mut nanos, mut flags) = (0, 0);
    let mut it = Distribution::default();
    for field in message {
        match field? {
            (3, time) => nanos = time.fixed64(3)?,
            (4, count) => it.count = count.fixed64(4)?,
            (5, sum) => it.sum = Some(sum.double(5)?),
            (6, counts) => it.counts.extend(counts.fixed64s(6)?.take(room(&it.counts))),
            (7, bounds) => {
                let bounds = bounds.fixed64s(7)?.map(f64::from_bits);
                it.bounds.extend(bounds.take(room(&it.bounds)));
            }
            (10, bits) => flags = bits.varint(10)?,
            (11, min) => it.min = Some(min.double(11)?),
            (12, max) => it.max = Some(max.double(12)?),
            _ => {}
        }
    }
    point(message, 9, nanos, flags, Body::Distribution(it))
}

/// One more than is allowed is enough to see that there are too many.
fn room<T>(read: &[T]) -> usize {
    (BUCKETS_MAX + 1).saturating_sub(read.len())
}

fn exponential_point(message: Message<'_>) -> Result<Point, WireError> {
    let (mut nanos, mut flags) = (0, 0);
    let mut it = Distribution::default();
    for field in message {
        match field? {
            (3, time) => nanos = time.fixed64(3)?,
            (4, count) => it.count = count.fixed64(4)?,
            (5, sum) => it.sum = Some(sum.double(5)?),
            (10, bits) => flags = bits.varint(10)?,
            (12, min) => it.min = Some(min.double(12)?),
            (13, max) => it.max = Some(max.double(13)?),
            _ => {}
        }
    }
    point(message, 1, nanos, flags, Body::Distribution(it))
}

fn summary_point(message: Message<'_>) -> Result<Point, WireError> {
    let (mut nanos, mut flags, mut count, mut sum) = (0, 0, 0, 0.0);
    let mut quantiles = Vec::new();
    for field in message {
        match field? {
            (3, time) => nanos = time.fixed64(3)?,
            (4, field) => count = field.fixed64(4)?,
            (5, field) => sum = field.double(5)?,
            (6, pair) if quantiles.len() <= BUCKETS_MAX => {
                let mut quantile = (0.0, 0.0);
                for field in pair.message(6)? {
                    match field? {
                        (1, at) => quantile.0 = at.double(1)?,
                        (2, value) => quantile.1 = value.double(2)?,
                        _ => {}
                    }
                }
                quantiles.push(quantile);
            }
            (8, bits) => flags = bits.varint(8)?,
            _ => {}
        }
    }
    point(message, 7, nanos, flags, Body::Summary { count, sum, quantiles })
}

fn point(
    message: Message<'_>,
    attributes: u32,
    nanos: u64,
    flags: u64,
    body: Body,
) -> Result<Point, WireError> {
    let attributes = attributes_of(message, attributes)?;
    Ok(Point { attributes, nanos, recorded: flags & NO_RECORDED_VALUE == 0, body })
}

/// The repeated `KeyValue`s under `number`.
fn attributes_of(message: Message<'_>, number: u32) -> Result<Vec<(String, String)>, WireError> {
    let mut attributes = Vec::new();
    for field in message {
        match field? {
            (found, pair) if found == number && attributes.len() < ATTRIBUTES_MAX => {
                let (name, value) = key_value(pair.message(number)?)?;
                let mut text = String::new();
                if let Some(value) = value {
                    write_value(value, &mut text, 0)?;
                }
                attributes.push((name.to_owned(), text));
            }
            _ => {}
        }
    }
    Ok(attributes)
}

fn key_value(pair: Message<'_>) -> Result<(&str, Option<Message<'_>>), WireError> {
    let mut read = ("", None);
    for field in pair {
        match field? {
            (1, name) => read.0 = name.text(1)?,
            (2, value) => read.1 = Some(value.message(2)?),
            _ => {}
        }
    }
    Ok(read)
}

/// Writes an `AnyValue` as text; lists and maps as JSON writes them.
fn write_value(value: Message<'_>, text: &mut String, depth: usize) -> Result<(), WireError> {
    use std::fmt::Write as _;
    for field in value {
        if text.len() > VALUE_BYTES_MAX || depth > VALUE_DEPTH_MAX {
            return Ok(());
        }
        // Writing into a text cannot fail.
        let written = match field? {
            (1, string) if depth == 0 => {
                text.push_str(string.text(1)?);
                Ok(())
            }
            (1, string) => write!(text, "{:?}", string.text(1)?),
            (2, bool) => write!(text, "{}", bool.varint(2)? != 0),
            (3, int) => write!(text, "{}", int.varint(3)?.cast_signed()),
            (4, double) => write!(text, "{}", double.double(4)?),
            (5, list) => {
                write_list(list.message(5)?, text, depth)?;
                Ok(())
            }
            (6, map) => {
                write_map(map.message(6)?, text, depth)?;
                Ok(())
            }
            (7, bytes) => bytes.bytes(7)?.iter().try_for_each(|byte| write!(text, "{byte:02x}")),
            _ => Ok(()),
        };
        debug_assert!(written.is_ok());
    }
    Ok(())
}

fn write_list(list: Message<'_>, text: &mut String, depth: usize) -> Result<(), WireError> {
    let mut before = '[';
    for field in list {
        if let (1, item) = field? {
            text.push(before);
            before = ',';
            write_value(item.message(1)?, text, depth + 1)?;
        }
    }
    text.push_str(if before == '[' { "[]" } else { "]" });
    Ok(())
}

fn write_map(map: Message<'_>, text: &mut String, depth: usize) -> Result<(), WireError> {
    let mut before = '{';
    for field in map {
        if let (1, pair) = field? {
            let (name, value) = key_value(pair.message(1)?)?;
            text.push(before);
            before = ',';
            text.push_str(&format!("{name:?}:"));
            if let Some(value) = value {
                write_value(value, text, depth + 1)?;
            }
        }
    }
    text.push_str(if before == '{' { "{}" } else { "}" });
    Ok(())
}
