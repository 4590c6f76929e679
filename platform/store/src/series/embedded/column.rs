//! Columns as bytes. Telemetry is mostly whole numbers in disguise: times lie on a grid with a
//! little jitter, values are decimals with few places. Saying so before compressing halves the
//! size and doubles the speed.
//!
//! A column of integers is `base + i · step + unit · rest[i]`; only `rest` is compressed.

use std::ops::Range;

use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec, PagingSpec};

use super::codec::{Rest, damaged};
use crate::series::SeriesError;

/// Level 4 of 12: a third faster than the default 8 at the same size on telemetry.
const COMPRESSION_LEVEL: usize = 4;
/// Every `rest` is zero: nothing follows.
const PLAIN: u8 = 0;
/// `rest` fits 32 bits.
const NARROW: u8 = 1;
const WIDE: u8 = 2;
/// Values that are no short decimals.
const FLOATS: u8 = 0xff;
/// Longest decimals looked for; longer ones are measured noise and no longer worth it.
const PLACES_MAX: usize = 9;
pub(super) const POWERS: [f64; PLACES_MAX + 1] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Integers above this are not exact as floats.
pub(super) const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// Units that times come in, in µs.
const SECOND: i64 = 1_000_000;
const MILLISECOND: i64 = 1_000;
/// Steps are looked for among multiples of these, in µs.
const ROUND_STEPS: [i64; 8] = [60_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
/// Steps looked at before one is chosen.
const SAMPLES: usize = 128;
/// Numbers looked at to see how smooth they are.
const ORDER_SAMPLES: usize = 512;
/// More numbers than a column ever holds; a stored count above it is damage.
pub(super) const COUNT_MAX: usize = 1 << 21;

/// Which part of a column is asked for. A column lies there in one piece, or in pages that
/// decompress alone.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    /// Numbers in each page; none when the column is not cut.
    pages: &'a [usize],
    /// Of pages.
    part: Range<usize>,
    start: usize,
    len: usize,
}

impl<'a> Wanted<'a> {
    /// All of a column in one piece.
    pub(super) fn whole(count: usize) -> Self {
        Self { pages: &[], part: 0..0, start: 0, len: count }
    }

    /// Some pages of a column.
    pub(super) fn pages(pages: &'a [usize], part: Range<usize>) -> Self {
        let start = pages[..part.start].iter().sum();
        let len = pages[part.clone()].iter().sum();
        Self { pages, part, start, len }
    }
}

/// Writes times, counts or ids in one piece.
pub(super) fn put_ints(values: &[i64], out: &mut Vec<u8>) -> Result<(), SeriesError> {
    put_ints_in(values, &[], out)
}

/// Writes times in pages of these sizes.
pub(super) fn put_ints_in(
    values: &[i64],
    pages: &[usize],
    out: &mut Vec<u8>,
) -> Result<(), SeriesError> {
    let base = values.first().copied().unwrap_or(0);
    let (step, periodic) = step(values);
    let mut rest: Vec<i64> = values
        .iter()
        .enumerate()
        .map(|(i, value)| value.wrapping_sub(base).wrapping_sub(step.wrapping_mul(i as i64)))
        .collect();
    let unit = if divide::<SECOND>(&mut rest) {
        SECOND
    } else if divide::<MILLISECOND>(&mut rest) {
        MILLISECOND
    } else {
        1
    };
    let order = order(&rest);
    if order == 0 || !periodic || step % unit != 0 {
        return put_rest((base, step, unit), &rest, (ModeSpec::Classic, order), pages, out);
    }
    // With readings missing here and there: which step of the grid, and how far from it. Half a
    // step more keeps jitter from falling into the step before.
    let (beat, half) = (step / unit, step / unit / 2);
    let whole = rest
        .iter()
        .enumerate()
        .map(|(i, r)| r.wrapping_add(beat.wrapping_mul(i as i64)).wrapping_add(half));
    rest = whole.collect();
    let base = base.wrapping_sub(half.wrapping_mul(unit));
    let mode = ModeSpec::TryIntMult(beat.unsigned_abs());
    put_rest((base, 0, unit), &rest, (mode, 1), pages, out)
}

/// Divides all numbers when that leaves nothing over. The unit is known when this is compiled:
/// division by any other number takes ten times as long.
fn divide<const UNIT: i64>(rest: &mut [i64]) -> bool {
    let whole = rest.iter().all(|r| r % UNIT == 0);
    if whole {
        rest.iter_mut().for_each(|r| *r /= UNIT);
    }
    whole
}

