//! What the workbench commands share: tables in, sheets out, and one way to fail.
//!
//! A command reads and judges everything first and writes last, so that bad input leaves nothing
//! behind.

mod failure;
mod files;
mod progress;
mod sheet;
mod table;

pub(crate) use failure::{Failure, finish};
pub(crate) use files::{Source, sources};
pub(crate) use progress::Progress;
pub(crate) use sheet::Sheet;
pub(crate) use table::Table;
