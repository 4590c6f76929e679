use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bus::{Coordinator, RetryPolicy};
use futures_util::future::BoxFuture;
use kernel::{Quality, Reading, SensorKey, SharedClock};
use sense::{Connector, Delivery, Origin, ReadingSink, SenseError};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::view::SourceState;
use super::*;
use crate::error::TelemetryError;
use crate::model::Settings;
use crate::service::tests::Site;
use crate::service::{Deps, Telemetry};

const DEADLINE: Duration = Duration::from_secs(20);

/// A connector that does what its settings say: `speak`, `tick`, `panic` or `leave`.
struct Actor {
    status: SourceStatus,
    does: String,
    clock: SharedClock,
    starts: Arc<AtomicUsize>,
}

impl Connector for Actor {
    fn status(&self) -> &SourceStatus {
        &self.status
    }

    fn run(
        self: Arc<Self>,
        sink: Arc<dyn ReadingSink>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.starts.fetch_add(1, Ordering::SeqCst);
            let now = self.clock.now();
            self.status.connected(now);
            assert_ne!(self.does, "panic", "as it was told");
            if self.does == "leave" {
                return;
            }
            let sensor = SensorKey::new("north/actor/level").unwrap();
            let past = if self.does == "tick" { 120 } else { 1 };
            let readings = (0..past).rev().map(|seconds| Reading {
                sensor: sensor.clone(),
                at: now.minus(Duration::from_secs(seconds)),
                value: seconds as f64,
                quality: Quality::Good,
                unit: None,
            });
            let delivery = Delivery {
                source: self.status.snapshot().id,
                origin: Origin::Real,
                correlation: None,
                received: now,
                readings: readings.collect(),
            };
            sink.submit(delivery).await.unwrap();
            stop.cancelled().await;
        })
    }
}

#[derive(Default)]
struct Actors(Arc<AtomicUsize>);

impl ConnectorKind for Actors {
    fn protocol(&self) -> Protocol {
        Protocol::ModbusTcp
    }

    fn build(
        &self,
        name: &str,
        settings: &Value,
        clock: SharedClock,
    ) -> Result<Arc<dyn Connector>, SenseError> {
        let does = settings["does"].as_str().ok_or_else(|| SenseError::Settings {
            field: "does",
            reason: "is missing".to_owned(),
        })?;
        let status = SourceStatus::new(SourceId::new(Protocol::ModbusTcp, name), "stage:1");
        let starts = Arc::clone(&self.0);
        Ok(Arc::new(Actor { status, does: does.to_owned(), clock, starts }))
    }

    fn weaknesses(&self, settings: &Value) -> Vec<(&'static str, String)> {
        let weak = settings.get("password").is_none();
        weak.then(|| ("password", "set one".to_owned())).into_iter().collect()
    }
}

struct Stage {
    site: Site,
    starts: Arc<AtomicUsize>,
}

impl Stage {
    async fn new() -> Self {
        Self { site: Site::new().await, starts: Arc::default() }
    }

    fn deps(&self, configured: Vec<ConfiguredSource>, production: bool) -> Deps {
        let kinds: Vec<Arc<dyn ConnectorKind>> = vec![Arc::new(Actors(Arc::clone(&self.starts)))];
        let connectors = Connectors { kinds, configured, production };
        Deps { connectors, ..self.site.deps(Settings::default()) }
    }

    fn start(&self, configured: Vec<ConfiguredSource>) -> (Telemetry, Coordinator) {
        let telemetry = Telemetry::new(self.deps(configured, false));
        let agents = telemetry.agents().into_iter().map(|agent| ("telemetry", agent)).collect();
        (telemetry, Coordinator::start(self.site.bus.clone(), agents, RetryPolicy::default()))
    }
}

