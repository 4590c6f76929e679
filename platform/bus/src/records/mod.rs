//! Every SQL statement of the bus, written once for SQLite and Postgres.

pub(crate) mod events;
pub(crate) mod letters;
pub(crate) mod parked;
pub(crate) mod progress;
mod schema;

use sea_orm::{DbBackend, Statement, Value};

pub(crate) use schema::migrations;

/// `text` with its `$1…` bound.
fn sql(backend: DbBackend, text: impl Into<String>, values: impl Into<Vec<Value>>) -> Statement {
    Statement::from_sql_and_values(backend, text, values.into())
}
