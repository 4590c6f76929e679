use std::collections::VecDeque;

use kernel::{AssetKey, Quality, Reason, SensorKey, Timestamp};
use serde::{Deserialize, Serialize};

/// A row is closed when every input has spoken after it, or when some input is so many rows ahead.
pub(crate) const LATE_ROWS: i64 = 3;
/// An input that says nothing in a row counts as unchanged for so many rows.
const HOLD_ROWS: i64 = 3;
/// After a silence of more rows than this a new grid is begun.
const GAP_ROWS: i64 = 100;

/// Which readings of an asset make a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub asset: AssetKey,
    pub inputs: Vec<SensorKey>,
    pub interval_us: i64,
}

/// One reading of one input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub input: usize,
    pub at: Timestamp,
    pub value: f64,
    pub quality: Quality,
}

/// One row: what each input had on average, not a number where it had nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub at: Timestamp,
    pub values: Vec<f64>,
    /// The first row after a silence, or the very first.
    pub fresh: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cell {
    /// Sum and count of the believed readings.
    #[serde(with = "bits")]
    sum: f64,
    count: u32,
}

/// Puts the readings of an asset's inputs into rows of equal width by event time. The same readings
/// give the same rows, however they are batched; one that comes after its row is closed is passed
/// over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Grid {
    /// Number of the oldest open row; `None` before the first reading.
    next: Option<i64>,
    start: Start,
    open: VecDeque<Vec<Cell>>,
    /// The row of each input's newest reading.
    newest: Vec<i64>,
    /// The last row in which each input had a value, and the value.
    last: Vec<Option<(i64, Held)>>,
}

/// How far a grid has come after it was begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Start {
    /// The oldest open row may have missed its first readings; it is no row.
    #[default]
    Partial,
    /// The next row is the first.
    First,
    Running,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Held(#[serde(with = "bits")] f64);

/// Floats as bit patterns: a checkpoint that is off by one bit would make a replay differ.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, out: S) -> Result<S::Ok, S::Error> {
        value.to_bits().serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        u64::deserialize(input).map(f64::from_bits)
    }
}

/// The rows that samples in the order of time make.
pub(crate) fn rows(plan: &Plan, samples: &[Sample]) -> Vec<Row> {
    let (mut grid, mut rows) = (Grid::default(), Vec::new());
    samples.iter().for_each(|sample| grid.take(plan, *sample, |row| rows.push(row)));
    rows
}

impl Grid {
    /// Takes a reading and hands every row that it closes to `emit`.
    pub(crate) fn take(&mut self, plan: &Plan, sample: Sample, mut emit: impl FnMut(Row)) {
        let size = plan.inputs.len();
        if sample.input >= size || is_from_elsewhen(sample.quality) {
            return;
        }
        let row = sample.at.as_micros().div_euclid(plan.interval_us.max(1));
        let next = match self.next {
            Some(next) if row - next <= GAP_ROWS => next,
            _ => {
                self.begin(size, row);
                row
            }
        };
        if row < next {
            return;
        }
        while (self.open.len() as i64) <= row - next {
            self.open.push_back(vec![Cell::default(); size]);
        }
        self.newest[sample.input] = self.newest[sample.input].max(row);
        if is_believed(sample.quality) && sample.value.is_finite() {
            // The place was made above.
            let cell = &mut self.open[(row - next) as usize][sample.input];
            cell.sum += sample.value;
            cell.count += 1;
        }
        while self.is_closed() {
            self.close(plan, &mut emit);
        }
    }

    fn begin(&mut self, size: usize, row: i64) {
        *self = Self {
            next: Some(row),
            start: Start::Partial,
            open: VecDeque::new(),
            newest: vec![row - 1; size],
            last: vec![None; size],
        };
    }

    fn is_closed(&self) -> bool {
        let Some(next) = self.next else { return false };
        let all = self.newest.iter().all(|row| *row > next);
        let ahead = self.newest.iter().any(|row| *row > next + LATE_ROWS);
        !self.open.is_empty() && (all || ahead)
    }

    fn close(&mut self, plan: &Plan, emit: &mut impl FnMut(Row)) {
        let (Some(next), Some(cells)) = (self.next, self.open.pop_front()) else { return };
        self.next = Some(next + 1);
        if self.start == Start::Partial {
            self.start = Start::First;
            return;
        }
        let fresh = self.start == Start::First;
        self.start = Start::Running;
        let mut values = Vec::with_capacity(cells.len());
        for (cell, last) in cells.iter().zip(&mut self.last) {
            if cell.count > 0 {
                *last = Some((next, Held(cell.sum / f64::from(cell.count))));
            }
            values.push(match last {
                Some((row, Held(value))) if next - *row <= HOLD_ROWS => *value,
                _ => f64::NAN,
            });
        }
        let at = Timestamp::from_micros(next.saturating_mul(plan.interval_us));
        emit(Row { at, values, fresh });
    }

