use std::time::Duration;

use kernel::{Event, EventType, Timestamp};
use store::records::Tx;
use uuid::Uuid;

use super::{Incidents, Listed, RACES_MAX, SOURCE, page};
use crate::decide::alerts::{self as decide, Effect, Refusal};
use crate::detect::delays::{self, Action, Tracker};
use crate::detect::life::Illegal;
use crate::error::IncidentsError;
use crate::events;
use crate::learn::{self, Ring, Standing};
use crate::model::{Alert, Quality};
use crate::records::alerts::{self as table, Stored, Wanted};
use crate::records::{COUNTERS, HISTORY, rings, trackers};
use crate::sense::{Anomaly, Cause};

/// Alarms that stand longer are stale.
const STALE: Duration = Duration::from_secs(86_400);
/// Trackers and shelvings that time changes in one round.
const DUE_MAX: u64 = 200;

#[derive(Clone, Debug, Default)]
pub(crate) struct AlertsWanted {
    pub(crate) filter: Wanted,
    pub(crate) at: Option<Timestamp>,
    pub(crate) limit: u64,
}

impl Incidents {
    /// What an anomaly means for the alarm of its sensor and rule.
    pub(crate) async fn on_anomaly(&self, event: &Event, tx: &Tx) -> Result<(), IncidentsError> {
        let anomaly: Anomaly = event.read()?;
        let cause = Cause { event: event.id, correlation: event.correlationid };
        let key = trackers::key(&anomaly.sensor, &anomaly.rule);
        let known = trackers::find(tx.conn(), &key).await?;
        let (tracker, actions) = delays::hear(known, anomaly, cause, &self.policy, self.now());
        let ripe_at = delays::ripe_at(&tracker, &self.policy);
        trackers::save(tx.conn(), &key, &tracker, ripe_at).await?;
        for action in actions {
            self.act(&tracker, action, tx).await?;
        }
        Ok(())
    }

    /// Lets silence count: pending alarms ring, returned ones end. Returns how many changed.
    pub(crate) async fn ripen_due(&self) -> Result<u64, IncidentsError> {
        let keys = trackers::ripe(self.bus.records().read(), self.now(), DUE_MAX).await?;
        let mut changed = 0;
        for key in keys {
            let tx = self.begin().await?;
            let Some(mut tracker) = trackers::find(tx.conn(), &key).await? else { continue };
            let now = self.now();
            let Some((phase, action)) = delays::ripen(&tracker, &self.policy, now) else {
                continue;
            };
            tracker.phase = phase;
            let ripe_at = delays::ripe_at(&tracker, &self.policy);
            trackers::save(tx.conn(), &key, &tracker, ripe_at).await?;
            match self.act(&tracker, action, &tx).await {
                Ok(()) => tx.commit().await?,
                // A person changed the alarm in between; the next round takes it.
                Err(IncidentsError::Race) => continue,
                Err(error) => return Err(error),
            }
            changed += 1;
        }
        Ok(changed)
    }

    async fn act(&self, tracker: &Tracker, action: Action, tx: &Tx) -> Result<(), IncidentsError> {
        let anomaly = &tracker.anomaly;
        let current = table::find_current(tx.conn(), &anomaly.sensor, &anomaly.rule).await?;
        match action {
            Action::Raise { at } => self.raise(current, tracker, at, tx).await,
            Action::Worsen => {
                let Some(mut stored) = current else { return Ok(()) };
                let (alert, effect) = decide::worsen(stored.alert, anomaly);
                stored.alert = alert;
                stored.cause = tracker.cause;
                self.settle(stored, effect, tx).await
            }
            Action::Return { at } => {
                let Some(mut stored) = current else { return Ok(()) };
                let (alert, effect) = decide::clear(stored.alert, at);
                stored.alert = alert;
                stored.cause = tracker.cause;
                self.settle(stored, effect, tx).await
            }
        }
    }

