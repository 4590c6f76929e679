//! A block: the readings of one sensor over a stretch of time, compressed, with a summary that
//! answers without decompressing.

use kernel::{Quality, Timestamp};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

use super::codec::{Rest, damaged};
use crate::series::{Point, SeriesError};

/// Blocks aim at this many readings: pco's cost per block is small beside them, and one block
/// still decodes in well under a millisecond.
pub(super) const BLOCK_POINTS: usize = 4_096;
/// A block below this many readings is merged with its neighbour as soon as that is written.
pub(super) const BLOCK_POINTS_SMALL: usize = 1_024;

const FORMAT: u8 = 1;
/// Level 4 of 12: a third faster than the default 8 at the same size on telemetry.
const COMPRESSION_LEVEL: usize = 4;
/// Qualities from here on are bad.
const BAD: u8 = 0x80;
const LANES: usize = 4;
const SUMMARY_BYTES: usize = 76;
/// More readings than a block ever holds; a stored count above it is damage.
const COUNT_MAX: usize = 1 << 20;

/// One reading on its way from the log into a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slot {
    pub(super) at: i64,
    pub(super) value: f64,
    /// Offset of the batch in the high 56 bits, quality in the low 8: keeps a slot at 24 bytes.
    pub(super) tag: u64,
}

impl Slot {
    pub(super) fn new(at: i64, value: f64, quality: u8, offset: u64) -> Self {
        Self { at, value, tag: offset << 8 | u64::from(quality) }
    }

    pub(super) fn offset(self) -> u64 {
        self.tag >> 8
    }

    pub(super) fn quality(self) -> u8 {
        (self.tag & 0xff) as u8
    }

    pub(super) fn point(self) -> Point {
        point(self.at, self.value, self.quality())
    }
}

pub(super) fn point(at: i64, value: f64, quality: u8) -> Point {
    Point { at: Timestamp::from_micros(at), value, quality: Quality::from_byte(quality) }
}

/// Readings in order of time, each time once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Columns {
    pub(super) at: Vec<i64>,
    pub(super) value: Vec<f64>,
    pub(super) quality: Vec<u8>,
}

impl Columns {
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    pub(super) fn push(&mut self, at: i64, value: f64, quality: u8) {
        self.at.push(at);
        self.value.push(value);
        self.quality.push(quality);
    }

    pub(super) fn slice(&self, from: usize, to: usize) -> Self {
        Self {
            at: self.at[from..to].to_vec(),
            value: self.value[from..to].to_vec(),
            quality: self.quality[from..to].to_vec(),
        }
    }

    /// What the readings amount to; `None` when there are none.
    pub(super) fn summary(&self, series: u32) -> Option<Summary> {
        let (first, last) = (*self.at.first()?, *self.at.last()?);
        let mut figures = Figures::default();
        figures.add_all(&self.value, &self.quality);
        Some(Summary { series, first, last, count: self.len() as u32, figures, checksum: 0 })
    }
}

/// Count, extremes, sum and ends of the readings that are not bad.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) count: u64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) sum: f64,
    pub(super) first: f64,
    pub(super) last: f64,
}

impl Figures {
    pub(super) fn add(&mut self, value: f64, quality: u8) {
        if quality >= BAD {
            return;
        }
        self.merge(&Self {
            count: 1,
            min: value,
            max: value,
            sum: value,
            first: value,
            last: value,
        });
    }

