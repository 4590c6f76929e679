//! A batch as bytes, the way the log keeps it: plain columns, narrowed where that costs nothing.

use kernel::{CorrelationId, Timestamp};
use uuid::Uuid;

use crate::series::{Batch, Offset, SeriesError, SeriesId};

const FORMAT: u8 = 1;
/// Bytes before the columns.
const HEAD_BYTES_MAX: usize = 40;
const HAS_CORRELATION: u8 = 1;
/// Series ids fit two bytes.
const NARROW_SERIES: u8 = 2;
/// Times fit four bytes after the first one: batches mostly span less than 35 minutes.
const NARROW_TIMES: u8 = 4;
/// Every quality is good, so none is stored.
const ALL_GOOD: u8 = 8;
/// Series stand run by run, each with its length.
const RUNS: u8 = 16;
/// Runs are stored when they are so long on average.
const RUN_MIN: usize = 3;

pub(super) fn encode(batch: &Batch) -> Vec<u8> {
    let base = batch.at.first().copied().unwrap_or(0);
    let narrow = |at: &i64| at.checked_sub(base).is_some_and(|d| i32::try_from(d).is_ok());
    let mut flags = 0;
    if batch.correlation.is_some() {
        flags |= HAS_CORRELATION;
    }
    if batch.series.iter().all(|id| id.0 <= u32::from(u16::MAX)) {
        flags |= NARROW_SERIES;
    }
    if batch.at.iter().all(narrow) {
        flags |= NARROW_TIMES;
    }
    if batch.quality.iter().all(|q| *q == 0) {
        flags |= ALL_GOOD;
    }
    let runs = batch.runs().count();
    if runs * RUN_MIN <= batch.len() {
        flags |= RUNS;
    }
    let mut out = Vec::with_capacity(size(batch, flags, runs));
    out.push(FORMAT);
    out.push(flags);
    out.extend_from_slice(&(batch.len() as u32).to_le_bytes());
    out.extend_from_slice(&batch.received.as_micros().to_le_bytes());
    out.extend_from_slice(&base.to_le_bytes());
    if let Some(correlation) = batch.correlation {
        out.extend_from_slice(correlation.0.as_bytes());
    }
    if flags & RUNS != 0 {
        out.extend_from_slice(&(runs as u32).to_le_bytes());
        for (series, rows) in batch.runs() {
            out.extend_from_slice(&series.0.to_le_bytes());
            out.extend_from_slice(&(rows.len() as u32).to_le_bytes());
        }
    } else if flags & NARROW_SERIES == 0 {
        put(&mut out, &batch.series, |id| id.0.to_le_bytes());
    } else {
        put(&mut out, &batch.series, |id| (id.0 as u16).to_le_bytes());
    }
    if flags & NARROW_TIMES == 0 {
        put(&mut out, &batch.at, |at| at.to_le_bytes());
    } else {
        put(&mut out, &batch.at, |at| ((at - base) as i32).to_le_bytes());
    }
    put(&mut out, &batch.value, |value| value.to_le_bytes());
    if flags & ALL_GOOD == 0 {
        out.extend_from_slice(&batch.quality);
    }
    out
}

/// Bytes that a batch takes at most.
fn size(batch: &Batch, flags: u8, runs: usize) -> usize {
    let series = match flags & (RUNS | NARROW_SERIES) {
        0 => 4 * batch.len(),
        NARROW_SERIES => 2 * batch.len(),
        _ => 4 + 8 * runs,
    };
    let at = if flags & NARROW_TIMES == 0 { 8 } else { 4 };
    let quality = usize::from(flags & ALL_GOOD == 0);
    HEAD_BYTES_MAX + series + batch.len() * (at + size_of::<f64>() + quality)
}

/// Appends a column. The room is made first, so that the loop is a plain copy.
fn put<T, const N: usize>(out: &mut Vec<u8>, column: &[T], bytes: impl Fn(&T) -> [u8; N]) {
    let start = out.len();
    out.resize(start + column.len() * N, 0);
    let (cells, _) = out[start..].as_chunks_mut::<N>();
    for (cell, item) in cells.iter_mut().zip(column) {
        *cell = bytes(item);
    }
}

