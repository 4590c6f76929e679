use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{Headers, json, readings, send, sensors};
use crate::harness::{DEADLINE, Plainview, Setup, client};

type Labels = BTreeMap<String, String>;

/// Debian's Prometheus, which asks itself and us, and writes to us what it hears.
struct Prometheus {
    child: Child,
    base: String,
    dir: TempDir,
}

impl Prometheus {
    fn start(plainview: &Plainview) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (url, key) = (&plainview.base, &plainview.key);
        let target = url.trim_start_matches("http://");
        std::fs::write(
            dir.path().join("prometheus.yml"),
            format!(
                "global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}\n\
                 scrape_configs:\n\
                 - job_name: prometheus\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n\
                 - job_name: plainview\n  authorization: {{credentials: '{key}'}}\n  \
                   static_configs: [{{targets: ['{target}'], labels: {{hall: 'north/7'}}}}]\n\
                 remote_write:\n\
                 - url: {url}/api/v1/write\n  authorization: {{credentials: '{key}'}}\n  \
                   metadata_config: {{send_interval: 1s}}\n  \
                   queue_config: {{batch_send_deadline: 200ms, min_backoff: 50ms, max_backoff: 500ms}}\n"
            ),
        )
        .unwrap();
        let child = run(dir.path(), port);
        Self { child, base: format!("http://127.0.0.1:{port}"), dir }
    }

    fn stop(&mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        self.child.wait().unwrap();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The raw samples of every series, as milliseconds and value. What is not a number is left
    /// out: it carries no value.
    async fn samples(&self, selector: &str) -> Option<BTreeMap<Labels, Vec<(i64, f64)>>> {
        let query = [("query", format!("{selector}[1h]"))];
        let url = format!("{}/api/v1/query", self.base);
        let answer = client(DEADLINE).get(url).query(&query).send().await.ok()?;
        let body: Value = answer.json().await.ok()?;
        let series = body["data"]["result"].as_array()?.iter().map(|series| {
            let labels = serde_json::from_value(series["metric"].clone()).unwrap();
            let samples = series["values"].as_array().unwrap().iter().filter_map(|pair| {
                let millis = (pair[0].as_f64().unwrap() * 1e3).round() as i64;
                let value: f64 = pair[1].as_str().unwrap().parse().unwrap();
                (!value.is_nan()).then_some((millis, value))
            });
            (labels, samples.collect())
        });
        Some(series.collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("── Prometheus said\n{}", self.log());
        }
    }
}