fn put_rest(
    (base, step, unit): (i64, i64, i64),
    rest: &[i64],
    (mode, order): (ModeSpec, usize),
    pages: &[usize],
    out: &mut Vec<u8>,
) -> Result<(), SeriesError> {
    let (low, high) = rest.iter().fold((0, 0), |(low, high), r| (*r.min(&low), *r.max(&high)));
    let narrow = i32::try_from(low).is_ok() && i32::try_from(high).is_ok();
    out.push(match (low, high) {
        (0, 0) => PLAIN,
        _ if narrow => NARROW,
        _ => WIDE,
    });
    for number in [base, step, unit] {
        put_varint(number, out);
    }
    if (low, high) == (0, 0) {
        return Ok(());
    }
    let config = ChunkConfig::default()
        .with_compression_level(COMPRESSION_LEVEL)
        .with_mode_spec(mode)
        .with_delta_spec(DeltaSpec::TryConsecutive(order));
    if narrow {
        let narrow: Vec<i32> = rest.iter().map(|r| *r as i32).collect();
        compress(&narrow, config, pages, out)
    } else {
        compress(rest, config, pages, out)
    }
}

/// Reads `count` integers into `out`.
pub(super) fn read_ints(
    rest: &mut Rest<'_>,
    count: usize,
    out: &mut Vec<i64>,
) -> Result<(), SeriesError> {
    read_ints_of(rest, &Wanted::whole(count), out)
}

/// Reads part of a column of integers into `out` and steps over the others.
pub(super) fn read_ints_of(
    rest: &mut Rest<'_>,
    wanted: &Wanted<'_>,
    out: &mut Vec<i64>,
) -> Result<(), SeriesError> {
    let [kind] = rest.array()?;
    read_kind(kind, rest, wanted, out)
}

fn read_kind(
    kind: u8,
    rest: &mut Rest<'_>,
    wanted: &Wanted<'_>,
    out: &mut Vec<i64>,
) -> Result<(), SeriesError> {
    let (base, step, unit) = (read_varint(rest)?, read_varint(rest)?, read_varint(rest)?);
    let base = base.wrapping_add(step.wrapping_mul(wanted.start as i64));
    let whole = |i: usize, r: i64| {
        base.wrapping_add(step.wrapping_mul(i as i64)).wrapping_add(unit.wrapping_mul(r))
    };
    out.clear();
    match kind {
        PLAIN => out.extend((0..wanted.len).map(|i| whole(i, 0))),
        NARROW => {
            let mut narrow = vec![0i32; wanted.len];
            decompress(rest, wanted, &mut narrow)?;
            out.extend(narrow.iter().enumerate().map(|(i, r)| whole(i, i64::from(*r))));
        }
        WIDE => {
            out.resize(wanted.len, 0);
            decompress(rest, wanted, out)?;
            out.iter_mut().enumerate().for_each(|(i, r)| *r = whole(i, *r));
        }
        _ => return Err(damaged("a column of an unknown kind")),
    }
    Ok(())
}

/// Writes values in one piece, each to be read back bit by bit.
pub(super) fn put_floats(values: &[f64], out: &mut Vec<u8>) -> Result<(), SeriesError> {
    put_floats_in(values, &[], out).map(drop)
}

/// Writes values in pages of these sizes. Returns their decimal places, when they are decimals.
pub(super) fn put_floats_in(
    values: &[f64],
    pages: &[usize],
    out: &mut Vec<u8>,
) -> Result<Option<usize>, SeriesError> {
    if let Some((places, ints)) = decimals(values) {
        out.push(places as u8);
        let base = ints.first().copied().unwrap_or(0);
        let rest: Vec<i64> = ints.iter().map(|int| int - base).collect();
        let spec = (ModeSpec::Classic, order(&rest));
        put_rest((base, 0, 1), &rest, spec, pages, out)?;
        return Ok(Some(places));
    }
    out.push(FLOATS);
    let config = ChunkConfig::default().with_compression_level(COMPRESSION_LEVEL);
    compress(values, config, pages, out)?;
    Ok(None)
}

/// Reads `count` values into `out`.
pub(super) fn read_floats(
    rest: &mut Rest<'_>,
    count: usize,
    out: &mut Vec<f64>,
) -> Result<(), SeriesError> {
    read_floats_of(rest, &Wanted::whole(count), out)
}

