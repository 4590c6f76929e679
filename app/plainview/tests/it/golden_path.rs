//! The golden path: a synthetic fault, followed from ingest to notification.

use serde_json::json;

use crate::harness::{DEADLINE, Plainview};

const STEPS: &[&str] = &["ingest", "validate", "detect", "predict", "decide", "schedule", "notify"];

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_shown_until_it_is_completed() {
    let plainview = Plainview::start().await;
    let (status, started) =
        plainview.post("/api/v1/demo/golden-path?target_anomaly_rate=0.3", &json!({})).await;
    assert_eq!(status, 202, "{started}");
    let id = started["correlation_id"].as_str().unwrap();
    let path = format!("/api/v1/demo/golden-path/status/{id}");

    let waiting = plainview
        .until(DEADLINE, "a decision that waits", async |it| {
            let run = it.get(&path).await;
            (run["overall_status"] == "waiting").then_some(run)
        })
        .await;
    assert!(
        waiting["waiting_for"].as_str().is_some_and(|text| text.contains("decide")),
        "a waiting step says what it waits for: {waiting}"
    );
    let decision =
        plainview.events(&format!("types=decision.requested&correlation_id={id}")).await.remove(0);
    let (status, answer) = plainview
        .post(
            "/api/v1/decisions/submit",
            &json!({
                "decision_id": decision["data"]["decision_id"],
                "decision": "approve",
                "reason": "seen on the golden path",
            }),
        )
        .await;
    assert_eq!(status, 200, "{answer}");

    let done = plainview
        .until(DEADLINE, "completed", async |it| {
            let run = it.get(&path).await;
            (run["overall_status"] == "completed").then_some(run)
        })
        .await;
    let steps = done["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, STEPS);
    for step in steps {
        assert_eq!(step["status"], "done", "{step}");
        assert!(step["finished_at"].is_string(), "{step}");
    }
    for step in &steps[2..] {
        assert!(!step["event_ids"].as_array().unwrap().is_empty(), "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impossible_rate_is_refused() {
    let plainview = Plainview::start().await;
    for rate in ["0", "-1", "7", "NaN", "many"] {
        let path = format!("/api/v1/demo/golden-path?target_anomaly_rate={rate}");
        let (status, problem) = plainview.post(&path, &json!({})).await;
        assert!((400..500).contains(&status), "{rate}: {status} {problem}");
        assert!(problem["errors"][0]["field"].is_string(), "{rate}: {problem}");
    }
}
