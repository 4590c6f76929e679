//! `kill -9` at random instants, fifty times, during ingest, publishing and decisions.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use testkit::{Ack, AckLog, compare};

use super::writers::{self, EPOCH_S, Target, reading, work};
use crate::harness::{DEADLINE, Plainview, Setup};

const KILLS: usize = 50;
const WRITERS: u64 = 3;
const READY_MAX: Duration = Duration::from_secs(2);
/// Assets whose fault asks for a decision before the killing starts.
const DECISIONS: usize = 12;

/// A small generator of our own: the seed is printed, so that a failure can be tried again.
struct Dice(u64);

impl Dice {
    fn millis(&mut self, below: u64) -> Duration {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((self.0 >> 33) % below)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_nothing_and_double_nothing() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut dice = Dice(seed);
    // The limits of ordinary callers would make the writers wait for the clock.
    let mut plainview = Setup::default().with("SERVER__RATE_OTHER", "100000").start().await;
    let decisions = ask_for_decisions(&plainview).await;

    let acks = tempfile::tempdir().unwrap();
    let target = Target {
        base: plainview.base.clone(),
        key: plainview.key.clone(),
        going: Arc::new(AtomicBool::new(true)),
        answered: Arc::default(),
    };
    let mut clients = Vec::new();
    for writer in 0..WRITERS {
        let file = acks.path().join(format!("readings-{writer}"));
        clients.push(tokio::spawn(writers::write_readings(target.clone(), writer, file)));
    }
    let published = acks.path().join("published");
    let approved = acks.path().join("approved");
    clients.push(tokio::spawn(writers::publish(target.clone(), published.clone())));
    clients.push(tokio::spawn(writers::approve(
        target.clone(),
        decisions.clone(),
        approved.clone(),
    )));

    let mut starts = Vec::new();
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(30) + dice.millis(400)).await;
        plainview.kill();
        starts.push(plainview.launch().await);
    }
    let slowest = *starts.iter().max().unwrap();
    println!("{KILLS} kills; ready again after {slowest:?} at most");
    assert!(slowest <= READY_MAX, "{starts:?}");

    // One more stretch without kills, so that what was begun is finished.
    tokio::time::sleep(Duration::from_secs(1)).await;
    target.going.store(false, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    println!("{} calls answered", target.answered.load(Ordering::Relaxed));
    check_readings(&plainview, acks.path()).await;
    check_published(&plainview, &published).await;
    check_approved(&plainview, &approved).await;
}