/// Reads part of a column of values into `out` and steps over the others.
pub(super) fn read_floats_of(
    rest: &mut Rest<'_>,
    wanted: &Wanted<'_>,
    out: &mut Vec<f64>,
) -> Result<(), SeriesError> {
    let [places] = rest.array()?;
    out.clear();
    if places == FLOATS {
        out.resize(wanted.len, 0.0);
        return decompress(rest, wanted, out);
    }
    let power =
        *POWERS.get(usize::from(places)).ok_or_else(|| damaged("a column of unknown decimals"))?;
    let [kind] = rest.array()?;
    if kind == NARROW {
        // The common case in one pass, without a column of integers in between.
        let (base, _, _) = (read_varint(rest)?, read_varint(rest)?, read_varint(rest)?);
        let mut narrow = vec![0i32; wanted.len];
        decompress(rest, wanted, &mut narrow)?;
        out.extend(narrow.iter().map(|r| base.wrapping_add(i64::from(*r)) as f64 / power));
        return Ok(());
    }
    let mut ints = Vec::new();
    read_kind(kind, rest, wanted, &mut ints)?;
    out.extend(ints.iter().map(|int| *int as f64 / power));
    Ok(())
}

/// Steps over one column of integers.
pub(super) fn skip_ints(rest: &mut Rest<'_>) -> Result<(), SeriesError> {
    let [kind] = rest.array()?;
    for _ in 0..3 {
        read_varint(rest)?;
    }
    if kind != PLAIN {
        read_bytes(rest)?;
    }
    Ok(())
}

/// Steps over one column of values.
pub(super) fn skip_floats(rest: &mut Rest<'_>) -> Result<(), SeriesError> {
    let [places] = rest.array()?;
    if places == FLOATS { read_bytes(rest).map(drop) } else { skip_ints(rest) }
}

/// The values as integers over a power of ten, where that loses nothing.
fn decimals(values: &[f64]) -> Option<(usize, Vec<i64>)> {
    // A few tell how many places most have, and mostly that does for all.
    let some = places(values.iter().step_by(values.len() / SAMPLES + 1))?;
    if let Some(ints) = scaled(values, POWERS[some]) {
        return Some((some, ints));
    }
    let all = places(values.iter())?;
    // What fits fewer places fits more, except at the ends of what floats can hold.
    Some((all, scaled(values, POWERS[all])?))
}

/// How many decimal places all of these fit.
fn places<'a>(values: impl Iterator<Item = &'a f64>) -> Option<usize> {
    let mut places = 0;
    for value in values {
        while !is_whole(*value, (*value * POWERS[places]).round(), POWERS[places]) {
            places += 1;
            if places > PLACES_MAX {
                return None;
            }
        }
    }
    Some(places)
}

fn scaled(values: &[f64], power: f64) -> Option<Vec<i64>> {
    let mut ints = Vec::with_capacity(values.len());
    let mut whole = true;
    // No way out of the loop: that is what makes it fast.
    ints.extend(values.iter().map(|value| {
        let int = (value * power).round();
        whole &= is_whole(*value, int, power);
        int as i64
    }));
    whole.then_some(ints)
}

/// Whether an integer over a power of ten is this value, bit by bit.
fn is_whole(value: f64, int: f64, power: f64) -> bool {
    int.abs() <= EXACT_MAX && ((int as i64) as f64 / power).to_bits() == value.to_bits()
}

/// The distance from one to the next, where there is such a thing; a round number if possible,
/// so that what is left over is round as well. And whether most are that far apart.
fn step(values: &[i64]) -> (i64, bool) {
    let (Some(first), Some(last), count) = (values.first(), values.last(), values.len() as i64)
    else {
        return (0, false);
    };
    let Some(length) = last.checked_sub(*first).filter(|_| count > 2) else { return (0, false) };
    let every = values.len() / SAMPLES + 1;
    let pairs = values.windows(2).step_by(every);
    let mut sample: Vec<i64> = pairs.map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    sample.sort_unstable();
    // Half of all steps lie between these.
    let (low, high) = (sample[sample.len() / 4], sample[sample.len() * 3 / 4]);
    let Some(jitter) = high.checked_sub(low) else { return (0, false) };
    let over_all = rounded(length / (count - 1), jitter / count + 1);
    let usual = rounded(sample[sample.len() / 2], jitter);
    // A gap spoils the one, a slow drift the other.
    if over_all == usual || spread(values, over_all) <= spread(values, usual) {
        return (over_all, over_all == usual && usual > 1 && jitter < usual / 4);
    }
    (usual, usual > 1 && jitter < usual / 4)
}

