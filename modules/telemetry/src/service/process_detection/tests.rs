use std::time::Duration;

use kernel::{AssetKey, Event, Quality, Reading, SensorKey, Timestamp};
use sense::{Delivery, Origin, Protocol, SourceId};

use crate::error::TelemetryError;
use crate::model::Anomaly;
use crate::service::tests::{START, Site};
use crate::service::{Door, ModelAsked, ModelState, Period, Telemetry};

const PUMP: &str = "north/p-7";
const NORMAL_S: u64 = 900;

fn after(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn asset() -> AssetKey {
    key("speed").asset()
}

fn key(measure: &str) -> SensorKey {
    SensorKey::new(&format!("{PUMP}/{measure}")).unwrap()
}

/// Noise from a fixed generator, about normal.
fn noise(second: u64, which: u64) -> f64 {
    let mut state = second.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ which.wrapping_mul(0xbf58_476d);
    let mut sum = 0.0;
    for _ in 0..6 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
        sum += (state >> 11) as f64 / 9_007_199_254_740_992.0;
    }
    (sum - 3.0) * 1.4
}

/// One second of a pump whose flow follows its speed, until `leak` takes some of it away.
fn second(at: u64, leak: f64) -> Vec<Reading> {
    let speed = 1450.0 + 12.0 * (at as f64 / 40.0).sin() + 2.0 * noise(at, 1);
    let flow = 0.02 * speed + 0.03 * noise(at, 2);
    let power = 0.4 * flow + 0.02 * noise(at, 3);
    let values = [("speed", speed), ("flow", flow - leak), ("power", power), ("mode", 3.0)];
    values
        .map(|(measure, value)| Reading {
            sensor: key(measure),
            at: after(at),
            value,
            quality: Quality::Good,
            unit: None,
        })
        .to_vec()
}

async fn say(door: &Door, from: u64, to: u64, leak: f64) {
    for start in (from..to).step_by(60) {
        let readings: Vec<Reading> =
            (start..(start + 60).min(to)).flat_map(|at| second(at, leak)).collect();
        let delivery = Delivery {
            source: SourceId::new(Protocol::Json, "test"),
            origin: Origin::Real,
            correlation: None,
            received: after((start + 60).min(to)),
            readings,
        };
        let receipt = door.0.take(delivery, &[]).await.unwrap();
        assert!(receipt.refused.is_empty());
    }
}

fn asked() -> ModelAsked {
    ModelAsked {
        fit: Period { from: START, to: after(600) },
        calibrate: Some(Period { from: after(600), to: after(NORMAL_S) }),
        sensors: None,
        interval_s: None,
    }
}

async fn model(telemetry: &Telemetry) {
    let record = telemetry.fit_model(&asset(), asked(), "an engineer").await.unwrap();
    assert_eq!((record.version, record.state), (1, ModelState::Accepted));
    assert_eq!(record.interval_us, 1_000_000);
    assert_eq!(record.inputs, [key("flow"), key("power"), key("speed")]);
    assert_eq!(record.left_out[0].sensor, key("mode"));
    assert!(record.alarm_share < 0.02, "{}", record.alarm_share);
}

/// The anomalies of the process, in the order in which their states were said.
fn process(events: &[Event]) -> Vec<Anomaly> {
    let all = events.iter().map(|event| serde_json::from_value(event.data.clone()).unwrap());
    all.filter(|anomaly: &Anomaly| anomaly.process.is_some()).collect()
}

