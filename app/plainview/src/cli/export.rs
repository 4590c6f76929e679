use std::fs::{self, File};
use std::io::{BufWriter, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use kernel::{Clock, SystemClock, Timestamp};
use serde_json::json;
use tables::{ArrowDecoder, Decoded, Encoder, Format, Legend, ReadingRows};

use super::output;
use super::remote::{Link, Remote};
use super::selection::{Period, Sensor, sensors};

/// Sensors in one question, and so one stretch of a file.
const SENSORS_ASKED: usize = 50;
/// Times an answer that broke off is taken up again where it ended.
const RESUMES_MAX: u32 = 8;
const DAY: Duration = Duration::from_secs(86_400);
const TICK: Duration = Duration::from_micros(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Parquet,
    Csv,
    Arrow,
}

impl Kind {
    fn format(self) -> Format {
        match self {
            Self::Parquet => Format::Parquet,
            Self::Csv => Format::Csv,
            Self::Arrow => Format::ArrowFile,
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
        }
    }

    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            "arrow" | "feather" => Some(Self::Arrow),
            _ => None,
        }
    }
}

/// Writes readings of a running Plainview to files.
///
/// Readings come day by day (UTC), in each day sensor by sensor, in each sensor in order of time.
#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    period: Period,
    /// Only these sensors; may come several times, and `*` stands for any characters
    #[arg(long = "sensor")]
    sensors: Vec<String>,
    /// Told by the name of the file when left out
    #[arg(long)]
    format: Option<Kind>,
    /// A file, or a directory that gets a file per day
    #[arg(long)]
    out: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    remote: Remote,
}

type Table = Encoder<ReadingRows, BufWriter<File>>;

/// The work under way.
struct Work<'a> {
    link: &'a Link,
    sensors: &'a [Sensor],
    bar: ProgressBar,
    readings: u64,
    files: Vec<PathBuf>,
}

impl Export {
    pub(super) async fn run(&self, json: bool) -> anyhow::Result<()> {
        let is_dir = self.out.is_dir() || self.out.to_string_lossy().ends_with('/');
        let kind = match (self.format, is_dir) {
            (Some(kind), _) => kind,
            (None, true) => Kind::Parquet,
            (None, false) => Kind::of(&self.out)
                .context("--format is needed: the name of the file does not tell it")?,
        };
        let (from, to) = self.period.resolve(SystemClock::new().now(), None)?;
        let link = self.remote.link()?;
        let found = sensors(&link, &self.sensors).await?;
        anyhow::ensure!(!found.is_empty(), "there is no sensor yet");
        let days = match first_reading(&link, &found, from, to).await? {
            Some(first) => days(first, to),
            None => Vec::new(),
        };
        let bar = progress(days.len());
        let mut work = Work { link: &link, sensors: &found, bar, readings: 0, files: Vec::new() };
        if is_dir {
            self.per_day(&mut work, kind, &days).await?;
        } else {
            let file = self.create(&self.out)?;
            let mut table = work.table(file.open()?, kind)?;
            for day in &days {
                work.day(&mut table, *day).await?;
            }
            work.files.push(file.finish(table)?);
        }
        work.bar.finish_and_clear();
        self.report(&work, (from, to), json);
        Ok(())
    }

