//! Rubbish over the wire at every door, with good readings between: only the offender is refused,
//! by field and reason, and nothing that was acknowledged is lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use kernel::Timestamp;
use reqwest::Method;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{Connect, ConnectAuth, Packet, Publish};
use serde_json::{Value, json};
use tokio_util::bytes::{Bytes, BytesMut};

use crate::harness::{DEADLINE, Plainview, Setup};
use crate::sources::{free_port, source};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const TEXT: (&str, &str) = ("Content-Type", "text/plain");
const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const SNAPPY: (&str, &str) = ("Content-Encoding", "snappy");
const GZIP: (&str, &str) = ("Content-Encoding", "gzip");
const INGEST: &str = "/api/v1/data/ingest";
const LINES: &str = "/api/v2/write";
const REMOTE_WRITE: &str = "/api/v1/write";
const OTLP: &str = "/v1/metrics";
/// 2026-01-01.
const EPOCH_S: i64 = 1_767_225_600;
const ROUNDS: i64 = 5;
const SENSORS_MAX: usize = 40;

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn send(
    plainview: &Plainview,
    path: &str,
    headers: Headers<'_>,
    body: &[u8],
) -> (u16, Value) {
    let mut request = plainview.request(Method::POST, path).body(body.to_vec());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Rubbish, and the words that the problem must hold: where it lies, and what is wrong.
async fn refused(
    plainview: &Plainview,
    path: &str,
    headers: Headers<'_>,
    body: &[u8],
    words: &[&str],
) {
    let (status, problem) = send(plainview, path, headers, body).await;
    assert!((400..500).contains(&status), "{path}: {status} {problem}");
    let said = problem.to_string();
    for word in words {
        assert!(said.contains(word), "{path}: `{word}` is not said in {said}");
    }
}

fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(value);
    out
}

/// A remote-write series with one sample.
fn series(labels: &[(&str, &str)], value: f64, at_s: i64) -> Vec<u8> {
    let mut out: Vec<u8> = labels
        .iter()
        .flat_map(|(name, value)| {
            field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat())
        })
        .collect();
    let mut sample = [&[0x09][..], &value.to_le_bytes(), &[0x10]].concat();
    let mut millis = at_s * 1_000;
    while millis >= 0x80 {
        sample.push(millis as u8 | 0x80);
        millis >>= 7;
    }
    sample.push(millis as u8);
    out.extend(field(2, &sample));
    field(1, &out)
}

/// A snappy block of literals.
fn snappy(plain: &[u8]) -> Vec<u8> {
    let mut out = field(0, plain)[1..].to_vec();
    out.truncate(out.len() - plain.len());
    for part in plain.chunks(60) {
        out.push(((part.len() - 1) << 2) as u8);
        out.extend(part);
    }
    out
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(plain).unwrap();
    packer.finish().unwrap()
}

fn good_series(round: i64) -> Vec<u8> {
    let labels = [("__name__", "remote"), ("asset", "good"), ("site", "fuzz")];
    series(&labels, round as f64, EPOCH_S + round)
}

/// One good reading through each door of HTTP, each acknowledged.
async fn good(plainview: &Plainview, round: i64) {
    let at = Timestamp::from_secs(EPOCH_S + round);
    let row = json!({"sensor": "fuzz/good/json", "value": round, "timestamp": at});
    let packed = gzip(row.to_string().as_bytes());
    assert_eq!(send(plainview, INGEST, &[JSON, GZIP], &packed).await.0, 200);
    let line = format!("line,site=fuzz,asset=good value={round} {}000000000", EPOCH_S + round);
    assert_eq!(send(plainview, LINES, &[TEXT], line.as_bytes()).await.0, 204);
    let block = snappy(&good_series(round));
    assert_eq!(send(plainview, REMOTE_WRITE, &[PROTOBUF, SNAPPY], &block).await.0, 204);
    let otlp = json!({"resourceMetrics": [{"resource": {"attributes": [
        {"key": "site", "value": {"stringValue": "fuzz"}},
        {"key": "asset", "value": {"stringValue": "good"}}]},
        "scopeMetrics": [{"metrics": [{"name": "otlp", "gauge": {"dataPoints": [
            {"timeUnixNano": format!("{}000000000", EPOCH_S + round), "asInt": round}]}}]}]}]});
    assert_eq!(send(plainview, OTLP, &[JSON], otlp.to_string().as_bytes()).await.0, 200);
}

