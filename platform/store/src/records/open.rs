use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sea_orm::{DatabaseConnection, DbErr, RuntimeErr, SqlxPostgresConnector, SqlxSqliteConnector};
use tokio::sync::watch;

use super::{Backend, Records, RecordsError};

/// Readers beside the one writer: enough for pages and agents, few enough to stay small.
const SQLITE_READERS_MAX: u32 = 8;
const POSTGRES_CONNECTIONS_MAX: u32 = 16;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

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
    let options = SqliteConnectOptions::from_str(url)
        .map_err(connect_error)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5));
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options.clone())
        .await
        .map_err(connect_error)?;
    let reader = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await
        .map_err(connect_error)?;
    Ok(assemble(
        Backend::Sqlite,
        SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
        SqlxSqliteConnector::from_sqlx_sqlite_pool(reader),
    ))
}

async fn open_postgres(url: &str) -> Result<Records, RecordsError> {
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect(url)
        .await
        .map_err(connect_error)?;
    let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
    Ok(assemble(Backend::Postgres, connection.clone(), connection))
}

fn assemble(backend: Backend, writer: DatabaseConnection, reader: DatabaseConnection) -> Records {
    Records { backend, writer, reader, commits: Arc::new(watch::Sender::new(0)) }
}

fn connect_error(error: sea_orm::sqlx::Error) -> RecordsError {
    RecordsError::Database(DbErr::Conn(RuntimeErr::SqlxError(error.into())))
}
