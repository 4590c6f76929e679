//! Clients that write down what was acknowledged, each in a file of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use testkit::{Ack, AckLog, fingerprint};

/// How long a client waits for an answer before it counts the call as unanswered.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
pub(super) const ROWS: u64 = 50;
/// 2026-01-01T00:00:00Z in seconds.
pub(super) const EPOCH_S: u64 = 1_767_225_600;

/// Where the writers write to, and whether they go on.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) base: String,
    pub(super) key: String,
    pub(super) going: Arc<AtomicBool>,
    pub(super) answered: Arc<AtomicU64>,
}

impl Target {
    fn goes_on(&self) -> bool {
        self.going.load(Ordering::Relaxed)
    }

    fn client() -> reqwest::Client {
        crate::harness::client(ANSWER_DEADLINE)
    }
}

/// Writes batches of readings; every batch is sent again until it is acknowledged, so that a
/// batch whose answer was lost shows whether it is stored twice.
pub(super) async fn write_readings(target: Target, writer: u64, file: PathBuf) {
    let client = Target::client();
    let mut log = AckLog::open(&file).unwrap();
    for batch in 0_u64.. {
        let rows: Vec<(u64, u64)> = (0..ROWS)
            .map(|row| (EPOCH_S + batch * ROWS + row, writer * 1_000_000 + batch * ROWS + row))
            .collect();
        let lines: Vec<String> = rows
            .iter()
            .map(|(at, value)| format!("count,site=faults,asset=w-{writer} value={value} {at}"))
            .collect();
        let body = lines.join("\n");
        loop {
            if !target.goes_on() {
                return;
            }
            let answer = client
                .post(format!("{}/api/v2/write?precision=s", target.base))
                .header("X-API-Key", &target.key)
                .body(body.clone())
                .send()
                .await;
            match answer {
                Ok(answer) if answer.status().is_success() => break,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        let acks: Vec<Ack> =
            rows.iter().map(|(at, value)| reading(writer, *at, *value as f64)).collect();
        log.record(&acks).unwrap();
        target.answered.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn reading(writer: u64, at_s: u64, value: f64) -> Ack {
    Ack {
        id: format!("w-{writer} {at_s}"),
        hash: fingerprint(format!("{value}").as_bytes()),
        position: 0,
    }
}

/// Publishes: each call makes a work order and its event in one transaction. A call is repeated
/// under its idempotency key until it is answered.
pub(super) async fn publish(target: Target, file: PathBuf) {
    let client = Target::client();
    let mut log = AckLog::open(&file).unwrap();
    for number in 0_u64.. {
        let title = format!("job {number}");
        loop {
            if !target.goes_on() {
                return;
            }
            let answer = client
                .post(format!("{}/api/v1/maintenance/schedule", target.base))
                .header("X-API-Key", &target.key)
                .header("Idempotency-Key", &title)
                .json(&json!({
                    "asset": format!("faults/w-{}", number % 7), "title": title,
                    "starts_at": "2027-01-04T08:00:00Z", "duration_h": 1.0,
                }))
                .send()
                .await;
            match answer {
                Ok(answer) if answer.status().is_success() => break,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        log.record(&[work(&title)]).unwrap();
        target.answered.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn work(title: &str) -> Ack {
    Ack { id: title.to_owned(), hash: fingerprint(title.as_bytes()), position: 0 }
}

/// Approves the decisions one after another, each until it is answered.
pub(super) async fn approve(target: Target, decisions: Vec<String>, file: PathBuf) {
    let client = Target::client();
    let mut log = AckLog::open(&file).unwrap();
    for id in decisions {
        loop {
            if !target.goes_on() {
                return;
            }
            let answer = client
                .post(format!("{}/api/v1/decisions/submit", target.base))
                .header("X-API-Key", &target.key)
                .header("Idempotency-Key", format!("approve {id}"))
                .json(&json!({"decision_id": id, "decision": "approve", "reason": "drill"}))
                .send()
                .await;
            match answer {
                Ok(answer) if answer.status().is_success() => break,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        log.record(&[work(&id)]).unwrap();
        // One decision every few kills, so that some are under way at each.
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
}
