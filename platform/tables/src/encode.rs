use std::io::Write;
use std::marker::PhantomData;

use arrow_ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::TablesError;
use crate::columns::{Columns, Dictionaries, Legend};

/// Rows in one row group: small enough that a reader who wants an hour of one sensor skips most
/// of a file, large enough that its columns compress well.
const ROW_GROUP_ROWS: usize = 262_144;
/// Above this the gain in size no longer pays for the time.
const ZSTD_LEVEL: i32 = 3;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    /// Arrow IPC for a pipe or a network: read from front to back.
    ArrowStream,
    /// Arrow IPC for a disk (`.arrow`, Feather 2): may be mapped into memory.
    ArrowFile,
    Parquet,
}

enum Sink<W: Write + Send> {
    Csv(W),
    ArrowStream(StreamWriter<W>),
    ArrowFile(FileWriter<W>),
    Parquet(Box<ArrowWriter<W>>),
}

/// Writes a table chunk by chunk; holds no more than one row group.
pub struct Encoder<T, W: Write + Send> {
    legend: Legend,
    values: Dictionaries,
    sink: Sink<W>,
    rows: PhantomData<fn(&T)>,
}

impl<T: Columns, W: Write + Send> Encoder<T, W> {
    /// Writes the head of the table.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn new(mut out: W, format: Format, legend: Legend) -> Result<Self, TablesError> {
        let values = Dictionaries::of(&legend);
        let schema = T::schema();
        let sink = match format {
            Format::Csv => {
                let mut head = csv::Writer::from_writer(Vec::new());
                head.write_record(T::CSV_HEAD)?;
                out.write_all(&text(head)?)?;
                Sink::Csv(out)
            }
            Format::ArrowStream => Sink::ArrowStream(StreamWriter::try_new(out, &schema)?),
            Format::ArrowFile => Sink::ArrowFile(FileWriter::try_new(out, &schema)?),
            Format::Parquet => {
                Sink::Parquet(Box::new(ArrowWriter::try_new(out, schema, Some(properties()?))?))
            }
        };
        Ok(Self { legend, values, sink, rows: PhantomData })
    }

    /// # Errors
    /// When `out` does not take it, or a row names a sensor that is not in the legend.
    pub fn write(&mut self, rows: &T) -> Result<(), TablesError> {
        match &mut self.sink {
            Sink::Csv(out) => {
                let mut lines = csv::Writer::from_writer(Vec::new());
                rows.csv(&self.legend, &mut lines)?;
                out.write_all(&text(lines)?)?;
            }
            Sink::ArrowStream(out) => out.write(&rows.batch(&self.legend, &self.values)?)?,
            Sink::ArrowFile(out) => out.write(&rows.batch(&self.legend, &self.values)?)?,
            Sink::Parquet(out) => out.write(&rows.batch(&self.legend, &self.values)?)?,
        }
        Ok(())
    }

    /// Writes the end of the table. A file without it is not whole.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn finish(self) -> Result<W, TablesError> {
        let mut out = match self.sink {
            Sink::Csv(out) => out,
            Sink::ArrowStream(out) => out.into_inner()?,
            Sink::ArrowFile(out) => out.into_inner()?,
            Sink::Parquet(out) => out.into_inner()?,
        };
        out.flush()?;
        Ok(out)
    }
}

impl<T: Columns> Encoder<T, Vec<u8>> {
    /// Takes what has been written so far, so that it can be sent on.
    pub fn drain(&mut self) -> Vec<u8> {
        match &mut self.sink {
            Sink::Csv(out) => std::mem::take(out),
            Sink::ArrowStream(out) => std::mem::take(out.get_mut()),
            // These two keep positions within what they wrote.
            Sink::ArrowFile(_) | Sink::Parquet(_) => Vec::new(),
        }
    }
}

fn text(lines: csv::Writer<Vec<u8>>) -> Result<Vec<u8>, TablesError> {
    lines.into_inner().map_err(|error| TablesError::Io(error.into_error()))
}

/// Times grow by small steps and values share their exponents: the encodings use that, and zstd
/// takes the rest. Columns of few words keep their dictionaries.
fn properties() -> Result<WriterProperties, TablesError> {
    let column = |name: &str| ColumnPath::from(name);
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_column_dictionary_enabled(column("at"), false)
        .set_column_encoding(column("at"), Encoding::DELTA_BINARY_PACKED);
    for name in ["value", "min", "max", "mean", "first", "last"] {
        properties = properties
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::BYTE_STREAM_SPLIT);
    }
    Ok(properties.build())
}
