//! Every SQL statement of coordination, written once for SQLite and Postgres.

pub(crate) mod idempotency;
pub(crate) mod leases;
pub(crate) mod quotas;
mod schema;

use sea_orm::{DbBackend, Statement, Value};

pub(crate) use schema::migrations;

/// `text` with its `$1…` bound.
fn sql(backend: DbBackend, text: &str, values: impl Into<Vec<Value>>) -> Statement {
    Statement::from_sql_and_values(backend, text, values.into())
}
