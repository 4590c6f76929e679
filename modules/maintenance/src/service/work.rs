use std::time::Duration;

use kernel::{CorrelationId, Event, Timestamp};
use store::records::Tx;
use uuid::Uuid;

use super::{Listed, Maintenance, RACES_MAX, SOURCE, page};
use crate::act::{calendar, slots};
use crate::error::MaintenanceError;
use crate::events;
use crate::model::{
    Completion, Decision, DecisionState, FailureCause, FailureMechanism, FailureMode, LogEntry,
    Origin, Verdict, WorkOrder, WorkState,
};
use crate::records::work::{self as table, Stored, Wanted};
use crate::records::{COUNTERS, HISTORY, log};

/// Work orders in the calendar feed.
const FEED_MAX: u64 = 1_000;
/// Finished work stays in the feed so long.
const FEED_LOOK_BACK: Duration = Duration::from_secs(30 * 86_400);
/// Work may be entered up to so long after it began.
const STARTED_AGO_MAX: Duration = Duration::from_secs(86_400);

/// Work that a person schedules without a decision.
#[derive(Clone, Debug)]
pub(crate) struct WorkWanted {
    pub(crate) asset: String,
    pub(crate) sensor: Option<String>,
    pub(crate) title: String,
    pub(crate) starts_at: Timestamp,
    pub(crate) duration: Duration,
    pub(crate) priority: i32,
    pub(crate) skill: String,
    pub(crate) assignee: Option<String>,
    pub(crate) reason: Option<String>,
}

/// What was found when the work was done.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    pub(crate) failure_mode: Option<FailureMode>,
    pub(crate) failure_mechanism: Option<FailureMechanism>,
    pub(crate) failure_cause: Option<FailureCause>,
    pub(crate) notes: String,
}

impl Maintenance {
    /// An approved decision becomes a work order with a place in the calendar.
    pub(crate) async fn on_submitted(
        &self,
        event: &Event,
        tx: &Tx,
    ) -> Result<(), MaintenanceError> {
        let decision: Decision = event.read()?;
        if decision.state != DecisionState::Approved {
            return Ok(());
        }
        if table::exists_for(tx.conn(), decision.decision_id).await? {
            return Ok(());
        }
        let now = self.now();
        if let Some(at) = decision.approval_expires_at.filter(|at| *at < now) {
            return Err(MaintenanceError::ApprovalExpired { number: decision.number, at });
        }
        let bookings = table::bookings(tx.conn(), now).await?;
        let wanted = slots::Wanted {
            skill: &decision.proposal.skill,
            duration: hours(decision.proposal.duration_h),
            priority: decision.severity.priority(),
            due_from: decision.proposal.due_from,
            due_to: decision.proposal.due_to,
            starts_at: decision.starts_at,
        };
        let slot = slots::place(&self.calendar, &bookings, wanted, now);
        let number = COUNTERS.next(tx.conn(), table::KIND).await?;
        let work = slots::work_order(&decision, slot, Uuid::now_v7(), number, now);
        let draft = events::work(events::MAINTENANCE_SCHEDULED, &work)?.caused_by(event);
        let said = self.bus.publish(tx, SOURCE, draft).await?;
        let stored =
            Stored { work, version: 1, correlation: event.correlationid, cause: Some(said.id) };
        table::insert(tx.conn(), &stored, now).await
    }

    pub(crate) async fn schedule(
        &self,
        wanted: WorkWanted,
        actor: &str,
    ) -> Result<WorkOrder, MaintenanceError> {
        for _ in 0..RACES_MAX {
            match self.try_schedule(&wanted, actor).await {
                Err(MaintenanceError::Race) => {}
                done => return done,
            }
        }
        Err(MaintenanceError::Race)
    }

    async fn try_schedule(
        &self,
        wanted: &WorkWanted,
        actor: &str,
    ) -> Result<WorkOrder, MaintenanceError> {
        let now = self.now();
        if wanted.starts_at < now.minus(STARTED_AGO_MAX) {
            let reason = "the start lies more than a day in the past".to_owned();
            return Err(MaintenanceError::Field { field: "starts_at", reason });
        }
        let ends_at = wanted.starts_at.plus(wanted.duration);
        let tx = self.begin().await?;
        let bookings = table::bookings(tx.conn(), wanted.starts_at).await?;
        let free = |name: &str| slots::is_free(&bookings, name, wanted.starts_at, ends_at);
        let assignee = match &wanted.assignee {
            Some(name) if !free(name) => {
                return Err(MaintenanceError::Overlap { assignee: name.clone() });
            }
            Some(name) => Some(name.clone()),
            None => {
                let mut able = self.calendar.assignees.iter();
                able.find(|one| one.skills.contains(&wanted.skill) && free(&one.name))
                    .map(|one| one.name.clone())
            }
        };
        let work = WorkOrder {
            work_id: Uuid::now_v7(),
            number: COUNTERS.next(tx.conn(), table::KIND).await?,
            decision_id: None,
            asset: wanted.asset.clone(),
            sensor: wanted.sensor.clone(),
            title: wanted.title.clone(),
            state: WorkState::Scheduled,
            priority: wanted.priority,
            starts_at: wanted.starts_at,
            ends_at,
            assignee,
            skill: wanted.skill.clone(),
            severity: slots::severity_of(wanted.priority),
            completion: None,
            created_at: now,
            approved_by: actor.to_owned(),
            reason: wanted.reason.clone(),
            late: false,
            anomaly_id: None,
            origin: Origin::Real,
        };
        let correlation = CorrelationId::new();
        let draft = events::work(events::MAINTENANCE_SCHEDULED, &work)?.correlated(correlation);
        let said = self.bus.publish(&tx, SOURCE, draft).await?;
        let stored = Stored { work, version: 1, correlation, cause: Some(said.id) };
        table::insert(tx.conn(), &stored, now).await?;
        tx.commit().await?;
        Ok(stored.work)
    }