    async fn per_day(
        &self,
        work: &mut Work<'_>,
        kind: Kind,
        days: &[(Timestamp, Timestamp)],
    ) -> anyhow::Result<()> {
        fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot make {}", self.out.display()))?;
        for day in days {
            let date: String = day.0.to_string().chars().take(10).collect();
            let name = format!("readings-{date}.{}", kind.extension());
            let file = self.create(&self.out.join(name))?;
            let before = work.readings;
            let mut table = work.table(file.open()?, kind)?;
            work.day(&mut table, *day).await?;
            // A day without readings gets no file.
            if work.readings > before {
                work.files.push(file.finish(table)?);
            }
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> anyhow::Result<Unfinished> {
        anyhow::ensure!(
            self.force || !path.exists(),
            "{} is there already; --force replaces it",
            path.display()
        );
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        Ok(Unfinished { part: path.with_file_name(name), path: path.to_owned() })
    }

    fn report(&self, work: &Work<'_>, (from, to): (Timestamp, Timestamp), json: bool) {
        let bytes: u64 =
            work.files.iter().filter_map(|path| fs::metadata(path).ok()).map(|m| m.len()).sum();
        if json {
            let said = json!({
                "readings": work.readings,
                "sensors": work.sensors.len(),
                "files": work.files,
                "bytes": bytes,
                "from": from,
                "to": to,
            });
            output::print(&said.to_string());
        } else {
            output::print(&format!(
                "{} readings of {} sensors, {bytes} bytes in {} under {}",
                work.readings,
                work.sensors.len(),
                if work.files.len() == 1 {
                    "1 file".to_owned()
                } else {
                    format!("{} files", work.files.len())
                },
                self.out.display()
            ));
        }
    }
}

/// A file that gets its name only once it is whole; dropped before, it goes away.
struct Unfinished {
    part: PathBuf,
    path: PathBuf,
}

impl Unfinished {
    fn open(&self) -> anyhow::Result<File> {
        File::create(&self.part).with_context(|| format!("cannot write {}", self.part.display()))
    }

    fn finish(self, table: Table) -> anyhow::Result<PathBuf> {
        let file = table.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&self.part, &self.path)
            .with_context(|| format!("cannot name {}", self.path.display()))?;
        Ok(self.path.clone())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Renamed when it is whole; then there is nothing left to remove.
        drop(fs::remove_file(&self.part));
    }
}

impl Work<'_> {
    fn table(&self, file: File, kind: Kind) -> anyhow::Result<Table> {
        let legend = self.sensors.iter().map(|s| (s.key.clone(), s.unit.clone())).collect();
        Ok(Encoder::new(BufWriter::new(file), kind.format(), Legend::new(legend))?)
    }

    async fn day(
        &mut self,
        table: &mut Table,
        (from, to): (Timestamp, Timestamp),
    ) -> anyhow::Result<()> {
        for first in (0..self.sensors.len()).step_by(SENSORS_ASKED) {
            let last = (first + SENSORS_ASKED).min(self.sensors.len());
            self.some(table, first..last, (from, to)).await?;
        }
        self.bar.inc(1);
        Ok(())
    }

    /// The readings of some sensors. An answer that breaks off is asked for again from where it
    /// ended: first the rest of the sensor that was on its way, then the sensors after it.
    async fn some(
        &mut self,
        table: &mut Table,
        places: std::ops::Range<usize>,
        (from, to): (Timestamp, Timestamp),
    ) -> anyhow::Result<()> {
        let mut resumes = 0;
        let mut parts = vec![(places, from)];
        while let Some((places, from)) = parts.pop() {
            let mut reached = None;
            let query = query(&self.sensors[places.clone()], from, to);
            let answer = self.link.get("/api/v1/sensors/readings", &query).await?;
            let read = self.take(answer, table, places.clone(), &mut reached).await;
            let Err(error) = read else { continue };
            resumes += 1;
            if resumes > RESUMES_MAX {
                return Err(error);
            }
            match reached {
                None => parts.push((places, from)),
                Some((place, at)) => {
                    if place + 1 < places.end {
                        parts.push((place + 1..places.end, from));
                    }
                    parts.push((place..place + 1, at.plus(TICK)));
                }
            }
        }
        Ok(())
    }

    async fn take(
        &mut self,
        answer: reqwest::Response,
        table: &mut Table,
        places: std::ops::Range<usize>,
        reached: &mut Option<(usize, Timestamp)>,
    ) -> anyhow::Result<()> {
        let mut parts = answer.bytes_stream();
        let mut decoder = ArrowDecoder::new();
        while let Some(part) = parts.next().await {
            decoder.take(part?, |batch| {
                let rows = rows(&batch, self.sensors, places.clone(), reached)?;
                self.readings += rows.len() as u64;
                table.write(&rows)
            })?;
            self.bar.set_message(format!("{} readings", self.readings));
        }
        Ok(decoder.finish()?)
    }
}

