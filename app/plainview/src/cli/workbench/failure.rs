use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::output;

/// The exit code of bad input and bad arguments; clap uses the same.
const BAD_INPUT: u8 = 2;

/// Why a workbench command gave up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// `line` counts from 1, which is the header.
    #[error("{}:{line}: {reason}", file.display())]
    Line { file: PathBuf, line: u64, reason: String },
    #[error("{}: {reason}", file.display())]
    File { file: PathBuf, reason: String },
    #[error("{reason}")]
    Argument { reason: String },
    #[error("{} cannot be written", file.display())]
    Write { file: PathBuf, source: io::Error },
}

impl Failure {
    pub(crate) fn line(file: &Path, line: u64, reason: impl Into<String>) -> Self {
        Self::Line { file: file.to_owned(), line, reason: reason.into() }
    }

    /// A cell that cannot be used, under its column's name.
    pub(crate) fn cell(file: &Path, line: u64, column: &str, reason: &str) -> Self {
        Self::line(file, line, format!("column {column}: {reason}"))
    }

    pub(crate) fn file(file: &Path, reason: impl Into<String>) -> Self {
        Self::File { file: file.to_owned(), reason: reason.into() }
    }

    pub(crate) fn argument(reason: impl Into<String>) -> Self {
        Self::Argument { reason: reason.into() }
    }
}

/// Says what went wrong in one line, and answers the exit code: 2 for bad input, else 1.
pub(crate) fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Write { file, source }) => {
            output::complain(&format!("{} cannot be written: {source}", file.display()));
            ExitCode::FAILURE
        }
        Err(bad) => {
            output::complain(&bad.to_string());
            ExitCode::from(BAD_INPUT)
        }
    }
}
