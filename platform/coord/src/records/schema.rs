use sea_orm::sea_query::{Alias, ColumnDef, Index, Table};
use store::records::{Change, Migration};

pub(crate) fn migrations() -> Vec<Migration> {
    let coordination = Migration {
        name: "coord_0001_coordination",
        changes: vec![
            leases(),
            quotas(),
            idempotency(),
            Change::Index(
                Index::create()
                    .name("coord_idempotency_by_age")
                    .table(Alias::new("coord_idempotency"))
                    .col(Alias::new("since"))
                    .to_owned(),
            ),
        ],
    };
    let effects = Migration {
        name: "coord_0002_idempotent_effects",
        changes: vec![
            add(column("instance").text().not_null().default("")),
            add(column("boot").text().not_null().default("")),
            add(column("effect").boolean().not_null().default(false)),
        ],
    };
    vec![coordination, effects]
}

/// One column at a time: `SQLite` alters a table by no more.
fn add(column: &mut ColumnDef) -> Change {
    let table = Alias::new("coord_idempotency");
    Change::Alter(Table::alter().table(table).add_column(column).to_owned())
}

fn column(name: &str) -> ColumnDef {
    ColumnDef::new(Alias::new(name))
}

fn leases() -> Change {
    Change::Table(
        Table::create()
            .table(Alias::new("coord_leases"))
            .col(column("name").text().not_null().primary_key())
            .col(column("owner").text().not_null())
            .col(column("fence").big_integer().not_null())
            .col(column("until").big_integer().not_null())
            .to_owned(),
    )
}

fn quotas() -> Change {
    Change::Table(
        Table::create()
            .table(Alias::new("coord_quotas"))
            .col(column("name").text().not_null())
            .col(column("period").text().not_null())
            .col(column("used").big_integer().not_null())
            .col(column("updated_at").big_integer().not_null())
            .primary_key(Index::create().col(Alias::new("name")).col(Alias::new("period")))
            .to_owned(),
    )
}

fn idempotency() -> Change {
    Change::Table(
        Table::create()
            .table(Alias::new("coord_idempotency"))
            .col(column("caller").text().not_null())
            .col(column("target").text().not_null())
            .col(column("request_key").text().not_null())
            .col(column("body_hash").blob().not_null())
            .col(column("since").big_integer().not_null())
            .col(column("status").integer())
            .col(column("content_type").text())
            .col(column("body").blob())
            .primary_key(
                Index::create()
                    .col(Alias::new("caller"))
                    .col(Alias::new("target"))
                    .col(Alias::new("request_key")),
            )
            .to_owned(),
    )
}
