use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Coordinator, Filter, Offset, RetryPolicy};
use kernel::{CorrelationId, Event, EventDraft, EventType, SharedClock, Timestamp};
use serde_json::json;
use store::records::Records;
use testkit::{FakeClock, TestDatabase};
use uuid::Uuid;

use super::*;
use crate::decide::incidents::Update;
use crate::model::{Alert, AlertState, EntryKind, Incident, IncidentState};
use crate::records;
use crate::records::alerts::Wanted;

const ANOMALY: EventType = EventType::new("anomaly.detected", 1);
const MINUTE: Duration = Duration::from_secs(60);

struct Bench {
    service: Incidents,
    bus: Bus,
    clock: Arc<FakeClock>,
    _database: TestDatabase,
}

/// One bench for each database there is.
async fn benches() -> Vec<Bench> {
    let mut all = Vec::new();
    for database in TestDatabase::each().await.unwrap() {
        let records = Records::open(database.url()).await.unwrap();
        let mut migrations = Bus::migrations();
        migrations.extend(records::migrations());
        records.migrate(&migrations, FakeClock::START).await.unwrap();
        let clock = FakeClock::shared();
        let shared: SharedClock = Arc::<FakeClock>::clone(&clock);
        let bus = Bus::new(records, shared);
        let deps = Deps { bus: bus.clone(), policy: AlarmPolicy::default() };
        all.push(Bench { service: Incidents::new(deps), bus, clock, _database: database });
    }
    all
}

/// Word of one anomaly, `after` the start of the test.
fn word(sensor: &str, state: &str, severity: &str, after: Duration) -> EventDraft {
    let at = FakeClock::START.plus(after);
    let asset = sensor.rsplit_once('/').unwrap().0;
    let payload = json!({
        "anomaly_id": Uuid::now_v7(), "sensor": sensor, "asset": asset, "site": "north",
        "kind": "vibration", "unit": "mm/s", "rule": "score", "state": state,
        "severity": severity, "score": 0.97, "value": 9.0, "expected": {"low": 1.0, "high": 4.5},
        "started_at": at, "detected_at": at, "cleared_at": (state == "cleared").then_some(at),
        "evidence": {}, "detector": {"name": "sensor-detector", "version": "1"}, "origin": "real"
    });
    EventDraft::new(ANOMALY, sensor, &payload).unwrap()
}

const P2: &str = "north/p-2/vibration";

impl Bench {
    async fn hear(&self, draft: EventDraft) -> Event {
        let event = draft.seal("telemetry", self.clock_now());
        let tx = self.bus.records().begin().await.unwrap();
        self.service.on_anomaly(&event, &tx).await.unwrap();
        tx.commit().await.unwrap();
        event
    }

    fn clock_now(&self) -> Timestamp {
        self.bus.clock().now()
    }

    async fn said(&self, kind: &str) -> Vec<Event> {
        let filter = Filter { types: vec![kind.to_owned()], ..Filter::default() };
        let read = self.bus.read(Offset(0), &filter, 100).await.unwrap();
        read.into_iter().map(|(_, event)| event).collect()
    }

    async fn alerts(&self) -> Vec<Alert> {
        let wanted = AlertsWanted { limit: 50, ..AlertsWanted::default() };
        self.service.alerts(&wanted).await.unwrap().0
    }

    async fn incidents(&self) -> Vec<Incident> {
        let wanted = IncidentsWanted { limit: 50, ..IncidentsWanted::default() };
        self.service.incidents(&wanted).await.unwrap().0
    }

