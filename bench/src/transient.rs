//! Pressure waves in a pipe beside TSNet, on one core, without reading and writing.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::Args;
use hydraulics::transient::{
    Beyond, Characteristic, Fluid, Friction, Network, Options, Pipe, Probe, Schedule, Simulation,
    TimeStep, Valve, ValveLaw,
};
use serde_json::Value;

use crate::measure::cpu_seconds;
use crate::report::{Line, Report};

const TSNET: &str = include_str!("transient.py");
const DURATION_S: f64 = 60.0;
/// The clock of a process ticks a hundred times a second; a run takes many ticks.
const CPU_S_MIN: f64 = 1.0;
/// Peak heads further apart than this are not the same work, m. TSNet finds its friction factor by
/// another formula and takes friction at the new velocity.
const APART_M_MAX: f64 = 0.5;

/// One pipe and a valve that closes.
#[derive(Args)]
pub(crate) struct Transient {
    /// Reaches of the pipe that both compute
    #[arg(long, default_value_t = 100)]
    reaches: usize,
    /// Reaches of a long pipe that only we compute
    #[arg(long, default_value_t = 10_000)]
    long: usize,
    /// Alternating runs
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

impl Transient {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let settings = "hydraulics, Darcy friction, one thread".to_owned();
        let line = |who: &str, settings: &str| Line {
            who: who.to_owned(),
            settings: settings.to_owned(),
            runs: Vec::new(),
        };
        let mut lines = vec![
            line("Plainview", &settings),
            line("Plainview, long pipe", &format!("{settings}, {} reaches", self.long)),
            line("TSNet", "0.3.1, NumPy 1.26, one thread"),
        ];
        for _ in 0..self.runs {
            lines[0].runs.push(ours(self.reaches)?);
            lines[1].runs.push(ours(self.long)?);
            lines[2].runs.push(theirs(self.reaches)?);
        }
        let mut report = Report {
            name: "transient",
            work: format!(
                "a valve closes in 4 s at the end of 6 km of pipe in {} reaches, {DURATION_S} s",
                self.reaches
            ),
            columns: vec!["node-steps/CPU-s", "peak head m"],
            lines,
            says: Vec::new(),
        };
        let apart = (report.median(0, 1) - report.median(2, 1)).abs();
        ensure!(apart <= APART_M_MAX, "the peaks lie {apart} m apart: not the same work");
        let ratio = report.median(0, 0) / report.median(2, 0);
        report.says.push(format!("{ratio:.0} × TSNet per CPU-second; peaks {apart:.2} m apart"));
        report.publish()
    }
}

/// Node-steps per CPU-second, and the peak head in m.
fn ours(reaches: usize) -> anyhow::Result<Vec<f64>> {
    let mut network = Network::new(Fluid::WATER);
    let from = network.reservoir(200.0);
    let end = network.junction(0.0);
    let pipe = network.pipe(Pipe {
        from,
        to: end,
        length_m: 6_000.0,
        diameter_m: 0.5,
        wave_speed_ms: 1_200.0,
        friction: Friction::Darcy(0.018),
        profile: Vec::new(),
    });
    network.valve(Valve {
        from: end,
        to: Beyond::Head(0.0),
        law: ValveLaw::Flow { open_m3s: 0.15 },
        characteristic: Characteristic::Linear,
        opening: Schedule::ramp(1.0, 0.0, 0.0, 4.0),
    });
    let time_step = TimeStep::Reaches { pipe, count: reaches };
    let first = Simulation::new(network, &Options { time_step, ..Options::default() })?;
    let process = std::process::id();
    let begun = cpu_seconds(process)?;
    let (mut steps, mut peak) = (0, f64::MIN);
    loop {
        let mut simulation = first.clone();
        let record = simulation.run(DURATION_S, &[Probe::Head(end)])?;
        steps += simulation.node_steps();
        peak = record.values[0].iter().copied().fold(peak, f64::max);
        let spent = cpu_seconds(process)? - begun;
        if spent >= CPU_S_MIN {
            return Ok(vec![steps as f64 / spent, peak]);
        }
    }
}

fn theirs(reaches: usize) -> anyhow::Result<Vec<f64>> {
    let python = std::env::var_os("TSNET_PYTHON")
        .context("TSNET_PYTHON must name a Python with TSNet; `cargo xtask bench` installs one")?;
    let output = Command::new(python)
        .args(["-c", TSNET, &reaches.to_string(), "1"])
        .env("OMP_NUM_THREADS", "1")
        .stderr(Stdio::null())
        .output()?;
    let runs: Vec<Value> = serde_json::from_slice(&output.stdout).context("TSNet gave nothing")?;
    let run = runs.first().context("TSNet made no run")?;
    let number = |key: &str| run[key].as_f64().with_context(|| format!("TSNet tells no {key}"));
    Ok(vec![number("node_steps")? / number("cpu_s")?, number("peak_m")?])
}
