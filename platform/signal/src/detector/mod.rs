//! The always-on detector of one sensor.
//!
//! One [`SensorDetector`] sits on every sensor and looks at each reading once. It unites run rules
//! (range, rate, flatline, missing, out of order, unit jump), which explain themselves, with a
//! score for what no rule names: how unlikely the reading is after the sensor's own recent past.
//! An anomaly of the score stands until the level is back where it was in the days before, or has
//! stayed at its new place for a day, which is then normal.
//! Its state is bounded and can be written down and read back without changing a later verdict.
//!
//! ```
//! use kernel::{Quality, Timestamp};
//! use signal::detector::{Rule, SensorDetector, SensorProfile};
//!
//! let profile = SensorProfile { range: Some((0.0, 10.0)), ..SensorProfile::default() };
//! let mut detector = SensorDetector::new(profile);
//! let verdict = detector.observe(Timestamp::from_secs(60), 12.5, Quality::Good);
//! assert!(verdict.active.contains(Rule::Range));
//! assert!(!verdict.ready, "a range needs no history, a score does");
//! ```

mod normal;
mod profile;
mod rules;
mod sensor;
mod verdict;

pub use profile::{Flatline, SensorProfile};
pub use sensor::SensorDetector;
pub use verdict::{Aspect, Disposition, Evidence, Finding, Phase, Rule, Rules, Verdict};

/// Name and version of the method. Kept with every anomaly, and raised whenever the same readings
/// could give another verdict.
pub const VERSION: &str = "sensor/3";

/// The score at which an anomaly starts: one number for every sensor.
pub const THRESHOLD: f64 = crate::score::THRESHOLD;

/// The score below which an anomaly may end.
pub const CLEAR_THRESHOLD: f64 = crate::score::CLEAR_THRESHOLD;