fn run(dir: &Path, port: u16) -> Child {
    let log = std::fs::File::create(dir.join("log")).unwrap();
    Command::new("/usr/bin/prometheus")
        .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Sensors by the labels that came with them.
async fn by_labels(plainview: &Plainview) -> BTreeMap<Labels, Value> {
    let all = sensors(plainview).await.into_iter().filter_map(|sensor| {
        let labels = sensor["metadata"].get("labels")?.clone();
        Some((serde_json::from_value(labels).unwrap(), sensor))
    });
    all.collect()
}

/// How many of `expected` are missing here; the first few are named.
async fn missing(
    plainview: &Plainview,
    expected: &BTreeMap<Labels, Vec<(i64, f64)>>,
) -> (usize, Vec<String>) {
    let known = by_labels(plainview).await;
    let keys: BTreeMap<&Labels, String> = expected
        .keys()
        .filter_map(|labels| Some((labels, known.get(labels)?["key"].as_str()?.to_owned())))
        .collect();
    let asked: Vec<String> = keys.values().cloned().collect();
    let stored = readings(plainview, &asked).await;
    let mut count = 0;
    let mut named = Vec::new();
    for (labels, samples) in expected {
        let points = keys.get(labels).and_then(|key| stored.get(key));
        let here: BTreeMap<i64, f64> = points
            .into_iter()
            .flatten()
            .filter(|point| point.quality == "good")
            .map(|point| (point.micros, point.value))
            .collect();
        for (millis, value) in samples {
            if here.get(&(millis * 1_000)) != Some(value) {
                count += 1;
                if named.len() < 3 {
                    named.push(format!("{labels:?} at {millis}: {value}"));
                }
            }
        }
    }
    (count, named)
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_loses_nothing_over_our_restart() {
    if !Path::new("/usr/bin/prometheus").exists() {
        println!("LEFT OUT: Debian's package prometheus is not installed");
        return;
    }
    let mut plainview = Plainview::start().await;
    let mut prometheus = Prometheus::start(&plainview);
    let scrapes = |it: &BTreeMap<Labels, Vec<(i64, f64)>>| it.values().map(Vec::len).max();
    let until = async |plainview: &Plainview, wanted: usize| {
        plainview
            .until(DEADLINE, "scrapes", async |_| {
                let heard = prometheus.samples("up").await?;
                (scrapes(&heard)? >= wanted).then_some(())
            })
            .await;
    };
    plainview
        .until(DEADLINE, "the first series", async |it| {
            (by_labels(it).await.len() > 300).then_some(())
        })
        .await;
    let heard = prometheus.samples("up").await.and_then(|it| scrapes(&it)).unwrap_or(0);
    plainview.kill();
    until(&plainview, heard + 8).await;
    plainview.launch().await;
    until(&plainview, heard + 16).await;

    // What Prometheus holds now must be here, all of it, before long.
    let expected = prometheus.samples("{__name__!=\"\"}").await.unwrap();
    let samples: usize = expected.values().map(Vec::len).sum();
    plainview
        .until(DEADLINE, "every sample", async |it| {
            let (count, named) = missing(it, &expected).await;
            if count > 0 {
                println!("{count} of {samples} not here yet: {named:?}");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            (count == 0).then_some(())
        })
        .await;
    println!("{samples} samples of {} series, none lost", expected.len());
    prometheus.stop();

    let known = by_labels(&plainview).await;
    let ours = |name: &str| {
        let found = known.iter().find(|(labels, _)| {
            labels["__name__"] == name && labels.get("job").map(String::as_str) == Some("plainview")
        });
        found.unwrap_or_else(|| panic!("no series {name}")).1
    };
    let sensors = ours("plainview_sensors");
    assert_eq!(sensors["metadata"]["labels"]["hall"], "north/7");
    assert_eq!(sensors["metadata"]["type"], "gauge");
    let key = sensors["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("plainview/127.0.0.1:"), "{key}");
    // While we were away the series had ended.
    let points = &readings(&plainview, std::slice::from_ref(&key)).await[&key];
    let ended: Vec<_> = points.iter().filter(|point| point.quality == "bad").collect();
    assert!(!ended.is_empty(), "no end of the series among {} readings", points.len());
    assert_ne!(points.last().unwrap().quality, "uncertain");
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn field(number: u8, value: &[u8]) -> Vec<u8> {
    [vec![number << 3 | 2], varint(value.len()), value.to_vec()].concat()
}

/// A series `m{job="j",request=…}` of one sample.
fn series(request: usize, value: f64, millis: i64) -> Vec<u8> {
    let label = |name: &str, value: &str| {
        field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat())
    };
    let at = [vec![0x10], varint(usize::try_from(millis).unwrap())].concat();
    let sample = [vec![0x09], value.to_le_bytes().to_vec(), at].concat();
    let labels =
        [label("__name__", "m"), label("job", "j"), label("request", &request.to_string())];
    field(1, &[labels.concat(), field(2, &sample)].concat())
}

/// A snappy block of literals only.
fn block(plain: &[u8]) -> Vec<u8> {
    let mut packed = varint(plain.len());
    for part in plain.chunks(1 << 16) {
        packed.push(61 << 2);
        packed.extend(u16::try_from(part.len() - 1).unwrap().to_le_bytes());
        packed.extend(part);
    }
    packed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_explosion_ends_at_the_limit_and_hurts_nobody_else() {
    const SENSORS_MAX: usize = 3_000;
    const AT_MS: i64 = 1_767_225_600_000;
    let plainview =
        Setup::default().with("INGEST__SENSORS_MAX", SENSORS_MAX.to_string()).start().await;
    let headers =
        [("x-api-key", plainview.key.as_str()), ("content-type", "application/x-protobuf")];
    let body: Vec<u8> = (0..10_000).flat_map(|request| series(request, 1.0, AT_MS)).collect();
    let (status, _, answer) = send(&plainview, "/api/v1/write", &headers, block(&body)).await;
    let problem = json(&answer);
    assert_eq!((status, &problem["type"]), (400, &"/docs/errors/series-refused".into()));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("3000 samples stored, 7000 refused"), "{detail}");
    assert!(detail.contains("room for 3000 sensors only"), "{detail}");
    let known: Vec<u8> = (0..100).flat_map(|n| series(n, n as f64 + 0.5, AT_MS + 1_000)).collect();
    let (status, _, _) = send(&plainview, "/api/v1/write", &headers, block(&known)).await;
    assert_eq!(status, 204, "what was known before goes on");
    let last = readings(&plainview, &["site/j/m/request:99".to_owned()]).await;
    let last: Vec<f64> = last["site/j/m/request:99"].iter().map(|point| point.value).collect();
    assert_eq!(last, [1.0, 99.5]);
    let source = plainview.get("/api/v1/sources/remote_write/tester").await;
    assert_eq!(
        (&source["readings"], &source["refused"]),
        (&3_100.into(), &7_000.into()),
        "{source}"
    );
    let said = source["last_error"]["message"].as_str().unwrap();
    assert!(said.contains("room for 3000 sensors"), "{source}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_sent_again_is_a_4xx() {
    let plainview = Plainview::start().await;
    let key = ("x-api-key", plainview.key.as_str());
    let kind = ("content-type", "application/x-protobuf");
    let snappy = ("content-encoding", "snappy");
    let version = ("x-prometheus-remote-write-version", "0.1.0");
    let second = ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request");
    let path = "/api/v1/write";
    // A block of no bytes is an empty request.
    let cases: [(Headers<'_>, &[u8], u16); 7] = [
        (&[key, kind, snappy, version], &[0], 204),
        (&[key, kind, snappy, version], b"garbage", 400),
        (&[key, kind, snappy, version], &[2, 4, 0x0a, 9], 400),
        (&[key, kind, snappy, version], &[0xff, 0xff, 0xff, 0xff, 0x0f], 400),
        (&[key, second, snappy], &[0], 415),
        (&[kind, snappy, version], &[0], 401),
        (&[key, kind, ("content-encoding", "br")], &[0], 415),
    ];
    for (headers, body, expected) in cases {
        let (status, _, answer) = send(&plainview, path, headers, body.to_vec()).await;
        assert_eq!(status, expected, "{headers:?}: {}", String::from_utf8_lossy(&answer));
        if expected >= 400 {
            assert_eq!(json(&answer)["status"], expected);
        }
    }
}