    /// Lets the timeline read everything said so far.
    async fn write_timeline(&self) {
        for (_, event) in self.bus.read(Offset(0), &Filter::default(), 200).await.unwrap() {
            let tx = self.bus.records().begin().await.unwrap();
            self.service.on_any(&event, &tx).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_anomaly_becomes_an_alarm_in_an_incident_in_one_chain() {
    for bench in benches().await {
        let event = bench.hear(word(P2, "active", "high", Duration::ZERO)).await;
        let (created, opened) =
            (bench.said("alert.created").await, bench.said("incident.created").await);
        assert_eq!((created.len(), opened.len()), (1, 1));
        let alert: Alert = created[0].read().unwrap();
        let incident: Incident = opened[0].read().unwrap();
        assert_eq!(alert.incident_id, Some(incident.incident_id));
        assert_eq!((alert.number, alert.state), (1, AlertState::Unacknowledged));
        for said in created.iter().chain(&opened) {
            assert_eq!(said.correlationid, event.correlationid);
            assert_eq!(said.causationid, Some(event.id));
        }
    }
}

#[tokio::test]
async fn a_crash_between_doubles_nothing() {
    for bench in benches().await {
        let event = word(P2, "active", "high", Duration::ZERO).seal("telemetry", bench.clock_now());
        let tx = bench.bus.records().begin().await.unwrap();
        bench.service.on_anomaly(&event, &tx).await.unwrap();
        tx.rollback().await.unwrap();
        assert!(bench.alerts().await.is_empty());
        let tx = bench.bus.records().begin().await.unwrap();
        bench.service.on_anomaly(&event, &tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((bench.alerts().await.len(), bench.incidents().await.len()), (1, 1));
        assert_eq!(bench.said("alert.created").await.len(), 1);
    }
}

#[tokio::test]
async fn a_return_ends_it_and_the_next_one_soon_is_the_same_alarm() {
    for bench in benches().await {
        bench.hear(word(P2, "active", "high", Duration::ZERO)).await;
        bench.clock.advance(MINUTE);
        bench.hear(word(P2, "cleared", "high", MINUTE)).await;
        assert!(bench.said("alert.cleared").await.is_empty(), "the off-delay has not passed");
        bench.clock.advance(MINUTE);
        assert_eq!(bench.service.ripen_due().await.unwrap(), 1);
        assert_eq!(bench.service.ripen_due().await.unwrap(), 0);
        let cleared: Alert = bench.said("alert.cleared").await[0].read().unwrap();
        assert_eq!(cleared.state, AlertState::ReturnedUnacknowledged);

        bench.hear(word(P2, "active", "critical", 3 * MINUTE)).await;
        let alerts = bench.alerts().await;
        assert_eq!((alerts.len(), alerts[0].occurrences, alerts[0].priority), (1, 2, 1));
        assert_eq!(bench.incidents().await[0].priority, 1);

        // Acknowledged, over and long ago: a new alarm, in the same open incident.
        bench.service.acknowledge(alerts[0].alert_id, "ines", None).await.unwrap();
        bench.hear(word(P2, "cleared", "critical", 4 * MINUTE)).await;
        bench.clock.advance(60 * MINUTE);
        bench.service.ripen_due().await.unwrap();
        bench.hear(word(P2, "active", "high", 90 * MINUTE)).await;
        assert_eq!((bench.alerts().await.len(), bench.incidents().await.len()), (2, 1));
    }
}

#[tokio::test]
async fn a_call_that_grows_more_urgent_counts_once() {
    for bench in benches().await {
        for (severity, at) in [("medium", 0), ("high", 1), ("critical", 2)] {
            let at = Duration::from_secs(at);
            bench.hear(word(P2, "active", severity, at)).await;
        }
        assert_eq!(bench.said("alert.created").await.len(), 3);
        let alert = &bench.alerts().await[0];
        assert_eq!((alert.occurrences, alert.priority, alert.chattering), (1, 1, false));
        bench.clock.advance(Duration::from_secs(1));
        let quality = bench.service.alarm_quality(10 * MINUTE).await.unwrap();
        assert_eq!((quality.last_10_min, quality.by_priority[&1]), (1, 1));
        assert!(quality.chattering.is_empty());
    }
}

#[tokio::test]
async fn low_severity_must_last_and_opens_no_incident() {
    for bench in benches().await {
        bench.hear(word(P2, "active", "low", Duration::ZERO)).await;
        assert!(bench.alerts().await.is_empty());
        bench.clock.advance(MINUTE);
        assert_eq!(bench.service.ripen_due().await.unwrap(), 1);
        assert_eq!(bench.alerts().await[0].incident_id, None);
        assert!(bench.incidents().await.is_empty());
    }
}

#[tokio::test]
async fn a_shelved_alarm_is_quiet_and_returns_by_itself() {
    for bench in benches().await {
        bench.hear(word(P2, "active", "high", Duration::ZERO)).await;
        let id = bench.alerts().await[0].alert_id;
        let until = bench.clock_now().plus(30 * MINUTE);
        let no_reason = bench.service.shelve(id, "ines", " ", until).await;
        assert!(matches!(no_reason, Err(IncidentsError::Field { field: "reason", .. })));
        bench.service.shelve(id, "ines", "P-2 is being flushed", until).await.unwrap();
        bench.hear(word(P2, "active", "critical", MINUTE)).await;
        assert_eq!(bench.said("alert.created").await.len(), 1);
        let held = bench.service.acknowledge(id, "ines", None).await;
        assert!(matches!(held, Err(IncidentsError::WrongState { .. })));
        assert_eq!(bench.service.unshelve_due().await.unwrap(), 0);
        bench.clock.advance(30 * MINUTE);
        assert_eq!(bench.service.unshelve_due().await.unwrap(), 1);
        let alert = bench.service.alert(id, None).await.unwrap();
        assert_eq!((alert.state, alert.shelved_until), (AlertState::Unacknowledged, None));
        assert_eq!(bench.said("alert.created").await.len(), 2);
    }
}

#[tokio::test]
async fn the_past_can_be_asked() {
    for bench in benches().await {
        bench.hear(word(P2, "active", "high", Duration::ZERO)).await;
        let then = bench.clock_now();
        let id = bench.alerts().await[0].alert_id;
        bench.clock.advance(MINUTE);
        bench.service.acknowledge(id, "ines", Some("seen")).await.unwrap();
        let mut wanted = AlertsWanted { at: Some(then), limit: 10, ..AlertsWanted::default() };
        let (past, _) = bench.service.alerts(&wanted).await.unwrap();
        assert_eq!(past[0].state, AlertState::Unacknowledged);
        wanted.filter = Wanted { asset: Some("north/p-9".to_owned()), ..Wanted::default() };
        assert!(bench.service.alerts(&wanted).await.unwrap().0.is_empty());
        wanted.at = Some(then.minus(MINUTE));
        wanted.filter = Wanted::default();
        assert!(bench.service.alerts(&wanted).await.unwrap().0.is_empty());
        let now = bench.service.alert(id, None).await.unwrap();
        assert_eq!(now.acknowledged_by.as_deref(), Some("ines"));
    }
}

#[tokio::test]
async fn an_update_names_the_version_it_saw() {
    for bench in benches().await {
        bench.hear(word(P2, "active", "high", Duration::ZERO)).await;
        let id = bench.incidents().await[0].incident_id;
        let (_, version) = bench.service.incident(id, None).await.unwrap();
        let assign = Update { assignee: Some("ines".to_owned()), ..Update::default() };
        let (incident, next) =
            bench.service.update(id, version, assign.clone(), "tom").await.unwrap();
        assert_eq!(incident.assignee.as_deref(), Some("ines"));
        let stale = bench.service.update(id, version, assign, "mira").await;
        assert!(matches!(stale, Err(IncidentsError::Stale { current }) if current == next));

        let until = bench.clock_now().plus(MINUTE);
        let dismissal = Some(("a drill".to_owned(), until));
        let dismiss = Update { dismissal, ..Update::default() };
        bench.service.update(id, next, dismiss, "tom").await.unwrap();
        bench.clock.advance(MINUTE);
        assert_eq!(bench.service.dismissals_due().await.unwrap(), 1);
        assert_eq!(bench.incidents().await[0].state, IncidentState::Open);
    }
}

#[tokio::test]
async fn the_timeline_joins_what_others_say() {
    for bench in benches().await {
        let start = bench.hear(word(P2, "active", "high", Duration::ZERO)).await;
        let id = bench.alerts().await[0].alert_id;
        bench.service.acknowledge(id, "ines", Some("looks real")).await.unwrap();
        let tx = bench.bus.records().begin().await.unwrap();
        let others = [
            (
                "maintenance.predicted",
                json!({"sensor": P2, "summary": "reaches 7.1", "risk": 0.8,
                "model": {"name": "trend-to-limit", "version": "1.0.0"}}),
            ),
            (
                "decision.requested",
                json!({"number": 318, "title": "Inspect P-2", "sensor": P2,
                "state": "waiting"}),
            ),
            ("notification.sent", json!({"channel": "email", "title": "P-2", "to": "a@b.c"})),
        ];
        for (kind, data) in others {
            let draft = EventDraft::new(EventType::new(kind, 1), "x", &data).unwrap();
            bench.bus.publish(&tx, "test", draft.caused_by(&start)).await.unwrap();
        }
        tx.commit().await.unwrap();
        bench.write_timeline().await;
        bench.write_timeline().await;

        let incident = bench.incidents().await[0].incident_id;
        let (detail, _) = bench.service.incident(incident, None).await.unwrap();
        let kinds: Vec<EntryKind> = detail.timeline.iter().map(|entry| entry.kind).collect();
        for kind in [
            EntryKind::Alarm,
            EntryKind::Person,
            EntryKind::Prediction,
            EntryKind::Decision,
            EntryKind::Message,
        ] {
            assert_eq!(kinds.iter().filter(|one| **one == kind).count(), 1, "{kind:?}");
        }
        assert_eq!(detail.incident.alerts[0].alert_id, id);
        let json = serde_json::to_string(&detail).unwrap();
        assert_eq!(json.matches("\"alerts\":").count(), 1);
    }
}

#[tokio::test]
async fn figures_come_from_what_rang() {
    for bench in benches().await {
        for (sensor, severity) in [(P2, "high"), ("north/p-3/vibration", "medium")] {
            bench.hear(word(sensor, "active", severity, Duration::ZERO)).await;
        }
        bench.clock.advance(MINUTE);
        let quality = bench.service.alarm_quality(240 * MINUTE).await.unwrap();
        assert_eq!((quality.last_10_min, quality.standing, quality.stale), (2, 2, 0));
        assert_eq!((quality.by_priority[&2], quality.by_priority[&3]), (1, 1));
    }
}

#[tokio::test]
async fn agents_raise_alarms_and_write_the_timeline() {
    for bench in benches().await {
        let agents = bench.service.agents().into_iter().map(|agent| (SOURCE, agent)).collect();
        let coordinator = Coordinator::start(bench.bus.clone(), agents, RetryPolicy::default());
        let chain = CorrelationId::new();
        let tx = bench.bus.records().begin().await.unwrap();
        let draft = word(P2, "active", "high", Duration::ZERO).correlated(chain);
        bench.bus.publish(&tx, "telemetry", draft).await.unwrap();
        tx.commit().await.unwrap();
        let filter = Filter { types: vec!["incident.created".to_owned()], ..Filter::default() };
        let found = bench.bus.tail(Offset(0), &filter, 1, Duration::from_secs(20)).await.unwrap();
        assert_eq!(found[0].1.correlationid, chain);
        let id = bench.incidents().await[0].incident_id;
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            let (detail, _) = bench.service.incident(id, None).await.unwrap();
            if detail.timeline.iter().any(|entry| entry.kind == EntryKind::Alarm) {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "no alarm on the timeline");
            tokio::task::yield_now().await;
        }
        coordinator.stop().await;
    }
}
