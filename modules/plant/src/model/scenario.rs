use std::time::Duration;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::process::Forces;

/// How long the plant needs to follow an order, seconds.
const RAMP_S: f64 = 120.0;
/// Share of the wear that comes at once, when a spall breaks out, and after which share of the run.
const SPALL_SHARE: f64 = 0.12;
pub(super) const SPALL_AT: f64 = 0.25;
/// Warmth of a bearing per wear, °C per mm/s.
const HEAT_PER_WEAR: f64 = 2.2;
const TANK_FILL_PERCENT_PER_H: f64 = 6.0;

/// What can happen to the plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScenarioKind {
    /// Ends everything that is under way.
    Normal,
    /// A bearing of a pump wears out: its vibration rises; lasts until it is ended.
    BearingWear,
    /// A sensor repeats its last value.
    SensorStuck,
    /// Oil leaves the line: flow out drops and pressures sag.
    Leak,
    /// A sensor moves away from the truth.
    SensorDrift,
    /// P-2 is taken out of service and P-3 takes over.
    MaintenanceWindow,
    /// All pumps stop and the block valves close.
    EmergencyShutdown,
    /// P-2 wears and trips, P-1 follows under the load.
    CascadeFailure,
    /// Storm: cold, and every instrument is noisier.
    BadWeather,
    /// A sensor jumps.
    SensorSpike,
}

/// What people see of a kind of scenario.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ScenarioInfo {
    pub kind: ScenarioKind,
    pub title: &'static str,
    pub description: &'static str,
    /// Sensor or asset it acts on when none is given.
    pub target: Option<&'static str>,
    pub duration_s: u64,
    pub magnitude: f64,
    /// What the magnitude means.
    pub magnitude_means: &'static str,
}

const CATALOGUE: [ScenarioInfo; 10] = [
    info(
        ScenarioKind::Normal,
        "Normal operation",
        "Ends every scenario under way.",
        None,
        1,
        1.0,
        "nothing",
    ),
    info(
        ScenarioKind::BearingWear,
        "Bearing wear",
        "Vibration of a pump rises until it is ended.",
        Some("north/p-2"),
        1_200,
        5.0,
        "mm/s at the end",
    ),
    info(
        ScenarioKind::SensorStuck,
        "Stuck sensor",
        "A sensor repeats its last value.",
        Some("north/km-30/pressure-b"),
        1_800,
        1.0,
        "nothing",
    ),
    info(
        ScenarioKind::Leak,
        "Leak at km 22",
        "Flow out drops and pressures sag.",
        None,
        1_800,
        0.06,
        "share of the flow",
    ),
    info(
        ScenarioKind::SensorDrift,
        "Sensor drift",
        "A sensor moves away from the truth.",
        Some("north/p-1/bearing_temp"),
        1_800,
        0.3,
        "share of the expected range",
    ),
    info(
        ScenarioKind::MaintenanceWindow,
        "Maintenance window",
        "P-2 out of service, P-3 takes over.",
        None,
        3_600,
        1.0,
        "nothing",
    ),
    info(
        ScenarioKind::EmergencyShutdown,
        "Emergency shutdown",
        "All pumps stop, block valves close.",
        None,
        900,
        1.0,
        "nothing",
    ),
    info(
        ScenarioKind::CascadeFailure,
        "Cascade failure",
        "P-2 wears and trips, P-1 follows.",
        None,
        1_800,
        1.0,
        "share of full severity",
    ),
    info(
        ScenarioKind::BadWeather,
        "Bad weather",
        "Cold, and every instrument is noisier.",
        None,
        3_600,
        1.0,
        "times the usual noise, added",
    ),
    info(
        ScenarioKind::SensorSpike,
        "Sensor spike",
        "A sensor jumps.",
        Some("north/km-00/flow"),
        60,
        0.5,
        "share of the expected range",
    ),
];

