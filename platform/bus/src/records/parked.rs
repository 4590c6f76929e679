use kernel::Timestamp;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::sql;
use crate::Offset;

/// A delivery that failed, or waits behind one of its subject that did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parked {
    pub(crate) offset: Offset,
    pub(crate) subject: String,
    /// Attempts that failed; 0 for one that only waits its turn.
    pub(crate) attempts: u32,
    pub(crate) next_at: Timestamp,
}

pub(crate) async fn add(
    conn: &impl ConnectionTrait,
    consumer: &str,
    parked: &Parked,
    error: Option<&str>,
) -> Result<(), DbErr> {
    let text = "INSERT INTO bus_parked (consumer, subject, log_offset, attempts, next_at, error) \
                VALUES ($1, $2, $3, $4, $5, $6) \
                ON CONFLICT (consumer, subject, log_offset) DO NOTHING";
    let values = [
        consumer.into(),
        parked.subject.clone().into(),
        parked.offset.0.into(),
        attempts(parked.attempts).into(),
        parked.next_at.as_micros().into(),
        error.map(str::to_owned).into(),
    ];
    conn.execute_raw(sql(conn.get_database_backend(), text, values)).await.map(drop)
}

/// The first parked delivery of each subject, those due soonest first, at most `limit`.
pub(crate) async fn heads(
    conn: &impl ConnectionTrait,
    consumer: &str,
    limit: i64,
) -> Result<Vec<Parked>, DbErr> {
    let text = "SELECT p.log_offset, p.subject, p.attempts, p.next_at FROM bus_parked p \
                WHERE p.consumer = $1 AND NOT EXISTS (SELECT 1 FROM bus_parked q \
                WHERE q.consumer = p.consumer AND q.subject = p.subject \
                AND q.log_offset < p.log_offset) ORDER BY p.next_at, p.log_offset LIMIT $2";
    let statement = sql(conn.get_database_backend(), text, [consumer.into(), limit.into()]);
    conn.query_all_raw(statement).await?.iter().map(decode).collect()
}

/// Whether anything of `subject` is parked, so that a later event must wait behind it.
pub(crate) async fn holds(
    conn: &impl ConnectionTrait,
    consumer: &str,
    subject: &str,
) -> Result<bool, DbErr> {
    let text = "SELECT 1 FROM bus_parked WHERE consumer = $1 AND subject = $2 LIMIT 1";
    let values = [consumer.into(), subject.into()];
    let row = conn.query_one_raw(sql(conn.get_database_backend(), text, values)).await?;
    Ok(row.is_some())
}

/// Takes a delivery out, to be handled in the same transaction; false when another process did,
/// or when something older of its subject came to stand before it.
pub(crate) async fn take(
    conn: &impl ConnectionTrait,
    consumer: &str,
    parked: &Parked,
) -> Result<bool, DbErr> {
    let text = "DELETE FROM bus_parked WHERE consumer = $1 AND subject = $2 AND log_offset = $3 \
                AND attempts = $4 AND NOT EXISTS (SELECT 1 FROM bus_parked q \
                WHERE q.consumer = $1 AND q.subject = $2 AND q.log_offset < $3)";
    let values = [
        consumer.into(),
        parked.subject.clone().into(),
        parked.offset.0.into(),
        attempts(parked.attempts).into(),
    ];
    let gone = conn.execute_raw(sql(conn.get_database_backend(), text, values)).await?;
    Ok(gone.rows_affected() == 1)
}

/// Records one more failed attempt and when to try again; false when another process was quicker.
pub(crate) async fn postpone(
    conn: &impl ConnectionTrait,
    consumer: &str,
    parked: &Parked,
    next_at: Timestamp,
    error: &str,
) -> Result<bool, DbErr> {
    let text = "UPDATE bus_parked SET attempts = $1, next_at = $2, error = $3 \
                WHERE consumer = $4 AND subject = $5 AND log_offset = $6 AND attempts = $7";
    let values = [
        attempts(parked.attempts.saturating_add(1)).into(),
        next_at.as_micros().into(),
        error.into(),
        consumer.into(),
        parked.subject.clone().into(),
        parked.offset.0.into(),
        attempts(parked.attempts).into(),
    ];
    let changed = conn.execute_raw(sql(conn.get_database_backend(), text, values)).await?;
    Ok(changed.rows_affected() == 1)
}

/// Drops what is parked for `consumer` after `after`: it will be read from the log again.
pub(crate) async fn drop_after(
    conn: &impl ConnectionTrait,
    consumer: &str,
    after: Offset,
) -> Result<(), DbErr> {
    let text = "DELETE FROM bus_parked WHERE consumer = $1 AND log_offset > $2";
    let values = [consumer.into(), after.0.into()];
    conn.execute_raw(sql(conn.get_database_backend(), text, values)).await.map(drop)
}

/// How many deliveries are parked, by consumer.
pub(crate) async fn counts(conn: &impl ConnectionTrait) -> Result<Vec<(String, u64)>, DbErr> {
    let text = "SELECT consumer, COUNT(*) FROM bus_parked GROUP BY consumer";
    let rows = conn.query_all_raw(sql(conn.get_database_backend(), text, [])).await?;
    rows.iter()
        .map(|row| {
            let count: i64 = row.try_get_by_index(1)?;
            Ok((row.try_get_by_index(0)?, u64::try_from(count).unwrap_or_default()))
        })
        .collect()
}

fn attempts(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn decode(row: &QueryResult) -> Result<Parked, DbErr> {
    Ok(Parked {
        offset: Offset(row.try_get_by_index(0)?),
        subject: row.try_get_by_index(1)?,
        attempts: u32::try_from(row.try_get_by_index::<i32>(2)?).unwrap_or_default(),
        next_at: Timestamp::from_micros(row.try_get_by_index(3)?),
    })
}
