use kernel::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Expr, Index, Table};
use sea_orm::{Condition, QueryOrder, QuerySelect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::records::Change;

use super::{from_body, index, race, to_body};
use crate::error::IncidentsError;

/// One version of one entity, and the time in which it was the valid one.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "incidents_history")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    pub kind: String,
    pub number: i64,
    pub state: String,
    pub valid_from: i64,
    pub valid_until: Option<i64>,
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
                .col(ColumnDef::new(Column::Id).string().not_null())
                .col(ColumnDef::new(Column::Version).big_integer().not_null())
                .col(ColumnDef::new(Column::Kind).string().not_null())
                .col(ColumnDef::new(Column::Number).big_integer().not_null())
                .col(ColumnDef::new(Column::State).string().not_null())
                .col(ColumnDef::new(Column::ValidFrom).big_integer().not_null())
                .col(ColumnDef::new(Column::ValidUntil).big_integer())
                .col(ColumnDef::new(Column::Body).text().not_null())
                .primary_key(Index::create().col(Column::Id).col(Column::Version))
                .to_owned(),
        ),
        index("incidents_history_valid", Entity, [Column::Kind, Column::ValidFrom, Column::Number]),
    ]
}

/// What names a version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version<'a> {
    pub(crate) kind: &'a str,
    pub(crate) id: Uuid,
    pub(crate) number: i64,
    pub(crate) version: i64,
    pub(crate) state: &'a str,
}

/// Keeps `entity` as the version that is valid from `now` on.
pub(crate) async fn keep(
    conn: &impl ConnectionTrait,
    version: Version<'_>,
    entity: &impl Serialize,
    now: Timestamp,
) -> Result<(), IncidentsError> {
    let id = version.id.to_string();
    Entity::update_many()
        .col_expr(Column::ValidUntil, Expr::value(now.as_micros()))
        .filter(Column::Id.eq(&id))
        .filter(Column::ValidUntil.is_null())
        .exec(conn)
        .await?;
    let row = ActiveModel {
        id: Set(id),
        version: Set(version.version),
        kind: Set(version.kind.to_owned()),
        number: Set(version.number),
        state: Set(version.state.to_owned()),
        valid_from: Set(now.as_micros()),
        valid_until: Set(None),
        body: Set(to_body(entity)?),
    };
    Entity::insert(row).exec_without_returning(conn).await.map_err(race)?;
    Ok(())
}

/// The entities of `kind` as they were at `at`, highest number first.
pub(crate) async fn list_at<T: DeserializeOwned>(
    conn: &impl ConnectionTrait,
    kind: &str,
    at: Timestamp,
    states: &[&str],
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<T>, IncidentsError> {
    let mut query = Entity::find()
        .filter(Column::Kind.eq(kind))
        .filter(valid_at(at))
        .order_by_desc(Column::Number)
        .limit(limit);
    if !states.is_empty() {
        query = query.filter(Column::State.is_in(states.iter().copied()));
    }
    if let Some(before) = before {
        query = query.filter(Column::Number.lt(before));
    }
    let rows = query.all(conn).await?;
    rows.iter().map(|row| from_body("incidents_history.body", &row.body)).collect()
}

/// One entity as it was at `at`.
pub(crate) async fn find_at<T: DeserializeOwned>(
    conn: &impl ConnectionTrait,
    id: Uuid,
    at: Timestamp,
) -> Result<Option<T>, IncidentsError> {
    let row =
        Entity::find().filter(Column::Id.eq(id.to_string())).filter(valid_at(at)).one(conn).await?;
    row.map(|row| from_body("incidents_history.body", &row.body)).transpose()
}

fn valid_at(at: Timestamp) -> Condition {
    Condition::all().add(Column::ValidFrom.lte(at.as_micros())).add(
        Condition::any()
            .add(Column::ValidUntil.is_null())
            .add(Column::ValidUntil.gt(at.as_micros())),
    )
}
