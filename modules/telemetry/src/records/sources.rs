use kernel::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{OnConflict, Table, TableCreateStatement};
use sense::{Protocol, SourceId};
use store::records::{Records, RecordsError, Tx};

use super::{big, damaged, text, text_maybe, unword, word};
use crate::error::TelemetryError;
use crate::service::SourceRecord;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "telemetry_sources")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub(super) source: String,
        pub(super) protocol: String,
        pub(super) name: String,
        /// Left out for a source of the settings file, which is read from there.
        pub(super) settings: Option<String>,
        pub(super) desired: String,
        pub(super) version: i64,
        pub(super) changed_by: String,
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
        .table("telemetry_sources")
        .col(text("source").primary_key())
        .col(text("protocol"))
        .col(text("name"))
        .col(text_maybe("settings"))
        .col(text("desired"))
        .col(big("version"))
        .col(text("changed_by"))
        .col(big("created_at"))
        .col(big("updated_at"))
        .to_owned()
}

fn to_row(record: &SourceRecord) -> ActiveModel {
    ActiveModel {
        source: Set(record.id.to_string()),
        protocol: Set(record.id.protocol.name().to_owned()),
        name: Set(record.id.name.to_string()),
        settings: Set(record.settings.as_ref().map(ToString::to_string)),
        desired: Set(word(&record.desired)),
        version: Set(record.version),
        changed_by: Set(record.changed_by.clone()),
        created_at: Set(record.created_at.as_micros()),
        updated_at: Set(record.updated_at.as_micros()),
    }
}

fn from_row(row: Model) -> Result<SourceRecord, RecordsError> {
    let protocol = Protocol::parse(&row.protocol)
        .ok_or_else(|| damaged("protocol", format!("`{}` is none", row.protocol)))?;
    let settings = row.settings.map(|text| serde_json::from_str(&text)).transpose();
    Ok(SourceRecord {
        id: SourceId::new(protocol, &row.name),
        settings: settings.map_err(|error| damaged("settings", error))?,
        desired: unword("desired", &row.desired)?,
        version: row.version,
        changed_by: row.changed_by,
        created_at: Timestamp::from_micros(row.created_at),
        updated_at: Timestamp::from_micros(row.updated_at),
    })
}

pub(crate) async fn sources(records: &Records) -> Result<Vec<SourceRecord>, TelemetryError> {
    let rows = Entity::find().all(records.read()).await?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// Adds a source or writes over the one that is there.
pub(crate) async fn put_source(tx: &Tx, record: &SourceRecord) -> Result<(), TelemetryError> {
    let columns = [Column::Settings, Column::Desired, Column::Version, Column::ChangedBy];
    Entity::insert(to_row(record))
        .on_conflict(
            OnConflict::column(Column::Source)
                .update_columns(columns)
                .update_column(Column::UpdatedAt)
                .to_owned(),
        )
        .exec_without_returning(tx.conn())
        .await?;
    Ok(())
}

pub(crate) async fn remove_source(tx: &Tx, id: &SourceId) -> Result<(), TelemetryError> {
    Entity::delete_many().filter(Column::Source.eq(id.to_string())).exec(tx.conn()).await?;
    Ok(())
}