    pub(crate) async fn complete(
        &self,
        id: Uuid,
        finding: &Finding,
        actor: &str,
    ) -> Result<WorkOrder, MaintenanceError> {
        for _ in 0..RACES_MAX {
            match self.try_complete(id, finding, actor).await {
                Err(MaintenanceError::Race) => {}
                done => return done,
            }
        }
        Err(MaintenanceError::Race)
    }

    async fn try_complete(
        &self,
        id: Uuid,
        finding: &Finding,
        actor: &str,
    ) -> Result<WorkOrder, MaintenanceError> {
        let tx = self.begin().await?;
        let mut stored =
            table::find(tx.conn(), id).await?.ok_or(MaintenanceError::NoSuchWork(id))?;
        if stored.work.state != WorkState::Scheduled {
            let (number, state) = (stored.work.number, stored.work.state.as_str());
            return Err(MaintenanceError::WorkSettled { number, state });
        }
        let now = self.now();
        stored.work.state = WorkState::Completed;
        stored.work.completion = Some(Completion {
            completed_at: now,
            completed_by: actor.to_owned(),
            verdict: finding.verdict,
            failure_mode: finding.failure_mode,
            failure_mechanism: finding.failure_mechanism,
            failure_cause: finding.failure_cause,
            notes: finding.notes.clone(),
        });
        let mut draft = events::work(events::MAINTENANCE_COMPLETED, &stored.work)?
            .correlated(stored.correlation);
        draft.cause = stored.cause;
        self.bus.publish(&tx, SOURCE, draft).await?;
        table::update(tx.conn(), &mut stored, now).await?;
        tx.commit().await?;
        Ok(stored.work)
    }

    /// Writes the maintenance log.
    pub(crate) async fn on_work(&self, event: &Event, tx: &Tx) -> Result<(), MaintenanceError> {
        let work: WorkOrder = event.read()?;
        log::add(tx.conn(), &entry(event, work)).await
    }

    pub(crate) async fn work_order(
        &self,
        id: Uuid,
        at: Option<Timestamp>,
    ) -> Result<WorkOrder, MaintenanceError> {
        let found = match at {
            Some(at) => HISTORY.find_at(self.bus.records().read(), id, at).await?,
            None => table::find(self.bus.records().read(), id).await?.map(|stored| stored.work),
        };
        found.ok_or(MaintenanceError::NoSuchWork(id))
    }

    pub(crate) async fn work_orders(
        &self,
        wanted: &Wanted,
        at: Option<Timestamp>,
        limit: u64,
    ) -> Result<Listed<WorkOrder>, MaintenanceError> {
        let items = match at {
            Some(at) => {
                let states: Vec<&str> = wanted.state.iter().map(|state| state.as_str()).collect();
                let (kind, before) = (table::KIND, wanted.before);
                HISTORY
                    .list_at(self.bus.records().read(), kind, at, &states, before, limit + 1)
                    .await?
            }
            None => table::list(self.bus.records().read(), wanted, limit + 1).await?,
        };
        Ok(page(items, limit, |work| work.number.to_string()))
    }

    pub(crate) async fn logs(
        &self,
        asset: Option<&str>,
        before: Option<Uuid>,
        limit: u64,
    ) -> Result<Listed<LogEntry>, MaintenanceError> {
        let items = log::list(self.bus.records().read(), asset, before, limit + 1).await?;
        Ok(page(items, limit, |entry| entry.event_id.to_string()))
    }

    pub(crate) async fn calendar_feed(&self) -> Result<String, MaintenanceError> {
        let now = self.now();
        let wanted = Wanted { starts_from: Some(now.minus(FEED_LOOK_BACK)), ..Wanted::default() };
        let work = table::list(self.bus.records().read(), &wanted, FEED_MAX).await?;
        Ok(calendar::feed(&work, now))
    }
}

fn entry(event: &Event, work: WorkOrder) -> LogEntry {
    let who = work.assignee.as_deref().unwrap_or("nobody yet");
    let (what, actor, detail) = match &work.completion {
        Some(done) => ("completed", done.completed_by.clone(), done.notes.clone()),
        None => {
            let starts = work.starts_at;
            ("scheduled", work.approved_by.clone(), format!("starts {starts}, {who}"))
        }
    };
    LogEntry {
        event_id: event.id.0,
        at: event.time,
        what: what.to_owned(),
        work_id: work.work_id,
        number: work.number,
        asset: work.asset,
        title: work.title,
        actor,
        detail,
        verdict: work.completion.map(|done| done.verdict),
    }
}

/// Hours as a span; what is no sensible number of hours becomes one.
fn hours(hours: f64) -> Duration {
    const HOURS_MAX: f64 = 24.0 * 30.0;
    let sensible = if hours.is_finite() && hours > 0.0 { hours.min(HOURS_MAX) } else { 1.0 };
    Duration::from_secs_f64(sensible * 3_600.0)
}