fn query(asked: &[Sensor], from: Timestamp, to: Timestamp) -> Vec<(&'static str, String)> {
    let mut query: Vec<_> = asked.iter().map(|s| ("sensor", s.key.to_string())).collect();
    query.extend([
        ("from", from.to_string()),
        ("to", to.to_string()),
        ("format", "arrow".to_owned()),
    ]);
    query
}

/// The batch in terms of the legend of the whole file.
fn rows(
    batch: &Decoded,
    sensors: &[Sensor],
    places: std::ops::Range<usize>,
    reached: &mut Option<(usize, Timestamp)>,
) -> Result<ReadingRows, tables::TablesError> {
    let mut rows = ReadingRows::with_capacity(batch.at.len());
    let mut place = reached.map_or(places.start, |(place, _)| place);
    for (row, key) in batch.sensor.iter().enumerate() {
        while sensors.get(place).filter(|_| place < places.end).is_some_and(|s| s.key != *key) {
            place += 1;
        }
        if place >= places.end {
            return Err(tables::TablesError::Shape("a sensor that was not asked for"));
        }
        let at = u32::try_from(place).unwrap_or(u32::MAX);
        rows.push(at, batch.at[row], batch.value[row], batch.quality[row]);
        *reached = Some((place, batch.at[row]));
    }
    Ok(rows)
}

/// The time of the first reading of any of the sensors; days before it hold nothing.
async fn first_reading(
    link: &Link,
    sensors: &[Sensor],
    from: Timestamp,
    to: Timestamp,
) -> anyhow::Result<Option<Timestamp>> {
    let mut first: Option<Timestamp> = None;
    for asked in sensors.chunks(SENSORS_ASKED) {
        let query = [query(asked, from, to), vec![("limit", "1".to_owned())]].concat();
        let bytes = link.get("/api/v1/sensors/readings", &query).await?.bytes().await?;
        ArrowDecoder::new().take(bytes, |batch| {
            first = first.into_iter().chain(batch.at).min();
            Ok(())
        })?;
    }
    Ok(first)
}

/// The stretch cut at midnight UTC.
fn days(from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let day = i64::try_from(DAY.as_micros()).unwrap_or(i64::MAX);
    let mut days = Vec::new();
    let mut start = from;
    while start < to {
        let midnight = Timestamp::from_micros((start.as_micros().div_euclid(day) + 1) * day);
        days.push((start, midnight.min(to)));
        start = midnight;
    }
    days
}

/// A bar where a person looks on; nothing in a pipe.
fn progress(days: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(days as u64);
    match ProgressStyle::with_template("{bar:40} {pos}/{len} days, {msg} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_cut_at_midnight() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (from, to) = (at("2026-02-27T22:00:00Z"), at("2026-03-01T00:00:00Z"));
        let midnight = at("2026-02-28T00:00:00Z");
        assert_eq!(days(from, to), [(from, midnight), (midnight, to)]);
        assert_eq!(days(midnight, at("2026-02-28T00:00:01Z")).len(), 1);
        assert!(days(to, to).is_empty());
    }

    #[test]
    fn a_batch_goes_on_where_the_last_one_ended() {
        let sensor = |key: &str| Sensor { key: key.parse().unwrap(), unit: None };
        let sensors = ["a/b/a", "a/b/b", "a/b/c"].map(sensor);
        let batch = |keys: &[&str]| Decoded {
            sensor: keys.iter().map(|key| key.parse().unwrap()).collect(),
            at: (0..keys.len()).map(|n| Timestamp::from_secs(n as i64)).collect(),
            value: vec![1.0; keys.len()],
            quality: vec![kernel::Quality::Good; keys.len()],
        };
        let mut reached = None;
        assert_eq!(
            rows(&batch(&["a/b/a", "a/b/b"]), &sensors, 0..3, &mut reached).unwrap().len(),
            2
        );
        assert_eq!(reached, Some((1, Timestamp::from_secs(1))));
        assert!(rows(&batch(&["a/b/b", "a/b/c"]), &sensors, 0..3, &mut reached).is_ok());
        assert!(rows(&batch(&["a/b/a"]), &sensors, 0..3, &mut reached).is_err());
    }
}
