use kernel::Timestamp;
use sea_orm::sea_query::{
    ColumnDef, Expr, ExprTrait, Index, Order, Query, SelectStatement, SimpleExpr, Table,
};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::Change;

/// A table of every version of a module's entities, whole and with the time in which it was the
/// valid one, for questions about the past. Each module names its own.
#[derive(Clone, Copy, Debug)]
pub struct History {
    table: &'static str,
}

/// What names a version, and what it is searched by.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    pub kind: &'a str,
    pub id: Uuid,
    pub number: i64,
    pub version: i64,
    pub state: &'a str,
}

impl History {
    #[must_use]
    pub const fn in_table(table: &'static str) -> Self {
        Self { table }
    }

    #[must_use]
    pub fn schema(&self) -> [Change; 2] {
        let table = Table::create()
            .table(self.table)
            .col(ColumnDef::new("id").string().not_null())
            .col(ColumnDef::new("version").big_integer().not_null())
            .col(ColumnDef::new("kind").string().not_null())
            .col(ColumnDef::new("number").big_integer().not_null())
            .col(ColumnDef::new("state").string().not_null())
            .col(ColumnDef::new("valid_from").big_integer().not_null())
            .col(ColumnDef::new("valid_until").big_integer())
            .col(ColumnDef::new("body").text().not_null())
            .primary_key(Index::create().col("id").col("version"))
            .to_owned();
        let valid = format!("{}_valid", self.table);
        [Change::Table(table), Change::index(&valid, self.table, ["kind", "valid_from", "number"])]
    }

    /// Keeps `entity` as the version that is valid from `now` on.
    ///
    /// # Errors
    /// When the query fails; a clash of unique columns when the version is there already.
    pub async fn keep(
        &self,
        conn: &impl ConnectionTrait,
        version: Version<'_>,
        entity: &impl Serialize,
        now: Timestamp,
    ) -> Result<(), DbErr> {
        let body = serde_json::to_string(entity).map_err(|error| self.damaged(&error))?;
        let id = version.id.to_string();
        let end = Query::update()
            .table(self.table)
            .value("valid_until", now.as_micros())
            .and_where(Expr::col("id").eq(&id))
            .and_where(Expr::col("valid_until").is_null())
            .to_owned();
        conn.execute(&end).await?;
        let begin = Query::insert()
            .into_table(self.table)
            .columns(["id", "version", "kind", "number", "state", "valid_from", "body"])
            .values_panic([
                id.into(),
                version.version.into(),
                version.kind.into(),
                version.number.into(),
                version.state.into(),
                now.as_micros().into(),
                body.into(),
            ])
            .to_owned();
        conn.execute(&begin).await?;
        Ok(())
    }

    /// The entities of `kind` as they were at `at`, highest number first.
    ///
    /// # Errors
    /// When the query fails, or a body cannot be read as `T`.
    pub async fn list_at<T: DeserializeOwned>(
        &self,
        conn: &impl ConnectionTrait,
        kind: &str,
        at: Timestamp,
        states: &[&str],
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<T>, DbErr> {
        let mut query = self.bodies_at(at);
        query.and_where(Expr::col("kind").eq(kind)).order_by("number", Order::Desc).limit(limit);
        if !states.is_empty() {
            query.and_where(Expr::col("state").is_in(states.iter().copied()));
        }
        if let Some(before) = before {
            query.and_where(Expr::col("number").lt(before));
        }
        conn.query_all(&query).await?.iter().map(|row| self.read(row)).collect()
    }

    /// One entity as it was at `at`.
    ///
    /// # Errors
    /// When the query fails, or the body cannot be read as `T`.
    pub async fn find_at<T: DeserializeOwned>(
        &self,
        conn: &impl ConnectionTrait,
        id: Uuid,
        at: Timestamp,
    ) -> Result<Option<T>, DbErr> {
        let mut query = self.bodies_at(at);
        query.and_where(Expr::col("id").eq(id.to_string())).limit(1);
        conn.query_one(&query).await?.map(|row| self.read(&row)).transpose()
    }

    fn bodies_at(&self, at: Timestamp) -> SelectStatement {
        Query::select()
            .column("body")
            .from(self.table)
            .and_where(Expr::col("valid_from").lte(at.as_micros()))
            .and_where(still_valid(at))
            .to_owned()
    }

    fn read<T: DeserializeOwned>(&self, row: &QueryResult) -> Result<T, DbErr> {
        let body: String = row.try_get_by_index(0)?;
        serde_json::from_str(&body).map_err(|error| self.damaged(&error))
    }

    fn damaged(&self, error: &serde_json::Error) -> DbErr {
        DbErr::Json(format!("{}.body: {error}", self.table))
    }
}

fn still_valid(at: Timestamp) -> SimpleExpr {
    let until = || Expr::col("valid_until");
    until().is_null().or(until().gt(at.as_micros()))
}
