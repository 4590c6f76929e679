//! Reads a file on a thread of its own, while it still comes in.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use kernel::{Reading, SensorKey};
use sense::csv::CsvReadings;
use tables::{ParquetOptions, read_parquet};
use tokio::sync::mpsc;

/// Readings that become durable together.
const CHUNK_READINGS: usize = 10_000;
/// Faults that one chunk names.
const CHUNK_FAULTS_MAX: usize = 100;
/// Bytes of one row of CSV, and what is read ahead of it.
const ROW_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of a CSV after decompression.
const PLAIN_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
const GZIP: [u8; 2] = [0x1f, 0x8b];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Csv,
    Parquet,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// How to read a file.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub kind: Kind,
    pub sensor: Option<SensorKey>,
    pub prefix: Option<String>,
}

/// Some readings of a file and the rows beside them that were refused.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub readings: Vec<Reading>,
    /// For each reading the row it stood in, from 1.
    pub rows: Vec<u64>,
    /// Row, field and reason of the first refusals.
    pub refused: Vec<(u64, String, String)>,
    pub refused_total: u64,
}

impl Chunk {
    fn refuse(&mut self, row: u64, field: String, reason: String) {
        self.refused_total += 1;
        if self.refused.len() < CHUNK_FAULTS_MAX {
            self.refused.push((row, field, reason));
        }
    }
}

/// Reads the file whose parts come through `bytes`; `None` instead of a part says that it breaks
/// off. Returns why the file as a whole cannot be read, or cannot be read on.
pub(super) fn file(
    asked: &Asked,
    bytes: mpsc::Receiver<Option<Bytes>>,
    chunks: &mpsc::Sender<Chunk>,
) -> Result<(), String> {
    let body = Incoming { bytes, part: Bytes::new() };
    match asked.kind {
        Kind::Csv => csv(asked, body, chunks),
        Kind::Parquet => parquet(asked, body, chunks),
    }
}

fn csv(asked: &Asked, mut body: Incoming, chunks: &mpsc::Sender<Chunk>) -> Result<(), String> {
    // The first part of a body may be a single byte.
    let mut head = Vec::with_capacity(GZIP.len());
    let begun = body.by_ref().take(GZIP.len() as u64).read_to_end(&mut head);
    begun.map_err(|error| error.to_string())?;
    let is_packed = head == GZIP;
    let body = Read::chain(Cursor::new(head), body);
    let plain: Box<dyn Read + Send> = if is_packed {
        Box::new(MultiGzDecoder::new(BufReader::new(body)))
    } else {
        Box::new(body)
    };
    let watch = Arc::new(Watch::default());
    let watched = Watched { plain, head: Vec::new(), watch: Arc::clone(&watch) };
    let mut rows = CsvReadings::read(watched, asked.sensor.clone())
        .map_err(|error| watch.fault().unwrap_or_else(|| error.to_string()))?;
    let mut chunk = Chunk::default();
    for row in &mut rows {
        watch.row_begins();
        match row {
            Ok((line, reading)) => {
                chunk.rows.push(line as u64);
                chunk.readings.push(reading);
            }
            // The fault of the file itself is said for the file.
            Err(_) if watch.fault().is_some() => break,
            Err(fault) => chunk.refuse(fault.row as u64, fault.field, fault.reason),
        }
        let is_full =
            chunk.readings.len() >= CHUNK_READINGS || chunk.refused_total >= CHUNK_READINGS as u64;
        if is_full && chunks.blocking_send(std::mem::take(&mut chunk)).is_err() {
            return Ok(());
        }
    }
    // Nobody listens any more when the store has failed; then that is the answer.
    drop(chunks.blocking_send(chunk));
    watch.fault().map_or(Ok(()), Err)
}

fn parquet(asked: &Asked, mut body: Incoming, chunks: &mpsc::Sender<Chunk>) -> Result<(), String> {
    let file = spool(&mut body).map_err(|error| error.to_string())?;
    let options = ParquetOptions {
        sensor: asked.sensor.clone(),
        prefix: asked.prefix.clone(),
        parse_time: sense::parse_time,
    };
    let stretches = read_parquet(file, options).map_err(|error| said(&error))?;
    for stretch in stretches {
        let stretch = stretch.map_err(|error| said(&error))?;
        let mut chunk = Chunk {
            readings: stretch.readings,
            rows: stretch.rows,
            refused_total: stretch.refused_total,
            refused: Vec::new(),
        };
        let faults = stretch.refused.into_iter().take(CHUNK_FAULTS_MAX);
        chunk.refused.extend(faults.map(|fault| (fault.row, fault.field, fault.reason)));
        if chunks.blocking_send(chunk).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// A Parquet file says at its end what is in it, so it must be there as a whole: on the disk,
/// under no name.
fn spool(body: &mut Incoming) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(body, &mut file)?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

/// An error with its causes, for people.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The body as it comes in.
struct Incoming {
    bytes: mpsc::Receiver<Option<Bytes>>,
    part: Bytes,
}

impl Read for Incoming {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            match self.bytes.blocking_recv() {
                None => return Ok(0),
                Some(Some(part)) => self.part = part,
                Some(None) => return Err(io::Error::other("the body broke off")),
            }
        }
        let count = out.len().min(self.part.len());
        self.part.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}

/// Bounds what a row, and the whole, may unfold to, and notes why reading failed.
#[derive(Default)]
struct Watch {
    total: AtomicU64,
    since_row: AtomicU64,
    row_too_long: AtomicBool,
    too_long: AtomicBool,
    broken: AtomicBool,
}

impl Watch {
    fn row_begins(&self) {
        self.since_row.store(0, Ordering::Relaxed);
    }

    fn fault(&self) -> Option<String> {
        if self.row_too_long.load(Ordering::Relaxed) {
            Some(format!("a row has more than {ROW_BYTES_MAX} bytes"))
        } else if self.too_long.load(Ordering::Relaxed) {
            Some(format!("the file unfolds to more than {PLAIN_BYTES_MAX} bytes"))
        } else {
            let broken = self.broken.load(Ordering::Relaxed);
            broken.then(|| "the file breaks off, or it is damaged".to_owned())
        }
    }
}

struct Watched {
    plain: Box<dyn Read + Send>,
    /// The first two bytes of what was unpacked, as far as they came.
    head: Vec<u8>,
    watch: Arc<Watch>,
}

impl Read for Watched {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let watch = &self.watch;
        let result = self.plain.read(out);
        let Ok(count) = result else {
            watch.broken.store(true, Ordering::Relaxed);
            return result;
        };
        let total = watch.total.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
        let missing = GZIP.len() - self.head.len();
        self.head.extend(&out[..count.min(missing)]);
        let row = watch.since_row.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
        if row > ROW_BYTES_MAX {
            watch.row_too_long.store(true, Ordering::Relaxed);
        } else if total > PLAIN_BYTES_MAX {
            watch.too_long.store(true, Ordering::Relaxed);
        } else if missing > 0 && self.head == GZIP {
            // Packed twice: what is inside could not be bounded here.
            watch.broken.store(true, Ordering::Relaxed);
        } else {
            return Ok(count);
        }
        Err(io::Error::other("the file is not read on"))
    }
}