/// Time in seconds since the first round, and value, of every good reading.
async fn stored(plainview: &Plainview, sensor: &str) -> Vec<(i64, f64)> {
    let path = format!(
        "/api/v1/sensors/readings?sensor={sensor}&limit=10000&from=2025-12-31T00:00:00Z\
         &to=2026-01-02T00:00:00Z"
    );
    let answer = plainview.get(&path).await;
    let points = answer["series"][0]["points"].as_array().cloned().unwrap_or_default();
    let read = |point: &Value| {
        let at: Timestamp = point["at"].as_str()?.parse().ok()?;
        Some((at.as_micros() / 1_000_000 - EPOCH_S, point["value"].as_f64()?))
    };
    points.iter().map(|point| read(point).unwrap_or_else(|| panic!("{point}"))).collect()
}

async fn is_well(plainview: &Plainview) {
    let ready = plainview.http().get(plainview.url("/ready")).send().await.unwrap();
    assert!(ready.status().is_success(), "{}", ready.status());
    let log = plainview.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_offender_is_refused() {
    let plainview = Plainview::start().await;
    for round in 0..ROUNDS {
        good(&plainview, round).await;
        broken_wrappings(&plainview).await;
        broken_messages(&plainview).await;
        clock_jumps(&plainview).await;
    }
    let bomb = gzip(&vec![b' '; 128 << 20]);
    refused(&plainview, LINES, &[TEXT, GZIP], &bomb, &["body-too-large", "bytes"]).await;
    let wanted: Vec<(i64, f64)> = (0..ROUNDS).map(|round| (round, round as f64)).collect();
    for door in ["json", "line", "remote", "otlp"] {
        assert_eq!(stored(&plainview, &format!("fuzz/good/{door}")).await, wanted, "{door}");
    }
    is_well(&plainview).await;
}

async fn broken_wrappings(plainview: &Plainview) {
    let cut = gzip(br#"{"sensor":"fuzz/bad/a","value":1}"#);
    let cut = &cut[..cut.len() / 2];
    for (path, kind) in [(INGEST, JSON), (LINES, TEXT), (OTLP, JSON)] {
        let words = ["body-undecodable", "Content-Encoding"];
        refused(plainview, path, &[kind, GZIP], b"no gzip at all", &words).await;
        refused(plainview, path, &[kind, GZIP], cut, &words).await;
    }
    let block = snappy(&good_series(1));
    for body in [&b"no snappy"[..], b"", &block[..block.len() - 3], b"\xff\xff\xff\xff\x0f"] {
        let words = ["readings-unreadable"];
        refused(plainview, REMOTE_WRITE, &[PROTOBUF, SNAPPY], body, &words).await;
    }
}

async fn broken_messages(plainview: &Plainview) {
    let half = &good_series(99)[..20];
    refused(plainview, REMOTE_WRITE, &[PROTOBUF], &snappy(half), &["readings-unreadable"]).await;
    refused(plainview, OTLP, &[PROTOBUF], half, &[]).await;
    refused(plainview, OTLP, &[JSON], b"{\"resourceMetrics\": 7}", &[]).await;
    refused(plainview, INGEST, &[JSON], b"[{\"sensor\":", &["readings-unreadable"]).await;
    let twice = [("__name__", "bad"), ("a", "1"), ("a", "2"), ("site", "fuzz"), ("asset", "bad")];
    let body = [good_series(0), series(&twice, 1.0, EPOCH_S), good_series(0)].concat();
    let words = ["timeseries[1].labels", "twice", "2 samples stored"];
    refused(plainview, REMOTE_WRITE, &[PROTOBUF], &snappy(&body), &words).await;
}

async fn clock_jumps(plainview: &Plainview) {
    for at in [
        "\"1800-01-01T00:00:00Z\"",
        "\"9999-01-01T00:00:00Z\"",
        "\"0000-00-00T00:00:00Z\"",
        "1e300",
    ] {
        let body = format!(
            r#"[{{"sensor":"fuzz/good/json","value":0,"timestamp":"2026-01-01T00:00:00Z"}},
                {{"sensor":"fuzz/good/json","value":77,"timestamp":{at}}}]"#
        );
        let (status, answer) = send(plainview, INGEST, &[JSON], body.as_bytes()).await;
        assert_eq!((status, answer["accepted"].as_u64()), (200, Some(1)), "{at}: {answer}");
        let error = &answer["errors"][0];
        assert_eq!(error["field"], "readings[1].timestamp", "{at}: {answer}");
        assert!(error["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{answer}");
    }
    for nanos in ["9223372036854775807", "-9223372036854775808", "99999999999999999999"] {
        let line = format!(
            "line,site=fuzz,asset=good value=0 {EPOCH_S}000000000\nline,site=fuzz,asset=good value=77 {nanos}"
        );
        let (status, problem) = send(plainview, LINES, &[TEXT], line.as_bytes()).await;
        assert_eq!((status, problem["accepted"].as_u64()), (400, Some(1)), "{nanos}: {problem}");
        assert!(problem["errors"][0]["field"].as_str().unwrap().contains("line 2"), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_series_twice_in_one_body_is_one_series() {
    let plainview = Plainview::start().await;
    let labels = [("__name__", "twin"), ("asset", "good"), ("site", "fuzz")];
    let body = [series(&labels, 1.0, EPOCH_S), series(&labels, 2.0, EPOCH_S)].concat();
    assert_eq!(send(&plainview, REMOTE_WRITE, &[PROTOBUF], &snappy(&body)).await.0, 204);
    assert_eq!(stored(&plainview, "fuzz/good/twin").await, [(0, 2.0)], "the last one stands");
    let lines = "twin,site=fuzz,asset=good value=3 1767225601000000000\n".repeat(3);
    assert_eq!(send(&plainview, LINES, &[TEXT], lines.as_bytes()).await.0, 204);
    assert_eq!(stored(&plainview, "fuzz/good/twin").await, [(0, 2.0), (1, 3.0)]);
    is_well(&plainview).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explosion_of_labels_ends_at_the_cap() {
    let plainview =
        Setup::default().with("INGEST__SENSORS_MAX", SENSORS_MAX.to_string()).start().await;
    good(&plainview, 0).await;
    let mut body = Vec::new();
    for request in 0..2_000 {
        let id = request.to_string();
        let labels =
            [("__name__", "burst"), ("asset", "bad"), ("request_id", &id), ("site", "fuzz")];
        body.extend(series(&labels, 1.0, EPOCH_S));
    }
    body.extend(good_series(1));
    let room = format!("room for {SENSORS_MAX} sensors only");
    let words = ["series-refused", "timeseries[", ".sensor", "request_id:", &room];
    refused(&plainview, REMOTE_WRITE, &[PROTOBUF], &snappy(&body), &words).await;
    let lines: String =
        (0..100).map(|n| format!("burst,site=fuzz,asset=bad,id={n} value=1\n")).collect();
    refused(&plainview, LINES, &[TEXT], lines.as_bytes(), &["line 1: sensor", &room]).await;
    for round in 1..ROUNDS {
        good(&plainview, round).await;
    }
    let wanted: Vec<(i64, f64)> = (0..ROUNDS).map(|round| (round, round as f64)).collect();
    for door in ["json", "line", "remote", "otlp"] {
        assert_eq!(stored(&plainview, &format!("fuzz/good/{door}")).await, wanted, "{door}");
    }
    let page = plainview.get("/api/v1/sensors/sensors?limit=1000").await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(SENSORS_MAX));
    is_well(&plainview).await;
}

/// A client of the broker inside, packet by packet.
struct Talker(TcpStream, BytesMut);

impl Talker {
    fn new(port: u16, name: &str, key: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let connect = Connect {
            keep_alive: 0,
            client_id: name.to_owned(),
            clean_start: true,
            properties: None,
        };
        let auth = ConnectAuth::UsernamePassword {
            username: "gauge".to_owned(),
            password: Bytes::from(key.to_owned()),
        };
        let mut talker = Self(stream, BytesMut::new());
        talker.say(Packet::Connect(connect, None, auth));
        assert!(matches!(talker.hear(), Some(Packet::ConnAck(_))));
        talker
    }

    fn say(&mut self, packet: Packet) {
        let mut out = BytesMut::new();
        packet.write(&mut out, None).unwrap();
        self.0.write_all(&out).unwrap();
    }

    /// `None` when the broker hung up.
    fn hear(&mut self) -> Option<Packet> {
        let mut bytes = [0; 4_096];
        loop {
            if let Ok(packet) = Packet::read(&mut self.1, None) {
                return Some(packet);
            }
            match self.0.read(&mut bytes) {
                Ok(read @ 1..) => self.1.extend_from_slice(&bytes[..read]),
                _ => return None,
            }
        }
    }

    /// Publishes with QoS 1; whether it was acknowledged.
    fn publish(&mut self, topic: &str, payload: &[u8], id: u16) -> bool {
        let mut publish = Publish::new(topic.to_owned(), QoS::AtLeastOnce, payload.to_vec(), None);
        publish.pkid = id;
        self.say(Packet::Publish(publish));
        matches!(self.hear(), Some(Packet::PubAck(ack)) if ack.pkid == id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_hangs_up_on_rubbish_alone() {
    let port = free_port();
    let plainview = Setup::default()
        .with("BROKER__ENABLED", "true")
        .with("BROKER__LISTEN", format!("127.0.0.1:{port}"))
        .start()
        .await;
    source(&plainview, "broker/built-in", "listens", |view| view["connected_since"].is_string())
        .await;
    let key = plainview.create_key("gauge", "ingest");
    let talking = tokio::task::spawn_blocking(move || rubbish_between(port, &key));
    talking.await.unwrap();
    let wanted: Vec<(i64, f64)> = (0..ROUNDS * 2).map(|round| (round, round as f64)).collect();
    plainview
        .until(DEADLINE, "the good readings", async |it: &Plainview| {
            (stored(it, "fuzz/good/mqtt").await == wanted).then_some(())
        })
        .await;
    let refused = |view: &Value| {
        view["refused"].as_u64().is_some_and(|count| count > 0)
            && view["last_error"].to_string().len() > 4
    };
    source(&plainview, "broker/built-in", "says what it refused", refused).await;
    is_well(&plainview).await;
}

fn rubbish_between(port: u16, key: &str) {
    let mut good = Talker::new(port, "good", key);
    let mut say_good = |round: i64| {
        let at = (EPOCH_S + round) * 1_000;
        let payload = format!("{{\"value\":{round},\"timestamp\":{at}}}");
        let id = u16::try_from(round + 1).unwrap();
        assert!(good.publish("plainview/fuzz/good/mqtt", payload.as_bytes(), id), "{round}");
    };
    for round in 0..ROUNDS {
        say_good(round * 2);
        // Messages at fault: acknowledged, so that nobody sends them for ever, and refused.
        let mut bad = Talker::new(port, "bad", key);
        let long = format!("plainview/{}", "x".repeat(60_000));
        assert!(bad.publish(&long, b"1", 1), "an oversized topic");
        assert!(bad.publish("plainview/fuzz/bad/mqtt", b"\xff\xfe{", 2));
        assert!(bad.publish("plainview/fuzz/bad/mqtt", br#"{"value":"NaN"}"#, 3));
        assert!(bad.publish("plainview/fuzz/bad/mqtt", br#"{"value":1,"timestamp":1e300}"#, 4));
        // Packets at fault end the connection that they came on.
        for packet in [
            &b"\x32\x05\x00\x20abc"[..],
            b"\x36\x03\x00\x01a",
            b"\x00\x00",
            b"\x30\xff\xff\xff\x7f",
            b"\x82\x02\x00\x01",
            b"GET / HTTP/1.1\r\n\r\n",
        ] {
            let mut bad = Talker::new(port, "bad", key);
            bad.0.write_all(packet).unwrap();
            drop(bad.0.shutdown(std::net::Shutdown::Write));
            assert!(bad.hear().is_none_or(|packet| matches!(packet, Packet::Disconnect(_))));
        }
        let mut stranger = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stranger.write_all(b"\x10\x0c\x00\x06MQIsdp\x03\x02\x00\x00").unwrap();
        say_good(round * 2 + 1);
    }
}
