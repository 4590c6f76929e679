use kernel::{Event, Timestamp};
use serde::Deserialize;
use store::records::Tx;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Listed, Maintenance, RACES_MAX, SOURCE, page};
use crate::decide::{self, Answer, Choice, Fresh, Refusal};
use crate::error::MaintenanceError;
use crate::events;
use crate::model::{Decision, DecisionState};
use crate::records::decisions::{self as table, Stored};
use crate::records::{COUNTERS, HISTORY};
use crate::sense::Predicted;

/// Decisions that time changes in one round; the next round takes the rest.
const LAPSES_MAX: u64 = 100;

/// A person's answer to a decision.
#[derive(Clone, Debug)]
pub struct Submission {
    pub decision_id: Uuid,
    pub decision: DecisionChoice,
    pub reason: String,
    pub deferred_until: Option<Timestamp>,
    pub starts_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecisionChoice {
    Approve,
    Reject,
    Defer,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct DecisionsWanted {
    pub(crate) states: Vec<DecisionState>,
    pub(crate) at: Option<Timestamp>,
    pub(crate) before: Option<i64>,
    pub(crate) limit: u64,
}

impl Maintenance {
    /// A prediction raises a question, or joins the one that is open about the same sensor.
    pub(crate) async fn on_predicted(
        &self,
        event: &Event,
        tx: &Tx,
    ) -> Result<(), MaintenanceError> {
        let predicted: Predicted = event.read()?;
        if !decide::is_worth_asking(&predicted) {
            return Ok(());
        }
        let now = self.now();
        let open = table::find_open(tx.conn(), &predicted.asset, &predicted.sensor).await?;
        match open {
            Some(stored) => self.attach(stored, &predicted, event, tx, now).await,
            None => self.ask(&predicted, event, tx, now).await,
        }
    }

    async fn ask(
        &self,
        predicted: &Predicted,
        event: &Event,
        tx: &Tx,
        now: Timestamp,
    ) -> Result<(), MaintenanceError> {
        let since = now.minus(decide::DISMISSALS_LOOK_BACK);
        let fresh = Fresh {
            id: Uuid::now_v7(),
            number: COUNTERS.next(tx.conn(), table::KIND).await?,
            dismissed_before: table::dismissals(tx.conn(), &predicted.sensor, since).await?,
        };
        let decision = decide::request(predicted, event.data.clone(), fresh, now);
        let draft = events::decision(events::DECISION_REQUESTED, &decision)?.caused_by(event);
        let said = self.bus.publish(tx, SOURCE, draft).await?;
        let stored =
            Stored { decision, version: 1, correlation: event.correlationid, cause: said.id };
        table::insert(tx.conn(), &stored, now).await
    }

    async fn attach(
        &self,
        mut stored: Stored,
        predicted: &Predicted,
        event: &Event,
        tx: &Tx,
        now: Timestamp,
    ) -> Result<(), MaintenanceError> {
        stored.decision = decide::attach(stored.decision, predicted, event.data.clone(), now);
        let draft =
            events::decision(events::DECISION_REQUESTED, &stored.decision)?.caused_by(event);
        let said = self.bus.publish(tx, SOURCE, draft).await?;
        stored.correlation = event.correlationid;
        stored.cause = said.id;
        table::update(tx.conn(), &mut stored, now).await
    }

    /// Settles or puts off a decision, as `actor`.
    ///
    /// # Errors
    /// When there is no such decision, it has its answer, or the answer lacks something.
    pub async fn submit(
        &self,
        submission: Submission,
        actor: &str,
    ) -> Result<Decision, MaintenanceError> {
        for _ in 0..RACES_MAX {
            match self.try_submit(&submission, actor).await {
                Err(MaintenanceError::Race) => {}
                done => return done,
            }
        }
        Err(MaintenanceError::Race)
    }

    async fn try_submit(
        &self,
        submission: &Submission,
        actor: &str,
    ) -> Result<Decision, MaintenanceError> {
        let tx = self.begin().await?;
        let id = submission.decision_id;
        let mut stored =
            table::find(tx.conn(), id).await?.ok_or(MaintenanceError::NoSuchDecision(id))?;
        let number = stored.decision.number;
        let now = self.now();
        let answer = Answer {
            actor: actor.to_owned(),
            choice: match submission.decision {
                DecisionChoice::Approve => Choice::Approve,
                DecisionChoice::Reject => Choice::Reject,
                DecisionChoice::Defer => Choice::Defer,
            },
            reason: submission.reason.clone(),
            deferred_until: submission.deferred_until,
            starts_at: submission.starts_at,
        };
        stored.decision = decide::answer(stored.decision, answer, now)
            .map_err(|refusal| refused(refusal, number))?;
        self.say_settled(&mut stored, &tx, now).await?;
        tx.commit().await?;
        Ok(stored.decision)
    }

    /// Publishes the answer in the chain of the question, and keeps it.
    async fn say_settled(
        &self,
        stored: &mut Stored,
        tx: &Tx,
        now: Timestamp,
    ) -> Result<(), MaintenanceError> {
        let mut draft = events::decision(events::DECISION_SUBMITTED, &stored.decision)?
            .correlated(stored.correlation);
        draft.cause = Some(stored.cause);
        self.bus.publish(tx, SOURCE, draft).await?;
        table::update(tx.conn(), stored, now).await
    }

    /// Expires what nobody answered and asks deferred questions again. Returns how many changed.
    pub(crate) async fn lapse_due(&self) -> Result<u64, MaintenanceError> {
        let due = table::due(self.bus.records().read(), self.now(), LAPSES_MAX).await?;
        let mut changed = 0;
        for id in due {
            match self.lapse(id).await {
                Ok(lapsed) => changed += u64::from(lapsed),
                // A person was quicker.
                Err(MaintenanceError::Race) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(changed)
    }

    async fn lapse(&self, id: Uuid) -> Result<bool, MaintenanceError> {
        let tx = self.begin().await?;
        let Some(mut stored) = table::find(tx.conn(), id).await? else { return Ok(false) };
        let now = self.now();
        let Some(lapsed) = decide::lapse(stored.decision.clone(), now) else { return Ok(false) };
        stored.decision = lapsed;
        if stored.decision.state == DecisionState::Expired {
            self.say_settled(&mut stored, &tx, now).await?;
        } else {
            let mut draft = events::decision(events::DECISION_REQUESTED, &stored.decision)?
                .correlated(stored.correlation);
            draft.cause = Some(stored.cause);
            stored.cause = self.bus.publish(&tx, SOURCE, draft).await?.id;
            table::update(tx.conn(), &mut stored, now).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    pub(crate) async fn decision(
        &self,
        id: Uuid,
        at: Option<Timestamp>,
    ) -> Result<Decision, MaintenanceError> {
        let found = match at {
            Some(at) => HISTORY.find_at(self.bus.records().read(), id, at).await?,
            None => table::find(self.bus.records().read(), id).await?.map(|stored| stored.decision),
        };
        found.ok_or(MaintenanceError::NoSuchDecision(id))
    }

    pub(crate) async fn decisions(
        &self,
        wanted: &DecisionsWanted,
    ) -> Result<Listed<Decision>, MaintenanceError> {
        let states: Vec<&str> = wanted.states.iter().map(|state| state.as_str()).collect();
        let (before, more) = (wanted.before, wanted.limit + 1);
        let items = match wanted.at {
            Some(at) => {
                HISTORY
                    .list_at(self.bus.records().read(), table::KIND, at, &states, before, more)
                    .await?
            }
            None => table::list(self.bus.records().read(), &states, before, more).await?,
        };
        Ok(page(items, wanted.limit, |decision| decision.number.to_string()))
    }
}

fn refused(refusal: Refusal, number: i64) -> MaintenanceError {
    match refusal {
        Refusal::Settled { state, by } => {
            MaintenanceError::Settled { number, state: state.as_str(), by }
        }
        Refusal::Expired { .. } => {
            MaintenanceError::Settled { number, state: DecisionState::Expired.as_str(), by: None }
        }
        Refusal::Field { field, reason } => {
            MaintenanceError::Field { field, reason: reason.to_owned() }
        }
    }
}
