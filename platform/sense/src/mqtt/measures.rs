//! Objects whose members are measures: `{"temp": 21.5, "bearing": {"de": 2.1}, "ts": 1700000000000}`.

use kernel::{Quality, Reading, SensorKey, Timestamp};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::json::{JSON_ROWS_MAX, quality_from};
use crate::rows::excerpt;
use crate::{Rows, parse_time};

/// Objects inside objects; a sensor key has no room for more.
const DEPTH_MAX: usize = 5;
const TIMES: [&str; 4] = ["timestamp", "at", "time", "ts"];

#[derive(Deserialize)]
struct Probe {
    value: Option<IgnoredAny>,
    readings: Option<IgnoredAny>,
    sensor: Option<IgnoredAny>,
    sensor_id: Option<IgnoredAny>,
}

/// Whether a JSON object or array is of measures, not of readings as the HTTP door takes them.
pub(super) fn is_of_measures(text: &[u8]) -> bool {
    let probe = match text.first() {
        Some(b'[') => {
            serde_json::from_slice::<Vec<Probe>>(text).ok().and_then(|rows| rows.into_iter().next())
        }
        _ => serde_json::from_slice::<Probe>(text).ok(),
    };
    probe.is_some_and(|probe| {
        probe.value.is_none()
            && probe.readings.is_none()
            && probe.sensor.is_none()
            && probe.sensor_id.is_none()
    })
}

/// Reads the members as measures below `base`; without one each member is a whole key.
pub(super) fn read(text: &[u8], base: Option<&str>, now: Timestamp) -> Rows {
    let mut rows = Rows::default();
    let objects = match serde_json::from_slice(text) {
        Ok(Value::Array(items)) => items,
        Ok(one) => vec![one],
        Err(error) => {
            rows.refuse(0, "payload", excerpt(&error.to_string(), 200));
            return rows;
        }
    };
    for (index, object) in objects.iter().enumerate() {
        match object {
            Value::Object(members) => {
                let place = Place { row: index, at: now, quality: Quality::Good, depth: 0 };
                let path = base.unwrap_or_default().to_owned();
                walk(members, path, place, &mut rows);
            }
            other => rows.refuse(index, "payload", format!("{} is no object", shown(other))),
        }
    }
    if rows.readings.is_empty() && rows.refused_total == 0 {
        rows.refuse(0, "payload", "no member is a number");
    }
    rows
}

/// What an object says of its members.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    at: Timestamp,
    quality: Quality,
    depth: usize,
}

fn walk(members: &Map<String, Value>, path: String, outer: Place, rows: &mut Rows) {
    let place = match said_of_all(members, outer) {
        Ok(place) => place,
        Err((field, reason)) => return rows.refuse(outer.row, field, reason),
    };
    let unit = members.get("unit").and_then(Value::as_str);
    for (name, value) in members {
        let meta = TIMES.contains(&name.as_str()) || matches!(name.as_str(), "quality" | "unit");
        if meta {
            continue;
        }
        // `value` is the object's own, and `values` only a wrapping around the members.
        let own = matches!(name.as_str(), "value") || (name == "values" && value.is_object());
        let inner = if own { path.clone() } else { joined(&path, name) };
        match value {
            Value::Object(_) if place.depth + 1 >= DEPTH_MAX => {
                rows.refuse(place.row, inner, format!("nested deeper than {DEPTH_MAX}"));
            }
            Value::Object(members) => {
                let deeper = Place { depth: place.depth + 1, ..place };
                walk(members, inner, deeper, rows);
            }
            Value::String(_) | Value::Null => rows.texts_skipped += 1,
            Value::Array(_) => {
                rows.refuse(place.row, inner, "a number is needed, not an array");
            }
            Value::Bool(on) => take(inner, f64::from(u8::from(*on)), None, place, rows),
            Value::Number(number) => match number.as_f64().filter(|value| value.is_finite()) {
                Some(value) => take(inner, value, unit.filter(|_| own), place, rows),
                None => rows.refuse(place.row, inner, "does not fit into a 64-bit number"),
            },
        }
    }
}

fn take(path: String, value: f64, unit: Option<&str>, place: Place, rows: &mut Rows) {
    if rows.readings.len() >= JSON_ROWS_MAX {
        let reason = format!("more than {JSON_ROWS_MAX} measures in one message");
        return rows.refuse(place.row, "payload", reason);
    }
    match SensorKey::new(&path) {
        Err(error) => rows.refuse(place.row, "sensor", error.to_string()),
        Ok(sensor) => {
            let unit = unit.map(str::to_owned);
            let Place { at, quality, .. } = place;
            rows.take(place.row, Reading { sensor, at, value, quality, unit });
        }
    }
}

