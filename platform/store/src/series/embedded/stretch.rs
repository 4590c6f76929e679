//! The readings of one block in stretches that can be read alone, each with its figures: a
//! question that cuts through a block reads the stretch it cuts and takes the others as they are.
//!
//! Blocks of an older format are one stretch.

use std::ops::Range;

use super::block::{Columns, Figures, Summary, put_quality, read_quality};
use super::codec::{Rest, damaged};
use super::column::{
    COUNT_MAX, EXACT_MAX, POWERS, Wanted, put_floats_in, put_ints_in, put_varint, read_floats_of,
    read_ints_of, read_varint,
};
use crate::series::SeriesError;

/// One piece, without figures of its parts.
const FORMAT_WHOLE: u8 = 2;
const FORMAT: u8 = 3;
/// Readings in one stretch: four times what the decompressor does in one go.
const STRETCH: usize = 1_024;
/// A last stretch shorter than this is part of the one before.
const STRETCH_MIN: usize = 256;
/// Figures that are no short decimals lie there bit by bit.
const BITS: u8 = 0xff;

/// How many readings each stretch of a block has.
fn sizes(count: usize) -> Vec<usize> {
    let mut sizes = vec![STRETCH; count / STRETCH];
    match (count % STRETCH, sizes.last_mut()) {
        (0, _) => {}
        (left, Some(last)) if left < STRETCH_MIN => *last += left,
        (left, _) => sizes.push(left),
    }
    sizes
}

/// Where a stretch begins and what it amounts to.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    first: i64,
    figures: Figures,
}

/// Compresses readings that are in order of time.
///
/// # Errors
/// [`SeriesError::Damaged`] when the compressor refuses.
pub(super) fn encode(columns: &Columns) -> Result<Vec<u8>, SeriesError> {
    let sizes = sizes(columns.len());
    let mut body = Vec::with_capacity(64 + columns.len());
    put_ints_in(&columns.at, &sizes, &mut body)?;
    let places = put_floats_in(&columns.value, &sizes, &mut body)?;
    put_quality(&columns.quality, &mut body);
    let mut out = Vec::with_capacity(body.len() + 32 * sizes.len());
    out.push(FORMAT);
    put_varint(columns.len() as i64, &mut out);
    // Of a single stretch the index says it all.
    if sizes.len() > 1 {
        put_stretches(columns, &sizes, places, &mut out);
    }
    out.extend_from_slice(&body);
    Ok(out)
}

fn put_stretches(columns: &Columns, sizes: &[usize], places: Option<usize>, out: &mut Vec<u8>) {
    let mut stretches = Vec::with_capacity(sizes.len());
    let mut start = 0;
    for size in sizes {
        let part = start..start + size;
        let mut figures = Figures::default();
        figures.add_all(&columns.value[part.clone()], &columns.quality[part]);
        stretches.push(Stretch { first: columns.at[start], figures });
        start += size;
    }
    let exact =
        |power: f64| stretches.iter().all(|one| (one.figures.sum * power).abs() < EXACT_MAX);
    let places = places.filter(|places| exact(POWERS[*places]));
    out.push(places.map_or(BITS, |places| places as u8));
    let mut before = 0;
    for Stretch { first, figures } in &stretches {
        put_varint(first.wrapping_sub(before), out);
        before = *first;
        put_varint(figures.count as i64, out);
        match places {
            _ if figures.count == 0 => {}
            Some(places) => put_decimals(figures, POWERS[places], out),
            None => {
                for value in [figures.min, figures.max, figures.sum, figures.first, figures.last] {
                    out.extend_from_slice(&value.to_le_bytes());
                }
            }
        }
    }
}

/// A sum of decimals is a decimal; what adding in binary has left over goes.
fn put_decimals(figures: &Figures, power: f64, out: &mut Vec<u8>) {
    let int = |value: f64| (value * power).round() as i64;
    let first = int(figures.first);
    put_varint(first, out);
    for value in [figures.last, figures.min, figures.max] {
        put_varint(int(value).wrapping_sub(first), out);
    }
    let level = first.wrapping_mul(figures.count as i64);
    put_varint(int(figures.sum).wrapping_sub(level), out);
}

