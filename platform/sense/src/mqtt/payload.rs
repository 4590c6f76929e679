use kernel::{Quality, Reading, Reason, SensorKey, Timestamp};

use super::measures;
use super::topics::TopicKey;
use crate::line::{KeyMapping, Precision};
use crate::rows::excerpt;
use crate::{Rows, json, line, parse_time};

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
    // The text of a program in C may end as such texts do.
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    if let Some(rows) = std::str::from_utf8(text).ok().and_then(|text| put(text, sensor)) {
        return rows;
    }
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

/// `time:value` or `time:value:value…`, seconds since 1970, as collectd says it (its plugin `mqtt`,
/// the form of its command `PUTVAL`). `None` for what has another form. A rate that is not known
/// yet is `nan`: there is no value.
fn put(text: &str, sensor: &SensorKey) -> Option<Rows> {
    let (time, values) = text.split_once(':')?;
    let seconds = time.parse::<f64>().ok().filter(|seconds| *seconds >= SECONDS_MIN)?;
    let at = parse_time(time).filter(|_| seconds.is_finite())?;
    let values: Vec<f64> =
        values.split(':').map(|value| value.parse().ok()).collect::<Option<_>>()?;
    let mut rows = Rows::default();
    for (index, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
        let sensor = if values.len() == 1 {
            Ok(sensor.clone())
        } else {
            SensorKey::new(&format!("{sensor}/{}", value_name(sensor, values.len(), index)))
        };
        match sensor {
            Ok(_) if value.is_infinite() => rows.refuse(index, "value", "not finite"),
            Ok(sensor) => {
                let quality = Quality::Good;
                rows.take(index, Reading { sensor, at, value: *value, quality, unit: None });
            }
            Err(error) => rows.refuse(index, "sensor", error.to_string()),
        }
    }
    Some(rows)
}

/// A number before the colon that is smaller is no time of our days.
const SECONDS_MIN: f64 = 1e9;

/// What collectd's types call their values (types.db, the common ones); others are counted from 1.
fn value_name(sensor: &SensorKey, count: usize, index: usize) -> String {
    let last = sensor.as_str().rsplit('/').next().unwrap_or_default();
    let kind = last.split('-').next().unwrap_or_default();
    let names: &[&str] = match count {
        2 if kind.starts_with("if_") => &["rx", "tx"],
        2 if kind.starts_with("disk_") => &["read", "write"],
        3 if kind == "load" => &["shortterm", "midterm", "longterm"],
        _ => &[],
    };
    names.get(index).map_or_else(|| (index + 1).to_string(), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {

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
    fn collectd_says_the_time_before_the_values() {
        let said = |topic: &str, payload: &str| -> Vec<(String, i64, f64)> {
            let key = TopicKey::Named(SensorKey::new(topic).unwrap());
            let rows = take(payload, &key, false);
            assert_eq!(rows.refused_total, 0, "{:?}", rows.refused);
            let readings = rows.readings.into_iter();
            readings.map(|r| (r.sensor.as_str().to_owned(), r.at.as_micros(), r.value)).collect()
        };
        let one = said("s/p-7/memory/memory-free", "1795299099.488:8.5\0");
        assert_eq!(one, [("s/p-7/memory/memory-free".to_owned(), 1_795_299_099_488_000, 8.5)]);
        let keys = |topic, payload| -> Vec<String> {
            said(topic, payload).into_iter().map(|(key, _, _)| key).collect()
        };
        assert_eq!(
            keys("s/p-7/load/load", "1795299099:1:2:3"),
            ["s/p-7/load/load/shortterm", "s/p-7/load/load/midterm", "s/p-7/load/load/longterm"]
        );
        assert_eq!(
            keys("s/p-7/net/if_octets-eth0", "1795299099:1:2"),
            ["s/p-7/net/if_octets-eth0/rx", "s/p-7/net/if_octets-eth0/tx"]
        );
        assert_eq!(keys("s/p-7/x/own", "1795299099:nan:2"), ["s/p-7/x/own/2"]);
        // A time of day is no time and value.
        assert_eq!(take("12:30", &named(), false).refused[0].field, "payload");
        assert_eq!(take("1795299099:x", &named(), false).refused_total, 1);
        assert_eq!(take("1795299099:inf", &named(), false).refused_total, 1);
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
