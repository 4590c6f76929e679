//! The HTTP doors, each with the program that its users run: what it wrote is there, value by
//! value, time by time, label by label.

mod collectd;
mod files;
mod influx;
mod otlp;
mod prometheus;

use std::collections::BTreeMap;

use kernel::Timestamp;
use reqwest::Method;
use serde_json::Value;

use crate::harness::Plainview;

/// Names and values of a request's headers.
type Headers<'a> = &'a [(&'a str, &'a str)];

/// Sensors asked for in one request.
const SENSORS_AT_ONCE: usize = 25;
/// 2026-01-01, in nanoseconds.
const EPOCH_NS: i64 = 1_767_225_600_000_000_000;

/// A stored reading.
#[derive(Clone, Debug, PartialEq)]
struct Stored {
    micros: i64,
    value: f64,
    quality: String,
}

/// Every reading of `sensors`, whenever it was. Asked for as CSV, whose numbers are read exactly.
async fn readings(plainview: &Plainview, sensors: &[String]) -> BTreeMap<String, Vec<Stored>> {
    let mut all: BTreeMap<String, Vec<Stored>> = BTreeMap::new();
    for some in sensors.chunks(SENSORS_AT_ONCE) {
        let mut query: Vec<(&str, &str)> =
            some.iter().map(|sensor| ("sensor", sensor.as_str())).collect();
        query.extend([("from", "2000-01-01T00:00:00Z"), ("to", "2100-01-01T00:00:00Z")]);
        query.push(("format", "csv"));
        let request = plainview.request(Method::GET, "/api/v1/sensors/readings").query(&query);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{status}: {text}");
        let mut table = csv::Reader::from_reader(text.as_bytes());
        for row in table.deserialize::<BTreeMap<String, String>>() {
            let row = row.unwrap();
            let stored = Stored {
                micros: row["timestamp"].parse::<Timestamp>().unwrap().as_micros(),
                value: row["value"].parse().unwrap(),
                quality: row["quality"].clone(),
            };
            all.entry(row["sensor"].clone()).or_default().push(stored);
        }
    }
    all
}

/// The good readings of one sensor, as time and value.
async fn good(plainview: &Plainview, sensor: &str) -> Vec<(i64, f64)> {
    let all = readings(plainview, &[sensor.to_owned()]).await;
    let points = all.get(sensor).unwrap_or_else(|| panic!("no sensor {sensor}"));
    points.iter().filter(|p| p.quality == "good").map(|p| (p.micros, p.value)).collect()
}

/// Every registered sensor.
async fn sensors(plainview: &Plainview) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = plainview.get(&format!("/api/v1/sensors/sensors?limit=1000{cursor}")).await;
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// Sends `body` with these headers; status, headers and body back.
async fn send(
    plainview: &Plainview,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (u16, reqwest::header::HeaderMap, Vec<u8>) {
    let mut request = plainview.http().post(plainview.url(path)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap().to_vec())
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(body)))
}
