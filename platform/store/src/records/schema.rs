use sea_orm::sea_query::{IndexCreateStatement, TableAlterStatement, TableCreateStatement};

/// One step of a schema, written once for every database.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a few dozen live, once, while migrating")]
pub enum Change {
    Table(TableCreateStatement),
    Index(IndexCreateStatement),
    Alter(TableAlterStatement),
}

/// A named, ordered set of changes, applied whole or not at all.
///
/// Names sort in order of application: `telemetry_0001_sensors`. Once released, one never changes.
#[derive(Debug, Clone)]
pub struct Migration {
    pub name: &'static str,
    pub changes: Vec<Change>,
}
