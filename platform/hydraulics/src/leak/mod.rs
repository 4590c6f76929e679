//! Leak detection of a pipeline, sample by sample: pure, synchronous, without a look ahead.

mod balance;
pub mod config;
mod detector;
mod history;
mod hypothesis;
mod instrument;
mod line;
mod npw;
mod observer;
mod operation;
mod rttm;
mod search;
mod sensitivity;
mod signature;
mod tracking;
mod verdict;

pub use config::PipelineConfig;
pub use detector::{Detector, Reading};
pub use instrument::FaultKind;
pub use sensitivity::{Sensitivity, Stretch};
pub use verdict::{
    Arrival, Command, Evidence, Finding, Kind, Method, OperationKind, Phase, VERSION,
    WindowEvidence,
};
