use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use coord::Rate;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::test_world::{World, post_request};
use crate::{CODES, Environment, Role};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

#[tokio::test]
async fn bad_bodies_are_clear_problems() {
    let world = World::new().await;
    let deep = format!("{{\"value\":1,\"more\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let large = format!("{{\"value\":1,\"more\":\"{}\"}}", "x".repeat(17 << 20));
    let rows: [(&[u8], u16, &str); 9] = [
        (deep.as_bytes(), 400, "json-too-deep"),
        (b"{\"value\":1e999}", 422, "fields-invalid"),
        (b"{\"value\":NaN}", 422, "fields-invalid"),
        (b"{\"value\":1e7}", 422, "fields-invalid"),
        (b"{\"value\":\"\xff\xfe\"}", 400, "body-not-utf8"),
        (b"{\"value\":", 400, "json-invalid"),
        (b"", 400, "body-empty"),
        (b"{}", 422, "fields-invalid"),
        (large.as_bytes(), 413, "body-too-large"),
    ];
    for (body, status, code) in rows {
        let answer = world.post("/api/v1/odd/echo", body.to_vec()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{}", answer.text());
        if code == "fields-invalid" {
            assert_eq!(
                answer.json()["errors"][0]["field"].as_str().map(|f| f != "body"),
                Some(body != b"{}")
            );
        }
    }
    let form = Request::post("/api/v1/odd/echo")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-api-key", "operator-0123456789");
    let answer = world.send(form.body(Body::from("value=1")).unwrap()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (415, "content-type-unsupported"));
    assert_eq!(world.post("/api/v1/odd/echo", r#"{"value":4.5}"#).await.json()["value"], 4.5);
}

#[tokio::test]
async fn compressed_bodies_are_bounded_by_what_they_unfold_to() {
    let world = World::new().await;
    let send = async |body: Vec<u8>, encoding: &str| {
        let request = post_request("/api/v1/odd/echo").header("content-encoding", encoding);
        world.send(request.body(Body::from(body)).unwrap()).await
    };
    assert_eq!(send(gzip(b"{\"value\":1}"), "gzip").await.status, 200);
    let bomb = gzip(&vec![b' '; 200 << 20]);
    assert!(bomb.len() < 1 << 20);
    let answer = send(bomb, "gzip").await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "body-too-large"));
    assert!(answer.text().contains("after decompression"));
    let answer = send(b"not gzip at all".to_vec(), "gzip").await;
    assert_eq!((answer.status, answer.problem().as_str()), (400, "body-undecodable"));
    let answer = send(b"{}".to_vec(), "br").await;
    assert_eq!((answer.status, answer.problem().as_str()), (415, "content-encoding-unsupported"));
    let raw = post_request("/api/v1/odd/weigh").header("content-encoding", "gzip");
    let answer = world.send(raw.body(Body::from(gzip(b"12345")[..20].to_vec())).unwrap()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (400, "body-undecodable"));
    // No length is said, so it is counted as it comes.
    let endless = futures_util::stream::repeat_with(|| Ok::<_, Infallible>(vec![b' '; 1 << 20]));
    for path in ["/api/v1/odd/weigh", "/api/v1/odd/echo"] {
        let endless = Body::from_stream(endless.clone());
        let answer = world.send(post_request(path).body(endless).unwrap()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (413, "body-too-large"), "{path}");
    }
    // A handler that takes plain bytes is bound as well.
    let raw = post_request("/api/v1/odd/act").header("content-encoding", "gzip");
    let answer = world.send(raw.body(Body::from(gzip(&vec![0; 100 << 20]))).unwrap()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "body-too-large"));
}

#[tokio::test]
async fn every_answer_carries_its_request_id_and_guards() {
    let world = World::new().await;
    for path in ["/health", "/nowhere", "/api/v1/nowhere", "/app/", "/docs", "/api/v1/agents", "/"]
    {
        let answer = world.get(path).await;
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}");
    }
    assert_eq!(world.get("/api/v1/me").await.header("cache-control"), "no-store");
    let named =
        Request::get("/health").header("x-request-id", "abc-7").body(Body::empty()).unwrap();
    assert_eq!(world.send(named).await.header("x-request-id"), "abc-7");
    let odd = Request::get("/health").header("x-request-id", "a b\tc").body(Body::empty()).unwrap();
    assert_eq!(world.send(odd).await.header("x-request-id").len(), 36);
    assert_eq!(world.get("/nowhere").await.problem(), "not-found");
    let answer = world.post("/api/v1/agents", "").await;
    assert_eq!((answer.status, answer.problem().as_str()), (405, "method-not-allowed"));
    assert!(answer.header("allow").contains("GET"));
}

#[tokio::test]
async fn panics_and_faults_say_nothing_internal() {
    let world = World::new().await;
    for path in ["/api/v1/odd/panics", "/api/v1/odd/refuses"] {
        let answer = world.get(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (500, "internal"));
        assert!(!answer.text().contains("swordfish") && !answer.text().contains("index"), "{path}");
    }
}

#[tokio::test]
async fn a_handler_that_never_answers_is_ended() {
    let settings =
        WebSettings { request_timeout: Duration::from_millis(50), ..WebSettings::default() };
    let world = World::with(settings).await;
    let answer = world.get("/api/v1/odd/sleeps").await;
    assert_eq!((answer.status, answer.problem().as_str()), (504, "timed-out"));
    let answer = world.post("/api/v1/odd/sleeps", "").await;
    assert!(answer.text().contains("unknown"));
}

#[tokio::test]
async fn keys_travel_in_any_of_the_known_headers() {
    let world = World::new().await;
    let me = async |name: &str, value: &str| {
        world
            .send(Request::get("/api/v1/me").header(name, value).body(Body::empty()).unwrap())
            .await
    };
    for (name, value) in [
        ("x-api-key", "operator-0123456789"),
        ("authorization", "Bearer operator-0123456789"),
        ("authorization", "Token operator-0123456789"),
        ("authorization", "Basic YW55Om9wZXJhdG9yLTAxMjM0NTY3ODk="),
    ] {
        let answer = me(name, value).await;
        assert_eq!(answer.json()["name"], "ines", "{name}: {value}");
        assert_eq!(answer.json()["role"], "operator");
    }
    for value in ["Bearer wrong", "Basic ???", "Digest x", "Bearer", ""] {
        let answer = me("authorization", value).await;
        assert_eq!((answer.status, answer.problem().as_str()), (401, "key-invalid"), "{value}");
    }
    assert_eq!(world.get("/api/v1/me").await.json()["role"], Value::Null);
    let bare = |path: &str| Request::post(path).body(Body::empty()).unwrap();
    // Clients of Influx 1 say it in the query, and only their door reads it there.
    for (query, status) in [
        ("?u=any&p=operator-0123456789", 404),
        ("?u=any&p=wrong", 401),
        ("?p=operator-0123456789&p=x", 401),
        ("", 401),
    ] {
        assert_eq!(world.send(bare(&format!("/write{query}"))).await.status, status, "{query}");
    }
    let me = world.get("/api/v1/me?p=operator-0123456789").await;
    assert_eq!(me.json()["role"], Value::Null);
}

#[tokio::test]
async fn roles_may_do_what_they_may_and_no_more() {
    let development = World::new().await;
    let settings = WebSettings { environment: Environment::Production, ..WebSettings::default() };
    let production = World::with(settings).await;
    // Columns: none, ingest, viewer, operator, engineer, admin.
    let rows: [(&World, &str, &str, [u16; 6]); 13] = [
        (&development, "GET", "/api/v1/agents", [200, 403, 200, 200, 200, 200]),
        (&production, "GET", "/api/v1/agents", [401, 403, 200, 200, 200, 200]),
        (&production, "GET", "/api/v1/me", [401, 200, 200, 200, 200, 200]),
        (&production, "GET", "/metrics", [401, 403, 200, 200, 200, 200]),
        (&production, "GET", "/docs", [200, 200, 200, 200, 200, 200]),
        (&production, "GET", "/api/v1/openapi.json", [401, 403, 200, 200, 200, 200]),
        (&production, "GET", "/events?types=none", [401, 403, 200, 200, 200, 200]),
        (&production, "GET", "/health", [200, 200, 200, 200, 200, 200]),
        (&production, "GET", "/app/", [200, 200, 200, 200, 200, 200]),
        (&development, "POST", "/api/v1/data/ingest", [401, 200, 403, 200, 200, 200]),
        (&development, "POST", "/api/v1/odd/act", [401, 403, 403, 200, 200, 200]),
        (&development, "POST", "/api/v1/odd/engineers", [401, 403, 403, 403, 200, 200]),
        (&development, "GET", "/api/v1/keys", [401, 403, 403, 403, 403, 200]),
    ];
    for (world, method, path, expected) in rows {
        let mut found = Vec::new();
        for role in ["", "ingest", "viewer", "operator", "engineer", "admin"] {
            let mut request = Request::builder().method(method).uri(path);
            if !role.is_empty() {
                request = request.header("x-api-key", format!("{role}-0123456789"));
            }
            let answer = world.router.clone().oneshot(request.body(Body::empty()).unwrap()).await;
            found.push(answer.unwrap().status().as_u16());
        }
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn keys_are_made_listed_and_ended_over_http() {
    let world = World::new().await;
    let request = |method: &str, path: &str, body: Value| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("x-api-key", "admin-0123456789")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap()
    };
    let wanted = json!({ "name": "grafana", "role": "viewer" });
    let made = world.send(request("POST", "/api/v1/keys", wanted.clone())).await;
    assert_eq!(made.status, 201);
    let (secret, id) = (made.json()["secret"].clone(), made.json()["id"].clone());
    assert_eq!(
        world.send(request("POST", "/api/v1/keys", wanted)).await.problem(),
        "key-name-taken"
    );
    let me = |secret: &Value| {
        Request::get("/api/v1/me")
            .header("x-api-key", secret.as_str().unwrap())
            .body(Body::empty())
            .unwrap()
    };
    assert_eq!(world.send(me(&secret)).await.json()["name"], "grafana");
    let list = world.send(request("GET", "/api/v1/keys", Value::Null)).await;
    assert_eq!(list.json()["items"][0]["name"], "grafana");
    assert!(!list.text().contains(secret.as_str().unwrap()));
    let path = format!("/api/v1/keys/{}", id.as_str().unwrap());
    assert_eq!(world.send(request("DELETE", &path, Value::Null)).await.status, 200);
    assert_eq!(world.send(me(&secret)).await.problem(), "key-invalid");
    assert_eq!(world.send(request("DELETE", &path, Value::Null)).await.problem(), "key-unknown");
    assert_eq!(world.keys.create("late", Role::Viewer, None).await.unwrap().key.name, "late");
}

#[tokio::test]
async fn each_class_has_its_own_limit() {
    let world = World::new().await;
    let first = world.post("/api/v1/alerts/7/acknowledge", "{}").await;
    assert_eq!(first.header("ratelimit-policy"), "\"changes\";q=20;w=60");
    assert!(first.header("ratelimit").starts_with("\"changes\";r=19;t="), "{first:?}");
    for _ in 0..19 {
        assert_eq!(world.post("/api/v1/alerts/7/acknowledge", "{}").await.status, 200);
    }
    let refused = world.post("/alerts/7/acknowledge", "{}").await;
    assert_eq!(refused.status, 404, "only declared paths are served at the root");
    let refused = world.post("/api/v1/alerts/7/acknowledge", "{}").await;
    assert_eq!((refused.status, refused.problem().as_str()), (429, "rate-limited"));
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=3).contains(&seconds), "one call is free every 3 s, not after {seconds} s");
    assert_eq!(refused.json()["retry_after"], seconds);

    for allowed in 0..12 {
        let status = world.post("/api/v1/valves/v-1/actuate", "{}").await.status;
        assert_eq!(status, if allowed < 10 { 200 } else { 429 }, "{allowed}");
    }
    assert_eq!(
        world.post("/api/v1/odd/act", "{}").await.header("ratelimit-policy"),
        "\"rest\";q=100;w=60"
    );
    assert_eq!(world.get("/health").await.header("ratelimit"), "");
    assert_eq!(
        world.get("/api/v1/me").await.header("ratelimit-policy"),
        "\"anonymous-reads\";q=1200;w=60"
    );
}

