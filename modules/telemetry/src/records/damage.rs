use kernel::{SensorKey, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::QueryOrder;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Table, TableCreateStatement};
use serde_json::Value;
use store::records::{Records, Tx};

use super::{big, damaged, text};
use crate::error::TelemetryError;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "telemetry_damage_alarms")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub(super) anomaly_id: String,
        pub(super) damage_id: i64,
        pub(super) sensor: String,
        /// Event time of the newest reading that may be lost.
        pub(super) lost_until: i64,
        pub(super) body: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::{ActiveModel, Column, Entity};

pub(super) fn table() -> TableCreateStatement {
    Table::create()
        .table("telemetry_damage_alarms")
        .col(text("anomaly_id").primary_key())
        .col(big("damage_id"))
        .col(text("sensor"))
        .col(big("lost_until"))
        .col(text("body"))
        .to_owned()
}

/// An alarm about damaged storage that stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DamageAlarm {
    pub anomaly_id: Uuid,
    pub damage_id: u64,
    pub sensor: SensorKey,
    pub lost_until: Timestamp,
    /// The event as it was said.
    pub body: Value,
}

pub(crate) async fn put_damage_alarm(tx: &Tx, alarm: &DamageAlarm) -> Result<(), TelemetryError> {
    let row = ActiveModel {
        anomaly_id: Set(alarm.anomaly_id.to_string()),
        damage_id: Set(i64::try_from(alarm.damage_id).unwrap_or(i64::MAX)),
        sensor: Set(alarm.sensor.as_str().to_owned()),
        lost_until: Set(alarm.lost_until.as_micros()),
        body: Set(alarm.body.to_string()),
    };
    Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// The alarms that stand, oldest damage first.
pub(crate) async fn damage_alarms(records: &Records) -> Result<Vec<DamageAlarm>, TelemetryError> {
    let rows = Entity::find().order_by_asc(Column::DamageId).all(records.read()).await?;
    let alarms = rows.into_iter().map(|row| {
        Ok(DamageAlarm {
            anomaly_id: row.anomaly_id.parse().map_err(|error| damaged("anomaly_id", error))?,
            damage_id: u64::try_from(row.damage_id).unwrap_or(0),
            sensor: SensorKey::new(&row.sensor).map_err(|error| damaged("sensor", error))?,
            lost_until: Timestamp::from_micros(row.lost_until),
            body: serde_json::from_str(&row.body).map_err(|error| damaged("body", error))?,
        })
    });
    alarms.collect()
}

pub(crate) async fn end_damage_alarm(tx: &Tx, anomaly_id: Uuid) -> Result<(), TelemetryError> {
    Entity::delete_by_id(anomaly_id.to_string()).exec(tx.conn()).await?;
    Ok(())
}
