//! The JSON forms of `POST /data/ingest`: one reading, an array of readings, or an object with a
//! `readings` array. Each row stands for itself: a faulty one is named, the others are taken.

use kernel::{Quality, Reading, Reason, SensorKey, SensorKind, Timestamp};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::rows::excerpt;
use crate::{Hint, Rows, SenseError};

/// Rows in one body; beyond this a sender should make several requests.
pub const JSON_ROWS_MAX: usize = 10_000;
/// Bytes of one row's `metadata`.
const METADATA_BYTES_MAX: usize = 16 * 1024;

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    sensor: Option<&'a RawValue>,
    #[serde(borrow)]
    sensor_id: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    at: Option<&'a RawValue>,
    #[serde(borrow)]
    unit: Option<&'a RawValue>,
    #[serde(borrow)]
    quality: Option<&'a RawValue>,
    #[serde(borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    sensor_type: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    readings: Option<RawRows<'a>>,
}

/// The rows of an array, unread; those beyond the limit are only counted.
struct RawRows<'a> {
    rows: Vec<&'a RawValue>,
    found: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for RawRows<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> Visitor<'de> for Rows {
            type Value = RawRows<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array of readings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut rows = Vec::new();
                while rows.len() < JSON_ROWS_MAX {
                    match seq.next_element::<&'de RawValue>()? {
                        Some(row) => rows.push(row),
                        None => return Ok(RawRows { found: rows.len(), rows }),
                    }
                }
                let mut found = rows.len();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    found += 1;
                }
                Ok(RawRows { rows, found })
            }
        }
        deserializer.deserialize_seq(Rows)
    }
}

/// Reads a body. Rows without a time are of `now`.
///
/// # Errors
/// When the body is no JSON, has another shape, or holds more than [`JSON_ROWS_MAX`] rows.
pub fn parse(body: &[u8], now: Timestamp) -> Result<Rows, SenseError> {
    parse_for(None, body, now)
}

/// As [`parse`]; rows that name no sensor are of `default`.
pub(crate) fn parse_for(
    default: Option<&SensorKey>,
    body: &[u8],
    now: Timestamp,
) -> Result<Rows, SenseError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let before = &body[..error.valid_up_to()];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        SenseError::Json { reason: "invalid UTF-8".to_owned(), line, column }
    })?;
    let first = text.trim_start().as_bytes().first().copied();
    let mut single = false;
    let raw = match first {
        Some(b'[') => serde_json::from_str::<RawRows<'_>>(text).map_err(fault)?,
        Some(b'{') => match serde_json::from_str::<Envelope<'_>>(text).map_err(fault)?.readings {
            Some(rows) => rows,
            None => {
                single = true;
                RawRows { rows: vec![serde_json::from_str(text).map_err(fault)?], found: 1 }
            }
        },
        _ => {
            serde_json::from_str::<IgnoredAny>(text).map_err(fault)?;
            return Err(SenseError::Shape);
        }
    };
    if raw.found > JSON_ROWS_MAX {
        return Err(SenseError::TooManyRows { found: raw.found, max: JSON_ROWS_MAX });
    }
    let mut rows = Rows { single, ..Rows::default() };
    for (index, row) in raw.rows.into_iter().enumerate() {
        match read_row(row, default, now) {
            Ok((reading, hint)) => {
                rows.take(index, reading);
                rows.hints.extend(hint);
            }
            Err((field, reason)) => rows.refuse(index, field, reason),
        }
    }
    Ok(rows)
}

fn fault(error: serde_json::Error) -> SenseError {
    let full = error.to_string();
    let reason = full.split(" at line ").next().unwrap_or_default();
    SenseError::Json { reason: excerpt(reason, 200), line: error.line(), column: error.column() }
}

