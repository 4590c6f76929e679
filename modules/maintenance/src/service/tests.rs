use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Coordinator, Filter, Offset, RetryPolicy};
use kernel::{Event, EventDraft, EventType, SharedClock, Timestamp};
use serde_json::json;
use store::records::Records;
use testkit::{FakeClock, TestDatabase};
use uuid::Uuid;

use super::*;
use crate::model::{DecisionState, FailureMode, Verdict, WorkState};
use crate::records;

const PREDICTED: EventType = EventType::new("maintenance.predicted", 1);
const START: Timestamp = FakeClock::START;

struct Bench {
    service: Maintenance,
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
        records.migrate(&migrations, START).await.unwrap();
        let clock = FakeClock::shared();
        let shared: SharedClock = Arc::<FakeClock>::clone(&clock);
        let bus = Bus::new(records, shared);
        let deps = Deps { bus: bus.clone(), calendar: WorkCalendar::default() };
        all.push(Bench { service: Maintenance::new(deps), bus, clock, _database: database });
    }
    all
}

fn prediction(sensor: &str, severity: &str) -> EventDraft {
    let payload = json!({
        "prediction_id": Uuid::now_v7(), "asset": "north/p-2", "sensor": sensor,
        "anomaly_id": Uuid::now_v7(), "kind": "vibration", "unit": "mm/s", "risk": 0.8,
        "severity": severity, "summary": "Vibration reaches 7.1 mm/s in 19 days [12–27]",
        "time_to_limit_s": {"median": 1.6e6, "low": 1.0e6, "high": 2.3e6, "confidence": 0.8},
        "trend": {"slope_per_day": 0.13}, "predicted_at": START,
        "model": {"name": "trend-to-limit", "version": "1.0.0"}, "origin": "simulated",
    });
    EventDraft::new(PREDICTED, "north/p-2", &payload).unwrap()
}

impl Bench {
    async fn predict(&self, sensor: &str, severity: &str) -> Event {
        let event = prediction(sensor, severity).seal("models", self.bus.clock().now());
        let tx = self.bus.records().begin().await.unwrap();
        self.service.on_predicted(&event, &tx).await.unwrap();
        tx.commit().await.unwrap();
        event
    }

    async fn said(&self, kind: &str) -> Vec<Event> {
        let filter = Filter { types: vec![kind.to_owned()], ..Filter::default() };
        let read = self.bus.read(Offset(0), &filter, 100).await.unwrap();
        read.into_iter().map(|(_, event)| event).collect()
    }

    async fn only_decision(&self) -> crate::model::Decision {
        let wanted = DecisionsWanted { limit: 10, ..DecisionsWanted::default() };
        let (mut items, _) = self.service.decisions(&wanted).await.unwrap();
        assert_eq!(items.len(), 1);
        items.remove(0)
    }
}

fn approve(decision_id: Uuid) -> Submission {
    Submission {
        decision_id,
        decision: DecisionChoice::Approve,
        reason: "bearing is in stock".to_owned(),
        deferred_until: None,
        starts_at: None,
    }
}

#[tokio::test]
async fn a_prediction_becomes_work_that_is_done_in_one_chain() {
    for bench in benches().await {
        let predicted = bench.predict("north/p-2/vibration", "high").await;
        let decision = bench.only_decision().await;
        assert_eq!((decision.number, decision.state), (1, DecisionState::Waiting));
        assert_eq!(decision.evidence["risk"], 0.8);

        let answered = bench.service.submit(approve(decision.decision_id), "ines").await.unwrap();
        assert_eq!(answered.answered_by.as_deref(), Some("ines"));
        let submitted = bench.said("decision.submitted").await;
        let tx = bench.bus.records().begin().await.unwrap();
        bench.service.on_submitted(&submitted[0], &tx).await.unwrap();
        tx.commit().await.unwrap();

        let scheduled = bench.said("maintenance.scheduled").await;
        let work: crate::model::WorkOrder = scheduled[0].read().unwrap();
        assert_eq!(work.decision_id, Some(decision.decision_id));
        assert_eq!(work.approved_by, "ines");
        let finding = Finding {
            verdict: Verdict::Confirmed,
            failure_mode: Some(FailureMode::Vibration),
            failure_mechanism: None,
            failure_cause: None,
            notes: "outer race pitted".to_owned(),
        };
        let done = bench.service.complete(work.work_id, &finding, "ravi").await.unwrap();
        assert_eq!(done.state, WorkState::Completed);
        assert!(matches!(
            bench.service.complete(work.work_id, &finding, "ravi").await,
            Err(MaintenanceError::WorkSettled { .. })
        ));

        let completed = bench.said("maintenance.completed").await;
        let requested = bench.said("decision.requested").await;
        for event in requested.iter().chain(&submitted).chain(&scheduled).chain(&completed) {
            assert_eq!(event.correlationid, predicted.correlationid, "{}", event.kind);
        }
        assert_eq!(submitted[0].causationid, Some(requested[0].id));
        assert_eq!(completed[0].causationid, Some(scheduled[0].id));

        for event in scheduled.iter().chain(&completed).chain(&completed) {
            let tx = bench.bus.records().begin().await.unwrap();
            bench.service.on_work(event, &tx).await.unwrap();
            tx.commit().await.unwrap();
        }
        let (log, _) = bench.service.logs(None, None, 10).await.unwrap();
        assert_eq!(log.len(), 2);
        assert_eq!(log[0].verdict, Some(Verdict::Confirmed));
    }
}

