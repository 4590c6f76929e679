use sea_orm::sea_query::{Alias, ColumnDef, Index, IndexCreateStatement, Table};
use store::records::{Change, Migration};

/// Log, progress per consumer, parked deliveries, dead letters.
pub(crate) fn migrations() -> Vec<Migration> {
    vec![Migration {
        name: "bus_0001_log",
        changes: vec![
            events(),
            index("bus_events_by_type", "bus_events", &["type", "log_offset"]),
            index("bus_events_by_subject", "bus_events", &["subject", "log_offset"]),
            index("bus_events_by_correlation", "bus_events", &["correlation_id", "log_offset"]),
            index("bus_events_by_time", "bus_events", &["time", "log_offset"]),
            progress(),
            parked(),
            letters(),
            index("bus_dead_letters_by_event", "bus_dead_letters", &["log_offset", "state"]),
        ],
    }]
}

fn column(name: &str) -> ColumnDef {
    ColumnDef::new(Alias::new(name))
}

fn index(name: &str, table: &str, columns: &[&str]) -> Change {
    let mut index: IndexCreateStatement =
        Index::create().name(name).table(Alias::new(table)).to_owned();
    for column in columns {
        index.col(Alias::new(*column));
    }
    Change::Index(index)
}

fn events() -> Change {
    Change::Table(
        Table::create()
            .table(Alias::new("bus_events"))
            .col(column("log_offset").big_integer().not_null().auto_increment().primary_key())
            .col(column("event_id").text().not_null().unique_key())
            .col(column("type").text().not_null())
            .col(column("source").text().not_null())
            .col(column("subject").text().not_null())
            .col(column("time").big_integer().not_null())
            .col(column("dataschema").text().not_null())
            .col(column("correlation_id").text().not_null())
            .col(column("causation_id").text())
            .col(column("data").text().not_null())
            .to_owned(),
    )
}

fn progress() -> Change {
    Change::Table(
        Table::create()
            .table(Alias::new("bus_progress"))
            .col(column("consumer").text().not_null().primary_key())
            .col(column("position").big_integer().not_null())
            .col(column("updated_at").big_integer().not_null())
            .to_owned(),
    )
}

fn parked() -> Change {
    Change::Table(
        Table::create()
            .table(Alias::new("bus_parked"))
            .col(column("consumer").text().not_null())
            .col(column("subject").text().not_null())
            .col(column("log_offset").big_integer().not_null())
            .col(column("attempts").integer().not_null())
            .col(column("next_at").big_integer().not_null())
            .col(column("error").text())
            .primary_key(
                Index::create()
                    .col(Alias::new("consumer"))
                    .col(Alias::new("subject"))
                    .col(Alias::new("log_offset")),
            )
            .to_owned(),
    )
}

fn letters() -> Change {
    Change::Table(
        Table::create()
            .table(Alias::new("bus_dead_letters"))
            .col(column("id").big_integer().not_null().auto_increment().primary_key())
            .col(column("agent").text().not_null())
            .col(column("state").text().not_null())
            .col(column("attempts").integer().not_null())
            .col(column("error").text().not_null())
            .col(column("dead_at").big_integer().not_null())
            .col(column("settled_at").big_integer())
            .col(column("settled_reason").text())
            .col(column("log_offset").big_integer().not_null())
            .col(column("event").text().not_null())
            .to_owned(),
    )
}
