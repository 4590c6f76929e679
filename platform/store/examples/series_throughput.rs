//! How fast the embedded series store takes, seals, opens and answers on this machine.
//!
//! `cargo run --release -p store --example series_throughput -- [DIR] [READINGS_PER_SERIES]`
//!
//! 1,000 series at 1 Hz with up to 4 ms of jitter and values that walk in steps of 0.01, sent in
//! durable batches of 10,000 readings by two callers at once.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
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

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments
        .next()
        .map_or_else(|| std::env::temp_dir().join("series_throughput"), PathBuf::from);
    let seconds: i64 = arguments.next().map_or(Ok(4_000), |text| text.parse())?;
    let mut out = std::io::stdout().lock();
    if dir.exists() {
        return Err(format!("{} exists; name a new directory", dir.display()).into());
    }
    let options = EmbeddedOptions::new(&dir, SystemClock::shared());
    let store = Embedded::open(options.clone())?;
    let keys: Result<Vec<_>, _> =
        (0..SERIES).map(|i| SensorKey::new(&format!("north/p-{}/m-{i}", i / 10))).collect();
    let ids = store.register(&keys?).await?;
    let batches: Arc<Vec<Batch>> = Arc::new(make(&ids, seconds));
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
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let mega = readings / 1e6;
    writeln!(
        out,
        "append   {:.2} M readings/s wall, {:.2} M per CPU-second, {} commits, slowest ack {slowest:?}, busy {} times",
        mega / wall,
        mega / cpu,
        store.commits(),
        busy.load(Relaxed)
    )?;

    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let waiting = store.unsealed_points() as f64 / 1e6;
    store.seal_now().await?;
    writeln!(
        out,
        "seal     {:.2} M readings/s wall, {:.2} M per CPU-second, for the {waiting:.2} M still waiting",
        waiting / wall.elapsed().as_secs_f64(),
        waiting / (cpu_seconds() - cpu)
    )?;
    writeln!(out, "resident {:.0} MB", resident_mb())?;

    singles(&store, &ids, &mut out).await?;
    store.seal_now().await?;
    drop(store);
    let wall = Instant::now();
    let store = Embedded::open(options)?;
    writeln!(out, "open     {:?}", wall.elapsed())?;
    let days: u64 = sizes(&dir.join("days"))?;
    writeln!(
        out,
        "disk     {:.3} bytes per reading in day files, {:.1} MB in all",
        days as f64 / readings,
        (sizes(&dir)? + days) as f64 / 1e6
    )?;
    ask(&store, &ids, seconds, &mut out).await
}

fn make(ids: &[SeriesId], seconds: i64) -> Vec<Batch> {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut levels = vec![5_000i64; ids.len()];
    (0..seconds / SECONDS_PER_BATCH)
        .map(|step| {
            let mut batch = Batch { received: Timestamp::from_micros(START), ..Batch::default() };
            for second in 0..SECONDS_PER_BATCH {
                for (id, level) in ids.iter().zip(&mut levels) {
                    *level += (next() % 3) as i64 - 1;
                    let jitter = (next() % 5) as i64 * 1_000;
                    batch.series.push(*id);
                    batch.at.push(START + (step * SECONDS_PER_BATCH + second) * SECOND + jitter);
                    batch.value.push(*level as f64 / 100.0);
                    batch.quality.push(0);
                }
            }
            batch
        })
        .collect()
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
    let span = Span {
        from: Timestamp::from_micros(START),
        to: Timestamp::from_micros(START + (seconds + 1) * SECOND),
    };
    let wanted = seconds as u64 * SERIES as u64;
    for (name, width) in [("1-minute", 60), ("1-day", 86_400)] {
        for round in ["cold", "warm"] {
            let wall = Instant::now();
            let halves: Vec<_> = ids
                .chunks(ids.len() / 2)
                .map(|half| {
                    let (store, half) = (Arc::clone(store), half.to_vec());
                    tokio::spawn(async move {
                        let mut count = 0;
                        for id in half {
                            let buckets =
                                store.buckets(id, span, Duration::from_secs(width)).await?;
                            count += buckets.iter().map(|bucket| bucket.count).sum::<u64>();
                        }
                        Ok::<_, SeriesError>(count)
                    })
                })
                .collect();
            let mut count = 0;
            for half in halves {
                count += half.await??;
            }
            assert_eq!(count, wanted, "every reading counts once");
            writeln!(
                out,
                "buckets  {name} means over {count} readings: {:?} ({round})",
                wall.elapsed()
            )?;
        }
    }
    Ok(())
}

fn sizes(dir: &std::path::Path) -> Outcome<u64> {
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
