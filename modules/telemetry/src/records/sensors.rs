use kernel::{SensorKey, Timestamp};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, OnConflict, Table, TableCreateStatement};
use store::records::{Records, RecordsError, Tx};

use super::{ROWS_PER_STATEMENT, big, big_maybe, damaged, double_maybe, text, text_maybe};
use super::{unword, word};
use crate::error::TelemetryError;
use crate::model::{Profile, Sensor, TrustState};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "telemetry_sensors")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub(super) sensor: String,
        pub(super) site: String,
        pub(super) asset: String,
        pub(super) kind: String,
        pub(super) unit: Option<String>,
        pub(super) expected_low: Option<f64>,
        pub(super) expected_high: Option<f64>,
        pub(super) rate_max_per_s: Option<f64>,
        pub(super) interval_s: Option<f64>,
        pub(super) trust: String,
        pub(super) trust_reason: Option<String>,
        pub(super) trust_since: Option<i64>,
        pub(super) origin: String,
        pub(super) quarantined: bool,
        pub(super) metadata: String,
        pub(super) version: i64,
        pub(super) created_at: i64,
        pub(super) updated_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::{ActiveModel, Column, Entity, Model};

pub(super) fn table() -> TableCreateStatement {
    Table::create()
        .table("telemetry_sensors")
        .col(text("sensor").primary_key())
        .col(text("site"))
        .col(text("asset"))
        .col(text("kind"))
        .col(text_maybe("unit"))
        .col(double_maybe("expected_low"))
        .col(double_maybe("expected_high"))
        .col(double_maybe("rate_max_per_s"))
        .col(double_maybe("interval_s"))
        .col(text("trust"))
        .col(text_maybe("trust_reason"))
        .col(big_maybe("trust_since"))
        .col(text("origin"))
        .col(sea_orm::sea_query::ColumnDef::new("quarantined").boolean().not_null())
        .col(text("metadata"))
        .col(big("version"))
        .col(big("created_at"))
        .col(big("updated_at"))
        .to_owned()
}

fn to_row(sensor: &Sensor) -> ActiveModel {
    ActiveModel {
        sensor: Set(sensor.key.as_str().to_owned()),
        site: Set(sensor.key.site().to_owned()),
        asset: Set(sensor.key.asset().as_str().to_owned()),
        kind: Set(word(&sensor.kind)),
        unit: Set(sensor.unit.clone()),
        expected_low: Set(sensor.profile.expected_low),
        expected_high: Set(sensor.profile.expected_high),
        rate_max_per_s: Set(sensor.profile.rate_max_per_s),
        interval_s: Set(sensor.profile.interval_s),
        trust: Set(word(&sensor.trust.trust)),
        trust_reason: Set(sensor.trust.reason.clone()),
        trust_since: Set(sensor.trust.since.map(Timestamp::as_micros)),
        origin: Set(word(&sensor.origin)),
        quarantined: Set(sensor.quarantined),
        metadata: Set(sensor.metadata.to_string()),
        version: Set(sensor.version),
        created_at: Set(sensor.created_at.as_micros()),
        updated_at: Set(sensor.updated_at.as_micros()),
    }
}

fn from_row(row: Model) -> Result<Sensor, RecordsError> {
    Ok(Sensor {
        key: SensorKey::new(&row.sensor).map_err(|error| damaged("sensor", error))?,
        kind: unword("kind", &row.kind)?,
        unit: row.unit,
        profile: Profile {
            expected_low: row.expected_low,
            expected_high: row.expected_high,
            rate_max_per_s: row.rate_max_per_s,
            interval_s: row.interval_s,
        },
        trust: TrustState {
            trust: unword("trust", &row.trust)?,
            reason: row.trust_reason,
            since: row.trust_since.map(Timestamp::from_micros),
        },
        origin: unword("origin", &row.origin)?,
        quarantined: row.quarantined,
        metadata: serde_json::from_str(&row.metadata).map_err(|e| damaged("metadata", e))?,
        version: row.version,
        created_at: Timestamp::from_micros(row.created_at),
        updated_at: Timestamp::from_micros(row.updated_at),
    })
}

pub(crate) async fn all_sensors(records: &Records) -> Result<Vec<Sensor>, TelemetryError> {
    let rows = Entity::find().all(records.read()).await?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// Adds new sensors; those that are there stay as they are.
pub(crate) async fn insert_sensors(tx: &Tx, sensors: &[Sensor]) -> Result<(), TelemetryError> {
    for some in sensors.chunks(ROWS_PER_STATEMENT) {
        Entity::insert_many(some.iter().map(to_row))
            .on_conflict(OnConflict::column(Column::Sensor).do_nothing().to_owned())
            .exec_without_returning(tx.conn())
            .await?;
    }
    Ok(())
}

/// Writes `sensor` over version `before`; false when another version is there.
pub(crate) async fn update_sensor(
    tx: &Tx,
    sensor: &Sensor,
    before: i64,
) -> Result<bool, TelemetryError> {
    // Trust is the detectors' to write.
    let row =
        ActiveModel { trust: NotSet, trust_reason: NotSet, trust_since: NotSet, ..to_row(sensor) };
    let result = Entity::update_many()
        .set(row)
        .filter(Column::Sensor.eq(sensor.key.as_str()))
        .filter(Column::Version.eq(before))
        .exec(tx.conn())
        .await?;
    Ok(result.rows_affected == 1)
}

/// Notes the unit that a sender named for a sensor that had none.
pub(crate) async fn set_unit(tx: &Tx, key: &SensorKey, unit: &str) -> Result<(), TelemetryError> {
    Entity::update_many()
        .col_expr(Column::Unit, Expr::value(unit))
        .filter(Column::Sensor.eq(key.as_str()))
        .filter(Column::Unit.is_null())
        .exec(tx.conn())
        .await?;
    Ok(())
}

pub(crate) async fn set_trust(
    tx: &Tx,
    key: &SensorKey,
    trust: &TrustState,
) -> Result<(), TelemetryError> {
    Entity::update_many()
        .col_expr(Column::Trust, Expr::value(word(&trust.trust)))
        .col_expr(Column::TrustReason, Expr::value(trust.reason.clone()))
        .col_expr(Column::TrustSince, Expr::value(trust.since.map(Timestamp::as_micros)))
        .filter(Column::Sensor.eq(key.as_str()))
        .exec(tx.conn())
        .await?;
    Ok(())
}