/// The roundest number that is near enough.
fn rounded(step: i64, near: i64) -> i64 {
    ROUND_STEPS
        .into_iter()
        .map(|round| step.saturating_add(round / 2).div_euclid(round).saturating_mul(round))
        .find(|round| round.saturating_sub(step).saturating_abs() <= near)
        .unwrap_or(step)
}

/// How much is left over when this step is taken away.
fn spread(values: &[i64], step: i64) -> f64 {
    let base = values.first().copied().unwrap_or(0);
    let left =
        |i: usize| values[i].wrapping_sub(base).wrapping_sub(step.wrapping_mul(i as i64)) as f64;
    let every = values.len() / SAMPLES + 1;
    let (mut level, mut slope, mut count) = (0.0, 0.0, 1.0);
    for i in (1..values.len()).step_by(every) {
        level += left(i).abs();
        slope += (left(i) - left(i - 1)).abs();
        count += 1.0;
    }
    f64::min(level, slope) / count
}

/// How often to take differences: as long as they get clearly smaller. A part of the numbers
/// tells.
fn order(rest: &[i64]) -> usize {
    let every = rest.len() / ORDER_SAMPLES + 1;
    let some = || rest.windows(3).step_by(every);
    let mean = some().map(|w| w[0] as f64).sum::<f64>() / some().len().max(1) as f64;
    let (mut level, mut slope, mut bend) = (0.0, 0.0, 0.0);
    for w in some() {
        let (a, b, c) = (w[0] as f64, w[1] as f64, w[2] as f64);
        level += (a - mean).abs();
        slope += (b - a).abs();
        bend += (c - 2.0 * b + a).abs();
    }
    // Differences of noise are larger than the noise.
    match () {
        () if bend < slope * 0.7 && bend < level => 2,
        () if slope < level * 0.9 => 1,
        () => 0,
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

fn read_bytes<'a>(rest: &mut Rest<'a>) -> Result<&'a [u8], SeriesError> {
    let len = usize::try_from(read_varint(rest)?).map_err(|_| damaged("a negative length"))?;
    rest.take(len)
}

fn compress<T: pco::data_types::Number>(
    numbers: &[T],
    config: ChunkConfig,
    pages: &[usize],
    out: &mut Vec<u8>,
) -> Result<(), SeriesError> {
    if pages.is_empty() {
        put_bytes(&pco::standalone::simple_compress(numbers, &config).map_err(refused)?, out);
        return Ok(());
    }
    let config = config.with_paging_spec(PagingSpec::Exact(pages.to_vec()));
    let file = FileCompressor::default();
    let head = file.write_header(Vec::new()).map_err(refused)?;
    let mut chunk = file.chunk_compressor(numbers, &config).map_err(refused)?;
    put_bytes(&chunk.write_meta(head).map_err(refused)?, out);
    let mut bytes = Vec::new();
    for page in 0..pages.len() {
        bytes.clear();
        bytes = chunk.write_page(page, bytes).map_err(refused)?;
        put_bytes(&bytes, out);
    }
    Ok(())
}

/// Fills `out` with what is wanted and steps over the rest of the column.
fn decompress<T: pco::data_types::Number>(
    rest: &mut Rest<'_>,
    wanted: &Wanted<'_>,
    out: &mut [T],
) -> Result<(), SeriesError> {
    let bytes = read_bytes(rest)?;
    if wanted.pages.is_empty() {
        let progress = pco::standalone::simple_decompress_into(bytes, out).map_err(refused)?;
        return all(progress.finished && progress.n_processed == out.len());
    }
    let (file, meta) = FileDecompressor::new(bytes).map_err(refused)?;
    let (mut chunk, _) = file.chunk_decompressor::<T, _>(meta).map_err(refused)?;
    let mut left = out;
    for (index, size) in wanted.pages.iter().enumerate() {
        let bytes = read_bytes(rest)?;
        if !wanted.part.contains(&index) {
            continue;
        }
        let (page, later) = left.split_at_mut(*size);
        let mut pages = chunk.page_decompressor(bytes, *size).map_err(refused)?;
        let progress = pages.read(page).map_err(refused)?;
        all(progress.finished && progress.n_processed == *size)?;
        left = later;
    }
    Ok(())
}