async fn until(telemetry: &Telemetry, id: &SourceId, wanted: impl Fn(&SourceView) -> bool) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let view = telemetry.source_view(id).await.unwrap();
        if wanted(&view) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{view:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn id(name: &str) -> SourceId {
    SourceId::new(Protocol::ModbusTcp, name)
}

fn in_file(name: &str, does: &str) -> ConfiguredSource {
    ConfiguredSource { id: id(name), settings: json!({ "does": does }) }
}

#[tokio::test]
async fn what_is_wanted_survives_a_restart_and_secrets_are_never_shown() {
    let stage = Stage::new().await;
    let (telemetry, running) = stage.start(vec![in_file("file", "speak")]);
    until(&telemetry, &id("file"), |view| view.state == SourceState::Live).await;
    let settings = json!({ "does": "speak", "password": "canary" });
    let made = telemetry.create_source("modbus_tcp", "api", settings, "ines").await.unwrap();
    assert_eq!(made.settings.as_ref().unwrap()["password"], "***");
    until(&telemetry, &id("api"), |view| view.reconciled && view.readings == 1).await;

    for stopped in ["file", "api"] {
        let view = telemetry.steer_source(&id(stopped), Desired::Stopped, "ines").await.unwrap();
        assert_eq!(view.state, SourceState::Stopped);
        until(&telemetry, &id(stopped), |view| view.reconciled).await;
    }
    running.stop().await;

    let (telemetry, running) = stage.start(vec![in_file("file", "speak")]);
    let views = telemetry.source_views().await.unwrap();
    let stopped = views.iter().filter(|view| view.desired == Some(Desired::Stopped)).count();
    assert_eq!((views.len(), stopped), (2, 2));
    let hidden = json!({ "does": "speak", "password": "***", "host": "b" });
    let changed = telemetry.replace_source(&id("api"), hidden, 1, "ines").await.unwrap();
    assert_eq!(changed.version, Some(2));
    let kept = telemetry.sources.wanted(&id("api")).unwrap();
    assert_eq!(
        (&kept.settings["password"], &kept.settings["host"]),
        (&json!("canary"), &json!("b"))
    );
    let late = telemetry.replace_source(&id("api"), json!({ "does": "speak" }), 1, "ines").await;
    assert!(matches!(late, Err(TelemetryError::SourceChanged { current: 2, .. })));
    telemetry.remove_source(&id("api"), "ines").await.unwrap();
    assert!(matches!(
        telemetry.remove_source(&id("file"), "ines").await,
        Err(TelemetryError::SourceInFile(_))
    ));
    assert_eq!(telemetry.source_views().await.unwrap().len(), 1);
    running.stop().await;

    let events = stage.site.events("source.changed").await;
    assert!(events.iter().all(|event| !format!("{event:?}").contains("canary")));
    let said = |change: &str| events.iter().filter(|e| e.data["change"] == change).count();
    assert_eq!((said("kept"), said("removed")), (4, 1));
    assert!(events.iter().all(|event| event.data["changed_by"] == "ines"));
}

#[tokio::test]
async fn a_connector_that_panics_or_leaves_harms_no_other_and_is_started_again() {
    let stage = Stage::new().await;
    let configured =
        vec![in_file("bad", "panic"), in_file("good", "speak"), in_file("gone", "leave")];
    let (telemetry, running) = stage.start(configured);
    until(&telemetry, &id("good"), |view| view.state == SourceState::Live).await;
    // A restart waits by the clock that the test owns.
    for (name, reason) in [("bad", "panicked"), ("gone", "gave up")] {
        until(&telemetry, &id(name), |view| {
            let error = view.last_error.as_ref().map_or("", |error| error.message.as_str());
            view.state == SourceState::Failing && !view.reconciled && error.contains(reason)
        })
        .await;
    }
    let before = stage.starts.load(Ordering::SeqCst);
    stage.site.clock.advance(Duration::from_secs(120));
    until(&telemetry, &id("bad"), |view| view.reconnects >= 2).await;
    assert!(stage.starts.load(Ordering::SeqCst) > before);
    let check = telemetry.source_checks().remove(0);
    let check = (check.ask)().await;
    assert_eq!(check.status, web::Standing::Degraded);
    assert!(check.detail.contains("modbus_tcp/bad fails"), "{}", check.detail);
    running.stop().await;
    until(&telemetry, &id("good"), |view| view.state != SourceState::Live).await;
}

#[tokio::test]
async fn a_connector_from_which_nothing_comes_is_silent_not_live() {
    let stage = Stage::new().await;
    let (telemetry, running) = stage.start(vec![in_file("quiet", "speak")]);
    until(&telemetry, &id("quiet"), |view| view.state == SourceState::Live).await;
    stage.site.clock.advance(Duration::from_secs(600));
    until(&telemetry, &id("quiet"), |view| view.state == SourceState::Silent).await;
    running.stop().await;
}

#[tokio::test]
async fn the_sensors_of_a_connector_that_is_cut_off_lose_their_trust() {
    let stage = Stage::new().await;
    let (telemetry, running) = stage.start(vec![in_file("cut", "tick")]);
    until(&telemetry, &id("cut"), |view| view.readings == 120).await;
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let mut events = Vec::new();
    while events.is_empty() && tokio::time::Instant::now() < deadline {
        // In steps: the readings must be judged before their end can be a silence.
        stage.site.clock.advance(Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(100)).await;
        events = stage.site.events("sensor.trust.changed").await;
    }
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].data["sensor"], "north/actor/level");
    assert_eq!(events[0].data["trust"], "silent");
    running.stop().await;
}

#[tokio::test]
async fn settings_are_refused_by_field_and_production_wants_strong_ones() {
    let stage = Stage::new().await;
    let telemetry = Telemetry::new(stage.deps(vec![in_file("file", "speak")], true));
    let fault = async |protocol: &str, name: &str, settings: Value| match telemetry
        .create_source(protocol, name, settings, "ines")
        .await
        .unwrap_err()
    {
        TelemetryError::SourceInvalid(fields) => fields[0].0.clone(),
        other => panic!("{other}"),
    };
    assert_eq!(fault("modbus_tcp", "a", json!({})).await, "settings.does");
    assert_eq!(fault("modbus_tcp", "a", json!({ "does": "x" })).await, "settings.password");
    assert_eq!(fault("modbus_tcp", "a b", json!({})).await, "name");
    assert_eq!(fault("opc_ua", "a", json!({})).await, "protocol");
    let taken =
        telemetry.create_source("modbus_tcp", "file", json!({"does": "x", "password": "y"}), "i");
    assert!(matches!(taken.await, Err(TelemetryError::SourceExists(_))));
}
