use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use web::{Caller, Role};

use crate::model::{Settings, UnknownSensors};
use crate::service::Telemetry;
use crate::service::tests::Site;

struct Api {
    router: Router,
    _site: Site,
}

struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    text: String,
    bytes: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    fn fields(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|e| e["field"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Api {
    async fn new(unknown_sensors: UnknownSensors) -> Self {
        let site = Site::new().await;
        let settings = Settings { unknown_sensors, ..Settings::default() };
        let module = crate::module(Telemetry::new(site.deps(settings)));
        // The doors at the root come first: `/write` there is another one than `/api/v1/write`.
        let (root, _) = module.root_routes.split_for_parts();
        let router = root.fallback_service(module.routes.split_for_parts().0);
        let caller = Caller { name: "ines".to_owned(), role: Some(Role::Engineer) };
        Self { router: router.layer(axum::Extension(caller)), _site: site }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status, headers, text, bytes: bytes.to_vec() }
    }

    async fn ingest(&self, body: impl Into<Body>) -> Answer {
        let request = Request::post("/data/ingest").header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn write(&self, query: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::post(format!("/write{query}")).body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn put(&self, path: &str, tag: Option<&str>, body: Value) -> Answer {
        let mut request = Request::put(path).header("content-type", "application/json");
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }
}

const GOOD: &str = r#"{"sensor":"north/p-2/vibration","value":4.6,"unit":"mm/s"}"#;

#[tokio::test]
async fn a_partial_batch_stores_the_good_rows() {
    let api = Api::new(UnknownSensors::Auto).await;
    let bad = r#"{"sensor":"north/p-2/vibration","value":"NaN"}"#;
    let foreign = r#"{"sensor":"north/p-2/vibration","value":1,"unit":"bar"}"#;
    let answer = api.ingest(format!("[{GOOD},{bad},{foreign}]")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!((&body["accepted"], &body["rejected"]), (&json!(1), &json!(2)));
    assert_eq!(answer.fields(), ["readings[1].value", "readings[2].unit"]);
    let readings = api.get("/sensors/readings?sensor=north/p-2/vibration").await.json();
    assert_eq!(readings["series"][0]["points"][0]["value"], 4.6);
    assert_eq!(readings["series"][0]["unit"], "mm/s");
}

#[tokio::test]
async fn bad_input_is_refused_with_a_4xx_that_names_it() {
    let api = Api::new(UnknownSensors::Auto).await;
    let cases = [
        (r#"{"sensor":"a/b/c","value":1e999}"#.to_owned(), 422, "value"),
        (r#"{"sensor":"a/b/c","value":"Infinity"}"#.to_owned(), 422, "value"),
        (r#"{"sensor":"a/b/c","value":NaN}"#.to_owned(), 400, "line 1"),
        (
            r#"{"sensor":"a/b/c","value":1,"timestamp":"2099-01-01T00:00:00Z"}"#.to_owned(),
            422,
            "timestamp",
        ),
        (r#"{"sensor":"a/b/c","value":1,"timestamp":-1e15}"#.to_owned(), 422, "timestamp"),
        (r#"{"sensor":"a/b/c","value":1,"unit":"furlong"}"#.to_owned(), 422, "unit"),
        (r#"{"sensor":"a/b","value":1}"#.to_owned(), 422, "sensor"),
        (format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), 422, "readings[0]"),
        (format!(r#"{{"value":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000)), 422, "sensor"),
        ("[]".to_owned(), 422, ""),
        ("7".to_owned(), 400, "body"),
        (format!("[{}]", vec![GOOD; 10_001].join(",")), 400, "body"),
    ];
    for (body, status, field) in cases {
        let shown: String = body.chars().take(60).collect();
        let answer = api.ingest(body).await;
        assert_eq!(answer.status, status, "{shown}: {}", answer.text);
        assert_eq!(answer.fields().first().map_or("", String::as_str), field, "{shown}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    let deep = api.ingest("[".repeat(10_000)).await;
    assert_eq!(deep.status, 400);
    assert_eq!(deep.json()["type"], "/docs/errors/json-too-deep");
    assert_eq!(deep.json()["detail"], "Byte 64 opens level 65; 64 levels are read.");
    assert_eq!(api.ingest(b"\xff\xfe".to_vec()).await.status, 400);
    assert_eq!(api.ingest(" ".repeat(3 << 20)).await.status, 413);
    let plain = Request::post("/data/ingest").header("content-type", "text/plain");
    assert_eq!(api.send(plain.body(Body::from(GOOD)).unwrap()).await.status, 415);
    let chain = Request::post("/data/ingest").header("content-type", "application/json");
    let chain = chain.header("x-correlation-id", "x").body(Body::from(GOOD)).unwrap();
    assert_eq!(api.send(chain).await.status, 422);
}

#[tokio::test]
async fn an_unknown_sensor_is_refused_under_reject_until_it_is_registered() {
    let api = Api::new(UnknownSensors::Reject).await;
    let refused = api.ingest(GOOD).await;
    assert_eq!((refused.status, refused.fields()), (422, vec!["sensor".to_owned()]));
    let body = json!({"unit": "mm/s", "expected_low": 0.0, "expected_high": 7.1});
    let made = api.put("/sensors/north/p-2/vibration", None, body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(api.ingest(GOOD).await.status, 200);
    assert_eq!(api.put("/sensors/north/p-2/vibration", None, body.clone()).await.status, 428);
    let tag = api.get("/sensors/north/p-2/vibration").await.headers["etag"].clone();
    let tag = tag.to_str().unwrap();
    assert_eq!(api.put("/sensors/north/p-2/vibration", Some(tag), body.clone()).await.status, 200);
    assert_eq!(api.put("/sensors/north/p-2/vibration", Some(tag), body).await.status, 412);
    let wrong = json!({"unit": "mm/s", "expected_low": 8.0, "expected_high": 7.1});
    let answer = api.put("/sensors/north/p-2/vibration", Some("*"), wrong).await;
    assert_eq!((answer.status, answer.fields()), (422, vec!["expected_high".to_owned()]));
}

#[tokio::test]
async fn line_protocol_names_bad_lines_and_keeps_good_ones() {
    let api = Api::new(UnknownSensors::Auto).await;
    let ok = api.write("?precision=s", "vibration,site=north,asset=p-2 value=4.6").await;
    assert_eq!((ok.status, ok.text.as_str()), (204, ""));
    let long = "x".repeat(1 << 20);
    let body =
        format!("flow,site=north,asset=p-2 value=1\nflow value=nan\nm value=1 99999999999\n{long}");
    let partial = api.write("?precision=s", body).await;
    assert_eq!(partial.status, 400, "{}", partial.text);
    assert_eq!(partial.fields(), ["line 2: value", "line 3: timestamp", "line 4"]);
    assert_eq!(partial.json()["code"], "invalid");
    assert_eq!(partial.json()["accepted"], 1);
    assert_eq!(api.write("?precision=weeks", "m value=1").await.status, 422);
    assert_eq!(api.get("/ping").await.status, 204);
    let sensors = api.get("/sensors/sensors?asset=p-2&limit=1").await.json();
    assert_eq!(sensors["items"][0]["key"], "north/p-2/flow");
    let next = sensors["next"].as_str().unwrap().to_owned();
    let rest = api.get(&format!("/sensors/sensors?asset=p-2&cursor={next}")).await.json();
    assert_eq!(rest["items"][0]["key"], "north/p-2/vibration");
    assert_eq!(rest["next"], Value::Null);
}

#[tokio::test]
async fn known_new_and_faulty_lines_of_one_body_meet_in_one_answer() {
    let api = Api::new(UnknownSensors::Auto).await;
    assert_eq!(
        api.write("?precision=s", "m,site=n,asset=a value=1,s=\"x\" 1700000000\n").await.status,
        204
    );
    let body = "m,site=n,asset=a value=2 1700000001\n\
                m,site=n,asset=b value=3,s=\"x y\" 1700000001\n\
                m,site=n,asset=a value=4 -99999999999\n\
                m,site=n,asset=b value= 1700000002\n\
                m,site=n,asset=a value=5 1700000003\n";
    let answer = api.write("?precision=s", body).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(answer.fields(), ["line 3: timestamp", "line 4: value"], "{}", answer.text);
    assert_eq!(answer.json()["accepted"], 3);
    // Of two readings of one time the later line is the last, whichever way it is read.
    let body = "m,site=n,asset=a value=6 1700000004\nm,asset=a,site=n value=7 1700000004\n";
    assert_eq!(api.write("?precision=s", body).await.status, 204);
    let csv =
        api.get("/sensors/readings?sensor=n/a/m&format=csv&from=2023-11-14&to=2023-11-16").await;
    let values = csv.text.lines().skip(1).map(|line| line.split(',').nth(2).unwrap_or_default());
    assert_eq!(values.collect::<Vec<_>>(), ["1", "2", "5", "7"], "{}", csv.text);
}

#[tokio::test]
async fn readings_come_raw_in_buckets_and_as_csv() {
    let api = Api::new(UnknownSensors::Auto).await;
    let rows: Vec<String> = (0..120)
        .map(|s| {
            format!(r#"{{"sensor":"a/b/c","value":{s},"at":{}}}"#, 1_789_999_800_000_i64 + s * 1000)
        })
        .collect();
    assert_eq!(api.ingest(format!("[{}]", rows.join(","))).await.status, 200);
    let base = "/sensors/readings?sensor=a/b/c&from=2026-09-21T13:30:00Z";
    let raw = api.get(&format!("{base}&limit=10")).await.json();
    assert_eq!(raw["series"][0]["points"].as_array().map(Vec::len), Some(10), "{raw}");
    assert_eq!(raw["series"][0]["truncated"], true);
    let minutes = api.get(&format!("{base}&width=60s")).await.json();
    assert_eq!(minutes["series"][0]["buckets"][0]["count"], 60, "{minutes}");
    assert_eq!(minutes["series"][0]["buckets"][0]["mean"], 29.5);
    let csv = api.get(&format!("{base}&format=csv")).await;
    assert!(csv.text.starts_with("timestamp,sensor,value,unit,quality,reason\n"), "{}", csv.text);
    assert_eq!(csv.text.lines().count(), 121);
    assert_eq!(api.get("/sensors/readings").await.status, 400);
    assert_eq!(api.get("/sensors/readings?sensor=a/b/missing").await.status, 404);
    let fine = api.get("/sensors/readings?sensor=a/b/c&from=2000-01-01&width=1s").await;
    assert_eq!(fine.status, 422, "{}", fine.text);
    assert_eq!(api.get("/flow/metrics").await.json()["accepted"], 120);
    assert_eq!(api.get("/flow/health").await.json()["status"], "ok");
    assert_eq!(api.get("/anomalies").await.json(), json!({"items": []}));
}

#[tokio::test]
async fn one_unknown_sensor_does_not_hide_the_others() {
    let api = Api::new(UnknownSensors::Auto).await;
    assert_eq!(api.ingest(r#"{"sensor":"a/b/c","value":1,"at":1789999800000}"#).await.status, 200);
    let base =
        "/sensors/readings?from=2026-09-21&to=2026-09-22&sensor=a/b/gr%C3%B6%C3%9Fe&sensor=a/b/c";
    let answer = api.get(base).await.json();
    assert_eq!(answer["unknown"], json!(["a/b/größe"]));
    assert_eq!(answer["series"][0]["sensor"], "a/b/c");
    assert_eq!(answer["series"][0]["points"][0]["quality"], "good");
    for format in ["csv", "arrow"] {
        let answer = api.get(&format!("{base}&format={format}")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["plainview-unknown-sensors"], "a/b/gr%C3%B6%C3%9Fe");
    }
    let both = api.get("/sensors/readings?sensor=a/b/x&sensor=a/b/y&format=csv").await;
    assert_eq!((both.status, both.json()["status"].clone()), (404, json!(404)));
}

#[tokio::test]
async fn tables_come_whole_at_any_length() {
    const READINGS: usize = 50_001;
    let api = Api::new(UnknownSensors::Auto).await;
    for sensor in ["x/y/a", "x/y/b"] {
        let (site, rest) = sensor.split_once('/').unwrap();
        let (asset, measure) = rest.split_once('/').unwrap();
        let lines: String = (0..READINGS)
            .map(|n| {
                format!("{measure},site={site},asset={asset} value={n} {}\n", 1_790_000_000 + n)
            })
            .collect();
        assert_eq!(api.write("?precision=s", lines).await.status, 204);
    }
    let base = "/sensors/readings?from=2026-09-21&to=2026-09-30&sensor=x/y/b&sensor=x/y/a";
    let csv = api.get(&format!("{base}&format=csv")).await;
    let lines: Vec<&str> = csv.text.lines().skip(1).collect();
    assert_eq!(lines.len(), 2 * READINGS);
    for (place, line) in lines.iter().enumerate() {
        let mut cells = line.split(',').skip(1);
        let sensor = if place < READINGS { "x/y/b" } else { "x/y/a" };
        let value = (place % READINGS).to_string();
        assert_eq!((cells.next(), cells.next()), (Some(sensor), Some(value.as_str())));
    }
    let (mut decoder, mut rows) = (tables::ArrowDecoder::new(), 0);
    let request = Request::get(base).header("accept", "application/vnd.apache.arrow.stream, */*");
    let arrow = api.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(arrow.headers["content-type"], "application/vnd.apache.arrow.stream");
    let take = |batch: tables::Decoded| {
        for value in batch.value {
            assert_eq!(value, (rows % READINGS) as f64);
            rows += 1;
        }
        Ok(())
    };
    decoder.take(arrow.bytes.into(), take).unwrap();
    decoder.finish().unwrap();
    assert_eq!(rows, 2 * READINGS);
    let some = api.get(&format!("{base}&format=csv&limit=20001")).await;
    assert_eq!(some.text.lines().count(), 1 + 2 * 20_001);
    assert_eq!(api.get(&format!("{base}&limit=100001")).await.fields(), ["limit"]);
    let buckets = api.get(&format!("{base}&format=csv&width=1h")).await;
    assert!(buckets.text.starts_with("timestamp,sensor,count,min,max,mean,first,last,unit\n"));
    assert!(buckets.text.lines().count() > 20, "{}", buckets.text);
}
