//! Past states and human numbers: on SQLite always, on Postgres when the environment names a
//! server (`PLAINVIEW_TEST_POSTGRES_URL`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::collections::BTreeSet;

use kernel::Timestamp;
use sea_orm::{DbErr, SqlErr};
use store::records::{Counters, History, Migration, Records, Version};
use testkit::TestDatabase;
use uuid::Uuid;

const HISTORY: History = History::in_table("t_history");
const COUNTERS: Counters = Counters::in_table("t_counters");
const PUMP: Uuid = Uuid::from_u128(1);

async fn fresh() -> Vec<(TestDatabase, Records)> {
    let mut all = Vec::new();
    for database in TestDatabase::each().await.unwrap() {
        let records = Records::open(database.url()).await.unwrap();
        let mut changes = vec![COUNTERS.schema()];
        changes.extend(HISTORY.schema());
        records.migrate(&[Migration { name: "t_0001", changes }], at(0)).await.unwrap();
        all.push((database, records));
    }
    all
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(1_795_089_600 + second)
}

fn pump(number: i64, version: i64, state: &'static str) -> Version<'static> {
    Version {
        kind: "pump",
        id: Uuid::from_u128(number.unsigned_abs().into()),
        number,
        version,
        state,
    }
}

async fn keep(records: &Records, version: Version<'_>, second: i64) -> Result<(), DbErr> {
    let tx = records.begin().await.unwrap();
    let whole = format!("{} {} is {}", version.kind, version.number, version.state);
    HISTORY.keep(tx.conn(), version, &whole, at(second)).await?;
    tx.commit().await.unwrap();
    Ok(())
}

async fn listed(
    records: &Records,
    second: i64,
    states: &[&str],
    before: Option<i64>,
    limit: u64,
) -> Vec<String> {
    HISTORY.list_at(records.read(), "pump", at(second), states, before, limit).await.unwrap()
}

#[tokio::test]
async fn an_entity_is_read_as_it_was_at_a_time() {
    for (_database, records) in fresh().await {
        keep(&records, pump(1, 1, "new"), 10).await.unwrap();
        keep(&records, pump(2, 1, "new"), 15).await.unwrap();
        keep(&records, pump(1, 2, "worn"), 20).await.unwrap();
        for (second, then) in [
            (9, None),
            (10, Some("pump 1 is new")),
            (19, Some("pump 1 is new")),
            (20, Some("pump 1 is worn")),
            (1_000, Some("pump 1 is worn")),
        ] {
            let found: Option<String> =
                HISTORY.find_at(records.read(), PUMP, at(second)).await.unwrap();
            assert_eq!(found.as_deref(), then, "second {second}");
        }
        assert_eq!(listed(&records, 14, &[], None, 9).await, ["pump 1 is new"]);
        assert_eq!(listed(&records, 20, &[], None, 9).await, ["pump 2 is new", "pump 1 is worn"]);
    }
}

#[tokio::test]
async fn a_list_holds_what_is_asked_for_highest_number_first() {
    for (_database, records) in fresh().await {
        for number in 1..=5 {
            let state = if number % 2 == 0 { "worn" } else { "new" };
            keep(&records, pump(number, 1, state), 0).await.unwrap();
        }
        let fan = Version { kind: "fan", ..pump(9, 1, "new") };
        keep(&records, fan, 0).await.unwrap();
        assert_eq!(listed(&records, 0, &[], None, 2).await, ["pump 5 is new", "pump 4 is worn"]);
        assert_eq!(listed(&records, 0, &[], Some(4), 1).await, ["pump 3 is new"]);
        assert_eq!(listed(&records, 0, &["worn"], Some(4), 9).await, ["pump 2 is worn"]);
        assert_eq!(listed(&records, 0, &["worn", "new"], None, 9).await.len(), 5);
    }
}

#[tokio::test]
async fn a_version_is_kept_once() {
    for (_database, records) in fresh().await {
        keep(&records, pump(1, 1, "new"), 0).await.unwrap();
        let twice = keep(&records, pump(1, 1, "worn"), 5).await.unwrap_err();
        assert!(matches!(twice.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))), "{twice}");
        assert_eq!(listed(&records, 5, &[], None, 9).await, ["pump 1 is new"]);
    }
}

#[tokio::test]
async fn a_body_of_another_shape_is_told_by_its_column() {
    for (_database, records) in fresh().await {
        keep(&records, pump(1, 1, "new"), 0).await.unwrap();
        let read = HISTORY.find_at::<i64>(records.read(), PUMP, at(0)).await.unwrap_err();
        assert!(matches!(&read, DbErr::Json(text) if text.starts_with("t_history.body")), "{read}");
    }
}

/// Two processes that number at once, and a transaction that is given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn numbers_are_counted_by_kind_without_gap_or_twin() {
    for (database, records) in fresh().await {
        let other = Records::open(database.url()).await.unwrap();
        let mut writers = tokio::task::JoinSet::new();
        for records in [records.clone(), other].into_iter().cycle().take(8) {
            writers.spawn(async move {
                let tx = records.begin().await.unwrap();
                COUNTERS.next(tx.conn(), "pump").await.unwrap();
                tx.rollback().await.unwrap();
                let tx = records.begin().await.unwrap();
                let number = COUNTERS.next(tx.conn(), "pump").await.unwrap();
                tx.commit().await.unwrap();
                number
            });
        }
        let numbers: BTreeSet<i64> = writers.join_all().await.into_iter().collect();
        assert_eq!(numbers, (1..=8).collect());
        let tx = records.begin().await.unwrap();
        assert_eq!(COUNTERS.next(tx.conn(), "fan").await.unwrap(), 1);
        assert_eq!(COUNTERS.next(tx.conn(), "pump").await.unwrap(), 9);
    }
}
