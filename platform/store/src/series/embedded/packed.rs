//! Blocks that several sensors share: the readings of those that spoke too little for a block of
//! their own, and the minute figures of those that spoke much.

use std::ops::Range;

use super::block::{Columns, Figures, put_quality, read_quality};
use super::codec::{Rest, damaged};
use super::column::{
    COUNT_MAX, put_floats, put_ints, put_varint, read_floats, read_ints, read_varint, skip_floats,
};
use crate::series::SeriesError;

const READINGS: u8 = 3;
const MINUTES: u8 = 4;
pub(super) const MINUTE_MICROS: i64 = 60_000_000;

/// Which rows belong to which sensor; sensors in order.
#[derive(Clone, Debug, Default, PartialEq)]
struct Runs {
    series: Vec<i64>,
    /// Rows of each.
    lens: Vec<i64>,
    ends: Vec<usize>,
}

impl Runs {
    fn push(&mut self, series: u32, rows: usize) {
        let end = self.rows() + rows;
        self.series.push(i64::from(series));
        self.lens.push(rows as i64);
        self.ends.push(end);
    }

    fn rows(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn at(&self, index: usize) -> (u32, Range<usize>) {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        (self.series[index] as u32, start..self.ends[index])
    }

    fn of(&self, series: u32) -> Option<Range<usize>> {
        let index = self.series.binary_search(&i64::from(series)).ok()?;
        Some(self.at(index).1)
    }

    fn put(&self, kind: u8, out: &mut Vec<u8>) -> Result<(), SeriesError> {
        out.push(kind);
        put_varint(self.series.len() as i64, out);
        put_ints(&self.series, out)?;
        put_ints(&self.lens, out)
    }

    fn read(kind: u8, rest: &mut Rest<'_>) -> Result<Self, SeriesError> {
        let [found] = rest.array()?;
        let count = usize::try_from(read_varint(rest)?).unwrap_or(usize::MAX);
        if found != kind || count > COUNT_MAX {
            return Err(damaged("the block has an unknown format"));
        }
        let mut runs = Self::default();
        read_ints(rest, count, &mut runs.series)?;
        read_ints(rest, count, &mut runs.lens)?;
        let ids = 0..=i64::from(u32::MAX);
        if !runs.series.is_sorted_by(|a, b| a < b) || !runs.series.iter().all(|s| ids.contains(s)) {
            return Err(damaged("the sensors of a block are out of order"));
        }
        let mut end = 0usize;
        for len in &runs.lens {
            end = usize::try_from(*len).ok().and_then(|len| end.checked_add(len)).unwrap_or(end);
            runs.ends.push(end);
        }
        if end > COUNT_MAX {
            return Err(damaged("the block has too many rows"));
        }
        Ok(runs)
    }
}

/// Readings of several sensors, each sensor's in order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Packed {
    runs: Runs,
    pub(super) columns: Columns,
}

impl Packed {
    pub(super) fn push(&mut self, series: u32, columns: &Columns) {
        self.runs.push(series, columns.len());
        self.columns.append(columns, 0, columns.len());
    }

    pub(super) fn rows(&self) -> usize {
        self.columns.len()
    }

    /// First and last sensor.
    pub(super) fn ends(&self) -> Option<(u32, u32)> {
        ends(&self.runs)
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = (u32, Range<usize>)> + '_ {
        (0..self.runs.series.len()).map(|index| self.runs.at(index))
    }

