use std::sync::Arc;

use bus::{Filter, Offset};
use kernel::{EventDraft, EventType, Quality, SharedClock};
use serde_json::json;
use store::records::Records;
use store::series::embedded::{Embedded, EmbeddedOptions};
use store::series::{Batch, Point};
use testkit::{FakeClock, TestDatabase};

use super::*;

const ANOMALY: EventType = EventType::new("anomaly.detected", 1);
const SENSOR: &str = "north/p-2/vibration";

struct Bench {
    service: Models,
    bus: Bus,
    _database: TestDatabase,
    _dir: tempfile::TempDir,
}

/// A day of ten-second readings that rise, before the start of the clock.
async fn benches() -> Vec<Bench> {
    let mut all = Vec::new();
    for database in TestDatabase::each().await.unwrap() {
        let records = Records::open(database.url()).await.unwrap();
        let mut migrations = Bus::migrations();
        migrations.extend(records::migrations());
        records.migrate(&migrations, FakeClock::START).await.unwrap();
        let clock: SharedClock = FakeClock::shared();
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions::new(dir.path(), Arc::clone(&clock));
        let series: SharedSeries = Embedded::open(options).unwrap();
        let bus = Bus::new(records, clock);
        let deps = Deps { bus: bus.clone(), series, range_of: None };
        all.push(Bench { service: Models::new(deps), bus, _database: database, _dir: dir });
    }
    all
}

impl Bench {
    async fn fill(&self) {
        let key = SensorKey::new(SENSOR).unwrap();
        let series = &self.service.deps.series;
        let id = series.register(&[key]).await.unwrap()[0];
        let mut batch = Batch { received: FakeClock::START, ..Batch::default() };
        for n in 0..8_640_u32 {
            let at = FakeClock::START.minus(Duration::from_secs(u64::from(8_640 - n) * 10));
            let noise = f64::from((n * 7_919) % 101) / 1_010.0;
            let value = 4.0 + 0.6 * f64::from(n) / 8_640.0 + noise;
            batch.push(id, Point { at, value, quality: Quality::Good });
        }
        series.append(batch).await.unwrap();
    }

    async fn hear(&self, severity: &str, rule: &str) -> Event {
        let at = FakeClock::START;
        let payload = json!({
            "anomaly_id": Uuid::now_v7(), "sensor": SENSOR, "asset": "north/p-2", "site": "north",
            "kind": "vibration", "unit": "mm/s", "rule": rule, "state": "active",
            "severity": severity, "score": 0.97, "value": 4.6, "expected": {"low": 1.8, "high": 2.6},
            "range": {"low": 0.0, "high": 7.1}, "started_at": at, "detected_at": at,
            "cleared_at": null, "evidence": {"from": at, "to": at, "samples": 500,
            "baseline_mean": 2.2, "baseline_spread": 0.1}, "origin": "simulated"
        });
        let draft = EventDraft::new(ANOMALY, SENSOR, &payload).unwrap();
        let event = draft.seal("telemetry", at);
        self.take(&event).await;
        event
    }

    async fn take(&self, event: &Event) {
        let tx = self.bus.records().begin().await.unwrap();
        self.service.on_anomaly(event, &tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn said(&self) -> Vec<Event> {
        let filter =
            Filter { types: vec!["maintenance.predicted".to_owned()], ..Filter::default() };
        let read = self.bus.read(Offset(0), &filter, 100).await.unwrap();
        read.into_iter().map(|(_, event)| event).collect()
    }
}

#[tokio::test]
async fn an_anomaly_gets_one_prediction_in_its_chain() {
    for bench in benches().await {
        bench.fill().await;
        let event = bench.hear("high", "score").await;
        bench.take(&event).await;
        let said = bench.said().await;
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].correlationid, event.correlationid);
        assert_eq!(said[0].subject, "north/p-2");
        let prediction: Prediction = said[0].read().unwrap();
        let days = prediction.time_to_limit_s.unwrap().median / 86_400.0;
        assert!((3.0..6.0).contains(&days), "{days}");
        let (listed, _) = bench.service.predictions(&Wanted::default(), 10).await.unwrap();
        assert_eq!(listed, [prediction]);
    }
}

#[tokio::test]
async fn what_is_slight_or_a_sensor_fault_gets_none() {
    for bench in benches().await {
        bench.hear("low", "score").await;
        bench.hear("critical", "flatline").await;
        assert!(bench.said().await.is_empty());
        // Without a single reading there is still an honest answer.
        bench.hear("critical", "score").await;
        let prediction: Prediction = bench.said().await[0].read().unwrap();
        assert!(prediction.why_unsure.is_some() && prediction.risk > 0.5);
    }
}

#[tokio::test]
async fn a_crash_between_doubles_nothing() {
    for bench in benches().await {
        let at = FakeClock::START;
        let payload = json!({
            "anomaly_id": Uuid::now_v7(), "sensor": SENSOR, "asset": "north/p-2", "rule": "score",
            "state": "active", "severity": "high", "score": 0.9, "started_at": at,
            "detected_at": at
        });
        let event = EventDraft::new(ANOMALY, SENSOR, &payload).unwrap().seal("telemetry", at);
        let tx = bench.bus.records().begin().await.unwrap();
        bench.service.on_anomaly(&event, &tx).await.unwrap();
        tx.rollback().await.unwrap();
        assert!(bench.said().await.is_empty());
        bench.take(&event).await;
        assert_eq!(bench.said().await.len(), 1);
    }
}

#[tokio::test]
async fn questions_are_answered_from_the_store() {
    for bench in benches().await {
        bench.fill().await;
        let sensor = SensorKey::new(SENSOR).unwrap();
        let wanted = PredictWanted { sensor: sensor.clone(), horizon_s: None, limit: Some(7.1) };
        let prediction = bench.service.predict(wanted).await.unwrap();
        assert_eq!(prediction.limit.unwrap().source, "given");
        assert!(bench.said().await.is_empty());

        let day = Duration::from_secs(86_400);
        let forecast = bench.service.forecast(&sensor, day / 4, 24).await.unwrap();
        assert_eq!(forecast.points.len(), 24);
        assert!(forecast.points[0].at > FakeClock::START.minus(Duration::from_secs(1_000)));
        assert!(forecast.points.windows(2).all(|pair| pair[0].at < pair[1].at));
        assert!(matches!(
            bench.service.forecast(&sensor, 80 * day, 2).await,
            Err(ModelsError::TooShort { .. })
        ));
        let nobody = SensorKey::new("north/p-9/vibration").unwrap();
        assert!(matches!(
            bench.service.forecast(&nobody, day, 2).await,
            Err(ModelsError::NoSuchSensor(_))
        ));
        assert_eq!(bench.service.health().await.unwrap().status, "ok");
    }
}
