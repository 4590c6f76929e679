//! Functions of a range vector: one number out of the samples of a window.
//!
//! The formulas and the order of their operations are those of Prometheus 2.42
//! (`promql/functions.go`, Apache-2.0), so that answers agree to the last digits.

use crate::Sample;
use crate::sum::{Kahan, quantile};

/// The samples of one window, at least one, in order of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    pub(crate) samples: &'a [Sample],
    /// Both ends belong to the window.
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    /// The time of the step that asks.
    pub(crate) at_ms: i64,
}

/// `None` when the window holds too little; an error is the query's fault.
pub(crate) type OverFn = fn(&Window<'_>, &[f64]) -> Result<Option<f64>, String>;

/// The function of this name, and whether it looks at the time of the step.
pub(crate) fn function(name: &str) -> Option<(OverFn, bool)> {
    let found: OverFn = match name {
        "rate" => |window, _| Ok(extrapolated(window, true, true)),
        "increase" => |window, _| Ok(extrapolated(window, true, false)),
        "delta" => |window, _| Ok(extrapolated(window, false, false)),
        "irate" => |window, _| Ok(last_two(window, true)),
        "idelta" => |window, _| Ok(last_two(window, false)),
        "deriv" => |window, _| Ok(deriv(window)),
        "predict_linear" => |window, params| Ok(predict_linear(window, params)),
        "holt_winters" | "double_exponential_smoothing" => holt_winters,
        "resets" => |window, _| Ok(Some(pairs(window, |before, after| after < before))),
        "changes" => |window, _| Ok(Some(pairs(window, is_change))),
        "avg_over_time" => |window, _| Ok(Some(avg(window))),
        "min_over_time" => |window, _| Ok(pick(window, |kept, value| value < kept)),
        "max_over_time" => |window, _| Ok(pick(window, |kept, value| value > kept)),
        "sum_over_time" => |window, _| Ok(Some(sum(window))),
        "count_over_time" => |window, _| Ok(Some(window.samples.len() as f64)),
        "quantile_over_time" => quantile_over_time,
        "stddev_over_time" => |window, _| Ok(Some(variance(window).sqrt())),
        "stdvar_over_time" => |window, _| Ok(Some(variance(window))),
        "last_over_time" => |window, _| Ok(window.samples.last().map(|last| last.value)),
        "first_over_time" => |window, _| Ok(window.samples.first().map(|first| first.value)),
        "present_over_time" => |_, _| Ok(Some(1.0)),
        _ => return None,
    };
    Some((found, name == "predict_linear"))
}

/// `extrapolatedRate`: the change from first to last sample, carried on to the ends of the window
/// when these are near, and never below zero for a counter.
fn extrapolated(window: &Window<'_>, is_counter: bool, is_rate: bool) -> Option<f64> {
    let [first, .., last] = window.samples else { return None };
    let mut change = last.value - first.value;
    if is_counter {
        let mut before = 0.0;
        for sample in window.samples {
            if sample.value < before {
                change += before;
            }
            before = sample.value;
        }
    }
    let mut to_start = (first.at_ms - window.from_ms) as f64 / 1_000.0;
    let to_end = (window.to_ms - last.at_ms) as f64 / 1_000.0;
    let sampled = (last.at_ms - first.at_ms) as f64 / 1_000.0;
    let apart = sampled / (window.samples.len() - 1) as f64;
    if is_counter && change > 0.0 && first.value >= 0.0 {
        let to_zero = sampled * (first.value / change);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    let near = apart * 1.1;
    let mut carried = sampled;
    carried += if to_start < near { to_start } else { apart / 2.0 };
    carried += if to_end < near { to_end } else { apart / 2.0 };
    let mut factor = carried / sampled;
    if is_rate {
        factor /= (window.to_ms - window.from_ms) as f64 / 1_000.0;
    }
    Some(change * factor)
}

fn last_two(window: &Window<'_>, is_rate: bool) -> Option<f64> {
    let [.., before, last] = window.samples else { return None };
    let is_reset = is_rate && last.value < before.value;
    let change = if is_reset { last.value } else { last.value - before.value };
    let millis = last.at_ms - before.at_ms;
    if millis == 0 {
        return None;
    }
    Some(if is_rate { change / (millis as f64 / 1_000.0) } else { change })
}

/// Least squares: slope per second, and the value at `at_ms`.
fn line(samples: &[Sample], at_ms: i64) -> (f64, f64) {
    let (mut x_sum, mut y_sum) = (Kahan::default(), Kahan::default());
    let (mut xy_sum, mut xx_sum) = (Kahan::default(), Kahan::default());
    let start = samples.first().map_or(0.0, |first| first.value);
    let mut is_constant = true;
    for (i, sample) in samples.iter().enumerate() {
        if i > 0 && sample.value != start {
            is_constant = false;
        }
        let x = (sample.at_ms - at_ms) as f64 / 1e3;
        x_sum.add(x);
        y_sum.add(sample.value);
        xy_sum.add(x * sample.value);
        xx_sum.add(x * x);
    }
    if is_constant {
        return if start.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, start) };
    }
    let count = samples.len() as f64;
    let (x, y, xy, xx) = (x_sum.both(), y_sum.both(), xy_sum.both(), xx_sum.both());
    let slope = (xy - x * y / count) / (xx - x * x / count);
    (slope, y / count - slope * x / count)
}

