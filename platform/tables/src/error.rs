use arrow_schema::ArrowError;
use parquet::errors::ParquetError;

/// Why a table cannot be written or read as a whole. Faults of single rows are
/// [`RowFault`](crate::RowFault)s.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    #[error("arrow")]
    Arrow(#[from] ArrowError),
    #[error("parquet")]
    Parquet(#[from] ParquetError),
    #[error("csv")]
    Csv(#[from] csv::Error),
    #[error("the file cannot be read or written")]
    Io(#[from] std::io::Error),
    #[error("the file has no column with times; call it `timestamp`, `time` or `at`")]
    NoTime,
    #[error("column `{column}` holds {found}, not {wanted}")]
    ColumnType { column: String, found: String, wanted: &'static str },
    #[error("column `{0}` is no sensor key; a prefix `site/asset` makes it one")]
    ColumnNoSensor(String),
    #[error("the file names no sensor; say which one it is of")]
    SensorNotNamed,
    #[error("the file has no column with values")]
    NoValues,
    #[error("{found} columns; at most {max} are read")]
    TooManyColumns { found: usize, max: usize },
    #[error("the decoder of this file gave up: it is damaged")]
    Damaged,
    #[error("the table is not one of readings: {0}")]
    Shape(&'static str),
}
