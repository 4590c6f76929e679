//! SENSE: judges one reading before it is stored. Pure: what was seen before and the time come in,
//! the verdict goes out.

use kernel::{Quality, Reading, Reason, Timestamp, Unit, convert};
use store::series::Point;

use crate::model::Profile;

/// A reading stamped further ahead than this is kept, but flagged.
const FUTURE_FLAGGED_S: u64 = 5 * 60;
/// A reading stamped further ahead than this has a wrong clock or a wrong unit of time.
const FUTURE_REFUSED_S: u64 = 24 * 3600;
/// Before 1900-01-01 no sensor measured; such a time is a wrong unit.
const PAST_REFUSED: Timestamp = Timestamp::from_secs(-2_208_988_800);

/// What validation knows about a sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Known {
    pub profile: Profile,
    pub unit: Option<Unit>,
    pub quarantined: bool,
}

/// The reading of a sensor that arrived last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    pub at: Timestamp,
    pub value: f64,
}

/// A reading that may be stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Valid {
    pub point: Point,
    /// Same time and value as the reading before: stored again, which changes nothing.
    pub duplicate: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub field: &'static str,
    pub reason: String,
}

fn fault(field: &'static str, reason: impl Into<String>) -> Fault {
    Fault { field, reason: reason.into() }
}

/// Judges `reading`, which arrived at `now` after `seen`.
pub(crate) fn validate(
    reading: &Reading,
    known: &Known,
    seen: Option<Seen>,
    now: Timestamp,
) -> Result<Valid, Fault> {
    if !reading.value.is_finite() {
        return Err(fault("value", "the value is not finite"));
    }
    let value = in_unit(reading, known.unit)?;
    judge(Point { at: reading.at, value, quality: reading.quality }, known, seen, now)
}

/// Judges a finite value that is in the sensor's unit already.
pub(crate) fn judge(
    point: Point,
    known: &Known,
    seen: Option<Seen>,
    now: Timestamp,
) -> Result<Valid, Fault> {
    let Point { at, value, mut quality } = point;
    if at < PAST_REFUSED || !at.is_representable() {
        return Err(fault("at", format!("{at} lies before 1900; is the unit of time right?")));
    }
    let ahead = at.since(now).as_secs();
    if ahead > FUTURE_REFUSED_S {
        return Err(fault("at", format!("{at} lies more than a day ahead of this server's clock")));
    }
    if ahead >= FUTURE_FLAGGED_S {
        quality = quality.worst(Quality::Uncertain(Reason::FutureTime));
    }
    if outside(value, &known.profile) {
        quality = quality.worst(Quality::Uncertain(Reason::OutOfRange));
    }
    if too_fast(at, value, seen, &known.profile) {
        quality = quality.worst(Quality::Uncertain(Reason::RateExceeded));
    }
    if known.quarantined {
        quality = quality.worst(Quality::Uncertain(Reason::Source));
    }
    let duplicate = seen.is_some_and(|seen| seen.at == at && seen.value == value);
    Ok(Valid { point: Point { at, value, quality }, duplicate })
}

fn in_unit(reading: &Reading, own: Option<Unit>) -> Result<f64, Fault> {
    let Some(written) = &reading.unit else { return Ok(reading.value) };
    let from = Unit::parse(written).map_err(|error| fault("unit", error.to_string()))?;
    let Some(own) = own else { return Ok(reading.value) };
    let value =
        convert(reading.value, from, own).map_err(|error| fault("unit", error.to_string()))?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(fault("value", format!("the value is not finite in {}", own.symbol)))
    }
}

fn outside(value: f64, profile: &Profile) -> bool {
    profile.expected_low.is_some_and(|low| value < low)
        || profile.expected_high.is_some_and(|high| value > high)
}

/// Late readings are not judged: the one before them in event time is not known here.
fn too_fast(at: Timestamp, value: f64, seen: Option<Seen>, profile: &Profile) -> bool {
    let (Some(max), Some(seen)) = (profile.rate_max_per_s, seen) else { return false };
    let seconds = at.micros_since(seen.at) as f64 / 1e6;
    seconds > 0.0 && (value - seen.value).abs() / seconds > max
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::SensorKey;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn reading(value: f64, at: Timestamp, unit: Option<&str>) -> Reading {
        Reading {
            sensor: SensorKey::new("north/p-2/vibration").unwrap(),
            at,
            value,
            quality: Quality::Good,
            unit: unit.map(str::to_owned),
        }
    }

    fn known() -> Known {
        Known {
            profile: Profile {
                expected_low: Some(0.0),
                expected_high: Some(7.1),
                rate_max_per_s: Some(1.0),
                interval_s: Some(1.0),
            },
            unit: Some(Unit::parse("mm/s").unwrap()),
            quarantined: false,
        }
    }

    fn quality(value: f64, at: Timestamp, seen: Option<Seen>) -> Quality {
        validate(&reading(value, at, None), &known(), seen, NOW).unwrap().point.quality
    }

    #[test]
    fn flags_what_is_doubtful() {
        let before = Seen { at: Timestamp::from_secs(1_699_999_999), value: 1.0 };
        assert_eq!(quality(1.5, NOW, Some(before)), Quality::Good);
        assert_eq!(quality(7.2, NOW, None), Quality::Uncertain(Reason::OutOfRange));
        assert_eq!(quality(3.0, NOW, Some(before)), Quality::Uncertain(Reason::RateExceeded));
        let ahead = Timestamp::from_secs(1_700_000_301);
        assert_eq!(quality(1.0, ahead, None), Quality::Uncertain(Reason::FutureTime));
    }

    #[test]
    fn refuses_what_cannot_be() {
        let refused = |r: Reading| validate(&r, &known(), None, NOW).unwrap_err().field;
        assert_eq!(refused(reading(f64::NAN, NOW, None)), "value");
        assert_eq!(refused(reading(1.0, Timestamp::from_secs(1_700_090_000), None)), "at");
        assert_eq!(refused(reading(1.0, Timestamp::MIN, None)), "at");
        assert_eq!(refused(reading(1.0, NOW, Some("furlong"))), "unit");
        assert_eq!(refused(reading(1.0, NOW, Some("bar"))), "unit");
    }

    #[test]
    fn converts_and_sees_duplicates() {
        let valid = validate(&reading(0.005, NOW, Some("m/s")), &known(), None, NOW).unwrap();
        assert!((valid.point.value - 5.0).abs() < 1e-9);
        let seen = Seen { at: NOW, value: 5.0 };
        assert!(validate(&reading(5.0, NOW, None), &known(), Some(seen), NOW).unwrap().duplicate);
    }

    proptest! {
        #[test]
        fn what_passes_is_finite_and_near_enough(
            value in any::<f64>(),
            micros in any::<i64>(),
            unit in prop::option::of(prop::sample::select(vec!["m/s", "in/s", "bar", "x"])),
        ) {
            let given = reading(value, Timestamp::from_micros(micros), unit);
            if let Ok(valid) = validate(&given, &known(), None, NOW) {
                prop_assert!(valid.point.value.is_finite());
                prop_assert!(valid.point.at.is_representable());
                prop_assert!(valid.point.at <= NOW.plus(std::time::Duration::from_secs(86_401)));
                let inside = (0.0..=7.1).contains(&valid.point.value);
                prop_assert_eq!(inside && valid.point.quality.is_good(), valid.point.quality.is_good());
            }
        }
    }
}