fn all(read: bool) -> Result<(), SeriesError> {
    if read { Ok(()) } else { Err(damaged("a column has another length than its block")) }
}

/// Zigzag and seven bits a byte.
pub(super) fn put_varint(number: i64, out: &mut Vec<u8>) {
    let mut left = ((number << 1) ^ (number >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

pub(super) fn read_varint(rest: &mut Rest<'_>) -> Result<i64, SeriesError> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let [byte] = rest.array()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
        }
    }
    Err(damaged("a number without an end"))
}

fn refused(error: pco::errors::PcoError) -> SeriesError {
    SeriesError::Damaged { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ints_back(values: &[i64]) -> (Vec<i64>, usize) {
        let mut bytes = Vec::new();
        put_ints(values, &mut bytes).unwrap();
        let mut skipped = Rest(&bytes);
        skip_ints(&mut skipped).unwrap();
        assert!(skipped.0.is_empty());
        let mut back = Vec::new();
        read_ints(&mut Rest(&bytes), values.len(), &mut back).unwrap();
        (back, bytes.len())
    }

    fn floats_back(values: &[f64]) -> (Vec<u64>, usize) {
        let mut bytes = Vec::new();
        put_floats(values, &mut bytes).unwrap();
        let mut skipped = Rest(&bytes);
        skip_floats(&mut skipped).unwrap();
        assert!(skipped.0.is_empty());
        let mut back = Vec::new();
        read_floats(&mut Rest(&bytes), values.len(), &mut back).unwrap();
        (back.iter().map(|value| value.to_bits()).collect(), bytes.len())
    }

    fn bits(values: &[f64]) -> Vec<u64> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    proptest! {
        #[test]
        fn integers_come_back(values in proptest::collection::vec(prop_oneof![
            any::<i64>(), -5i64..5, (0i64..9).prop_map(|n| n * 1_000),
        ], 0..300)) {
            prop_assert_eq!(ints_back(&values).0, values);
        }

        #[test]
        fn floats_come_back(values in proptest::collection::vec(prop_oneof![
            proptest::num::f64::NORMAL, Just(0.0), Just(-0.0), Just(f64::MAX), Just(9e15),
            (-1_000i64..1_000).prop_map(|n| n as f64 / 100.0), -1.0..1.0f64,
        ], 0..300)) {
            prop_assert_eq!(floats_back(&values).0, bits(&values));
        }

        #[test]
        fn decimals_come_back(ints in proptest::collection::vec(any::<i32>(), 0..300), places in 0usize..10) {
            let values: Vec<f64> = ints.iter().map(|n| f64::from(*n) / POWERS[places]).collect();
            prop_assert_eq!(floats_back(&values).0, bits(&values));
        }

        #[test]
        fn garbage_is_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..80), count in 0usize..500) {
            drop(read_ints(&mut Rest(&bytes), count, &mut Vec::new()));
            drop(read_floats(&mut Rest(&bytes), count, &mut Vec::new()));
        }
    }

    #[test]
    fn a_grid_costs_next_to_nothing_and_jitter_its_entropy() {
        let grid: Vec<i64> = (0..4_000).map(|i| 1_795_046_400_000_000 + i * 1_000_000).collect();
        assert!(ints_back(&grid).1 < 24);
        let mut seed = 1u64;
        let mut next = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as i64
        };
        let jitter: Vec<i64> = grid.iter().map(|at| at + next() % 5 * 1_000).collect();
        // log2(5) bits are 0.29 bytes.
        assert!(ints_back(&jitter).1 < 4_000 * 32 / 100);
        let mut level = 5_000;
        let walk: Vec<f64> = (0..4_000)
            .map(|_| {
                level += next() % 3 - 1;
                level as f64 / 100.0
            })
            .collect();
        // log2(3) bits are 0.2 bytes.
        assert!(floats_back(&walk).1 < 4_000 * 23 / 100);
        // A gap in the middle must not undo it.
        let gap: Vec<i64> = jitter
            .iter()
            .enumerate()
            .map(|(i, at)| at + if i > 2_000 { 777_000_000 } else { 0 })
            .collect();
        assert!(ints_back(&gap).1 < 4_000 * 40 / 100);
        // Nor must readings that are missing here and there.
        let some: Vec<i64> = jitter.iter().copied().filter(|at| at / 1_000_000 % 11 > 0).collect();
        assert!(ints_back(&some).1 < some.len() * 45 / 100);
    }
}