    /// Adds readings in order of time.
    pub(super) fn add_all(&mut self, values: &[f64], quality: &[u8]) {
        if quality.iter().any(|quality| *quality >= BAD) {
            values.iter().zip(quality).for_each(|(value, quality)| self.add(*value, *quality));
            return;
        }
        let (Some(first), Some(last)) = (values.first(), values.last()) else { return };
        // Lanes of their own, so that one addition need not wait for the other.
        let mut sum = [0.0; LANES];
        let (mut min, mut max) = ([*first; LANES], [*first; LANES]);
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, value) in chunk.iter().enumerate() {
                sum[lane] += value;
                min[lane] = if *value < min[lane] { *value } else { min[lane] };
                max[lane] = if *value > max[lane] { *value } else { max[lane] };
            }
        }
        let all = |lanes: [f64; LANES]| lanes.into_iter().chain(rest.iter().copied());
        self.merge(&Self {
            count: values.len() as u64,
            min: all(min).fold(*first, f64::min),
            max: all(max).fold(*first, f64::max),
            sum: all(sum).sum(),
            first: *first,
            last: *last,
        });
    }

    /// Adds what comes later in time.
    pub(super) fn merge(&mut self, later: &Self) {
        if later.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *later;
            return;
        }
        self.count += later.count;
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.sum += later.sum;
        self.last = later.last;
    }
}

/// The head of a block: enough to find it and to answer for all of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) series: u32,
    pub(super) first: i64,
    pub(super) last: i64,
    /// All readings, bad ones included.
    pub(super) count: u32,
    pub(super) figures: Figures,
    /// Of the compressed readings.
    pub(super) checksum: u32,
}

impl Summary {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SUMMARY_BYTES);
        out.extend_from_slice(&self.series.to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.last.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&(self.figures.count as u32).to_le_bytes());
        let figures = &self.figures;
        for value in [figures.min, figures.max, figures.sum, figures.first, figures.last] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&self.checksum.to_le_bytes());
        let own = crc32c::crc32c(&out);
        out.extend_from_slice(&own.to_le_bytes());
        out
    }

    /// # Errors
    /// [`SeriesError::Damaged`] when a bit is not as it was written.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, SeriesError> {
        if bytes.len() != SUMMARY_BYTES {
            return Err(damaged("the summary has the wrong length"));
        }
        let (body, own) = bytes.split_at(SUMMARY_BYTES - 4);
        if crc32c::crc32c(body).to_le_bytes() != own {
            return Err(damaged("the summary fails its checksum"));
        }
        let mut rest = Rest(body);
        Ok(Self {
            series: u32::from_le_bytes(rest.array()?),
            first: i64::from_le_bytes(rest.array()?),
            last: i64::from_le_bytes(rest.array()?),
            count: u32::from_le_bytes(rest.array()?),
            figures: Figures {
                count: u64::from(u32::from_le_bytes(rest.array()?)),
                min: f64::from_le_bytes(rest.array()?),
                max: f64::from_le_bytes(rest.array()?),
                sum: f64::from_le_bytes(rest.array()?),
                first: f64::from_le_bytes(rest.array()?),
                last: f64::from_le_bytes(rest.array()?),
            },
            checksum: u32::from_le_bytes(rest.array()?),
        })
    }
}

/// Compresses readings that are in order of time; `None` when there are none.
///
/// # Errors
/// [`SeriesError::Damaged`] when the compressor refuses.
pub(super) fn encode(
    series: u32,
    columns: &Columns,
) -> Result<Option<(Summary, Vec<u8>)>, SeriesError> {
    let Some(mut summary) = columns.summary(series) else { return Ok(None) };
    let config = ChunkConfig::default().with_compression_level(COMPRESSION_LEVEL);
    let times = config
        .clone()
        .with_mode_spec(ModeSpec::Classic)
        .with_delta_spec(DeltaSpec::TryConsecutive(2));
    let at = pco::standalone::simple_compress(&columns.at, &times).map_err(refused)?;
    let value = pco::standalone::simple_compress(&columns.value, &config).map_err(refused)?;
    let mut out = Vec::with_capacity(at.len() + value.len() + 16);
    out.push(FORMAT);
    out.extend_from_slice(&(columns.len() as u32).to_le_bytes());
    out.extend_from_slice(&(at.len() as u32).to_le_bytes());
    out.extend_from_slice(&at);
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(&value);
    put_quality(&columns.quality, &mut out);
    summary.checksum = crc32c::crc32c(&out);
    Ok(Some((summary, out)))
}

