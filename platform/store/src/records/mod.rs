//! State: relational records on SQLite or Postgres, one entity set, one set of schema changes.
//!
//! The backend is chosen once, from the URL. On SQLite there is one writing connection and a pool
//! of readers; on Postgres one pool serves both.

mod counters;
mod error;
mod history;
mod migrate;
mod open;
mod rider;
mod schema;

use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};
use tokio::sync::watch;

pub use counters::Counters;
pub use error::{QueryError, RecordsError};
pub use history::{History, Version};
pub use rider::with_rider;
pub use schema::{Change, Migration};

/// Which database keeps the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// A handle on the records database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Records {
    backend: Backend,
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    commits: Arc<watch::Sender<u64>>,
}

impl Records {
    /// Opens the database that `url` names: `sqlite:///path/file.db` (made when missing) or
    /// `postgres://…`. Runs no migration.
    ///
    /// # Errors
    /// When the URL names no known database or the database cannot be reached.
    pub async fn open(url: &str) -> Result<Self, RecordsError> {
        open::open(url).await
    }

    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The connection to read from outside a transaction. On SQLite it refuses to write.
    #[must_use]
    pub fn read(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// Starts a writing transaction. On SQLite there is only one at a time: never call this while
    /// holding a [`Tx`], and never wait for the network inside one.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn begin(&self) -> Result<Tx, RecordsError> {
        // A deferred transaction that reads first and writes later fails at once when another
        // process wrote meanwhile; an immediate one waits its turn.
        let options = TransactionOptions {
            sqlite_transaction_mode: match self.backend {
                Backend::Sqlite => Some(SqliteTransactionMode::Immediate),
                Backend::Postgres => None,
            },
            ..TransactionOptions::default()
        };
        let inner = self.writer.begin_with_options(options).await?;
        let deferred = Mutex::new(rider::current());
        Ok(Tx { inner, deferred, commits: Arc::clone(&self.commits) })
    }

    /// Brings the schema forward, in order of name, each migration in a transaction of its own.
    /// Several processes may do so at once. Returns the names newly applied.
    ///
    /// # Errors
    /// When a change fails (its migration is rolled back), or the database is newer than this
    /// program.
    pub async fn migrate(
        &self,
        migrations: &[Migration],
        now: kernel::Timestamp,
    ) -> Result<Vec<&'static str>, RecordsError> {
        migrate::migrate(self, migrations, now).await
    }

    /// Applies what is missing of `migrations` alone, whatever else the database holds: for a tool
    /// that needs a few tables of a database that may be newer. Returns the names newly applied.
    ///
    /// # Errors
    /// When a change fails; its migration is rolled back.
    pub async fn ensure(
        &self,
        migrations: &[Migration],
        now: kernel::Timestamp,
    ) -> Result<Vec<&'static str>, RecordsError> {
        migrate::ensure(self, migrations, now).await
    }

    /// Changes whenever a transaction of this process commits; what waiting readers wake on.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// Whether a commit that returned survives a loss of power: false when the server was told to
    /// skip its fsync.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn is_durable(&self) -> Result<bool, RecordsError> {
        open::is_durable(self).await
    }

    /// Answers when the database does.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), RecordsError> {
        Ok(self.reader.ping().await?)
    }

    /// Closes both pools, waiting for what is under way.
    ///
    /// # Errors
    /// When a connection cannot be closed.
    pub async fn close(self) -> Result<(), RecordsError> {
        self.writer.close().await?;
        Ok(self.reader.close().await?)
    }
}

/// One writing transaction. What it writes, publishes and marks done commits together, or not at
/// all; dropping it rolls back.
#[derive(Debug)]
pub struct Tx {
    inner: DatabaseTransaction,
    deferred: Mutex<Vec<Statement>>,
    commits: Arc<watch::Sender<u64>>,
}

impl Tx {
    /// What SeaORM queries run on.
    #[must_use]
    pub fn conn(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Runs `statement` as the last part of the transaction, in the order of calls.
    pub fn defer(&self, statement: Statement) {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner).push(statement);
    }

    /// As [`Tx::defer`], unless the same statement waits already.
    ///
    /// For locks that every transaction wants, such as the one that orders the event log: taken
    /// last and held only until the commit, they cannot deadlock with the rows locked before.
    pub fn defer_once(&self, statement: Statement) {
        let mut deferred = self.deferred.lock().unwrap_or_else(PoisonError::into_inner);
        if !deferred.contains(&statement) {
            deferred.push(statement);
        }
    }

    /// Durable once this returns.
    ///
    /// # Errors
    /// When the commit fails or its outcome is unknown.
    pub async fn commit(self) -> Result<(), RecordsError> {
        for statement in self.deferred.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.inner.execute_raw(statement).await?;
        }
        self.inner.commit().await?;
        self.commits.send_modify(|count| *count += 1);
        Ok(())
    }

    /// # Errors
    /// When the database cannot be reached; it then rolls back by itself.
    pub async fn rollback(self) -> Result<(), RecordsError> {
        Ok(self.inner.rollback().await?)
    }
}
