//! The tables of this module. A row keeps what is searched for in columns and the whole entity as
//! JSON beside them; every version of an entity stays in the history, for questions about the past.

pub(crate) mod alerts;
pub(crate) mod entries;
pub(crate) mod incidents;
pub(crate) mod rings;
pub(crate) mod trackers;

use serde::de::DeserializeOwned;
use store::records::{Counters, History, Migration, RecordsError};

use crate::error::IncidentsError;

/// Human numbers.
pub(crate) const COUNTERS: Counters = Counters::in_table("incidents_counters");
pub(crate) const HISTORY: History = History::in_table("incidents_history");

/// A clash of unique columns means that somebody was quicker.
impl From<sea_orm::DbErr> for IncidentsError {
    fn from(error: sea_orm::DbErr) -> Self {
        match error.sql_err() {
            Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => Self::Race,
            _ => Self::Database(error.into()),
        }
    }
}

pub(crate) fn migrations() -> Vec<Migration> {
    let mut changes = vec![COUNTERS.schema()];
    changes.extend(alerts::schema());
    changes.extend(incidents::schema());
    changes.extend(trackers::schema());
    changes.extend(rings::schema());
    changes.extend(entries::schema());
    changes.extend(HISTORY.schema());
    vec![Migration { name: "incidents_0001_first", changes }]
}

fn from_body<T: DeserializeOwned>(field: &'static str, body: &str) -> Result<T, IncidentsError> {
    serde_json::from_str(body).map_err(|error| {
        IncidentsError::Records(RecordsError::Damaged { field, reason: error.to_string() })
    })
}
