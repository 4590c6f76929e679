use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use kernel::{CorrelationId, Reading, SensorKey};
use sense::csv::CsvReadings;
use serde::Deserialize;
use serde_json::json;
use tables::{ParquetOptions, read_parquet};
use tokio::time::Instant;

use super::output;
use super::remote::{Fault, Link, Remote};
use super::replay::row;

/// Readings or lines in one request.
const BATCH: usize = 5_000;
/// Refused rows named one by one; more are only counted.
const NAMED_MAX: usize = 20;
/// Bytes looked at to tell what a file is.
const SNIFFED: usize = 4_096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Csv,
    Parquet,
    /// Influx line protocol
    Line,
}

/// Sends a file through the ingest door of a running Plainview.
///
/// A row that cannot be taken is named, and the others are stored; the exit code then is 1.
#[derive(Args)]
pub(crate) struct Ingest {
    /// A CSV file (.csv, .csv.gz), a Parquet file, or one of line protocol; - reads from a pipe
    file: PathBuf,
    #[command(flatten)]
    remote: Remote,
    /// Told by the file itself when left out
    #[arg(long)]
    format: Option<Kind>,
    /// The sensor, for files that name none
    #[arg(long)]
    sensor: Option<SensorKey>,
    /// site/asset, for Parquet files with a column per measure
    #[arg(long)]
    prefix: Option<String>,
    /// Unit of the times in line protocol: ns, us, ms or s
    #[arg(long, default_value = "ns")]
    precision: String,
    /// Say that these readings are old: nobody is alarmed that no more of them come
    #[arg(long)]
    replayed: bool,
}

/// What the doors answer.
#[derive(Default, Deserialize)]
struct Receipt {
    #[serde(default)]
    accepted: usize,
    #[serde(default)]
    rejected: usize,
    #[serde(default)]
    errors: Vec<Fault>,
}

/// Counts what became of the rows, and names the first that were refused.
struct Tally {
    link: Link,
    correlation: CorrelationId,
    origin: &'static str,
    bar: ProgressBar,
    accepted: usize,
    rejected: usize,
    named: usize,
}

impl Ingest {
    pub(super) async fn run(&self, json: bool) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut tally = Tally {
            link: self.remote.link()?,
            correlation: CorrelationId::default(),
            origin: if self.replayed { "replayed" } else { "real" },
            bar: progress(),
            accepted: 0,
            rejected: 0,
            named: 0,
        };
        let (kind, input) = self.open()?;
        match kind {
            Kind::Csv => self.csv(&mut tally, input).await?,
            Kind::Parquet => self.parquet(&mut tally).await?,
            Kind::Line => self.lines(&mut tally, input).await?,
        }
        tally.bar.finish_and_clear();
        let took = begun.elapsed().as_secs_f64();
        if json {
            let said = json!({
                "accepted": tally.accepted,
                "rejected": tally.rejected,
                "seconds": took,
                "correlation_id": tally.correlation,
            });
            output::print(&said.to_string());
        } else {
            output::print(&format!(
                "{} readings stored, {} refused, in {took:.1} s. Correlation id {}",
                tally.accepted, tally.rejected, tally.correlation
            ));
        }
        anyhow::ensure!(tally.rejected == 0, "{} readings were refused", tally.rejected);
        Ok(())
    }

    /// The file with what it seems to be.
    fn open(&self) -> anyhow::Result<(Kind, Box<dyn BufRead + Send>)> {
        let is_pipe = self.file == Path::new("-");
        let mut input: Box<dyn BufRead + Send> = if is_pipe {
            Box::new(BufReader::with_capacity(SNIFFED, std::io::stdin()))
        } else {
            let file = File::open(&self.file)
                .with_context(|| format!("cannot open {}", self.file.display()))?;
            Box::new(BufReader::new(file))
        };
        let kind = match self.format {
            Some(kind) => kind,
            None => sniff(input.fill_buf()?),
        };
        anyhow::ensure!(
            !(is_pipe && kind == Kind::Parquet),
            "a Parquet file cannot come through a pipe: its end is read first"
        );
        Ok((kind, input))
    }

    async fn csv(
        &self,
        tally: &mut Tally,
        input: impl Read + Send + 'static,
    ) -> anyhow::Result<()> {
        let rows = CsvReadings::read(input, self.sensor.clone())
            .with_context(|| format!("{}", self.file.display()))?;
        let mut batch = Vec::with_capacity(BATCH);
        for row in rows {
            match row {
                Ok((line, reading)) => batch.push((line as u64, reading)),
                Err(fault) => tally.refuse("line", fault.row as u64, &fault.field, &fault.reason),
            }
            if batch.len() == BATCH {
                tally.send("line", &std::mem::take(&mut batch)).await?;
            }
        }
        tally.send("line", &batch).await
    }

    async fn parquet(&self, tally: &mut Tally) -> anyhow::Result<()> {
        let options = ParquetOptions {
            sensor: self.sensor.clone(),
            prefix: self.prefix.clone(),
            parse_time: sense::parse_time,
        };
        let stretches = read_parquet(File::open(&self.file)?, options)
            .with_context(|| format!("{}", self.file.display()))?;
        tally.bar.set_length(stretches.rows());
        for column in stretches.skipped() {
            output::tell(&format!("column `{column}` holds no numbers and is passed over"));
        }
        for stretch in stretches {
            let stretch = stretch.with_context(|| format!("{}", self.file.display()))?;
            for fault in &stretch.refused {
                tally.refuse("row", fault.row, &fault.field, &fault.reason);
            }
            tally.rejected += usize::try_from(stretch.refused_total)? - stretch.refused.len();
            let rows: Vec<_> = stretch.rows.into_iter().zip(stretch.readings).collect();
            for batch in rows.chunks(BATCH) {
                tally.send("row", batch).await?;
            }
        }
        Ok(())
    }

    /// The door reads the lines itself: it knows how tags become keys here.
    async fn lines(&self, tally: &mut Tally, mut input: impl BufRead) -> anyhow::Result<()> {
        let (mut body, mut lines, mut first) = (Vec::new(), 0, 1);
        loop {
            let read = input.read_until(b'\n', &mut body)?;
            lines += usize::from(read > 0);
            if lines == BATCH || (read == 0 && lines > 0) {
                tally.send_lines(std::mem::take(&mut body), &self.precision, first, lines).await?;
                first += lines;
                lines = 0;
            }
            if read == 0 {
                return Ok(());
            }
        }
    }
}