    pub(super) fn of(&self, series: u32) -> Option<Range<usize>> {
        self.runs.of(series)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, SeriesError> {
        let mut out = Vec::with_capacity(64 + self.rows() * 2);
        self.runs.put(READINGS, &mut out)?;
        put_ints(&self.columns.at, &mut out)?;
        put_floats(&self.columns.value, &mut out)?;
        put_quality(&self.columns.quality, &mut out);
        Ok(out)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, SeriesError> {
        let mut rest = Rest(bytes);
        let runs = Runs::read(READINGS, &mut rest)?;
        let count = runs.rows();
        let mut columns = Columns::default();
        read_ints(&mut rest, count, &mut columns.at)?;
        read_floats(&mut rest, count, &mut columns.value)?;
        columns.quality = read_quality(&mut rest, count)?;
        Ok(Self { runs, columns })
    }
}

/// The figures of one minute of one sensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Minute {
    /// Start, µs UTC.
    pub(super) at: i64,
    pub(super) figures: Figures,
}

/// Minute figures of several sensors, each sensor's in order of time. Minutes in which every
/// reading is bad are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Minutes {
    runs: Runs,
    at: Vec<i64>,
    count: Vec<i64>,
    min: Vec<f64>,
    max: Vec<f64>,
    sum: Vec<f64>,
    /// Empty when they were not asked for.
    first: Vec<f64>,
    last: Vec<f64>,
}

