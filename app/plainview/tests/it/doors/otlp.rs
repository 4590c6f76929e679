use serde_json::Value;

use super::{good, json, send, sensors};
use crate::harness::Plainview;
use crate::python;

/// The data points of the metric `name` in a request written as JSON.
fn points<'a>(request: &'a Value, name: &str) -> Vec<&'a Value> {
    let scopes = request["resourceMetrics"][0]["scopeMetrics"].as_array().unwrap();
    let metrics = scopes.iter().flat_map(|scope| scope["metrics"].as_array().unwrap());
    let metric = metrics.clone().find(|metric| metric["name"] == name);
    let metric = metric.unwrap_or_else(|| panic!("no metric {name} in {request}"));
    let data = ["gauge", "sum", "histogram"].iter().find_map(|kind| metric.get(kind)).unwrap();
    data["dataPoints"].as_array().unwrap().iter().collect()
}

fn micros(point: &Value) -> i64 {
    point["timeUnixNano"].as_str().unwrap().parse::<i64>().unwrap() / 1_000
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_exports_every_instrument() {
    let plainview = Plainview::start().await;
    let requests = python::script("doors_otlp.py", &[&plainview.base, &plainview.key]);
    let requests: Vec<Value> = serde_json::from_str(&requests).unwrap();
    assert_eq!(requests.len(), 3, "plain, gzip and JSON");
    for (request, instance) in requests.iter().zip(["p-1", "p-2", "p-json"]) {
        let one = async |metric: &str, sensor: &str, value: f64| {
            let at = micros(points(request, metric)[0]);
            let sensor = format!("press/{instance}/{sensor}");
            assert_eq!(good(&plainview, &sensor).await, [(at, value)], "{sensor}");
        };
        one("oil.temperature", "oil.temperature/bearing:de", 71.25).await;
        one("oil.pressure", "oil.pressure", 4.5).await;
        one("parts", "parts/line:a", 3.0).await;
        one("queue", "queue", -2.0).await;
        one("press.time", "press.time_count", 4.0).await;
        one("press.time", "press.time_sum", 10.8).await;
        one("press.time", "press.time_min", 0.25).await;
        one("press.time", "press.time_max", 9.0).await;
        for (bound, count) in [("0.5", 1.0), ("1", 3.0), ("2.5", 3.0), ("Inf", 4.0)] {
            one("press.time", &format!("press.time_bucket/le:{bound}"), count).await;
        }
    }
    let all = sensors(&plainview).await;
    let find = |key: &str| all.iter().find(|sensor| sensor["key"] == key).unwrap();
    let warm = find("press/p-2/oil.temperature/bearing:de");
    assert_eq!((&warm["unit"], &warm["kind"]), (&"°C".into(), &"temperature".into()));
    assert_eq!(warm["metadata"]["labels"]["__name__"], "oil_temperature");
    assert_eq!(warm["metadata"]["labels"]["instance"], "p-2");
    assert_eq!(warm["metadata"]["resource"]["plant.hall"], "7");
    assert_eq!(warm["metadata"]["help"], "how warm");
    assert_eq!(find("press/p-2/oil.pressure")["unit"], "bar");
    let slash = all.iter().find(|s| {
        let labels = &s["metadata"]["labels"];
        labels["line"] == "b/2" && labels["instance"] == "p-1"
    });
    let slash = slash.unwrap()["key"].as_str().unwrap();
    assert!(slash.starts_with("press/p-1/parts/line:b_2-"), "{slash}");
    assert_eq!(good(&plainview, slash).await[0].1, 4.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_come_in_the_encoding_of_the_question() {
    let plainview = Plainview::start().await;
    let key = ("x-api-key", plainview.key.as_str());
    let protobuf = ("content-type", "application/x-protobuf");
    let as_json = ("content-type", "application/json");
    let path = "/v1/metrics";
    let (status, headers, body) =
        send(&plainview, path, &[key, protobuf], b"\x0a\x09".to_vec()).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (400, &"application/x-protobuf".parse().unwrap())
    );
    assert_eq!(body[..2], [0x08, 3], "a Status with the code INVALID_ARGUMENT");
    let (status, _, body) =
        send(&plainview, path, &[key, as_json], b"{\"resourceMetrics\":7}".to_vec()).await;
    assert_eq!((status, json(&body)["code"].as_i64()), (400, Some(3)));
    assert_eq!(json(&body)["type"], "/docs/errors/readings-unreadable");
    let (status, _, _) =
        send(&plainview, path, &[key, ("content-type", "text/plain")], Vec::new()).await;
    assert_eq!(status, 415);
    let (status, _, _) = send(&plainview, path, &[protobuf], Vec::new()).await;
    assert_eq!(status, 401);
    let (status, _, body) = send(&plainview, path, &[key, protobuf], Vec::new()).await;
    assert_eq!((status, body.len()), (200, 0), "an empty request is a request");
    let bad = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"asDouble":"NaN"},{"asDouble":"Infinity"}]}}]}]}]}"#;
    let (status, _, body) = send(&plainview, path, &[key, as_json], bad.to_vec()).await;
    assert_eq!(status, 200);
    assert_eq!(json(&body)["partialSuccess"]["rejectedDataPoints"], "1");
}
