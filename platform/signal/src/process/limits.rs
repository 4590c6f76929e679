use serde::{Deserialize, Serialize};

/// Rows that limits need at least.
pub const CALIBRATE_ROWS_MIN: usize = 20;
/// Share of the calibration rows that lies below a limit before the margin.
const QUANTILE: f64 = 0.995;
/// What is added to the logarithm of a limit, over the rows it rests on. A short stretch says little
/// about the level of the next: averages over ten rows leave few independent values in it.
const MARGIN_ROWS: f64 = 110.0;
/// A change of state lies this many times beyond what calibration saw.
const CHANGE_FACTOR: f64 = 2.5;

/// Logarithms of the limits of the looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Limits {
    #[serde(with = "crate::exact::many")]
    logs: [f64; 3],
    rows: usize,
    /// The step between two stretches of rows at which the state has changed; unknown when
    /// calibration was too short to hold two.
    change: Option<Bits>,
}

/// A number that comes back bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Bits(#[serde(with = "crate::exact::one")] f64);

impl Limits {
    /// From the logarithms that the looks had over a stretch of normal operation.
    pub(super) fn of(seen: &[[f64; 3]], mut steps: Vec<f64>) -> Self {
        let margin = MARGIN_ROWS / seen.len().max(1) as f64;
        let logs = std::array::from_fn(|look| {
            let mut column: Vec<f64> = seen.iter().map(|row| row[look]).collect();
            column.sort_unstable_by(f64::total_cmp);
            quantile(&column, QUANTILE) + margin
        });
        steps.sort_unstable_by(f64::total_cmp);
        let change = (!steps.is_empty()).then(|| Bits(CHANGE_FACTOR * quantile(&steps, QUANTILE)));
        Self { logs, rows: seen.len(), change }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The step at which the state has changed.
    pub(super) fn change(&self) -> Option<f64> {
        self.change.map(|Bits(change)| change)
    }

    /// How far the logarithm of a look lies above its limit.
    pub(super) fn beyond(&self, look: usize, log: f64) -> f64 {
        log - self.logs[look]
    }
}

/// The quantile of sorted values, interpolated; 0 of none.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = place.floor();
    // A place within the slice.
    let low = sorted[below as usize];
    let high = sorted[(below as usize + 1).min(last)];
    low + (place - below) * (high - low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_calibration_leaves_more_room() {
        let seen = |rows: usize| vec![[1.0, 2.0, 3.0]; rows];
        let (short, long) = (Limits::of(&seen(110), vec![]), Limits::of(&seen(11_000), vec![]));
        assert!((short.beyond(1, 3.0) - 0.0).abs() < 1e-12);
        assert!((long.beyond(1, 2.01) - 0.0).abs() < 1e-12);
    }

    #[test]
    fn quantiles_interpolate() {
        assert!((quantile(&[1.0, 2.0, 4.0], 0.75) - 3.0).abs() < 1e-12);
        assert!((quantile(&[], 0.5)).abs() < 1e-12);
        assert!((quantile(&[7.0], 0.99) - 7.0).abs() < 1e-12);
    }
}
