//! Readings as tables: CSV, Arrow and Parquet out, Arrow and Parquet in.
//!
//! Pure encoding over bytes and files: no network, no store, no clock. The columnar formats are
//! heavy to build, so they sit alone here.

mod columns;
mod decode;
mod encode;
mod error;
mod parquet_in;
mod values;

pub use columns::{BucketRows, Columns, Legend, ReadingRows};
pub use decode::{ArrowDecoder, Decoded};
pub use encode::{Encoder, Format};
pub use error::TablesError;
pub use parquet_in::{
    FAULTS_NAMED_MAX, ParquetOptions, ParquetReadings, ROWS_MAX, RowFault, Stretch, read_parquet,
    read_parquet_bytes,
};
pub use values::reason_word;

/// Media type of [`Format::ArrowStream`].
pub const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

#[cfg(test)]
mod tests;