/// Time and quality, where an object says them of all its members.
fn said_of_all(
    members: &Map<String, Value>,
    mut place: Place,
) -> Result<Place, (&'static str, String)> {
    if let Some(time) = TIMES.iter().find_map(|name| members.get(*name)).filter(|t| !t.is_null()) {
        let text = match time {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        place.at = parse_time(&text)
            .ok_or_else(|| ("timestamp", format!("{} is no time", shown(time))))?;
    }
    if let Some(quality) = members.get("quality").filter(|quality| !quality.is_null()) {
        let text = quality.as_str().unwrap_or_default();
        let read = quality_from(text).ok_or_else(|| {
            ("quality", format!("{} is not good, uncertain or bad", shown(quality)))
        })?;
        place.quality = place.quality.worst(read);
    }
    Ok(place)
}

fn joined(path: &str, name: &str) -> String {
    let mut text = String::with_capacity(path.len() + name.len() + 1);
    text.push_str(path);
    if !path.is_empty() {
        text.push('/');
    }
    text.extend(name.chars().map(|c| {
        let allowed = c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
        if allowed { c } else { '_' }
    }));
    text
}

fn shown(value: &Value) -> String {
    excerpt(&value.to_string(), 40)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn keys(text: &str, base: &str) -> Vec<(String, f64)> {
        let rows = read(text.as_bytes(), Some(base), NOW);
        rows.readings.iter().map(|r| (r.sensor.to_string(), r.value)).collect()
    }

    #[test]
    fn members_are_measures() {
        let found = keys(r#"{"temp": 1, "hum": 2.5, "open": true, "name": "x"}"#, "n/p-2");
        let named = |measure: &str, value| (format!("n/p-2/{measure}"), value);
        assert_eq!(found, [named("hum", 2.5), named("open", 1.0), named("temp", 1.0)]);
        let nested = keys(r#"{"bearing": {"d e": 1, "nde": {"value": 2}}, "value": 3}"#, "n/p/v");
        let found: Vec<&str> = nested.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(found, ["n/p/v/bearing/d_e", "n/p/v/bearing/nde", "n/p/v"]);
    }

    #[test]
    fn an_object_says_time_and_quality_of_its_members() {
        let text = r#"[{"ts": 1700000000123, "values": {"a": 1, "b": {"value": 2, "unit": "bar",
            "at": "2023-11-14T22:13:21Z"}}}, {"timestamp": 1700000005, "quality": "bad", "a": 7}]"#;
        let rows = read(text.as_bytes(), Some("n/p"), NOW);
        let times: Vec<i64> = rows.readings.iter().map(|r| r.at.as_micros() / 1_000).collect();
        assert_eq!(times, [1_700_000_000_123, 1_700_000_001_000, 1_700_000_005_000]);
        assert_eq!(rows.readings[1].unit.as_deref(), Some("bar"));
        assert!(rows.readings[2].quality.is_bad() && rows.readings[0].quality.is_good());
    }

    #[test]
    fn faults_are_named_and_the_rest_is_taken() {
        let rows = read(br#"{"a": [1], "b": 2, "c": {"ts": "noon", "x": 1}}"#, Some("n/p"), NOW);
        assert_eq!((rows.readings.len(), rows.refused_total), (1, 2), "{rows:?}");
        for text in ["{}", r#"{"a": "text"}"#, "[1]", r#"{"a"#] {
            let rows = read(text.as_bytes(), Some("n/p"), NOW);
            assert_eq!((rows.readings.len(), rows.refused_total), (0, 1), "{text}");
        }
        assert_eq!(read(br#"{"a": 1}"#, None, NOW).refused[0].field, "sensor");
        assert_eq!(read(br#"{"n/p/a": 1}"#, None, NOW).readings.len(), 1);
    }

    #[test]
    fn readings_are_told_from_measures() {
        for text in [r#"{"value": 1}"#, r#"[{"sensor": "a/b/c"}]"#, r#"{"readings": []}"#, "{"] {
            assert!(!is_of_measures(text.as_bytes()), "{text}");
        }
        for text in [r#"{"temp": {"value": 1}}"#, r#"[{"a": 1}]"#] {
            assert!(is_of_measures(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[{}\\[\\]\":,a-c0-9.e ]{0,80}") {
            drop(read(text.as_bytes(), Some("a/b"), NOW));
            is_of_measures(text.as_bytes());
        }
    }
}