fn read_decimals(rest: &mut Rest<'_>, count: u64, power: f64) -> Result<Figures, SeriesError> {
    let first = read_varint(rest)?;
    let mut next = |level: i64| Ok::<_, SeriesError>(read_varint(rest)?.wrapping_add(level));
    let (last, min, max) = (next(first)?, next(first)?, next(first)?);
    let sum = next(first.wrapping_mul(count as i64))?;
    let [first, last, min, max, sum] = [first, last, min, max, sum].map(|int| int as f64 / power);
    Ok(Figures { count, min, max, sum, first, last })
}

fn read_bits(rest: &mut Rest<'_>, count: u64) -> Result<Figures, SeriesError> {
    let mut next = || Ok::<_, SeriesError>(f64::from_le_bytes(rest.array()?));
    let (min, max, sum) = (next()?, next()?, next()?);
    Ok(Figures { count, min, max, sum, first: next()?, last: next()? })
}

/// A block that is not decompressed yet.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    /// Where the columns begin.
    body: usize,
    count: usize,
    /// None when the columns are not cut.
    sizes: Vec<usize>,
    stretches: Vec<Stretch>,
}

impl Block {
    /// # Errors
    /// [`SeriesError::Damaged`] when the bytes are no block.
    pub(super) fn open(bytes: Vec<u8>) -> Result<Self, SeriesError> {
        let mut rest = Rest(&bytes);
        let [format] = rest.array()?;
        let count = usize::try_from(read_varint(&mut rest)?).unwrap_or(usize::MAX);
        if !(FORMAT_WHOLE..=FORMAT).contains(&format) || count > COUNT_MAX {
            return Err(damaged("the block has an unknown format"));
        }
        let sizes = if format == FORMAT { sizes(count) } else { Vec::new() };
        let stretches =
            if sizes.len() > 1 { read_stretches(&mut rest, &sizes)? } else { Vec::new() };
        let body = bytes.len() - rest.0.len();
        Ok(Self { body, count, sizes, stretches, bytes })
    }

    /// How many readings there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many stretches there are.
    pub(super) fn len(&self) -> usize {
        self.sizes.len().max(1)
    }

    /// What is in one stretch of a block that ends at `last`. The last event time of a stretch is
    /// the latest that it may have.
    pub(super) fn summary(&self, whole: &Summary, index: usize) -> Summary {
        let Some(stretch) = self.stretches.get(index) else { return *whole };
        let next = self.stretches.get(index + 1);
        Summary {
            series: whole.series,
            first: stretch.first,
            last: next.map_or(whole.last, |next| next.first.saturating_sub(1)),
            count: self.sizes[index] as u32,
            figures: stretch.figures,
        }
    }

    /// The readings of some neighbouring stretches.
    ///
    /// # Errors
    /// [`SeriesError::Damaged`] when they do not decompress.
    pub(super) fn read(&self, part: Range<usize>) -> Result<Columns, SeriesError> {
        let mut rest = Rest(&self.bytes[self.body..]);
        let mut columns = Columns::default();
        let cut = !self.sizes.is_empty();
        let wanted =
            if cut { Wanted::pages(&self.sizes, part.clone()) } else { Wanted::whole(self.count) };
        read_ints_of(&mut rest, &wanted, &mut columns.at)?;
        read_floats_of(&mut rest, &wanted, &mut columns.value)?;
        let mut quality = read_quality(&mut rest, self.count)?;
        if columns.at.len() < self.count {
            let start: usize = self.sizes[..part.start].iter().sum();
            quality.drain(..start);
            quality.truncate(columns.at.len());
        }
        columns.quality = quality;
        let begins = |one: &Stretch| columns.at.first() == Some(&one.first);
        if self.stretches.get(part.start).is_none_or(begins) {
            Ok(columns)
        } else {
            Err(damaged("a stretch does not begin where it says"))
        }
    }
}

