//! What it costs when a part of the stream comes late.

use std::time::{Duration, Instant};

use clap::Args;

use crate::data::Plant;
use crate::ingest::deliver;
use crate::measure::until_idle;
use crate::report::{Line, Report};
use crate::server::Server;

const PATH: &str = "/write?precision=ms";

/// The same readings in order, and with a part of them late.
#[derive(Args)]
pub(crate) struct Late {
    #[arg(long, default_value_t = 1_000)]
    sensors: usize,
    /// Readings of each sensor
    #[arg(long, default_value_t = 4_000)]
    seconds: i64,
    /// Share of the readings that come late, in percent
    #[arg(long, default_value_t = 10)]
    percent: u64,
    /// How late, in seconds
    #[arg(long, default_value_t = 1_800)]
    behind: usize,
    /// Alternating runs
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

impl Late {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let bodies = [0, self.percent]
            .map(|percent| Plant::new(self.sensors, 0).delayed(self.seconds, percent, self.behind));
        let mut lines: Vec<Line> = Vec::new();
        for _ in 0..self.runs {
            for (place, bodies) in bodies.iter().enumerate() {
                let server = Server::plainview(&[])?;
                let mut connection = server.connect()?;
                let (begun, cpu) = (Instant::now(), server.cpu_seconds()?);
                for body in bodies {
                    deliver(&mut connection, PATH, body)?;
                }
                let wall = begun.elapsed().as_secs_f64();
                until_idle(server.pid(), Duration::from_secs(120))?;
                let cpu = server.cpu_seconds()? - cpu;
                let readings = (self.sensors as i64 * self.seconds) as f64;
                if place == lines.len() {
                    let who = if place == 0 {
                        "in order".to_owned()
                    } else {
                        format!("{} % late", self.percent)
                    };
                    lines.push(Line { who, settings: server.settings.clone(), runs: Vec::new() });
                }
                lines[place].runs.push(vec![readings / wall, readings / cpu]);
            }
        }
        let mut report = Report {
            name: "late",
            work: format!(
                "{} sensors × {} readings, late ones by {} s, one client",
                self.sensors, self.seconds, self.behind
            ),
            columns: vec!["readings/s wall", "per CPU-s settled"],
            lines,
            says: Vec::new(),
        };
        let lost = |c| 100.0 * (1.0 - report.median(1, c) / report.median(0, c));
        let said =
            format!("late data costs {:.0} % wall, {:.0} % per CPU-second", lost(0), lost(1));
        report.says.push(said);
        report.publish()
    }
}
