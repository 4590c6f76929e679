//! The command line: files and flags in, work done, an exit code out.

mod args;
mod demo;
mod detect;
mod doctor;
mod explain;
mod export;
mod ingest;
mod keys;
mod leaks;
mod output;
mod query;
mod remote;
mod replay;
mod selection;
mod table;
mod transient;
mod workbench;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::compose;
use crate::config::{self, Config, Environ};
use crate::{logging, serve};
use args::{Command, Plainview};
pub(crate) use output::print;

/// Exit codes: 0 done, 1 failed, 2 wrong usage (clap's), 3 refused by the settings, 4 judged again
/// and not the same.
const REFUSED: u8 = 3;
const DIFFERS: u8 = 4;

/// Parses the command line and does what it says.
pub(crate) fn run(environ: Environ) -> ExitCode {
    let args = Plainview::parse();
    // Two TLS providers are linked; the choice must be made before the first connection.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed already");
    }
    let config = match config::load(args.config.as_deref(), &environ) {
        Ok(config) => args.overlay(config),
        Err(error) => {
            output::complain(&format!("the settings cannot be read: {error}"));
            return ExitCode::from(REFUSED);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("no threads to run on: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(dispatch(args, config)) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(args: Plainview, config: Config) -> anyhow::Result<ExitCode> {
    let json = args.json;
    match args.command {
        Command::Serve => {
            if doctor::refused(&config) {
                return Ok(ExitCode::from(REFUSED));
            }
            logging::start(&config.log)?;
            serve::run(config, serve::announce).await?;
        }
        Command::Demo(demo) => demo.run(config).await?,
        Command::Migrate => migrate(&config, json).await?,
        Command::Keys { command } => keys::run(command, &config, json).await?,
        Command::Replay(replay) => replay.run(json).await?,
        Command::Ingest(ingest) => ingest.run(json).await?,
        Command::Query(query) => query.run(json).await?,
        Command::Export(export) => export.run(json).await?,
        Command::Explain(explain) => return explain.run(json).await,
        Command::Detect { command } => return Ok(command.run(json)),
        Command::Leaks(leaks) => return Ok(leaks.run(json)),
        Command::Transient(transient) => return Ok(transient.run(json)),
        Command::Doctor => return doctor::run(&config, json).await,
        Command::Openapi => {
            output::print(&serde_json::to_string_pretty(&compose::contract().await?)?);
        }
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Plainview::command(),
                "plainview",
                &mut std::io::stdout(),
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn migrate(config: &Config, json: bool) -> anyhow::Result<()> {
    let applied = compose::migrate(config).await?;
    if json {
        output::print(&serde_json::json!({ "applied": applied }).to_string());
    } else if applied.is_empty() {
        output::print("The schema is current.");
    } else {
        for name in applied {
            output::print(&format!("applied {name}"));
        }
    }
    Ok(())
}
