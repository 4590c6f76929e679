use sea_orm::sea_query::{ColumnDef, Expr, ExprTrait, OnConflict, Query, Table};
use sea_orm::{ConnectionTrait, DbErr};

use super::Change;

/// A table of human numbers, one row per kind of entity. Each module names its own.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    table: &'static str,
}

impl Counters {
    #[must_use]
    pub const fn in_table(table: &'static str) -> Self {
        Self { table }
    }

    #[must_use]
    pub fn schema(&self) -> Change {
        Change::Table(
            Table::create()
                .table(self.table)
                .col(ColumnDef::new("name").string().primary_key())
                .col(ColumnDef::new("value").big_integer().not_null())
                .to_owned(),
        )
    }

    /// The next number of `name`. The row stays locked until the transaction ends, so that two
    /// writers never get the same.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn next(&self, conn: &impl ConnectionTrait, name: &str) -> Result<i64, DbErr> {
        let count = Query::insert()
            .into_table(self.table)
            .columns(["name", "value"])
            .values_panic([name.into(), 1_i64.into()])
            .on_conflict(
                OnConflict::column("name")
                    .value("value", Expr::col((self.table, "value")).add(1))
                    .to_owned(),
            )
            .returning_col("value")
            .to_owned();
        let row = conn.query_one(&count).await?;
        row.ok_or_else(|| DbErr::RecordNotFound(self.table.to_owned()))?.try_get_by_index(0)
    }
}
