//! Telemetry's tables: sensors, anomalies, and what the detectors wrote down.

mod anomalies;
mod changes;
mod damage;
mod detectors;
mod evidence;
mod processes;
mod sensors;
mod sources;
mod watches;

use sea_orm::sea_query::ColumnDef;
use store::records::{Change, Migration, RecordsError};

pub(crate) use anomalies::{AnomalyFilter, anomalies, one_anomaly, record_anomaly, standing};
pub(crate) use changes::{ChangeFilter, changes, record_change};
pub(crate) use damage::{DamageAlarm, damage_alarms, end_damage_alarm, put_damage_alarm};
#[cfg(test)]
pub(crate) use detectors::forget_checkpoints;
pub(crate) use detectors::{SavedState, checkpoint, save_checkpoint, save_states, saved_states};
pub(crate) use evidence::{KeptEvidence, evidence_of, forget_evidence, put_evidence};
pub(crate) use processes::{accepted_models, models_of, put_model};
pub(crate) use sensors::{all_sensors, insert_sensors, set_trust, set_unit, update_sensor};
pub(crate) use sources::{put_source, remove_source, sources};
#[cfg(test)]
pub(crate) use watches::forget_watches;
pub(crate) use watches::{
    Numbered, bundles_after, bundles_of, save_bundle, save_singles, single_states, single_states_of,
};

use crate::error::TelemetryError;

impl From<sea_orm::DbErr> for TelemetryError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(error.into())
    }
}

pub(crate) fn migrations() -> Vec<Migration> {
    let first = Migration {
        name: "telemetry_0001_first_light",
        changes: vec![
            sensors::table(),
            anomalies::table(),
            detectors::states(),
            detectors::marks(),
        ]
        .into_iter()
        .map(Change::Table)
        .chain(anomalies::indexes().into_iter().map(Change::Index))
        .collect(),
    };
    let sources = Migration {
        name: "telemetry_0002_sources",
        changes: vec![Change::Table(sources::table())],
    };
    let processes = Migration {
        name: "telemetry_0003_process_models",
        changes: std::iter::once(Change::Table(processes::table()))
            .chain(processes::indexes().into_iter().map(Change::Index))
            .collect(),
    };
    let damage = Migration {
        name: "telemetry_0004_damage_alarms",
        changes: vec![Change::Table(damage::table())],
    };
    let evidence = Migration {
        name: "telemetry_0005_anomaly_evidence",
        changes: vec![Change::Table(evidence::table()), Change::Index(evidence::index())],
    };
    let changes = Migration {
        name: "telemetry_0006_changepoints",
        changes: vec![Change::Table(changes::table()), Change::Index(changes::index())],
    };
    let watches = Migration {
        name: "telemetry_0007_watches",
        changes: vec![Change::Table(watches::bundles()), Change::Table(watches::singles())],
    };
    vec![first, sources, processes, damage, evidence, changes, watches]
}

/// Text columns are `text` on every database, numbers `bigint` or `double precision`.
fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().to_owned()
}

fn text_maybe(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().to_owned()
}

fn blob(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).blob().not_null().to_owned()
}

fn big(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().to_owned()
}

fn big_maybe(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().to_owned()
}

fn double_maybe(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).double().to_owned()
}

fn damaged(field: &'static str, reason: impl ToString) -> RecordsError {
    RecordsError::Damaged { field, reason: reason.to_string() }
}

/// Writes an enum or a JSON value the way it stands in JSON.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn unword<T: serde::de::DeserializeOwned>(
    field: &'static str,
    text: &str,
) -> Result<T, RecordsError> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|error| damaged(field, error))
}

/// Rows in one statement. SQLite looks a numbered parameter up among all those of its statement, so
/// the cost of a row grows with their number.
const ROWS_PER_STATEMENT: usize = 32;
