//! Line protocol over HTTP, from the first line sent until all of it is stored, judged and at
//! rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use clap::Args;

use crate::data::Plant;
use crate::measure::{memory_mb, until_idle};
use crate::report::{Line, Report};
use crate::server::Server;

const SETTLE: Duration = Duration::from_secs(120);
/// Some put their latest readings away only once they are quiet,
const REST: Duration = Duration::from_secs(8);
/// and Plainview keeps its log until the detectors have written down where they are.
const LOG: Duration = Duration::from_secs(60);

/// Sends the same bodies to each contender in turn.
#[derive(Args)]
pub(crate) struct Ingest {
    /// Sensors
    #[arg(long, default_value_t = 1_000)]
    sensors: usize,
    /// Readings of each sensor
    #[arg(long, default_value_t = 4_000)]
    seconds: i64,
    /// Callers at once
    #[arg(long, default_value_t = 2)]
    clients: usize,
    /// Alternating runs
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Contenders
    #[arg(long, value_delimiter = ',', default_value = "plainview,victoria-metrics,influxdb")]
    peers: Vec<String>,
    /// Lines in one body
    #[arg(long, default_value_t = 10_000)]
    lines: usize,
}

/// What one run of one contender came to.
struct Run {
    wall: f64,
    cpu: f64,
    cpu_settled: f64,
    memory: f64,
    bytes: f64,
    bytes_settled: f64,
    bytes_of_readings: f64,
}

impl Ingest {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let bodies = Arc::new(self.bodies());
        let readings = (self.sensors as i64 * self.seconds) as f64;
        let mut lines: Vec<Line> = Vec::new();
        for _ in 0..self.runs {
            for (index, peer) in self.peers.iter().enumerate() {
                let server = start(peer)?;
                let run = self.send(&server, &bodies)?;
                if index == lines.len() {
                    let (who, settings) = (server.who.clone(), server.settings.clone());
                    lines.push(Line { who, settings, runs: Vec::new() });
                }
                lines[index].runs.push(vec![
                    readings / run.wall,
                    readings / run.cpu,
                    readings / run.cpu_settled,
                    run.memory,
                    run.bytes / readings,
                    run.bytes_settled / readings,
                    run.bytes_of_readings / readings,
                ]);
            }
        }
        self.report(lines).publish()
    }

    fn bodies(&self) -> Vec<Vec<u8>> {
        let seconds = (self.lines / self.sensors).max(1) as i64;
        let mut plant = Plant::new(self.sensors, 0);
        (0..self.seconds / seconds).map(|_| plant.lines(seconds)).collect()
    }

    fn send(&self, server: &Server, bodies: &Arc<Vec<Vec<u8>>>) -> anyhow::Result<Run> {
        let path = write_path(&server.who);
        // Everybody knows the sensors before the clock starts; the measured work is readings.
        let mut first = server.connect()?;
        let known = Plant::new(self.sensors, -60).lines(1);
        let answer = first.post(path, &known)?;
        ensure!(answer.status / 100 == 2, "{}: {}", answer.status, text(&answer.body));
        until_idle(server.pid(), Duration::from_secs(20))?;
        let (before, begun) = (server.cpu_seconds()?, Instant::now());
        let next = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..self.clients)
            .map(|_| {
                let (bodies, next) = (Arc::clone(bodies), Arc::clone(&next));
                let mut connection = server.connect()?;
                Ok(thread::spawn(move || -> anyhow::Result<()> {
                    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                        deliver(&mut connection, path, body)?;
                    }
                    Ok(())
                }))
            })
            .collect::<anyhow::Result<_>>()?;
        for client in clients {
            match client.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a client panicked"),
            }
        }
        let wall = begun.elapsed().as_secs_f64();
        let cpu = server.cpu_seconds()? - before;
        let bytes = server.bytes_on_disk()? as f64;
        until_idle(server.pid(), SETTLE)?;
        // What each of them does once it is quiet belongs to the work.
        thread::sleep(REST);
        until_idle(server.pid(), SETTLE)?;
        let cpu_settled = server.cpu_seconds()? - before;
        // Not work but waiting, which only one of them is made to do.
        until_log_is_away(server)?;
        let (_, memory) = memory_mb(server.pid())?;
        let bytes_settled = server.bytes_on_disk()? as f64;
        let bytes_of_readings = server.bytes_of_readings()? as f64;
        Ok(Run { wall, cpu, cpu_settled, memory, bytes, bytes_settled, bytes_of_readings })
    }

    fn report(&self, lines: Vec<Line>) -> Report {
        let mut report = Report {
            name: "ingest",
            work: format!(
                "{} sensors × {} readings as line protocol over HTTP, bodies of {} lines, {} clients",
                self.sensors, self.seconds, self.lines, self.clients
            ),
            columns: vec![
                "readings/s wall",
                "per CPU-s sending",
                "per CPU-s settled",
                "peak MB",
                "bytes/reading now",
                "settled",
                "readings and log",
            ],
            lines,
            says: Vec::new(),
        };
        for peer in 1..report.lines.len() {
            let (sending, settled) = (
                report.median(0, 1) / report.median(peer, 1),
                report.median(0, 2) / report.median(peer, 2),
            );
            report.says.push(format!(
                "per CPU-second {sending:.2} × {} while sending, {settled:.2} × until settled",
                report.lines[peer].who
            ));
        }
        report
    }
}

/// Waits until nothing is left in the log of readings.
fn until_log_is_away(server: &Server) -> anyhow::Result<()> {
    let begun = Instant::now();
    while server.token.is_some() && begun.elapsed() < LOG {
        let said = server.connect()?.get("/metrics")?;
        if text_has_line(&said.body, "series_log_bytes 0") {
            // The file follows within a moment.
            thread::sleep(Duration::from_secs(2));
            return Ok(());
        }
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

fn text_has_line(body: &[u8], wanted: &str) -> bool {
    body.split(|byte| *byte == b'\n').any(|line| line == wanted.as_bytes())
}

pub(crate) fn deliver(
    connection: &mut crate::http::Connection,
    path: &str,
    body: &[u8],
) -> anyhow::Result<()> {
    loop {
        let answer = connection.post(path, body)?;
        match answer.status {
            200 | 204 => return Ok(()),
            429 | 503 => {
                let pause = answer.retry_after.unwrap_or(1.0);
                thread::sleep(Duration::from_secs_f64(pause));
            }
            other => bail!("{other}: {}", text(&answer.body)),
        }
    }
}

pub(crate) fn start(peer: &str) -> anyhow::Result<Server> {
    match peer {
        "plainview" => Server::plainview(&[]),
        "victoria-metrics" => Server::victoria_metrics(),
        "influxdb" => Server::influx(),
        other => bail!("no contender is called `{other}`"),
    }
}

pub(crate) fn write_path(who: &str) -> &'static str {
    if who.starts_with("InfluxDB") { "/write?db=bench&precision=ms" } else { "/write?precision=ms" }
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(300).collect()
}