/// # Errors
/// [`SeriesError::Damaged`] when the bytes are no batch.
pub(super) fn decode(bytes: &[u8]) -> Result<Batch, SeriesError> {
    let mut rest = Rest(bytes);
    let [format, flags] = rest.array()?;
    if format != FORMAT {
        return Err(damaged("the batch has an unknown format"));
    }
    let len = u32::from_le_bytes(rest.array()?) as usize;
    let received = Timestamp::from_micros(i64::from_le_bytes(rest.array()?));
    let base = i64::from_le_bytes(rest.array()?);
    let correlation = if flags & HAS_CORRELATION == 0 {
        None
    } else {
        Some(CorrelationId(Uuid::from_bytes(rest.array()?)))
    };
    let series = if flags & RUNS != 0 {
        read_runs(&mut rest, len)?
    } else if flags & NARROW_SERIES == 0 {
        rest.column(len, |b| SeriesId(u32::from_le_bytes(b)))?
    } else {
        rest.column(len, |b| SeriesId(u32::from(u16::from_le_bytes(b))))?
    };
    let at = if flags & NARROW_TIMES == 0 {
        rest.column(len, i64::from_le_bytes)?
    } else {
        rest.column(len, |b| base.wrapping_add(i64::from(i32::from_le_bytes(b))))?
    };
    let value = rest.column(len, f64::from_le_bytes)?;
    let quality =
        if flags & ALL_GOOD == 0 { rest.column(len, |[q]: [u8; 1]| q)? } else { vec![0; len] };
    if !rest.0.is_empty() {
        return Err(damaged("the batch is longer than it says"));
    }
    Ok(Batch { received, correlation, series, at, value, quality })
}

fn read_runs(rest: &mut Rest<'_>, len: usize) -> Result<Vec<SeriesId>, SeriesError> {
    let runs = u32::from_le_bytes(rest.array()?) as usize;
    // Of all columns the times are there in any case; a length that they cannot have is none.
    if len > rest.0.len() / 4 {
        return Err(damaged("the batch is shorter than it says"));
    }
    let mut series = Vec::with_capacity(len);
    for [a, b, c, d, rows @ ..] in rest.column(runs, |run: [u8; 8]| run)? {
        let end = series.len().saturating_add(u32::from_le_bytes(rows) as usize);
        if end > len {
            return Err(damaged("the runs of a batch are longer than it says"));
        }
        series.resize(end, SeriesId(u32::from_le_bytes([a, b, c, d])));
    }
    if series.len() < len {
        return Err(damaged("the runs of a batch are shorter than it says"));
    }
    Ok(series)
}

/// Covers the offset too, so that a batch in the wrong place is no batch.
pub(super) fn checksum(offset: Offset, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&offset.0.to_le_bytes()), bytes)
}

pub(super) fn damaged(reason: &str) -> SeriesError {
    SeriesError::Damaged { reason: reason.to_owned() }
}

/// What is still unread of a stored record.
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], SeriesError> {
        let (head, tail) =
            self.0.split_at_checked(len).ok_or_else(|| damaged("the record is cut short"))?;
        self.0 = tail;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], SeriesError> {
        self.take(N)?.try_into().map_err(|_| damaged("the record is cut short"))
    }

    fn column<const N: usize, T>(
        &mut self,
        len: usize,
        read: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, SeriesError> {
        let bytes = self.take(len.saturating_mul(N))?;
        Ok(bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batches() -> impl Strategy<Value = Batch> {
        let reading = (
            prop_oneof![Just(3u32), 0u32..9, any::<u32>()],
            prop_oneof![0i64..1_000_000, any::<i64>()],
            proptest::num::f64::NORMAL,
            prop_oneof![Just(0u8), any::<u8>()],
        );
        (any::<i64>(), any::<Option<u128>>(), proptest::collection::vec(reading, 0..40)).prop_map(
            |(received, correlation, mut readings)| {
                if received % 2 == 0 {
                    readings.sort_by_key(|(series, ..)| *series);
                }
                let mut batch = Batch {
                    received: Timestamp::from_micros(received),
                    correlation: correlation.map(|id| CorrelationId(Uuid::from_u128(id))),
                    ..Batch::default()
                };
                for (series, at, value, quality) in readings {
                    batch.series.push(SeriesId(series));
                    batch.at.push(at);
                    batch.value.push(value);
                    batch.quality.push(quality);
                }
                batch
            },
        )
    }

    proptest! {
        #[test]
        fn round_trips(batch in batches()) {
            prop_assert_eq!(decode(&encode(&batch)).unwrap(), batch);
        }

        #[test]
        fn a_cut_batch_is_damaged(batch in batches(), keep in 0.0..1.0f64) {
            let bytes = encode(&batch);
            let cut = (bytes.len() as f64 * keep) as usize;
            prop_assert!(decode(&bytes[..cut]).is_err());
        }

        #[test]
        fn a_flipped_bit_changes_the_checksum(batch in batches(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut bytes = encode(&batch);
            let good = checksum(Offset(7), &bytes);
            let index = at.index(bytes.len());
            bytes[index] ^= 1 << bit;
            prop_assert_ne!(checksum(Offset(7), &bytes), good);
        }
    }
}
