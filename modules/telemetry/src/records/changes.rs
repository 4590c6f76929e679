use kernel::{AssetKey, SensorKey, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Index, IndexCreateStatement, Table, TableCreateStatement};
use sea_orm::{Condition, QueryOrder, QuerySelect};
use store::records::{Records, Tx};

use super::{big, damaged, text, text_maybe, word};
use crate::error::TelemetryError;
use crate::model::Changepoint;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "telemetry_changepoints")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub(super) changepoint_id: String,
        pub(super) sensor: Option<String>,
        pub(super) asset: String,
        pub(super) changed_at: i64,
        pub(super) body: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::{ActiveModel, Column, Entity};

pub(super) fn table() -> TableCreateStatement {
    Table::create()
        .table("telemetry_changepoints")
        .col(text("changepoint_id").primary_key())
        .col(text_maybe("sensor"))
        .col(text("asset"))
        .col(big("changed_at"))
        .col(text("body"))
        .to_owned()
}

pub(super) fn index() -> IndexCreateStatement {
    Index::create()
        .name("telemetry_changepoints_newest")
        .table("telemetry_changepoints")
        .col("changed_at")
        .col("changepoint_id")
        .to_owned()
}

/// Writes a change; false when it is there already.
pub(crate) async fn record_change(tx: &Tx, change: &Changepoint) -> Result<bool, TelemetryError> {
    let id = change.changepoint_id.to_string();
    if Entity::find_by_id(&id).one(tx.conn()).await?.is_some() {
        return Ok(false);
    }
    let row = ActiveModel {
        changepoint_id: Set(id),
        sensor: Set(change.sensor.as_ref().map(|sensor| sensor.as_str().to_owned())),
        asset: Set(change.asset.clone()),
        changed_at: Set(change.changed_at.as_micros()),
        body: Set(word(change)),
    };
    Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(true)
}

/// Which changes a reader wants; newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangeFilter {
    pub sensor: Option<SensorKey>,
    /// The asset as a whole and its sensors.
    pub asset: Option<AssetKey>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// Continues after this time and id.
    pub after: Option<(i64, String)>,
    pub limit: u64,
}

pub(crate) async fn changes(
    records: &Records,
    filter: &ChangeFilter,
) -> Result<Vec<Changepoint>, TelemetryError> {
    let mut query = Entity::find();
    if let Some(sensor) = &filter.sensor {
        query = query.filter(Column::Sensor.eq(sensor.as_str()));
    }
    if let Some(asset) = &filter.asset {
        query = query.filter(Column::Asset.eq(asset.as_str()));
    }
    if let Some(from) = filter.from {
        query = query.filter(Column::ChangedAt.gte(from.as_micros()));
    }
    if let Some(to) = filter.to {
        query = query.filter(Column::ChangedAt.lt(to.as_micros()));
    }
    if let Some((changed_at, id)) = &filter.after {
        let beyond = Condition::any().add(Column::ChangedAt.lt(*changed_at)).add(
            Condition::all()
                .add(Column::ChangedAt.eq(*changed_at))
                .add(Column::ChangepointId.lt(id.clone())),
        );
        query = query.filter(beyond);
    }
    let rows = query
        .order_by_desc(Column::ChangedAt)
        .order_by_desc(Column::ChangepointId)
        .limit(filter.limit)
        .all(records.read())
        .await?;
    let read = |row: &row::Model| serde_json::from_str(&row.body);
    let changes = rows.iter().map(|row| read(row).map_err(|error| damaged("body", error)));
    Ok(changes.collect::<Result<_, _>>()?)
}