#[tokio::test]
async fn agents_carry_the_chain_by_themselves() {
    for bench in benches().await {
        let agents = bench.service.agents().into_iter().map(|agent| (SOURCE, agent)).collect();
        let coordinator = Coordinator::start(bench.bus.clone(), agents, RetryPolicy::default());
        let tx = bench.bus.records().begin().await.unwrap();
        bench.bus.publish(&tx, "models", prediction("north/p-2/vibration", "high")).await.unwrap();
        tx.commit().await.unwrap();

        let wait = |kind: &'static str| {
            let bus = bench.bus.clone();
            async move {
                let filter = Filter { types: vec![kind.to_owned()], ..Filter::default() };
                let found = bus.tail(Offset(0), &filter, 1, Duration::from_secs(20)).await.unwrap();
                found.into_iter().next().unwrap().1
            }
        };
        let asked: crate::model::Decision = wait("decision.requested").await.read().unwrap();
        bench.service.submit(approve(asked.decision_id), "ines").await.unwrap();
        let work: crate::model::WorkOrder = wait("maintenance.scheduled").await.read().unwrap();
        assert_eq!(work.number, 1);
        coordinator.stop().await;
    }
}

#[tokio::test]
async fn a_second_answer_is_refused() {
    for bench in benches().await {
        bench.predict("north/p-2/vibration", "high").await;
        let id = bench.only_decision().await.decision_id;
        bench.service.submit(approve(id), "ines").await.unwrap();
        let again = bench.service.submit(approve(id), "tom").await;
        assert!(matches!(again, Err(MaintenanceError::Settled { state: "approved", .. })));
        assert_eq!(bench.said("decision.submitted").await.len(), 1);
        assert!(matches!(
            bench.service.submit(approve(Uuid::nil()), "ines").await,
            Err(MaintenanceError::NoSuchDecision(_))
        ));
    }
}

#[tokio::test]
async fn two_answers_at_once_leave_one() {
    for bench in benches().await {
        bench.predict("north/p-2/vibration", "high").await;
        let id = bench.only_decision().await.decision_id;
        let reject = Submission { decision: DecisionChoice::Reject, ..approve(id) };
        let (one, two) = tokio::join!(
            bench.service.submit(approve(id), "ines"),
            bench.service.submit(reject, "tom")
        );
        assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1);
        assert_eq!(bench.said("decision.submitted").await.len(), 1);
    }
}