const fn info(
    kind: ScenarioKind,
    title: &'static str,
    description: &'static str,
    target: Option<&'static str>,
    duration_s: u64,
    magnitude: f64,
    magnitude_means: &'static str,
) -> ScenarioInfo {
    ScenarioInfo { kind, title, description, target, duration_s, magnitude, magnitude_means }
}

impl ScenarioKind {
    pub(crate) fn catalogue() -> &'static [ScenarioInfo] {
        &CATALOGUE
    }

    pub(crate) fn info(self) -> &'static ScenarioInfo {
        CATALOGUE.iter().find(|info| info.kind == self).unwrap_or(&CATALOGUE[0])
    }

    /// The name as it stands in JSON and in the records.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::BearingWear => "bearing_wear",
            Self::SensorStuck => "sensor_stuck",
            Self::Leak => "leak",
            Self::SensorDrift => "sensor_drift",
            Self::MaintenanceWindow => "maintenance_window",
            Self::EmergencyShutdown => "emergency_shutdown",
            Self::CascadeFailure => "cascade_failure",
            Self::BadWeather => "bad_weather",
            Self::SensorSpike => "sensor_spike",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        CATALOGUE.iter().map(|info| info.kind).find(|kind| kind.as_str() == name)
    }

    /// It acts on one sensor's reading, not on the plant.
    pub(crate) fn is_of_a_sensor(self) -> bool {
        matches!(self, Self::SensorStuck | Self::SensorDrift | Self::SensorSpike)
    }
}

/// Where a run of a scenario stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Active,
    Ended,
}

/// One time that a scenario is or was played.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Run {
    pub run_id: Uuid,
    pub kind: ScenarioKind,
    /// Sensor or asset it acts on.
    pub target: Option<String>,
    pub starts_at: Timestamp,
    pub duration_s: u64,
    pub magnitude: f64,
    pub started_by: String,
    /// When somebody ended it before its time.
    pub ended_at: Option<Timestamp>,
}

impl Run {
    /// When its effect stops; wear does not heal by itself.
    pub(crate) fn end(&self) -> Timestamp {
        let planned = match self.kind {
            ScenarioKind::BearingWear => Timestamp::MAX,
            _ => self.starts_at.plus(Duration::from_secs(self.duration_s)),
        };
        self.ended_at.map_or(planned, |ended| ended.min(planned))
    }

    pub(crate) fn state(&self, now: Timestamp) -> RunState {
        if now < self.end() { RunState::Active } else { RunState::Ended }
    }

    /// Seconds since the start; `None` when it has no effect at `t`.
    fn elapsed(&self, t: f64) -> Option<f64> {
        let elapsed = t - self.starts_at.as_secs_f64();
        (elapsed >= 0.0 && t < self.end().as_secs_f64()).then_some(elapsed)
    }

    fn progress(&self, elapsed: f64) -> f64 {
        (elapsed / self.duration_s.max(1) as f64).min(1.0)
    }

    /// 0 before the start, 1 until the end, then back to 0: the plant needs time to follow.
    fn envelope(&self, t: f64) -> f64 {
        let rise = (t - self.starts_at.as_secs_f64()) / RAMP_S;
        let fall = 1.0 - (t - self.end().as_secs_f64()) / RAMP_S;
        rise.min(fall).clamp(0.0, 1.0)
    }

    /// Wear in mm/s: slow at first, with a spall on the way.
    fn worn(&self, progress: f64) -> f64 {
        let spall = if progress >= SPALL_AT { SPALL_SHARE } else { 0.0 };
        self.magnitude * ((1.0 - SPALL_SHARE) * progress * progress.sqrt() + spall)
    }

