use kernel::{CorrelationId, SensorKey, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Index, IndexCreateStatement, OnConflict, Table, TableCreateStatement};
use sea_orm::{Condition, QueryOrder, QuerySelect};
use store::records::{Records, RecordsError, Tx};

use super::{big, big_maybe, damaged, text, word};
use crate::detect::Standing;
use crate::error::TelemetryError;
use crate::model::{Anomaly, AnomalyState, ChainedAnomaly};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "telemetry_anomalies")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub(super) anomaly_id: String,
        pub(super) sensor: String,
        pub(super) rule: String,
        pub(super) started_at: i64,
        pub(super) detected_at: i64,
        pub(super) cleared_at: Option<i64>,
        pub(super) state: String,
        pub(super) revision: i64,
        pub(super) correlation_id: String,
        pub(super) body: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::{ActiveModel, Column, Entity, Model};

pub(super) fn table() -> TableCreateStatement {
    Table::create()
        .table("telemetry_anomalies")
        .col(text("anomaly_id").primary_key())
        .col(text("sensor"))
        .col(text("rule"))
        .col(big("started_at"))
        .col(big("detected_at"))
        .col(big_maybe("cleared_at"))
        .col(text("state"))
        .col(big("revision"))
        .col(text("correlation_id"))
        .col(text("body"))
        .to_owned()
}

pub(super) fn indexes() -> Vec<IndexCreateStatement> {
    let identity = Index::create()
        .name("telemetry_anomalies_identity")
        .table("telemetry_anomalies")
        .col("sensor")
        .col("rule")
        .col("started_at")
        .unique()
        .to_owned();
    let newest = Index::create()
        .name("telemetry_anomalies_newest")
        .table("telemetry_anomalies")
        .col("started_at")
        .col("anomaly_id")
        .to_owned();
    let state = Index::create()
        .name("telemetry_anomalies_state")
        .table("telemetry_anomalies")
        .col("state")
        .to_owned();
    vec![identity, newest, state]
}

fn body(row: &Model) -> Result<ChainedAnomaly, RecordsError> {
    Ok(ChainedAnomaly {
        anomaly: serde_json::from_str(&row.body).map_err(|error| damaged("body", error))?,
        correlation_id: row
            .correlation_id
            .parse::<CorrelationId>()
            .map_err(|error| damaged("correlation_id", error))?,
    })
}

/// Writes one state of an anomaly; false when this state, or a later one, is there already.
pub(crate) async fn record_anomaly(
    tx: &Tx,
    anomaly: &Anomaly,
    revision: i64,
    correlation: CorrelationId,
) -> Result<bool, TelemetryError> {
    let id = anomaly.anomaly_id.to_string();
    let there = Entity::find_by_id(&id).one(tx.conn()).await?;
    if there.is_some_and(|row| row.revision >= revision) {
        return Ok(false);
    }
    let row = ActiveModel {
        anomaly_id: Set(id),
        sensor: Set(anomaly.sensor.as_str().to_owned()),
        rule: Set(anomaly.rule.name().to_owned()),
        started_at: Set(anomaly.started_at.as_micros()),
        detected_at: Set(anomaly.detected_at.as_micros()),
        cleared_at: Set(anomaly.cleared_at.map(Timestamp::as_micros)),
        state: Set(anomaly.state.name().to_owned()),
        revision: Set(revision),
        correlation_id: Set(correlation.to_string()),
        body: Set(word(anomaly)),
    };
    Entity::insert(row)
        .on_conflict(
            OnConflict::column(Column::AnomalyId)
                .update_columns([
                    Column::DetectedAt,
                    Column::ClearedAt,
                    Column::State,
                    Column::Revision,
                    Column::Body,
                ])
                .to_owned(),
        )
        .exec_without_returning(tx.conn())
        .await?;
    Ok(true)
}

/// Every anomaly that stands.
pub(crate) async fn standing(records: &Records) -> Result<Vec<Standing>, TelemetryError> {
    let rows = Entity::find()
        .filter(Column::State.eq(AnomalyState::Active.name()))
        .all(records.read())
        .await?;
    rows.iter()
        .map(|row| {
            let ChainedAnomaly { anomaly, correlation_id } = body(row)?;
            Ok(Standing { anomaly, correlation: correlation_id, revision: row.revision })
        })
        .collect()
}

/// The anomaly of this id.
pub(crate) async fn one_anomaly(
    records: &Records,
    id: &str,
) -> Result<Option<Anomaly>, TelemetryError> {
    let row = Entity::find_by_id(id).one(records.read()).await?;
    Ok(row.as_ref().map(body).transpose()?.map(|chained| chained.anomaly))
}

/// Which anomalies a reader wants; newest start first.
#[derive(Clone, Debug, Default)]
pub(crate) struct AnomalyFilter {
    pub state: Option<AnomalyState>,
    pub sensor: Option<SensorKey>,
    /// Standing at some time in this stretch.
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// Continues after this start and id.
    pub after: Option<(i64, String)>,
    pub limit: u64,
}

pub(crate) async fn anomalies(
    records: &Records,
    filter: &AnomalyFilter,
) -> Result<Vec<ChainedAnomaly>, TelemetryError> {
    let mut query = Entity::find();
    if let Some(state) = filter.state {
        query = query.filter(Column::State.eq(state.name()));
    }
    if let Some(sensor) = &filter.sensor {
        query = query.filter(Column::Sensor.eq(sensor.as_str()));
    }
    if let Some(from) = filter.from {
        let until = Condition::any()
            .add(Column::ClearedAt.is_null())
            .add(Column::ClearedAt.gte(from.as_micros()));
        query = query.filter(until);
    }
    if let Some(to) = filter.to {
        query = query.filter(Column::StartedAt.lt(to.as_micros()));
    }
    if let Some((started_at, id)) = &filter.after {
        let beyond = Condition::any().add(Column::StartedAt.lt(*started_at)).add(
            Condition::all()
                .add(Column::StartedAt.eq(*started_at))
                .add(Column::AnomalyId.lt(id.clone())),
        );
        query = query.filter(beyond);
    }
    let rows = query
        .order_by_desc(Column::StartedAt)
        .order_by_desc(Column::AnomalyId)
        .limit(filter.limit)
        .all(records.read())
        .await?;
    Ok(rows.iter().map(body).collect::<Result<_, _>>()?)
}
