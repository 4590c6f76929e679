use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bus::{Coordinator, RetryPolicy};
use futures_util::future::BoxFuture;
use kernel::{SensorKey, SharedClock};
use sense::SinkError;
use serde_json::{Value, json};
use store::records::Records;
use testkit::{FakeClock, TestDatabase};

use super::*;
use crate::model::{
    GoldenPath, OverallStatus, RunState, ScenarioKind, SensorSetup, StepName, StepStatus,
};
use crate::records;

const PATIENCE: Duration = Duration::from_secs(20);

/// A door that keeps everything, as the store would: by sensor and event time.
#[derive(Default)]
struct Kept {
    deliveries: Mutex<Vec<Delivery>>,
    closed: AtomicBool,
}

impl ReadingSink for Kept {
    fn submit(&self, delivery: Delivery) -> BoxFuture<'_, Result<Receipt, SinkError>> {
        Box::pin(async move {
            if self.closed.load(Ordering::SeqCst) {
                return Err(SinkError::Unavailable("closed".into()));
            }
            let accepted = delivery.readings.len();
            let mut kept = self.deliveries.lock().unwrap();
            kept.push(delivery);
            Ok(Receipt { accepted, refused: Vec::new(), offset: Some(kept.len() as u64) })
        })
    }
}

impl Kept {
    fn count(&self) -> usize {
        self.deliveries.lock().unwrap().iter().map(|delivery| delivery.readings.len()).sum()
    }

    fn series(&self, sensor: &str) -> BTreeMap<Timestamp, f64> {
        let key = SensorKey::new(sensor).unwrap();
        let kept = self.deliveries.lock().unwrap();
        let all = kept.iter().flat_map(|delivery| &delivery.readings);
        all.filter(|reading| reading.sensor == key).map(|r| (r.at, r.value)).collect()
    }
}

pub(crate) struct Bench {
    pub(crate) deps: Deps,
    kept: Arc<Kept>,
    setups: Arc<Mutex<Vec<SensorSetup>>>,
    approvals: Arc<Mutex<Vec<(String, String)>>>,
    clock: Arc<FakeClock>,
    _database: TestDatabase,
}

pub(crate) async fn bench(enabled: bool, development: bool) -> Bench {
    bench_on(TestDatabase::sqlite().unwrap(), enabled, development).await
}

async fn bench_on(database: TestDatabase, enabled: bool, development: bool) -> Bench {
    let records = Records::open(database.url()).await.unwrap();
    let mut migrations = Bus::migrations();
    migrations.extend(records::migrations());
    records.migrate(&migrations, FakeClock::START).await.unwrap();
    let clock = FakeClock::shared();
    let bus = Bus::new(records, Arc::<FakeClock>::clone(&clock) as SharedClock);
    let kept = Arc::new(Kept::default());
    let (setups, approvals) = (Arc::default(), Arc::default());
    let (known, asked) = (Arc::clone(&setups), Arc::clone(&approvals));
    let deps = Deps {
        bus,
        sink: Arc::<Kept>::clone(&kept) as Arc<dyn ReadingSink>,
        configure: Arc::new(move |setup| {
            Vec::push(&mut *Mutex::lock(&known).unwrap(), setup);
            Box::pin(async { Ok(()) })
        }),
        approve: Arc::new(move |decision, _, actor| {
            Vec::push(&mut *Mutex::lock(&asked).unwrap(), (decision, actor));
            Box::pin(async { Ok(()) })
        }),
        settings: Settings { enabled, seed: 7, development },
    };
    Bench { deps, kept, setups, approvals, clock, _database: database }
}

impl Bench {
    pub(crate) fn plant(&self) -> Plant {
        Plant::new(self.deps.clone()).unwrap()
    }

    pub(crate) fn start(&self) -> Coordinator {
        let module = crate::module(self.plant());
        let agents = module.agents.into_iter().map(|agent| (module.name, agent)).collect();
        Coordinator::start(self.deps.bus.clone(), agents, RetryPolicy::default())
    }