#[tokio::test]
async fn guessing_keys_is_slowed_down() {
    let mut settings = WebSettings::default();
    settings.rates.wrong_keys = Rate { calls: 2, per: Duration::from_secs(60), burst: 2 };
    let world = World::with(settings).await;
    let guess =
        || Request::get("/api/v1/me").header("x-api-key", "guess").body(Body::empty()).unwrap();
    for expected in [401, 401, 429] {
        assert_eq!(world.send(guess()).await.status, expected);
    }
    assert_eq!(world.post("/api/v1/odd/act", "{}").await.status, 200);
}

#[tokio::test]
async fn the_same_key_acts_once() {
    let world = World::new().await;
    let send = |key: &str, body: &'static str| {
        let request = post_request("/api/v1/odd/act").header("idempotency-key", key);
        world.send(request.body(Body::from(body)).unwrap())
    };
    let racers = futures_util::future::join_all((0..8).map(|_| send("k-1", "{}"))).await;
    let done = racers.iter().filter(|answer| answer.status == 200).count();
    let in_flight = racers.iter().filter(|answer| answer.status == 409).count();
    assert!(done >= 1 && done + in_flight == 8, "{racers:?}");
    assert_eq!(world.effects.load(Ordering::SeqCst), 1);
    let again = send("k-1", "{}").await;
    assert_eq!((again.status, again.text().as_str()), (200, "0 2"));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other = send("k-1", "{ }").await;
    assert_eq!((other.status, other.problem().as_str()), (422, "idempotency-mismatch"));
    assert_eq!(send("k-2", "{ }").await.text(), "1 3");
    assert_eq!(send("", "{}").await.problem(), "idempotency-key-invalid");
    assert_eq!(world.effects.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_refused_request_frees_its_key_and_a_panic_keeps_it() {
    let world = World::new().await;
    let send = async |path: &str, body: &'static str| {
        let request = post_request(path).header("idempotency-key", "k");
        world.send(request.body(Body::from(body)).unwrap()).await
    };
    assert_eq!(send("/api/v1/odd/echo", "{}").await.status, 422);
    let answer = send("/api/v1/odd/echo", "{\"value\":1}").await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (200, ""));
    assert_eq!(send("/api/v1/odd/panics", "").await.status, 500);
    let again = send("/api/v1/odd/panics", "").await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (500, "true"));
}

