use kernel::{CorrelationId, EventId, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{PaginatorTrait, QueryOrder, QuerySelect};
use store::records::{Change, RecordsError, Version};

use super::{HISTORY, from_body};
use crate::error::IncidentsError;
use crate::model::{Alert, AlertState};
use crate::sense::Cause;

pub(crate) const KIND: &str = "alert";

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "incidents_alerts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub number: i64,
    pub version: i64,
    pub state: String,
    pub active: bool,
    pub priority: i32,
    pub asset: String,
    pub sensor: String,
    pub incident_id: Option<String>,
    pub raised_at: i64,
    /// Set on the newest alarm of a sensor and a rule: the one that an anomaly may raise again.
    pub current_key: Option<String>,
    pub shelved_until: Option<i64>,
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
                .col(ColumnDef::new(Column::Active).boolean().not_null())
                .col(ColumnDef::new(Column::Priority).integer().not_null())
                .col(ColumnDef::new(Column::Asset).string().not_null())
                .col(ColumnDef::new(Column::Sensor).string().not_null())
                .col(ColumnDef::new(Column::IncidentId).string())
                .col(ColumnDef::new(Column::RaisedAt).big_integer().not_null())
                .col(ColumnDef::new(Column::CurrentKey).string().unique_key())
                .col(ColumnDef::new(Column::ShelvedUntil).big_integer())
                .col(ColumnDef::new(Column::Correlation).string().not_null())
                .col(ColumnDef::new(Column::Cause).string().not_null())
                .col(ColumnDef::new(Column::Body).text().not_null())
                .to_owned(),
        ),
        Change::index("incidents_alerts_state", Entity, [Column::State, Column::Number]),
        Change::index("incidents_alerts_active", Entity, [Column::Active, Column::Number]),
        Change::index("incidents_alerts_incident", Entity, [Column::IncidentId]),
        Change::index("incidents_alerts_shelved", Entity, [Column::ShelvedUntil]),
    ]
}

/// An alarm with what the module keeps beside it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) alert: Alert,
    pub(crate) version: i64,
    /// The chain and the event it newest came from: what people's acts continue.
    pub(crate) cause: Cause,
    /// It is the newest alarm of its sensor and rule.
    pub(crate) current: bool,
}

/// Which alarms a list shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) state: Option<AlertState>,
    pub(crate) active: Option<bool>,
    pub(crate) priority: Option<i32>,
    pub(crate) asset: Option<String>,
    pub(crate) sensor: Option<String>,
    pub(crate) incident: Option<Uuid>,
    pub(crate) before: Option<i64>,
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
        .filter(Column::Id.eq(stored.alert.alert_id.to_string()))
        .filter(Column::Version.eq(seen))
        .exec(conn)
        .await?;
    if done.rows_affected == 0 {
        return Err(IncidentsError::Race);
    }
    remember(conn, stored, now).await
}

/// The alarm gives its place to a newer one of the same sensor and rule. Not a change of the
/// alarm itself, so no version of it.
pub(crate) async fn make_past(conn: &impl ConnectionTrait, id: Uuid) -> Result<(), IncidentsError> {
    Entity::update_many()
        .col_expr(Column::CurrentKey, sea_orm::sea_query::Expr::value(None::<String>))
        .filter(Column::Id.eq(id.to_string()))
        .exec(conn)
        .await?;
    Ok(())
}

