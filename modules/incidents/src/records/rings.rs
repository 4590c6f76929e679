use kernel::{EventId, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{QueryOrder, QuerySelect};
use store::records::Change;

use crate::error::IncidentsError;
use crate::learn::Ring;

/// Rings looked at for the figures of one window.
const RINGS_MAX: u64 = 100_000;

/// One occurrence of an alarm that called for attention.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "incidents_rings")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    pub alert_id: String,
    pub sensor: String,
    pub priority: i32,
    pub at: i64,
    pub plant_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(super) fn schema() -> Vec<Change> {
    vec![
        Change::Table(
            Table::create()
                .table(Entity)
                .col(ColumnDef::new(Column::EventId).string().not_null().primary_key())
                .col(ColumnDef::new(Column::AlertId).string().not_null())
                .col(ColumnDef::new(Column::Sensor).string().not_null())
                .col(ColumnDef::new(Column::Priority).integer().not_null())
                .col(ColumnDef::new(Column::At).big_integer().not_null())
                .col(ColumnDef::new(Column::PlantAt).big_integer().not_null())
                .to_owned(),
        ),
        Change::index("incidents_rings_at", Entity, [Column::At]),
        Change::index("incidents_rings_alert", Entity, [Column::AlertId, Column::PlantAt]),
    ]
}

pub(crate) async fn add(
    conn: &impl ConnectionTrait,
    event: EventId,
    alert: Uuid,
    ring: &Ring,
) -> Result<(), IncidentsError> {
    let row = ActiveModel {
        event_id: Set(event.to_string()),
        alert_id: Set(alert.to_string()),
        sensor: Set(ring.sensor.clone()),
        priority: Set(ring.priority),
        at: Set(ring.at.as_micros()),
        plant_at: Set(ring.plant.as_micros()),
    };
    Entity::insert(row).exec_without_returning(conn).await?;
    Ok(())
}

/// Gives the ring of the occurrence that began at `plant` its new priority: a call that grows more
/// urgent is the same call. False when that occurrence has not rung yet.
pub(crate) async fn worsen(
    conn: &impl ConnectionTrait,
    alert: Uuid,
    plant: Timestamp,
    priority: i32,
) -> Result<bool, IncidentsError> {
    let changed = Entity::update_many()
        .col_expr(Column::Priority, priority.into())
        .filter(Column::AlertId.eq(alert.to_string()))
        .filter(Column::PlantAt.eq(plant.as_micros()))
        .exec(conn)
        .await?;
    Ok(changed.rows_affected > 0)
}

/// The newest plant times at which the alarm called, newest first.
pub(crate) async fn newest(
    conn: &impl ConnectionTrait,
    alert: Uuid,
    limit: u64,
) -> Result<Vec<Timestamp>, IncidentsError> {
    let rows = Entity::find()
        .filter(Column::AlertId.eq(alert.to_string()))
        .order_by_desc(Column::PlantAt)
        .limit(limit)
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| Timestamp::from_micros(row.plant_at)).collect())
}

pub(crate) async fn between(
    conn: &impl ConnectionTrait,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Ring>, IncidentsError> {
    let rows = Entity::find()
        .filter(Column::At.gte(from.as_micros()))
        .filter(Column::At.lt(to.as_micros()))
        .order_by_desc(Column::At)
        .limit(RINGS_MAX)
        .all(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Ring {
            at: Timestamp::from_micros(row.at),
            plant: Timestamp::from_micros(row.plant_at),
            sensor: row.sensor,
            priority: row.priority,
        })
        .collect())
}