async fn until(site: &Site, what: &str, done: impl Fn(&[Anomaly]) -> bool) -> Vec<Anomaly> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let said = process(&site.events("anomaly.detected").await);
        if done(&said) {
            return said;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: {said:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the rows up to `at` are judged.
async fn until_row(telemetry: &Telemetry, at: Timestamp) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let now = telemetry.model_status(&asset()).await.unwrap().now;
        if now.is_some_and(|now| now.row_at >= at) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "no row of {at}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_broken_relation_is_said_with_its_contributors_and_explained_alike() {
    let site = Site::new().await;
    let (door, agents) = site.start();
    let telemetry = door.0.clone();
    say(&door, 0, NORMAL_S, 0.0).await;
    model(&telemetry).await;
    say(&door, NORMAL_S, 1_500, 0.0).await;
    until_row(&telemetry, after(1_490)).await;
    assert!(process(&site.events("anomaly.detected").await).is_empty(), "normal is quiet");
    say(&door, 1_500, 1_620, 0.4).await;
    let said = until(&site, "a leak", |said| !said.is_empty()).await;
    let found = &said[0];
    assert_eq!(found.asset, PUMP);
    assert_eq!(found.sensor, key("flow"), "{:?}", found.contributions);
    assert!(found.contributions[0].share > 0.5);
    assert_eq!((found.detector.name.as_str(), found.detector.version.as_str()), ("process", "1"));
    assert!(found.started_at >= after(1_500) && found.started_at <= after(1_503));
    until_row(&telemetry, after(1_610)).await;
    for anomaly in process(&site.events("anomaly.detected").await) {
        let again = telemetry.explain(&anomaly.anomaly_id.to_string()).await.unwrap();
        assert!(again.same, "{:#?}\n{:#?}", again.anomaly, again.again);
        assert_eq!(again.rows.last().unwrap().row_at, again.anomaly.process.unwrap().row_at);
    }
    say(&door, 1_620, 1_900, 0.0).await;
    until(&site, "the end", |said| said.last().is_some_and(|it| it.cleared_at.is_some())).await;
    agents.stop().await;
}

#[tokio::test]
async fn a_restart_in_the_middle_changes_nothing() {
    let mut runs = Vec::new();
    for breaks in [vec![], vec![1_000, 1_505, 1_560]] {
        let site = Site::new().await;
        let (mut door, mut agents) = site.start();
        say(&door, 0, NORMAL_S, 0.0).await;
        model(&door.0).await;
        until_idle(&door.0).await;
        let mut from = NORMAL_S;
        for to in breaks.into_iter().chain([1_800]) {
            for (start, end, leak) in [(from, to.min(1_500), 0.0), (from.max(1_500), to, 0.4)] {
                say(&door, start, end, leak).await;
            }
            from = to;
            until_row(&door.0, after(to - 10)).await;
            agents.stop().await;
            (door, agents) = site.start();
        }
        agents.stop().await;
        runs.push(process(&site.events("anomaly.detected").await));
    }
    let named = |run: &[Anomaly]| -> Vec<_> {
        run.iter().map(|it| (it.anomaly_id, it.severity, it.score.to_bits(), it.state)).collect()
    };
    assert!(!runs[0].is_empty());
    assert_eq!(named(&runs[0]), named(&runs[1]));
}

#[tokio::test]
async fn a_sensor_that_drifts_away_from_its_peers_loses_trust_until_it_is_back() {
    let site = Site::new().await;
    let (door, agents) = site.start();
    let telemetry = door.0.clone();
    say(&door, 0, NORMAL_S, 0.0).await;
    model(&telemetry).await;
    until_idle(&telemetry).await;
    // Five thousandths of its spread a second, far less than any single reading tells.
    for from in (NORMAL_S..2_400).step_by(4) {
        say(&door, from, from + 4, 2e-4 * (from - NORMAL_S) as f64).await;
    }
    let suspect = until_trust(&site, "suspect", "drifts downwards").await;
    assert_eq!(suspect.subject, key("flow").as_str());
    say(&door, 2_400, 3_300, 0.0).await;
    until_trust(&site, "trusted", "").await;
    let wrong = site.events("sensor.trust.changed").await;
    assert!(wrong.iter().all(|event| event.subject == key("flow").as_str()), "{wrong:#?}");
    agents.stop().await;
}

async fn until_trust(site: &Site, trust: &str, reason: &str) -> Event {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let events = site.events("sensor.trust.changed").await;
        let found = events.iter().find(|event| {
            event.data["trust"] == trust
                && event.data["reason"].as_str().unwrap_or_default().contains(reason)
        });
        if let Some(found) = found {
            return found.clone();
        }
        assert!(tokio::time::Instant::now() < deadline, "{trust} {reason}: {events:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the agent has taken the model over.
async fn until_idle(telemetry: &Telemetry) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !telemetry.processes.is_adopted() {
        assert!(tokio::time::Instant::now() < deadline, "the model was not taken over");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_new_version_waits_until_it_is_accepted() {
    let site = Site::new().await;
    let (door, agents) = site.start();
    let telemetry = &door.0;
    say(&door, 0, NORMAL_S, 0.0).await;
    model(telemetry).await;
    let later = ModelAsked { calibrate: None, interval_s: Some(2.0), ..asked() };
    let second = telemetry.fit_model(&asset(), later, "an engineer").await.unwrap();
    assert_eq!((second.version, second.state), (2, ModelState::Proposed));
    let states = |status: crate::service::ModelStatus| {
        status.versions.iter().map(|it| (it.version, it.state)).collect::<Vec<_>>()
    };
    let before = states(telemetry.model_status(&asset()).await.unwrap());
    assert_eq!(before, [(2, ModelState::Proposed), (1, ModelState::Accepted)]);
    telemetry.accept_model(&asset(), 2, "another").await.unwrap();
    let after = states(telemetry.model_status(&asset()).await.unwrap());
    assert_eq!(after, [(2, ModelState::Accepted), (1, ModelState::Retired)]);
    assert_eq!(telemetry.models_in_force().await.unwrap().len(), 1);
    agents.stop().await;
}

#[tokio::test]
async fn a_rejected_version_keeps_the_reason_until_it_is_accepted_all_the_same() {
    let site = Site::new().await;
    let (door, agents) = site.start();
    let telemetry = &door.0;
    say(&door, 0, NORMAL_S, 0.0).await;
    model(telemetry).await;
    telemetry.fit_model(&asset(), asked(), "an engineer").await.unwrap();
    let reject = async |version| {
        let reason = "The pump was being cleaned.".to_owned();
        telemetry.reject_model(&asset(), version, reason, "another").await
    };
    let in_force = reject(1).await.unwrap_err();
    assert!(matches!(in_force, TelemetryError::Invalid { field: "version", .. }), "{in_force}");
    assert!(matches!(reject(9).await.unwrap_err(), TelemetryError::NoModelVersion { .. }));
    reject(2).await.unwrap();
    let newest = telemetry.model_status(&asset()).await.unwrap().versions.swap_remove(0);
    assert_eq!((newest.version, newest.state), (2, ModelState::Retired));
    let rejection = newest.rejection.unwrap();
    assert_eq!((&*rejection.reason, &*rejection.by), ("The pump was being cleaned.", "another"));
    assert!(reject(2).await.is_err(), "it is not proposed any more");
    let accepted = telemetry.accept_model(&asset(), 2, "an engineer").await.unwrap();
    assert_eq!((accepted.state, accepted.rejection), (ModelState::Accepted, None));
    agents.stop().await;
}

#[tokio::test]
async fn what_cannot_be_fitted_says_why() {
    let site = Site::new().await;
    let (door, agents) = site.start();
    let telemetry = &door.0;
    say(&door, 0, 60, 0.0).await;
    let fields = [
        (ModelAsked { calibrate: None, ..asked() }, None),
        (ModelAsked { fit: Period { from: START, to: START }, ..asked() }, Some("fit")),
        (ModelAsked { interval_s: Some(1e-4), ..asked() }, Some("interval_s")),
        (ModelAsked { fit: Period { from: START, to: after(20) }, ..asked() }, Some("fit")),
        (asked(), Some("calibrate")),
    ];
    for (asked, wanted) in fields {
        let refused = telemetry.fit_model(&asset(), asked, "an engineer").await.err();
        let field = refused.map(|error| match error {
            TelemetryError::Unfit { field, .. } => field,
            other => panic!("{other}"),
        });
        assert_eq!(field.filter(|_| wanted.is_some()), wanted);
    }
    let unknown = telemetry.explain("0198c5f0-4d3c-7c3e-8a53-0d5f4f6f3c11").await.unwrap_err();
    assert!(matches!(unknown, TelemetryError::NoSuchAnomaly(_)));
    agents.stop().await;
}
