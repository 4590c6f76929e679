//! The predictions made: columns to search by, and the whole prediction as JSON.

use kernel::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm::{PaginatorTrait, QueryOrder, QuerySelect};
use store::records::{Change, Migration, RecordsError};

use crate::error::ModelsError;
use crate::model::Prediction;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "models_predictions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub asset: String,
    pub sensor: String,
    /// One prediction per anomaly.
    pub anomaly_id: Option<String>,
    pub predicted_at: i64,
    pub body: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<sea_orm::DbErr> for ModelsError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(error.into())
    }
}

pub(crate) fn migrations() -> Vec<Migration> {
    let index = |name: &str, column: Column| {
        let mut statement = Index::create();
        statement.name(name).table(Entity).col(column).col(Column::Id);
        Change::Index(statement)
    };
    let changes = vec![
        Change::Table(
            Table::create()
                .table(Entity)
                .col(ColumnDef::new(Column::Id).string().not_null().primary_key())
                .col(ColumnDef::new(Column::Asset).string().not_null())
                .col(ColumnDef::new(Column::Sensor).string().not_null())
                .col(ColumnDef::new(Column::AnomalyId).string().unique_key())
                .col(ColumnDef::new(Column::PredictedAt).big_integer().not_null())
                .col(ColumnDef::new(Column::Body).text().not_null())
                .to_owned(),
        ),
        index("models_predictions_asset", Column::Asset),
        index("models_predictions_sensor", Column::Sensor),
    ];
    vec![Migration { name: "models_0001_predictions", changes }]
}

/// Which predictions a list shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) asset: Option<String>,
    pub(crate) sensor: Option<String>,
    pub(crate) at: Option<Timestamp>,
    /// Id of the last one of the page before.
    pub(crate) before: Option<Uuid>,
}

pub(crate) async fn insert(
    conn: &impl ConnectionTrait,
    prediction: &Prediction,
) -> Result<(), ModelsError> {
    let row = ActiveModel {
        id: Set(prediction.prediction_id.to_string()),
        asset: Set(prediction.asset.clone()),
        sensor: Set(prediction.sensor.clone()),
        anomaly_id: Set(prediction.anomaly_id.map(|id| id.to_string())),
        predicted_at: Set(prediction.predicted_at.as_micros()),
        body: Set(serde_json::to_string(prediction)?),
    };
    Entity::insert(row).exec_without_returning(conn).await?;
    Ok(())
}

/// Whether the anomaly has its prediction.
pub(crate) async fn exists_for(
    conn: &impl ConnectionTrait,
    anomaly: Uuid,
) -> Result<bool, ModelsError> {
    let found = Entity::find().filter(Column::AnomalyId.eq(anomaly.to_string())).one(conn).await?;
    Ok(found.is_some())
}

/// Newest first: ids grow with time.
pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    wanted: &Wanted,
    limit: u64,
) -> Result<Vec<Prediction>, ModelsError> {
    let mut query = Entity::find().order_by_desc(Column::Id).limit(limit);
    if let Some(asset) = &wanted.asset {
        query = query.filter(Column::Asset.eq(asset));
    }
    if let Some(sensor) = &wanted.sensor {
        query = query.filter(Column::Sensor.eq(sensor));
    }
    if let Some(at) = wanted.at {
        query = query.filter(Column::PredictedAt.lte(at.as_micros()));
    }
    if let Some(before) = wanted.before {
        query = query.filter(Column::Id.lt(before.to_string()));
    }
    query.all(conn).await?.iter().map(read).collect()
}

/// How many there are, and when the newest was made.
pub(crate) async fn count(
    conn: &impl ConnectionTrait,
) -> Result<(u64, Option<Timestamp>), ModelsError> {
    let newest = Entity::find().order_by_desc(Column::Id).one(conn).await?;
    let all = Entity::find().count(conn).await?;
    Ok((all, newest.map(|row| Timestamp::from_micros(row.predicted_at))))
}

fn read(row: &Model) -> Result<Prediction, ModelsError> {
    serde_json::from_str(&row.body).map_err(|error| {
        let reason = error.to_string();
        ModelsError::Records(RecordsError::Damaged { field: "models_predictions.body", reason })
    })
}
