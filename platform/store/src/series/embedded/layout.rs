//! What lies in a segment beside its blocks: head, index, root and tail, as bytes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::block::{Figures, Summary};
use super::codec::{Rest, damaged};
use crate::series::{Offset, SeriesError};

/// Raised whenever an older binary could misread the files. Format 1 were SQLite files; blocks of
/// format 2 were in one piece.
const FORMAT: u32 = 3;
const FORMAT_OLDEST: u32 = 2;
const MAGIC: &[u8; 8] = b"pvsegmnt";
pub(super) const HEAD_BYTES: usize = 48;
pub(super) const ENTRY_BYTES: usize = 88;
const ROOT_ROW_BYTES: usize = 40;
pub(super) const TAIL_BYTES: usize = 48;
/// A length above this is damage.
const BLOCK_BYTES_MAX: u32 = 1 << 26;

/// The three kinds of blocks, each with an index of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// Readings of one sensor.
    Dense,
    /// Readings of several sensors; what a sensor has here is in one block.
    Packed,
    /// Minute figures of sensors with dense blocks: of all that is in those, or none.
    Minutes,
}

pub(super) const TABLES: [Table; 3] = [Table::Dense, Table::Packed, Table::Minutes];

/// Which readings a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) day: i64,
    /// Grows with each segment made; never used twice.
    pub(super) generation: u64,
    /// The batches of the log it was made from: after this one,
    pub(super) after: Offset,
    /// up to this one.
    pub(super) through: Offset,
}

impl Head {
    pub(super) fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let mut out = [0; HEAD_BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        out[12..20].copy_from_slice(&self.day.to_le_bytes());
        out[20..28].copy_from_slice(&self.generation.to_le_bytes());
        out[28..36].copy_from_slice(&self.after.0.to_le_bytes());
        out[36..44].copy_from_slice(&self.through.0.to_le_bytes());
        let checksum = crc32c::crc32c(&out[..44]);
        out[44..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, SeriesError> {
        let mut rest = Rest(checked(bytes, "the head")?);
        let (magic, format) = (rest.take(8)?, u32::from_le_bytes(rest.array()?));
        if magic != MAGIC || !(FORMAT_OLDEST..=FORMAT).contains(&format) {
            return Err(damaged("the file has an unknown format"));
        }
        Ok(Self {
            day: i64::from_le_bytes(rest.array()?),
            generation: u64::from_le_bytes(rest.array()?),
            after: Offset(u64::from_le_bytes(rest.array()?)),
            through: Offset(u64::from_le_bytes(rest.array()?)),
        })
    }
}

/// The bytes without the checksum at their end.
fn checked<'a>(bytes: &'a [u8], what: &str) -> Result<&'a [u8], SeriesError> {
    let split = bytes.len().checked_sub(4).map(|at| bytes.split_at(at));
    match split {
        Some((body, sum)) if crc32c::crc32c(body).to_le_bytes() == sum => Ok(body),
        _ => Err(damaged(&format!("{what} fails its checksum"))),
    }
}

/// Where one block is and what it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    /// First and last sensor; the same in a dense block.
    pub(super) series: (u32, u32),
    /// First and last event time.
    pub(super) from: i64,
    pub(super) to: i64,
    /// Readings, or minutes.
    pub(super) count: u32,
    /// Of dense blocks.
    pub(super) figures: Figures,
    pub(super) place: u64,
    pub(super) len: u32,
    pub(super) checksum: u32,
}

impl Entry {
    pub(super) fn summary(&self) -> Summary {
        Summary {
            series: self.series.0,
            first: self.from,
            last: self.to,
            count: self.count,
            figures: self.figures,
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        for number in [self.series.0, self.series.1, self.count, self.figures.count as u32] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.from.to_le_bytes());
        out.extend_from_slice(&self.to.to_le_bytes());
        let figures = &self.figures;
        for value in [figures.min, figures.max, figures.sum, figures.first, figures.last] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&self.place.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&self.checksum.to_le_bytes());
    }

    pub(super) fn read(rest: &mut Rest<'_>) -> Result<Self, SeriesError> {
        let mut number = || Ok::<_, SeriesError>(u32::from_le_bytes(rest.array()?));
        let (first, last, count, good) = (number()?, number()?, number()?, number()?);
        let (from, to) = (i64::from_le_bytes(rest.array()?), i64::from_le_bytes(rest.array()?));
        let mut value = || Ok::<_, SeriesError>(f64::from_le_bytes(rest.array()?));
        let figures = Figures {
            count: u64::from(good),
            min: value()?,
            max: value()?,
            sum: value()?,
            first: value()?,
            last: value()?,
        };
        Ok(Self {
            series: (first, last),
            from,
            to,
            count,
            figures,
            place: u64::from_le_bytes(rest.array()?),
            len: u32::from_le_bytes(rest.array()?),
            checksum: u32::from_le_bytes(rest.array()?),
        })
    }
}

