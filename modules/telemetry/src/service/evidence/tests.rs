use std::sync::atomic::Ordering;
use std::time::Duration;

use kernel::{Event, Quality, Reading, SensorKey};
use sense::{Delivery, Origin, Protocol, SourceId};

use crate::model::{Anomaly, AnomalyState};
use crate::service::Door;
use crate::service::tests::{START, Site};

const SENSOR: &str = "north/p-3/pressure";

/// A level with noise that is the same every time, and a spike of a few readings.
fn value(second: u64) -> f64 {
    let noise = (second.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1 << 24) as f64;
    let spike = if (1_260..1_275).contains(&second) { 9.0 } else { 0.0 };
    4.0 + noise + spike
}

async fn say(door: &Door, seconds: impl IntoIterator<Item = u64>) {
    let readings: Vec<Reading> = seconds
        .into_iter()
        .map(|second| Reading {
            sensor: SensorKey::new(SENSOR).unwrap(),
            at: START.plus(Duration::from_secs(second)),
            value: value(second),
            quality: Quality::Good,
            unit: None,
        })
        .collect();
    let delivery = Delivery {
        source: SourceId::new(Protocol::Json, "test"),
        origin: Origin::Real,
        correlation: None,
        received: readings.iter().map(|reading| reading.at).max().unwrap_or(START),
        readings,
    };
    assert!(door.0.take(delivery, &[]).await.unwrap().refused.is_empty());
}

/// Waits until detection has gone through so many readings.
async fn until_judged(door: &Door, count: u64) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while door.0.counters.judged.load(Ordering::Relaxed) < count {
        assert!(tokio::time::Instant::now() < deadline, "not judged");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn begun(site: &Site) -> Anomaly {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let said: Vec<Event> = site.events("anomaly.detected").await;
        let mut all =
            said.iter().map(|event| serde_json::from_value::<Anomaly>(event.data.clone()).unwrap());
        if let Some(found) = all.find(|it| it.state == AnomalyState::Active) {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{said:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_anomaly_of_a_sensor_is_judged_again_alike() {
    let mut runs = Vec::new();
    for restarted in [false, true] {
        let site = Site::new().await;
        let (mut door, mut agents) = site.start();
        say(&door, 0..1_200).await;
        if restarted {
            until_judged(&door, 1_200).await;
            agents.stop().await;
            (door, agents) = site.start();
        }
        say(&door, 1_200..1_260).await;
        say(&door, 1_260..1_300).await;
        let anomaly = begun(&site).await;
        agents.stop().await;
        let (door, agents) = site.start();
        let again = door.0.explain(&anomaly.anomaly_id.to_string()).await.unwrap();
        let series = again.series.unwrap();
        assert!(again.same, "{:?} {:#?}", series.hindrance, series.onset);
        assert_eq!(again.again.unwrap().started_at, anomaly.started_at);
        assert!(series.hindrance.is_none());
        assert!(!restarted || series.replayed_after.is_some(), "from the state written at the end");
        let judged = series.again.unwrap();
        let last = *judged.readings.last().unwrap();
        assert_eq!(last.point.at, series.onset.finding.evidence.until);
        assert!(last.score >= signal::detector::THRESHOLD);
        let shares: f64 = judged.aspects.iter().map(|(_, share)| share).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{:?}", judged.aspects);
        runs.push((anomaly.anomaly_id, anomaly.score.to_bits(), last.score.to_bits()));

        // A reading from before that comes now was no part of what was judged then.
        let late = Reading {
            sensor: SensorKey::new(SENSOR).unwrap(),
            at: last.point.at.minus(Duration::from_millis(500)),
            value: 4.2,
            quality: Quality::Good,
            unit: None,
        };
        let delivery = Delivery {
            source: SourceId::new(Protocol::Json, "test"),
            origin: Origin::Real,
            correlation: None,
            received: START.plus(Duration::from_secs(1_400)),
            readings: vec![late],
        };
        door.0.take(delivery, &[]).await.unwrap();
        let other = door.0.explain(&anomaly.anomaly_id.to_string()).await.unwrap();
        assert!(!other.same);
        assert!(other.series.unwrap().hindrance.unwrap().contains("late"));
        agents.stop().await;
    }
    assert_eq!(runs[0], runs[1]);
}
