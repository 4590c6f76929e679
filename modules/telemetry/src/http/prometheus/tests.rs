use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use web::{Caller, Role};

use crate::model::Settings;
use crate::service::Telemetry;
use crate::service::tests::Site;

struct Api {
    router: Router,
    _site: Site,
}

impl Api {
    /// With two pumps, of which one brought labels of its own.
    async fn new() -> Self {
        let site = Site::new().await;
        let module = crate::module(Telemetry::new(site.deps(Settings::default())));
        // The doors at the root come first: `/write` there is another one than `/api/v1/write`.
        let (root, _) = module.root_routes.split_for_parts();
        let router = root.fallback_service(module.routes.split_for_parts().0);
        let caller = Caller { name: "ines".to_owned(), role: Some(Role::Engineer) };
        let api = Self { router: router.layer(axum::Extension(caller)), _site: site };
        let labelled = json!({ "metadata": {
            "labels": { "__name__": "oil_celsius", "pump": "7" }, "type": "counter", "help": "Oil",
        } });
        let request = Request::put("/sensors/north/p-7/oil").header("if-none-match", "*");
        let request = request.header("content-type", "application/json");
        let body = Body::from(labelled.to_string());
        let (status, said) = api.send(request.body(body).unwrap()).await;
        assert!(status < 300, "{status} {said}");
        let rows: Vec<Value> = (0..10)
            .flat_map(|i| {
                let at = format!("2026-09-20T00:00:{:02}.5Z", i * 5);
                let row = move |sensor: &str, value: i32| {
                    json!({ "sensor": sensor, "timestamp": at, "value": value })
                };
                [row("north/p-2/pressure", i), row("north/p-7/oil", 10 * i)]
            })
            .collect();
        let request = Request::post("/data/ingest").header("content-type", "application/json");
        let body = Body::from(Value::from(rows).to_string());
        let (status, said) = api.send(request.body(body).unwrap()).await;
        assert!(status < 300, "{status} {said}");
        api
    }

    async fn send(&self, request: Request<Body>) -> (u16, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let path = format!("/prometheus/api/v1/{path}");
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, form: &str) -> (u16, Value) {
        let request = Request::post(format!("/prometheus/api/v1/{path}"))
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }
}

const AT: &str = "time=2026-09-20T00:01:00.25Z";

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_answered_in_the_shape_of_prometheus() {
    let api = Api::new().await;
    let (status, said) = api.get(&format!("query?query=pressure&{AT}")).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["status"], "success");
    assert_eq!(said["data"]["resultType"], "vector");
    let one = &said["data"]["result"][0];
    assert_eq!(one["value"], json!([1_789_862_460.25, "9"]));
    assert_eq!(one["metric"]["__name__"], "pressure");
    assert_eq!(one["metric"]["sensor"], "north/p-2/pressure");
    let (_, said) = api.post("query", &format!("query=oil_celsius%7Bpump%3D%227%22%7D&{AT}")).await;
    let one = &said["data"]["result"][0];
    assert_eq!(one["metric"], json!({ "__name__": "oil_celsius", "pump": "7" }));
    assert_eq!(one["value"][1], "90");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_has_a_sample_per_step() {
    let api = Api::new().await;
    let range = "start=2026-09-20T00:00:00Z&end=2026-09-20T00:00:30Z&step=10s";
    for (status, said) in [
        api.get(&format!("query_range?query=sum(rate(oil_celsius[15s]))&{range}")).await,
        api.post("query_range", &format!("query=sum(rate(oil_celsius[15s]))&{range}")).await,
    ] {
        assert_eq!(status, 200, "{said}");
        assert_eq!(said["data"]["resultType"], "matrix");
        let values = said["data"]["result"][0]["values"].as_array().unwrap();
        assert_eq!(values.len(), 3, "{said}");
        assert_eq!(values[2], json!([1_789_862_430, "2"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_can_be_listed() {
    let api = Api::new().await;
    let (_, said) = api.get("label/__name__/values").await;
    assert_eq!(said["data"], json!(["oil_celsius", "pressure"]));
    let (_, said) = api.get("labels?match[]=oil_celsius").await;
    assert_eq!(said["data"], json!(["__name__", "pump"]));
    let (_, said) = api.post("series", "match[]=%7Bkind%3D%22pressure%22%7D").await;
    assert_eq!(said["data"][0]["asset"], "p-2");
    let (_, said) = api.get("series?match[]=pressure&start=2026-09-20T00:01:00Z").await;
    assert_eq!(said["data"], json!([]), "it ended before");
    let (_, said) = api.get("metadata").await;
    let counter = json!([{ "type": "counter", "help": "Oil", "unit": "" }]);
    assert_eq!(said["data"]["oil_celsius"], counter);
    assert_eq!(said["data"]["pressure"][0]["type"], "gauge");
    let (_, said) = api.get("metadata?metric=pressure&limit=1").await;
    assert_eq!(said["data"].as_object().unwrap().len(), 1);
    let (_, said) = api.get("rules").await;
    assert_eq!(said["data"], json!({ "groups": [] }));
    let (_, said) = api.get("format_query?query=sum(pressure)by(site)").await;
    assert_eq!(said["data"], "sum by (site) (pressure)");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_codes_of_prometheus() {
    let api = Api::new().await;
    for (path, wanted, kind, named) in [
        ("query", 400, "bad_data", "query"),
        ("query?query=sum(", 400, "bad_data", "query"),
        ("query?query=limitk(1,pressure)", 400, "bad_data", "limitk"),
        ("query?query=1&time=soon", 400, "bad_data", "time"),
        ("query?query=1&timeout=x", 400, "bad_data", "timeout"),
        ("query?query=pressure&timeout=0", 503, "timeout", "timed out"),
        ("query_range?query=1&start=2&end=1&step=1", 400, "bad_data", "end"),
        ("query_range?query=1&start=1&end=99999&step=1", 400, "bad_data", "11,000"),
        ("query?query=count_values(%22a-b%22,pressure)", 422, "execution", "a-b"),
        ("series", 400, "bad_data", "match[]"),
        ("series?match[]=%7B%7D", 400, "bad_data", "match[]"),
        ("label/a-b/values", 400, "bad_data", "a-b"),
        ("metadata?limit=few", 400, "bad_data", "limit"),
    ] {
        let (status, said) = api.get(path).await;
        assert_eq!((status, &said["errorType"]), (wanted, &json!(kind)), "{path}: {said}");
        assert_eq!(said["status"], "error");
        assert!(said["error"].as_str().unwrap().contains(named), "{path}: {said}");
    }
}
