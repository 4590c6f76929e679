//! `plainview detect`: the detectors of production over files.

mod process;
mod series;

use std::process::ExitCode;

use clap::Subcommand;

use super::workbench;

/// Run the detectors over files
#[derive(Subcommand)]
pub(crate) enum Detect {
    /// Score each series by itself with the detector that sits on every sensor
    Series(series::SeriesArgs),
    /// Judge all columns together with the process model that sits on an asset
    Process(process::ProcessArgs),
}

impl Detect {
    pub(super) fn run(&self, json: bool) -> ExitCode {
        workbench::finish(match self {
            Self::Series(series) => series.run(json),
            Self::Process(process) => process.run(json),
        })
    }
}
