use std::collections::BTreeSet;

use sea_orm::sea_query::{Alias, ColumnDef, Expr, Query, Table};
use sea_orm::{ConnectionTrait, TransactionTrait};

use super::{Change, Migration, Records, RecordsError};

const LEDGER: &str = "schema_migrations";

/// Applies what the ledger lacks, in order of name, each migration in a transaction of its own.
pub(super) async fn migrate(
    records: &Records,
    migrations: &[Migration],
    now: kernel::Timestamp,
) -> Result<Vec<&'static str>, RecordsError> {
    let mut ordered: Vec<&Migration> = migrations.iter().collect();
    ordered.sort_by_key(|migration| migration.name);
    let applied = ledger(records).await?;
    let known: BTreeSet<&str> = ordered.iter().map(|migration| migration.name).collect();
    if let Some(name) = applied.iter().find(|name| !known.contains(name.as_str())) {
        return Err(RecordsError::NewerSchema { name: name.clone() });
    }
    let mut fresh = Vec::new();
    for migration in ordered.into_iter().filter(|m| !applied.contains(m.name)) {
        apply(records, migration, now).await?;
        fresh.push(migration.name);
    }
    Ok(fresh)
}

async fn ledger(records: &Records) -> Result<BTreeSet<String>, RecordsError> {
    let table = Table::create()
        .table(Alias::new(LEDGER))
        .if_not_exists()
        .col(ColumnDef::new(Alias::new("name")).string().not_null().primary_key())
        .col(ColumnDef::new(Alias::new("applied_at")).big_integer().not_null())
        .to_owned();
    records.writer.execute(&table).await?;
    let names = Query::select().column(Alias::new("name")).from(Alias::new(LEDGER)).to_owned();
    let rows = records.writer.query_all(&names).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index::<String>(0)?)).collect()
}

async fn apply(
    records: &Records,
    migration: &Migration,
    now: kernel::Timestamp,
) -> Result<(), RecordsError> {
    let tx = records.writer.begin().await?;
    for change in &migration.changes {
        match change {
            Change::Table(table) => tx.execute(table).await?,
            Change::Index(index) => tx.execute(index).await?,
            Change::Alter(alter) => tx.execute(alter).await?,
        };
    }
    let entry = Query::insert()
        .into_table(Alias::new(LEDGER))
        .columns([Alias::new("name"), Alias::new("applied_at")])
        .values_panic([Expr::value(migration.name), Expr::value(now.as_micros())])
        .to_owned();
    tx.execute(&entry).await?;
    Ok(tx.commit().await?)
}