fn deriv(window: &Window<'_>) -> Option<f64> {
    let [first, _, ..] = window.samples else { return None };
    Some(line(window.samples, first.at_ms).0)
}

fn predict_linear(window: &Window<'_>, params: &[f64]) -> Option<f64> {
    if window.samples.len() < 2 {
        return None;
    }
    let (slope, intercept) = line(window.samples, window.at_ms);
    Some(slope * params.first().copied().unwrap_or(f64::NAN) + intercept)
}

/// Double exponential smoothing, as Holt and Winters describe it.
fn holt_winters(window: &Window<'_>, params: &[f64]) -> Result<Option<f64>, String> {
    let &[smoothing, trend_factor] = params else { return Ok(None) };
    for (what, factor) in [("smoothing", smoothing), ("trend", trend_factor)] {
        if factor.is_nan() || factor <= 0.0 || factor >= 1.0 {
            return Err(format!("invalid {what} factor. Expected: 0 < factor < 1, got: {factor}"));
        }
    }
    let [first, second, ..] = window.samples else { return Ok(None) };
    let (mut before, mut level, mut trend) = (0.0, first.value, second.value - first.value);
    for (i, sample) in window.samples.iter().enumerate().skip(1) {
        if i > 1 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * sample.value + (1.0 - smoothing) * (level + trend);
        (before, level) = (level, next);
    }
    Ok(Some(level))
}

fn is_change(before: f64, after: f64) -> bool {
    before != after && !(before.is_nan() && after.is_nan())
}

fn pairs(window: &Window<'_>, counts: impl Fn(f64, f64) -> bool) -> f64 {
    let pairs = window.samples.windows(2);
    pairs.filter(|pair| counts(pair[0].value, pair[1].value)).count() as f64
}

fn pick(window: &Window<'_>, replaces: impl Fn(f64, f64) -> bool) -> Option<f64> {
    let mut values = window.samples.iter().map(|sample| sample.value);
    let first = values.next()?;
    Some(values.fold(
        first,
        |kept, value| {
            if replaces(kept, value) || kept.is_nan() { value } else { kept }
        },
    ))
}

fn sum(window: &Window<'_>) -> f64 {
    let mut sum = Kahan::default();
    window.samples.iter().for_each(|sample| sum.add(sample.value));
    sum.finish()
}

fn avg(window: &Window<'_>) -> f64 {
    let mut mean = Kahan::default();
    let mut count = 0.0;
    for sample in window.samples {
        count += 1.0;
        let (value, so_far) = (sample.value, mean.sum);
        // An infinite mean stays unless what comes makes it none.
        let stays = so_far.is_infinite()
            && (value.is_finite() || (value.is_infinite() && (so_far > 0.0) == (value > 0.0)));
        if !stays {
            mean.add(value / count - so_far / count);
        }
    }
    mean.finish()
}

fn variance(window: &Window<'_>) -> f64 {
    let (mut mean, mut squares) = (Kahan::default(), Kahan::default());
    let mut count = 0.0;
    for sample in window.samples {
        count += 1.0;
        let delta = sample.value - mean.both();
        mean.add(delta / count);
        squares.add(delta * (sample.value - mean.both()));
    }
    squares.both() / count
}