    async fn raise(
        &self,
        current: Option<Stored>,
        tracker: &Tracker,
        at: Timestamp,
        tx: &Tx,
    ) -> Result<(), IncidentsError> {
        let (anomaly, cause) = (&tracker.anomaly, tracker.cause);
        if let Some(stored) = current {
            if decide::is_same(&stored.alert, at, &self.policy) {
                let (alert, effect) = decide::raise(stored.alert.clone(), anomaly, at);
                return self.settle(Stored { alert, cause, ..stored }, effect, tx).await;
            }
            table::make_past(tx.conn(), stored.alert.alert_id).await?;
        }
        let number = COUNTERS.next(tx.conn(), table::KIND).await?;
        let fresh = decide::fresh(anomaly, Uuid::now_v7(), number);
        let (alert, effect) = decide::raise(fresh, anomaly, at);
        self.settle(Stored { alert, version: 0, cause, current: true }, effect, tx).await
    }

    /// Keeps the alarm as it is now, finds its incident when it rings, and tells others.
    async fn settle(
        &self,
        mut stored: Stored,
        effect: Effect,
        tx: &Tx,
    ) -> Result<(), IncidentsError> {
        let Some(kind) = said_as(effect) else { return Ok(()) };
        let now = self.now();
        let mut is_new_call = false;
        if effect == Effect::Annunciate {
            let Alert { alert_id, raised_at, priority, .. } = stored.alert;
            is_new_call = !rings::worsen(tx.conn(), alert_id, raised_at, priority).await?;
            if is_new_call {
                let count = decide::CHATTER_COUNT as u64;
                let mut raises = rings::newest(tx.conn(), alert_id, count).await?;
                raises.insert(0, raised_at);
                stored.alert.chattering = decide::is_chattering(&raises);
            }
            stored.alert.incident_id = self.correlate(&stored, tx, now).await?;
        }
        let mut draft = events::alert(kind, &stored.alert)?.correlated(stored.cause.correlation);
        draft.cause = Some(stored.cause.event);
        let said = self.bus.publish(tx, SOURCE, draft).await?;
        if is_new_call {
            let ring = Ring {
                at: now,
                plant: stored.alert.raised_at,
                sensor: stored.alert.sensor.clone(),
                priority: stored.alert.priority,
            };
            rings::add(tx.conn(), said.id, stored.alert.alert_id, &ring).await?;
        }
        if stored.version == 0 {
            stored.version = 1;
            return table::insert(tx.conn(), &stored, now).await;
        }
        table::update(tx.conn(), &mut stored, now).await
    }

    pub(crate) async fn acknowledge(
        &self,
        id: Uuid,
        actor: &str,
        note: Option<&str>,
    ) -> Result<Alert, IncidentsError> {
        self.change(id, |alert, now| {
            decide::acknowledge(alert, actor, note.map(str::to_owned), now)
        })
        .await
    }

    pub(crate) async fn shelve(
        &self,
        id: Uuid,
        actor: &str,
        reason: &str,
        until: Timestamp,
    ) -> Result<Alert, IncidentsError> {
        self.change(id, |alert, now| decide::shelve(alert, actor, reason, until, now)).await
    }

    pub(crate) async fn unshelve(&self, id: Uuid) -> Result<Alert, IncidentsError> {
        self.change(id, |alert, _| decide::unshelve(alert)).await
    }

    pub(crate) async fn resolve(
        &self,
        id: Uuid,
        actor: &str,
        resolution: &str,
    ) -> Result<Alert, IncidentsError> {
        self.change(id, |alert, now| decide::resolve(alert, actor, resolution, now)).await
    }