#[tokio::test]
async fn a_crash_between_doubles_nothing() {
    for bench in benches().await {
        let event = prediction("north/p-2/vibration", "high").seal("models", START);
        let tx = bench.bus.records().begin().await.unwrap();
        bench.service.on_predicted(&event, &tx).await.unwrap();
        drop(tx);
        assert!(bench.said("decision.requested").await.is_empty());
        let tx = bench.bus.records().begin().await.unwrap();
        bench.service.on_predicted(&event, &tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(bench.said("decision.requested").await.len(), 1);
        assert_eq!(bench.only_decision().await.number, 1);
    }
}

#[tokio::test]
async fn further_predictions_join_the_open_question() {
    for bench in benches().await {
        bench.predict("north/p-2/vibration", "medium").await;
        let later = bench.predict("north/p-2/vibration", "critical").await;
        bench.predict("north/p-2/bearing_temp", "low").await;
        let requested = bench.said("decision.requested").await;
        assert_eq!(requested.len(), 3);
        assert_eq!(requested[0].subject, requested[1].subject);
        let joined: crate::model::Decision = requested[1].read().unwrap();
        assert_eq!((joined.predictions, joined.severity), (2, crate::model::Severity::Critical));
        bench.service.submit(approve(joined.decision_id), "ines").await.unwrap();
        let submitted = bench.said("decision.submitted").await;
        assert_eq!(submitted[0].correlationid, later.correlationid);
        // Answered, so the next prediction asks anew.
        bench.predict("north/p-2/vibration", "medium").await;
        let wanted = DecisionsWanted { limit: 10, ..DecisionsWanted::default() };
        assert_eq!(bench.service.decisions(&wanted).await.unwrap().0.len(), 3);
    }
}

#[tokio::test]
async fn silence_expires_a_question_and_the_past_can_be_seen() {
    for bench in benches().await {
        bench.predict("north/p-2/vibration", "high").await;
        let id = bench.only_decision().await.decision_id;
        assert_eq!(bench.service.lapse_due().await.unwrap(), 0);
        bench.clock.advance(Duration::from_secs(2 * 86_400));
        assert_eq!(bench.service.lapse_due().await.unwrap(), 1);
        assert_eq!(bench.service.lapse_due().await.unwrap(), 0);
        assert_eq!(bench.service.decision(id, None).await.unwrap().state, DecisionState::Expired);

        let then = START.plus(Duration::from_secs(60));
        let waiting = bench.service.decision(id, Some(then)).await.unwrap();
        assert_eq!(waiting.state, DecisionState::Waiting);
        let wanted = DecisionsWanted {
            states: vec![DecisionState::Waiting],
            at: Some(then),
            limit: 10,
            ..DecisionsWanted::default()
        };
        assert_eq!(bench.service.decisions(&wanted).await.unwrap().0.len(), 1);
        let before = START.minus(Duration::from_secs(1));
        assert!(bench.service.decision(id, Some(before)).await.is_err());

        // The next question about it knows that it was dismissed, and two dismissals escalate.
        bench.predict("north/p-2/vibration", "high").await;
        bench.clock.advance(Duration::from_secs(2 * 86_400));
        bench.service.lapse_due().await.unwrap();
        bench.predict("north/p-2/vibration", "high").await;
        let last = bench.said("decision.requested").await.pop().unwrap();
        let third: crate::model::Decision = last.read().unwrap();
        assert_eq!((third.dismissed_before, third.escalated), (2, true));
    }
}

#[tokio::test]
async fn a_report_is_made_once_and_downloaded() {
    for bench in benches().await {
        let work = WorkWanted {
            asset: "north/p-2".to_owned(),
            sensor: None,
            title: "=HYPERLINK(\"evil\")".to_owned(),
            starts_at: START,
            duration: Duration::from_secs(3_600),
            priority: 3,
            skill: "mechanical".to_owned(),
            assignee: Some("Ravi".to_owned()),
            reason: None,
        };
        bench.service.schedule(work.clone(), "ines").await.unwrap();
        let clash = bench.service.schedule(work, "ines").await;
        assert!(matches!(clash, Err(MaintenanceError::Overlap { .. })));

        let wanted = ReportWanted {
            kind: "maintenance".to_owned(),
            format: crate::model::ReportFormat::Csv,
            from: START,
            to: START.plus(Duration::from_secs(10)),
        };
        let asked = bench.service.ask_report(wanted, "ines").await.unwrap();
        assert!(matches!(
            bench.service.report_content(asked.report_id).await,
            Err(MaintenanceError::NotReady { .. })
        ));
        assert!(bench.service.make_report().await.unwrap());
        assert!(!bench.service.make_report().await.unwrap());
        let (report, content) = bench.service.report_content(asked.report_id).await.unwrap();
        assert_eq!(report.rows, Some(1));
        assert!(content.contains("\"'=HYPERLINK(\"\"evil\"\")\""), "{content}");
        assert!(bench.service.calendar_feed().await.unwrap().contains("HYPERLINK"));
    }
}

#[tokio::test]
async fn lists_go_on_where_the_page_ended() {
    for bench in benches().await {
        for measure in ["a", "b", "c"] {
            bench.predict(&format!("north/p-2/{measure}"), "low").await;
        }
        let mut wanted = DecisionsWanted { limit: 2, ..DecisionsWanted::default() };
        let (first, next) = bench.service.decisions(&wanted).await.unwrap();
        assert_eq!(first.iter().map(|d| d.number).collect::<Vec<_>>(), [3, 2]);
        wanted.before = Some(next.unwrap().parse().unwrap());
        let (second, end) = bench.service.decisions(&wanted).await.unwrap();
        assert_eq!((second[0].number, end), (1, None));
    }
}
