//! The conformance suite of records: on SQLite always, on Postgres when the environment names a
//! server (`PLAINVIEW_TEST_POSTGRES_URL`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::time::Duration;

use kernel::{Retryable, Timestamp};
use sea_orm::sea_query::{Alias, ColumnDef, Index, Table};
use sea_orm::{ConnectionTrait, DbErr, Statement, Value};
use store::records::{Backend, Change, Migration, Records, RecordsError, Tx};
use testkit::TestDatabase;

const NOW: Timestamp = Timestamp::from_secs(1_795_089_600);

fn table(name: &'static str, table: &str) -> Migration {
    let table = Table::create()
        .table(Alias::new(table))
        .col(ColumnDef::new(Alias::new("id")).big_integer().not_null().primary_key())
        .col(ColumnDef::new(Alias::new("number")).big_integer().not_null())
        .to_owned();
    Migration { name, changes: vec![Change::Table(table)] }
}

async fn fresh() -> Vec<(TestDatabase, Records)> {
    let mut all = Vec::new();
    for database in TestDatabase::each().await.unwrap() {
        let records = Records::open(database.url()).await.unwrap();
        records.migrate(&[table("t_0001", "numbers")], NOW).await.unwrap();
        all.push((database, records));
    }
    all
}

async fn run(tx: &Tx, text: &str, values: impl IntoIterator<Item = Value>) -> Result<u64, DbErr> {
    let backend = tx.conn().get_database_backend();
    let done = tx.conn().execute_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    Ok(done.rows_affected())
}

async fn insert(tx: &Tx, id: i64) -> Result<u64, DbErr> {
    run(tx, "INSERT INTO numbers (id, number) VALUES ($1, 0)", [id.into()]).await
}

async fn count(records: &Records) -> i64 {
    let conn = records.read();
    let text = "SELECT COUNT(*) FROM numbers";
    let statement = Statement::from_string(conn.get_database_backend(), text);
    conn.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

#[tokio::test]
async fn a_commit_is_seen_and_told_and_a_rollback_is_neither() {
    for (_database, records) in fresh().await {
        let commits = records.commits();
        let before = *commits.borrow();
        let tx = records.begin().await.unwrap();
        insert(&tx, 1).await.unwrap();
        assert_eq!(count(&records).await, 0, "seen before the commit");
        tx.rollback().await.unwrap();
        let tx = records.begin().await.unwrap();
        insert(&tx, 1).await.unwrap();
        drop(tx);
        assert_eq!((count(&records).await, *commits.borrow()), (0, before));
        let tx = records.begin().await.unwrap();
        insert(&tx, 1).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((count(&records).await, *commits.borrow()), (1, before + 1));
    }
}

#[tokio::test]
async fn what_is_deferred_comes_last_in_order_and_once() {
    for (_database, records) in fresh().await {
        let tx = records.begin().await.unwrap();
        let backend = tx.conn().get_database_backend();
        let step = |text: &str| Statement::from_string(backend, text);
        tx.defer(step("UPDATE numbers SET number = number * 10"));
        tx.defer(step("UPDATE numbers SET number = number + 3"));
        tx.defer_once(step("UPDATE numbers SET number = number + 100"));
        tx.defer_once(step("UPDATE numbers SET number = number + 100"));
        insert(&tx, 1).await.unwrap();
        run(&tx, "UPDATE numbers SET number = 4", []).await.unwrap();
        tx.commit().await.unwrap();
        let conn = records.read();
        let row = conn.query_one_raw(step("SELECT number FROM numbers")).await.unwrap().unwrap();
        assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 143);
    }
}

#[tokio::test]
async fn a_deferred_failure_undoes_the_whole_transaction() {
    for (_database, records) in fresh().await {
        let told = *records.commits().borrow();
        let tx = records.begin().await.unwrap();
        insert(&tx, 1).await.unwrap();
        tx.defer(Statement::from_string(tx.conn().get_database_backend(), "NONSENSE"));
        assert!(tx.commit().await.is_err());
        assert_eq!((count(&records).await, *records.commits().borrow()), (0, told));
        let tx = records.begin().await.unwrap();
        insert(&tx, 2).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count(&records).await, 1);
    }
}

/// Transactions that read first and write later, from two processes: none is lost or refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_two_processes_take_turns() {
    for (database, records) in fresh().await {
        let tx = records.begin().await.unwrap();
        insert(&tx, 1).await.unwrap();
        tx.commit().await.unwrap();
        let other = Records::open(database.url()).await.unwrap();
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..8 {
            let records = if writer % 2 == 0 { records.clone() } else { other.clone() };
            writers.spawn(async move {
                for _ in 0..20 {
                    let tx = records.begin().await.unwrap();
                    let text = "SELECT number FROM numbers WHERE id = 1";
                    let read = Statement::from_string(tx.conn().get_database_backend(), text);
                    tx.conn().query_one_raw(read).await.unwrap();
                    run(&tx, "UPDATE numbers SET number = number + 1", []).await.unwrap();
                    tx.commit().await.unwrap();
                }
            });
        }
        while let Some(done) = writers.join_next().await {
            done.unwrap();
        }
        let conn = records.read();
        let read =
            Statement::from_string(conn.get_database_backend(), "SELECT number FROM numbers");
        let row = conn.query_one_raw(read).await.unwrap().unwrap();
        assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 160);
    }
}

