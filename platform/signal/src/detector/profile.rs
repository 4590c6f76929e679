use serde::{Deserialize, Serialize};

/// What is known about a sensor beforehand. Everything is optional: what is not told is learned
/// (interval, flatline) or not checked (range, rate).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SensorProfile {
    /// Lowest and highest value the process can take, in the sensor's unit.
    pub range: Option<(f64, f64)>,
    /// Fastest believable change, in the sensor's unit per second.
    pub rate_max_per_s: Option<f64>,
    /// Seconds between two readings; learned from the readings when not given.
    pub interval_s: Option<f64>,
    /// When repeating one value is a fault.
    pub flatline: Flatline,
}

/// When a value that does not move is a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Flatline {
    /// Learned: a sensor whose values nearly always differ and which then repeats one value far
    /// longer than ever before.
    #[default]
    Auto,
    /// Never: set points, switches, counters at rest.
    Off,
    /// Stays within `tolerance` of one value for at least `seconds`.
    After { seconds: f64, tolerance: f64 },
}
