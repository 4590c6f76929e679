//! How fast the embedded series store takes, seals, opens and answers on this machine.
//!
//! `cargo run --release -p store --example series_throughput -- [DIR] [SECONDS] [PART,…]`
//!
//! The parts, all by default:
//!
//! - `ingest`: 1,000 series at 1 Hz with up to 4 ms of jitter and values that walk in steps of
//!   0.01, sent in durable batches of 10,000 readings by two callers at once; sealing, single
//!   appends, bytes on disk, means over all readings;
//! - `late`: the same with one reading in ten up to ten minutes late;
//! - `year`: a year of one sensor at 1 Hz, summarised into 1,000 buckets;
//! - `history`: the same questions over a history of 1, 10 and 100 days;
//! - `sensors`: the same readings over 1,000, 10,000, 100,000 and 1,000,000 sensors.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use kernel::{SensorKey, SystemClock, Timestamp};
use store::series::embedded::{Embedded, EmbeddedOptions};
use store::series::{Batch, Series, SeriesError, SeriesId, Span};

const SERIES: usize = 1_000;
const SECONDS_PER_BATCH: i64 = 10;
const CALLERS: usize = 2;
const SINGLE_CALLERS: usize = 64;
const SINGLES: usize = 200;
/// 2026-11-19T00:00:00Z
const START: i64 = 1_795_046_400_000_000;
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
const HOUR: Duration = Duration::from_secs(3_600);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments
        .next()
        .map_or_else(|| std::env::temp_dir().join("series_throughput"), PathBuf::from);
    let seconds: i64 = arguments.next().map_or(Ok(4_000), |text| text.parse())?;
    let parts = arguments.next().unwrap_or_else(|| "ingest,late,year,history,sensors".to_owned());
    let mut out = std::io::stdout().lock();
    if dir.exists() {
        return Err(format!("{} exists; name a new directory", dir.display()).into());
    }
    for part in parts.split(',') {
        let dir = dir.join(part);
        match part {
            "ingest" => {
                let plain = ingest(&dir, seconds, 0, &mut out).await?;
                writeln!(out, "total    {plain:.2} s for ingest and seal")?;
            }
            "late" => {
                let late = ingest(&dir, seconds, 10, &mut out).await?;
                writeln!(out, "total    {late:.2} s for ingest and seal with 10 % late readings")?;
            }
            "year" => year(&dir, &mut out).await?,
            "history" => history(&dir, &mut out).await?,
            "sensors" => sensors(&dir, &mut out).await?,
            other => return Err(format!("there is no part `{other}`").into()),
        }
        std::fs::remove_dir_all(dir)?;
    }
    Ok(())
}

