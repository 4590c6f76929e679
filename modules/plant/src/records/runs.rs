use kernel::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Expr, Table};
use sea_orm::{ExprTrait, QueryOrder, QuerySelect};
use store::records::{Change, Records, Tx};
use uuid::Uuid;

use super::damaged;
use crate::error::PlantError;
use crate::model::{Run, ScenarioKind};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "plant_scenario_runs")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    kind: String,
    target: Option<String>,
    starts_at: i64,
    duration_s: i64,
    magnitude: f64,
    started_by: String,
    ended_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(super) fn changes() -> Vec<Change> {
    let table = Table::create()
        .table(Entity)
        .col(ColumnDef::new(Column::Id).string().not_null().primary_key())
        .col(ColumnDef::new(Column::Kind).text().not_null())
        .col(ColumnDef::new(Column::Target).text())
        .col(ColumnDef::new(Column::StartsAt).big_integer().not_null())
        .col(ColumnDef::new(Column::DurationS).big_integer().not_null())
        .col(ColumnDef::new(Column::Magnitude).double().not_null())
        .col(ColumnDef::new(Column::StartedBy).text().not_null())
        .col(ColumnDef::new(Column::EndedAt).big_integer())
        .to_owned();
    vec![Change::Table(table)]
}

pub(crate) async fn insert_run(tx: &Tx, run: &Run) -> Result<(), PlantError> {
    let row = ActiveModel {
        id: Set(run.run_id.to_string()),
        kind: Set(run.kind.as_str().to_owned()),
        target: Set(run.target.clone()),
        starts_at: Set(run.starts_at.as_micros()),
        duration_s: Set(i64::try_from(run.duration_s).unwrap_or(i64::MAX)),
        magnitude: Set(run.magnitude),
        started_by: Set(run.started_by.clone()),
        ended_at: Set(run.ended_at.map(Timestamp::as_micros)),
    };
    Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Ends one run at `now`. True when it was not ended before.
pub(crate) async fn end_run(tx: &Tx, id: Uuid, now: Timestamp) -> Result<bool, PlantError> {
    let changed = Entity::update_many()
        .col_expr(Column::EndedAt, Expr::value(now.as_micros()))
        .filter(Column::Id.eq(id.to_string()))
        .filter(Column::EndedAt.is_null())
        .exec(tx.conn())
        .await?;
    Ok(changed.rows_affected > 0)
}

/// Ends every run at `now`, or only those on `target`.
pub(crate) async fn end_runs(
    tx: &Tx,
    target: Option<&str>,
    now: Timestamp,
) -> Result<u64, PlantError> {
    let mut update = Entity::update_many()
        .col_expr(Column::EndedAt, Expr::value(now.as_micros()))
        .filter(Column::EndedAt.is_null());
    if let Some(target) = target {
        update = update.filter(Column::Target.eq(target));
    }
    Ok(update.exec(tx.conn()).await?.rows_affected)
}

/// Runs that may still have an effect at or after `since`, oldest first.
pub(crate) async fn runs_since(
    records: &Records,
    since: Timestamp,
) -> Result<Vec<Run>, PlantError> {
    let open = Column::EndedAt.is_null().or(Column::EndedAt.gte(since.as_micros()));
    let rows = Entity::find()
        .filter(open)
        .order_by_asc(Column::StartsAt)
        .order_by_asc(Column::Id)
        .all(records.read())
        .await?;
    let runs: Vec<Run> = rows.into_iter().map(run).collect::<Result<_, _>>()?;
    Ok(runs.into_iter().filter(|run| run.end() >= since).collect())
}

/// Runs, newest first; `before` continues a page.
pub(crate) async fn list_runs(
    records: &Records,
    before: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Run>, PlantError> {
    let mut query = Entity::find();
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before.to_string()));
    }
    let rows = query.order_by_desc(Column::Id).limit(limit).all(records.read()).await?;
    rows.into_iter().map(run).collect()
}

fn run(row: Model) -> Result<Run, PlantError> {
    Ok(Run {
        run_id: Uuid::try_parse(&row.id).map_err(|_| damaged("run id", &row.id))?,
        kind: ScenarioKind::from_name(&row.kind).ok_or_else(|| damaged("kind", &row.kind))?,
        target: row.target,
        starts_at: Timestamp::from_micros(row.starts_at),
        duration_s: u64::try_from(row.duration_s).unwrap_or(0),
        magnitude: row.magnitude,
        started_by: row.started_by,
        ended_at: row.ended_at.map(Timestamp::from_micros),
    })
}