fn read_stretches(rest: &mut Rest<'_>, sizes: &[usize]) -> Result<Vec<Stretch>, SeriesError> {
    let [places] = rest.array()?;
    let power = POWERS.get(usize::from(places)).copied();
    if power.is_none() && places != BITS {
        return Err(damaged("figures of unknown decimals"));
    }
    let mut stretches = Vec::with_capacity(sizes.len());
    let mut first = 0i64;
    for _ in sizes {
        first = first.wrapping_add(read_varint(rest)?);
        let count = u64::try_from(read_varint(rest)?).unwrap_or(u64::MAX);
        let figures = match power {
            _ if count == 0 => Figures::default(),
            Some(power) => read_decimals(rest, count, power)?,
            None => read_bits(rest, count)?,
        };
        stretches.push(Stretch { first, figures });
    }
    Ok(stretches)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::column::{put_floats, put_ints};
    use super::*;

    /// As blocks were before they had stretches.
    fn encode_whole(columns: &Columns) -> Vec<u8> {
        let mut out = vec![FORMAT_WHOLE];
        put_varint(columns.len() as i64, &mut out);
        put_ints(&columns.at, &mut out).unwrap();
        put_floats(&columns.value, &mut out).unwrap();
        put_quality(&columns.quality, &mut out);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Columns, SeriesError> {
        let block = Block::open(bytes.to_vec())?;
        block.read(0..block.len())
    }

    fn columns(most: usize) -> impl Strategy<Value = Columns> {
        let value = prop_oneof![
            (-1_000i64..1_000).prop_map(|n| n as f64 / 100.0),
            -1e3..1e3f64,
            proptest::num::f64::NORMAL
        ];
        let kind = 0..3usize;
        let quality = prop_oneof![9 => Just(0u8), 1 => Just(0x41), 1 => Just(0x85)];
        let readings = proptest::collection::vec((1i64..3_000, value, quality), 1..most);
        (kind, readings).prop_map(|(kind, readings)| {
            let mut columns = Columns::default();
            let mut at = -1_000_000;
            for (step, value, quality) in readings {
                at += if kind == 0 { 1_000_000 } else { step };
                let short = (value.clamp(-1e6, 1e6) * 100.0).round() / 100.0;
                columns.push(at, if kind < 2 { short } else { value }, quality);
            }
            columns
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn comes_back(columns in columns(3_000)) {
            prop_assert_eq!(decode(&encode(&columns).unwrap()).unwrap(), columns.clone());
            prop_assert_eq!(decode(&encode_whole(&columns)).unwrap(), columns);
        }

        #[test]
        fn every_stretch_comes_back_alone_with_its_figures(columns in columns(6_000)) {
            let block = Block::open(encode(&columns).unwrap()).unwrap();
            let whole = columns.summary(7).unwrap();
            let mut start = 0;
            for index in 0..block.len() {
                let part = block.read(index..index + 1).unwrap();
                prop_assert_eq!(&part, &columns.slice(start, start + part.len()));
                let said = block.summary(&whole, index);
                let seen = part.summary(7).unwrap();
                prop_assert_eq!((said.series, said.first, said.count), (7, seen.first, seen.count));
                start += part.len();
                prop_assert!(said.last >= seen.last);
                prop_assert!(columns.at.get(start).is_none_or(|next| said.last < *next));
                let (sum, exact) = (said.figures.sum, seen.figures.sum);
                let largest = seen.figures.max.abs().max(seen.figures.min.abs());
                // Sums of the largest floats are infinite, or no number.
                let alike = sum.to_bits() == exact.to_bits() || (sum - exact).abs() <= largest * 1e-9;
                prop_assert!(alike, "{} for {}", sum, exact);
                let rest = |figures: Figures| Figures { sum: 0.0, ..figures };
                prop_assert_eq!(rest(said.figures), rest(seen.figures));
            }
            prop_assert_eq!(start, columns.len());
        }

        #[test]
        fn a_cut_block_is_damaged(columns in columns(2_500), keep in 0.0..1.0f64) {
            let bytes = encode(&columns).unwrap();
            let cut = (bytes.len() as f64 * keep) as usize;
            prop_assert!(decode(&bytes[..cut]).is_err());
        }
    }
}
