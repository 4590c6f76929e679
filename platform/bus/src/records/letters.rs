use kernel::{Event, Timestamp};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::sql;
use crate::{BusError, DeadLetter, DeadLetterState, Offset};

/// Keeps a letter and returns its id.
pub(crate) async fn add(
    conn: &impl ConnectionTrait,
    letter: &DeadLetter,
    offset: Offset,
) -> Result<i64, BusError> {
    let text = "INSERT INTO bus_dead_letters (agent, state, attempts, error, dead_at, \
                log_offset, event) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id";
    let event = serde_json::to_string(&letter.event)
        .map_err(|source| BusError::Damaged { offset: offset.0, source })?;
    let values = [
        letter.agent.clone().into(),
        letter.state.name().into(),
        i32::try_from(letter.attempts).unwrap_or(i32::MAX).into(),
        letter.error.clone().into(),
        letter.dead_at.as_micros().into(),
        offset.0.into(),
        event.into(),
    ];
    let row = conn.query_one_raw(sql(conn.get_database_backend(), text, values)).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotInserted)?;
    Ok(row.try_get_by_index(0)?)
}

const COLUMNS: &str = "id, agent, state, attempts, error, dead_at, settled_at, settled_reason, \
                       log_offset, event";

/// Newest first, those before `before`.
pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<DeadLetter>, BusError> {
    let text =
        format!("SELECT {COLUMNS} FROM bus_dead_letters WHERE id < $1 ORDER BY id DESC LIMIT $2");
    let values =
        [before.unwrap_or(i64::MAX).into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
    let rows = conn.query_all_raw(sql(conn.get_database_backend(), text, values)).await?;
    rows.iter().map(|row| decode(row).map(|(_, letter)| letter)).collect()
}

pub(crate) async fn get(
    conn: &impl ConnectionTrait,
    id: i64,
) -> Result<Option<(Offset, DeadLetter)>, BusError> {
    let text = format!("SELECT {COLUMNS} FROM bus_dead_letters WHERE id = $1");
    let row = conn.query_one_raw(sql(conn.get_database_backend(), text, [id.into()])).await?;
    row.as_ref().map(decode).transpose()
}

/// Settles a waiting letter; false when it waits no more.
pub(crate) async fn settle(
    conn: &impl ConnectionTrait,
    id: i64,
    state: DeadLetterState,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let text = "UPDATE bus_dead_letters SET state = $1, settled_at = $2, settled_reason = $3 \
                WHERE id = $4 AND state = 'waiting'";
    let values =
        [state.name().into(), now.as_micros().into(), reason.map(str::to_owned).into(), id.into()];
    let changed = conn.execute_raw(sql(conn.get_database_backend(), text, values)).await?;
    Ok(changed.rows_affected() == 1)
}

fn decode(row: &QueryResult) -> Result<(Offset, DeadLetter), BusError> {
    let offset: i64 = row.try_get_by_index(8)?;
    let damaged = |source| BusError::Damaged { offset, source };
    let state: String = row.try_get_by_index(2)?;
    let settled_at: Option<i64> = row.try_get_by_index(6)?;
    let event: String = row.try_get_by_index(9)?;
    let letter = DeadLetter {
        id: row.try_get_by_index(0)?,
        agent: row.try_get_by_index(1)?,
        state: DeadLetterState::named(&state).ok_or_else(|| {
            damaged(<serde_json::Error as serde::de::Error>::custom(format_args!(
                "unknown state `{state}`"
            )))
        })?,
        attempts: u32::try_from(row.try_get_by_index::<i32>(3)?).unwrap_or_default(),
        error: row.try_get_by_index(4)?,
        dead_at: Timestamp::from_micros(row.try_get_by_index(5)?),
        settled_at: settled_at.map(Timestamp::from_micros),
        settled_reason: row.try_get_by_index(7)?,
        event: serde_json::from_str::<Event>(&event).map_err(damaged)?,
    };
    Ok((Offset(offset), letter))
}
