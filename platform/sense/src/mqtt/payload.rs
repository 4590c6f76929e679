use kernel::{Quality, Reading, Reason, Timestamp};

use super::measures;
use super::topics::TopicKey;
use crate::line::{KeyMapping, Precision};
use crate::rows::excerpt;
use crate::{Rows, json, line};

/// Bytes of one message; larger ones are refused by name.
const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// Reads a message: a plain number, JSON as the HTTP door takes it, an object of measures, or line
/// protocol. A row that names no sensor belongs to the one that the topic names.
pub(super) fn parse(
    payload: &[u8],
    key: &TopicKey,
    retained: bool,
    mapping: &KeyMapping,
    now: Timestamp,
) -> Rows {
    let mut rows = match key {
        TopicKey::Wrong(reason) => refusal("topic", reason),
        key => read(payload, key, mapping, now),
    };
    if retained {
        // A kept message may be of any age: without a time of its own it is not the present.
        for reading in rows.readings.iter_mut().filter(|reading| reading.at == now) {
            reading.quality = reading.quality.worst(Quality::Uncertain(Reason::Stale));
        }
    }
    rows
}

fn refusal(field: &str, reason: &str) -> Rows {
    let mut rows = Rows::default();
    rows.refuse(0, field, reason);
    rows
}

fn read(payload: &[u8], key: &TopicKey, mapping: &KeyMapping, now: Timestamp) -> Rows {
    if payload.len() > PAYLOAD_BYTES_MAX {
        let bytes = payload.len();
        return refusal("payload", &format!("{bytes} bytes; at most {PAYLOAD_BYTES_MAX} are read"));
    }
    match payload.trim_ascii() {
        [] => refusal("payload", "empty"),
        text @ [b'{' | b'[', ..] => read_json(text, key, now),
        text if text.contains(&b'=') => line::parse(text, Precision::Nanoseconds, mapping, now),
        text => plain(text, key, now),
    }
}

fn read_json(text: &[u8], key: &TopicKey, now: Timestamp) -> Rows {
    let (sensor, base) = match key {
        TopicKey::Named(key) => (Some(key), Some(key.as_str())),
        TopicKey::Asset(asset) => (None, Some(asset.as_str())),
        TopicKey::Unnamed | TopicKey::Wrong(_) => (None, None),
    };
    if measures::is_of_measures(text) {
        return measures::read(text, base, now);
    }
    json::parse_for(sensor, text, now)
        .unwrap_or_else(|error| refusal("payload", &error.to_string()))
}

fn plain(text: &[u8], key: &TopicKey, now: Timestamp) -> Rows {
    let TopicKey::Named(sensor) = key else {
        return refusal("topic", "a plain number needs a topic that names its sensor");
    };
    let shown = || excerpt(&String::from_utf8_lossy(text), 40);
    let number = match text {
        b"true" => Some(1.0),
        b"false" => Some(0.0),
        text => std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok()),
    };
    match number {
        Some(value) if value.is_finite() => {
            let quality = Quality::Good;
            let mut rows = Rows::default();
            rows.take(0, Reading { sensor: sensor.clone(), at: now, value, quality, unit: None });
            rows
        }
        Some(_) => refusal("value", &format!("`{}` is not finite", shown())),
        None => refusal("payload", &format!("`{}` is no number, JSON or line protocol", shown())),
    }
}

#[cfg(test)]
mod tests {
    use kernel::SensorKey;

    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn named() -> TopicKey {
        TopicKey::Named(SensorKey::new("a/b/c").unwrap())
    }

    fn take(payload: &str, key: &TopicKey, retained: bool) -> Rows {
        parse(payload.as_bytes(), key, retained, &KeyMapping::default(), NOW)
    }

    #[test]
    fn reads_numbers_json_and_lines() {
        assert_eq!(take(" 4.5\n", &named(), false).readings[0].value, 4.5);
        let json = take(r#"{"value":2,"timestamp":1}"#, &named(), false);
        assert_eq!(json.readings[0].sensor.as_str(), "a/b/c");
        let own = take(r#"[{"sensor":"x/y/z","value":2}]"#, &TopicKey::Unnamed, false);
        assert_eq!(own.readings[0].sensor.as_str(), "x/y/z");
        let line = take("temp,site=x,asset=y value=3", &TopicKey::Unnamed, false);
        assert_eq!(line.readings[0].sensor.as_str(), "x/y/temp");
    }

    #[test]
    fn an_object_of_measures_hangs_below_the_topic() {
        let asset = TopicKey::Asset("n/p-2".to_owned());
        let rows = take(r#"{"temp": 1, "hum": 2}"#, &asset, false);
        let keys: Vec<&str> = rows.readings.iter().map(|r| r.sensor.as_str()).collect();
        assert_eq!(keys, ["n/p-2/hum", "n/p-2/temp"]);
        assert_eq!(take(r#"{"x": 1}"#, &named(), false).readings[0].sensor.as_str(), "a/b/c/x");
        assert_eq!(take("7", &asset, false).refused[0].field, "topic");
        assert_eq!(take("true", &named(), false).readings[0].value, 1.0);
    }

    #[test]
    fn bytes_that_are_no_text_and_payloads_too_large_are_refused() {
        for payload in [&b"\xff\xfe"[..], b"{\"\xff\": 1}", &vec![b'1'; PAYLOAD_BYTES_MAX + 1]] {
            let rows = parse(payload, &named(), false, &KeyMapping::default(), NOW);
            assert_eq!((rows.readings.len(), rows.refused_total), (0, 1));
            assert_eq!(rows.refused[0].field, "payload");
        }
    }

    #[test]
    fn refuses_by_name() {
        for payload in ["", "abc", "NaN", "inf", "{", "1,2"] {
            let rows = take(payload, &named(), false);
            assert_eq!((rows.readings.len(), rows.refused_total), (0, 1), "{payload}");
        }
        assert_eq!(take("1", &TopicKey::Unnamed, false).refused[0].field, "topic");
    }

    #[test]
    fn a_retained_value_without_a_time_is_not_the_present() {
        let quality = |payload| take(payload, &named(), true).readings[0].quality;
        assert_eq!(quality("1"), Quality::Uncertain(Reason::Stale));
        assert_eq!(quality(r#"{"value":1,"timestamp":5}"#), Quality::Good);
    }

    proptest! {
        #[test]
        fn never_panics(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&payload, &named(), true, &KeyMapping::default(), NOW));
        }
    }
}
