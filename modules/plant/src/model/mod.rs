//! The plant as mathematics: what each sensor shows at each instant, and which scenarios bend it.
//!
//! Every value is a function of seed, sensor and time alone, so that history and live readings
//! agree and a run can be repeated byte for byte.

mod golden;
mod noise;
mod north;
mod path;
mod process;
mod scenario;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use kernel::{SensorKey, SensorKind};
use serde::Deserialize;

pub(crate) use golden::{Series, Shape};
pub(crate) use north::North;
pub use path::{GoldenPath, OverallStatus, Step, StepName, StepStatus};
pub(crate) use scenario::span_of;
pub use scenario::{Run, RunState, ScenarioInfo, ScenarioKind};

/// Why a port given by the composition root failed.
pub type PortError = Box<dyn std::error::Error + Send + Sync>;

/// Tells the sensor registry what is known about a sensor beforehand.
pub type ConfigurePort =
    Arc<dyn Fn(SensorSetup) -> BoxFuture<'static, Result<(), PortError>> + Send + Sync>;

/// Approves a decision: its id, the reason, the actor.
pub type ApprovePort =
    Arc<dyn Fn(String, String, String) -> BoxFuture<'static, Result<(), PortError>> + Send + Sync>;

/// What is known about a simulated sensor beforehand.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorSetup {
    pub key: SensorKey,
    pub kind: SensorKind,
    pub unit: String,
    pub expected_low: f64,
    pub expected_high: f64,
    pub rate_max_per_s: Option<f64>,
    pub interval_s: Option<f64>,
}

/// `[plant]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Runs the simulated plant `north`.
    pub enabled: bool,
    pub seed: u64,
    /// Set by the composition root: lets the golden path approve its own decision.
    #[serde(skip)]
    pub development: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: false, seed: 2026, development: false }
    }
}
