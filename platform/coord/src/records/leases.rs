use kernel::Timestamp;
use sea_orm::ConnectionTrait;

use super::sql;
use crate::{CoordError, Lease};

/// Takes a lease that is free, over, the owner's own, or ends beyond `horizon`. Returns its fence.
pub(crate) async fn acquire(
    conn: &impl ConnectionTrait,
    (name, owner): (&str, &str),
    until: Timestamp,
    now: Timestamp,
    horizon: Timestamp,
) -> Result<Option<i64>, CoordError> {
    let text = "INSERT INTO coord_leases (name, owner, fence, until) VALUES ($1, $2, 1, $3) \
                ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, \
                fence = coord_leases.fence + 1, until = excluded.until \
                WHERE coord_leases.until <= $4 OR coord_leases.until > $5 \
                OR coord_leases.owner = excluded.owner RETURNING fence";
    let values = [
        name.into(),
        owner.into(),
        until.as_micros().into(),
        now.as_micros().into(),
        horizon.as_micros().into(),
    ];
    let row = conn.query_one_raw(sql(conn.get_database_backend(), text, values)).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

pub(crate) async fn extend(
    conn: &impl ConnectionTrait,
    lease: &Lease,
    until: Timestamp,
) -> Result<bool, CoordError> {
    let text = "UPDATE coord_leases SET until = $1 WHERE name = $2 AND owner = $3 AND fence = $4";
    let values = [
        until.as_micros().into(),
        lease.name.clone().into(),
        lease.owner.clone().into(),
        lease.fence.into(),
    ];
    let changed = conn.execute_raw(sql(conn.get_database_backend(), text, values)).await?;
    Ok(changed.rows_affected() == 1)
}

/// Locks the row of a lease that still holds.
pub(crate) async fn hold(
    conn: &impl ConnectionTrait,
    lease: &Lease,
    now: Timestamp,
) -> Result<bool, CoordError> {
    let text = "UPDATE coord_leases SET until = until WHERE name = $1 AND owner = $2 \
                AND fence = $3 AND until > $4";
    let values = [
        lease.name.clone().into(),
        lease.owner.clone().into(),
        lease.fence.into(),
        now.as_micros().into(),
    ];
    let changed = conn.execute_raw(sql(conn.get_database_backend(), text, values)).await?;
    Ok(changed.rows_affected() == 1)
}

/// The row stays, nobody's: the next holder's fence must be greater.
pub(crate) async fn release(conn: &impl ConnectionTrait, lease: &Lease) -> Result<(), CoordError> {
    let text = "UPDATE coord_leases SET owner = '', until = 0 \
                WHERE name = $1 AND owner = $2 AND fence = $3";
    let values = [lease.name.clone().into(), lease.owner.clone().into(), lease.fence.into()];
    conn.execute_raw(sql(conn.get_database_backend(), text, values)).await?;
    Ok(())
}