#[tokio::test]
async fn older_paths_at_the_root_are_served() {
    let world = World::new().await;
    assert_eq!(world.get("/modules").await.json()["items"][0]["name"], "odd");
    assert_eq!(world.post("/odd/echo?x=1", "{\"value\":2}").await.status, 200);
    assert_eq!(world.post("/oddity", "{}").await.status, 404);
}

#[tokio::test]
async fn pages_of_other_origins_need_leave() {
    let ask = || {
        Request::options("/api/v1/agents")
            .header("origin", "https://hmi.example.org")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "x-api-key")
            .body(Body::empty())
            .unwrap()
    };
    let closed = World::new().await;
    assert_eq!(closed.send(ask()).await.header("access-control-allow-origin"), "");
    let cors_origins = vec!["https://hmi.example.org".to_owned()];
    let open = World::with(WebSettings { cors_origins, ..WebSettings::default() }).await;
    let answer = open.send(ask()).await;
    assert_eq!(answer.header("access-control-allow-origin"), "https://hmi.example.org");
    assert!(answer.header("access-control-allow-headers").contains("x-api-key"));
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    for bad in ["*", "https://*.example.org", "hmi.example.org", "https://a/b"] {
        assert!(cors(&[bad.to_owned()]).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn the_ui_is_served_with_its_places() {
    let world = World::new().await;
    assert_eq!(world.get("/").await.header("location"), "/app/");
    let page = world.get("/app/incidents/INC-7").await;
    assert!(page.text().contains("Plainview"));
    assert_eq!(page.header("cache-control"), "no-cache");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let script = world.get("/app/assets/main-1a2b.js").await;
    assert!(script.header("cache-control").contains("immutable"));
    let packed = Request::get("/app/assets/main-1a2b.js").header("accept-encoding", "gzip, br;q=0");
    let packed = world.send(packed.body(Body::empty()).unwrap()).await;
    assert_eq!((packed.header("content-encoding"), packed.text().as_str()), ("gzip", "packed"));
    let known = Request::get("/app/").header("if-none-match", page.header("etag"));
    assert_eq!(world.send(known.body(Body::empty()).unwrap()).await.status, 304);
    assert_eq!(world.get("/app/assets/gone.js").await.status, 404);
    assert_eq!(world.get("/app/../Cargo.toml").await.status, 404);
}

#[tokio::test]
async fn the_contract_describes_every_operation() {
    let world = World::new().await;
    let contract = world.get("/api/v1/openapi.json").await.json();
    assert_eq!(contract["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, item) in contract["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].to_string()), "{place}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("default"), "{place}");
            let has_model = responses.iter().any(|(status, response)| {
                status.starts_with('2') && response["content"].is_object()
            });
            assert!(has_model, "{place} has no response model");
        }
    }
    assert!(ids.contains("\"odd_echo\"") && ids.contains("\"system_list_agents\""), "{ids:?}");
    let text = contract.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(contract["components"]["schemas"][name].is_object(), "{name} is not defined");
    }
}

