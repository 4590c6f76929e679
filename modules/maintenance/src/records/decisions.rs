use kernel::{CorrelationId, EventId, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{PaginatorTrait, QueryOrder, QuerySelect};
use store::records::{Change, RecordsError, Version};

use super::{HISTORY, from_body};
use crate::decide;
use crate::error::MaintenanceError;
use crate::model::{Decision, DecisionState};

pub(crate) const KIND: &str = "decision";

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "maintenance_decisions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub number: i64,
    pub version: i64,
    pub state: String,
    pub asset: String,
    pub sensor: String,
    /// Set while open: two open decisions about the same thing cannot exist.
    pub open_key: Option<String>,
    /// When time alone changes it.
    pub wake_at: Option<i64>,
    pub answered_at: Option<i64>,
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
                .col(ColumnDef::new(Column::Asset).string().not_null())
                .col(ColumnDef::new(Column::Sensor).string().not_null())
                .col(ColumnDef::new(Column::OpenKey).string().unique_key())
                .col(ColumnDef::new(Column::WakeAt).big_integer())
                .col(ColumnDef::new(Column::AnsweredAt).big_integer())
                .col(ColumnDef::new(Column::Correlation).string().not_null())
                .col(ColumnDef::new(Column::Cause).string().not_null())
                .col(ColumnDef::new(Column::Body).text().not_null())
                .to_owned(),
        ),
        Change::index("maintenance_decisions_wake", Entity, [Column::WakeAt]),
        Change::index("maintenance_decisions_state", Entity, [Column::State, Column::Number]),
        Change::index("maintenance_decisions_sensor", Entity, [Column::Sensor, Column::AnsweredAt]),
    ]
}

/// A decision with what the module keeps beside it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) decision: Decision,
    pub(crate) version: i64,
    /// The chain of the newest prediction: what the answer continues.
    pub(crate) correlation: CorrelationId,
    pub(crate) cause: EventId,
}

pub(crate) async fn insert(
    conn: &impl ConnectionTrait,
    stored: &Stored,
    now: Timestamp,
) -> Result<(), MaintenanceError> {
    let row = active(stored)?;
    Entity::insert(row).exec_without_returning(conn).await?;
    remember(conn, stored, now).await
}

/// Writes the next version; [`MaintenanceError::Race`] when somebody else wrote it first.
pub(crate) async fn update(
    conn: &impl ConnectionTrait,
    stored: &mut Stored,
    now: Timestamp,
) -> Result<(), MaintenanceError> {
    let seen = stored.version;
    stored.version += 1;
    let done = Entity::update_many()
        .set(active(stored)?)
        .filter(Column::Id.eq(stored.decision.decision_id.to_string()))
        .filter(Column::Version.eq(seen))
        .exec(conn)
        .await?;
    if done.rows_affected == 0 {
        return Err(MaintenanceError::Race);
    }
    remember(conn, stored, now).await
}

pub(crate) async fn find(
    conn: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<Stored>, MaintenanceError> {
    Entity::find_by_id(id.to_string()).one(conn).await?.map(stored).transpose()
}

pub(crate) async fn find_open(
    conn: &impl ConnectionTrait,
    asset: &str,
    sensor: &str,
) -> Result<Option<Stored>, MaintenanceError> {
    let row = Entity::find().filter(Column::OpenKey.eq(open_key(asset, sensor))).one(conn).await?;
    row.map(stored).transpose()
}

/// How often the question about this sensor was rejected or left to expire since then.
pub(crate) async fn dismissals(
    conn: &impl ConnectionTrait,
    sensor: &str,
    since: Timestamp,
) -> Result<u32, MaintenanceError> {
    let count = Entity::find()
        .filter(Column::Sensor.eq(sensor))
        .filter(Column::AnsweredAt.gte(since.as_micros()))
        .filter(
            Column::State
                .is_in([DecisionState::Rejected.as_str(), DecisionState::Expired.as_str()]),
        )
        .count(conn)
        .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Decisions that time alone changes by now, oldest first.
pub(crate) async fn due(
    conn: &impl ConnectionTrait,
    now: Timestamp,
    limit: u64,
) -> Result<Vec<Uuid>, MaintenanceError> {
    let rows = Entity::find()
        .filter(Column::WakeAt.lte(now.as_micros()))
        .order_by_asc(Column::WakeAt)
        .limit(limit)
        .all(conn)
        .await?;
    rows.into_iter().map(|row| stored(row).map(|one| one.decision.decision_id)).collect()
}

pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    states: &[&str],
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<Decision>, MaintenanceError> {
    let mut query = Entity::find().order_by_desc(Column::Number).limit(limit);
    if !states.is_empty() {
        query = query.filter(Column::State.is_in(states.iter().copied()));
    }
    if let Some(before) = before {
        query = query.filter(Column::Number.lt(before));
    }
    let rows = query.all(conn).await?;
    rows.into_iter().map(|row| stored(row).map(|one| one.decision)).collect()
}

async fn remember(
    conn: &impl ConnectionTrait,
    stored: &Stored,
    now: Timestamp,
) -> Result<(), MaintenanceError> {
    let decision = &stored.decision;
    let version = Version {
        kind: KIND,
        id: decision.decision_id,
        number: decision.number,
        version: stored.version,
        state: decision.state.as_str(),
    };
    Ok(HISTORY.keep(conn, version, decision, now).await?)
}

fn open_key(asset: &str, sensor: &str) -> String {
    format!("{asset}|{sensor}")
}

fn active(stored: &Stored) -> Result<ActiveModel, MaintenanceError> {
    let decision = &stored.decision;
    let open = decision.state.is_open().then(|| open_key(&decision.asset, &decision.sensor));
    Ok(ActiveModel {
        id: Set(decision.decision_id.to_string()),
        number: Set(decision.number),
        version: Set(stored.version),
        state: Set(decision.state.as_str().to_owned()),
        asset: Set(decision.asset.clone()),
        sensor: Set(decision.sensor.clone()),
        open_key: Set(open),
        wake_at: Set(decide::wake_at(decision).map(Timestamp::as_micros)),
        answered_at: Set(decision.answered_at.map(Timestamp::as_micros)),
        correlation: Set(stored.correlation.to_string()),
        cause: Set(stored.cause.to_string()),
        body: Set(serde_json::to_string(decision)?),
    })
}

fn stored(row: Model) -> Result<Stored, MaintenanceError> {
    let damaged = |field| {
        move |error: uuid::Error| {
            MaintenanceError::Records(RecordsError::Damaged { field, reason: error.to_string() })
        }
    };
    Ok(Stored {
        decision: from_body("maintenance_decisions.body", &row.body)?,
        version: row.version,
        correlation: row
            .correlation
            .parse()
            .map_err(damaged("maintenance_decisions.correlation"))?,
        cause: row.cause.parse().map_err(damaged("maintenance_decisions.cause"))?,
    })
}