    /// Ends shelvings whose time is over. Returns how many.
    pub(crate) async fn unshelve_due(&self) -> Result<u64, IncidentsError> {
        let due = table::unshelve_due(self.bus.records().read(), self.now(), DUE_MAX).await?;
        let mut changed = 0;
        for id in due {
            match self.unshelve(id).await {
                Ok(_) => changed += 1,
                // A person was quicker.
                Err(IncidentsError::WrongState { .. } | IncidentsError::Race) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(changed)
    }

    /// Changes an alarm as a person wishes, again when the plant changed it meanwhile.
    async fn change(
        &self,
        id: Uuid,
        wish: impl Fn(Alert, Timestamp) -> Result<(Alert, Effect), Refusal>,
    ) -> Result<Alert, IncidentsError> {
        for _ in 0..RACES_MAX {
            let tx = self.begin().await?;
            let stored =
                table::find(tx.conn(), id).await?.ok_or(IncidentsError::NoSuchAlert(id))?;
            let (alert, effect) = wish(stored.alert.clone(), self.now())
                .map_err(|refusal| refused(refusal, &stored.alert))?;
            match self.settle(Stored { alert, ..stored }, effect, &tx).await {
                Ok(()) => {
                    tx.commit().await?;
                    return self.alert(id, None).await;
                }
                Err(IncidentsError::Race) => {}
                Err(error) => return Err(error),
            }
        }
        Err(IncidentsError::Race)
    }

    pub(crate) async fn alert(
        &self,
        id: Uuid,
        at: Option<Timestamp>,
    ) -> Result<Alert, IncidentsError> {
        let found = match at {
            Some(at) => HISTORY.find_at(self.bus.records().read(), id, at).await?,
            None => table::find(self.bus.records().read(), id).await?.map(|stored| stored.alert),
        };
        found.ok_or(IncidentsError::NoSuchAlert(id))
    }

    pub(crate) async fn alerts(
        &self,
        wanted: &AlertsWanted,
    ) -> Result<Listed<Alert>, IncidentsError> {
        let items = match wanted.at {
            Some(at) => self.alerts_at(wanted, at).await?,
            None => {
                table::list(self.bus.records().read(), &wanted.filter, wanted.limit + 1).await?
            }
        };
        Ok(page(items, wanted.limit, |alert| alert.number.to_string()))
    }

    /// The history knows states only; the other filters are applied to what it gives, page by
    /// page until the answer is full.
    async fn alerts_at(
        &self,
        wanted: &AlertsWanted,
        at: Timestamp,
    ) -> Result<Vec<Alert>, IncidentsError> {
        const CHUNK: u64 = 500;
        let filter = &wanted.filter;
        let states: Vec<&str> = filter.state.iter().map(|state| state.as_str()).collect();
        let enough = usize::try_from(wanted.limit + 1).unwrap_or(usize::MAX);
        let (mut before, mut found) = (filter.before, Vec::new());
        loop {
            let chunk: Vec<Alert> = HISTORY
                .list_at(self.bus.records().read(), table::KIND, at, &states, before, CHUNK)
                .await?;
            let more = chunk.len() as u64 == CHUNK;
            before = chunk.last().map(|alert| alert.number);
            found.extend(chunk.into_iter().filter(|alert| passes(alert, filter)));
            if !more || found.len() >= enough {
                found.truncate(enough);
                return Ok(found);
            }
        }
    }

    pub(crate) async fn alarm_quality(&self, window: Duration) -> Result<Quality, IncidentsError> {
        let now = self.now();
        let rings = rings::between(self.bus.records().read(), now.minus(window), now).await?;
        let (all, stale) = table::standing(self.bus.records().read(), now.minus(STALE)).await?;
        Ok(learn::quality(&rings, Standing { all, stale }, window, now))
    }
}

fn passes(alert: &Alert, filter: &Wanted) -> bool {
    filter.active.is_none_or(|active| alert.active == active)
        && filter.priority.is_none_or(|priority| alert.priority == priority)
        && filter.asset.as_ref().is_none_or(|asset| alert.asset == *asset)
        && filter.sensor.as_ref().is_none_or(|sensor| alert.sensor == *sensor)
}

/// The event that tells of an effect. What changes under a hold is told as part of the hold.
fn said_as(effect: Effect) -> Option<EventType> {
    match effect {
        Effect::Nothing => None,
        Effect::Annunciate => Some(events::ALERT_CREATED),
        Effect::Acknowledged => Some(events::ALERT_ACKNOWLEDGED),
        Effect::Cleared => Some(events::ALERT_CLEARED),
        Effect::Held | Effect::Quiet => Some(events::ALERT_SHELVED),
        Effect::Resolved => Some(events::ALERT_RESOLVED),
    }
}

fn refused(refusal: Refusal, alert: &Alert) -> IncidentsError {
    match refusal {
        Refusal::Field { field, reason } => {
            IncidentsError::Field { field, reason: reason.to_owned() }
        }
        Refusal::Illegal(illegal) => IncidentsError::WrongState {
            number: alert.number,
            state: alert.state,
            hint: match illegal {
                Illegal::Held => "Unshelve it first.",
                Illegal::NotHeld => "It is not shelved.",
                Illegal::Over => "It is over.",
            },
        },
    }
}