    async fn say(&self, path: &GoldenPath, kind: &'static str, data: Value) {
        let draft = testkit::draft(kind, "subject", data).correlated(path.correlation_id);
        let tx = self.deps.bus.records().begin().await.unwrap();
        self.deps.bus.publish(&tx, "test", draft).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn until(&self, path: &GoldenPath, is: impl Fn(&GoldenPath) -> bool) -> GoldenPath {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.plant().path(path.correlation_id).await.unwrap();
            if is(&now) {
                return now;
            }
            assert!(Instant::now() < deadline, "never came about: {now:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until_true(&self, is: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is() {
            assert!(Instant::now() < deadline, "never came about");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn anomaly() -> Value {
    json!({"anomaly_id": "a", "rule": "score", "state": "active", "severity": "high",
        "score": 0.97, "value": 4.4, "started_at": FakeClock::START})
}

fn decision(state: &str) -> Value {
    json!({"decision_id": "d", "number": 12, "title": "Inspect", "state": state,
        "answered_by": "ines", "reason": "bearing is in stock"})
}

fn message(about: &str) -> Value {
    json!({"notification_id": "n", "channel": "in_app", "to": "everyone", "title": "told",
        "about": {"type": about, "subject": "work/w", "event_id": "e"}})
}

#[tokio::test]
async fn a_golden_path_is_followed_to_its_end() {
    for database in TestDatabase::each().await.unwrap() {
        a_golden_path_is_followed_on(bench_on(database, false, false).await).await;
    }
}

async fn a_golden_path_is_followed_on(bench: Bench) {
    let running = bench.start();
    let path = bench.plant().start_path(0.3, false, "ines").await.unwrap();
    assert_eq!(path.sensor.as_str(), "demo/golden-1/vibration");
    let fed = bench.until(&path, |p| p.step(StepName::Validate).status == StepStatus::Done).await;
    assert_eq!(fed.step(StepName::Validate).detail.as_deref(), Some("1030 good, 0 refused"));
    assert_eq!(fed.step(StepName::Detect).status, StepStatus::Running);
    for delivery in bench.kept.deliveries.lock().unwrap().iter() {
        assert_eq!(delivery.correlation, Some(path.correlation_id));
        assert_eq!(delivery.origin, Origin::Simulated);
    }
    bench.say(&path, "anomaly.detected", anomaly()).await;
    bench.say(&path, "maintenance.predicted", json!({"summary": "soon", "risk": 0.8})).await;
    bench.say(&path, "decision.requested", decision("waiting")).await;
    bench.say(&path, "notification.sent", message("decision.requested")).await;
    let waiting = bench.until(&path, |p| p.overall_status == OverallStatus::Waiting).await;
    assert_eq!(waiting.waiting_for.as_deref(), Some("a person to decide D-12"));
    assert_eq!(waiting.step(StepName::Decide).status, StepStatus::Waiting);
    // A person may take long: that is not stuck.
    bench.clock.advance(Duration::from_secs(86_400));
    bench.say(&path, "decision.submitted", decision("approved")).await;
    let work = json!({"work_id": "w", "number": 633, "decision_id": "d", "title": "Inspect"});
    bench.say(&path, "maintenance.scheduled", work).await;
    bench.say(&path, "notification.sent", message("maintenance.scheduled")).await;
    let done = bench.until(&path, |p| p.overall_status == OverallStatus::Completed).await;
    running.stop().await;
    assert!(done.finished_at.is_some() && done.waiting_for.is_none());
    for step in &done.steps {
        assert_eq!(step.status, StepStatus::Done, "{:?}", step.name);
        assert!(step.started_at <= step.finished_at);
        assert!(step.detail.is_some());
    }
    assert_eq!(done.step(StepName::Detect).evidence["score"], 0.97);
    assert_eq!(done.step(StepName::Notify).event_ids.len(), 2);
    assert!(bench.approvals.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_stuck_step_says_what_it_waits_for_and_goes_on_when_it_comes() {
    let bench = bench(false, false).await;
    let running = bench.start();
    let path = bench.plant().start_path(0.2, false, "ines").await.unwrap();
    bench.until(&path, |p| p.step(StepName::Validate).status == StepStatus::Done).await;
    bench.clock.advance(Duration::from_secs(61));
    let stuck = bench.until(&path, |p| p.overall_status == OverallStatus::Stuck).await;
    assert!(stuck.waiting_for.as_ref().unwrap().contains("anomaly.detected"));
    assert_eq!(stuck.step(StepName::Detect).status, StepStatus::Waiting);
    bench.say(&path, "anomaly.detected", anomaly()).await;
    let on = bench.until(&path, |p| p.overall_status == OverallStatus::Running).await;
    running.stop().await;
    assert_eq!(on.step(StepName::Detect).status, StepStatus::Done);
    assert_eq!(on.step(StepName::Predict).status, StepStatus::Running);
    assert_eq!(on.waiting_for, None);
}

#[tokio::test]
async fn a_rejected_decision_ends_the_path() {
    let bench = bench(false, false).await;
    let running = bench.start();
    let path = bench.plant().start_path(0.3, false, "ines").await.unwrap();
    bench.say(&path, "decision.requested", decision("waiting")).await;
    bench.say(&path, "decision.submitted", decision("rejected")).await;
    let failed = bench.until(&path, |p| p.overall_status == OverallStatus::Failed).await;
    running.stop().await;
    assert!(failed.step(StepName::Schedule).detail.as_ref().unwrap().contains("rejected"));
}

#[tokio::test]
async fn in_development_it_may_approve_by_itself_once() {
    let bench = bench(false, true).await;
    let running = bench.start();
    let path = bench.plant().start_path(0.3, true, "ines").await.unwrap();
    for (kind, data) in [
        ("anomaly.detected", anomaly()),
        ("maintenance.predicted", json!({"summary": "soon"})),
        ("decision.requested", decision("waiting")),
    ] {
        bench.say(&path, kind, data).await;
    }
    bench.until(&path, |p| p.approval_asked_at.is_some()).await;
    bench.say(&path, "decision.submitted", decision("approved")).await;
    bench.until(&path, |p| p.step(StepName::Decide).status == StepStatus::Done).await;
    running.stop().await;
    let asked = bench.approvals.lock().unwrap().clone();
    assert_eq!(asked, [("d".to_owned(), "golden-path".to_owned())]);
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let bench = bench(false, false).await;
    let plant = bench.plant();
    for rate in [0.0, -0.1, 0.51, 7.0, f64::NAN, f64::INFINITY] {
        let refused = plant.start_path(rate, false, "ines").await;
        assert!(matches!(refused, Err(PlantError::Invalid { .. })), "{rate}");
    }
    let forbidden = plant.start_path(0.3, true, "ines").await;
    assert!(matches!(forbidden, Err(PlantError::ApprovalForbidden)));
    let order = Order { kind: ScenarioKind::Leak, target: None, duration_s: None, magnitude: None };
    assert!(matches!(plant.simulate(order, "ines").await, Err(PlantError::Disabled)));
    for _ in 0..5 {
        plant.start_path(0.3, false, "ines").await.unwrap();
    }
    assert!(matches!(plant.start_path(0.3, false, "ines").await, Err(PlantError::Busy { .. })));
}

#[tokio::test]
async fn the_history_comes_fast_and_the_live_readings_join_it() {
    let bench = bench(true, false).await;
    let sensors = bench.plant().north.setups().count();
    let begun = Instant::now();
    let running = bench.start();
    bench.until_true(|| bench.kept.count() >= sensors * 8_640).await;
    let took = begun.elapsed();
    println!("{} readings of {sensors} sensors in {took:?}", bench.kept.count());
    assert_eq!(bench.setups.lock().unwrap().len(), sensors);
    assert!(took < Duration::from_secs(5), "{took:?}");
    let history = bench.kept.count();
    bench.clock.advance(Duration::from_secs(1));
    bench.until_true(|| bench.kept.count() == history + sensors).await;
    running.stop().await;
    let series = bench.kept.series("north/p-1/bearing_temp");
    let times: Vec<Timestamp> = series.keys().copied().collect();
    assert_eq!(times.len(), 8_641);
    assert_eq!(times[0], FakeClock::START.minus(Duration::from_secs(86_390)));
    assert_eq!(times[8_639], FakeClock::START);
    assert_eq!(times[8_640], FakeClock::START.plus(Duration::from_secs(1)));
    let values: Vec<f64> = series.values().copied().collect();
    assert!((values[8_640] - values[8_639]).abs() < 1.5);
}

#[tokio::test]
async fn a_second_start_fills_the_gap_and_repeats_nothing_differently() {
    for database in TestDatabase::each().await.unwrap() {
        a_second_start_fills_the_gap_on(bench_on(database, true, false).await).await;
    }
}

async fn a_second_start_fills_the_gap_on(bench: Bench) {
    let sensor = "north/p-2/vibration";
    let first = bench.start();
    bench.until_true(|| bench.kept.series(sensor).len() >= 8_640).await;
    first.stop().await;
    let before = bench.kept.series(sensor);
    bench.clock.advance(Duration::from_secs(3_600));
    let second = bench.start();
    bench.until_true(|| bench.kept.series(sensor).len() >= 8_640 + 360).await;
    second.stop().await;
    let after = bench.kept.series(sensor);
    assert!(before.iter().all(|(at, value)| after.get(at) == Some(value)));
    let times: Vec<Timestamp> = after.keys().copied().collect();
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) == Duration::from_secs(10)));
    assert_eq!(bench.plant().runs(None, 10).await.unwrap().len(), 1, "one opening scenario");
}

#[tokio::test]
async fn nothing_is_lost_while_the_door_is_closed() {
    let bench = bench(true, false).await;
    bench.kept.closed.store(true, Ordering::SeqCst);
    let running = bench.start();
    let reported = async {
        loop {
            let reports = running.report().await.unwrap();
            let plant = reports.iter().find(|report| report.name == "simulated-plant").unwrap();
            if plant.last_error.is_some() {
                return plant.restarts;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let restarts = tokio::time::timeout(PATIENCE, reported).await.unwrap();
    assert_eq!(restarts, 0);
    bench.kept.closed.store(false, Ordering::SeqCst);
    bench.until_true(|| bench.kept.series("north/t-2/level").len() >= 8_640).await;
    running.stop().await;
}

#[tokio::test]
async fn scenarios_are_kept_played_and_ended() {
    for database in TestDatabase::each().await.unwrap() {
        scenarios_are_kept_on(bench_on(database, true, false).await).await;
    }
}

async fn scenarios_are_kept_on(bench: Bench) {
    let plant = bench.plant();
    let order = |kind, target: Option<&str>| Order {
        kind,
        target: target.map(str::to_owned),
        duration_s: None,
        magnitude: None,
    };
    let leak = plant.simulate(order(ScenarioKind::Leak, None), "ines").await.unwrap().run.unwrap();
    let stuck = order(ScenarioKind::SensorStuck, Some("north/km-15/pressure"));
    plant.simulate(stuck, "ines").await.unwrap();
    let wrong = order(ScenarioKind::SensorStuck, Some("north/p-2"));
    assert!(matches!(plant.simulate(wrong, "ines").await, Err(PlantError::Invalid { .. })));
    // Another process reads the same runs.
    let runs = bench.plant().runs(None, 10).await.unwrap();
    assert_eq!(runs.len(), 2);
    plant.end(leak.run_id).await.unwrap();
    assert!(matches!(plant.end(leak.run_id).await, Err(PlantError::UnknownRun { .. })));
    let normal = plant.simulate(order(ScenarioKind::Normal, None), "ines").await.unwrap();
    assert_eq!(normal.ended, 1);
    let runs = plant.runs(None, 10).await.unwrap();
    let later = bench.clock_now().plus(Duration::from_secs(1));
    assert!(runs.iter().all(|run| run.state(later) == RunState::Ended));
}

#[tokio::test]
async fn a_series_is_generated_for_a_sensor_that_is_not_the_plants() {
    let bench = bench(false, true).await;
    let order = Order {
        kind: ScenarioKind::SensorDrift,
        target: Some("south/fan-1/vibration".to_owned()),
        duration_s: Some(3_600),
        magnitude: None,
    };
    let made = bench.plant().simulate(order, "ines").await.unwrap();
    assert_eq!(made.readings, 720 + 60);
    assert!(made.correlation_id.is_some() && made.run.is_none());
    assert_eq!(bench.kept.series("south/fan-1/vibration").len(), 780);
}

impl Bench {
    fn clock_now(&self) -> Timestamp {
        self.deps.bus.clock().now()
    }
}