/// Where one block of an index is and what it covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct IndexBlock {
    /// Sensor and time of the first reading, and of the last.
    pub(super) first: (u32, i64),
    pub(super) last: (u32, i64),
    pub(super) place: u64,
    pub(super) len: u32,
    pub(super) checksum: u32,
}

impl IndexBlock {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        for (series, at) in [self.first, self.last] {
            out.extend_from_slice(&series.to_le_bytes());
            out.extend_from_slice(&at.to_le_bytes());
        }
        out.extend_from_slice(&self.place.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&self.checksum.to_le_bytes());
    }

    pub(super) fn read(rest: &mut Rest<'_>) -> Result<Self, SeriesError> {
        let mut end = || {
            Ok::<_, SeriesError>((
                u32::from_le_bytes(rest.array()?),
                i64::from_le_bytes(rest.array()?),
            ))
        };
        Ok(Self {
            first: end()?,
            last: end()?,
            place: u64::from_le_bytes(rest.array()?),
            len: u32::from_le_bytes(rest.array()?),
            checksum: u32::from_le_bytes(rest.array()?),
        })
    }
}

/// Where the roots are, and how much there is.
pub(super) struct Tail {
    pub(super) roots: [u64; 2],
    pub(super) len: u32,
    /// Zero in files of format 2, which did not say.
    pub(super) readings: u64,
    pub(super) blocks: u32,
}

impl Tail {
    pub(super) fn to_bytes(&self) -> [u8; TAIL_BYTES] {
        let mut out = [0; TAIL_BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..16].copy_from_slice(&self.roots[0].to_le_bytes());
        out[16..24].copy_from_slice(&self.roots[1].to_le_bytes());
        out[24..28].copy_from_slice(&self.len.to_le_bytes());
        out[28..36].copy_from_slice(&self.readings.to_le_bytes());
        out[36..40].copy_from_slice(&self.blocks.to_le_bytes());
        let checksum = crc32c::crc32c(&out[..TAIL_BYTES - 4]);
        out[TAIL_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads one of the two, the last one being number 1.
    pub(super) fn read(
        file: &File,
        bytes: u64,
        copy: u64,
    ) -> Result<(u64, Result<Self, SeriesError>), SeriesError> {
        let place = bytes.checked_sub(copy * TAIL_BYTES as u64);
        let place = place.ok_or_else(|| damaged("the file is too short"))?;
        let mut tail = [0; TAIL_BYTES];
        file.read_exact_at(&mut tail, place).map_err(short)?;
        Ok((place, Self::from_bytes(&tail)))
    }

    fn from_bytes(bytes: &[u8; TAIL_BYTES]) -> Result<Self, SeriesError> {
        let mut rest = Rest(checked(bytes, "the tail")?);
        if rest.take(8)? != MAGIC {
            return Err(damaged("the file has an unknown format"));
        }
        Ok(Self {
            roots: [u64::from_le_bytes(rest.array()?), u64::from_le_bytes(rest.array()?)],
            len: u32::from_le_bytes(rest.array()?),
            readings: u64::from_le_bytes(rest.array()?),
            blocks: u32::from_le_bytes(rest.array()?),
        })
    }
}

/// An end of file where there should be more is damage, not a fault of the disk.
pub(super) fn short(error: std::io::Error) -> SeriesError {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return damaged("the file is cut short");
    }
    error.into()
}

pub(super) fn read_block(file: &File, place: u64, len: u32) -> Result<Vec<u8>, SeriesError> {
    if len > BLOCK_BYTES_MAX {
        return Err(damaged("a block is too long"));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, place).map_err(short)?;
    Ok(bytes)
}

/// Where the index blocks of each table are.
#[derive(Debug, Default)]
pub(super) struct Root {
    pub(super) tables: [Vec<IndexBlock>; 3],
}

impl Root {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, SeriesError> {
        let mut rest = Rest(checked(bytes, "the root")?);
        let mut root = Self::default();
        for blocks in &mut root.tables {
            let count = u32::from_le_bytes(rest.array()?) as usize;
            blocks.reserve(count.min(rest.0.len() / ROOT_ROW_BYTES));
            for _ in 0..count {
                blocks.push(IndexBlock::read(&mut rest)?);
            }
        }
        Ok(root)
    }
}
