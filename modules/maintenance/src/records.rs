//! The tables of this module. A row keeps what is searched for in columns and the whole entity as
//! JSON beside them; every version of an entity stays in the history, for questions about the past.

pub(crate) mod decisions;
pub(crate) mod log;
pub(crate) mod reports;
pub(crate) mod work;

use serde::de::DeserializeOwned;
use store::records::{Counters, History, Migration, RecordsError};

use crate::error::MaintenanceError;

/// Human numbers.
pub(crate) const COUNTERS: Counters = Counters::in_table("maintenance_counters");
pub(crate) const HISTORY: History = History::in_table("maintenance_history");

/// A clash of unique columns means that somebody was quicker.
impl From<sea_orm::DbErr> for MaintenanceError {
    fn from(error: sea_orm::DbErr) -> Self {
        match error.sql_err() {
            Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => Self::Race,
            _ => Self::Database(error.into()),
        }
    }
}

pub(crate) fn migrations() -> Vec<Migration> {
    let mut changes = vec![COUNTERS.schema()];
    changes.extend(decisions::schema());
    changes.extend(work::schema());
    changes.extend(HISTORY.schema());
    changes.extend(log::schema());
    changes.extend(reports::schema());
    vec![Migration { name: "maintenance_0001_first", changes }]
}

fn from_body<T: DeserializeOwned>(field: &'static str, body: &str) -> Result<T, MaintenanceError> {
    serde_json::from_str(body).map_err(|error| {
        MaintenanceError::Records(RecordsError::Damaged { field, reason: error.to_string() })
    })
}
