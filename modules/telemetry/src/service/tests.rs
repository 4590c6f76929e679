use std::time::Duration;

use bus::{Coordinator, Filter, Offset, RetryPolicy};
use kernel::{CorrelationId, Event, Quality, Reading, Reason, SensorKey, SharedClock, Timestamp};
use sense::{Delivery, Origin, Protocol, ReadingSink, Receipt, SourceId};
use store::series::embedded::{Embedded, EmbeddedOptions};
use store::series::{SeriesId, SharedSeries, Span};
use testkit::{FakeClock, TestDatabase};

use super::*;
use crate::model::{Profile, UnknownSensors};
use crate::service::SensorChange;

/// One site with everything telemetry needs; stores outlive the telemetry on top of them.
pub(crate) struct Site {
    pub clock: Arc<FakeClock>,
    pub records: Records,
    pub bus: Bus,
    pub series: SharedSeries,
    _dir: tempfile::TempDir,
    _database: TestDatabase,
}

pub(crate) const START: Timestamp = Timestamp::from_secs(1_790_000_000);
const DEADLINE: Duration = Duration::from_secs(20);

impl Site {
    pub(crate) async fn new() -> Self {
        Self::on(TestDatabase::sqlite().unwrap()).await
    }

    async fn on(database: TestDatabase) -> Self {
        let clock = FakeClock::at(START);
        let shared: SharedClock = Arc::clone(&clock) as SharedClock;
        let records = Records::open(database.url()).await.unwrap();
        let mut migrations = Bus::migrations();
        migrations.extend(crate::records::migrations());
        records.migrate(&migrations, START).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let series = Embedded::open(EmbeddedOptions::new(dir.path(), Arc::clone(&shared))).unwrap();
        let bus = Bus::new(records.clone(), shared);
        Self { clock, records, bus, series, _dir: dir, _database: database }
    }

    pub(crate) fn deps(&self, settings: Settings) -> Deps {
        Deps {
            series: Arc::clone(&self.series),
            records: self.records.clone(),
            bus: self.bus.clone(),
            clock: Arc::clone(&self.clock) as SharedClock,
            settings,
            connectors: Connectors::default(),
        }
    }

    fn telemetry(&self) -> Telemetry {
        Telemetry::new(self.deps(Settings::default()))
    }

    /// Starts the agents of a fresh module, as after a restart.
    pub(crate) fn start(&self) -> (Door, Coordinator) {
        let telemetry = self.telemetry();
        let door = telemetry.door();
        let module = crate::module(telemetry);
        let agents = module.agents.into_iter().map(|agent| ("telemetry", agent)).collect();
        (door, Coordinator::start(self.bus.clone(), agents, RetryPolicy::default()))
    }

    pub(crate) async fn events(&self, kind: &str) -> Vec<Event> {
        let filter = Filter { types: vec![kind.to_owned()], ..Filter::default() };
        let found = self.bus.read(Offset(0), &filter, 1_000).await.unwrap();
        found.into_iter().map(|(_, event)| event).collect()
    }

