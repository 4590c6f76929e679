//! What detectors write down, as bytes.
//!
//! Numbers stand bit for bit and small ones take little room: a state that has learned for weeks
//! takes 1.5 kB, a fresh one a quarter of that, and neither is spelled out and parsed as text.

use serde::{Deserialize, Serialize};
use signal::detector::VERSION;
use store::series::{Offset, SeriesId};

use super::Saved;

/// Sensors whose states are written together: as text and one by one, those of a million sensors
/// took longer to write than their readings.
pub(crate) const BUNDLE_SENSORS: u32 = 64;

/// The state of one sensor's detector after batch `applied` of the series log.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptState {
    series: u32,
    /// Tells whether the number still means the same sensor.
    pub key: String,
    applied: u64,
    pub saved: Saved,
}

impl KeptState {
    pub(crate) fn new(series: SeriesId, key: &str, applied: Offset, saved: Saved) -> Self {
        Self { series: series.0, key: key.to_owned(), applied: applied.0, saved }
    }

    pub(crate) fn series(&self) -> SeriesId {
        SeriesId(self.series)
    }

    pub(crate) fn applied(&self) -> Offset {
        Offset(self.applied)
    }
}

/// The bundle in which a sensor's state is written.
pub(crate) fn bundle_of(series: SeriesId) -> u32 {
    series.0 / BUNDLE_SENSORS
}

/// The sensors of a bundle.
pub(crate) fn members(bundle: u32) -> impl Iterator<Item = SeriesId> {
    let first = bundle.saturating_mul(BUNDLE_SENSORS);
    (first..first.saturating_add(BUNDLE_SENSORS)).map(SeriesId)
}

/// Ends the version in front of the states.
const END: u8 = b'\n';

/// States as bytes, behind the version of the method that they belong to.
///
/// # Errors
/// None for states that a detector can have; the writer may fail on lengths that nothing has.
pub(crate) fn write_states(states: &[KeptState]) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut bytes = VERSION.as_bytes().to_vec();
    bytes.push(END);
    rmp_serde::encode::write(&mut bytes, states)?;
    Ok(bytes)
}

/// The states that [`write_states`] wrote; `None` when another version of the method did, or the
/// bytes are no states.
pub(crate) fn read_states(bytes: &[u8]) -> Option<Vec<KeptState>> {
    let states = bytes.strip_prefix(VERSION.as_bytes())?.strip_prefix(&[END])?;
    rmp_serde::from_slice(states).ok()
}

#[cfg(test)]
mod tests {
    use kernel::{Quality, Timestamp};
    use signal::detector::{SensorDetector, SensorProfile};

    use super::*;

    fn kept(series: u32, readings: i64) -> KeptState {
        let mut detector = SensorDetector::new(SensorProfile::default());
        for n in 0..readings {
            let at = Timestamp::from_secs(1_700_000_000 + n * 60);
            detector.observe(at, 20.0 + (n % 17) as f64 * 0.1, Quality::Good);
        }
        let saved = Saved::of(detector, Some("bar".to_owned()));
        KeptState::new(SeriesId(series), "north/p-1/pressure", Offset(7), saved)
    }

    #[test]
    fn states_come_back_bit_for_bit_and_small() {
        let states = [kept(3, 0), kept(64, 4), kept(9, 20_000)];
        let bytes = write_states(&states).unwrap();
        let back = read_states(&bytes).unwrap();
        for (one, other) in states.iter().zip(&back) {
            assert_eq!(one.saved.detector, other.saved.detector);
            assert_eq!(
                (one.series(), one.applied(), &one.key),
                (other.series(), other.applied(), &other.key)
            );
        }
        let fresh = write_states(&states[..1]).unwrap().len();
        assert!(fresh < 500, "{fresh}");
        let learned = write_states(&states[2..]).unwrap().len();
        assert!(learned < 1_600, "{learned}");
    }

    #[test]
    fn another_version_and_rubbish_are_no_states() {
        let bytes = write_states(&[kept(3, 500)]).unwrap();
        let mut other = bytes.clone();
        other[1] ^= 1;
        assert!(read_states(&other).is_none());
        for len in 0..bytes.len() {
            assert!(read_states(&bytes[..len]).is_none(), "{len}");
        }
    }

    #[test]
    fn a_sensor_is_in_one_bundle() {
        for series in [0, 63, 64, 999_999] {
            let bundle = bundle_of(SeriesId(series));
            assert!(members(bundle).any(|id| id.0 == series));
            assert!(members(bundle + 1).all(|id| id.0 != series));
        }
    }
}
