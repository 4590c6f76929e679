//! A model of how the readings of one asset go together in normal operation.
//!
//! It is fitted on one declared stretch of normal operation and its limits come from another. Three
//! looks judge each row: the distance of the row from normal, split into T² (the main directions)
//! and Q (the rest); the same distance averaged over the last rows, which finds changed noise; and
//! the distance of the averaged row, which finds small shifts that last (MEWMA, Lowry et al.,
//! "A multivariate exponentially weighted moving average control chart", 1992). Each is measured
//! against its own limit, so one threshold serves every asset.
//!
//! Inputs that wander already while all is well (temperatures of a housing, levels without a
//! controller) count less the more they wander: a place where they were not before is no evidence.
//!
//! Everything is pure: the same rows give the same verdicts, also when model and state were written
//! down and read back in between.

mod drift;
mod fit;
mod limits;
mod matrix;
mod model;
mod watch;

pub use drift::{Drift, DriftWatch};
pub use fit::{FIT_ROWS_MIN, FitError, INPUTS_MAX};
pub use limits::CALIBRATE_ROWS_MIN;
pub use model::{Look, ProcessModel};
pub use watch::{ProcessVerdict, ProcessWatch, STRETCH};

/// Name and version of the method. Kept with every anomaly, and raised whenever the same readings
/// could give another verdict.
pub const VERSION: &str = "process/1";

/// The score from which a row counts as abnormal.
pub const THRESHOLD: f64 = 0.5;

#[cfg(test)]
mod tests;