    async fn wait_for(&self, kind: &str, count: usize) -> Vec<Event> {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let events = self.events(kind).await;
            if events.len() >= count || tokio::time::Instant::now() > deadline {
                assert_eq!(events.len(), count, "{kind}: {events:#?}");
                return events;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn key(text: &str) -> SensorKey {
    SensorKey::new(text).unwrap()
}

fn reading(sensor: &str, at_s: i64, value: f64) -> Reading {
    let at = START.plus(Duration::from_secs(at_s.unsigned_abs()));
    Reading { sensor: key(sensor), at, value, quality: Quality::Good, unit: None }
}

fn delivery(readings: Vec<Reading>, correlation: Option<CorrelationId>) -> Delivery {
    let received = readings.iter().map(|r| r.at).max().unwrap_or(START).max(START);
    Delivery {
        source: SourceId::new(Protocol::Json, "test"),
        origin: Origin::Real,
        correlation,
        received,
        readings,
    }
}

fn profile() -> SensorChange {
    SensorChange {
        kind: None,
        unit: Some("mm/s".to_owned()),
        profile: Profile {
            expected_low: Some(0.0),
            expected_high: Some(7.1),
            rate_max_per_s: None,
            interval_s: Some(1.0),
        },
        metadata: serde_json::json!({}),
    }
}

const P2: &str = "north/p-2/vibration";

/// Says `values` one second apart from `from_s`, in one delivery.
async fn say(door: &Door, from_s: i64, values: &[f64], correlation: CorrelationId) -> Receipt {
    let times = from_s..;
    let readings = times.zip(values).map(|(at, value)| reading(P2, at, *value)).collect();
    door.submit(delivery(readings, Some(correlation))).await.unwrap()
}

/// Waits until detection runs and has seen what was said: only then does silence count.
async fn until_judged(agents: &Coordinator) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let reports = agents.report().await.unwrap();
        if reports.iter().any(|agent| agent.name == "anomaly-detection" && agent.handled > 0) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{reports:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn good_readings_are_durable_and_bad_ones_are_named() {
    let site = Site::new().await;
    let telemetry = site.telemetry();
    let mut readings = vec![reading(P2, 0, 3.0), reading(P2, 1, f64::NAN), reading(P2, 2, 4.0)];
    readings[2].unit = Some("furlong".to_owned());
    readings.push(Reading { unit: Some("mm/s".to_owned()), ..reading(P2, 3, 5.0) });
    readings.push(Reading { unit: Some("m/s".to_owned()), ..reading(P2, 4, 0.006) });
    let receipt = telemetry.take(delivery(readings, None), &[]).await.unwrap();
    assert_eq!(receipt.accepted, 3);
    let named: Vec<_> = receipt.refused.iter().map(|r| (r.index, r.field)).collect();
    assert_eq!(named, [(1, "value"), (2, "unit")]);
    let entry = telemetry.sensor(&key(P2)).unwrap();
    assert_eq!(entry.sensor.unit.as_deref(), Some("mm/s"));
    let span = Span { from: START, to: START.plus(Duration::from_secs(10)) };
    let stored = site.series.range(entry.id, span, 10).await.unwrap();
    assert_eq!(stored.iter().map(|p| p.value).collect::<Vec<_>>(), [3.0, 5.0, 6.0]);
    assert_eq!(entry.read_now().latest.unwrap().value, 6.0);

    let restarted = site.telemetry();
    restarted.ensure_loaded().await.unwrap();
    assert_eq!(restarted.sensor(&key(P2)).unwrap().read_now().latest.unwrap().value, 6.0);
}

#[tokio::test]
async fn unknown_sensors_follow_the_policy() {
    let site = Site::new().await;
    let with = |unknown_sensors| {
        Telemetry::new(site.deps(Settings { unknown_sensors, ..Settings::default() }))
    };
    let rejecting = with(UnknownSensors::Reject);
    let receipt = rejecting.take(delivery(vec![reading(P2, 0, 1.0)], None), &[]).await.unwrap();
    assert_eq!((receipt.accepted, receipt.refused[0].field, receipt.offset), (0, "sensor", None));
    let careful = with(UnknownSensors::Quarantine);
    careful.take(delivery(vec![reading(P2, 0, 1.0)], None), &[]).await.unwrap();
    let entry = careful.sensor(&key(P2)).unwrap();
    assert!(entry.sensor.quarantined);
    assert_eq!(entry.read_now().latest.unwrap().quality, Quality::Uncertain(Reason::Source));
    let confirmed = careful.set_sensor(&key(P2), profile(), Some(1)).await.unwrap();
    assert!(!confirmed.sensor.quarantined);
    assert_eq!(confirmed.sensor.version, 2);
}

#[tokio::test]
async fn simulated_readings_stay_out_of_real_sensors() {
    let site = Site::new().await;
    let telemetry = site.telemetry();
    telemetry.take(delivery(vec![reading(P2, 0, 1.0)], None), &[]).await.unwrap();
    let simulated = Delivery {
        origin: Origin::Simulated,
        ..delivery(vec![reading(P2, 1, 1.0), reading("north/p-9/x", 1, 1.0)], None)
    };
    let receipt = telemetry.take(simulated, &[]).await.unwrap();
    assert_eq!((receipt.accepted, receipt.refused[0].index), (1, 0));
}

#[tokio::test]
async fn an_anomaly_is_said_once_in_the_chain_of_its_batch_across_restarts() {
    for database in TestDatabase::each().await.unwrap() {
        let site = Site::on(database).await;
        let (door, agents) = site.start();
        door.0.set_sensor(&key(P2), profile(), None).await.unwrap();
        let chain = CorrelationId::new();
        say(&door, 0, &[3.0, 3.1, 3.0], CorrelationId::new()).await;
        say(&door, 3, &[8.0], chain).await;
        let events = site.wait_for("anomaly.detected", 1).await;
        assert_eq!(events[0].correlationid, chain);
        assert_eq!(events[0].subject, P2);
        assert_eq!(events[0].data["rule"], "range");
        assert_eq!(events[0].data["state"], "active");
        agents.stop().await;

        let (door, agents) = site.start();
        say(&door, 4, &[3.0, 3.0], CorrelationId::new()).await;
        let events = site.wait_for("anomaly.detected", 2).await;
        assert_eq!(events[1].data["state"], "cleared");
        assert_eq!(events[1].data["anomaly_id"], events[0].data["anomaly_id"]);
        assert_eq!(events[1].correlationid, chain);
        agents.stop().await;
        let all = crate::records::AnomalyFilter { limit: 9, ..Default::default() };
        let listed = door.0.anomalies(&all).await.unwrap();
        assert_eq!((listed.len(), listed[0].correlation_id), (1, chain));
    }
}

#[tokio::test]
async fn judging_the_log_again_from_its_start_repeats_nothing() {
    let site = Site::new().await;
    let (door, agents) = site.start();
    door.0.set_sensor(&key(P2), profile(), None).await.unwrap();
    say(&door, 0, &[3.0, 8.0, 3.0, 8.5, 40.0], CorrelationId::new()).await;
    let before = site.wait_for("anomaly.detected", 4).await;
    agents.stop().await;
    // The worst case: every state and checkpoint is gone, the log is whole.
    let tx = site.records.begin().await.unwrap();
    crate::records::forget_watches(&tx).await.unwrap();
    crate::records::forget_checkpoints(&tx).await.unwrap();
    tx.commit().await.unwrap();
    let (door, agents) = site.start();
    say(&door, 10, &[3.0], CorrelationId::new()).await;
    let after = site.wait_for("anomaly.detected", 5).await;
    assert_eq!(after[..4], before[..]);
    assert_eq!(after[4].data["state"], "cleared");
    agents.stop().await;
}

#[tokio::test]
async fn old_days_go_where_readings_are_kept_for_a_time_only() {
    let site = Site::new().await;
    let settings =
        Settings { retention: Some(Duration::from_secs(3 * 86_400)), ..Settings::default() };
    let telemetry = Telemetry::new(site.deps(settings));
    let door = telemetry.door();
    let module = crate::module(telemetry);
    let old = Reading { at: START.minus(Duration::from_secs(10 * 86_400)), ..reading(P2, 0, 1.0) };
    door.submit(delivery(vec![old, reading(P2, 0, 2.0)], None)).await.unwrap();
    let agents = module.agents.into_iter().map(|agent| ("telemetry", agent)).collect();
    let agents = Coordinator::start(site.bus.clone(), agents, RetryPolicy::default());
    let id = door.0.sensor(&key(P2)).unwrap().id;
    let span = Span { from: START.minus(Duration::from_secs(20 * 86_400)), to: Timestamp::MAX };
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let kept = site.series.range(id, span, 10).await.unwrap();
        assert!(tokio::time::Instant::now() < deadline, "{kept:?}");
        if kept.iter().map(|point| point.value).eq([2.0]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    agents.stop().await;
}

#[tokio::test]
async fn a_silent_live_sensor_loses_trust_and_gets_it_back() {
    let site = Site::new().await;
    let (door, agents) = site.start();
    door.0.set_sensor(&key(P2), profile(), None).await.unwrap();
    say(&door, 0, &[3.0, 3.1], CorrelationId::new()).await;
    until_judged(&agents).await;
    site.clock.advance(Duration::from_secs(90));
    let events = site.wait_for("sensor.trust.changed", 1).await;
    assert_eq!(events[0].data["trust"], "silent");
    let anomaly = site.wait_for("anomaly.detected", 1).await;
    assert_eq!(anomaly[0].data["rule"], "missing");
    assert_eq!(anomaly[0].correlationid, events[0].correlationid);
    say(&door, 91, &[3.0], CorrelationId::new()).await;
    let events = site.wait_for("sensor.trust.changed", 2).await;
    assert_eq!(events[1].data["trust"], "trusted");
    assert_eq!(events[1].data["previous"], "silent");
    agents.stop().await;
}

#[tokio::test]
async fn ticks_tell_what_changed() {
    let site = Site::new().await;
    let mut listener = site.bus.listen();
    let (door, agents) = site.start();
    say(&door, 0, &[3.0, 3.5], CorrelationId::new()).await;
    let next = async {
        loop {
            let tick = listener.recv().await.unwrap();
            if tick.kind == "telemetry.tick" {
                return tick;
            }
        }
    };
    let tick = tokio::time::timeout(DEADLINE, next).await.unwrap();
    assert_eq!(tick.data["values"][0]["sensor"], P2);
    assert_eq!(tick.data["values"][0]["value"], 3.5);
    agents.stop().await;
}

#[tokio::test]
async fn corrections_keep_what_they_replace() {
    let site = Site::new().await;
    let telemetry = site.telemetry();
    telemetry.take(delivery(vec![reading(P2, 0, 3.0)], None), &[]).await.unwrap();
    telemetry.correct(&key(P2), START, 4.0, "ines", "sensor was loose").await.unwrap();
    let trail = telemetry.corrections(&key(P2), 10).await.unwrap();
    assert_eq!((trail[0].before, trail[0].after), (Some(3.0), 4.0));
    assert_eq!(telemetry.sensor(&key(P2)).unwrap().read_now().latest.unwrap().value, 4.0);
    assert_eq!(telemetry.registry.by_id(SeriesId(9_999)).map(|e| e.id), None);
}

#[tokio::test]
async fn declaring_fills_in_and_never_overrides() {
    let site = Site::new().await;
    let telemetry = site.telemetry();
    let door = telemetry.door();
    let declare = |high| SensorDeclaration {
        key: key(P2),
        kind: kernel::SensorKind::Vibration,
        unit: "mm/s".to_owned(),
        expected_low: Some(0.0),
        expected_high: Some(high),
        rate_max_per_s: None,
        interval_s: Some(1.0),
    };
    door.declare(declare(7.1), Origin::Simulated).await.unwrap();
    door.declare(declare(9.9), Origin::Simulated).await.unwrap();
    let known = telemetry.sensor(&key(P2)).unwrap();
    assert_eq!((known.sensor.profile.expected_high, known.sensor.version), (Some(7.1), 1));
    telemetry.take(delivery(vec![reading("a/b/c", 0, 1.0)], None), &[]).await.unwrap();
    let foreign = SensorDeclaration { key: key("a/b/c"), ..declare(1.0) };
    assert!(door.declare(foreign.clone(), Origin::Simulated).await.is_err());
    door.declare(foreign, Origin::Real).await.unwrap();
    assert_eq!(telemetry.sensor(&key("a/b/c")).unwrap().sensor.unit.as_deref(), Some("mm/s"));
}
