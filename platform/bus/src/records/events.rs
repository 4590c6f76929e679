use std::fmt::Write as _;
use std::str::FromStr;

use kernel::{Event, Timestamp};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

use super::sql;
use crate::{BusError, Filter, Offset};

/// Names the lock that publishers on Postgres queue for: "plnv" "bus1" in ASCII.
const PUBLISH_LOCK: i64 = 0x706c_6e76_6275_7331;

/// What a publisher runs before its first insert, so that offsets become visible in order:
/// without it a smaller offset may commit after a larger one was already read. SQLite has one
/// writer and needs none.
pub(crate) fn publish_lock(backend: DbBackend) -> Option<Statement> {
    matches!(backend, DbBackend::Postgres)
        .then(|| sql(backend, "SELECT pg_advisory_xact_lock($1)", [PUBLISH_LOCK.into()]))
}

const INSERT: &str = "INSERT INTO bus_events (event_id, type, source, subject, time, dataschema, \
                      correlation_id, causation_id, data) VALUES ";
const INSERT_COLUMNS: usize = 9;
/// Rows of one insert: powers of two, so that the prepared statements are few and no number of
/// events takes many.
const INSERT_ROWS: [usize; 8] = [128, 64, 32, 16, 8, 4, 2, 1];

/// An event as its row, encoded by whoever says it: whoever commits only binds.
#[derive(Debug)]
pub(crate) struct Row([Value; INSERT_COLUMNS]);

impl Row {
    /// The row of `event`, whose data in JSON are `data`.
    pub(crate) fn new(event: &Event, data: String) -> Self {
        Self([
            event.id.to_string().into(),
            event.kind.clone().into(),
            event.source.clone().into(),
            event.subject.clone().into(),
            event.time.as_micros().into(),
            event.dataschema.clone().into(),
            event.correlationid.to_string().into(),
            event.causationid.map(|id| id.to_string()).into(),
            data.into(),
        ])
    }
}

/// The statements that add `rows` in their order.
pub(crate) fn inserts(backend: DbBackend, rows: Vec<Row>) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut rows = rows.into_iter();
    for count in INSERT_ROWS {
        while rows.len() >= count {
            let mut values = Vec::with_capacity(count * INSERT_COLUMNS);
            values.extend(rows.by_ref().take(count).flat_map(|Row(columns)| columns));
            statements.push(sql(backend, insert(backend, count), values));
        }
    }
    statements
}

/// The text that adds `count` rows. SQLite looks a numbered parameter up among all the others
/// whenever it binds one, which for a thousand of them is most of the work; bare ones it counts.
fn insert(backend: DbBackend, count: usize) -> String {
    let mut text = INSERT.to_owned();
    for row in 0..count {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=INSERT_COLUMNS {
            text.push_str(if column == 1 { "" } else { ", " });
            match backend {
                DbBackend::Postgres => {
                    push(&mut text, format_args!("${}", row * INSERT_COLUMNS + column));
                }
                _ => text.push('?'),
            }
        }
        text.push(')');
    }
    text
}

const COLUMNS: &str = "log_offset, event_id, type, source, subject, time, dataschema, \
                       correlation_id, causation_id, data";

/// Committed events after `after` that pass `filter`, oldest first.
pub(crate) async fn after(
    conn: &impl ConnectionTrait,
    after: Offset,
    filter: &Filter,
    limit: u64,
) -> Result<Vec<(Offset, Event)>, BusError> {
    let mut values: Vec<Value> = vec![after.0.into()];
    let mut text = format!("SELECT {COLUMNS} FROM bus_events WHERE log_offset > $1");
    any_of(&mut text, &mut values, "type", &filter.types);
    any_of(&mut text, &mut values, "subject", &filter.subjects);
    if let Some(correlation) = filter.correlation {
        any_of(&mut text, &mut values, "correlation_id", &[correlation.to_string()]);
    }
    values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
    push(&mut text, format_args!(" ORDER BY log_offset LIMIT ${}", values.len()));
    let rows = conn.query_all_raw(sql(conn.get_database_backend(), text, values)).await?;
    rows.iter().map(decode).collect()
}

/// Adds ` AND column IN (…)`, or nothing when everything is wanted.
pub(super) fn any_of(
    text: &mut String,
    values: &mut Vec<Value>,
    column: &str,
    wanted: &[impl AsRef<str>],
) {
    if wanted.is_empty() {
        return;
    }
    push(text, format_args!(" AND {column} IN ("));
    for (index, value) in wanted.iter().enumerate() {
        values.push(value.as_ref().into());
        let comma = if index == 0 { "" } else { ", " };
        push(text, format_args!("{comma}${}", values.len()));
    }
    text.push(')');
}

fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    text.write_fmt(part).unwrap_or_default();
}

pub(crate) async fn at(
    conn: &impl ConnectionTrait,
    offset: Offset,
) -> Result<Option<Event>, BusError> {
    let text = format!("SELECT {COLUMNS} FROM bus_events WHERE log_offset = $1");
    let row = conn.query_one_raw(sql(conn.get_database_backend(), text, [offset.0.into()])).await?;
    Ok(row.as_ref().map(decode).transpose()?.map(|(_, event)| event))
}

pub(crate) async fn head(conn: &impl ConnectionTrait) -> Result<Offset, DbErr> {
    let text = "SELECT COALESCE(MAX(log_offset), 0) FROM bus_events";
    let row = conn.query_one_raw(sql(conn.get_database_backend(), text, [])).await?;
    let head = row.map(|row| row.try_get_by_index::<i64>(0)).transpose()?;
    Ok(Offset(head.unwrap_or_default()))
}

/// The types of the events after `after`, at most `limit` of them.
pub(crate) async fn types_after(
    conn: &impl ConnectionTrait,
    after: Offset,
    limit: i64,
) -> Result<Vec<(Offset, String)>, DbErr> {
    let text = "SELECT log_offset, type FROM bus_events WHERE log_offset > $1 \
                ORDER BY log_offset LIMIT $2";
    let statement = sql(conn.get_database_backend(), text, [after.0.into(), limit.into()]);
    let rows = conn.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok((Offset(row.try_get_by_index(0)?), row.try_get_by_index(1)?)))
        .collect()
}

/// How many events of `types` lie after `after`; counts no further than `most`.
pub(crate) async fn count_after(
    conn: &impl ConnectionTrait,
    after: Offset,
    types: &[&str],
    most: i64,
) -> Result<u64, DbErr> {
    let mut values: Vec<Value> = vec![after.0.into()];
    let mut text =
        "SELECT COUNT(*) FROM (SELECT 1 FROM bus_events WHERE log_offset > $1".to_owned();
    any_of(&mut text, &mut values, "type", types);
    values.push(most.into());
    push(&mut text, format_args!(" LIMIT ${}) AS waiting", values.len()));
    let row = conn.query_one_raw(sql(conn.get_database_backend(), text, values)).await?;
    let count = row.map(|row| row.try_get_by_index::<i64>(0)).transpose()?;
    Ok(u64::try_from(count.unwrap_or_default()).unwrap_or_default())
}

/// Removes up to `limit` events older than `before` that every consumer has finished and no dead
/// letter waits for.
pub(crate) async fn prune(
    conn: &impl ConnectionTrait,
    before: Timestamp,
    limit: i64,
) -> Result<u64, DbErr> {
    let text = "DELETE FROM bus_events WHERE log_offset IN (\
                SELECT e.log_offset FROM bus_events e WHERE e.time < $1 \
                AND e.log_offset <= (SELECT COALESCE(MIN(position), 0) FROM bus_progress) \
                AND NOT EXISTS (SELECT 1 FROM bus_parked p WHERE p.log_offset = e.log_offset) \
                AND NOT EXISTS (SELECT 1 FROM bus_dead_letters l \
                WHERE l.log_offset = e.log_offset AND l.state = 'waiting') \
                ORDER BY e.log_offset LIMIT $2)";
    let statement =
        sql(conn.get_database_backend(), text, [before.as_micros().into(), limit.into()]);
    Ok(conn.execute_raw(statement).await?.rows_affected())
}

fn decode(row: &QueryResult) -> Result<(Offset, Event), BusError> {
    let offset: i64 = row.try_get_by_index(0)?;
    let causation: Option<String> = row.try_get_by_index(8)?;
    let data: String = row.try_get_by_index(9)?;
    let event = Event {
        specversion: "1.0".to_owned(),
        id: parse(offset, &row.try_get_by_index::<String>(1)?)?,
        kind: row.try_get_by_index(2)?,
        source: row.try_get_by_index(3)?,
        subject: row.try_get_by_index(4)?,
        time: Timestamp::from_micros(row.try_get_by_index(5)?),
        dataschema: row.try_get_by_index(6)?,
        correlationid: parse(offset, &row.try_get_by_index::<String>(7)?)?,
        causationid: causation.map(|id| parse(offset, &id)).transpose()?,
        data: serde_json::from_str(&data).map_err(|source| BusError::Damaged { offset, source })?,
    };
    Ok((Offset(offset), event))
}

fn parse<T: FromStr<Err: std::fmt::Display>>(offset: i64, text: &str) -> Result<T, BusError> {
    text.parse().map_err(|error| BusError::Damaged {
        offset,
        source: <serde_json::Error as serde::de::Error>::custom(error),
    })
}
