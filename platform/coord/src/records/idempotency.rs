use kernel::Timestamp;
use sea_orm::{ConnectionTrait, Statement};

use super::sql;
use crate::{CoordError, KeyedRequest, StoredResponse};

/// The process that handles a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// The installation; only one process of it runs at a time.
    pub(crate) instance: String,
    /// This run of it.
    pub(crate) boot: String,
}

/// What a claim is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) now: Timestamp,
    /// Keys begun at or before this are forgotten.
    pub(crate) expired: Timestamp,
    /// Requests begun at or before this and not finished belong to a process that died.
    pub(crate) dead: Timestamp,
    /// Requests begun after this were stamped before the clock jumped back.
    pub(crate) ahead: Timestamp,
}

pub(crate) struct Stored {
    pub(crate) body_hash: Vec<u8>,
    pub(crate) since: Timestamp,
    pub(crate) response: Option<StoredResponse>,
    /// A transaction of the request has committed.
    pub(crate) effect: bool,
    pub(crate) process: Process,
}

/// Makes the key the caller's: when it is new, forgotten, or was left without effect by a process
/// that died.
pub(crate) async fn claim(
    conn: &impl ConnectionTrait,
    request: &KeyedRequest,
    process: &Process,
    times: Times,
) -> Result<bool, CoordError> {
    let text = "INSERT INTO coord_idempotency \
                (caller, target, request_key, body_hash, since, instance, boot) \
                VALUES ($1, $2, $3, $4, $5, $9, $10) \
                ON CONFLICT (caller, target, request_key) DO UPDATE SET \
                body_hash = excluded.body_hash, since = excluded.since, \
                instance = excluded.instance, boot = excluded.boot, effect = FALSE, \
                status = NULL, content_type = NULL, body = NULL \
                WHERE coord_idempotency.since <= $6 OR (coord_idempotency.status IS NULL \
                AND NOT coord_idempotency.effect \
                AND coord_idempotency.body_hash = excluded.body_hash \
                AND (coord_idempotency.since <= $7 OR coord_idempotency.since > $8 \
                OR (coord_idempotency.instance = excluded.instance \
                AND coord_idempotency.boot <> excluded.boot))) \
                RETURNING since";
    let values = [
        request.caller.clone().into(),
        request.target.clone().into(),
        request.key.clone().into(),
        request.body_hash.clone().into(),
        times.now.as_micros().into(),
        times.expired.as_micros().into(),
        times.dead.as_micros().into(),
        times.ahead.as_micros().into(),
        process.instance.clone().into(),
        process.boot.clone().into(),
    ];
    let row = conn.query_one_raw(sql(conn.get_database_backend(), text, values)).await?;
    Ok(row.is_some())
}

pub(crate) async fn get(
    conn: &impl ConnectionTrait,
    request: &KeyedRequest,
) -> Result<Stored, CoordError> {
    let text = "SELECT body_hash, since, status, content_type, body, effect, instance, boot \
                FROM coord_idempotency WHERE caller = $1 AND target = $2 AND request_key = $3";
    let values =
        [request.caller.clone().into(), request.target.clone().into(), request.key.clone().into()];
    let row = conn.query_one_raw(sql(conn.get_database_backend(), text, values)).await?;
    let row = row.ok_or(CoordError::Damaged { field: "idempotency key" })?;
    let status: Option<i32> = row.try_get_by_index(2)?;
    let content_type: Option<String> = row.try_get_by_index(3)?;
    let body: Option<Vec<u8>> = row.try_get_by_index(4)?;
    let response = status
        .map(|status| {
            Ok::<_, CoordError>(StoredResponse {
                status: u16::try_from(status)
                    .map_err(|_out_of_range| CoordError::Damaged { field: "response status" })?,
                content_type: content_type.unwrap_or_default(),
                body: body.unwrap_or_default(),
            })
        })
        .transpose()?;
    Ok(Stored {
        body_hash: row.try_get_by_index(0)?,
        since: Timestamp::from_micros(row.try_get_by_index(1)?),
        response,
        effect: row.try_get_by_index(5)?,
        process: Process { instance: row.try_get_by_index(6)?, boot: row.try_get_by_index(7)? },
    })
}

/// Notes that a transaction of a request under way has committed.
pub(crate) fn effect(conn: &impl ConnectionTrait, request: &KeyedRequest) -> Statement {
    let text = "UPDATE coord_idempotency SET effect = TRUE \
                WHERE caller = $1 AND target = $2 AND request_key = $3 AND status IS NULL";
    let values =
        [request.caller.clone().into(), request.target.clone().into(), request.key.clone().into()];
    sql(conn.get_database_backend(), text, values)
}

/// Keeps the response of a request under way; the first one stays.
pub(crate) async fn finish(
    conn: &impl ConnectionTrait,
    request: &KeyedRequest,
    response: &StoredResponse,
) -> Result<(), CoordError> {
    let text = "UPDATE coord_idempotency SET status = $1, content_type = $2, body = $3 \
                WHERE caller = $4 AND target = $5 AND request_key = $6 AND body_hash = $7 \
                AND status IS NULL";
    let values = [
        i32::from(response.status).into(),
        response.content_type.clone().into(),
        response.body.clone().into(),
        request.caller.clone().into(),
        request.target.clone().into(),
        request.key.clone().into(),
        request.body_hash.clone().into(),
    ];
    conn.execute_raw(sql(conn.get_database_backend(), text, values)).await?;
    Ok(())
}

pub(crate) async fn abandon(
    conn: &impl ConnectionTrait,
    request: &KeyedRequest,
) -> Result<(), CoordError> {
    let text = "DELETE FROM coord_idempotency WHERE caller = $1 AND target = $2 \
                AND request_key = $3 AND body_hash = $4 AND status IS NULL";
    let values = [
        request.caller.clone().into(),
        request.target.clone().into(),
        request.key.clone().into(),
        request.body_hash.clone().into(),
    ];
    conn.execute_raw(sql(conn.get_database_backend(), text, values)).await?;
    Ok(())
}

/// Removes up to `limit` keys begun at or before `expired`.
pub(crate) async fn sweep(
    conn: &impl ConnectionTrait,
    expired: Timestamp,
    limit: i64,
) -> Result<(), CoordError> {
    let text = "DELETE FROM coord_idempotency WHERE since <= $1 \
                AND (caller, target, request_key) IN (\
                SELECT caller, target, request_key FROM coord_idempotency \
                WHERE since <= $1 ORDER BY since LIMIT $2)";
    let values = [expired.as_micros().into(), limit.into()];
    conn.execute_raw(sql(conn.get_database_backend(), text, values)).await?;
    Ok(())
}
