use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr, SqlxPostgresConnector,
    SqlxSqliteConnector, Statement,
};
use tokio::sync::watch;

use super::{Backend, Records, RecordsError};

/// Readers beside the one writer: enough for pages and agents, few enough to stay small.
const SQLITE_READERS_MAX: u32 = 8;
const POSTGRES_CONNECTIONS_MAX: u32 = 16;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long SQLite waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The write-ahead log of SQLite is cut back to this after a burst.
const WAL_BYTES_KEPT: &str = "67108864";

/// What every Postgres session is told, whatever the server's defaults are: a commit that returned
/// is on disk, and a process that hangs or was cut off lets go of its locks.
const POSTGRES_SESSION: [(&str, &str); 4] = [
    ("synchronous_commit", "on"),
    ("lock_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("application_name", "plainview"),
];

pub(super) async fn open(url: &str) -> Result<Records, RecordsError> {
    if url.starts_with("sqlite:") {
        return open_sqlite(url).await;
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return open_postgres(url).await;
    }
    Err(RecordsError::UnknownDatabase { url: scheme_of(url) })
}

/// Only the scheme: the rest may hold a password.
fn scheme_of(url: &str) -> String {
    url.split(':').next().unwrap_or_default().chars().take(32).collect()
}

async fn open_sqlite(url: &str) -> Result<Records, RecordsError> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(RecordsError::InMemory);
    }
    let options = SqliteConnectOptions::from_str(url)
        .map_err(connect_error)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("journal_size_limit", WAL_BYTES_KEPT)
        .busy_timeout(BUSY_TIMEOUT);
    // Connections to a file do not go bad, so neither age nor a test before use ends one.
    let pool = || {
        SqlitePoolOptions::new()
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
    };
    let writer =
        pool().max_connections(1).connect_with(options.clone()).await.map_err(connect_error)?;
    let reader = pool()
        .max_connections(SQLITE_READERS_MAX)
        .connect_with(options.pragma("query_only", "ON"))
        .await
        .map_err(connect_error)?;
    Ok(assemble(
        Backend::Sqlite,
        SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
        SqlxSqliteConnector::from_sqlx_sqlite_pool(reader),
    ))
}

async fn open_postgres(url: &str) -> Result<Records, RecordsError> {
    let options = PgConnectOptions::from_str(url).map_err(connect_error)?.options(POSTGRES_SESSION);
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await
        .map_err(connect_error)?;
    let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
    Ok(assemble(Backend::Postgres, connection.clone(), connection))
}

pub(super) async fn is_durable(records: &Records) -> Result<bool, RecordsError> {
    let backend = records.writer.get_database_backend();
    let ask = |text: &str| Statement::from_string(backend, text);
    match records.backend {
        Backend::Sqlite => {
            let row = records.writer.query_one_raw(ask("PRAGMA synchronous")).await?;
            let level = row.map(|row| row.try_get_by_index::<i32>(0)).transpose()?;
            // 2 is FULL, 3 is EXTRA.
            Ok(level.is_some_and(|level| level >= 2))
        }
        Backend::Postgres => {
            let text = "SELECT current_setting('fsync') = 'on' \
                        AND current_setting('synchronous_commit') NOT IN ('off', 'local') \
                        AND current_setting('full_page_writes') = 'on'";
            let row = records.writer.query_one_raw(ask(text)).await?;
            Ok(row.map(|row| row.try_get_by_index::<bool>(0)).transpose()?.unwrap_or(false))
        }
    }
}

fn assemble(backend: Backend, writer: DatabaseConnection, reader: DatabaseConnection) -> Records {
    Records { backend, writer, reader, commits: Arc::new(watch::Sender::new(0)) }
}

fn connect_error(error: sea_orm::sqlx::Error) -> RecordsError {
    RecordsError::Database(DbErr::Conn(RuntimeErr::SqlxError(error.into())))
}