    /// What the run does to the whole plant at `t`. Sums, minima and maxima only, so that the
    /// order of runs does not matter.
    pub(super) fn press(&self, t: f64, forces: &mut Forces) {
        let envelope = self.envelope(t);
        match self.kind {
            ScenarioKind::MaintenanceWindow => {
                forces.running[1] = forces.running[1].min(1.0 - envelope);
                forces.running[2] = forces.running[2].max(envelope);
            }
            ScenarioKind::EmergencyShutdown => {
                forces.available = forces.available.min(1.0 - envelope);
                forces.blocked = forces.blocked.max(envelope);
                forces.tank += self.filled(t);
            }
            ScenarioKind::BadWeather => {
                forces.noise += self.magnitude * envelope;
                forces.ambient -= 8.0 * self.magnitude.min(2.0) * envelope;
            }
            ScenarioKind::BearingWear | ScenarioKind::Leak | ScenarioKind::CascadeFailure => {
                if let Some(elapsed) = self.elapsed(t) {
                    self.press_fault(elapsed, forces);
                }
            }
            ScenarioKind::Normal
            | ScenarioKind::SensorStuck
            | ScenarioKind::SensorDrift
            | ScenarioKind::SensorSpike => {}
        }
    }

    fn press_fault(&self, elapsed: f64, forces: &mut Forces) {
        let progress = self.progress(elapsed);
        match self.kind {
            ScenarioKind::BearingWear => {
                forces.wear[self.pump()] += self.worn(progress);
                forces.heat[self.pump()] += HEAT_PER_WEAR * self.magnitude * progress * progress;
            }
            ScenarioKind::Leak => forces.leak += self.magnitude * (elapsed / 20.0).min(1.0),
            _ => {
                let first = self.magnitude * (progress / 0.4).min(1.0);
                let second = self.magnitude * ((progress - 0.4) / 0.35).clamp(0.0, 1.0);
                forces.wear[1] += 6.0 * first;
                forces.wear[0] += 3.0 * second;
                forces.heat[1] += 14.0 * first;
                forces.heat[0] += 20.0 * second;
                let tripped = |from: f64| 1.0 - ((progress - from) / 0.02).clamp(0.0, 1.0);
                forces.running[1] = forces.running[1].min(tripped(0.4));
                forces.running[0] = forces.running[0].min(tripped(0.75));
            }
        }
    }

    /// A stopped line fills the tank; afterwards it is drawn down again over some hours.
    fn filled(&self, t: f64) -> f64 {
        let start = self.starts_at.as_secs_f64();
        let stopped_h = (t.min(self.end().as_secs_f64()) - start).max(0.0) / 3_600.0;
        let since_h = (t - self.end().as_secs_f64()).max(0.0) / 3_600.0;
        TANK_FILL_PERCENT_PER_H * stopped_h * libm::exp(-since_h / 4.0)
    }

    fn pump(&self) -> usize {
        match self.target.as_deref() {
            Some("north/p-1") => 0,
            Some("north/p-3") => 2,
            _ => 1,
        }
    }

    /// True when the run freezes `sensor` at `t`: its value is that of the run's start.
    pub(super) fn freezes(&self, sensor: &str, t: f64) -> bool {
        self.kind == ScenarioKind::SensorStuck && self.is_on(sensor) && self.elapsed(t).is_some()
    }

    /// What the run adds to `sensor` at `t`, in shares of its expected range.
    pub(super) fn bias(&self, sensor: &str, t: f64) -> f64 {
        let Some(elapsed) = self.elapsed(t).filter(|_| self.is_on(sensor)) else { return 0.0 };
        match self.kind {
            ScenarioKind::SensorDrift => self.magnitude * self.progress(elapsed),
            ScenarioKind::SensorSpike => self.magnitude,
            _ => 0.0,
        }
    }

    fn is_on(&self, sensor: &str) -> bool {
        self.target.as_deref() == Some(sensor)
    }
}

/// How long and how strong a run is when the caller does not say.
pub(crate) fn span_of(
    kind: ScenarioKind,
    duration_s: Option<u64>,
    magnitude: Option<f64>,
) -> (u64, f64) {
    let info = kind.info();
    (duration_s.unwrap_or(info.duration_s), magnitude.unwrap_or(info.magnitude))
}
