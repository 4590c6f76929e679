use kernel::AssetKey;
use sea_orm::ActiveValue::Set;
use sea_orm::QueryOrder;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Index, IndexCreateStatement, OnConflict, Table, TableCreateStatement};
use store::records::{Records, RecordsError, Tx};

use super::{big, damaged, text, unword, word};
use crate::error::TelemetryError;
use crate::service::{ModelRecord, ModelState};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "telemetry_process_models")]
    pub(super) struct Model {
        /// `site/asset#version`.
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub(super) id: String,
        pub(super) asset: String,
        pub(super) version: i64,
        pub(super) state: String,
        pub(super) body: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::{ActiveModel, Column, Entity, Model};

pub(super) fn table() -> TableCreateStatement {
    Table::create()
        .table("telemetry_process_models")
        .col(text("id").primary_key())
        .col(text("asset"))
        .col(big("version"))
        .col(text("state"))
        .col(text("body"))
        .to_owned()
}

pub(super) fn indexes() -> Vec<IndexCreateStatement> {
    let asset = Index::create()
        .name("telemetry_process_models_asset")
        .table("telemetry_process_models")
        .col("asset")
        .col("version")
        .unique()
        .to_owned();
    let state = Index::create()
        .name("telemetry_process_models_state")
        .table("telemetry_process_models")
        .col("state")
        .to_owned();
    vec![asset, state]
}

fn from_row(row: &Model) -> Result<ModelRecord, RecordsError> {
    let mut record: ModelRecord =
        serde_json::from_str(&row.body).map_err(|error| damaged("body", error))?;
    record.state = unword("state", &row.state)?;
    if !record.model.is_whole() {
        return Err(damaged("body", "the parts of the model do not fit together"));
    }
    Ok(record)
}

/// Writes a version of an asset's model, or over the state of one that is there.
pub(crate) async fn put_model(tx: &Tx, record: &ModelRecord) -> Result<(), TelemetryError> {
    let row = ActiveModel {
        id: Set(format!("{}#{}", record.asset, record.version)),
        asset: Set(record.asset.clone()),
        version: Set(record.version),
        state: Set(word(&record.state)),
        body: Set(word(record)),
    };
    Entity::insert(row)
        .on_conflict(
            OnConflict::column(Column::Id).update_columns([Column::State, Column::Body]).to_owned(),
        )
        .exec_without_returning(tx.conn())
        .await?;
    Ok(())
}

/// The versions of an asset's model, newest first.
pub(crate) async fn models_of(
    records: &Records,
    asset: &AssetKey,
) -> Result<Vec<ModelRecord>, TelemetryError> {
    let rows = Entity::find()
        .filter(Column::Asset.eq(asset.as_str()))
        .order_by_desc(Column::Version)
        .all(records.read())
        .await?;
    Ok(rows.iter().map(from_row).collect::<Result<_, _>>()?)
}

/// The models in force, by asset.
pub(crate) async fn accepted_models(records: &Records) -> Result<Vec<ModelRecord>, TelemetryError> {
    let rows = Entity::find()
        .filter(Column::State.eq(word(&ModelState::Accepted)))
        .order_by_asc(Column::Asset)
        .all(records.read())
        .await?;
    Ok(rows.iter().map(from_row).collect::<Result<_, _>>()?)
}