#[tokio::test]
async fn migrations_run_once_in_order_of_name() {
    for (_database, records) in fresh().await {
        let index = Index::create()
            .name("later_by_number")
            .table(Alias::new("later"))
            .col(Alias::new("number"))
            .to_owned();
        let all = [
            Migration { name: "t_0003", changes: vec![Change::Index(index)] },
            table("t_0002", "later"),
            table("t_0001", "numbers"),
        ];
        assert_eq!(records.migrate(&all, NOW).await.unwrap(), ["t_0002", "t_0003"]);
        assert!(records.migrate(&all, NOW).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing_behind() {
    for (_database, records) in fresh().await {
        let mut broken = table("t_0002", "half");
        broken.changes.extend(table("t_0002", "numbers").changes);
        let all = [table("t_0001", "numbers"), broken];
        assert!(matches!(records.migrate(&all, NOW).await, Err(RecordsError::Database(_))));
        let mended = [table("t_0001", "numbers"), table("t_0002", "half")];
        assert_eq!(records.migrate(&mended, NOW).await.unwrap(), ["t_0002"]);
    }
}

#[tokio::test]
async fn a_newer_schema_and_twin_names_are_refused() {
    for (_database, records) in fresh().await {
        let older = records.migrate(&[table("s_0001", "other")], NOW).await;
        assert!(matches!(older, Err(RecordsError::NewerSchema { name }) if name == "t_0001"));
        let twins = [table("t_0001", "numbers"), table("t_0001", "other")];
        let refused = records.migrate(&twins, NOW).await;
        assert!(matches!(refused, Err(RecordsError::DuplicateMigration { name: "t_0001" })));
    }
}

#[tokio::test]
async fn a_tool_gets_its_tables_whatever_else_there_is() {
    for (_database, records) in fresh().await {
        let own = [table("s_0001", "other")];
        assert_eq!(records.ensure(&own, NOW).await.unwrap(), ["s_0001"]);
        assert!(records.ensure(&own, NOW).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_start_together_migrate_once() {
    for database in TestDatabase::each().await.unwrap() {
        let mut starting = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let url = database.url().to_owned();
            starting.spawn(async move {
                let records = Records::open(&url).await.unwrap();
                let all = [table("t_0001", "numbers"), table("t_0002", "later")];
                records.migrate(&all, NOW).await.unwrap().len()
            });
        }
        let mut applied = 0;
        while let Some(count) = starting.join_next().await {
            applied += count.unwrap();
        }
        assert_eq!(applied, 2);
    }
}

#[tokio::test]
async fn errors_know_whether_to_try_again() {
    for (_database, records) in fresh().await {
        let tx = records.begin().await.unwrap();
        insert(&tx, 1).await.unwrap();
        let twice = RecordsError::from(insert(&tx, 1).await.unwrap_err());
        assert!(!twice.is_retryable(), "{twice:?}");
        tx.rollback().await.unwrap();
        records.ping().await.unwrap();
        assert!(records.is_durable().await.unwrap());
        records.clone().close().await.unwrap();
        let closed = records.begin().await.unwrap_err();
        assert!(closed.is_retryable(), "{closed:?}");
    }
}

#[tokio::test]
async fn the_reading_connection_of_sqlite_does_not_write() {
    for (_database, records) in fresh().await {
        if records.backend() == Backend::Sqlite {
            let written =
                records.read().execute_unprepared("INSERT INTO numbers VALUES (1, 1)").await;
            assert!(written.is_err());
        }
        assert_eq!(count(&records).await, 0);
    }
}

#[tokio::test]
async fn urls_that_name_no_lasting_database_are_refused_without_their_secrets() {
    for url in ["mysql://root:secret@host/db", "/tmp/records.db", ""] {
        let error = Records::open(url).await.unwrap_err();
        assert!(matches!(error, RecordsError::UnknownDatabase { .. }));
        assert!(!error.to_string().contains("secret"));
    }
    for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite://file?mode=memory"] {
        assert!(matches!(Records::open(url).await, Err(RecordsError::InMemory)));
    }
}

/// A reader in the middle of its work does not hold up the writer.
#[tokio::test]
async fn readers_and_the_writer_do_not_wait_for_each_other() {
    use sea_orm::TransactionTrait;
    for (_database, records) in fresh().await {
        let reading = records.read().begin().await.unwrap();
        let text = "SELECT COUNT(*) FROM numbers";
        let look = || Statement::from_string(reading.get_database_backend(), text);
        reading.query_one_raw(look()).await.unwrap();
        let writing = async {
            let tx = records.begin().await.unwrap();
            insert(&tx, 1).await.unwrap();
            tx.commit().await.unwrap();
        };
        tokio::time::timeout(Duration::from_secs(5), writing).await.unwrap();
        reading.query_one_raw(look()).await.unwrap();
        reading.rollback().await.unwrap();
        assert_eq!(count(&records).await, 1);
    }
}