impl Minutes {
    pub(super) fn push(&mut self, series: u32, minutes: &[Minute]) {
        self.runs.push(series, minutes.len());
        for Minute { at, figures } in minutes {
            self.at.push(at.div_euclid(MINUTE_MICROS));
            self.count.push(figures.count as i64);
            self.min.push(figures.min);
            self.max.push(figures.max);
            self.sum.push(figures.sum);
            self.first.push(figures.first);
            self.last.push(figures.last);
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.at.len()
    }

    pub(super) fn ends(&self) -> Option<(u32, u32)> {
        ends(&self.runs)
    }

    pub(super) fn of(&self, series: u32) -> Option<Range<usize>> {
        self.runs.of(series)
    }

    /// Start of the minute in this row.
    pub(super) fn at(&self, row: usize) -> i64 {
        self.at[row].wrapping_mul(MINUTE_MICROS)
    }

    pub(super) fn minute(&self, row: usize) -> Minute {
        let end = |column: &[f64]| column.get(row).copied().unwrap_or(self.min[row]);
        Minute {
            at: self.at(row),
            figures: Figures {
                count: self.count[row] as u64,
                min: self.min[row],
                max: self.max[row],
                sum: self.sum[row],
                first: end(&self.first),
                last: end(&self.last),
            },
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, SeriesError> {
        let mut out = Vec::with_capacity(64 + self.rows() * 8);
        self.runs.put(MINUTES, &mut out)?;
        put_ints(&self.at, &mut out)?;
        put_ints(&self.count, &mut out)?;
        // The ends last: a question for means steps over them.
        for column in [&self.min, &self.max, &self.sum, &self.first, &self.last] {
            put_floats(column, &mut out)?;
        }
        Ok(out)
    }

    /// Reads a block; first and last values only with `ends`.
    pub(super) fn decode(bytes: &[u8], ends: bool) -> Result<Self, SeriesError> {
        let mut rest = Rest(bytes);
        let runs = Runs::read(MINUTES, &mut rest)?;
        let rows = runs.rows();
        let mut minutes = Self { runs, ..Self::default() };
        read_ints(&mut rest, rows, &mut minutes.at)?;
        read_ints(&mut rest, rows, &mut minutes.count)?;
        read_floats(&mut rest, rows, &mut minutes.min)?;
        read_floats(&mut rest, rows, &mut minutes.max)?;
        read_floats(&mut rest, rows, &mut minutes.sum)?;
        for column in [&mut minutes.first, &mut minutes.last] {
            if ends {
                read_floats(&mut rest, rows, column)?;
            } else {
                skip_floats(&mut rest)?;
            }
        }
        Ok(minutes)
    }
}

fn ends(runs: &Runs) -> Option<(u32, u32)> {
    Some((*runs.series.first()? as u32, *runs.series.last()? as u32))
}

/// The figures of every minute of one sensor's readings.
pub(super) fn minutes_of(columns: &Columns) -> Vec<Minute> {
    let mut minutes = Vec::new();
    let mut start = 0;
    while start < columns.len() {
        let at = columns.at[start].div_euclid(MINUTE_MICROS).saturating_mul(MINUTE_MICROS);
        let next = at.saturating_add(MINUTE_MICROS);
        let len = columns.at[start..].partition_point(|at| *at < next).max(1);
        let part = start..start + len;
        let mut figures = Figures::default();
        figures.add_all(&columns.value[part.clone()], &columns.quality[part]);
        if figures.count > 0 {
            figures.sum = snap(figures.sum);
            minutes.push(Minute { at, figures });
        }
        start += len;
    }
    minutes
}

/// A sum of decimals without the noise of adding them up in binary: nearer to the true sum, and
/// a third of the size.
fn snap(sum: f64) -> f64 {
    const POWERS: [f64; 6] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5];
    const NOISE: f64 = 2e-15;
    let near = |short: &f64| (short - sum).abs() <= sum.abs() * NOISE;
    POWERS.iter().map(|power| (sum * power).round() / power).find(near).unwrap_or(sum)
}

/// Puts minutes that come later in time behind others; they may share the minute in between.
pub(super) fn join_minutes(minutes: &mut Vec<Minute>, later: &[Minute]) {
    let mut later = later;
    if let (Some(last), Some(first)) = (minutes.last_mut(), later.first())
        && last.at == first.at
    {
        last.figures.merge(&first.figures);
        later = &later[1..];
    }
    minutes.extend_from_slice(later);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn columns() -> impl Strategy<Value = Columns> {
        let quality = prop_oneof![4 => Just(0u8), 1 => Just(0x85)];
        proptest::collection::btree_map(-300_000_000i64..300_000_000, (-50i32..50, quality), 1..60)
            .prop_map(|map| {
                let mut columns = Columns::default();
                for (at, (value, quality)) in map {
                    columns.push(at, f64::from(value) / 10.0, quality);
                }
                columns
            })
    }

    proptest! {
        #[test]
        fn both_kinds_come_back(all in proptest::collection::btree_map(any::<u32>(), columns(), 1..12)) {
            let (mut packed, mut minutes) = (Packed::default(), Minutes::default());
            for (series, columns) in &all {
                packed.push(*series, columns);
                minutes.push(*series, &minutes_of(columns));
            }
            let back = Packed::decode(&packed.encode().unwrap()).unwrap();
            prop_assert_eq!(&back, &packed);
            let bytes = minutes.encode().unwrap();
            let back = Minutes::decode(&bytes, true).unwrap();
            prop_assert_eq!(&back, &minutes);
            let without = Minutes::decode(&bytes, false).unwrap();
            for (series, columns) in &all {
                let range = packed.of(*series).unwrap();
                prop_assert_eq!(&packed.columns.slice(range.start, range.end), columns);
                let rows: Vec<_> = back.of(*series).unwrap().map(|row| back.minute(row)).collect();
                prop_assert_eq!(rows, minutes_of(columns));
                let count = without.of(*series).unwrap().map(|row| without.minute(row).figures.count);
                let good = columns.quality.iter().filter(|q| **q < 0x80).count();
                prop_assert_eq!(count.sum::<u64>() as usize, good);
            }
        }

        #[test]
        fn minutes_cut_anywhere_join_again(columns in columns(), cut in any::<prop::sample::Index>()) {
            let cut = cut.index(columns.len());
            let mut joined = minutes_of(&columns.slice(0, cut));
            join_minutes(&mut joined, &minutes_of(&columns.slice(cut, columns.len())));
            let whole = minutes_of(&columns);
            prop_assert_eq!(joined.len(), whole.len());
            for (joined, whole) in joined.iter().zip(&whole) {
                prop_assert!((joined.figures.sum - whole.figures.sum).abs() < 1e-9);
                prop_assert_eq!((joined.at, joined.figures.count, joined.figures.last),
                    (whole.at, whole.figures.count, whole.figures.last));
            }
        }
    }
}
