use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, OnConflict, Table};
use sea_orm::{QueryOrder, QuerySelect};
use store::records::Change;

use super::from_body;
use crate::error::MaintenanceError;
use crate::model::LogEntry;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "maintenance_log")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    pub asset: String,
    pub at: i64,
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
                .col(ColumnDef::new(Column::EventId).string().not_null().primary_key())
                .col(ColumnDef::new(Column::Asset).string().not_null())
                .col(ColumnDef::new(Column::At).big_integer().not_null())
                .col(ColumnDef::new(Column::Body).text().not_null())
                .to_owned(),
        ),
        Change::index("maintenance_log_asset", Entity, [Column::Asset, Column::EventId]),
    ]
}

/// Adds the entry once, however often its event comes.
pub(crate) async fn add(
    conn: &impl ConnectionTrait,
    entry: &LogEntry,
) -> Result<(), MaintenanceError> {
    let row = ActiveModel {
        event_id: Set(entry.event_id.to_string()),
        asset: Set(entry.asset.clone()),
        at: Set(entry.at.as_micros()),
        body: Set(serde_json::to_string(entry)?),
    };
    Entity::insert(row)
        .on_conflict(OnConflict::column(Column::EventId).do_nothing().to_owned())
        .try_insert()
        .exec_without_returning(conn)
        .await?;
    Ok(())
}

/// Newest first: ids of events grow with time.
pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    asset: Option<&str>,
    before: Option<Uuid>,
    limit: u64,
) -> Result<Vec<LogEntry>, MaintenanceError> {
    let mut query = Entity::find().order_by_desc(Column::EventId).limit(limit);
    if let Some(asset) = asset {
        query = query.filter(Column::Asset.eq(asset));
    }
    if let Some(before) = before {
        query = query.filter(Column::EventId.lt(before.to_string()));
    }
    let rows = query.all(conn).await?;
    rows.iter().map(|row| from_body("maintenance_log.body", &row.body)).collect()
}
