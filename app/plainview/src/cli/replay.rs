use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kernel::{CorrelationId, Reading};
use sense::csv::CsvReadings;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::output;
use crate::recordings;

/// Readings in one request.
const BATCH: usize = 5_000;
/// With `--speed`, readings closer than this are sent together.
const STRIDE: Duration = Duration::from_millis(200);
/// Refused rows named one by one; more are only counted.
const NAMED_MAX: usize = 20;
/// Attempts at one batch while the server is away or busy.
const ATTEMPTS_MAX: u32 = 8;

/// Sends a recording through the ingest door.
#[derive(Args)]
pub(crate) struct Replay {
    /// A CSV file (.csv or .csv.gz), or the name of a recording that comes with Plainview
    file: String,
    /// The running Plainview
    #[arg(long, default_value = "http://127.0.0.1:4000")]
    url: String,
    /// A key that may hand in readings
    #[arg(long, env = "PLAINVIEW_KEY", hide_env_values = true, default_value = "")]
    key: String,
    /// The sensor, for files that name none
    #[arg(long)]
    sensor: Option<String>,
    /// How many times faster than it was recorded; 0 sends at full speed
    #[arg(long, default_value_t = 0.0)]
    speed: f64,
    /// Joins the readings to a chain that has begun
    #[arg(long)]
    correlation: Option<CorrelationId>,
}

/// What the door answers.
#[derive(Deserialize)]
struct Receipt {
    accepted: usize,
    rejected: usize,
    #[serde(default)]
    errors: Vec<RowError>,
}

#[derive(Deserialize)]
struct RowError {
    field: String,
    reason: String,
}

#[derive(Default)]
struct Tally {
    accepted: usize,
    rejected: usize,
}

impl Replay {
    pub(super) async fn run(&self, json: bool) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.speed.is_finite() && self.speed >= 0.0,
            "--speed is a positive number, or 0 for full speed"
        );
        let readings = self.read()?;
        let Some(first) = readings.first() else { bail!("{} holds no reading", self.file) };
        let sensor = first.sensor.to_string();
        let correlation = self.correlation.unwrap_or_default();
        let begun = Instant::now();
        let tally = self.send(&readings, correlation).await?;
        let took = begun.elapsed().as_secs_f64();
        if json {
            output::print(
                &json!({
                    "sensor": sensor,
                    "accepted": tally.accepted,
                    "rejected": tally.rejected,
                    "seconds": took,
                    "correlation_id": correlation,
                })
                .to_string(),
            );
        } else {
            output::print(&format!(
                "{} readings stored, {} refused, in {took:.1} s. Correlation id {correlation}",
                tally.accepted, tally.rejected
            ));
        }
        anyhow::ensure!(tally.rejected == 0, "{} readings were refused", tally.rejected);
        Ok(())
    }

    /// The whole recording, in order of the file. Fails on the first row that cannot be read.
    fn read(&self) -> anyhow::Result<Vec<Reading>> {
        let path = PathBuf::from(&self.file);
        let (rows, unit) = if path.exists() {
            let sensor = self.sensor.as_deref().map(str::parse).transpose()?;
            let rows = CsvReadings::open(&path, sensor)
                .with_context(|| format!("cannot open {}", path.display()))?;
            (rows, None)
        } else if let Some(recording) = recordings::find(&self.file) {
            let sensor = self.sensor.as_deref().unwrap_or(recording.sensor).parse()?;
            (CsvReadings::read(recording.csv_gz, Some(sensor))?, Some(recording.unit))
        } else {
            let names: Vec<&str> = recordings::names().collect();
            bail!(
                "there is no file `{}`, and no recording of that name; there are: {}",
                self.file,
                names.join(", ")
            );
        };
        rows.map(|row| match row {
            Ok((_, mut reading)) => {
                if reading.unit.is_none() {
                    reading.unit = unit.map(str::to_owned);
                }
                Ok(reading)
            }
            Err(refusal) => {
                bail!("{}, line {}: {}: {}", self.file, refusal.row, refusal.field, refusal.reason)
            }
        })
        .collect()
    }

    async fn send(
        &self,
        readings: &[Reading],
        correlation: CorrelationId,
    ) -> anyhow::Result<Tally> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        let progress = progress(readings.len());
        let begun = Instant::now();
        let mut tally = Tally::default();
        for batch in self.batches(readings) {
            if self.speed > 0.0 {
                let (Some(first), Some(next)) = (readings.first(), batch.first()) else { continue };
                let due = next.at.since(first.at).div_f64(self.speed);
                tokio::time::sleep_until(begun + due).await;
            }
            let receipt = self.post(&client, batch, correlation).await?;
            tally.accepted += receipt.accepted;
            tally.rejected += receipt.rejected;
            for error in receipt.errors.iter().take(NAMED_MAX) {
                progress.suspend(|| output::tell(&format!("{}: {}", error.field, error.reason)));
            }
            progress.inc(batch.len() as u64);
        }
        progress.finish_and_clear();
        Ok(tally)
    }

    /// At full speed by count; else by time as well, so that the pace is that of the recording.
    fn batches<'a>(&self, readings: &'a [Reading]) -> Vec<&'a [Reading]> {
        if self.speed == 0.0 {
            return readings.chunks(BATCH).collect();
        }
        let stride = STRIDE.mul_f64(self.speed);
        let mut batches = Vec::new();
        let mut rest = readings;
        while let Some(first) = rest.first() {
            let end = first.at.plus(stride);
            let length = rest.iter().take(BATCH).take_while(|reading| reading.at < end).count();
            let (batch, after) = rest.split_at(length.max(1));
            batches.push(batch);
            rest = after;
        }
        batches
    }

    /// Sends one batch, again while the server is away or busy: readings are keyed by sensor and
    /// time, so sending them twice stores them once.
    async fn post(
        &self,
        client: &reqwest::Client,
        batch: &[Reading],
        correlation: CorrelationId,
    ) -> anyhow::Result<Receipt> {
        let body = json!({ "readings": batch.iter().map(row).collect::<Vec<_>>() });
        let mut attempt = 0;
        loop {
            attempt += 1;
            let request = client
                .post(format!("{}/api/v1/data/ingest?origin=replayed", self.url))
                .header("X-API-Key", &self.key)
                .header("X-Correlation-ID", correlation.to_string())
                .json(&body);
            let wait = match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(answer.json().await?),
                Ok(answer) if matches!(answer.status().as_u16(), 429 | 503 | 507) => {
                    retry_after(&answer)
                }
                Ok(answer) => {
                    bail!("{} said {}: {}", self.url, answer.status(), answer.text().await?)
                }
                Err(error) if attempt >= ATTEMPTS_MAX => {
                    return Err(error).with_context(|| format!("cannot reach {}", self.url));
                }
                Err(_) => Duration::from_millis(250),
            };
            anyhow::ensure!(attempt < ATTEMPTS_MAX, "{} stays too busy; try again later", self.url);
            tokio::time::sleep(wait).await;
        }
    }
}

