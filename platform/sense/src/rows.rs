use kernel::{Reading, SensorKey, SensorKind};
use serde::Serialize;

/// Refusals that are named one by one; the rest are only counted, so that a body full of faults
/// cannot fill the memory.
pub const REFUSALS_NAMED_MAX: usize = 1_000;

/// A row that could not be read, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowRefusal {
    /// Index of a JSON row from 0, number of a text line from 1.
    pub row: usize,
    /// The field at fault: `value`, `sensor`, `unit`, `timestamp`.
    pub field: String,
    pub reason: String,
}

/// What a sender says about a sensor beside its readings; used when the sensor is new.
#[derive(Clone, Debug, PartialEq)]
pub struct Hint {
    pub sensor: SensorKey,
    pub kind: Option<SensorKind>,
    pub metadata: Option<serde_json::Value>,
}

/// A body turned into readings, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    pub readings: Vec<Reading>,
    /// For each reading the row it stood in.
    pub rows: Vec<usize>,
    /// The first [`REFUSALS_NAMED_MAX`] refusals.
    pub refused: Vec<RowRefusal>,
    pub refused_total: usize,
    /// Text fields, which are no readings and were passed over.
    pub texts_skipped: usize,
    pub hints: Vec<Hint>,
    /// The body was one reading, not a list.
    pub single: bool,
}

impl Rows {
    pub(crate) fn take(&mut self, row: usize, reading: Reading) {
        self.rows.push(row);
        self.readings.push(reading);
    }

    pub fn refuse(&mut self, row: usize, field: impl Into<String>, reason: impl Into<String>) {
        self.refused_total += 1;
        if self.refused.len() < REFUSALS_NAMED_MAX {
            self.refused.push(RowRefusal { row, field: field.into(), reason: reason.into() });
        }
    }
}

/// At most `max` characters of what a sender wrote, for messages.
pub(crate) fn excerpt(text: &str, max: usize) -> String {
    let mut shown: String = text.chars().take(max).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
