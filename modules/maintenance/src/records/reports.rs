use kernel::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Expr, Table};
use sea_orm::{Condition, PaginatorTrait, QueryOrder, QuerySelect};
use store::records::Change;

use super::from_body;
use crate::error::MaintenanceError;
use crate::model::{Report, ReportState};

/// Reports kept; older ones go when a new one is made.
const REPORTS_KEPT: u64 = 200;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "maintenance_reports")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub state: String,
    /// Until then a running report belongs to whoever took it.
    pub claimed_until: Option<i64>,
    pub body: String,
    pub content: Option<String>,
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
                .col(ColumnDef::new(Column::State).string().not_null())
                .col(ColumnDef::new(Column::ClaimedUntil).big_integer())
                .col(ColumnDef::new(Column::Body).text().not_null())
                .col(ColumnDef::new(Column::Content).text())
                .to_owned(),
        ),
        Change::index("maintenance_reports_state", Entity, [Column::State, Column::Id]),
    ]
}

pub(crate) async fn insert(
    conn: &impl ConnectionTrait,
    report: &Report,
) -> Result<(), MaintenanceError> {
    let row = ActiveModel {
        id: Set(report.report_id.to_string()),
        state: Set(report.state.as_str().to_owned()),
        claimed_until: Set(None),
        body: Set(serde_json::to_string(report)?),
        content: Set(None),
    };
    Entity::insert(row).exec_without_returning(conn).await?;
    Ok(())
}

pub(crate) async fn waiting(conn: &impl ConnectionTrait) -> Result<u64, MaintenanceError> {
    Ok(Entity::find().filter(Column::State.eq(ReportState::Queued.as_str())).count(conn).await?)
}

/// Whether [`claim`] would find something; asked on a reading connection so that an idle report
/// maker never takes the writer.
pub(crate) async fn has_claimable(
    conn: &impl ConnectionTrait,
    now: Timestamp,
) -> Result<bool, MaintenanceError> {
    Ok(Entity::find().filter(claimable(now)).one(conn).await?.is_some())
}

fn claimable(now: Timestamp) -> Condition {
    Condition::any().add(Column::State.eq(ReportState::Queued.as_str())).add(
        Condition::all()
            .add(Column::State.eq(ReportState::Running.as_str()))
            .add(Column::ClaimedUntil.lt(now.as_micros())),
    )
}

/// Takes the oldest report that waits, or whose maker died, until `until`.
pub(crate) async fn claim(
    conn: &impl ConnectionTrait,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Report>, MaintenanceError> {
    let oldest = Entity::find().filter(claimable(now)).order_by_asc(Column::Id).one(conn).await?;
    let Some(row) = oldest else { return Ok(None) };
    let mut report: Report = from_body("maintenance_reports.body", &row.body)?;
    report.state = ReportState::Running;
    let taken = Entity::update_many()
        .col_expr(Column::State, Expr::value(report.state.as_str()))
        .col_expr(Column::ClaimedUntil, Expr::value(until.as_micros()))
        .col_expr(Column::Body, Expr::value(serde_json::to_string(&report)?))
        .filter(Column::Id.eq(&row.id))
        .filter(claimable(now))
        .exec(conn)
        .await?;
    Ok((taken.rows_affected == 1).then_some(report))
}

pub(crate) async fn finish(
    conn: &impl ConnectionTrait,
    report: &Report,
    content: Option<String>,
) -> Result<(), MaintenanceError> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(report.state.as_str()))
        .col_expr(Column::Body, Expr::value(serde_json::to_string(report)?))
        .col_expr(Column::Content, Expr::value(content))
        .filter(Column::Id.eq(report.report_id.to_string()))
        .exec(conn)
        .await?;
    let oldest_kept =
        Entity::find().order_by_desc(Column::Id).offset(REPORTS_KEPT).limit(1).one(conn).await?;
    if let Some(row) = oldest_kept {
        Entity::delete_many().filter(Column::Id.lte(row.id)).exec(conn).await?;
    }
    Ok(())
}

pub(crate) async fn find(
    conn: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<(Report, Option<String>)>, MaintenanceError> {
    let Some(row) = Entity::find_by_id(id.to_string()).one(conn).await? else {
        return Ok(None);
    };
    Ok(Some((from_body("maintenance_reports.body", &row.body)?, row.content)))
}