/// Returns the seconds that ingest and sealing took together.
async fn ingest(dir: &Path, seconds: i64, late: u64, out: &mut impl Write) -> Outcome<f64> {
    let options = EmbeddedOptions::new(dir, SystemClock::shared());
    let store = Embedded::open(options.clone())?;
    let ids = register(&store, SERIES).await?;
    let batches: Arc<Vec<Batch>> = Arc::new(make(&ids, seconds, late));
    let readings = (seconds as usize * SERIES) as f64;

    let busy = Arc::new(AtomicI64::new(0));
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (store, batches, busy) =
                (Arc::clone(&store), Arc::clone(&batches), Arc::clone(&busy));
            tokio::spawn(async move { send(&store, &batches, caller, &busy).await })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for caller in callers {
        slowest = slowest.max(caller.await??);
    }
    let (appended, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let mega = readings / 1e6;
    writeln!(
        out,
        "append   {:.2} M readings/s wall, {:.2} M per CPU-second, {} commits, slowest ack {slowest:?}, busy {} times",
        mega / appended,
        mega / cpu,
        store.commits(),
        busy.load(Relaxed)
    )?;
    drop(batches);

    let (seal, cpu) = (Instant::now(), cpu_seconds());
    let waiting = store.unsealed_points() as f64 / 1e6;
    store.seal_now().await?;
    writeln!(
        out,
        "seal     {:.2} M readings/s wall, {:.2} M per CPU-second, for the {waiting:.2} M still waiting",
        waiting / seal.elapsed().as_secs_f64(),
        waiting / (cpu_seconds() - cpu)
    )?;
    let total = appended + seal.elapsed().as_secs_f64();
    writeln!(out, "resident {:.0} MB", resident_mb())?;
    let days: u64 = sizes(&dir.join("days"))?;
    writeln!(out, "disk     {:.3} bytes per reading in day files", days as f64 / readings)?;
    ask(&store, &ids, seconds, out).await?;
    if late > 0 {
        return Ok(total);
    }

    singles(&store, &ids, out).await?;
    let settle = Instant::now();
    store.settle().await?;
    writeln!(out, "merge    {:?}", settle.elapsed())?;
    drop(store);
    let wall = Instant::now();
    let store = Embedded::open(options)?;
    writeln!(out, "open     {:?}", wall.elapsed())?;
    let days: u64 = sizes(&dir.join("days"))?;
    writeln!(
        out,
        "disk     {:.3} bytes per reading in day files when merged, {:.1} MB in all",
        days as f64 / readings,
        (sizes(dir)? + days) as f64 / 1e6
    )?;
    ask(&store, &ids, seconds, out).await?;
    Ok(total)
}

async fn register(store: &Embedded, count: usize) -> Outcome<Vec<SeriesId>> {
    let keys: Result<Vec<_>, _> =
        (0..count).map(|i| SensorKey::new(&format!("north/p-{}/m-{i}", i / 10))).collect();
    let mut ids = Vec::with_capacity(count);
    for some in keys?.chunks(10_000) {
        ids.extend(store.register(some).await?);
    }
    Ok(ids)
}

/// Pseudo-random numbers, the same in each run.
fn numbers() -> impl FnMut() -> u64 {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    }
}

fn span(from: i64, to: i64) -> Span {
    Span { from: Timestamp::from_micros(from), to: Timestamp::from_micros(to) }
}