pub(crate) async fn find(
    conn: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<Stored>, IncidentsError> {
    Entity::find_by_id(id.to_string()).one(conn).await?.map(stored).transpose()
}

pub(crate) async fn find_current(
    conn: &impl ConnectionTrait,
    sensor: &str,
    rule: &str,
) -> Result<Option<Stored>, IncidentsError> {
    let key = current_key(sensor, rule);
    let row = Entity::find().filter(Column::CurrentKey.eq(key)).one(conn).await?;
    row.map(stored).transpose()
}

/// Alarms whose shelving is over by now.
pub(crate) async fn unshelve_due(
    conn: &impl ConnectionTrait,
    now: Timestamp,
    limit: u64,
) -> Result<Vec<Uuid>, IncidentsError> {
    let rows = Entity::find()
        .filter(Column::ShelvedUntil.lte(now.as_micros()))
        .order_by_asc(Column::ShelvedUntil)
        .limit(limit)
        .all(conn)
        .await?;
    rows.into_iter().map(|row| stored(row).map(|one| one.alert.alert_id)).collect()
}

pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    wanted: &Wanted,
    limit: u64,
) -> Result<Vec<Alert>, IncidentsError> {
    let mut query = Entity::find().order_by_desc(Column::Number).limit(limit);
    if let Some(state) = wanted.state {
        query = query.filter(Column::State.eq(state.as_str()));
    }
    if let Some(active) = wanted.active {
        query = query.filter(Column::Active.eq(active));
    }
    if let Some(priority) = wanted.priority {
        query = query.filter(Column::Priority.eq(priority));
    }
    if let Some(asset) = &wanted.asset {
        query = query.filter(Column::Asset.eq(asset));
    }
    if let Some(sensor) = &wanted.sensor {
        query = query.filter(Column::Sensor.eq(sensor));
    }
    if let Some(incident) = wanted.incident {
        query = query.filter(Column::IncidentId.eq(incident.to_string()));
    }
    if let Some(before) = wanted.before {
        query = query.filter(Column::Number.lt(before));
    }
    let rows = query.all(conn).await?;
    rows.into_iter().map(|row| stored(row).map(|one| one.alert)).collect()
}

/// How many alarms stand, and how many of them since before `stale`.
pub(crate) async fn standing(
    conn: &impl ConnectionTrait,
    stale: Timestamp,
) -> Result<(u64, u64), IncidentsError> {
    let standing = || Entity::find().filter(Column::Active.eq(true));
    let all = standing().count(conn).await?;
    let old = standing().filter(Column::RaisedAt.lt(stale.as_micros())).count(conn).await?;
    Ok((all, old))
}

/// Whether any alarm of the incident stands.
pub(crate) async fn any_stands(
    conn: &impl ConnectionTrait,
    incident: Uuid,
) -> Result<bool, IncidentsError> {
    let found = Entity::find()
        .filter(Column::IncidentId.eq(incident.to_string()))
        .filter(Column::Active.eq(true))
        .one(conn)
        .await?;
    Ok(found.is_some())
}

async fn remember(
    conn: &impl ConnectionTrait,
    stored: &Stored,
    now: Timestamp,
) -> Result<(), IncidentsError> {
    let version = Version {
        kind: KIND,
        id: stored.alert.alert_id,
        number: stored.alert.number,
        version: stored.version,
        state: stored.alert.state.as_str(),
    };
    Ok(HISTORY.keep(conn, version, &stored.alert, now).await?)
}

fn current_key(sensor: &str, rule: &str) -> String {
    format!("{sensor}|{rule}")
}

fn active(stored: &Stored) -> Result<ActiveModel, IncidentsError> {
    let alert = &stored.alert;
    let current = stored.current.then(|| current_key(&alert.sensor, &alert.rule));
    Ok(ActiveModel {
        id: Set(alert.alert_id.to_string()),
        number: Set(alert.number),
        version: Set(stored.version),
        state: Set(alert.state.as_str().to_owned()),
        active: Set(alert.active),
        priority: Set(alert.priority),
        asset: Set(alert.asset.clone()),
        sensor: Set(alert.sensor.clone()),
        incident_id: Set(alert.incident_id.map(|id| id.to_string())),
        raised_at: Set(alert.raised_at.as_micros()),
        current_key: Set(current),
        shelved_until: Set(alert.shelved_until.map(Timestamp::as_micros)),
        correlation: Set(stored.cause.correlation.to_string()),
        cause: Set(stored.cause.event.to_string()),
        body: Set(serde_json::to_string(alert)?),
    })
}

fn stored(row: Model) -> Result<Stored, IncidentsError> {
    let damaged = |error: uuid::Error| {
        IncidentsError::Records(RecordsError::Damaged {
            field: "incidents_alerts.cause",
            reason: error.to_string(),
        })
    };
    let correlation: CorrelationId = row.correlation.parse().map_err(damaged)?;
    let event: EventId = row.cause.parse().map_err(damaged)?;
    Ok(Stored {
        alert: from_body("incidents_alerts.body", &row.body)?,
        version: row.version,
        cause: Cause { event, correlation },
        current: row.current_key.is_some(),
    })
}
