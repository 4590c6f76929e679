use kernel::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, OnConflict, Table};
use sea_orm::{QueryOrder, QuerySelect};
use store::records::Change;

use super::from_body;
use crate::detect::delays::Tracker;
use crate::error::IncidentsError;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "incidents_trackers")]
pub(crate) struct Model {
    /// Sensor and rule.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// When silence alone changes it, wall time.
    pub ripe_at: Option<i64>,
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
                .col(ColumnDef::new(Column::Key).string().not_null().primary_key())
                .col(ColumnDef::new(Column::RipeAt).big_integer())
                .col(ColumnDef::new(Column::Body).text().not_null())
                .to_owned(),
        ),
        Change::index("incidents_trackers_ripe", Entity, [Column::RipeAt]),
    ]
}

pub(crate) fn key(sensor: &str, rule: &str) -> String {
    format!("{sensor}|{rule}")
}

pub(crate) async fn find(
    conn: &impl ConnectionTrait,
    key: &str,
) -> Result<Option<Tracker>, IncidentsError> {
    let row = Entity::find_by_id(key).one(conn).await?;
    row.map(|row| from_body("incidents_trackers.body", &row.body)).transpose()
}

pub(crate) async fn save(
    conn: &impl ConnectionTrait,
    key: &str,
    tracker: &Tracker,
    ripe_at: Option<Timestamp>,
) -> Result<(), IncidentsError> {
    let row = ActiveModel {
        key: Set(key.to_owned()),
        ripe_at: Set(ripe_at.map(Timestamp::as_micros)),
        body: Set(serde_json::to_string(tracker)?),
    };
    Entity::insert(row)
        .on_conflict(
            OnConflict::column(Column::Key)
                .update_columns([Column::RipeAt, Column::Body])
                .to_owned(),
        )
        .exec_without_returning(conn)
        .await?;
    Ok(())
}

/// The keys of trackers that silence changes by now.
pub(crate) async fn ripe(
    conn: &impl ConnectionTrait,
    now: Timestamp,
    limit: u64,
) -> Result<Vec<String>, IncidentsError> {
    let rows = Entity::find()
        .filter(Column::RipeAt.lte(now.as_micros()))
        .order_by_asc(Column::RipeAt)
        .limit(limit)
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| row.key).collect())
}
