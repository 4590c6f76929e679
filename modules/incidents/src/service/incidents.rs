use kernel::{Event, EventType, Timestamp};
use store::records::Tx;
use uuid::Uuid;

use super::{Incidents, Listed, SOURCE, page};
use crate::decide::incidents::{self as decide, Update};
use crate::error::IncidentsError;
use crate::events;
use crate::model::{Alert, Incident, IncidentDetail, IncidentState};
use crate::records::alerts::Stored as StoredAlert;
use crate::records::incidents::{self as table, Stored};
use crate::records::{COUNTERS, HISTORY, alerts, entries};
use crate::sense::timeline;

/// Dismissals that end in one round.
const DUE_MAX: u64 = 100;

#[derive(Clone, Debug, Default)]
pub(crate) struct IncidentsWanted {
    pub(crate) states: Vec<IncidentState>,
    pub(crate) asset: Option<String>,
    pub(crate) at: Option<Timestamp>,
    pub(crate) before: Option<i64>,
    pub(crate) limit: u64,
}

impl Incidents {
    /// Finds or opens the incident of an alarm that rings. `None` when it is too small a thing to
    /// open one.
    pub(super) async fn correlate(
        &self,
        stored: &StoredAlert,
        tx: &Tx,
        now: Timestamp,
    ) -> Result<Option<Uuid>, IncidentsError> {
        let (alert, cause) = (&stored.alert, stored.cause);
        let candidates = table::collecting(tx.conn(), &alert.site).await?;
        let known: Vec<Incident> = candidates.iter().map(|one| one.incident.clone()).collect();
        let home = decide::home(&known, alert, cause.correlation, now);
        let home = home.and_then(|home| {
            candidates.into_iter().find(|one| one.incident.incident_id == home.incident_id)
        });
        if let Some(mut stored) = home {
            stored.incident = decide::collect(stored.incident, alert, cause.correlation, now);
            stored.cause = cause;
            self.say(&mut stored, events::INCIDENT_UPDATED, tx, now).await?;
            return Ok(Some(stored.incident.incident_id));
        }
        if !decide::opens(alert) {
            return Ok(None);
        }
        let number = COUNTERS.next(tx.conn(), table::KIND).await?;
        let incident = decide::open(alert, cause.correlation, Uuid::now_v7(), number, now);
        let id = incident.incident_id;
        let mut stored = Stored { incident, version: 0, cause };
        self.say(&mut stored, events::INCIDENT_CREATED, tx, now).await?;
        Ok(Some(id))
    }

    /// Publishes the incident as it is now, and keeps it.
    async fn say(
        &self,
        stored: &mut Stored,
        kind: EventType,
        tx: &Tx,
        now: Timestamp,
    ) -> Result<(), IncidentsError> {
        let mut draft =
            events::incident(kind, &stored.incident)?.correlated(stored.cause.correlation);
        draft.cause = Some(stored.cause.event);
        self.bus.publish(tx, SOURCE, draft).await?;
        if stored.version == 0 {
            stored.version = 1;
            return table::insert(tx.conn(), stored, now).await;
        }
        table::update(tx.conn(), stored, now).await
    }

    /// Changes the incident if it still is at `seen`.
    pub(crate) async fn update(
        &self,
        id: Uuid,
        seen: i64,
        update: Update,
        actor: &str,
    ) -> Result<(Incident, i64), IncidentsError> {
        let tx = self.begin().await?;
        let mut stored =
            table::find(tx.conn(), id).await?.ok_or(IncidentsError::NoSuchIncident(id))?;
        if stored.version != seen {
            return Err(IncidentsError::Stale { current: stored.version });
        }
        let now = self.now();
        stored.incident =
            decide::update(stored.incident, update, actor, now).map_err(|refusal| {
                IncidentsError::Field { field: refusal.field, reason: refusal.reason.to_owned() }
            })?;
        match self.say(&mut stored, events::INCIDENT_UPDATED, &tx, now).await {
            Err(IncidentsError::Race) => return Err(IncidentsError::Stale { current: seen + 1 }),
            other => other?,
        }
        tx.commit().await?;
        Ok((stored.incident, stored.version))
    }

    /// Ends dismissals whose time is over. Returns how many.
    pub(crate) async fn dismissals_due(&self) -> Result<u64, IncidentsError> {
        let due = table::dismissals_due(self.bus.records().read(), self.now(), DUE_MAX).await?;
        let mut changed = 0;
        for id in due {
            let tx = self.begin().await?;
            let Some(mut stored) = table::find(tx.conn(), id).await? else { continue };
            let stands = alerts::any_stands(tx.conn(), id).await?;
            let now = self.now();
            let Some(lapsed) = decide::lapse(stored.incident.clone(), stands, now) else {
                continue;
            };
            stored.incident = lapsed;
            match self.say(&mut stored, events::INCIDENT_UPDATED, &tx, now).await {
                Ok(()) => tx.commit().await?,
                Err(IncidentsError::Race) => continue,
                Err(error) => return Err(error),
            }
            changed += 1;
        }
        Ok(changed)
    }

    /// Writes the timeline.
    pub(crate) async fn on_any(&self, event: &Event, tx: &Tx) -> Result<(), IncidentsError> {
        match timeline::place(event)? {
            Some(placed) => entries::put(tx.conn(), placed).await,
            None => Ok(()),
        }
    }

    /// The incident with its timeline and its version.
    pub(crate) async fn incident(
        &self,
        id: Uuid,
        at: Option<Timestamp>,
    ) -> Result<(IncidentDetail, i64), IncidentsError> {
        let unknown = || IncidentsError::NoSuchIncident(id);
        let present = table::find(self.bus.records().read(), id).await?.ok_or_else(unknown)?;
        let incident: Incident = match at {
            Some(at) => {
                HISTORY.find_at(self.bus.records().read(), id, at).await?.ok_or_else(unknown)?
            }
            None => present.incident,
        };
        let timeline = entries::of(self.bus.records().read(), &incident, at).await?;
        let mut alerts: Vec<Alert> = Vec::with_capacity(incident.alerts.len());
        for alert in &incident.alerts {
            match self.alert(alert.0, at).await {
                Ok(alert) => alerts.push(alert),
                Err(IncidentsError::NoSuchAlert(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let detail = IncidentDetail { incident: incident.with_alerts(alerts), timeline };
        Ok((detail, present.version))
    }

    pub(crate) async fn incidents(
        &self,
        wanted: &IncidentsWanted,
    ) -> Result<Listed<Incident>, IncidentsError> {
        let states: Vec<&str> = wanted.states.iter().map(|state| state.as_str()).collect();
        let (before, more) = (wanted.before, wanted.limit + 1);
        let items: Vec<Incident> = match wanted.at {
            Some(at) => {
                HISTORY
                    .list_at(self.bus.records().read(), table::KIND, at, &states, before, more)
                    .await?
            }
            None => {
                let asset = wanted.asset.as_deref();
                table::list(self.bus.records().read(), &states, asset, before, more).await?
            }
        };
        Ok(page(items, wanted.limit, |incident| incident.number.to_string()))
    }
}
