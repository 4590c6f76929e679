use std::collections::BTreeSet;

use sea_orm::sea_query::{Alias, ColumnDef, Expr, Query, Table};
use sea_orm::{ConnectionTrait, Statement};

use super::{Backend, Change, Migration, Records, RecordsError, Tx};

const LEDGER: &str = "schema_migrations";

/// Names the lock that migrating processes on Postgres queue for: "plnv" "migr" in ASCII.
const MIGRATE_LOCK: i64 = 0x706c_6e76_6d69_6772;

/// Applies what the ledger lacks, in order of name, each migration in a transaction of its own.
///
/// Several processes may start at once: each migration is looked up again under a lock before it
/// is applied.
pub(super) async fn migrate(
    records: &Records,
    migrations: &[Migration],
    now: kernel::Timestamp,
) -> Result<Vec<&'static str>, RecordsError> {
    let known: BTreeSet<&str> = migrations.iter().map(|migration| migration.name).collect();
    let applied = make_ledger(records).await?;
    if let Some(name) = applied.iter().find(|name| !known.contains(name.as_str())) {
        return Err(RecordsError::NewerSchema { name: name.clone() });
    }
    ensure(records, migrations, now).await
}

/// As [`migrate`], for a part of the schema: what else the ledger holds is not looked at.
pub(super) async fn ensure(
    records: &Records,
    migrations: &[Migration],
    now: kernel::Timestamp,
) -> Result<Vec<&'static str>, RecordsError> {
    let mut ordered: Vec<&Migration> = migrations.iter().collect();
    ordered.sort_by_key(|migration| migration.name);
    if let Some(pair) = ordered.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(RecordsError::DuplicateMigration { name: pair[0].name });
    }
    let applied = make_ledger(records).await?;
    let mut fresh = Vec::new();
    for migration in ordered.into_iter().filter(|m| !applied.contains(m.name)) {
        if apply(records, migration, now).await? {
            fresh.push(migration.name);
        }
    }
    Ok(fresh)
}

async fn make_ledger(records: &Records) -> Result<BTreeSet<String>, RecordsError> {
    let tx = begin_alone(records).await?;
    let table = Table::create()
        .table(Alias::new(LEDGER))
        .if_not_exists()
        .col(ColumnDef::new(Alias::new("name")).string().not_null().primary_key())
        .col(ColumnDef::new(Alias::new("applied_at")).big_integer().not_null())
        .to_owned();
    tx.conn().execute(&table).await?;
    let names = applied(&tx).await?;
    tx.commit().await?;
    Ok(names)
}

async fn applied(tx: &Tx) -> Result<BTreeSet<String>, RecordsError> {
    let names = Query::select().column(Alias::new("name")).from(Alias::new(LEDGER)).to_owned();
    let rows = tx.conn().query_all(&names).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index::<String>(0)?)).collect()
}

/// A transaction that no other migrating process has at the same time.
async fn begin_alone(records: &Records) -> Result<Tx, RecordsError> {
    let tx = records.begin().await?;
    if records.backend() == Backend::Postgres {
        let backend = tx.conn().get_database_backend();
        let text = "SELECT pg_advisory_xact_lock($1)";
        let lock = Statement::from_sql_and_values(backend, text, [MIGRATE_LOCK.into()]);
        tx.conn().execute_raw(lock).await?;
    }
    Ok(tx)
}

/// False when another process was quicker.
async fn apply(
    records: &Records,
    migration: &Migration,
    now: kernel::Timestamp,
) -> Result<bool, RecordsError> {
    let tx = begin_alone(records).await?;
    if applied(&tx).await?.contains(migration.name) {
        tx.rollback().await?;
        return Ok(false);
    }
    for change in &migration.changes {
        match change {
            Change::Table(table) => tx.conn().execute(table).await?,
            Change::Index(index) => tx.conn().execute(index).await?,
            Change::Alter(alter) => tx.conn().execute(alter).await?,
        };
    }
    let entry = Query::insert()
        .into_table(Alias::new(LEDGER))
        .columns([Alias::new("name"), Alias::new("applied_at")])
        .values_panic([Expr::value(migration.name), Expr::value(now.as_micros())])
        .to_owned();
    tx.conn().execute(&entry).await?;
    tx.commit().await?;
    Ok(true)
}
