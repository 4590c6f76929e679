use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::demo::Demo;
use super::detect::Detect;
use super::explain::Explain;
use super::export::Export;
use super::ingest::Ingest;
use super::keys::KeysCommand;
use super::leaks::Leaks;
use super::query::Query;
use super::replay::Replay;
use super::transient::Transient;
use crate::config::Config;

/// Watches a plant, says what is about to go wrong and why, and lets people decide
#[derive(Parser)]
#[command(name = "plainview", version)]
pub(crate) struct Plainview {
    #[command(subcommand)]
    pub(super) command: Command,
    /// Settings file; ./plainview.toml when it exists
    #[arg(long, global = true)]
    pub(super) config: Option<PathBuf>,
    /// Where readings and records are kept
    #[arg(long, global = true)]
    data: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, global = true)]
    listen: Option<SocketAddr>,
    /// Write results as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Start Plainview
    Serve,
    /// Start Plainview with the simulated plant, ready to look at
    Demo(Demo),
    /// Bring the database forward to this version
    Migrate,
    /// Make, list and revoke keys
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Send a recording through the ingest door of a running Plainview
    Replay(Replay),
    /// Send a file (CSV, Parquet, line protocol) to a running Plainview
    Ingest(Ingest),
    /// Read readings from a running Plainview
    Query(Query),
    /// Write readings of a running Plainview to files (Parquet, CSV, Arrow)
    Export(Export),
    /// Judge the readings behind anomalies of a running Plainview again
    Explain(Explain),
    /// Run the detectors over files
    Detect {
        #[command(subcommand)]
        command: Detect,
    },
    /// Look for leaks, wrong instruments and operations in the record of a pipeline
    Leaks(Leaks),
    /// Compute water hammer: the pressure waves of valves that close and leaks that open
    Transient(Transient),
    /// Show the settings in force and every problem with them
    Doctor,
    /// Print the HTTP contract (OpenAPI)
    #[command(hide = true)]
    Openapi,
    /// Print completions for a shell
    Completions { shell: clap_complete::Shell },
}

impl Plainview {
    /// The command line beats the environment, which beats the file.
    pub(super) fn overlay(&self, mut config: Config) -> Config {
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        if let Some(data) = &self.data {
            config.data.dir.clone_from(data);
        }
        config
    }
}