impl Tally {
    fn refuse(&mut self, what: &str, number: u64, field: &str, reason: &str) {
        self.rejected += 1;
        self.name(&format!("{what} {number}: {field}: {reason}"));
    }

    fn name(&mut self, fault: &str) {
        if self.named < NAMED_MAX {
            self.bar.suspend(|| output::tell(fault));
        }
        self.named += 1;
    }

    async fn send(&mut self, what: &str, batch: &[(u64, Reading)]) -> anyhow::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = batch.iter().map(|(_, reading)| row(reading)).collect();
        let body = serde_json::to_vec(&json!({ "readings": rows }))?;
        let path = format!("/api/v1/data/ingest?origin={}", self.origin);
        let receipt = self.receipt(&path, "application/json", body).await?;
        self.accepted += receipt.accepted;
        self.rejected += receipt.rejected;
        for fault in receipt.errors {
            // `readings[7].value`: the seventh of this batch, which the file counts otherwise.
            let place = fault.field.strip_prefix("readings[").and_then(|rest| rest.split_once(']'));
            let number = place.and_then(|(index, _)| batch.get(index.parse::<usize>().ok()?));
            match (place, number) {
                (Some((_, field)), Some((number, _))) => {
                    let field = field.trim_start_matches('.');
                    self.name(&format!("{what} {number}: {field}: {}", fault.reason));
                }
                _ => self.name(&format!("{}: {}", fault.field, fault.reason)),
            }
        }
        self.bar.inc(batch.len() as u64);
        Ok(())
    }

    async fn send_lines(
        &mut self,
        body: Vec<u8>,
        precision: &str,
        first: usize,
        lines: usize,
    ) -> anyhow::Result<()> {
        let path = format!("/api/v2/write?precision={precision}&origin={}", self.origin);
        let receipt = self.receipt(&path, "text/plain; charset=utf-8", body).await?;
        self.accepted += if receipt.rejected == 0 { lines } else { receipt.accepted };
        self.rejected += receipt.rejected;
        for fault in receipt.errors {
            let number = fault.field.strip_prefix("line ").unwrap_or(&fault.field);
            let (number, rest) = number.split_once(": ").unwrap_or((number, ""));
            let line = number.parse::<usize>().map_or(0, |line| line + first - 1);
            let field = if rest.is_empty() { String::new() } else { format!("{rest}: ") };
            self.name(&format!("line {line}: {field}{}", fault.reason));
        }
        self.bar.inc(lines as u64);
        Ok(())
    }

    /// What the door made of the body; a body of which nothing was good is a receipt too.
    async fn receipt(
        &self,
        path: &str,
        kind: &'static str,
        body: Vec<u8>,
    ) -> anyhow::Result<Receipt> {
        let answer = self.link.post(path, kind, body, &self.correlation.to_string()).await?;
        match answer.status().as_u16() {
            204 => Ok(Receipt::default()),
            200 => Ok(answer.json().await?),
            400 | 422 => {
                let text = answer.text().await?;
                let mut receipt: Receipt = serde_json::from_str(&text).unwrap_or_default();
                if receipt.errors.is_empty() {
                    bail!("the door refused: {text}");
                }
                receipt.rejected = receipt.rejected.max(receipt.errors.len());
                Ok(receipt)
            }
            _ => bail!(self.link.refusal(answer).await),
        }
    }
}

/// What the first bytes of a file say about it.
fn sniff(head: &[u8]) -> Kind {
    if head.starts_with(b"PAR1") {
        return Kind::Parquet;
    }
    let text = String::from_utf8_lossy(head);
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    // `pump,site=north value=4.6 1700000000`: the fields stand after the first space.
    let is_line = first.and_then(|line| line.split_once(' ')).is_some_and(|(series, fields)| {
        let names = series.split(',').skip(1).all(|tag| tag.contains('='));
        names && !series.is_empty() && fields.split(',').next().is_some_and(|f| f.contains('='))
    });
    if is_line { Kind::Line } else { Kind::Csv }
}

/// A bar where a person looks on; nothing in a pipe.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    match ProgressStyle::with_template("{spinner} {human_pos} rows, {per_sec}, {elapsed}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_what_it_is() {
        for (head, kind) in [
            ("PAR1\u{15}\u{4}", Kind::Parquet),
            ("timestamp,sensor,value\n", Kind::Csv),
            ("2026-01-01 00:00:00,4.6\n", Kind::Csv),
            ("# a comment\n\npump,site=north value=4.6 1700000000000000000\n", Kind::Line),
            ("pump value=4.6,other=2\n", Kind::Line),
            ("", Kind::Csv),
        ] {
            assert_eq!(sniff(head.as_bytes()), kind, "{head}");
        }
    }
}
