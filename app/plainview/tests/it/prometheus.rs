//! The query API of Prometheus against Prometheus itself: the same data in both, the same
//! questions to both, and the answers side by side.

mod data;
mod queries;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{DEADLINE, Plainview, Setup, client};
use crate::python;
use data::{START_MS, plant};
use queries::{INSTANTS, QUERIES};

/// Answers may differ by so much of themselves.
const RELATIVE: f64 = 1e-9;
/// Below this a difference is what is left of a cancellation.
const ABSOLUTE: f64 = 1e-9;
/// Questions per minute; the test asks some thousands.
const RATE: &str = "1000000";

/// Debian's Prometheus over a directory of its own.
struct Peer {
    child: Child,
    base: String,
    _dir: TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Peer {
    /// `None` where the package is not installed.
    async fn start() -> Option<Self> {
        if ["prometheus", "promtool"].iter().any(|name| !is_installed(name)) {
            println!("LEFT OUT: Debian's package prometheus is not installed");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let (text, data) = (dir.path().join("plant.om"), dir.path().join("data"));
        std::fs::write(&text, data::open_metrics(&plant())).unwrap();
        std::fs::write(dir.path().join("prometheus.yml"), "global: {}\n").unwrap();
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&text, &data])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--storage.tsdb.retention.time=100y", "--log.level=error"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let peer = Self { child, base: format!("http://127.0.0.1:{port}"), _dir: dir };
        let (http, begun) = (client(DEADLINE), Instant::now());
        while !is_ready(&http, &peer.base).await {
            assert!(begun.elapsed() < DEADLINE, "prometheus does not get ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(peer)
    }
}

fn is_installed(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
}

async fn is_ready(http: &reqwest::Client, base: &str) -> bool {
    let answer = http.get(format!("{base}/-/ready")).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// A Plainview that holds the plant's data, come in by remote-write.
async fn filled() -> Plainview {
    let plainview = Setup::default().with("SERVER__RATE_READS", RATE).start().await;
    let answer = plainview
        .request(reqwest::Method::POST, "/api/v1/write")
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "snappy")
        .header("x-prometheus-remote-write-version", "0.1.0")
        .body(data::remote_write(&plant()))
        .send()
        .await
        .unwrap();
    let status = answer.status();
    assert!(status.is_success(), "{status} {}", answer.text().await.unwrap());
    plainview
}

/// Both sides, asked alike.
struct Both {
    http: reqwest::Client,
    ours: String,
    theirs: String,
    key: String,
}

impl Both {
    fn new(plainview: &Plainview, peer: &Peer) -> Self {
        Self {
            http: client(DEADLINE),
            ours: plainview.url("/prometheus"),
            theirs: peer.base.clone(),
            key: plainview.key.clone(),
        }
    }

    async fn one(&self, base: &str, path: &str, form: &[(&str, &str)], post: bool) -> (u16, Value) {
        let url = format!("{base}/api/v1/{path}");
        let request = match post {
            true => self.http.post(url).form(form),
            false => self.http.get(url).query(form),
        };
        let answer = request.header("X-API-Key", &self.key).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
        (status, body)
    }

    /// Asks both, and says how the answers differ.
    async fn differ(&self, path: &str, form: &[(&str, &str)], post: bool) -> Option<String> {
        let (our_status, ours) = self.one(&self.ours, path, form, post).await;
        let (their_status, theirs) = self.one(&self.theirs, path, form, post).await;
        let same = our_status == their_status
            && ours["status"] == theirs["status"]
            && ours["errorType"] == theirs["errorType"];
        if !same {
            return Some(format!("{our_status} {ours}\n  theirs: {their_status} {theirs}"));
        }
        different(&ours["data"], &theirs["data"])
    }
}

/// How two `data` differ, if they do.
fn different(ours: &Value, theirs: &Value) -> Option<String> {
    if ours["resultType"] != theirs["resultType"] {
        return Some(format!("{ours}\n  theirs: {theirs}"));
    }
    match theirs["resultType"].as_str() {
        Some("vector" | "matrix") => {
            let (ours, theirs) = (by_metric(&ours["result"]), by_metric(&theirs["result"]));
            let (own, other): (Vec<_>, Vec<_>) = (ours.keys().collect(), theirs.keys().collect());
            if own != other {
                return Some(format!("series {own:?}\n  theirs: {other:?}"));
            }
            ours.iter().find_map(|(metric, samples)| {
                unlike(samples, &theirs[metric]).map(|text| format!("{metric}: {text}"))
            })
        }
        Some("scalar") => unlike(&[ours["result"].clone()], &[theirs["result"].clone()]),
        _ => (ours != theirs).then(|| format!("{ours}\n  theirs: {theirs}")),
    }
}

/// The samples of each series, under its labels in order.
fn by_metric(result: &Value) -> BTreeMap<String, Vec<Value>> {
    let series = result.as_array().unwrap().iter().map(|series| {
        let labels: BTreeMap<_, _> = series["metric"].as_object().unwrap().iter().collect();
        let one = series.get("value").map(|sample| vec![sample.clone()]);
        let samples = one.unwrap_or_else(|| series["values"].as_array().unwrap().clone());
        (serde_json::to_string(&labels).unwrap(), samples)
    });
    series.collect()
}

fn unlike(ours: &[Value], theirs: &[Value]) -> Option<String> {
    if ours.len() != theirs.len() {
        return Some(format!("{} samples; theirs: {}", ours.len(), theirs.len()));
    }
    let pairs = ours.iter().zip(theirs);
    let mut wrong = pairs.filter(|(own, other)| {
        let value = |sample: &Value| sample[1].as_str().unwrap().parse::<f64>().unwrap();
        let (a, b) = (value(own), value(other));
        let close = (a - b).abs() <= RELATIVE * a.abs().max(b.abs()) || (a - b).abs() <= ABSOLUTE;
        own[0].as_f64() != other[0].as_f64() || !(close || a == b || (a.is_nan() && b.is_nan()))
    });
    wrong.next().map(|(own, other)| format!("{own}; theirs: {other}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_prometheus() {
    let Some(peer) = Peer::start().await else { return };
    let plainview = filled().await;
    let both = Both::new(&plainview, &peer);
    let time = |offset_ms: i64| format!("{:.3}", (START_MS + offset_ms) as f64 / 1_000.0);
    let minute = 60_000;
    let instants = [time(60 * minute), time(67 * minute + 7_250), time(124 * minute)];
    let ranges = [
        (time(30 * minute), time(90 * minute), "60"),
        (time(-10 * minute + 1_125), time(140 * minute), "97"),
        (time(45 * minute), time(47 * minute), "5s"),
    ];
    let (mut asked, mut wrong) = (0, Vec::new());
    for query in QUERIES.iter().chain(INSTANTS) {
        for (i, at) in instants.iter().enumerate() {
            let form = [("query", *query), ("time", at.as_str())];
            asked += 1;
            if let Some(text) = both.differ("query", &form, i == 0).await {
                wrong.push(format!("{query} at {at}:\n  ours: {text}"));
            }
        }
    }
    for query in QUERIES {
        for (i, (start, end, step)) in ranges.iter().enumerate() {
            let (start, end) = (start.as_str(), end.as_str());
            let form = [("query", *query), ("start", start), ("end", end), ("step", *step)];
            asked += 1;
            if let Some(text) = both.differ("query_range", &form, i == 0).await {
                wrong.push(format!("{query} from {start} to {end} by {step}:\n  ours: {text}"));
            }
        }
    }
    println!(
        "{} queries, {asked} questions to Prometheus 2.42 and to us, {} answers differ",
        QUERIES.len() + INSTANTS.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_refusals_are_those_of_prometheus() {
    let Some(peer) = Peer::start().await else { return };
    let plainview = filled().await;
    let both = Both::new(&plainview, &peer);
    let (start, end) = ("1700000000", "1700007200");
    let span = [("start", start), ("end", end)];
    let paths = [
        ("labels", vec![]),
        ("labels", vec![("match[]", "temperature")]),
        ("labels", vec![("match[]", "level"), ("match[]", "limits")]),
        ("labels", vec![("match[]", "{")]),
        ("label/__name__/values", vec![]),
        ("label/site/values", vec![]),
        ("label/asset/values", vec![("match[]", "temperature{site=\"north\"}")]),
        ("label/nothing/values", vec![]),
        ("label/a-b/values", vec![]),
        ("series", vec![]),
        ("series", vec![("match[]", "temperature")]),
        ("series", vec![("match[]", "{__name__=~\".+\"}")]),
        ("series", vec![("match[]", "{__name__=~\".*\"}")]),
        ("series", vec![("match[]", "temperature{site=\"north\"}"), ("match[]", "level")]),
        ("series", vec![("match[]", "temperature[5m]")]),
        ("query", vec![]),
        ("query", vec![("query", "1"), ("time", "yesterday")]),
        ("query", vec![("query", "1"), ("time", "2023-11-14T22:13:20.5Z")]),
        ("query", vec![("query", "1"), ("time", start), ("timeout", "soon")]),
        ("query_range", vec![("query", "temperature[5m]"), ("step", "15")]),
        ("query_range", vec![("query", "temperature"), ("step", "0")]),
        ("query_range", vec![("query", "temperature"), ("step", "-15")]),
        ("query_range", vec![("query", "temperature"), ("step", "0.5")]),
        ("query_range", vec![("query", "temperature"), ("step", "x")]),
        ("query_range", vec![("query", "temperature"), ("step", "1h30m")]),
        ("query_range", vec![("query", "temperature")]),
        ("query_exemplars", vec![("query", "temperature")]),
        ("rules", vec![]),
        ("alerts", vec![]),
    ];
    let mut wrong = Vec::new();
    for (path, form) in &paths {
        let times: &[(&str, &str)] = if *path == "query" { &[] } else { &span };
        let form: Vec<(&str, &str)> = form.iter().chain(times).copied().collect();
        if let Some(text) = both.differ(path, &form, false).await {
            wrong.push(format!("{path} {form:?}:\n  ours: {text}"));
        }
    }
    let backwards = [("query", "1"), ("start", end), ("end", start), ("step", "15")];
    wrong.extend(both.differ("query_range", &backwards, true).await);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `promtool query …` prints the same about both.
#[tokio::test(flavor = "multi_thread")]
async fn promtool_reads_our_answers() {
    let Some(peer) = Peer::start().await else { return };
    let plainview = filled().await;
    let ours = plainview.url("/prometheus");
    let ask = |base: &str, args: &[&str]| {
        let mut args = args.to_vec();
        let at = args.iter().position(|arg| *arg == "URL").unwrap();
        args[at] = base;
        let output = Command::new("promtool").arg("query").args(&args).output().unwrap();
        let (out, err) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{args:?}: {out}{err}");
        let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let (start, end) = ("--start=1700000000", "--end=1700003600");
    for args in [
        vec!["instant", "--time=1700003600", "URL", "round(temperature, 0.01)"],
        vec![
            "range",
            start,
            end,
            "--step=5m",
            "URL",
            "sum by (code) (increase(requests_total[5m]))",
        ],
        vec!["series", "--match=temperature", "--match=level", start, end, "URL"],
        vec!["labels", start, end, "URL", "asset"],
    ] {
        let (own, other) = (ask(&ours, &args), ask(&peer.base, &args));
        assert!(!own.is_empty(), "{args:?}");
        assert_eq!(own, other, "{args:?}");
    }
}

/// A program that many use against a Prometheus, pointed at us.
#[tokio::test(flavor = "multi_thread")]
async fn prometheus_api_client_works_unchanged() {
    let plainview = filled().await;
    let said = python::script(
        "prometheus_client.py",
        &[&plainview.url("/prometheus"), &plainview.create_key("grafana", "viewer")],
    );
    assert!(said.contains("prometheus-api-client is content"), "{said}");
}

/// Sensors that never heard of Prometheus are metrics too.
#[tokio::test(flavor = "multi_thread")]
async fn our_own_sensors_are_metrics() {
    let plainview = Plainview::start().await;
    let row = |at: &str, value: f64, quality: &str| {
        serde_json::json!({
            "sensor": "north/p-2/bearing/temperature", "timestamp": at, "value": value,
            "unit": "°C", "quality": quality,
        })
    };
    let rows = serde_json::json!([
        row("2026-11-20T10:00:00Z", 40.0, "good"),
        row("2026-11-20T10:00:10Z", 41.0, "good"),
        row("2026-11-20T10:00:20Z", 99.0, "bad"),
    ]);
    let (status, said) = plainview.post("/api/v1/data/ingest", &rows).await;
    assert!(status < 300, "{status} {said}");
    let found = plainview
        .get("/prometheus/api/v1/query?query=bearing_temperature&time=2026-11-20T10:00:30Z")
        .await;
    let series = &found["data"]["result"][0];
    assert_eq!(series["value"][1], "41", "{found}");
    for (label, value) in [
        ("site", "north"),
        ("asset", "p-2"),
        ("sensor", "north/p-2/bearing/temperature"),
        ("kind", "temperature"),
        ("unit", "°C"),
    ] {
        assert_eq!(series["metric"][label], value, "{found}");
    }
    let about = plainview.get("/prometheus/api/v1/metadata?metric=bearing_temperature").await;
    assert_eq!(about["data"]["bearing_temperature"][0]["type"], "gauge", "{about}");
    let silent = plainview
        .get("/prometheus/api/v1/query?query=bearing_temperature&time=2026-11-20T10:06:00Z")
        .await;
    assert_eq!(silent["data"]["result"].as_array().unwrap().len(), 0, "{silent}");
    let built = plainview.get("/prometheus/api/v1/status/buildinfo").await;
    assert!(built["data"]["version"].as_str().unwrap().starts_with("2."), "{built}");
}
