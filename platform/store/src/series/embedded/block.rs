//! A block: the readings of one sensor over a stretch of time, compressed, with a summary that
//! answers without decompressing.

use kernel::{Quality, Timestamp};

use super::codec::{Rest, damaged};
use super::column::{put_varint, read_varint};
use crate::series::{Point, SeriesError};

/// Blocks aim at this many readings: pco's cost per block is small beside them, and one block
/// still decodes in well under a millisecond.
pub(super) const BLOCK_POINTS: usize = 4_096;
/// A sensor with fewer readings than this in a file shares a block with others.
pub(super) const BLOCK_POINTS_SMALL: usize = 1_024;

const HOUR_MICROS: i64 = 3_600_000_000;
/// Qualities from here on are bad.
const BAD: u8 = 0x80;
const LANES: usize = 4;

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

    pub(super) fn append(&mut self, other: &Self, from: usize, to: usize) {
        self.at.extend_from_slice(&other.at[from..to]);
        self.value.extend_from_slice(&other.value[from..to]);
        self.quality.extend_from_slice(&other.quality[from..to]);
    }

    pub(super) fn clear(&mut self) {
        self.at.clear();
        self.value.clear();
        self.quality.clear();
    }

    /// What the readings amount to; `None` when there are none.
    pub(super) fn summary(&self, series: u32) -> Option<Summary> {
        let (first, last) = (*self.at.first()?, *self.at.last()?);
        let mut figures = Figures::default();
        figures.add_all(&self.value, &self.quality);
        Some(Summary { series, first, last, count: self.len() as u32, figures })
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

/// What a block of one sensor amounts to: enough to find it and to answer for all of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) series: u32,
    pub(super) first: i64,
    pub(super) last: i64,
    /// All readings, bad ones included.
    pub(super) count: u32,
    pub(super) figures: Figures,
}

/// Where to cut one sensor's readings into blocks: at full hours where that leaves blocks of a
/// good size, because that is where questions cut, and evenly elsewhere.
pub(super) fn cuts(at: &[i64]) -> Vec<(usize, usize)> {
    let mut cuts = Vec::with_capacity(at.len() / BLOCK_POINTS + 1);
    let mut start = 0;
    while start < at.len() {
        let left = at.len() - start;
        if left < BLOCK_POINTS + BLOCK_POINTS_SMALL {
            let hour = hour_in(&at[start..], left);
            let end = hour.map_or(at.len(), |hour| start + hour);
            cuts.push((start, end));
            start = end;
            continue;
        }
        let even = left / left.div_ceil(BLOCK_POINTS);
        let end = start + hour_in(&at[start..], BLOCK_POINTS + 1).unwrap_or(even);
        cuts.push((start, end));
        start = end;
    }
    cuts
}

/// The last full hour among the first `most` readings that leaves enough on both sides.
fn hour_in(at: &[i64], most: usize) -> Option<usize> {
    let most = most.min(at.len().checked_sub(BLOCK_POINTS_SMALL)?);
    let last = at.get(most.checked_sub(1)?)?;
    let hour = last.div_euclid(HOUR_MICROS).saturating_mul(HOUR_MICROS);
    let cut = at.partition_point(|at| *at < hour);
    (cut >= BLOCK_POINTS_SMALL).then_some(cut)
}

/// Qualities come in long runs: (length, quality) pairs.
pub(super) fn put_quality(quality: &[u8], out: &mut Vec<u8>) {
    for run in quality.chunk_by(|a, b| a == b) {
        put_varint(run.len() as i64, out);
        out.push(run[0]);
    }
}

pub(super) fn read_quality(rest: &mut Rest<'_>, count: usize) -> Result<Vec<u8>, SeriesError> {
    let mut quality = Vec::with_capacity(count);
    while quality.len() < count {
        let len = usize::try_from(read_varint(rest)?).unwrap_or(0);
        let [byte] = rest.array()?;
        if len == 0 || len > count - quality.len() {
            return Err(damaged("the qualities do not fit the block"));
        }
        quality.resize(quality.len() + len, byte);
    }
    Ok(quality)
}

#[cfg(test)]
mod tests {
    use super::*;

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