/// # Errors
/// [`SeriesError::Damaged`] when the bytes are not those the summary was written for.
pub(super) fn decode(summary: &Summary, bytes: &[u8]) -> Result<Columns, SeriesError> {
    if crc32c::crc32c(bytes) != summary.checksum {
        return Err(damaged("the readings fail their checksum"));
    }
    let mut rest = Rest(bytes);
    let [format] = rest.array()?;
    let count = u32::from_le_bytes(rest.array()?) as usize;
    if format != FORMAT || count != summary.count as usize || count > COUNT_MAX {
        return Err(damaged("the block does not match its summary"));
    }
    let len = u32::from_le_bytes(rest.array()?) as usize;
    let mut at = vec![0i64; count];
    pco::standalone::simple_decompress_into(rest.take(len)?, &mut at).map_err(refused)?;
    let len = u32::from_le_bytes(rest.array()?) as usize;
    let mut value = vec![0f64; count];
    pco::standalone::simple_decompress_into(rest.take(len)?, &mut value).map_err(refused)?;
    let quality = read_quality(&mut rest, count)?;
    Ok(Columns { at, value, quality })
}

/// Qualities come in long runs: (length, quality) pairs.
fn put_quality(quality: &[u8], out: &mut Vec<u8>) {
    for run in quality.chunk_by(|a, b| a == b) {
        out.extend_from_slice(&(run.len() as u32).to_le_bytes());
        out.push(run[0]);
    }
}

fn read_quality(rest: &mut Rest<'_>, count: usize) -> Result<Vec<u8>, SeriesError> {
    let mut quality = Vec::with_capacity(count);
    while quality.len() < count {
        let len = u32::from_le_bytes(rest.array()?) as usize;
        let [byte] = rest.array()?;
        if len == 0 || quality.len() + len > count {
            return Err(damaged("the qualities do not fit the block"));
        }
        quality.resize(quality.len() + len, byte);
    }
    Ok(quality)
}

fn refused(error: pco::errors::PcoError) -> SeriesError {
    SeriesError::Damaged { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn columns() -> impl Strategy<Value = Columns> {
        let value = prop_oneof![Just(0.0), -1e3..1e3f64, proptest::num::f64::NORMAL];
        let quality = prop_oneof![4 => Just(0u8), 1 => Just(0x41), 1 => Just(0x85)];
        proptest::collection::btree_map(-1_000_000i64..1_000_000, (value, quality), 1..200)
            .prop_map(|map| {
                let mut columns = Columns::default();
                for (at, (value, quality)) in map {
                    columns.push(at, value, quality);
                }
                columns
            })
    }

    proptest! {
        #[test]
        fn round_trips(columns in columns()) {
            let (summary, bytes) = encode(3, &columns).unwrap().unwrap();
            prop_assert_eq!(Summary::from_bytes(&summary.to_bytes()).unwrap(), summary);
            prop_assert_eq!(decode(&summary, &bytes).unwrap(), columns);
        }
    }

    #[test]
    fn any_flipped_bit_is_found() {
        let mut columns = Columns::default();
        for i in 0..300i64 {
            columns.push(i * 1_000_003, (i as f64).sin(), if i % 50 == 0 { 0x85 } else { 0 });
        }
        let (summary, bytes) = encode(3, &columns).unwrap().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&summary, &flipped).is_err(), "bit {bit} of the readings");
        }
        let head = summary.to_bytes();
        for bit in 0..head.len() * 8 {
            let mut flipped = head.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Summary::from_bytes(&flipped).is_err(), "bit {bit} of the summary");
        }
    }

    #[test]
    fn bad_readings_stay_out_of_the_figures() {
        let mut columns = Columns::default();
        columns.push(1, 900.0, Quality::Bad(kernel::Reason::Stuck).to_byte());
        columns.push(2, 4.0, Quality::Uncertain(kernel::Reason::Manual).to_byte());
        columns.push(3, 2.0, 0);
        let summary = columns.summary(0).unwrap();
        assert_eq!((summary.first, summary.last, summary.count), (1, 3, 3));
        let wanted = Figures { count: 2, min: 2.0, max: 4.0, sum: 6.0, first: 4.0, last: 2.0 };
        assert_eq!(summary.figures, wanted);
    }
}
