use kernel::Retryable;
use sea_orm::sqlx::Error as SqlxError;
use sea_orm::{DbErr, RuntimeErr};

/// What can go wrong with records.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    #[error("database")]
    Database(#[from] sea_orm::DbErr),
    #[error("`{url}` names no database Plainview knows; use sqlite:// or postgres://")]
    UnknownDatabase { url: String },
    #[error("records cannot be kept in memory only; name a file: sqlite:///path/records.db")]
    InMemory,
    #[error(
        "the database holds migration `{name}`, which this version does not know; use a newer Plainview"
    )]
    NewerSchema { name: String },
    #[error("two migrations are called `{name}`")]
    DuplicateMigration { name: &'static str },
    #[error("stored value of {field} is damaged: {reason}")]
    Damaged { field: &'static str, reason: String },
}

impl Retryable for RecordsError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if is_transient(error))
    }
}

/// A query of a module that failed.
///
/// Queries are fixed and tried on both databases, so what fails one mostly passes: the database is
/// away or busy, or another transaction wrote between a look and a write. Only a value that the
/// database cannot hold or that cannot be read back stays what it is.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct QueryError(#[from] DbErr);

impl Retryable for QueryError {
    fn is_retryable(&self) -> bool {
        match &self.0 {
            DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => !is_about_data(error),
            DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => false,
            _ => true,
        }
    }
}

fn is_about_data(error: &SqlxError) -> bool {
    match error {
        SqlxError::Database(error) => error.code().is_some_and(|code| is_data_code(&code)),
        SqlxError::ColumnDecode { .. } | SqlxError::Decode(_) | SqlxError::Encode(_) => true,
        _ => false,
    }
}

/// Postgres: class 22, data exception. SQLite: TOOBIG and MISMATCH.
fn is_data_code(code: &str) -> bool {
    if code.len() == 5 { code.starts_with("22") } else { ["18", "20"].contains(&code) }
}

/// Whether the same work may succeed later: the database was away, busy or full, or two
/// transactions were in each other's way.
fn is_transient(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) => true,
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => is_transient_in_driver(error),
        DbErr::Conn(RuntimeErr::Internal(_)) => true,
        _ => false,
    }
}

fn is_transient_in_driver(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed => true,
        SqlxError::Database(error) => error.code().is_some_and(|code| is_transient_code(&code)),
        _ => false,
    }
}

fn is_transient_code(code: &str) -> bool {
    // Postgres: SQLSTATE, five characters.
    if code.len() == 5 {
        // Connection lost; out of resources; stopped by an operator; serialisation, deadlock;
        // a lock that was waited for too long.
        return ["08", "53", "57"].iter().any(|class| code.starts_with(class))
            || ["40001", "40P01", "55P03"].contains(&code);
    }
    // SQLite: an extended code; its low byte is BUSY, LOCKED, IOERR or FULL.
    code.parse::<u32>().is_ok_and(|code| [5, 6, 10, 13].contains(&(code & 0xff)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_may_pass() {
        for code in ["5", "517", "6", "13", "778", "40001", "40P01", "08006", "57P01", "53300"] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in ["1", "19", "2067", "23505", "42P01", "22P02"] {
            assert!(!is_transient_code(code), "{code}");
        }
    }

    #[test]
    fn a_query_is_tried_again_unless_its_data_are_at_fault() {
        for code in ["22P02", "22021", "18", "20"] {
            assert!(is_data_code(code), "{code}");
        }
        for code in ["5", "517", "2067", "23505", "40001", "08006", "25P02"] {
            assert!(!is_data_code(code), "{code}");
        }
        assert!(QueryError(DbErr::Custom("elsewhere".into())).is_retryable());
        assert!(!QueryError(DbErr::Type("no number".into())).is_retryable());
    }
}
