//! Far more than a server can take, for minutes: memory, push-back, loss and lag.

use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::Value;

use crate::data::START_MS;
use crate::load::Senders;
use crate::measure::{memory_mb, until_idle};
use crate::report::{Line, Report};
use crate::server::Server;

/// Floods Plainview and then counts what it kept.
#[derive(Args)]
pub(crate) struct Flood {
    /// Seconds
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Clients, each as fast as it can
    #[arg(long, default_value_t = 20)]
    clients: usize,
    /// Sensors of each client
    #[arg(long, default_value_t = 500)]
    sensors: usize,
}

impl Flood {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let server = Server::plainview(&[])?;
        let senders = Senders::start(&server, self.clients, self.sensors)?;
        let begun = Instant::now();
        let mut watch = server.connect()?;
        let mut memory = Vec::new();
        let mut lag_max: f64 = 0.0;
        while begun.elapsed() < Duration::from_secs(self.seconds) {
            thread::sleep(Duration::from_secs(1));
            memory.push(memory_mb(server.pid())?.0);
            lag_max = lag_max.max(lag(&mut watch)?);
        }
        let seconds = begun.elapsed().as_secs_f64();
        let seen = senders.stop()?;
        let stopped = Instant::now();
        while lag(&mut watch)? > 0.0 && stopped.elapsed() < Duration::from_secs(300) {
            thread::sleep(Duration::from_millis(100));
        }
        let caught_up = stopped.elapsed().as_secs_f64();
        until_idle(server.pid(), Duration::from_secs(120))?;
        let acknowledged = seen.acknowledged.load(Relaxed);
        let stored = self.stored(&server)?;
        let quarter = memory.len() / 4;
        let (early, late) = (
            crate::measure::median(&memory[quarter..2 * quarter]),
            crate::measure::median(&memory[3 * quarter..]),
        );
        let run = vec![
            acknowledged as f64 / seconds,
            seen.pushed_back.load(Relaxed) as f64,
            acknowledged as f64 - stored as f64,
            early,
            late,
            lag_max,
            caught_up,
        ];
        let says = vec![format!(
            "{} of {} push-backs said when to come back, {} bodies failed otherwise",
            seen.with_retry_after.load(Relaxed),
            seen.pushed_back.load(Relaxed),
            seen.failed.load(Relaxed)
        )];
        let who = server.who.clone();
        Report {
            name: "flood",
            work: format!(
                "{} clients × {} sensors without a pause for {} s",
                self.clients, self.sensors, self.seconds
            ),
            columns: vec![
                "readings/s",
                "pushed back",
                "acked, not stored",
                "MB second quarter",
                "MB last quarter",
                "lag max, batches",
                "caught up after s",
            ],
            lines: vec![Line { who, settings: server.settings.clone(), runs: vec![run] }],
            says,
        }
        .publish()
    }

    fn stored(&self, server: &Server) -> anyhow::Result<u64> {
        let mut connection = server.connect()?;
        let mut sum = 0;
        for client in 0..self.clients {
            let from = START_MS / 1_000;
            let question = format!(
                "/api/v1/sensors/aggregate?site=s{client}&from={from}&to={}&width=1d",
                from + 40 * 86_400
            );
            let answer = connection.get(&question)?;
            ensure!(answer.status == 200, "{}", String::from_utf8_lossy(&answer.body));
            let body: Value = serde_json::from_slice(&answer.body)?;
            let buckets = body["buckets"].as_array().context("no buckets")?;
            sum += buckets.iter().filter_map(|b| b["count"].as_u64()).sum::<u64>();
        }
        Ok(sum)
    }
}

/// Batches that the detectors have not seen yet.
fn lag(connection: &mut crate::http::Connection) -> anyhow::Result<f64> {
    let answer = connection.get("/api/v1/flow/metrics")?;
    let body: Value = serde_json::from_slice(&answer.body)?;
    body["detector_lag_batches"].as_f64().context("no lag in /flow/metrics")
}