#[tokio::test]
async fn every_error_code_has_its_page() {
    let world = World::new().await;
    for code in CODES {
        let page = world.get(&format!("/docs/errors/{}", code.code)).await;
        assert_eq!(page.status, 200, "{}", code.code);
        let text = page.text();
        assert!(
            text.contains("<h2>"),
            "docs/errors/{}.md is missing or has no sections",
            code.code
        );
        assert!(text.contains(&code.status.to_string()), "{} does not say its status", code.code);
    }
    assert_eq!(world.get("/docs/errors/never-heard").await.status, 404);
}

#[tokio::test]
async fn health_names_every_subsystem() {
    let world = World::new().await;
    let health = world.get("/health").await.json();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["version"], "1.2.3");
    for name in ["database", "event_bus", "mqtt", "cache"] {
        assert_eq!(health["checks"][name]["status"], "ok", "{name}");
    }
    assert_eq!(world.get("/health/redis").await.json()["detail"], "not configured");
    assert_eq!(world.get("/health/db").await.json()["detail"], "sqlite answers");
    assert_eq!(world.get("/ready").await.json()["ready"], true);
    let figures = world.get("/metrics").await.text();
    assert!(
        figures.contains("http_requests_total{method=\"GET\",route=\"/health\",status=\"200\"}")
    );
    world.stop.cancel();
    assert_eq!(world.get("/ready").await.status, 503);
}

