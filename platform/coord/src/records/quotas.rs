use kernel::Timestamp;
use sea_orm::ConnectionTrait;

use super::sql;
use crate::{CoordError, Quota};

/// Takes one and returns how many are used then; `None` when none was left. One statement, so
/// two takers cannot both get the last one.
pub(crate) async fn take(
    conn: &impl ConnectionTrait,
    quota: &Quota,
    now: Timestamp,
) -> Result<Option<u32>, CoordError> {
    let text = "INSERT INTO coord_quotas (name, period, used, updated_at) VALUES ($1, $2, 1, $3) \
                ON CONFLICT (name, period) DO UPDATE SET used = coord_quotas.used + 1, \
                updated_at = excluded.updated_at WHERE coord_quotas.used < $4 RETURNING used";
    let values = [
        quota.name.clone().into(),
        quota.period.clone().into(),
        now.as_micros().into(),
        i64::from(quota.limit).into(),
    ];
    let row = conn.query_one_raw(sql(conn.get_database_backend(), text, values)).await?;
    row.map(|row| count(row.try_get_by_index(0)?)).transpose()
}

pub(crate) async fn used(conn: &impl ConnectionTrait, quota: &Quota) -> Result<u32, CoordError> {
    let text = "SELECT used FROM coord_quotas WHERE name = $1 AND period = $2";
    let values = [quota.name.clone().into(), quota.period.clone().into()];
    let row = conn.query_one_raw(sql(conn.get_database_backend(), text, values)).await?;
    row.map_or(Ok(0), |row| count(row.try_get_by_index(0)?))
}

fn count(stored: i64) -> Result<u32, CoordError> {
    u32::try_from(stored).map_err(|_out_of_range| CoordError::Damaged { field: "quota" })
}
