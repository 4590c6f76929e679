//! The tables of this module. A row keeps what is searched for in columns and the whole entity as
//! JSON beside them; every version of an entity stays in the history, for questions about the past.

pub(crate) mod decisions;
pub(crate) mod history;
pub(crate) mod log;
pub(crate) mod reports;
pub(crate) mod work;

use sea_orm::sea_query::{Expr, ExprTrait, Index, OnConflict, Table};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::records::{Change, Migration, RecordsError};

use crate::error::MaintenanceError;

mod counter {
    use sea_orm::entity::prelude::*;

    /// Human numbers, one row per kind of entity.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "maintenance_counters")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub value: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl From<sea_orm::DbErr> for MaintenanceError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(error.into())
    }
}

pub(crate) fn migrations() -> Vec<Migration> {
    let mut changes = vec![Change::Table(
        Table::create()
            .table(counter::Entity)
            .col(sea_orm::sea_query::ColumnDef::new(counter::Column::Name).string().primary_key())
            .col(
                sea_orm::sea_query::ColumnDef::new(counter::Column::Value).big_integer().not_null(),
            )
            .to_owned(),
    )];
    changes.extend(decisions::schema());
    changes.extend(work::schema());
    changes.extend(history::schema());
    changes.extend(log::schema());
    changes.extend(reports::schema());
    vec![Migration { name: "maintenance_0001_first", changes }]
}

/// The next human number of `name`. The row stays locked until the transaction ends, so that two
/// writers never get the same.
pub(crate) async fn next_number(
    conn: &impl ConnectionTrait,
    name: &str,
) -> Result<i64, MaintenanceError> {
    counter::Entity::insert(counter::ActiveModel { name: Set(name.to_owned()), value: Set(0) })
        .on_conflict(OnConflict::column(counter::Column::Name).do_nothing().to_owned())
        .try_insert()
        .exec_without_returning(conn)
        .await?;
    counter::Entity::update_many()
        .col_expr(counter::Column::Value, Expr::col(counter::Column::Value).add(1))
        .filter(counter::Column::Name.eq(name))
        .exec(conn)
        .await?;
    let row = counter::Entity::find_by_id(name).one(conn).await?;
    Ok(row.map_or(1, |row| row.value))
}

fn to_body(entity: &impl Serialize) -> Result<String, MaintenanceError> {
    Ok(serde_json::to_string(entity)?)
}

fn from_body<T: DeserializeOwned>(field: &'static str, body: &str) -> Result<T, MaintenanceError> {
    serde_json::from_str(body).map_err(|error| {
        MaintenanceError::Records(RecordsError::Damaged { field, reason: error.to_string() })
    })
}

/// A clash of unique columns means that somebody was quicker.
fn race(error: sea_orm::DbErr) -> MaintenanceError {
    match error.sql_err() {
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => MaintenanceError::Race,
        _ => error.into(),
    }
}

fn index<T, C>(name: &str, table: T, columns: impl IntoIterator<Item = C>) -> Change
where
    T: sea_orm::sea_query::IntoTableRef,
    C: sea_orm::sea_query::IntoIndexColumn,
{
    let mut statement = Index::create();
    statement.name(name).table(table);
    for column in columns {
        statement.col(column);
    }
    Change::Index(statement.to_owned())
}
