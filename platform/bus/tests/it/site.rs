use std::future::Future;
use std::time::{Duration, Instant};

use bus::{Agent, Bus, Coordinator, Filter, HandlerError, Offset, RetryPolicy};
use kernel::{Backoff, Event, SystemClock, Timestamp};
use sea_orm::sea_query::{Alias, ColumnDef, Table};
use sea_orm::{ConnectionTrait, Statement, Value};
use serde_json::json;
use store::records::{Change, Migration, Records, Tx};
use testkit::TestDatabase;

/// Long enough for a loaded machine; a test that passes never waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// One database with a bus on it.
pub(crate) struct Site {
    pub(crate) database: TestDatabase,
    pub(crate) bus: Bus,
}

/// A bus on a fresh database of each kind.
pub(crate) async fn sites() -> Vec<Site> {
    let mut sites = Vec::new();
    for database in TestDatabase::each().await.unwrap() {
        let bus = open(database.url()).await;
        let mut migrations = Bus::migrations();
        migrations.push(effects_table());
        bus.records().migrate(&migrations, bus.clock().now()).await.unwrap();
        sites.push(Site { database, bus });
    }
    sites
}

/// Another handle on the same database, as another process has.
pub(crate) async fn open(url: &str) -> Bus {
    Bus::new(Records::open(url).await.unwrap(), SystemClock::shared())
}

fn effects_table() -> Migration {
    let column = |name| ColumnDef::new(Alias::new(name));
    let table = Table::create()
        .table(Alias::new("effects"))
        .col(column("id").big_integer().not_null().auto_increment().primary_key())
        .col(column("subject").text().not_null())
        .col(column("number").big_integer().not_null())
        .to_owned();
    Migration { name: "zz_0001_effects", changes: vec![Change::Table(table)] }
}

/// Writes the effect of `event`: its subject and number.
pub(crate) async fn effect(event: &Event, tx: &Tx) -> Result<(), HandlerError> {
    let number = event.data["n"].as_i64().unwrap();
    let values: [Value; 2] = [event.subject.clone().into(), number.into()];
    let statement = Statement::from_sql_and_values(
        tx.conn().get_database_backend(),
        "INSERT INTO effects (subject, number) VALUES ($1, $2)",
        values,
    );
    tx.conn().execute_raw(statement).await.map(drop).map_err(HandlerError::retry)
}

/// A retry policy whose pauses a test can wait for.
pub(crate) fn quick() -> RetryPolicy {
    RetryPolicy {
        retries_max: 3,
        backoff: Backoff { first: Duration::from_millis(4), max: Duration::from_millis(50) },
        dead_letters: true,
    }
}

pub(crate) fn run(bus: &Bus, agents: Vec<Agent>) -> Coordinator {
    let agents = agents.into_iter().map(|agent| ("tests", agent)).collect();
    Coordinator::start(bus.clone(), agents, quick())
}

/// Waits until `condition` holds, and fails the test when it never does.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Site {
    /// Publishes number `n` about `subject` in a transaction of its own.
    pub(crate) async fn say(&self, kind: &'static str, subject: &str, n: i64) -> Event {
        say(&self.bus, kind, subject, n).await
    }

    /// All effects in the order of their commits: (subject, number).
    pub(crate) async fn effects(&self) -> Vec<(String, i64)> {
        let conn = self.bus.records().read();
        let text = "SELECT subject, number FROM effects ORDER BY id";
        let statement = Statement::from_string(conn.get_database_backend(), text);
        let rows = conn.query_all_raw(statement).await.unwrap();
        rows.iter()
            .map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap()))
            .collect()
    }

    pub(crate) async fn until_effects(&self, count: usize) {
        until(&format!("{count} effects"), || async { self.effects().await.len() >= count }).await;
    }

    /// The numbers that took effect about `subject`, in order.
    pub(crate) async fn numbers(&self, subject: &str) -> Vec<i64> {
        let effects = self.effects().await;
        effects.into_iter().filter(|(of, _)| of == subject).map(|(_, n)| n).collect()
    }

    /// Everything in the log of type `kind`.
    pub(crate) async fn said(&self, kind: &str) -> Vec<(Offset, Event)> {
        let filter = Filter { types: vec![kind.to_owned()], ..Filter::default() };
        self.bus.read(Offset(0), &filter, 1_000).await.unwrap()
    }

    /// Until everything published is handled or given up.
    pub(crate) async fn until_idle(&self, coordinator: &Coordinator) {
        until("no agent lags", || async {
            coordinator.report().await.unwrap().iter().all(|agent| agent.lag == 0)
        })
        .await;
    }

    pub(crate) fn later(&self) -> Timestamp {
        self.bus.clock().now().plus(Duration::from_secs(3_600))
    }
}

pub(crate) async fn say(bus: &Bus, kind: &'static str, subject: &str, n: i64) -> Event {
    let tx = bus.records().begin().await.unwrap();
    let draft = testkit::draft(kind, subject, json!({ "n": n }));
    let event = bus.publish(&tx, "tests", draft).await.unwrap();
    tx.commit().await.unwrap();
    event
}
