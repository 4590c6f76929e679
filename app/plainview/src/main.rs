//! `plainview`: one program that watches a plant.

mod assets;
mod broker;
mod cli;
mod compose;
mod config;
mod logging;
mod memory;
mod platform;
mod recordings;
mod serve;
mod settings;
mod sources;

use std::process::ExitCode;

fn main() -> ExitCode {
    memory::refuse_huge_pages();
    cli::run(config::environ())
}
