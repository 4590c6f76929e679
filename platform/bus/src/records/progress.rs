use kernel::Timestamp;
use sea_orm::{ConnectionTrait, DbErr};

use super::sql;
use crate::Offset;

/// Makes the row of a new consumer, which starts before the first event.
pub(crate) async fn ensure(
    conn: &impl ConnectionTrait,
    consumer: &str,
    now: Timestamp,
) -> Result<(), DbErr> {
    let text = "INSERT INTO bus_progress (consumer, position, updated_at) VALUES ($1, 0, $2) \
                ON CONFLICT (consumer) DO NOTHING";
    let values = [consumer.into(), now.as_micros().into()];
    conn.execute_raw(sql(conn.get_database_backend(), text, values)).await.map(drop)
}

pub(crate) async fn position(
    conn: &impl ConnectionTrait,
    consumer: &str,
) -> Result<Option<Offset>, DbErr> {
    let text = "SELECT position FROM bus_progress WHERE consumer = $1";
    let statement = sql(conn.get_database_backend(), text, [consumer.into()]);
    let row = conn.query_one_raw(statement).await?;
    row.map(|row| row.try_get_by_index(0).map(Offset)).transpose()
}

/// Moves `consumer` from `from` to `to`; false when another process moved it meanwhile.
///
/// The row stays locked until the transaction ends, so one process at a time works for a consumer.
pub(crate) async fn advance(
    conn: &impl ConnectionTrait,
    consumer: &str,
    from: Offset,
    to: Offset,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let text = "UPDATE bus_progress SET position = $1, updated_at = $2 \
                WHERE consumer = $3 AND position = $4";
    let values = [to.0.into(), now.as_micros().into(), consumer.into(), from.0.into()];
    let moved = conn.execute_raw(sql(conn.get_database_backend(), text, values)).await?;
    Ok(moved.rows_affected() == 1)
}

/// Sets the position of `consumer`, wherever it stands.
pub(crate) async fn set(
    conn: &impl ConnectionTrait,
    consumer: &str,
    to: Offset,
    now: Timestamp,
) -> Result<(), DbErr> {
    let text = "INSERT INTO bus_progress (consumer, position, updated_at) VALUES ($1, $2, $3) \
                ON CONFLICT (consumer) DO UPDATE SET position = excluded.position, \
                updated_at = excluded.updated_at";
    let values = [consumer.into(), to.0.into(), now.as_micros().into()];
    conn.execute_raw(sql(conn.get_database_backend(), text, values)).await.map(drop)
}

pub(crate) async fn forget(conn: &impl ConnectionTrait, consumer: &str) -> Result<bool, DbErr> {
    let text = "DELETE FROM bus_progress WHERE consumer = $1";
    let gone = conn.execute_raw(sql(conn.get_database_backend(), text, [consumer.into()])).await?;
    Ok(gone.rows_affected() > 0)
}
