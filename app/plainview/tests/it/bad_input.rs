//! Rubbish at the door: each a clear 4xx that names the fault, nothing lost, nobody hurt.

use std::io::Write;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Plainview, Setup};

const INGEST: &str = "/api/v1/data/ingest";
const WRITE: &str = "/api/v2/write";
/// Bodies that decompress far beyond any limit must not be held in memory.
const MEMORY_GROWTH_MAX_KB: u64 = 64 * 1024;

async fn send(plainview: &Plainview, path: &str, kind: &str, body: Vec<u8>) -> (StatusCode, Value) {
    let answer = plainview
        .request(Method::POST, path)
        .header("Content-Type", kind)
        .body(body)
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let id = answer.headers().get("x-request-id").cloned();
    let text = answer.text().await.unwrap();
    assert!(id.is_some(), "{path}: no request id");
    let problem = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, problem)
}

async fn refused(plainview: &Plainview, path: &str, kind: &str, body: &[u8], field: &str) {
    let (status, problem) = send(plainview, path, kind, body.to_vec()).await;
    let shown = String::from_utf8_lossy(&body[..body.len().min(80)]);
    assert!(status.is_client_error(), "{shown}: {status} {problem}");
    assert!(problem["type"].as_str().is_some_and(|t| t.starts_with("/docs/errors/")), "{problem}");
    assert!(problem["request_id"].is_string(), "{problem}");
    let said = problem.to_string();
    assert!(said.contains(field), "{shown}: `{field}` is not named in {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_and_times_that_cannot_be() {
    let plainview = Plainview::start().await;
    let json = "application/json";
    for (body, field) in [
        (r#"{"sensor":"a/b/c","value":NaN}"#, "value"),
        (r#"{"sensor":"a/b/c","value":"NaN"}"#, "value"),
        (r#"{"sensor":"a/b/c","value":"Infinity"}"#, "value"),
        (r#"{"sensor":"a/b/c","value":1e999}"#, "value"),
        (r#"{"sensor":"a/b/c","value":null}"#, "value"),
        (r#"{"sensor":"a/b","value":1}"#, "sensor"),
        (r#"{"value":1}"#, "sensor"),
        (r#"{"sensor":"a/b/c","value":1,"unit":"furlong"}"#, "unit"),
        (r#"{"sensor":"a/b/c","value":1,"timestamp":"yesterday"}"#, "timestamp"),
        (r#"{"sensor":"a/b/c","value":1"#, "JSON"),
    ] {
        refused(&plainview, INGEST, json, body.as_bytes(), field).await;
    }
    refused(&plainview, INGEST, json, b"\xff\xfe{}", "UTF-8").await;
    refused(&plainview, INGEST, "text/plain", b"{}", "application/json").await;
    for (line, field) in [
        ("vibration,site=n,asset=p value=NaN", "line 1"),
        ("vibration,site=n,asset=p value=1e999", "line 1"),
        ("vibration,site=n,asset=p", "line 1"),
    ] {
        refused(&plainview, WRITE, "text/plain", line.as_bytes(), field).await;
    }
    refused(&plainview, WRITE, "text/plain", b"vibration,site=n,asset=\xff value=1", "line 1")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_future_time_is_kept_but_not_believed() {
    let plainview = Plainview::start().await;
    let body = json!({"sensor": "a/b/c", "value": 1.0, "timestamp": "2999-01-01T00:00:00Z"});
    let (status, answer) = plainview.post(INGEST, &body).await;
    if status == 200 {
        let path = "/api/v1/sensors/readings?sensor=a/b/c&from=2998-01-01T00:00:00Z&to=2999-12-31T00:00:00Z";
        let readings = plainview.get(path).await;
        assert_eq!(readings["series"][0]["points"][0]["quality"], "uncertain", "{readings}");
    } else {
        assert!((400..500).contains(&status), "{status} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_batch_keeps_the_good_rows_and_names_the_bad() {
    let plainview = Plainview::start().await;
    let (status, answer) = plainview
        .post(
            INGEST,
            &json!([
                {"sensor": "a/b/c", "value": 1.0, "timestamp": "2026-01-01T00:00:00Z"},
                {"sensor": "a/b/c", "value": "many", "timestamp": "2026-01-01T00:00:01Z"},
                {"sensor": "a/b/c", "value": 3.0, "timestamp": "2026-01-01T00:00:02Z"},
            ]),
        )
        .await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["accepted"], 2);
    assert!(answer["errors"][0]["field"].as_str().unwrap().contains("[1]"), "{answer}");

    let lines = "temp,site=a,asset=b value=1 1767225610000000000\n\
                 temp,site=a,asset=b value=oops 1767225611000000000\n\
                 temp,site=a,asset=b value=3 1767225612000000000";
    let (status, problem) = send(&plainview, WRITE, "text/plain", lines.as_bytes().to_vec()).await;
    assert!(status.is_client_error(), "{status}");
    assert!(problem.to_string().contains("line 2"), "{problem}");
    for (sensor, wanted) in [("a/b/c", 2), ("a/b/temp", 2)] {
        let path = format!(
            "/api/v1/sensors/readings?sensor={sensor}&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z"
        );
        let readings = plainview.get(&path).await;
        assert_eq!(readings["series"][0]["points"].as_array().unwrap().len(), wanted, "{sensor}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_sensor_is_refused_where_the_policy_says_so() {
    let plainview = Setup::default().with("INGEST__UNKNOWN_SENSORS", "reject").start().await;
    let body = br#"{"sensor":"a/b/unheard","value":1}"#;
    refused(&plainview, INGEST, "application/json", body, "a/b/unheard").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_too_much_cost_no_memory() {
    let plainview = Plainview::start().await;
    let (status, _) = send(&plainview, INGEST, "application/json", b"[]".to_vec()).await;
    assert!(status.is_client_error(), "an empty array holds no reading");
    let before = memory_kb(&plainview);

    let deep = "[".repeat(10_000);
    refused(&plainview, INGEST, "application/json", deep.as_bytes(), "deep").await;
    let long = format!("vibration,site=n,asset=p value={} 1", "1".repeat(10 * 1024 * 1024));
    refused(&plainview, WRITE, "text/plain", long.as_bytes(), "line 1").await;

    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b' '; 1024 * 1024];
    for _ in 0..512 {
        bomb.write_all(&zeros).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let answer = plainview
        .request(Method::POST, INGEST)
        .header("Content-Type", "application/json")
        .header("Content-Encoding", "gzip")
        .body(bomb)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let grown = memory_kb(&plainview).saturating_sub(before);
    assert!(grown < MEMORY_GROWTH_MAX_KB, "memory grew by {grown} kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn injected_text_is_only_text() {
    let plainview = Plainview::start().await;
    let evil = "'; DROP TABLE sensors; -- <script>alert(1)</script> =cmd|' /C calc'!A0 \u{202e}";
    let body = json!({
        "sensor": "a/b/c", "value": 1.0, "metadata": { "note": evil },
    });
    let (status, answer) = plainview.post(INGEST, &body).await;
    assert_eq!(status, 200, "{answer}");
    let sensor = plainview.get("/api/v1/sensors/a/b/c").await;
    assert_eq!(sensor["metadata"]["note"], evil);
}

fn memory_kb(plainview: &Plainview) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", plainview.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