#[tokio::test]
async fn the_log_can_be_read_in_pages() {
    let world = World::new().await;
    for number in 0..5 {
        world
            .publish("odd.happened", &format!("odd/{}", number % 2), json!({ "number": number }))
            .await;
    }
    let page = world.get("/api/v1/events?limit=2&subject=odd/0").await.json();
    assert_eq!(page["items"][1]["data"]["number"], 2);
    let next = page["next"].as_str().unwrap();
    let page =
        world.get(&format!("/api/v1/events?limit=2&subject=odd/0&cursor={next}")).await.json();
    assert_eq!(page["items"][0]["data"]["number"], 4);
    assert_eq!(page["next"], Value::Null);
    assert_eq!(world.get("/api/v1/events?types=other").await.json()["items"], json!([]));
    assert_eq!(world.get("/api/v1/events?limit=0").await.problem(), "parameters-invalid");
    assert_eq!(world.get("/api/v1/events?cursor=x").await.problem(), "parameters-invalid");
    assert_eq!(world.get("/api/v1/dead-letters").await.json()["items"], json!([]));
    let replay = post_request("/api/v1/dead-letters/9/replay");
    let answer = world.send(replay.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.problem(), "role-too-low");
    let replay =
        Request::post("/api/v1/dead-letters/9/replay").header("x-api-key", "engineer-0123456789");
    let answer = world.send(replay.body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (404, "dead-letter-unknown"));
}
