use super::drift;
use super::limits::{CALIBRATE_ROWS_MIN, Limits, quantile};
use super::matrix::Symmetric;
use super::model::{Input, ProcessModel};
use super::watch::{LEVEL_WEIGHT, ProcessWatch, REACH};

/// Rows that a model needs at least.
pub const FIT_ROWS_MIN: usize = 30;
/// Inputs of one model; the work per row grows with the square.
pub const INPUTS_MAX: usize = 256;
/// Parts of the fit period whose means say how much an input wanders.
const PARTS: usize = 5;
/// Room for wandering: this times the square of (slow over fast) variance.
const WANDER_ROOM: f64 = 10.0;
const WANDER_MAX: f64 = 0.95;
/// Share of the correlations that is taken away, for rows and for averages of rows, of which there
/// are fewer.
const SHRINK_ROW: f64 = 0.02;
const SHRINK_LEVEL: f64 = 0.1;
/// Share of the variance that the main directions hold.
const MAIN_SHARE: f64 = 0.9;
/// Averages before this row say little.
const LEVEL_START: usize = 10;
/// Quantiles of the spread, and their distance in standard deviations of normal noise.
const SPREAD_TAIL: f64 = 0.025;
const SPREAD_WIDTH: f64 = 3.92;
const SIGMA_PER_MEDIAN: f64 = 1.4826;
/// An input that did not move in the fit period is given this share of its value as spread.
const STILL_SHARE: f64 = 1e-3;
const STILL_MIN: f64 = 1e-9;

/// Why no model can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    #[error("{inputs} inputs; a process model takes 1 to {INPUTS_MAX}")]
    Inputs { inputs: usize },
    #[error("{rows} complete rows to fit on; at least {FIT_ROWS_MIN} are needed")]
    FitRows { rows: usize },
    #[error("{rows} complete rows to calibrate on; at least {CALIBRATE_ROWS_MIN} are needed")]
    CalibrateRows { rows: usize },
}

impl ProcessModel {
    /// Makes the model from `fit` and its limits from `calibrate`, both rows of normal operation in
    /// the order of time, one value per name. Rows with a missing (not finite) value are left out.
    ///
    /// # Errors
    /// When there are no inputs or too many, or too few complete rows.
    pub fn fit(
        names: Vec<String>,
        fit: &[Vec<f64>],
        calibrate: &[Vec<f64>],
    ) -> Result<Self, FitError> {
        Self::made(names, fit, calibrate, false)
    }

    /// Makes the model from one stretch of normal operation: its last quarter is for the limits.
    ///
    /// # Errors
    /// As for [`fit`](Self::fit).
    pub fn split(names: Vec<String>, rows: &[Vec<f64>]) -> Result<Self, FitError> {
        let (fit, calibrate) = rows.split_at(rows.len() - rows.len() / 4);
        Self::made(names, fit, calibrate, true)
    }

    /// `joined`: calibration follows the fit period without a break.
    fn made(
        names: Vec<String>,
        fit: &[Vec<f64>],
        calibrate: &[Vec<f64>],
        joined: bool,
    ) -> Result<Self, FitError> {
        if names.is_empty() || names.len() > INPUTS_MAX {
            return Err(FitError::Inputs { inputs: names.len() });
        }
        let fit = complete(fit, names.len());
        let calibrate = complete(calibrate, names.len());
        if fit.len() < FIT_ROWS_MIN {
            return Err(FitError::FitRows { rows: fit.len() });
        }
        if calibrate.len() < CALIBRATE_ROWS_MIN {
            return Err(FitError::CalibrateRows { rows: calibrate.len() });
        }
        let inputs: Vec<Input> =
            (0..names.len()).map(|k| input(fit.iter().map(|row| row[k]).collect())).collect();
        let rows: Vec<Vec<f64>> = fit.iter().map(|row| scaled(&inputs, row)).collect();
        let correlation = Symmetric::correlation(&rows, &vec![0.0; names.len()]);
        let eigen = correlation.shrunk(SHRINK_ROW).eigen();
        let main_count = main_count(&eigen.values);
        let size = names.len();
        let mut model = Self {
            names,
            inputs,
            inverse: eigen.inverse(0..size),
            main: eigen.inverse(0..main_count),
            inverse_level: correlation.shrunk(SHRINK_LEVEL).eigen().inverse(0..size),
            main_count,
            fit_rows: fit.len(),
            limits: Limits::default(),
            drift_limits: Vec::new(),
        };
        let before: &[&Vec<f64>] = if joined { &fit } else { &[] };
        model.limits = limits(&model, before, &calibrate);
        model.drift_limits = drift::limits(&model, before, &calibrate);
        Ok(model)
    }
}