fn quantile_over_time(window: &Window<'_>, params: &[f64]) -> Result<Option<f64>, String> {
    let mut values: Vec<f64> = window.samples.iter().map(|sample| sample.value).collect();
    Ok(Some(quantile(params.first().copied().unwrap_or(f64::NAN), &mut values)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(name: &str, values: &[f64], params: &[f64]) -> Option<f64> {
        let samples: Vec<Sample> = (0_i64..)
            .zip(values)
            .map(|(i, value)| Sample { at_ms: i * 10_000, value: *value })
            .collect();
        let to_ms = samples.last().map_or(0, |last| last.at_ms);
        let window = Window { samples: &samples, from_ms: 0, to_ms, at_ms: to_ms };
        let (apply, _) = function(name).unwrap();
        apply(&window, params).unwrap()
    }

    fn close(got: Option<f64>, wanted: f64) {
        let got = got.unwrap();
        let same = got == wanted || (got.is_nan() && wanted.is_nan());
        assert!(same || (got - wanted).abs() < 1e-12, "{got}, not {wanted}");
    }

    #[test]
    fn counters_are_followed_over_resets() {
        let values = [10.0, 20.0, 5.0, 15.0];
        close(over("increase", &values, &[]), 25.0);
        close(over("rate", &values, &[]), 25.0 / 30.0);
        close(over("delta", &values, &[]), 5.0);
        close(over("irate", &values, &[]), 1.0);
        close(over("irate", &[9.0, 4.0], &[]), 0.4);
        close(over("idelta", &[9.0, 4.0], &[]), -5.0);
        close(over("resets", &values, &[]), 1.0);
        close(over("changes", &[1.0, 1.0, 2.0, f64::NAN, f64::NAN], &[]), 2.0);
        for name in ["rate", "increase", "delta", "irate", "idelta", "deriv"] {
            assert_eq!(over(name, &[1.0], &[]), None, "{name}");
        }
    }

    #[test]
    fn rate_is_carried_to_the_ends_of_the_window_when_they_are_near() {
        let sample = |at_ms, value| Sample { at_ms, value };
        let samples = [sample(20_000, 100.0), sample(30_000, 110.0), sample(40_000, 120.0)];
        let window = |from_ms, to_ms| Window { samples: &samples, from_ms, to_ms, at_ms: to_ms };
        close(extrapolated(&window(10_000, 45_000), true, false), 35.0);
        close(extrapolated(&window(0, 80_000), true, false), 30.0);
        // A counter is not carried below zero.
        let fresh = [sample(10_000, 1.0), sample(20_000, 11.0)];
        let window = Window { samples: &fresh, from_ms: 0, to_ms: 20_000, at_ms: 20_000 };
        close(extrapolated(&window, true, false), 11.0);
    }

    #[test]
    fn lines_are_fitted() {
        let values = [1.0, 3.0, 5.0, 7.0];
        close(over("deriv", &values, &[]), 0.2);
        close(over("predict_linear", &values, &[60.0]), 19.0);
        close(over("deriv", &[2.0, 2.0], &[]), 0.0);
        close(over("predict_linear", &[2.0, 2.0], &[60.0]), 2.0);
        assert!(over("deriv", &[f64::INFINITY, f64::INFINITY], &[]).unwrap().is_nan());
    }

    #[test]
    fn figures_of_a_window() {
        let values = [4.0, 2.0, 8.0, 6.0];
        for (name, wanted) in [
            ("avg_over_time", 5.0),
            ("min_over_time", 2.0),
            ("max_over_time", 8.0),
            ("sum_over_time", 20.0),
            ("count_over_time", 4.0),
            ("stdvar_over_time", 5.0),
            ("stddev_over_time", 5.0_f64.sqrt()),
            ("last_over_time", 6.0),
            ("first_over_time", 4.0),
            ("present_over_time", 1.0),
        ] {
            close(over(name, &values, &[]), wanted);
        }
        close(over("quantile_over_time", &values, &[0.5]), 5.0);
        close(over("quantile_over_time", &values, &[2.0]), f64::INFINITY);
        close(over("min_over_time", &[f64::NAN, 3.0], &[]), 3.0);
        close(over("max_over_time", &[f64::NAN], &[]), f64::NAN);
        close(over("avg_over_time", &[f64::INFINITY, 1.0], &[]), f64::INFINITY);
        close(over("avg_over_time", &[f64::INFINITY, f64::NEG_INFINITY], &[]), f64::NAN);
        close(over("sum_over_time", &[1e100, 1.0, -1e100], &[]), 1.0);
    }

    #[test]
    fn smoothing_wants_factors_between_zero_and_one() {
        let values = [0.0, 10.0, 20.0, 30.0];
        close(over("holt_winters", &values, &[0.5, 0.5]), 30.0);
        let window = Window { samples: &[], from_ms: 0, to_ms: 0, at_ms: 0 };
        for params in [[0.0, 0.5], [0.5, 1.0], [f64::NAN, 0.5]] {
            assert!(holt_winters(&window, &params).is_err());
        }
    }
}
