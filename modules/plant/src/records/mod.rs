mod paths;
mod plant;
mod runs;

use store::records::Migration;

pub(crate) use paths::{
    StoredPath, active_count, active_paths, insert_path, list_paths, next_number, path,
    path_for_update, update_path,
};
pub(crate) use plant::{PlantState, plant_state, save_plant_state};
pub(crate) use runs::{end_run, end_runs, insert_run, list_runs, runs_since};

use crate::error::PlantError;

impl From<sea_orm::DbErr> for PlantError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(error.into())
    }
}

pub(crate) fn migrations() -> Vec<Migration> {
    vec![Migration {
        name: "plant_0001_plant",
        changes: [plant::changes(), runs::changes(), paths::changes()].concat(),
    }]
}

fn damaged(field: &'static str, value: &str) -> PlantError {
    PlantError::Damaged { field, value: value.chars().take(64).collect() }
}
