use kernel::{CorrelationId, EventId, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{QueryOrder, QuerySelect};
use store::records::{Change, RecordsError, Version};

use super::{HISTORY, from_body};
use crate::act::slots::Booking;
use crate::error::MaintenanceError;
use crate::model::{WorkOrder, WorkState};

pub(crate) const KIND: &str = "work";
/// Most bookings looked at when a slot is sought.
const BOOKINGS_MAX: u64 = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "maintenance_work")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub number: i64,
    pub version: i64,
    pub state: String,
    pub asset: String,
    /// One decision leads to one work order.
    pub decision_id: Option<String>,
    pub assignee: Option<String>,
    pub starts_at: i64,
    pub ends_at: i64,
    pub correlation: String,
    pub cause: Option<String>,
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
                .col(ColumnDef::new(Column::DecisionId).string().unique_key())
                .col(ColumnDef::new(Column::Assignee).string())
                .col(ColumnDef::new(Column::StartsAt).big_integer().not_null())
                .col(ColumnDef::new(Column::EndsAt).big_integer().not_null())
                .col(ColumnDef::new(Column::Correlation).string().not_null())
                .col(ColumnDef::new(Column::Cause).string())
                .col(ColumnDef::new(Column::Body).text().not_null())
                .to_owned(),
        ),
        Change::index("maintenance_work_ends", Entity, [Column::State, Column::EndsAt]),
        Change::index("maintenance_work_starts", Entity, [Column::StartsAt]),
    ]
}

/// A work order with what the module keeps beside it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) work: WorkOrder,
    pub(crate) version: i64,
    pub(crate) correlation: CorrelationId,
    /// The event that scheduled it.
    pub(crate) cause: Option<EventId>,
}

/// Which work orders a list shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) state: Option<WorkState>,
    pub(crate) asset: Option<String>,
    pub(crate) starts_from: Option<Timestamp>,
    pub(crate) starts_to: Option<Timestamp>,
    pub(crate) before: Option<i64>,
}

pub(crate) async fn insert(
    conn: &impl ConnectionTrait,
    stored: &Stored,
    now: Timestamp,
) -> Result<(), MaintenanceError> {
    Entity::insert(active(stored)?).exec_without_returning(conn).await?;
    remember(conn, stored, now).await
}

pub(crate) async fn update(
    conn: &impl ConnectionTrait,
    stored: &mut Stored,
    now: Timestamp,
) -> Result<(), MaintenanceError> {
    let seen = stored.version;
    stored.version += 1;
    let done = Entity::update_many()
        .set(active(stored)?)
        .filter(Column::Id.eq(stored.work.work_id.to_string()))
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

/// Whether the decision led to work already.
pub(crate) async fn exists_for(
    conn: &impl ConnectionTrait,
    decision: Uuid,
) -> Result<bool, MaintenanceError> {
    let found =
        Entity::find().filter(Column::DecisionId.eq(decision.to_string())).one(conn).await?;
    Ok(found.is_some())
}

pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    wanted: &Wanted,
    limit: u64,
) -> Result<Vec<WorkOrder>, MaintenanceError> {
    let mut query = Entity::find().order_by_desc(Column::Number).limit(limit);
    if let Some(state) = wanted.state {
        query = query.filter(Column::State.eq(state.as_str()));
    }
    if let Some(asset) = &wanted.asset {
        query = query.filter(Column::Asset.eq(asset));
    }
    if let Some(from) = wanted.starts_from {
        query = query.filter(Column::StartsAt.gte(from.as_micros()));
    }
    if let Some(to) = wanted.starts_to {
        query = query.filter(Column::StartsAt.lt(to.as_micros()));
    }
    if let Some(before) = wanted.before {
        query = query.filter(Column::Number.lt(before));
    }
    let rows = query.all(conn).await?;
    rows.into_iter().map(|row| stored(row).map(|one| one.work)).collect()
}

/// Everybody's time that is taken after `from`.
pub(crate) async fn bookings(
    conn: &impl ConnectionTrait,
    from: Timestamp,
) -> Result<Vec<Booking>, MaintenanceError> {
    let rows = Entity::find()
        .filter(Column::State.eq(WorkState::Scheduled.as_str()))
        .filter(Column::EndsAt.gt(from.as_micros()))
        .filter(Column::Assignee.is_not_null())
        .order_by_asc(Column::EndsAt)
        .limit(BOOKINGS_MAX)
        .all(conn)
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(Booking {
                assignee: row.assignee?,
                from: Timestamp::from_micros(row.starts_at),
                to: Timestamp::from_micros(row.ends_at),
            })
        })
        .collect())
}

async fn remember(
    conn: &impl ConnectionTrait,
    stored: &Stored,
    now: Timestamp,
) -> Result<(), MaintenanceError> {
    let version = Version {
        kind: KIND,
        id: stored.work.work_id,
        number: stored.work.number,
        version: stored.version,
        state: stored.work.state.as_str(),
    };
    Ok(HISTORY.keep(conn, version, &stored.work, now).await?)
}

fn active(stored: &Stored) -> Result<ActiveModel, MaintenanceError> {
    let work = &stored.work;
    Ok(ActiveModel {
        id: Set(work.work_id.to_string()),
        number: Set(work.number),
        version: Set(stored.version),
        state: Set(work.state.as_str().to_owned()),
        asset: Set(work.asset.clone()),
        decision_id: Set(work.decision_id.map(|id| id.to_string())),
        assignee: Set(work.assignee.clone()),
        starts_at: Set(work.starts_at.as_micros()),
        ends_at: Set(work.ends_at.as_micros()),
        correlation: Set(stored.correlation.to_string()),
        cause: Set(stored.cause.map(|id| id.to_string())),
        body: Set(serde_json::to_string(work)?),
    })
}

fn stored(row: Model) -> Result<Stored, MaintenanceError> {
    let damaged = |error: uuid::Error| {
        MaintenanceError::Records(RecordsError::Damaged {
            field: "maintenance_work.correlation",
            reason: error.to_string(),
        })
    };
    Ok(Stored {
        work: from_body("maintenance_work.body", &row.body)?,
        version: row.version,
        correlation: row.correlation.parse().map_err(damaged)?,
        cause: row.cause.map(|id| id.parse()).transpose().map_err(damaged)?,
    })
}