/// A reading as the JSON door takes it.
pub(super) fn row(reading: &Reading) -> serde_json::Value {
    let mut row = json!({
        "sensor": reading.sensor,
        "timestamp": reading.at,
        "value": reading.value,
    });
    if let Some(unit) = &reading.unit {
        row["unit"] = unit.as_str().into();
    }
    if !reading.quality.is_good() {
        row["quality"] = reading.quality.class().into();
    }
    row
}

fn retry_after(answer: &reqwest::Response) -> Duration {
    let seconds = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(1).clamp(1, 30))
}

/// A bar where a person looks on; nothing in a pipe.
fn progress(readings: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} {per_sec} {eta}");
    let bar = ProgressBar::new(readings as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(speed: f64) -> Replay {
        Replay {
            file: String::new(),
            url: String::new(),
            key: String::new(),
            sensor: None,
            speed,
            correlation: None,
        }
    }

    fn readings(count: i64) -> Vec<Reading> {
        (0..count)
            .map(|second| Reading {
                sensor: "a/b/c".parse().unwrap(),
                at: kernel::Timestamp::from_secs(second),
                value: 1.0,
                quality: kernel::Quality::Good,
                unit: None,
            })
            .collect()
    }

    #[test]
    fn every_reading_is_in_exactly_one_batch_at_any_speed() {
        let readings = readings(12_345);
        for speed in [0.0, 1.0, 60.0, 1e6] {
            let batches = replay(speed).batches(&readings);
            let joined: Vec<&Reading> = batches.iter().copied().flatten().collect();
            assert_eq!(joined.len(), readings.len(), "speed {speed}");
            assert!(batches.iter().all(|batch| batch.len() <= BATCH));
        }
        assert_eq!(replay(60.0).batches(&readings)[0].len(), 12);
    }
}
