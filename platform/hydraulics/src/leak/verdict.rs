//! What the detection says, and why.

use serde::{Deserialize, Serialize};

use super::instrument::FaultKind;

/// Version of the method; a verdict can be replayed by the same version to the same answer.
pub const VERSION: &str = "leak/1";

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Leak,
    /// An instrument is wrong; it is named.
    InstrumentFault {
        instrument: String,
        fault: FaultKind,
    },
    /// A set point or a valve was moved, or a pump stopped: informs, no alarm.
    Operation {
        at_inlet: bool,
        what: OperationKind,
        known: bool,
    },
}

/// A recognised operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    FlowRaised,
    FlowLowered,
    /// The flow at the end stopped at once.
    Trip,
}

/// Where the news stands in the life of its finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    New,
    /// A better estimate of the same finding.
    Update,
    /// The finding is over: nothing is missing any more, or the instrument is well again.
    Cleared,
}

/// What the verdict rests on most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The volume balance over a long window.
    Balance,
    /// Negative pressure wave.
    Npw,
    /// Real-time transient model.
    Rttm,
    /// Model and pressure wave together.
    Combined,
}

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The same for all news of one finding.
    pub number: u64,
    pub phase: Phase,
    /// Event time at which it was said, s; nothing later was used.
    pub time_s: f64,
    #[serde(flatten)]
    pub kind: Kind,
    /// When it began, s, and the half width of that.
    pub start_s: f64,
    pub start_error_s: f64,
    /// From the inlet, m; the half width holds about 95 %.
    pub location_m: Option<f64>,
    pub location_error_m: Option<f64>,
    /// Leak flow now, m3/h; for an instrument what it reads too much, in m3/h or bar.
    pub size: Option<f64>,
    pub size_error: Option<f64>,
    pub method: Method,
    /// 0 to 1.
    pub confidence: f64,
    pub evidence: Evidence,
}

/// What the verdict was made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub version: String,
    /// The test that spoke: its logarithm of the likelihood ratio and the threshold.
    pub gain: f64,
    pub threshold: f64,
    /// The same for the best explanation of the other kind.
    pub rival: f64,
    /// What the fit leaves per degree of freedom; about 1 is good.
    pub misfit: f64,
    /// Time over which the size grew evenly, s; 0 is abrupt.
    pub ramp_s: f64,
    /// Volume balances, corrected for line pack, in % of the nominal flow.
    pub windows: Vec<WindowEvidence>,
    /// Arrivals of the pressure wave at fast transmitters.
    pub arrivals: Vec<Arrival>,
    /// Blur by fast changes at the ends, in % of the nominal flow.
    pub unrest_pct: f64,
}

/// One volume balance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowEvidence {
    pub window_s: f64,
    pub imbalance_pct: f64,
    pub threshold_pct: f64,
}

/// When the wave passed a transmitter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    pub instrument: String,
    pub at_m: f64,
    pub time_s: f64,
    pub error_s: f64,
    pub drop_bar: f64,
}

/// A command given to the plant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub time_s: f64,
    pub at_inlet: bool,
}
