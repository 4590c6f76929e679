use kernel::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, OnConflict, Table};
use sea_orm::{Condition, QueryOrder, QuerySelect};
use store::records::Change;

use super::from_body;
use crate::error::IncidentsError;
use crate::model::{Entry, Incident};
use crate::sense::timeline::Placed;

/// Entries shown of one incident; the newest stay.
const ENTRIES_MAX: u64 = 1_000;
/// What led to an incident is looked for so long before it.
const LEAD: std::time::Duration = std::time::Duration::from_secs(3_600);

/// What happened, found by incident, by chain, or by sensor and time.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "incidents_entries")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub at: i64,
    pub correlation: String,
    pub incident_id: Option<String>,
    pub sensor: Option<String>,
    pub body: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(super) fn schema() -> Vec<Change> {
    vec![
        Change::Table(
            Table::create()
                .table(Entity)
                .col(ColumnDef::new(Column::Key).string().not_null().primary_key())
                .col(ColumnDef::new(Column::At).big_integer().not_null())
                .col(ColumnDef::new(Column::Correlation).string().not_null())
                .col(ColumnDef::new(Column::IncidentId).string())
                .col(ColumnDef::new(Column::Sensor).string())
                .col(ColumnDef::new(Column::Body).text().not_null())
                .to_owned(),
        ),
        Change::index("incidents_entries_correlation", Entity, [Column::Correlation]),
        Change::index("incidents_entries_incident", Entity, [Column::IncidentId]),
        Change::index("incidents_entries_sensor", Entity, [Column::Sensor, Column::At]),
    ]
}

/// Adds the entry, or brings it up to date: it keeps the time and the event it began with.
pub(crate) async fn put(
    conn: &impl ConnectionTrait,
    mut placed: Placed,
) -> Result<(), IncidentsError> {
    if let Some(row) = Entity::find_by_id(&placed.key).one(conn).await? {
        let before: Entry = from_body("incidents_entries.body", &row.body)?;
        placed.entry.event_id = before.event_id;
        placed.entry.at = before.at.min(placed.entry.at);
        placed.incident = placed.incident.or(row.incident_id.and_then(|id| id.parse().ok()));
    }
    let row = ActiveModel {
        key: Set(placed.key),
        at: Set(placed.entry.at.as_micros()),
        correlation: Set(placed.correlation.to_string()),
        incident_id: Set(placed.incident.map(|id| id.to_string())),
        sensor: Set(placed.sensor),
        body: Set(serde_json::to_string(&placed.entry)?),
    };
    Entity::insert(row)
        .on_conflict(
            OnConflict::column(Column::Key)
                .update_columns([Column::At, Column::IncidentId, Column::Body])
                .to_owned(),
        )
        .exec_without_returning(conn)
        .await?;
    Ok(())
}

/// What happened around `incident` until `to`, oldest first.
pub(crate) async fn of(
    conn: &impl ConnectionTrait,
    incident: &Incident,
    to: Option<Timestamp>,
) -> Result<Vec<Entry>, IncidentsError> {
    let chains = incident.correlations.iter().map(ToString::to_string);
    let end = incident.closed_at.unwrap_or(Timestamp::MAX).min(to.unwrap_or(Timestamp::MAX));
    let nearby = Condition::all()
        .add(Column::Sensor.is_in(incident.sensors.iter().map(String::as_str)))
        .add(Column::At.gte(incident.opened_at.minus(LEAD).as_micros()))
        .add(Column::At.lte(end.as_micros()));
    let mut query = Entity::find().filter(
        Condition::any()
            .add(Column::IncidentId.eq(incident.incident_id.to_string()))
            .add(Column::Correlation.is_in(chains))
            .add(nearby),
    );
    if let Some(to) = to {
        query = query.filter(Column::At.lte(to.as_micros()));
    }
    let rows = query.order_by_desc(Column::At).limit(ENTRIES_MAX).all(conn).await?;
    rows.iter().rev().map(|row| from_body("incidents_entries.body", &row.body)).collect()
}
