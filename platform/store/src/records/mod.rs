//! State: relational records on SQLite or Postgres, one entity set, one set of schema changes.

mod error;
mod schema;

pub use error::RecordsError;
pub use schema::{Change, Migration};
