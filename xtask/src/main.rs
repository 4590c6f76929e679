//! `cargo xtask`: everything that is done to Plainview rather than by it.

mod bench;
mod codegen;
mod demo;
mod fuzz;
mod prerequisites;
mod servers;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, try and test Plainview")]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything and start Plainview with the simulated plant on 127.0.0.1:4000
    Demo(demo::Demo),
    /// Run everything that must hold, from format to browser
    Test(test::Test),
    /// Measure Plainview beside its peers
    Bench(bench::Bench),
    /// Send rubbish to every door and stored format, guided by coverage
    Fuzz(fuzz::Fuzz),
    /// Check the house rules
    Tidy,
    /// Write the HTTP contract and the typed client anew
    Codegen,
}

fn main() -> ExitCode {
    let outcome = match Xtask::parse().command {
        Command::Demo(demo) => demo.run(),
        Command::Test(test) => test.run(),
        Command::Bench(bench) => bench.run(),
        Command::Fuzz(fuzz) => fuzz.run(),
        Command::Tidy => tidy::run(),
        Command::Codegen => codegen::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
