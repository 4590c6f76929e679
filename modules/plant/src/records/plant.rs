use kernel::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, OnConflict, Table};
use store::records::{Change, Records, Tx};

use crate::error::PlantError;

/// There is one plant.
const PLANT: &str = "north";

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plant_state")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    name: String,
    first_started_at: i64,
    written_until: i64,
    configured: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// How far the simulated plant has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlantState {
    pub(crate) first_started_at: Timestamp,
    /// Readings up to here are in the store.
    pub(crate) written_until: Timestamp,
    /// The registry knows all sensors.
    pub(crate) configured: bool,
}

pub(super) fn changes() -> Vec<Change> {
    let table = Table::create()
        .table(Entity)
        .col(ColumnDef::new(Column::Name).string().not_null().primary_key())
        .col(ColumnDef::new(Column::FirstStartedAt).big_integer().not_null())
        .col(ColumnDef::new(Column::WrittenUntil).big_integer().not_null())
        .col(ColumnDef::new(Column::Configured).boolean().not_null())
        .to_owned();
    vec![Change::Table(table)]
}

pub(crate) async fn plant_state(records: &Records) -> Result<Option<PlantState>, PlantError> {
    let row = Entity::find_by_id(PLANT).one(records.read()).await?;
    Ok(row.map(|row| PlantState {
        first_started_at: Timestamp::from_micros(row.first_started_at),
        written_until: Timestamp::from_micros(row.written_until),
        configured: row.configured,
    }))
}

pub(crate) async fn save_plant_state(tx: &Tx, state: PlantState) -> Result<(), PlantError> {
    let row = ActiveModel {
        name: Set(PLANT.to_owned()),
        first_started_at: Set(state.first_started_at.as_micros()),
        written_until: Set(state.written_until.as_micros()),
        configured: Set(state.configured),
    };
    let replace = OnConflict::column(Column::Name)
        .update_columns([Column::WrittenUntil, Column::Configured])
        .to_owned();
    Entity::insert(row).on_conflict(replace).exec_without_returning(tx.conn()).await?;
    Ok(())
}
