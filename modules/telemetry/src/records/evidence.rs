use kernel::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Index, IndexCreateStatement, OnConflict, Table, TableCreateStatement};
use store::records::{Records, Tx};

use super::{big, text, text_maybe};
use crate::error::TelemetryError;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "telemetry_anomaly_evidence")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub(super) anomaly_id: String,
        pub(super) began_at: i64,
        /// State of the detector as it was written down last before.
        pub(super) before: Option<String>,
        pub(super) onset: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::{ActiveModel, Column, Entity};

pub(super) fn table() -> TableCreateStatement {
    Table::create()
        .table("telemetry_anomaly_evidence")
        .col(text("anomaly_id").primary_key())
        .col(big("began_at"))
        .col(text_maybe("before"))
        .col(text("onset"))
        .to_owned()
}

pub(super) fn index() -> IndexCreateStatement {
    Index::create()
        .name("telemetry_anomaly_evidence_began")
        .table("telemetry_anomaly_evidence")
        .col("began_at")
        .to_owned()
}

/// What an anomaly of a sensor rests on, as it was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptEvidence {
    pub before: Option<String>,
    pub onset: String,
}

pub(crate) async fn put_evidence(
    tx: &Tx,
    anomaly_id: Uuid,
    began_at: Timestamp,
    kept: KeptEvidence,
) -> Result<(), TelemetryError> {
    let row = ActiveModel {
        anomaly_id: Set(anomaly_id.to_string()),
        began_at: Set(began_at.as_micros()),
        before: Set(kept.before),
        onset: Set(kept.onset),
    };
    let again = OnConflict::column(Column::AnomalyId)
        .update_columns([Column::Before, Column::Onset])
        .to_owned();
    Entity::insert(row).on_conflict(again).exec_without_returning(tx.conn()).await?;
    Ok(())
}

pub(crate) async fn evidence_of(
    records: &Records,
    anomaly_id: Uuid,
) -> Result<Option<KeptEvidence>, TelemetryError> {
    let row = Entity::find_by_id(anomaly_id.to_string()).one(records.read()).await?;
    Ok(row.map(|row| KeptEvidence { before: row.before, onset: row.onset }))
}

/// Forgets what rests on readings that are gone.
pub(crate) async fn forget_evidence(tx: &Tx, before: Timestamp) -> Result<(), TelemetryError> {
    let gone = Entity::delete_many().filter(Column::BeganAt.lt(before.as_micros()));
    gone.exec(tx.conn()).await?;
    Ok(())
}