/// What the looks had over the calibration rows, after `before`.
fn limits(model: &ProcessModel, before: &[&Vec<f64>], calibrate: &[&Vec<f64>]) -> Limits {
    let mut watch = ProcessWatch::new(model);
    for row in before {
        watch.measure(model, row);
    }
    let seen: Vec<_> = calibrate.iter().filter_map(|row| watch.measure(model, row)).collect();
    let logs: Vec<[f64; 3]> = seen.iter().map(|(logs, _)| *logs).collect();
    Limits::of(&logs, seen.iter().filter_map(|(_, step)| *step).collect())
}

fn complete(rows: &[Vec<f64>], size: usize) -> Vec<&Vec<f64>> {
    let whole = |row: &&Vec<f64>| row.len() == size && row.iter().all(|value| value.is_finite());
    rows.iter().filter(whole).collect()
}

fn scaled(inputs: &[Input], row: &[f64]) -> Vec<f64> {
    let scale = |(input, value): (&Input, &f64)| input.scaled(*value);
    inputs.iter().zip(row).map(scale).collect()
}

fn main_count(values: &[f64]) -> usize {
    let total: f64 = values.iter().sum();
    let mut held = 0.0;
    for (count, value) in values.iter().enumerate() {
        if held >= MAIN_SHARE * total {
            return count;
        }
        held += value;
    }
    values.len()
}

fn input(column: Vec<f64>) -> Input {
    let mut sorted = column.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = quantile(&sorted, 0.5);
    let scale = scale(&sorted, median);
    let near = |value: f64| ((value - median) / scale).clamp(-REACH, REACH);
    let values: Vec<f64> = column.into_iter().map(near).collect();
    let (mean, variance) = mean_and_variance(&values);
    let wander = wander(&values);
    let room = WANDER_ROOM * (wander / (1.0 - wander)).powi(2);
    let mut level = 0.0;
    let levels: Vec<f64> = values
        .iter()
        .map(|value| {
            level += LEVEL_WEIGHT * (value - level);
            level
        })
        .skip(LEVEL_START)
        .collect();
    let slow = mean_and_variance(&levels).1.max(LEVEL_WEIGHT / (2.0 - LEVEL_WEIGHT) * variance);
    Input {
        centre: median + mean * scale,
        per_row: 1.0 / (scale * (variance + room + STILL_MIN).sqrt()),
        per_level: ((variance + room + STILL_MIN) / (slow + room + STILL_MIN)).sqrt(),
        wander,
    }
}

/// The spread of sorted values: neither a few glitches nor a heap of equal values decide it.
fn scale(sorted: &[f64], median: f64) -> f64 {
    let width = quantile(sorted, 1.0 - SPREAD_TAIL) - quantile(sorted, SPREAD_TAIL);
    let mut off: Vec<f64> = sorted.iter().map(|value| (value - median).abs()).collect();
    off.sort_unstable_by(f64::total_cmp);
    let scale = (width / SPREAD_WIDTH).max(SIGMA_PER_MEDIAN * quantile(&off, 0.5));
    if scale > 0.0 {
        return scale;
    }
    let rare = mean_and_variance(sorted).1.sqrt();
    rare.max(STILL_SHARE * median.abs()).max(STILL_MIN)
}

/// The share of the variance that lies between parts of the period.
fn wander(values: &[f64]) -> f64 {
    let length = values.len() / PARTS;
    let means: Vec<f64> = values
        .chunks_exact(length.max(1))
        .take(PARTS)
        .map(|part| mean_and_variance(part).0)
        .collect();
    let between = mean_and_variance(&means).1 * PARTS as f64 / (PARTS - 1) as f64;
    let total = mean_and_variance(&values[..length * PARTS]).1;
    if total > 0.0 { (between / total).clamp(0.0, WANDER_MAX) } else { 0.0 }
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count)
}

impl Input {
    /// The distance from the centre in spreads, limited.
    pub(super) fn scaled(&self, value: f64) -> f64 {
        ((value - self.centre) * self.per_row).clamp(-REACH, REACH)
    }
}
