//! A small Plainview for tests: real records, bus and coordination, one module of odd routes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response};
use axum::routing::{get, post};
use axum::{Router, body::Bytes};
use bus::Bus;
use coord::{Idempotency, Limits};
use garde::Validate;
use http_body_util::BodyExt;
use kernel::{EventType, SharedClock, SystemClock};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::records::{Migration, Records};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::{
    App, Asset, Caller, ConfiguredKey, Deps, Json, Keys, Metrics, Module, Problem, RawBody, Role,
    WebSettings,
};

pub(crate) async fn records(migrations: &[Migration]) -> (tempfile::TempDir, Records) {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/records.db", dir.path().display());
    let records = Records::open(&url).await.unwrap();
    records.migrate(migrations, kernel::Timestamp::from_secs(0)).await.unwrap();
    (dir, records)
}

pub(crate) const KEYS: &str = "hand:ingest:ingest-0123456789,eye:viewer:viewer-0123456789,\
    ines:operator:operator-0123456789,eng:engineer:engineer-0123456789,root:admin:admin-0123456789";

pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) bus: Bus,
    pub(crate) keys: Keys,
    pub(crate) settings: WebSettings,
    pub(crate) stop: CancellationToken,
    pub(crate) effects: Arc<AtomicUsize>,
    _dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(WebSettings::default()).await
    }

    pub(crate) async fn with(settings: WebSettings) -> Self {
        let migrations: Vec<Migration> = Bus::migrations()
            .into_iter()
            .chain(coord::migrations())
            .chain(Keys::migrations())
            .collect();
        let (dir, records) = records(&migrations).await;
        let clock: SharedClock = SystemClock::shared();
        let bus = Bus::new(records.clone(), Arc::clone(&clock));
        let configured = ConfiguredKey::parse_list(KEYS).unwrap();
        let keys = Keys::new(records.clone(), Arc::clone(&clock), configured);
        let stop = CancellationToken::new();
        let effects = Arc::new(AtomicUsize::new(0));
        let deps = Deps {
            version: "1.2.3",
            records: records.clone(),
            bus: bus.clone(),
            clock: Arc::clone(&clock),
            keys: keys.clone(),
            limits: Arc::new(Limits::new(Arc::clone(&clock))),
            idempotency: Idempotency::new(records, clock, "test"),
            coordinator: None,
            health: Vec::new(),
            metrics: Some(Metrics::install().unwrap()),
            assets: Arc::new(asset),
            stop: stop.clone(),
        };
        let app = App::new(settings.clone(), deps).with(odd_module(Arc::clone(&effects)));
        let router = app.build().unwrap();
        Self { router, bus, keys, settings, stop, effects, _dir: dir }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.router.clone().oneshot(request).await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// As an operator.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(post_request(path).body(body.into()).unwrap()).await
    }

    pub(crate) async fn publish(&self, kind: &'static str, subject: &str, data: Value) {
        let tx = self.bus.records().begin().await.unwrap();
        let draft = kernel::EventDraft::new(EventType::new(kind, 1), subject, &data).unwrap();
        self.bus.publish(&tx, "odd", draft).await.unwrap();
        tx.commit().await.unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn post_request(path: &str) -> axum::http::request::Builder {
    Request::post(path)
        .header("content-type", "application/json")
        .header("x-api-key", "operator-0123456789")
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status.as_u16(), headers: parts.headers, bytes }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The code of a problem that is whole: its type, status and request id.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let body = self.json();
        assert_eq!(body["status"], self.status, "{body}");
        assert_eq!(body["request_id"], self.header("x-request-id"), "{body}");
        body["type"].as_str().unwrap().strip_prefix("/docs/errors/").unwrap().to_owned()
    }
}

fn asset(path: &str) -> Option<Asset> {
    let (text, media_type) = match path {
        "index.html" => ("<!doctype html><title>Plainview</title>", "text/html"),
        "assets/main-1a2b.js" => ("export {};", "text/javascript"),
        "assets/main-1a2b.js.gz" => ("packed", "application/gzip"),
        _ => return None,
    };
    Some(Asset {
        bytes: text.as_bytes().into(),
        hash: *blake3::hash(text.as_bytes()).as_bytes(),
        media_type: media_type.to_owned(),
    })
}

#[derive(Deserialize, Serialize, Validate, utoipa::ToSchema)]
struct Echo {
    #[garde(range(max = 1e6))]
    value: f64,
    #[garde(skip)]
    #[serde(default)]
    more: Value,
}

/// Says the body again.
#[utoipa::path(post, path = "/odd/echo", request_body = Echo, responses((status = 200, body = Echo)))]
async fn echo(Json(body): Json<Echo>) -> Json<Echo> {
    Json(body)
}

/// Acts, slowly enough for two requests to meet.
async fn act(State(effects): State<Arc<AtomicUsize>>, _caller: Caller, body: Bytes) -> String {
    tokio::time::sleep(Duration::from_millis(50)).await;
    format!("{} {}", effects.fetch_add(1, Ordering::SeqCst), body.len())
}

async fn weigh(RawBody(bytes): RawBody) -> String {
    bytes.len().to_string()
}

async fn panics() -> String {
    let list: Vec<u8> = Vec::new();
    format!("{}", list[usize::from(list.is_empty())])
}

async fn sleeps() {
    std::future::pending::<()>().await;
}

async fn refuses() -> Problem {
    let error = std::io::Error::other("the password is swordfish");
    Problem::internal(&error)
}

async fn engineers(caller: Caller) -> Result<&'static str, Problem> {
    caller.need(Role::Engineer)?;
    Ok("configured")
}

fn odd_module(effects: Arc<AtomicUsize>) -> Module {
    let documented: OpenApiRouter = OpenApiRouter::new().routes(routes!(echo));
    let plain = Router::new()
        .route("/odd/act", post(act))
        .route("/data/ingest", post(act))
        .route("/alerts/{id}/acknowledge", post(act))
        .route("/valves/{id}/actuate", post(act))
        .route("/odd/weigh", post(weigh))
        .route("/odd/panics", get(panics).post(panics))
        .route("/odd/sleeps", get(sleeps).post(sleeps))
        .route("/odd/refuses", get(refuses))
        .route("/odd/engineers", post(engineers))
        .with_state(effects);
    Module {
        root_aliases: &["odd"],
        ..Module::new("odd", documented.merge(OpenApiRouter::from(plain)))
    }
}