    /// A grid read from elsewhere belongs to a plan with so many inputs.
    pub(crate) fn fits(&self, size: usize) -> bool {
        self.next.is_none()
            || (self.newest.len() == size
                && self.last.len() == size
                && self.open.iter().all(|cells| cells.len() == size))
    }
}

/// Bad readings say nothing; neither does a value that is stuck.
fn is_believed(quality: Quality) -> bool {
    !quality.is_bad() && quality.reason() != Some(Reason::Stuck)
}

/// Readings whose time says nothing about when the process was so.
fn is_from_elsewhen(quality: Quality) -> bool {
    matches!(quality.reason(), Some(Reason::FutureTime | Reason::Stale))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan() -> Plan {
        let key = |text: &str| SensorKey::new(text).unwrap();
        let inputs = vec![key("north/p-1/flow"), key("north/p-1/power")];
        Plan { asset: inputs[0].asset(), inputs, interval_us: 1_000_000 }
    }

    fn sample(input: usize, at_ms: i64, value: f64) -> Sample {
        let at = Timestamp::from_micros(at_ms * 1_000);
        Sample { input, at, value, quality: Quality::Good }
    }

    fn rows(samples: &[Sample]) -> Vec<Row> {
        super::rows(&plan(), samples)
    }

    #[test]
    fn a_row_is_the_mean_of_what_came_in_its_time() {
        let samples = [
            sample(0, 900, 99.0),
            sample(0, 1_100, 2.0),
            sample(1, 1_200, 7.0),
            sample(0, 1_900, 4.0),
            sample(0, 2_100, 5.0),
            sample(1, 2_200, 8.0),
        ];
        let rows = rows(&samples);
        assert_eq!(rows.len(), 1, "a row that was begun late is none");
        assert_eq!(rows[0].values, [3.0, 7.0]);
        assert!(rows[0].fresh);
    }

    #[test]
    fn an_input_that_says_nothing_is_held_and_then_missing() {
        let mut samples = vec![sample(0, -1_000, 0.0), sample(1, 0, 7.0)];
        samples.extend((0..12).map(|n| sample(0, n * 1_000, n as f64)));
        let rows = rows(&samples);
        let held: Vec<bool> = rows.iter().map(|row| row.values[1].is_finite()).collect();
        assert_eq!(held, [true, true, true, true, false, false, false, false]);
    }

    #[test]
    fn bad_readings_are_no_values_and_a_long_silence_begins_anew() {
        let bad = Sample { quality: Quality::Bad(Reason::Stale), ..sample(0, 500, 9e9) };
        let stuck = Sample { quality: Quality::Bad(Reason::Stuck), ..sample(1, 600, 9e9) };
        let mut samples =
            vec![sample(0, -900, 5.0), sample(0, 0, 1.0), sample(1, 0, 2.0), bad, stuck];
        samples.extend([sample(0, 1_000, 1.0), sample(1, 1_000, 2.0)]);
        samples.extend([sample(0, 899_900, 1.0), sample(0, 900_000, 1.0), sample(1, 900_000, 2.0)]);
        samples.extend([sample(0, 901_000, 1.0), sample(1, 901_000, 2.0)]);
        let rows = rows(&samples);
        let fresh: Vec<bool> = rows.iter().map(|row| row.fresh).collect();
        assert_eq!(fresh, [true, true]);
        assert!(rows.iter().all(|row| row.values == [1.0, 2.0]), "{rows:?}");
    }

    proptest! {
        #[test]
        fn rows_do_not_depend_on_a_break_in_between(
            steps in proptest::collection::vec((0_usize..2, 0_i64..900, -9.0..9.0_f64), 1..120),
            cut in 0_usize..120,
        ) {
            let mut at = 0;
            let samples: Vec<Sample> = steps
                .iter()
                .map(|(input, step, value)| {
                    at += step;
                    sample(*input, at, *value)
                })
                .collect();
            let whole = rows(&samples);
            let (mut grid, mut parts) = (Grid::default(), Vec::new());
            for (n, sample) in samples.iter().enumerate() {
                if n == cut {
                    let text = serde_json::to_string(&grid).unwrap();
                    grid = serde_json::from_str(&text).unwrap();
                    prop_assert!(grid.fits(2));
                }
                grid.take(&plan(), *sample, |row| parts.push(row));
            }
            prop_assert_eq!(format!("{whole:?}"), format!("{parts:?}"));
            prop_assert!(whole.windows(2).all(|pair| pair[0].at < pair[1].at));
        }
    }
}