/// Makes faults on assets of their own until each has a decision that waits.
async fn ask_for_decisions(plainview: &Plainview) -> Vec<String> {
    for asset in 0..DECISIONS {
        let mut lines = Vec::new();
        for minute in 0..1_000_u64 {
            let noise = ((minute * 7_919 + asset as u64 * 31) % 100) as f64 / 500.0;
            let fault = if minute < 960 { 0.0 } else { (minute - 959) as f64 * 1.5 };
            let at = EPOCH_S + minute * 60;
            lines.push(format!(
                "vibration,site=drill,asset=m-{asset} value={} {at}",
                2.0 + noise + fault
            ));
        }
        let answer = plainview
            .request(reqwest::Method::POST, "/api/v2/write?precision=s")
            .body(lines.join("\n"))
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
    plainview
        .until(DEADLINE, "a decision for each fault", async |it| {
            let page = it.get("/api/v1/decisions/pending?limit=1000").await;
            let ids: Vec<String> = page["items"]
                .as_array()?
                .iter()
                .filter_map(|decision| decision["decision_id"].as_str().map(str::to_owned))
                .collect();
            (ids.len() >= DECISIONS).then_some(ids)
        })
        .await
}

async fn check_readings(plainview: &Plainview, acks: &Path) {
    for writer in 0..WRITERS {
        let acked = AckLog::load(&acks.join(format!("readings-{writer}"))).unwrap();
        assert!(!acked.is_empty(), "the kills left no time to write");
        let found = readings(plainview, writer).await;
        let verdict = compare(&acked, found);
        println!(
            "writer {writer}: {} acknowledged, {} lost, {} doubled",
            verdict.acknowledged,
            verdict.lost.len(),
            verdict.doubled.len()
        );
        assert!(verdict.holds(), "{verdict:?}");
    }
}

/// Everything stored of one writer.
pub(super) async fn readings(plainview: &Plainview, writer: u64) -> Vec<Ack> {
    const PAGE: u64 = 10_000;
    let mut found = Vec::new();
    let mut from = EPOCH_S;
    loop {
        let to = from + PAGE;
        let stamp = |s: u64| kernel::Timestamp::from_secs(s as i64).to_string();
        let path = format!(
            "/api/v1/sensors/readings?sensor=faults/w-{writer}/count&from={}&to={}&limit={PAGE}",
            stamp(from),
            stamp(to)
        );
        let answer = plainview.get(&path).await;
        let points = answer["series"][0]["points"].as_array().unwrap();
        if points.is_empty() {
            return found;
        }
        for point in points {
            let at: kernel::Timestamp = point["at"].as_str().unwrap().parse().unwrap();
            let at_s = (at.as_micros() / 1_000_000) as u64;
            found.push(reading(writer, at_s, point["value"].as_f64().unwrap()));
        }
        from = to;
    }
}

async fn check_published(plainview: &Plainview, file: &Path) {
    let acked = AckLog::load(file).unwrap();
    assert!(!acked.is_empty(), "the kills left no time to publish");
    let events = all_events(plainview, "maintenance.scheduled").await;
    let titles = |events: &[Value]| -> Vec<Ack> {
        events
            .iter()
            .filter(|event| event["data"]["decision_id"].is_null())
            .map(|event| work(event["data"]["title"].as_str().unwrap()))
            .collect()
    };
    let verdict = compare(&acked, titles(&events));
    println!("{} published, {} lost", verdict.acknowledged, verdict.lost.len());
    assert!(verdict.holds(), "{verdict:?}");
    each_told_once(plainview, &events).await;
}

/// Every event's message in the feed is there once: the effect of an event does not repeat.
async fn each_told_once(plainview: &Plainview, events: &[Value]) {
    let told = plainview
        .until(DEADLINE, "a message for each work order", async |it| {
            let mut told: BTreeMap<String, usize> = BTreeMap::new();
            let mut cursor = String::new();
            loop {
                let path = format!("/api/v1/notifications?channel=in_app&limit=1000{cursor}");
                let page = it.get(&path).await;
                for item in page["items"].as_array()? {
                    let id = item["about"]["event_id"].as_str()?.to_owned();
                    *told.entry(id).or_default() += 1;
                }
                match page["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            events
                .iter()
                .all(|event| told.contains_key(event["id"].as_str().unwrap()))
                .then_some(told)
        })
        .await;
    let doubled: Vec<_> = told.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "told more than once: {doubled:?}");
}

async fn check_approved(plainview: &Plainview, file: &Path) {
    let acked = AckLog::load(file).unwrap();
    assert!(!acked.is_empty(), "the kills left no time to decide");
    let submitted: Vec<Ack> = all_events(plainview, "decision.submitted")
        .await
        .iter()
        .map(|event| work(event["data"]["decision_id"].as_str().unwrap()))
        .collect();
    let verdict = compare(&acked, submitted);
    println!("{} approved, {} lost", verdict.acknowledged, verdict.lost.len());
    assert!(verdict.holds(), "{verdict:?}");
    let placed = plainview
        .until(DEADLINE, "work for each approval", async |it| {
            let placed: Vec<Ack> = all_events(it, "maintenance.scheduled")
                .await
                .iter()
                .filter_map(|event| event["data"]["decision_id"].as_str().map(work))
                .collect();
            (placed.len() >= acked.len()).then_some(placed)
        })
        .await;
    let verdict = compare(&acked, placed);
    assert!(verdict.holds(), "{verdict:?}");
}

async fn all_events(plainview: &Plainview, kind: &str) -> Vec<Value> {
    let mut events = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = plainview.get(&format!("/api/v1/events?types={kind}&limit=1000{cursor}")).await;
        events.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return events,
        }
    }
}
