//! When a trend meets a limit.
//!
//! [`time_to_limit`] fits a straight line to a recent window of readings and says when it reaches a
//! limit, with an interval that is honest about noise, autocorrelation and too little data.

mod line;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};

use line::Line;

/// Fewest readings a trend is drawn from.
pub const POINTS_MIN: usize = 12;

/// A trend is significant when its direction is this sure.
pub const DIRECTION_SURE: f64 = 0.975;

/// A window says nothing about times further ahead than this many times its own length.
pub const WINDOWS_AHEAD_MAX: f64 = 20.0;

/// Halvings when a time is looked for: a millionth of the furthest time, squared.
const HALVINGS: u32 = 60;

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

/// Answers `question` from `window`, readings in any order. Readings that are not finite are left
/// out.
///
/// The line is fitted robustly (Theil–Sen on medians of time slices) to the longest straight end of
/// the window, and its errors are widened by the autocorrelation of the residuals. The crossing time then has the distribution
/// F(t) = P(level + slope·t beyond the limit); its quantiles are the interval, and what is missing
/// to 1 at the far end is the chance that this trend never gets there.
#[must_use]
pub fn time_to_limit(window: &[(Timestamp, f64)], question: &LimitQuestion) -> TimeToLimit {
    let mut readings: Vec<(i64, f64)> = window
        .iter()
        .filter(|(_, value)| value.is_finite())
        .map(|(at, value)| (at.as_micros(), value.clamp(-VALUE_MAX, VALUE_MAX)))
        .collect();
    readings.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let last = readings.last().map_or(0, |(at, _)| *at);
    let points: Vec<(f64, f64)> =
        readings.iter().map(|(at, y)| (at.saturating_sub(last) as f64 / 1e6, *y)).collect();
    let line = if points.len() < POINTS_MIN { None } else { Line::through(&points, POINTS_MIN) };
    match line {
        Some(line) if question.limit.is_finite() => judge(&line, points.len(), question),
        _ => too_few(points.len()),
    }
}

/// Values are limited to this, far from where products overflow.
const VALUE_MAX: f64 = 1e100;

fn judge(line: &Line, samples: usize, question: &LimitQuestion) -> TimeToLimit {
    let above = question.side == Side::Above;
    let beyond = |t: f64| {
        let p = line.probability_above(question.limit, t);
        if above { p } else { 1.0 - p }
    };
    let rising = line.probability_rising();
    let towards = if above { rising } else { 1.0 - rising };
    let passed = |level: f64| {
        if above { level >= question.limit } else { level <= question.limit }
    };
    let outlook = if passed(line.level) || passed(line.newest) {
        Outlook::Beyond
    } else if towards >= DIRECTION_SURE {
        Outlook::Approaching
    } else if towards <= 1.0 - DIRECTION_SURE {
        Outlook::Receding
    } else {
        Outlook::Steady
    };
    let furthest_s = WINDOWS_AHEAD_MAX * line.span_s;
    let tail = 0.5 * (1.0 - question.coverage.clamp(0.01, 0.999));
    let time = |share: f64| match outlook {
        Outlook::Beyond => Some(0.0),
        Outlook::Approaching => reach(&beyond, share, furthest_s),
        Outlook::Receding | Outlook::Steady | Outlook::TooFew => None,
    };
    let probability = match outlook {
        Outlook::Beyond => 1.0,
        _ => beyond(question.horizon_s.clamp(0.0, furthest_s)),
    };
    let mut answer = TimeToLimit {
        outlook,
        median_s: time(0.5),
        low_s: time(tail),
        high_s: time(1.0 - tail),
        probability,
        slope_per_s: line.slope,
        slope_error: line.slope_variance.sqrt(),
        level: line.level,
        level_error: line.level_variance.sqrt(),
        samples,
        samples_effective: line.effective,
        explanation: String::new(),
    };
    answer.explanation = explain(&answer, question, furthest_s);
    answer
}

/// The time at which `beyond` reaches `share`; `None` when it does not within `furthest_s`.
fn reach(beyond: &impl Fn(f64) -> f64, share: f64, furthest_s: f64) -> Option<f64> {
    if beyond(0.0) >= share {
        return Some(0.0);
    }
    if beyond(furthest_s) < share {
        return None;
    }
    let (mut before, mut after) = (0.0, furthest_s);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (before + after);
        if beyond(middle) >= share {
            after = middle;
        } else {
            before = middle;
        }
    }
    Some(after)
}

fn too_few(samples: usize) -> TimeToLimit {
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
        samples,
        samples_effective: 0.0,
        explanation: format!(
            "no trend can be drawn from {samples} readings; at least {POINTS_MIN} at different \
             times are needed"
        ),
    }
}

fn explain(answer: &TimeToLimit, question: &LimitQuestion, furthest_s: f64) -> String {
    let limit = question.limit;
    let direction = if answer.slope_per_s >= 0.0 { "rising" } else { "falling" };
    let pace = format!(
        "{direction} by {:.4} an hour (± {:.4})",
        answer.slope_per_s.abs() * 3600.0,
        answer.slope_error * 3600.0
    );
    match outlook_times(answer) {
        (Outlook::Beyond, ..) => format!("the level {:.4} is beyond {limit} already", answer.level),
        (Outlook::Approaching, Some(median), low, high) => format!(
            "{pace}, {limit} is reached in {} ({:.0} %: {} to {})",
            span(median),
            question.coverage * 100.0,
            low.map_or_else(|| "now".to_owned(), span),
            high.map_or_else(|| "never by this trend".to_owned(), span),
        ),
        (Outlook::Approaching, None, ..) => {
            format!("{pace}, {limit} is further away than {}", span(furthest_s))
        }
        (Outlook::Receding, ..) => format!("{pace}, away from {limit}"),
        _ => format!("no trend stands out of the noise: {pace}"),
    }
}

fn outlook_times(answer: &TimeToLimit) -> (Outlook, Option<f64>, Option<f64>, Option<f64>) {
    (answer.outlook, answer.median_s, answer.low_s, answer.high_s)
}

/// A span of time for people.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests;
