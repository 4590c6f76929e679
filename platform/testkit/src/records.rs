use std::path::Path;
use std::sync::Once;

use sea_orm::{ConnectionTrait, Database, DbErr};
use tempfile::TempDir;
use uuid::Uuid;

use crate::TestkitError;

/// Names a server on which tests may make and drop databases.
const ADMIN_URL: &str = "PLAINVIEW_TEST_POSTGRES_URL";

/// A fresh records database for one test, gone with this value.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Directory(TempDir),
    Server { admin_url: String, name: String },
}

impl TestDatabase {
    /// A SQLite file in a directory of its own.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn sqlite() -> Result<Self, TestkitError> {
        let dir = TempDir::with_prefix("plainview-test-")?;
        let url = format!("sqlite://{}", dir.path().join("records.db").display());
        Ok(Self { url, place: Place::Directory(dir) })
    }

    /// A database on the server that `PLAINVIEW_TEST_POSTGRES_URL` names; `None`, said once on
    /// stderr, when it names none.
    ///
    /// # Errors
    /// When the variable names a server that gives no database.
    pub async fn postgres() -> Result<Option<Self>, TestkitError> {
        let Some(admin_url) = admin_url() else {
            say_left_out();
            return Ok(None);
        };
        let name = format!("plainview_test_{}", Uuid::new_v4().simple());
        let url = with_database(&admin_url, &name)
            .ok_or(TestkitError::BadAdminUrl { name: ADMIN_URL })?;
        let admin = Database::connect(&admin_url).await?;
        // template1 cannot be copied while another test looks at it; template0 always can.
        admin.execute_unprepared(&format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        admin.close().await?;
        Ok(Some(Self { url, place: Place::Server { admin_url, name } }))
    }

    /// One of each kind there is: what a conformance suite runs on.
    ///
    /// # Errors
    /// When one of them cannot be made.
    pub async fn each() -> Result<Vec<Self>, TestkitError> {
        let mut all = vec![Self::sqlite()?];
        all.extend(Self::postgres().await?);
        Ok(all)
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs a statement on a connection of its own.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn execute(&self, statement: &str) -> Result<(), TestkitError> {
        let conn = Database::connect(&self.url).await?;
        conn.execute_unprepared(statement).await?;
        Ok(conn.close().await?)
    }

    #[must_use]
    pub fn is_postgres(&self) -> bool {
        matches!(self.place, Place::Server { .. })
    }

    /// The directory of a SQLite database.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        match &self.place {
            Place::Directory(dir) => Some(dir.path()),
            Place::Server { .. } => None,
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Place::Server { admin_url, name } = &self.place else { return };
        let (admin_url, name) = (admin_url.clone(), name.clone());
        // Dropping is synchronous and may happen inside a runtime, which must not be blocked on.
        let dropper = std::thread::spawn(move || drop_database(&admin_url, &name));
        if !matches!(dropper.join(), Ok(Ok(()))) {
            say(&format!("testkit: a test database was left on the server: {self:?}"));
        }
    }
}

impl From<DbErr> for TestkitError {
    fn from(error: DbErr) -> Self {
        Self::Database(Box::new(error))
    }
}

fn drop_database(admin_url: &str, name: &str) -> Result<(), TestkitError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let admin = Database::connect(admin_url).await?;
        admin.execute_unprepared(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        Ok(admin.close().await?)
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration; this names the server they may use"
)]
fn admin_url() -> Option<String> {
    std::env::var(ADMIN_URL).ok().filter(|url| !url.is_empty())
}

/// `url` with `name` for its database.
fn with_database(url: &str, name: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, format!("?{query}")),
        None => (rest, String::new()),
    };
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    Some(format!("{scheme}://{host}/{name}{query}"))
}

fn say_left_out() {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        say(&format!(
            "testkit: POSTGRES WAS LEFT OUT: set {ADMIN_URL} to an admin URL to test on it too"
        ));
    });
}

#[expect(clippy::print_stderr, reason = "a test's only voice; what was left out must be heard")]
fn say(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_another_database_on_the_same_server() {
        let named = |url| with_database(url, "fresh");
        assert_eq!(
            named("postgres://me:pw@127.0.0.1:5432/postgres?sslmode=disable").as_deref(),
            Some("postgres://me:pw@127.0.0.1:5432/fresh?sslmode=disable")
        );
        assert_eq!(named("postgres://localhost").as_deref(), Some("postgres://localhost/fresh"));
        assert_eq!(named("nonsense"), None);
    }

    #[tokio::test]
    async fn a_fresh_database_is_gone_afterwards() {
        for database in TestDatabase::each().await.unwrap() {
            let url = if database.is_postgres() {
                database.url().to_owned()
            } else {
                format!("{}?mode=rwc", database.url())
            };
            let conn = Database::connect(&url).await.unwrap();
            conn.execute_unprepared("CREATE TABLE t (n BIGINT)").await.unwrap();
            conn.close().await.unwrap();
            let dir = database.dir().map(Path::to_owned);
            drop(database);
            match dir {
                Some(dir) => assert!(!dir.exists()),
                None => assert!(Database::connect(&url).await.is_err()),
            }
        }
    }
}
