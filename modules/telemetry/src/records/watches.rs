//! The states of the sensors' detectors: bundles, written in turns, and single ones, written with
//! what their detector said. The newer of the two counts.

use std::ops::Range;

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{OnConflict, Table, TableCreateStatement};
use sea_orm::{QueryOrder, QuerySelect};
use store::records::{Records, Tx};

use super::{ROWS_PER_STATEMENT, big, blob};
use crate::error::TelemetryError;

mod bundle {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "telemetry_watch_bundles")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) bundle: i64,
        pub(super) states: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod single {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "telemetry_watches")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) series: i64,
        pub(super) state: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) fn bundles() -> TableCreateStatement {
    Table::create()
        .table("telemetry_watch_bundles")
        .col(big("bundle").primary_key())
        .col(blob("states"))
        .to_owned()
}

pub(super) fn singles() -> TableCreateStatement {
    Table::create()
        .table("telemetry_watches")
        .col(big("series").primary_key())
        .col(blob("state"))
        .to_owned()
}

/// Bytes under a number: a bundle's, or a sensor's.
pub(crate) type Numbered = (u32, Vec<u8>);

/// The next bundles behind one.
pub(crate) async fn bundles_after(
    records: &Records,
    after: Option<u32>,
    limit: u64,
) -> Result<Vec<Numbered>, TelemetryError> {
    let after = after.map_or(-1, i64::from);
    let asked = bundle::Entity::find().filter(bundle::Column::Bundle.gt(after));
    let asked = asked.order_by_asc(bundle::Column::Bundle).limit(limit);
    let rows = asked.all(records.read()).await?;
    Ok(rows.into_iter().map(|row| (row.bundle as u32, row.states)).collect())
}

/// The bundles of these numbers, as far as there are any.
pub(crate) async fn bundles_of(
    records: &Records,
    numbers: &[u32],
) -> Result<Vec<Numbered>, TelemetryError> {
    let mut bundles = Vec::with_capacity(numbers.len());
    for some in numbers.chunks(ROWS_PER_STATEMENT) {
        let wanted = some.iter().map(|number| i64::from(*number));
        let asked = bundle::Entity::find().filter(bundle::Column::Bundle.is_in(wanted));
        let rows = asked.all(records.read()).await?;
        bundles.extend(rows.into_iter().map(|row| (row.bundle as u32, row.states)));
    }
    Ok(bundles)
}

/// Every single state.
pub(crate) async fn single_states(records: &Records) -> Result<Vec<Numbered>, TelemetryError> {
    let rows = single::Entity::find().all(records.read()).await?;
    Ok(rows.into_iter().map(|row| (row.series as u32, row.state)).collect())
}

/// The single states of some sensors, as far as there are any.
pub(crate) async fn single_states_of(
    records: &Records,
    sensors: &[u32],
) -> Result<Vec<Numbered>, TelemetryError> {
    let mut states = Vec::with_capacity(sensors.len());
    for some in sensors.chunks(ROWS_PER_STATEMENT) {
        let wanted = some.iter().map(|series| i64::from(*series));
        let asked = single::Entity::find().filter(single::Column::Series.is_in(wanted));
        let rows = asked.all(records.read()).await?;
        states.extend(rows.into_iter().map(|row| (row.series as u32, row.state)));
    }
    Ok(states)
}

/// Writes a bundle; single states of its sensors are older now.
pub(crate) async fn save_bundle(
    tx: &Tx,
    (number, states): Numbered,
    sensors: Range<u32>,
) -> Result<(), TelemetryError> {
    let row = bundle::ActiveModel { bundle: Set(i64::from(number)), states: Set(states) };
    let again =
        OnConflict::column(bundle::Column::Bundle).update_column(bundle::Column::States).to_owned();
    bundle::Entity::insert(row).on_conflict(again).exec_without_returning(tx.conn()).await?;
    single::Entity::delete_many()
        .filter(single::Column::Series.gte(i64::from(sensors.start)))
        .filter(single::Column::Series.lt(i64::from(sensors.end)))
        .exec(tx.conn())
        .await?;
    Ok(())
}

pub(crate) async fn save_singles(tx: &Tx, states: Vec<Numbered>) -> Result<(), TelemetryError> {
    let rows = states.into_iter().map(|(series, state)| single::ActiveModel {
        series: Set(i64::from(series)),
        state: Set(state),
    });
    let rows: Vec<_> = rows.collect();
    for some in rows.chunks(ROWS_PER_STATEMENT) {
        let again = OnConflict::column(single::Column::Series)
            .update_column(single::Column::State)
            .to_owned();
        single::Entity::insert_many(some.to_vec())
            .on_conflict(again)
            .exec_without_returning(tx.conn())
            .await?;
    }
    Ok(())
}

/// Loses everything that the sensors' detectors wrote down.
#[cfg(test)]
pub(crate) async fn forget_watches(tx: &Tx) -> Result<(), TelemetryError> {
    bundle::Entity::delete_many().exec(tx.conn()).await?;
    single::Entity::delete_many().exec(tx.conn()).await?;
    Ok(())
}
