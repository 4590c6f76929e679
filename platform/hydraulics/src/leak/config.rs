//! A pipeline and its instruments as a person writes them down; keys carry their unit.

use serde::{Deserialize, Serialize};

/// Seconds known to be free of leaks at the start when nothing else is said.
const LEARN_S: f64 = 2_300.0;
/// False leak alarms a year when nothing else is said.
const FALSE_ALARMS_PER_YEAR: f64 = 1.0;

/// One pipeline: a single line from `inlet` to `outlet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineConfig {
    /// Version of the format: 1.
    pub schema: u32,
    pub id: String,
    pub name: String,
    pub fluid: Fluid,
    pub nominal: Nominal,
    /// Stretches of equal pipe, in order, without gaps.
    pub segment: Vec<Segment>,
    /// At least two points; linear between them.
    pub elevation: Vec<Elevation>,
    pub inlet: End,
    pub outlet: End,
    pub scada: Scada,
    #[serde(default)]
    pub fast: Option<Fast>,
    /// Optional: how the alarms are tuned.
    #[serde(default)]
    pub detection: Detection,
}

/// What flows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fluid {
    #[serde(default)]
    pub name: String,
    pub density_kg_m3: f64,
    #[serde(default)]
    pub thermal_expansion_1_k: Option<f64>,
    #[serde(default)]
    pub vapour_pressure_bar: Option<f64>,
    #[serde(default)]
    pub viscosity_pa_s: Option<f64>,
}

/// The working point that sizes in percent refer to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nominal {
    pub flow_m3h: f64,
    #[serde(default)]
    pub inlet_head_m: Option<f64>,
    #[serde(default)]
    pub outlet_head_m: Option<f64>,
}

/// A stretch of equal pipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    pub from_m: f64,
    pub to_m: f64,
    pub inner_diameter_m: f64,
    pub wave_speed_m_s: f64,
    /// Darcy; or `roughness_m` together with the fluid's viscosity.
    #[serde(default)]
    pub friction_factor: Option<f64>,
    #[serde(default)]
    pub roughness_m: Option<f64>,
}

/// A point of the elevation profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elevation {
    pub at_m: f64,
    pub z_m: f64,
}

/// What stands at an end of the line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    pub kind: EndKind,
    /// Head behind the valve, in m.
    #[serde(default)]
    pub downstream_head_m: Option<f64>,
}

/// How an end is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndKind {
    FlowControlled,
    PressureControlled,
    ControlValve,
    Open,
}

/// The slow scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scada {
    #[serde(default = "time_column")]
    pub time_column: String,
    /// A value may be older than its row by 0 to this, in s.
    #[serde(default)]
    pub max_skew_s: f64,
    /// From the first row: known to be free of leaks, in s.
    #[serde(default = "learn_s")]
    pub learn_s: f64,
    pub flow: Vec<FlowMeter>,
    pub pressure: Vec<PressureSensor>,
}

/// A flow meter of the scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowMeter {
    pub column: String,
    pub at_m: f64,
    pub unit: FlowUnit,
    pub direction: Direction,
    /// One sigma of a reading, in % of the nominal flow.
    pub noise_pct: f64,
    /// One sigma of the constant error, in % of the reading.
    pub bias_pct: f64,
    /// One sigma of the slow error, in % of the nominal flow.
    pub drift_pct: f64,
}

/// A pressure transmitter of the scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PressureSensor {
    pub column: String,
    pub at_m: f64,
    pub unit: PressureUnit,
    /// One sigma of a reading, in bar.
    pub noise_bar: f64,
    /// One sigma of the constant error, in bar.
    #[serde(default)]
    pub bias_bar: f64,
    /// One sigma of the slow error, in bar.
    #[serde(default)]
    pub drift_bar: f64,
}

/// Pressures sampled many times a second, on the clock of the scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fast {
    #[serde(default = "time_column")]
    pub time_column: String,
    pub rate_hz: f64,
    pub pressure: Vec<PressureSensor>,
}

/// How the alarms are tuned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detection {
    /// Wanted false leak alarms in a year of operation.
    #[serde(default = "false_alarms_per_year")]
    pub false_alarms_per_year: f64,
}

impl Default for Detection {
    fn default() -> Self {
        Self { false_alarms_per_year: FALSE_ALARMS_PER_YEAR }
    }
}

/// Unit of a flow column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlowUnit {
    #[serde(rename = "m3/h")]
    M3PerH,
    #[serde(rename = "m3/s")]
    M3PerS,
    #[serde(rename = "l/s")]
    LPerS,
    #[serde(rename = "bbl/h")]
    BblPerH,
}

impl FlowUnit {
    /// What one of this unit is in m3/s.
    pub fn m3_s(self) -> f64 {
        match self {
            Self::M3PerH => 1.0 / 3_600.0,
            Self::M3PerS => 1.0,
            Self::LPerS => 1e-3,
            Self::BblPerH => 0.158_987_294_928 / 3_600.0,
        }
    }
}

/// Unit of a pressure column; all are gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PressureUnit {
    #[serde(rename = "bar")]
    Bar,
    #[serde(rename = "Pa")]
    Pa,
    #[serde(rename = "kPa")]
    KPa,
    #[serde(rename = "MPa")]
    MPa,
    #[serde(rename = "psi")]
    Psi,
}

impl PressureUnit {
    /// What one of this unit is in Pa.
    pub fn pa(self) -> f64 {
        match self {
            Self::Bar => 1e5,
            Self::Pa => 1.0,
            Self::KPa => 1e3,
            Self::MPa => 1e6,
            Self::Psi => 6_894.757_293_168,
        }
    }
}

/// Whether a meter counts what enters the line or what leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    In,
    Out,
}

fn time_column() -> String {
    "time_s".to_owned()
}

fn learn_s() -> f64 {
    LEARN_S
}

fn false_alarms_per_year() -> f64 {
    FALSE_ALARMS_PER_YEAR
}