/// Appends what may have to wait for the sealer.
async fn patient(store: &Embedded, batch: Batch) -> Outcome<()> {
    loop {
        match store.append(batch.clone()).await {
            Ok(_) => return Ok(()),
            Err(SeriesError::Busy { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Stores whole days of some sensors at 1 Hz, ending at [`START`].
async fn fill(store: &Embedded, ids: &[SeriesId], days: i64) -> Outcome<()> {
    let mut next = numbers();
    let mut level = vec![5_000i64; ids.len()];
    for hour in 0..days * 24 {
        let first = START - days * DAY + hour * 3_600 * SECOND;
        let mut batch = Batch { received: Timestamp::from_micros(START), ..Batch::default() };
        for second in 0..3_600 {
            for (id, level) in ids.iter().zip(&mut level) {
                *level += (next() % 3) as i64 - 1;
                let jitter = (next() % 5) as i64 * 1_000;
                batch.series.push(*id);
                batch.at.push(first + second * SECOND + jitter);
                batch.value.push(*level as f64 / 100.0);
                batch.quality.push(0);
            }
        }
        patient(store, batch).await?;
    }
    Ok(store.settle().await?)
}

async fn year(dir: &Path, out: &mut impl Write) -> Outcome<()> {
    const DAYS: i64 = 365;
    let options = EmbeddedOptions::new(dir, SystemClock::shared());
    let store = Embedded::open(options.clone())?;
    let ids = register(&store, 1).await?;
    fill(&store, &ids, DAYS).await?;
    let bytes = sizes(&dir.join("days"))?;
    drop(store);
    let store = Embedded::open(options)?;
    let asked = span(START - DAYS * DAY, START);
    let thousandth = Duration::from_micros((DAYS * DAY / 1_000) as u64);
    let wanted = (DAYS * 86_400) as u64;
    for (name, width) in [("1,000 buckets", thousandth), ("1-hour", HOUR), ("1-day", HOUR * 24)] {
        for round in ["cold", "warm", "warm"] {
            let wall = Instant::now();
            let buckets = store.buckets(ids[0], asked, width).await?;
            let wall = wall.elapsed();
            let count: u64 = buckets.iter().map(|bucket| bucket.count).sum();
            assert_eq!(count, wanted, "every reading counts once");
            writeln!(out, "year     {name} of {count} readings: {wall:?} ({round})")?;
        }
    }
    writeln!(out, "disk     {:.3} bytes per reading", bytes as f64 / wanted as f64)?;
    Ok(())
}

async fn history(dir: &Path, out: &mut impl Write) -> Outcome<()> {
    const SENSORS: usize = 4;
    for days in [1, 10, 100] {
        let dir = dir.join(days.to_string());
        let store = Embedded::open(EmbeddedOptions::new(&dir, SystemClock::shared()))?;
        let ids = register(&store, SENSORS).await?;
        fill(&store, &ids, days).await?;
        let last_hour = span(START - 3_600 * SECOND, START);
        let last_day = span(START - DAY, START);
        let raw = median(async || Ok(store.range(ids[1], last_hour, 10_000).await?.len())).await?;
        let minutes = median(async || {
            Ok(store.buckets(ids[1], last_day, Duration::from_secs(60)).await?.len())
        });
        let minutes = minutes.await?;
        let latest = median(async || Ok(store.latest(&ids).await?.len())).await?;
        writeln!(
            out,
            "history  {days} days: an hour raw {raw:?}, a day in minutes {minutes:?}, latest {latest:?}, resident {:.0} MB",
            resident_mb()
        )?;
    }
    Ok(())
}

/// The median of some rounds.
async fn median<F: AsyncFn() -> Outcome<usize>>(work: F) -> Outcome<Duration> {
    const ROUNDS: usize = 21;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let wall = Instant::now();
        let found = work().await?;
        assert!(found > 0, "there is an answer");
        rounds.push(wall.elapsed());
    }
    rounds.sort_unstable();
    Ok(rounds[ROUNDS / 2])
}

async fn sensors(dir: &Path, out: &mut impl Write) -> Outcome<()> {
    const READINGS: usize = 4_000_000;
    const PER_BATCH: usize = 10_000;
    for count in [1_000usize, 10_000, 100_000, 1_000_000] {
        let dir = dir.join(count.to_string());
        let before = resident_mb();
        let options = EmbeddedOptions::new(&dir, SystemClock::shared());
        let store = Embedded::open(options.clone())?;
        let wall = Instant::now();
        let ids = register(&store, count).await?;
        let registered = wall.elapsed();
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        let mut next = numbers();
        for first in (0..READINGS).step_by(PER_BATCH) {
            let mut batch = Batch { received: Timestamp::from_micros(START), ..Batch::default() };
            for i in first..first + PER_BATCH {
                let round = (i / count) as i64;
                batch.series.push(ids[i % count]);
                batch.at.push(START + round * SECOND + (next() % 5) as i64 * 1_000);
                batch.value.push((next() % 10_000) as f64 / 100.0);
                batch.quality.push(0);
            }
            patient(&store, batch).await?;
        }
        store.seal_now().await?;
        let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let some: Vec<SeriesId> = ids.iter().step_by(count / 1_000).copied().collect();
        let latest = median(async || Ok(store.latest(&some).await?.len())).await?;
        let all = median(async || Ok(store.latest(&ids).await?.len())).await?;
        let resident = resident_mb();
        drop(store);
        let bytes = sizes(&dir.join("days"))? as f64 / READINGS as f64;
        let open = Instant::now();
        drop(Embedded::open(options)?);
        writeln!(
            out,
            "sensors  {count}: registered in {registered:?}, {:.2} M readings/s wall and {:.2} M per CPU-second with sealing, {bytes:.2} bytes per reading, latest of 1,000 {latest:?}, of all {all:?}, open {:?}, resident {resident:.0} MB ({before:.0} before)",
            READINGS as f64 / 1e6 / wall,
            READINGS as f64 / 1e6 / cpu,
            open.elapsed(),
        )?;
    }
    Ok(())
}

/// Batches of all series; with `late`, so many readings in a hundred are up to ten minutes late.
fn make(ids: &[SeriesId], seconds: i64, late: u64) -> Vec<Batch> {
    let mut next = numbers();
    let mut levels = vec![5_000i64; ids.len()];
    let mut delayed: BTreeMap<i64, Vec<(SeriesId, i64, f64)>> = BTreeMap::new();
    let mut batches: Vec<Batch> = (0..seconds / SECONDS_PER_BATCH)
        .map(|step| {
            let mut batch = Batch { received: Timestamp::from_micros(START), ..Batch::default() };
            for second in 0..SECONDS_PER_BATCH {
                for (id, level) in ids.iter().zip(&mut levels) {
                    *level += (next() % 3) as i64 - 1;
                    let jitter = (next() % 5) as i64 * 1_000;
                    let at = START + (step * SECONDS_PER_BATCH + second) * SECOND + jitter;
                    let value = *level as f64 / 100.0;
                    if late > 0 && next() % 100 < late {
                        let then = step + 1 + (next() % 60) as i64;
                        delayed.entry(then).or_default().push((*id, at, value));
                    } else {
                        push(&mut batch, *id, at, value);
                    }
                }
            }
            for (id, at, value) in delayed.remove(&step).unwrap_or_default() {
                push(&mut batch, id, at, value);
            }
            batch
        })
        .collect();
    let left = delayed.into_values().flatten();
    if let Some(last) = batches.last_mut() {
        left.for_each(|(id, at, value)| push(last, id, at, value));
    }
    batches
}

fn push(batch: &mut Batch, id: SeriesId, at: i64, value: f64) {
    batch.series.push(id);
    batch.at.push(at);
    batch.value.push(value);
    batch.quality.push(0);
}

/// Sends every `CALLERS`th batch; returns the slowest acknowledgement.
async fn send(
    store: &Embedded,
    batches: &[Batch],
    caller: usize,
    busy: &AtomicI64,
) -> Outcome<Duration> {
    let mut slowest = Duration::ZERO;
    for batch in batches.iter().skip(caller).step_by(CALLERS) {
        loop {
            let started = Instant::now();
            match store.append(batch.clone()).await {
                Ok(_) => {
                    slowest = slowest.max(started.elapsed());
                    break;
                }
                Err(SeriesError::Busy { .. }) => {
                    busy.fetch_add(1, Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(slowest)
}

async fn singles(store: &Arc<Embedded>, ids: &[SeriesId], out: &mut impl Write) -> Outcome<()> {
    let (wall, commits) = (Instant::now(), store.commits());
    let callers: Vec<_> = (0..SINGLE_CALLERS)
        .map(|caller| {
            let (store, id) = (Arc::clone(store), ids[caller]);
            tokio::spawn(async move {
                for i in 0..SINGLES as i64 {
                    let batch = Batch {
                        series: vec![id],
                        at: vec![START + 80_000 * SECOND + i],
                        value: vec![1.0],
                        quality: vec![0],
                        ..Batch::default()
                    };
                    store.append(batch).await?;
                }
                Ok::<_, SeriesError>(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    let sent = (SINGLE_CALLERS * SINGLES) as f64;
    writeln!(
        out,
        "single   {:.0} durable appends/s from {SINGLE_CALLERS} callers, {:.1} per commit",
        sent / wall.elapsed().as_secs_f64(),
        sent / (store.commits() - commits) as f64
    )?;
    Ok(())
}

async fn ask(
    store: &Arc<Embedded>,
    ids: &[SeriesId],
    seconds: i64,
    out: &mut impl Write,
) -> Outcome<()> {
    let asked = span(START, START + (seconds + 1) * SECOND);
    let wanted = seconds as u64 * SERIES as u64;
    for (name, width) in [("1-second", 1), ("1-minute", 60), ("1-day", 86_400)] {
        let mut walls = Vec::new();
        for _ in 0..5 {
            let wall = Instant::now();
            let all = store.aggregate(ids, asked, Duration::from_secs(width)).await?;
            walls.push(wall.elapsed());
            let count: u64 = all.iter().map(|bucket| bucket.count).sum();
            assert_eq!(count, wanted, "every reading counts once");
        }
        let first = walls[0];
        walls.sort_unstable();
        writeln!(
            out,
            "buckets  {name} means over {wanted} readings: {first:?} first, {:?} median",
            walls[2]
        )?;
    }
    Ok(())
}

fn sizes(dir: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let metadata = entry?.metadata()?;
        bytes += if metadata.is_file() { metadata.len() } else { 0 };
    }
    Ok(bytes)
}

/// Processor time of this process; zero where the system does not say.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn resident_mb() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|text| text.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4_096.0 / 1e6
}
