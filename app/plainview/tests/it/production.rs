//! Keys, roles, limits, headers, health: what a plant's administrator relies on.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Plainview, Setup};

#[tokio::test(flavor = "multi_thread")]
async fn production_refuses_to_start_on_weak_settings_naming_each() {
    let plainview = Plainview::start().await;
    let output = plainview
        .command(&["serve", "--listen", "0.0.0.0:0"])
        .env("PLAINVIEW_ENVIRONMENT", "production")
        .env("PLAINVIEW_DATA__DURABILITY", "off")
        .env("PLAINVIEW_PLANT__ENABLED", "true")
        .env("API_KEYS", "ines:operator:secret")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    for setting in ["server.listen", "data.durability", "plant.enabled", "auth.keys"] {
        assert!(said.contains(setting), "{setting} is not named in {said}");
    }
    assert!(!said.contains("secret"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn production_needs_a_key_for_everything() {
    let plainview = Setup::default().with("ENVIRONMENT", "production").start().await;
    for path in ["/api/v1/sensors/sensors", "/api/v1/incidents", "/incidents", "/metrics"] {
        let answer = plainview.http().get(plainview.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{path}");
        let answer = plainview.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    for header in ["Bearer", "Token"] {
        let answer = plainview
            .http()
            .get(plainview.url("/api/v1/incidents"))
            .header("Authorization", format!("{header} {}", plainview.key))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{header}");
    }
    let health = plainview.http().get(plainview.url("/health")).send().await.unwrap();
    assert_eq!(health.status(), 200, "a supervisor asks without a key");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_hold_and_revoked_keys_stop() {
    let plainview = Plainview::start().await;
    let reading = json!({"sensor": "a/b/c", "value": 1.0});
    let submit = json!({"decision_id": "x", "decision": "approve", "reason": "because"});
    for (role, ingest, decide) in
        [("ingest", 200, 403), ("viewer", 403, 403), ("operator", 200, 404)]
    {
        let key = plainview.create_key(role, role);
        for (path, body, wanted) in [
            ("/api/v1/data/ingest", &reading, ingest),
            ("/api/v1/decisions/submit", &submit, decide),
        ] {
            let answer = plainview
                .http()
                .post(plainview.url(path))
                .header("X-API-Key", &key)
                .json(body)
                .send()
                .await
                .unwrap();
            let status = answer.status().as_u16();
            let close = status == wanted || (wanted == 404 && status == 422);
            assert!(close, "{role} {path}: {status} instead of {wanted}");
        }
    }
    let keys = plainview.get("/api/v1/keys").await;
    let viewer = keys["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["name"] == "viewer")
        .unwrap()
        .clone();
    assert!(viewer.get("secret").is_none() && viewer.get("hash").is_none(), "{viewer}");
    let path = format!("/api/v1/keys/{}", viewer["id"].as_str().unwrap());
    let answer = plainview.request(Method::DELETE, &path).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_say_how_long_to_wait() {
    let plainview = Setup::default().with("SERVER__RATE_CHANGES", "3").start().await;
    let mut refused = None;
    for _ in 0..8 {
        let answer = plainview
            .request(Method::POST, "/api/v1/alerts/none/acknowledge")
            .json(&json!({}))
            .send()
            .await
            .unwrap();
        assert!(answer.headers().contains_key("ratelimit"), "{:?}", answer.headers());
        assert!(answer.headers().contains_key("ratelimit-policy"));
        if answer.status() == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("the fourth call in a minute is one too many");
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_names_its_checks() {
    let plainview = Plainview::start().await;
    let health = plainview.get("/health").await;
    assert_eq!(health["status"], "ok", "{health}");
    for check in ["database", "mqtt", "event_bus", "cache"] {
        assert!(health["checks"][check]["status"].is_string(), "{check}: {health}");
    }
    assert!(health["uptime_sec"].is_number());
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    plainview.get("/health/db").await;
    let metrics = plainview.request(Method::GET, "/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("# TYPE"), "{metrics}");
    let agents = plainview.get("/api/v1/agents").await;
    for agent in agents["items"].as_array().unwrap() {
        assert!(agent["state"].is_string() && agent["lag"].is_number(), "{agent}");
    }
    assert!(agents["items"].as_array().unwrap().len() >= 8, "{agents}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_process_ends_well_and_soon() {
    let mut plainview = Plainview::start().await;
    let (took, well) = plainview.stop();
    assert!(well, "{}", plainview.log());
    assert!(took.as_secs() < 10, "{took:?}");
    plainview.launch().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotent_call_is_answered_once() {
    let plainview = Plainview::start().await;
    let body = json!({
        "asset": "north/p-2", "title": "Grease it", "starts_at": "2027-01-04T08:00:00Z",
        "duration_h": 2.0,
    });
    let call = async |body: &serde_json::Value| {
        let answer = plainview
            .request(Method::POST, "/api/v1/maintenance/schedule")
            .header("Idempotency-Key", "grease-1")
            .json(body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let first = call(&body).await;
    assert!((200..300).contains(&first.0), "{first:?}");
    assert_eq!(call(&body).await, first);
    let other = call(&json!({"asset": "north/p-1", "title": "Other", "starts_at": "2027-01-04T08:00:00Z", "duration_h": 1.0})).await;
    assert_eq!(other.0, 422, "{other:?}");
    let works = plainview.get("/api/v1/maintenance/scheduled").await;
    assert_eq!(works["items"].as_array().unwrap().len(), 1, "{works}");
}
