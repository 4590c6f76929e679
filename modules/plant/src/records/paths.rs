use kernel::CorrelationId;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Expr, Index, Table};
use sea_orm::{QueryOrder, QuerySelect};
use store::records::{Change, Records, Tx};

use super::damaged;
use crate::error::PlantError;
use crate::model::{GoldenPath, OverallStatus};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plant_golden_paths")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    correlation_id: String,
    number: i64,
    overall_status: String,
    /// Its readings are in the store.
    submitted: bool,
    started_at: i64,
    /// The whole path.
    path: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A path, and whether its readings are in the store.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredPath {
    pub(crate) path: GoldenPath,
    pub(crate) submitted: bool,
}

pub(super) fn changes() -> Vec<Change> {
    let table = Table::create()
        .table(Entity)
        .col(ColumnDef::new(Column::CorrelationId).string().not_null().primary_key())
        .col(ColumnDef::new(Column::Number).big_integer().not_null())
        .col(ColumnDef::new(Column::OverallStatus).text().not_null())
        .col(ColumnDef::new(Column::Submitted).boolean().not_null())
        .col(ColumnDef::new(Column::StartedAt).big_integer().not_null())
        .col(ColumnDef::new(Column::Path).text().not_null())
        .to_owned();
    let number = Index::create()
        .name("plant_golden_paths_number")
        .table(Entity)
        .col(Column::Number)
        .unique()
        .to_owned();
    vec![Change::Table(table), Change::Index(number)]
}

/// The number after the highest one given out.
pub(crate) async fn next_number(tx: &Tx) -> Result<i64, PlantError> {
    let newest = Entity::find().order_by_desc(Column::Number).one(tx.conn()).await?;
    Ok(newest.map_or(1, |row| row.number + 1))
}

pub(crate) async fn insert_path(tx: &Tx, path: &GoldenPath) -> Result<(), PlantError> {
    let row = ActiveModel {
        correlation_id: Set(path.correlation_id.to_string()),
        number: Set(path.number),
        overall_status: Set(path.overall_status.as_str().to_owned()),
        submitted: Set(false),
        started_at: Set(path.started_at.as_micros()),
        path: Set(written(path)?),
    };
    Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Writes a path back. `submitted` never goes back to false.
pub(crate) async fn update_path(tx: &Tx, stored: &StoredPath) -> Result<(), PlantError> {
    let path = &stored.path;
    Entity::update_many()
        .col_expr(Column::OverallStatus, Expr::value(path.overall_status.as_str()))
        .col_expr(Column::Submitted, Expr::value(stored.submitted))
        .col_expr(Column::Path, Expr::value(written(path)?))
        .filter(Column::CorrelationId.eq(path.correlation_id.to_string()))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Reads a path to write it back in the same transaction; others wait.
pub(crate) async fn path_for_update(
    tx: &Tx,
    id: CorrelationId,
) -> Result<Option<StoredPath>, PlantError> {
    let row = Entity::find_by_id(id.to_string()).lock_exclusive().one(tx.conn()).await?;
    row.map(read).transpose()
}

pub(crate) async fn path(
    records: &Records,
    id: CorrelationId,
) -> Result<Option<GoldenPath>, PlantError> {
    let row = Entity::find_by_id(id.to_string()).one(records.read()).await?;
    Ok(row.map(read).transpose()?.map(|stored| stored.path))
}

/// Paths that run or wait for a person, newest first.
pub(crate) async fn active_paths(
    records: &Records,
    limit: u64,
) -> Result<Vec<StoredPath>, PlantError> {
    let rows = Entity::find()
        .filter(is_active())
        .order_by_desc(Column::Number)
        .limit(limit)
        .all(records.read())
        .await?;
    rows.into_iter().map(read).collect()
}

/// How many paths are still fed or run by themselves; those that wait for a person do not count.
pub(crate) async fn active_count(tx: &Tx) -> Result<u64, PlantError> {
    let running = Column::OverallStatus.eq(OverallStatus::Running.as_str());
    Ok(Entity::find().filter(running).count(tx.conn()).await?)
}

/// Paths, newest first; `before` continues a page.
pub(crate) async fn list_paths(
    records: &Records,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<GoldenPath>, PlantError> {
    let mut query = Entity::find();
    if let Some(before) = before {
        query = query.filter(Column::Number.lt(before));
    }
    let rows = query.order_by_desc(Column::Number).limit(limit).all(records.read()).await?;
    rows.into_iter().map(|row| read(row).map(|stored| stored.path)).collect()
}

fn is_active() -> sea_orm::sea_query::Expr {
    Column::OverallStatus.is_in([OverallStatus::Running.as_str(), OverallStatus::Waiting.as_str()])
}

fn written(path: &GoldenPath) -> Result<String, PlantError> {
    serde_json::to_string(path).map_err(|_| damaged("path", &path.correlation_id.to_string()))
}

fn read(row: Model) -> Result<StoredPath, PlantError> {
    let path = serde_json::from_str(&row.path).map_err(|_| damaged("path", &row.correlation_id))?;
    Ok(StoredPath { path, submitted: row.submitted })
}
