use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{OnConflict, Table, TableCreateStatement};
use store::records::{Records, Tx};

use super::{ROWS_PER_STATEMENT, big, text};
use crate::error::TelemetryError;

mod state {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "telemetry_detector_states")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub(super) sensor: String,
        pub(super) applied: i64,
        pub(super) body: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod mark {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "telemetry_marks")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub(super) name: String,
        pub(super) done: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) fn states() -> TableCreateStatement {
    Table::create()
        .table("telemetry_detector_states")
        .col(text("sensor").primary_key())
        .col(big("applied"))
        .col(text("body"))
        .to_owned()
}

pub(super) fn marks() -> TableCreateStatement {
    Table::create()
        .table("telemetry_marks")
        .col(text("name").primary_key())
        .col(big("done"))
        .to_owned()
}

/// The state of an asset's detector after batch `applied` of the series log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedState {
    pub sensor: String,
    pub applied: u64,
    pub body: String,
}

fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

/// The states under names with this prefix.
pub(crate) async fn saved_states(
    records: &Records,
    prefix: &str,
) -> Result<Vec<SavedState>, TelemetryError> {
    let asked = state::Entity::find().filter(state::Column::Sensor.starts_with(prefix));
    let rows = asked.all(records.read()).await?;
    let saved = rows.into_iter().map(|row| SavedState {
        sensor: row.sensor,
        applied: u64::try_from(row.applied).unwrap_or(0),
        body: row.body,
    });
    Ok(saved.collect())
}

pub(crate) async fn save_states(tx: &Tx, states: Vec<SavedState>) -> Result<(), TelemetryError> {
    for some in states.chunks(ROWS_PER_STATEMENT) {
        let rows = some.iter().map(|saved| state::ActiveModel {
            sensor: Set(saved.sensor.clone()),
            applied: Set(signed(saved.applied)),
            body: Set(saved.body.clone()),
        });
        state::Entity::insert_many(rows)
            .on_conflict(
                OnConflict::column(state::Column::Sensor)
                    .update_columns([state::Column::Applied, state::Column::Body])
                    .to_owned(),
            )
            .exec_without_returning(tx.conn())
            .await?;
    }
    Ok(())
}

/// The batch up to which every detector's saved state is complete.
pub(crate) async fn checkpoint(records: &Records, name: &str) -> Result<u64, TelemetryError> {
    let row = mark::Entity::find_by_id(name).one(records.read()).await?;
    Ok(row.and_then(|row| u64::try_from(row.done).ok()).unwrap_or(0))
}

pub(crate) async fn save_checkpoint(tx: &Tx, name: &str, done: u64) -> Result<(), TelemetryError> {
    let row = mark::ActiveModel { name: Set(name.to_owned()), done: Set(signed(done)) };
    mark::Entity::insert(row)
        .on_conflict(
            OnConflict::column(mark::Column::Name).update_column(mark::Column::Done).to_owned(),
        )
        .exec_without_returning(tx.conn())
        .await?;
    Ok(())
}

/// Loses how far the detectors had come.
#[cfg(test)]
pub(crate) async fn forget_checkpoints(tx: &Tx) -> Result<(), TelemetryError> {
    mark::Entity::delete_many().exec(tx.conn()).await?;
    Ok(())
}
