use sea_orm::sea_query::{
    Index, IndexCreateStatement, IntoIndexColumn, IntoTableRef, TableAlterStatement,
    TableCreateStatement,
};

/// One step of a schema, written once for every database.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a few dozen live, once, while migrating")]
pub enum Change {
    Table(TableCreateStatement),
    Index(IndexCreateStatement),
    Alter(TableAlterStatement),
}

impl Change {
    /// A new index of `columns`.
    pub fn index<C: IntoIndexColumn>(
        name: &str,
        table: impl IntoTableRef,
        columns: impl IntoIterator<Item = C>,
    ) -> Self {
        let mut statement = Index::create();
        statement.name(name).table(table);
        for column in columns {
            statement.col(column);
        }
        Self::Index(statement)
    }
}

/// A named, ordered set of changes, applied whole or not at all.
///
/// Names sort in order of application: `telemetry_0001_sensors`. Once released, one never changes.
#[derive(Debug, Clone)]
pub struct Migration {
    pub name: &'static str,
    pub changes: Vec<Change>,
}
