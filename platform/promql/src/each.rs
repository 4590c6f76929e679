//! Functions of single values.

/// Days before each month of a year that is no leap year.
const MONTH_DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const DAY_S: i64 = 86_400;

pub(crate) fn function(name: &str) -> Option<fn(f64) -> f64> {
    let found: fn(f64) -> f64 = match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sqrt" => f64::sqrt,
        "sgn" => sign,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => f64::asinh,
        "acosh" => f64::acosh,
        "atanh" => f64::atanh,
        "deg" => |value| value * 180.0 / std::f64::consts::PI,
        "rad" => |value| value * std::f64::consts::PI / 180.0,
        _ => return None,
    };
    Some(found)
}

/// Functions of a time in seconds since 1970, in UTC.
pub(crate) fn of_date(name: &str) -> Option<fn(f64) -> f64> {
    let found: fn(f64) -> f64 = match name {
        "minute" => |at| (seconds(at).rem_euclid(3_600) / 60) as f64,
        "hour" => |at| (seconds(at).rem_euclid(DAY_S) / 3_600) as f64,
        // 1970-01-01 was a Thursday; Sunday is 0.
        "day_of_week" => |at| (days(at) + 4).rem_euclid(7) as f64,
        "day_of_month" => |at| civil(days(at)).day as f64,
        "day_of_year" => |at| {
            let date = civil(days(at));
            let before: i64 = (1..date.month).map(|month| month_days(date.year, month)).sum();
            (before + date.day) as f64
        },
        "days_in_month" => |at| {
            let date = civil(days(at));
            month_days(date.year, date.month) as f64
        },
        "month" => |at| civil(days(at)).month as f64,
        "year" => |at| civil(days(at)).year as f64,
        _ => return None,
    };
    Some(found)
}

/// Of a value and of scalars; `None` leaves the element out.
pub(crate) type WithScalars = fn(f64, &[f64]) -> Option<f64>;

pub(crate) fn with_scalars(name: &str) -> Option<WithScalars> {
    let found: WithScalars = match name {
        "clamp" => |value, params| {
            let &[low, high] = params else { return None };
            (high >= low || high.is_nan() || low.is_nan())
                .then(|| larger(low, smaller(high, value)))
        },
        "clamp_min" => |value, params| Some(larger(*params.first()?, value)),
        "clamp_max" => |value, params| Some(smaller(*params.first()?, value)),
        "round" => |value, params| {
            let inverse = 1.0 / params.first().copied().unwrap_or(1.0);
            Some((value * inverse + 0.5).floor() / inverse)
        },
        _ => return None,
    };
    Some(found)
}

fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// NaN when either is; `f64::max` would take the other.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

fn seconds(at: f64) -> i64 {
    at as i64
}

fn days(at: f64) -> i64 {
    seconds(at).div_euclid(DAY_S)
}

struct Civil {
    year: i64,
    month: i64,
    day: i64,
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: i64) -> Civil {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    Civil { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
}

fn month_days(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let index = usize::try_from(month - 1).unwrap_or(0).min(11);
    MONTH_DAYS[index] + i64::from(is_leap && month == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(name: &str, at: f64) -> f64 {
        of_date(name).unwrap()(at)
    }

    #[test]
    fn reads_the_calendar() {
        // 2024-02-29T13:47:05Z, a Thursday.
        let at = 1_709_214_425.0;
        for (name, wanted) in [
            ("year", 2024.0),
            ("month", 2.0),
            ("day_of_month", 29.0),
            ("day_of_year", 60.0),
            ("day_of_week", 4.0),
            ("days_in_month", 29.0),
            ("hour", 13.0),
            ("minute", 47.0),
        ] {
            assert_eq!(date(name, at), wanted, "{name}");
        }
        // 1969-12-31T23:59:59Z.
        assert_eq!(date("year", -1.0), 1969.0);
        assert_eq!(date("day_of_year", -1.0), 365.0);
        assert_eq!(date("hour", -1.0), 23.0);
        for at in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
            assert!(date("year", at).is_finite());
            assert!(date("day_of_year", at).is_finite());
        }
    }

    #[test]
    fn rounds_and_clamps_as_prometheus_does() {
        let with = |name: &str, value, params: &[f64]| with_scalars(name).unwrap()(value, params);
        assert_eq!(with("round", 2.5, &[]), Some(3.0));
        assert_eq!(with("round", -2.5, &[]), Some(-2.0));
        assert_eq!(with("round", 7.3, &[0.5]), Some(7.5));
        assert_eq!(with("clamp", 7.0, &[1.0, 5.0]), Some(5.0));
        assert_eq!(with("clamp", 7.0, &[5.0, 1.0]), None);
        assert!(with("clamp_min", f64::NAN, &[1.0]).unwrap().is_nan());
        assert_eq!(with("clamp_max", 7.0, &[5.0]), Some(5.0));
        assert_eq!(function("sgn").unwrap()(-3.0), -1.0);
        assert_eq!(function("deg").unwrap()(std::f64::consts::PI), 180.0);
    }
}
