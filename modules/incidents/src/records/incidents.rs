use kernel::{CorrelationId, EventId, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{QueryOrder, QuerySelect};
use store::records::{Change, RecordsError, Version};

use super::{HISTORY, from_body};
use crate::error::IncidentsError;
use crate::model::{Incident, IncidentState};
use crate::sense::Cause;

pub(crate) const KIND: &str = "incident";
/// Incidents of one site looked at for a home of an alarm.
const COLLECTING_MAX: u64 = 500;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "incidents_incidents")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub number: i64,
    pub version: i64,
    pub state: String,
    pub site: String,
    pub asset: String,
    pub dismissed_until: Option<i64>,
    pub correlation: String,
    pub cause: String,
    pub body: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(super) fn schema() -> Vec<Change> {
    vec![
        Change::Table(
            Table::create()
                .table(Entity)
                .col(ColumnDef::new(Column::Id).string().not_null().primary_key())
                .col(ColumnDef::new(Column::Number).big_integer().not_null().unique_key())
                .col(ColumnDef::new(Column::Version).big_integer().not_null())
                .col(ColumnDef::new(Column::State).string().not_null())
                .col(ColumnDef::new(Column::Site).string().not_null())
                .col(ColumnDef::new(Column::Asset).string().not_null())
                .col(ColumnDef::new(Column::DismissedUntil).big_integer())
                .col(ColumnDef::new(Column::Correlation).string().not_null())
                .col(ColumnDef::new(Column::Cause).string().not_null())
                .col(ColumnDef::new(Column::Body).text().not_null())
                .to_owned(),
        ),
        Change::index(
            "incidents_incidents_state",
            Entity,
            [Column::State, Column::Site, Column::Number],
        ),
        Change::index("incidents_incidents_dismissed", Entity, [Column::DismissedUntil]),
    ]
}

/// An incident with what the module keeps beside it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) incident: Incident,
    pub(crate) version: i64,
    pub(crate) cause: Cause,
}

pub(crate) async fn insert(
    conn: &impl ConnectionTrait,
    stored: &Stored,
    now: Timestamp,
) -> Result<(), IncidentsError> {
    Entity::insert(active(stored)?).exec_without_returning(conn).await?;
    remember(conn, stored, now).await
}

pub(crate) async fn update(
    conn: &impl ConnectionTrait,
    stored: &mut Stored,
    now: Timestamp,
) -> Result<(), IncidentsError> {
    let seen = stored.version;
    stored.version += 1;
    let done = Entity::update_many()
        .set(active(stored)?)
        .filter(Column::Id.eq(stored.incident.incident_id.to_string()))
        .filter(Column::Version.eq(seen))
        .exec(conn)
        .await?;
    if done.rows_affected == 0 {
        return Err(IncidentsError::Race);
    }
    remember(conn, stored, now).await
}

pub(crate) async fn find(
    conn: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<Stored>, IncidentsError> {
    Entity::find_by_id(id.to_string()).one(conn).await?.map(stored).transpose()
}

/// The incidents of a site that may still collect alarms, newest first.
pub(crate) async fn collecting(
    conn: &impl ConnectionTrait,
    site: &str,
) -> Result<Vec<Stored>, IncidentsError> {
    let rows = Entity::find()
        .filter(Column::State.is_in([
            IncidentState::Open.as_str(),
            IncidentState::Investigating.as_str(),
            IncidentState::Dismissed.as_str(),
        ]))
        .filter(Column::Site.eq(site))
        .order_by_desc(Column::Number)
        .limit(COLLECTING_MAX)
        .all(conn)
        .await?;
    rows.into_iter().map(stored).collect()
}

pub(crate) async fn dismissals_due(
    conn: &impl ConnectionTrait,
    now: Timestamp,
    limit: u64,
) -> Result<Vec<Uuid>, IncidentsError> {
    let rows = Entity::find()
        .filter(Column::DismissedUntil.lte(now.as_micros()))
        .order_by_asc(Column::DismissedUntil)
        .limit(limit)
        .all(conn)
        .await?;
    rows.into_iter().map(|row| stored(row).map(|one| one.incident.incident_id)).collect()
}

pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    states: &[&str],
    asset: Option<&str>,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<Incident>, IncidentsError> {
    let mut query = Entity::find().order_by_desc(Column::Number).limit(limit);
    if !states.is_empty() {
        query = query.filter(Column::State.is_in(states.iter().copied()));
    }
    if let Some(asset) = asset {
        query = query.filter(Column::Asset.eq(asset));
    }
    if let Some(before) = before {
        query = query.filter(Column::Number.lt(before));
    }
    let rows = query.all(conn).await?;
    rows.into_iter().map(|row| stored(row).map(|one| one.incident)).collect()
}

async fn remember(
    conn: &impl ConnectionTrait,
    stored: &Stored,
    now: Timestamp,
) -> Result<(), IncidentsError> {
    let version = Version {
        kind: KIND,
        id: stored.incident.incident_id,
        number: stored.incident.number,
        version: stored.version,
        state: stored.incident.state.as_str(),
    };
    Ok(HISTORY.keep(conn, version, &stored.incident, now).await?)
}

fn active(stored: &Stored) -> Result<ActiveModel, IncidentsError> {
    let incident = &stored.incident;
    let dismissed = (incident.state == IncidentState::Dismissed)
        .then_some(incident.dismissal.as_ref())
        .flatten()
        .map(|dismissal| dismissal.until.as_micros());
    Ok(ActiveModel {
        id: Set(incident.incident_id.to_string()),
        number: Set(incident.number),
        version: Set(stored.version),
        state: Set(incident.state.as_str().to_owned()),
        site: Set(incident.site.clone()),
        asset: Set(incident.asset.clone()),
        dismissed_until: Set(dismissed),
        correlation: Set(stored.cause.correlation.to_string()),
        cause: Set(stored.cause.event.to_string()),
        body: Set(serde_json::to_string(incident)?),
    })
}

fn stored(row: Model) -> Result<Stored, IncidentsError> {
    let damaged = |error: uuid::Error| {
        IncidentsError::Records(RecordsError::Damaged {
            field: "incidents_incidents.cause",
            reason: error.to_string(),
        })
    };
    let correlation: CorrelationId = row.correlation.parse().map_err(damaged)?;
    let event: EventId = row.cause.parse().map_err(damaged)?;
    Ok(Stored {
        incident: from_body("incidents_incidents.body", &row.body)?,
        version: row.version,
        cause: Cause { event, correlation },
    })
}
