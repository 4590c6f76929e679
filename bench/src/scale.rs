//! Whether cost stays flat as sensors become many and history long.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;

use crate::data::{Chance, Plant, START_MS};
use crate::http::Connection;
use crate::ingest::deliver;
use crate::measure::{median, memory_mb, until_idle};
use crate::report::{Line, Report};
use crate::server::Server;

const PATH: &str = "/write?precision=ms";
const ASKED: usize = 200;

/// The same number of readings from ever more sensors.
#[derive(Args)]
pub(crate) struct Sensors {
    /// Sensors of each step
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000,1000000")]
    steps: Vec<usize>,
    /// Readings of each step, after one of every sensor
    #[arg(long, default_value_t = 4_000_000)]
    readings: usize,
}

impl Sensors {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        for sensors in &self.steps {
            let server = Server::plainview(&[("INGEST__SENSORS_MAX", "1000000")])?;
            let mut connection = server.connect()?;
            let mut plant = Plant::new(*sensors, 0);
            let begun = Instant::now();
            for body in plant.bodies(1) {
                deliver(&mut connection, PATH, &body)?;
            }
            let registered = begun.elapsed().as_secs_f64();
            until_idle(server.pid(), Duration::from_secs(120))?;
            let rounds = (self.readings / sensors).max(1);
            let bodies: Vec<Vec<u8>> = plant.bodies(rounds as i64).collect();
            // Not before: a server closes what was silent for long.
            connection = server.connect()?;
            let (begun, cpu) = (Instant::now(), server.cpu_seconds()?);
            for body in &bodies {
                deliver(&mut connection, PATH, body)?;
            }
            let (wall, sent) = (begun.elapsed().as_secs_f64(), (rounds * sensors) as f64);
            let cpu_sending = server.cpu_seconds()? - cpu;
            until_idle(server.pid(), Duration::from_secs(300))?;
            let cpu = server.cpu_seconds()? - cpu;
            connection = server.connect()?;
            let latest = latest(&mut connection, *sensors)?;
            let (memory, peak) = memory_mb(server.pid())?;
            lines.push(Line {
                who: format!("{sensors} sensors"),
                settings: server.settings.clone(),
                runs: vec![vec![
                    registered,
                    sent / wall,
                    sent / cpu_sending,
                    sent / cpu,
                    memory,
                    peak,
                    latest,
                ]],
            });
        }
        Report {
            name: "scale-sensors",
            work: format!("{} readings from ever more sensors, one client", self.readings),
            columns: vec![
                "first reading, s",
                "readings/s",
                "per CPU-s sending",
                "per CPU-s settled",
                "MB",
                "peak MB",
                "latest, ms",
            ],
            lines,
            says: Vec::new(),
        }
        .publish()
    }
}

/// Milliseconds for the latest value of one sensor, over the open connection.
fn latest(connection: &mut Connection, sensors: usize) -> anyhow::Result<f64> {
    let mut chance = Chance::new(7);
    let mut millis = Vec::new();
    for _ in 0..ASKED {
        let sensor = chance.below(sensors as u64) as usize;
        let question = format!("/api/v1/sensors/{}", Plant::key(sensor));
        let begun = Instant::now();
        let answer = connection.get(&question)?;
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
        ensure!(answer.status == 200, "{question}: {}", answer.status);
    }
    Ok(median(&millis))
}

/// The same questions while history grows.
#[derive(Args)]
pub(crate) struct History {
    /// Days of history at each step
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    days: Vec<i64>,
    #[arg(long, default_value_t = 100)]
    sensors: usize,
    /// Seconds between readings
    #[arg(long, default_value_t = 10)]
    every: i64,
}

impl History {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let server = Server::plainview(&[])?;
        let mut connection = server.connect()?;
        // It ends about now: readings from far ahead are refused.
        let first = -self.days.iter().copied().max().unwrap_or(0) * 86_400;
        let mut plant = Plant::every(self.sensors, first, self.every);
        let mut days = 0;
        let mut lines = Vec::new();
        for goal in &self.days {
            let steps = (goal - days) * 86_400 / self.every / 100;
            for _ in 0..steps {
                deliver(&mut connection, PATH, &plant.lines(100))?;
            }
            days = *goal;
            until_idle(server.pid(), Duration::from_secs(300))?;
            connection = server.connect()?;
            let begin = START_MS / 1_000 + first;
            let end = begin + days * 86_400;
            let mut run = Vec::new();
            for question in [
                format!("from={}&to={end}&limit=10000", end - 3_600),
                format!("from={}&to={end}&buckets=1000", end - 86_400),
                format!("from={begin}&to={end}&buckets=1000"),
            ] {
                run.push(ask(&mut connection, &question, self.sensors)?);
            }
            run.push(latest(&mut connection, self.sensors)?);
            run.push(memory_mb(server.pid())?.0);
            run.push(
                server.bytes_on_disk()? as f64
                    / (days * 86_400 / self.every) as f64
                    / self.sensors as f64,
            );
            lines.push(Line {
                who: format!("{days} days"),
                settings: server.settings.clone(),
                runs: vec![run],
            });
        }
        Report {
            name: "scale-history",
            work: format!(
                "{} sensors every {} s, questions as history grows",
                self.sensors, self.every
            ),
            columns: vec![
                "last hour raw, ms",
                "last day, ms",
                "all in 1000, ms",
                "latest, ms",
                "MB",
                "bytes/reading",
            ],
            lines,
            says: Vec::new(),
        }
        .publish()
    }
}

fn ask(connection: &mut Connection, question: &str, sensors: usize) -> anyhow::Result<f64> {
    let mut millis = Vec::new();
    for round in 0..21 {
        let key = Plant::key(round * 7 % sensors);
        let path = format!("/api/v1/sensors/readings?sensor={key}&{question}");
        let begun = Instant::now();
        let answer = connection.get(&path)?;
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
        ensure!(answer.status == 200 && answer.body.len() > 500, "{path}: {}", answer.status);
    }
    Ok(median(&millis))
}
