use kernel::Retryable;

use super::{Offset, SeriesId};

/// What can go wrong with readings.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    #[error("the series store is full: {reason}")]
    Full { reason: String },
    #[error("the series store has {waiting} batches waiting; try again later")]
    Busy { waiting: usize },
    #[error("the log starts after {oldest:?}; {wanted:?} is gone")]
    Truncated { wanted: Offset, oldest: Offset },
    #[error("no sensor has the series id {0:?}")]
    UnknownSeries(SeriesId),
    #[error(
        "columns of one batch differ in length: {series} series, {at} times, {value} values, {quality} qualities"
    )]
    Ragged { series: usize, at: usize, value: usize, quality: usize },
    #[error("{wanted} buckets asked for; at most {max} are answered")]
    TooManyBuckets { wanted: u64, max: usize },
    #[error("value {value} is not finite")]
    NotFinite { value: f64 },
    #[error("time {at} µs lies outside the years 1 to 9999")]
    TimeOutOfRange { at: i64 },
    #[error("the store stopped after a failed write: {reason}")]
    Failed { reason: String },
    #[error("block is damaged: {reason}")]
    Damaged { reason: String },
    #[error("another process has the series directory {} open", .dir.display())]
    Taken { dir: std::path::PathBuf },
    #[error("series file")]
    Sqlite(#[from] rusqlite::Error),
    #[error("series directory")]
    Io(#[from] std::io::Error),
}

impl Retryable for SeriesError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Busy { .. })
    }
}
