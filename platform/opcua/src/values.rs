//! What a server says of a value, in our words.

use kernel::{Quality, Reason, Timestamp};
use opcua_types::{DataValue, DateTime, StatusCode, Variant};

/// 100 ns between 1601, where OPC UA begins to count, and 1970.
const EPOCH_TICKS: i64 = 116_444_736_000_000_000;
const TICKS_PER_MICRO: i64 = 10;

/// `None` for the times that mean no time.
pub(crate) fn time(at: Option<&DateTime>) -> Option<Timestamp> {
    let at = at.filter(|at| !at.is_null())?;
    let micros = (at.checked_ticks() - EPOCH_TICKS) / TICKS_PER_MICRO;
    let at = Timestamp::from_micros(micros);
    (micros > 0 && at.is_representable()).then_some(at)
}

pub(crate) fn ua_time(at: Timestamp) -> DateTime {
    DateTime::from(at.as_micros().saturating_mul(TICKS_PER_MICRO).saturating_add(EPOCH_TICKS))
}

/// A number as such, truth as 0 and 1. Texts, arrays and structures are no readings.
pub(crate) fn number(value: Option<&Variant>) -> Option<f64> {
    match value? {
        Variant::Boolean(truth) => Some(f64::from(u8::from(*truth))),
        other => other.as_f64().filter(|number| number.is_finite()),
    }
}

/// The severity of a status decides the class (OPC 10000-4, 7.39), its code the reason. No status
/// means good (OPC 10000-4, 7.11).
pub(crate) fn quality(status: Option<StatusCode>) -> Quality {
    let Some(status) = status else { return Quality::Good };
    if status.is_good() {
        return Quality::Good;
    }
    let reason = match StatusCode::from(status.bits() & 0xffff_0000) {
        StatusCode::UncertainLastUsableValue
        | StatusCode::UncertainNoCommunicationLastUsableValue
        | StatusCode::UncertainInitialValue
        | StatusCode::BadNoCommunication
        | StatusCode::BadNotConnected
        | StatusCode::BadWaitingForInitialData => Reason::Stale,
        StatusCode::UncertainEngineeringUnitsExceeded | StatusCode::BadOutOfRange => {
            Reason::OutOfRange
        }
        StatusCode::UncertainSubstituteValue => Reason::Manual,
        _ => Reason::Source,
    };
    if status.is_uncertain() { Quality::Uncertain(reason) } else { Quality::Bad(reason) }
}

/// When the value was so: as the source says, else as the server says, else now.
pub(crate) fn event_time(value: &DataValue, now: Timestamp) -> Timestamp {
    time(value.source_timestamp.as_ref())
        .or_else(|| time(value.server_timestamp.as_ref()))
        .unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        let at = Timestamp::from_micros(1_790_000_000_123_456);
        assert_eq!(time(Some(&ua_time(at))), Some(at));
        assert_eq!((time(None), time(Some(&DateTime::null()))), (None, None));
        let now = Timestamp::from_secs(1_790_000_000);
        let mut value = DataValue { source_timestamp: None, ..DataValue::null() };
        value.server_timestamp = None;
        assert_eq!(event_time(&value, now), now);
        value.server_timestamp = Some(ua_time(at));
        assert_eq!(event_time(&value, now), at);
    }

    #[test]
    fn a_status_says_how_far_to_believe() {
        assert_eq!(quality(None), Quality::Good);
        assert_eq!(quality(Some(StatusCode::GoodClamped)), Quality::Good);
        let stale = StatusCode::UncertainLastUsableValue;
        assert_eq!(quality(Some(stale)), Quality::Uncertain(Reason::Stale));
        // Limit and overflow bits below the code change nothing.
        let limited = StatusCode::from(stale.bits() | 0x0481);
        assert_eq!(quality(Some(limited)), Quality::Uncertain(Reason::Stale));
        let sensor = StatusCode::BadSensorFailure;
        assert_eq!(quality(Some(sensor)), Quality::Bad(Reason::Source));
        assert!(quality(Some(StatusCode::from(0x8fff_0000))).is_bad());
    }

    #[test]
    fn only_numbers_are_readings() {
        assert_eq!(number(Some(&Variant::Boolean(true))), Some(1.0));
        assert_eq!(number(Some(&Variant::UInt16(7))), Some(7.0));
        assert_eq!(number(Some(&Variant::Double(f64::NAN))), None);
        assert_eq!(number(Some(&Variant::from("7"))), None);
        assert_eq!(number(None), None);
    }
}
