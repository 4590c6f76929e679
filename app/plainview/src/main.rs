//! `plainview`: one program that watches a plant.

mod assets;
mod broker;
mod cli;
mod compose;
mod config;
mod logging;
mod platform;
mod recordings;
mod serve;
mod settings;
mod sources;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(config::environ())
}
