//! Changes of level: where something went on from one place to another and stays there.

use kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// A level that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When the old level was left.
    pub at: Timestamp,
    /// The reading or row with which the new one was taken for lasting.
    pub noticed_at: Timestamp,
    pub before: f64,
    pub after: f64,
    /// How far single readings usually lie from their level: mean absolute deviation.
    pub noise: f64,
    /// How sure it is that the level is another one, 0 to 1.
    pub confidence: f64,
}

/// Averages of the older and of the newer half of a ring of rows, input by input: what changes of an
/// asset's state are judged by.
pub(crate) fn halves(
    ring: &[f64],
    size: usize,
    oldest: usize,
    mut put: impl FnMut(usize, bool, f64),
) {
    let rows = ring.len() / size.max(1);
    let half = rows / 2;
    for age in 0..2 * half {
        let row = &ring[(oldest + age) % rows * size..][..size];
        for (input, value) in row.iter().enumerate() {
            put(input, age >= half, value / half as f64);
        }
    }
}