type Fault = (&'static str, String);

fn read_row(
    raw: &RawValue,
    default: Option<&SensorKey>,
    now: Timestamp,
) -> Result<(Reading, Option<Hint>), Fault> {
    let row: Row<'_> = serde_json::from_str(raw.get())
        .map_err(|_| ("", "a reading is an object with `sensor` and `value`".to_owned()))?;
    let sensor = match (row.sensor.or(row.sensor_id), default) {
        (None, Some(default)) => default.clone(),
        (named, _) => read_sensor(named)?,
    };
    let value = read_value(row.value)?;
    let at = read_time(row.timestamp.or(row.at), now)?;
    let unit = read_text("unit", row.unit)?;
    let quality = read_quality(row.quality)?;
    let kind = read_kind(row.kind.or(row.sensor_type))?;
    let metadata = read_metadata(row.metadata)?;
    let hint = (kind.is_some() || metadata.is_some()).then(|| Hint {
        sensor: sensor.clone(),
        kind,
        metadata,
    });
    Ok((Reading { sensor, at, value, quality, unit }, hint))
}

fn present(raw: Option<&RawValue>) -> Option<&str> {
    raw.map(RawValue::get).filter(|text| *text != "null")
}

fn read_text(field: &'static str, raw: Option<&RawValue>) -> Result<Option<String>, Fault> {
    let Some(text) = present(raw) else { return Ok(None) };
    serde_json::from_str::<String>(text)
        .map(Some)
        .map_err(|_| (field, format!("a text is needed, not `{}`", excerpt(text, 40))))
}

fn read_sensor(raw: Option<&RawValue>) -> Result<SensorKey, Fault> {
    let text = read_text("sensor", raw)?
        .ok_or_else(|| ("sensor", "missing; give site/asset/measure".to_owned()))?;
    SensorKey::new(&text).map_err(|error| ("sensor", error.to_string()))
}

fn read_value(raw: Option<&RawValue>) -> Result<f64, Fault> {
    let text = present(raw).ok_or_else(|| ("value", "missing; give a number".to_owned()))?;
    let numeric = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let shown = excerpt(text, 40);
    if !numeric {
        let bare = text.trim_matches('"').trim_start_matches(['-', '+']).to_ascii_lowercase();
        let reason = if matches!(bare.as_str(), "nan" | "inf" | "infinity") {
            format!("{shown} is not finite; leave the reading out or mark it with quality `bad`")
        } else {
            format!("a number is needed, not {shown}")
        };
        return Err(("value", reason));
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(("value", format!("{shown} does not fit into a 64-bit number"))),
    }
}

fn read_time(raw: Option<&RawValue>, now: Timestamp) -> Result<Timestamp, Fault> {
    let Some(text) = present(raw) else { return Ok(now) };
    let wrong = || {
        let shown = excerpt(text, 60);
        ("timestamp", format!("{shown} is neither an RFC 3339 time nor milliseconds since 1970"))
    };
    if text.starts_with('"') {
        let written: String = serde_json::from_str(text).map_err(|_| wrong())?;
        return written.parse().map_err(|_| wrong());
    }
    let millis: f64 = text.parse().map_err(|_| wrong())?;
    let micros = millis * 1e3;
    let at = Timestamp::from_micros(micros as i64);
    if micros.is_finite() && at.is_representable() { Ok(at) } else { Err(wrong()) }
}

/// Reads `good`, `uncertain` or `bad`; also what OPC people write: `GOOD`, `Bad`.
pub(crate) fn quality_from(text: &str) -> Option<Quality> {
    match text.to_ascii_lowercase().as_str() {
        "good" => Some(Quality::Good),
        "uncertain" => Some(Quality::Uncertain(Reason::Source)),
        "bad" => Some(Quality::Bad(Reason::Source)),
        _ => None,
    }
}

fn read_quality(raw: Option<&RawValue>) -> Result<Quality, Fault> {
    let Some(text) = read_text("quality", raw)? else { return Ok(Quality::Good) };
    quality_from(&text).ok_or_else(|| {
        ("quality", format!("`{}` is not good, uncertain or bad", excerpt(&text, 40)))
    })
}

fn read_kind(raw: Option<&RawValue>) -> Result<Option<SensorKind>, Fault> {
    let Some(text) = read_text("kind", raw)? else { return Ok(None) };
    let name = text.to_ascii_lowercase();
    let exact = serde_json::from_value(serde_json::Value::String(name.clone()));
    Ok(Some(exact.unwrap_or_else(|_| SensorKind::from_measure(&name))))
}

fn read_metadata(raw: Option<&RawValue>) -> Result<Option<serde_json::Value>, Fault> {
    let Some(text) = present(raw) else { return Ok(None) };
    if text.len() > METADATA_BYTES_MAX {
        return Err(("metadata", format!("longer than {METADATA_BYTES_MAX} bytes")));
    }
    match serde_json::from_str(text) {
        Ok(object @ serde_json::Value::Object(_)) => Ok(Some(object)),
        _ => Err(("metadata", "an object is needed".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn read(body: &str) -> Rows {
        parse(body.as_bytes(), NOW).unwrap()
    }

    #[test]
    fn one_reading_an_array_and_an_envelope() {
        let one = r#"{"sensor":"north/p-2/vibration","value":4.6,"unit":"mm/s"}"#;
        let rows = read(one);
        assert_eq!(rows.readings.len(), 1);
        assert_eq!(rows.readings[0].at, NOW);
        assert_eq!(rows.readings[0].unit.as_deref(), Some("mm/s"));
        assert_eq!(read(&format!("[{one},{one}]")).readings.len(), 2);
        assert_eq!(read(&format!(r#"{{"readings":[{one}]}}"#)).readings, rows.readings);
    }

    #[test]
    fn times_are_rfc_3339_or_milliseconds() {
        let rows = read(
            r#"[{"sensor_id":"a/b/c","value":1,"timestamp":"2023-11-14T22:13:20Z"},
                {"sensor_id":"a/b/c","value":1,"at":1700000000000}]"#,
        );
        assert_eq!(rows.readings[0].at, NOW);
        assert_eq!(rows.readings[1].at, NOW);
    }

    #[test]
    fn faulty_rows_are_named_and_the_good_ones_taken() {
        let rows = read(
            r#"[{"sensor":"a/b/c","value":1},
                {"sensor":"a/b/c","value":"NaN"},
                {"sensor":"a/b/c","value":1e999},
                {"sensor":"a/b/c","value":true},
                {"sensor":"a/b","value":1},
                {"value":1},
                {"sensor":"a/b/c"},
                {"sensor":"a/b/c","value":1,"timestamp":"noon"},
                {"sensor":"a/b/c","value":1,"timestamp":1e300},
                {"sensor":"a/b/c","value":1,"quality":"fine"},
                {"sensor":"a/b/c","value":1,"unit":7},
                17,
                {"sensor":"a/b/c","value":2}]"#,
        );
        assert_eq!(rows.rows, [0, 12]);
        let named: Vec<_> = rows.refused.iter().map(|r| (r.row, r.field.as_str())).collect();
        assert_eq!(
            named,
            [
                (1, "value"),
                (2, "value"),
                (3, "value"),
                (4, "sensor"),
                (5, "sensor"),
                (6, "value"),
                (7, "timestamp"),
                (8, "timestamp"),
                (9, "quality"),
                (10, "unit"),
                (11, "")
            ]
        );
        assert!(rows.refused[0].reason.contains("not finite"), "{:?}", rows.refused[0]);
    }

    #[test]
    fn whole_bodies_are_refused_with_a_place() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert!(
            parse(deep.as_bytes(), NOW)
                .is_ok_and(|rows| rows.readings.is_empty() && rows.refused_total == 1)
        );
        let unclosed = "[".repeat(10_000);
        assert!(matches!(parse(unclosed.as_bytes(), NOW), Err(SenseError::Json { .. })));
        assert!(matches!(parse(b"{\"value\": NaN}", NOW), Err(SenseError::Json { line: 1, .. })));
        assert!(matches!(parse(b"\n\xff", NOW), Err(SenseError::Json { line: 2, column: 1, .. })));
        assert!(matches!(parse(b"7", NOW), Err(SenseError::Shape)));
        let many = format!("[{}]", vec!["1"; JSON_ROWS_MAX + 1].join(","));
        assert!(matches!(
            parse(many.as_bytes(), NOW),
            Err(SenseError::TooManyRows { found: 10_001, .. })
        ));
    }

    #[test]
    fn hints_describe_new_sensors() {
        let rows = read(
            r#"{"sensor":"a/b/c","value":1,"sensor_type":"Vibration","metadata":{"maker":"x"}}"#,
        );
        assert_eq!(rows.hints[0].kind, Some(SensorKind::Vibration));
        assert!(rows.hints[0].metadata.is_some());
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(parse(&body, NOW));
        }
    }
}
