use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kernel::{Quality, SensorKey, SystemClock, Timestamp};
use rusqlite::Connection;
use tempfile::TempDir;

use super::days::DAY_MICROS;
use super::*;
use crate::series::conformance::{Harness, series_conformance};
use crate::series::{Batch, Correction, Point, Series, SeriesId, SharedSeries, Span};

struct Fixture {
    options: EmbeddedOptions,
    store: Option<Arc<Embedded>>,
    /// Whether sealing goes on to merge.
    settles: bool,
    /// Removed when the test ends, after the store has let go of it.
    _dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut EmbeddedOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = EmbeddedOptions::new(dir.path(), SystemClock::shared());
        change(&mut options);
        let store = Some(Embedded::open(options.clone()).unwrap());
        Self { options, store, settles: false, _dir: dir }
    }

    fn embedded(&self) -> &Arc<Embedded> {
        self.store.as_ref().unwrap()
    }

    fn close(&mut self) {
        if let Some(store) = self.store.take() {
            assert!(Arc::into_inner(store).is_some(), "the test still uses the store");
        }
    }

    fn open(&mut self) {
        self.store = Some(Embedded::open(self.options.clone()).unwrap());
    }
}

impl Harness for Fixture {
    fn store(&self) -> SharedSeries {
        Arc::clone(self.embedded()) as SharedSeries
    }

    fn reopen(&mut self) -> BoxFuture<'_, ()> {
        async move {
            self.close();
            self.open();
        }
        .boxed()
    }

    fn seal(&self) -> BoxFuture<'_, ()> {
        async move {
            let store = self.embedded();
            if self.settles { store.settle().await } else { store.seal_now().await }.unwrap();
        }
        .boxed()
    }
}

mod damage;
mod legacy;
mod scale;

mod conformance {
    use super::*;

    series_conformance!(Fixture::new);
}

/// The same with the segments of each day merged at once.
mod conformance_when_merged {
    use super::*;

    fn settling() -> Fixture {
        Fixture { settles: true, ..Fixture::new() }
    }

    series_conformance!(settling);
}

const DAY: i64 = 20_776 * DAY_MICROS;
const EVER: Span = Span { from: Timestamp::MIN, to: Timestamp::MAX };
const DEADLINE: Duration = Duration::from_secs(20);

async fn sensor(store: &Embedded, name: &str) -> SeriesId {
    let key = SensorKey::new(&format!("north/p-1/{name}")).unwrap();
    store.register(&[key]).await.unwrap()[0]
}

fn point(at: i64, value: f64) -> Point {
    Point { at: Timestamp::from_micros(DAY + at), value, quality: Quality::Good }
}

fn batch(id: SeriesId, range: std::ops::Range<i64>) -> Batch {
    let mut batch = Batch::default();
    range.for_each(|i| batch.push(id, point(i * 1_000, (i as f64 / 10.0).sin())));
    batch
}

async fn all(store: &Embedded, id: SeriesId) -> Vec<Point> {
    store.range(id, EVER, usize::MAX).await.unwrap()
}

/// Waits until `done` says so.
async fn eventually<F: Future<Output = bool>>(mut done: impl FnMut() -> F) {
    let start = Instant::now();
    while !done().await {
        assert!(start.elapsed() < DEADLINE, "never happened");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The day files, oldest first.
fn day_files(fixture: &Fixture) -> Vec<PathBuf> {
    let names = fs::read_dir(fixture.options.dir.join("days")).unwrap();
    let paths = names.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|ext| ext == "seg")).collect();
    paths.sort();
    paths
}

/// The only day file.
fn day_file(fixture: &Fixture) -> PathBuf {
    let files = day_files(fixture);
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_dir(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_share_few_commits() {
    let fixture = Fixture::new();
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    let before = store.commits();
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let mut offsets = Vec::new();
                for i in 0..20 {
                    let at = caller * 20 + i;
                    offsets.push(store.append(batch(id, at..at + 1)).await.unwrap());
                }
                offsets
            })
        })
        .collect();
    let mut offsets = Vec::new();
    for caller in callers {
        let own = caller.await.unwrap();
        assert!(own.is_sorted());
        offsets.extend(own.into_iter().map(|offset| offset.0));
    }
    offsets.sort_unstable();
    assert_eq!(offsets, (1..=1_280).collect::<Vec<_>>());
    let commits = store.commits() - before;
    assert!(commits <= 1_280 / 4, "{commits} commits for 1280 appends");
    assert_eq!(all(store, id).await.len(), 1_280);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_miss_nothing_while_it_is_sealed() {
    let fixture = Fixture::new();
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    let sealing = {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            for _ in 0..SEALS {
                store.seal_now().await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    };
    let mut acked = 0;
    while acked < 4_000 || !sealing.is_finished() {
        store.append(batch(id, acked..acked + 200)).await.unwrap();
        acked += 200;
        let seen = all(store, id).await;
        assert_eq!(seen.len(), acked as usize);
        let day = Duration::from_secs(86_400);
        let bucket = store.buckets(id, EVER_BUT_BRIEF, day).await.unwrap();
        assert_eq!(bucket[0].count, acked as u64);
    }
    sealing.await.unwrap();
}

const SEALS: usize = 40;

const EVER_BUT_BRIEF: Span =
    Span { from: Timestamp::from_micros(DAY), to: Timestamp::from_micros(DAY + DAY_MICROS) };

#[tokio::test]
async fn a_crash_before_the_watermark_doubles_nothing() {
    let mut fixture = Fixture::new();
    let id = sensor(fixture.embedded(), "flow").await;
    let store = fixture.embedded();
    store.append(batch(id, 0..3_000)).await.unwrap();
    store.seal_now().await.unwrap();
    // A changed value, a repeat and news, all of which reach the blocks before the crash.
    let mut more = batch(id, 2_000..5_000);
    more.value[0] = 77.0;
    store.append(more).await.unwrap();
    fixture.options.faults.stop_before_watermark();
    store.seal_now().await.unwrap_err();
    assert!(store.status().await.unwrap().unsealed > 0);
    let wanted = all(store, id).await;
    assert_eq!((wanted.len(), wanted[2_000].value), (5_000, 77.0));

    for round in 0..3 {
        fixture.close();
        fixture.open();
        let store = fixture.embedded();
        assert_eq!(all(store, id).await, wanted, "round {round}");
        if round == 0 {
            store.seal_now().await.unwrap_err();
            fixture.options.faults.heal();
        } else {
            store.seal_now().await.unwrap();
            assert_eq!(store.status().await.unwrap().unsealed, 0);
        }
    }
    let store = fixture.embedded();
    let day = store.buckets(id, EVER_BUT_BRIEF, Duration::from_secs(86_400)).await.unwrap();
    assert_eq!(day[0].count, 5_000);
    let trail = store.corrections(id, 10).await.unwrap();
    assert_eq!(trail.len(), 1, "{trail:?}");
    assert_eq!((trail[0].before, trail[0].after), (Some(wanted_before()), 77.0));
    store.settle().await.unwrap();
    assert_eq!(counts(&fixture), vec![5_000], "5,000 readings fit one block");
}

/// The readings of each block of one sensor in the only day file.
fn counts(fixture: &Fixture) -> Vec<usize> {
    let opened = segment::Segment::at(day_file(fixture)).unwrap().open().unwrap();
    let blocks = opened.index(segment::Table::Dense).iter();
    let entries = blocks.flat_map(|block| opened.entries(block).unwrap());
    entries.map(|entry| entry.count as usize).collect()
}

fn wanted_before() -> f64 {
    200.0f64.sin()
}

#[tokio::test]
async fn blocks_end_large_enough() {
    let fixture = Fixture::new();
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    for i in 0..40 {
        store.append(batch(id, i * 300..(i + 1) * 300)).await.unwrap();
        store.seal_now().await.unwrap();
    }
    store.settle().await.unwrap();
    let counts = counts(&fixture);
    assert_eq!(counts.iter().sum::<usize>(), 12_000);
    let (_, full) = counts.split_last().unwrap();
    assert!(full.iter().all(|count| *count >= block::BLOCK_POINTS_SMALL), "{counts:?}");
    assert_eq!(all(store, id).await.len(), 12_000);
}

#[tokio::test]
async fn a_torn_log_keeps_a_prefix() {
    let fixture = Fixture::new();
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    for i in 0..12 {
        store.append(batch(id, i * 10..(i + 1) * 10)).await.unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    copy_dir(&fixture.options.dir, copy.path());
    let wal = fs::read(copy.path().join("log.db-wal")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for cut in (0..=wal.len()).rev().step_by(wal.len() / 60 + 1) {
        let torn = tempfile::tempdir().unwrap();
        copy_dir(copy.path(), torn.path());
        drop(fs::remove_file(torn.path().join("log.db-shm")));
        fs::write(torn.path().join("log.db-wal"), &wal[..cut]).unwrap();
        let options = EmbeddedOptions::new(torn.path(), SystemClock::shared());
        let opened = Embedded::open(options).unwrap();
        let last = opened.status().await.unwrap().last.0;
        seen.insert(last);
        if last > 0 {
            assert_eq!(all(&opened, id).await.len(), last as usize * 10, "whole batches");
            let next = opened.append(batch(id, 990..991)).await.unwrap();
            assert_eq!(next.0, last + 1);
        }
    }
    assert_eq!(seen.last(), Some(&12), "the whole log is there when nothing is torn");
    assert!(seen.len() > 6, "{seen:?}");
}

#[tokio::test]
async fn a_damaged_batch_is_skipped_and_counted() {
    let mut fixture = Fixture::new();
    let id = sensor(fixture.embedded(), "flow").await;
    for i in 0..3 {
        fixture.embedded().append(batch(id, i * 10..(i + 1) * 10)).await.unwrap();
    }
    fixture.close();
    let conn = Connection::open(fixture.options.dir.join("log.db")).unwrap();
    let mut data: Vec<u8> =
        conn.query_row("SELECT data FROM batch WHERE seq = 2", [], |row| row.get(0)).unwrap();
    data[60] ^= 4;
    conn.execute("UPDATE batch SET data = ?1 WHERE seq = 2", [data]).unwrap();
    drop(conn);
    fixture.open();
    let store = fixture.embedded();
    assert_eq!(all(store, id).await.len(), 20);
    assert_eq!(store.status().await.unwrap().quarantined, 1);
    let tail = store.tail(Offset(0), 9, Duration::ZERO).await.unwrap();
    assert_eq!(tail.iter().map(|(offset, _)| offset.0).collect::<Vec<_>>(), vec![1, 3]);
    assert_eq!(store.append(batch(id, 30..31)).await.unwrap(), Offset(4));
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_alone() {
    let fixture = Fixture::new();
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    let first = store.append(batch(id, 0..10)).await.unwrap();
    fixture.options.faults.disk_full();
    let refused = store.append(batch(id, 10..20)).await;
    assert!(matches!(refused, Err(SeriesError::Full { .. })), "{refused:?}");
    assert!(store.status().await.unwrap().fault.is_some());
    assert_eq!(all(store, id).await.len(), 10, "reads go on");
    fixture.options.faults.heal();
    eventually(|| async { store.status().await.unwrap().fault.is_none() }).await;
    assert_eq!(store.append(batch(id, 10..20)).await.unwrap(), Offset(first.0 + 1));
    assert_eq!(all(store, id).await.len(), 20);
}

#[tokio::test]
async fn a_failed_sync_is_never_tried_again() {
    let mut fixture = Fixture::new();
    let id = sensor(fixture.embedded(), "flow").await;
    let store = fixture.embedded();
    store.append(batch(id, 0..10)).await.unwrap();
    fixture.options.faults.sync_fails();
    let refused = store.append(batch(id, 10..20)).await;
    assert!(matches!(refused, Err(SeriesError::Failed { .. })), "{refused:?}");
    fixture.options.faults.heal();
    let refused = store.append(batch(id, 10..20)).await;
    assert!(matches!(refused, Err(SeriesError::Failed { .. })), "{refused:?}");
    assert!(store.status().await.unwrap().fault.is_some());
    assert_eq!(all(store, id).await.len(), 10, "reads go on");
    fixture.close();
    fixture.open();
    let store = fixture.embedded();
    assert_eq!(all(store, id).await.len(), 10);
    assert_eq!(store.append(batch(id, 10..20)).await.unwrap(), Offset(2));
}

#[tokio::test]
async fn the_hard_limit_costs_a_reader_its_place() {
    let fixture = Fixture::with(|options| {
        options.log_bytes_max = 200_000;
        options.seal_points = 5_000;
    });
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    store.hold("stopped", Offset(0)).await.unwrap();
    let mut sent = 0;
    for _ in 0..60 {
        eventually(|| async { store.append(batch(id, sent..sent + 1_000)).await.is_ok() }).await;
        sent += 1_000;
    }
    store.seal_now().await.unwrap();
    eventually(|| async {
        let tail = store.shared.truncated.load(Relaxed);
        tail > 0 && store.shared.log_bytes.load(Relaxed) <= 200_000
    })
    .await;
    let from_log = series::from_log(&store.shared, Offset(0), 1);
    assert!(matches!(from_log, Err(SeriesError::Truncated { wanted: Offset(0), .. })));
    assert_eq!(all(store, id).await.len(), sent as usize, "every reading is in blocks");
}

#[tokio::test]
async fn a_backlog_that_cannot_be_sealed_is_refused() {
    let fixture = Fixture::with(|options| options.seal_points = 100);
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    fixture.options.faults.stop_before_watermark();
    let mut sent = 0;
    let refused = loop {
        match store.append(batch(id, sent..sent + 50)).await {
            Ok(_) => sent += 50,
            Err(error) => break error,
        }
        assert!(sent < 10_000, "the backlog has no bound");
    };
    assert!(matches!(refused, SeriesError::Busy { .. }), "{refused}");
    fixture.options.faults.heal();
    store.seal_now().await.unwrap();
    store.append(batch(id, sent..sent + 50)).await.unwrap();
    assert_eq!(all(store, id).await.len(), sent as usize + 50);
}

#[tokio::test]
async fn one_store_at_a_time() {
    let fixture = Fixture::new();
    assert!(matches!(Embedded::open(fixture.options.clone()), Err(SeriesError::Taken { .. })));
}

#[tokio::test]
async fn a_log_that_was_large_gives_its_room_back() {
    let fixture = Fixture::new();
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    for i in 0..24 {
        store.append(batch(id, i * 50_000..(i + 1) * 50_000)).await.unwrap();
    }
    let size = || {
        let names = ["log.db", "log.db-wal"].map(|name| fixture.options.dir.join(name));
        names.map(|path| fs::metadata(path).unwrap().len()).iter().sum::<u64>()
    };
    assert!(size() > 14_000_000);
    store.seal_now().await.unwrap();
    eventually(|| async {
        // A commit after the checkpoint cuts the write-ahead log.
        store.append(batch(id, 0..1)).await.unwrap();
        fs::metadata(fixture.options.dir.join("log.db")).unwrap().len() < 10_000_000
    })
    .await;
    assert!(size() < 30_000_000, "{}", size());
}

/// Run with `TMPDIR` on a small file system: `mount -t tmpfs -o size=32m none DIR`.
#[tokio::test]
#[ignore = "needs TMPDIR on a file system of about 32 MB"]
async fn a_really_full_disk_loses_nothing_and_recovers() {
    let fixture = Fixture::with(|options| options.seal_points = usize::MAX / 8);
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    let ballast = fixture.options.dir.join("ballast");
    fs::write(&ballast, vec![1; 16 << 20]).unwrap();
    let mut acked = 0;
    let refused = loop {
        match store.append(batch(id, acked..acked + 5_000)).await {
            Ok(_) => acked += 5_000,
            Err(error) => break error,
        }
        assert!(acked < 50_000_000, "the disk never filled");
    };
    assert!(matches!(refused, SeriesError::Full { .. }), "{refused}");
    assert_eq!(all(store, id).await.len(), acked as usize);
    // Sealing needs room too, and fails without harm.
    store.seal_now().await.unwrap_err();
    fs::remove_file(ballast).unwrap();
    eventually(|| async { store.append(batch(id, acked..acked + 10)).await.is_ok() }).await;
    acked += 10;
    assert_eq!(all(store, id).await.len(), acked as usize);
    eventually(|| async { store.seal_now().await.is_ok() }).await;
    assert_eq!(all(store, id).await.len(), acked as usize);
    let mut fixture = fixture;
    fixture.close();
    fixture.open();
    assert_eq!(all(fixture.embedded(), id).await.len(), acked as usize);
}

const WRITERS: usize = 4;
const READINGS_PER_APPEND: i64 = 50;
const KILLS: u64 = 6;

/// The other half of [`kill_loses_nothing_acknowledged`]: appends for ever to the directory it
/// reads from its input, and says after each acknowledgement how far its writer has come.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by kill_loses_nothing_acknowledged"]
async fn appends_until_killed() {
    let mut dir = String::new();
    std::io::stdin().read_line(&mut dir).unwrap();
    let mut options = EmbeddedOptions::new(dir.trim(), SystemClock::shared());
    options.seal_points = 2_000;
    let store = Embedded::open(options).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let id = sensor(&store, &format!("w{writer}")).await;
        let mut next = all(&store, id).await.len() as i64;
        let store = Arc::clone(&store);
        writers.spawn(async move {
            loop {
                match store.append(batch(id, next..next + READINGS_PER_APPEND)).await {
                    Ok(_) => next += READINGS_PER_APPEND,
                    Err(SeriesError::Busy { .. }) => {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        continue;
                    }
                    Err(error) => return error,
                }
                println!("acked {writer} {next}");
            }
        });
    }
    let error = writers.join_next().await.unwrap().unwrap();
    panic!("{error}");
}

#[test]
fn kill_loses_nothing_acknowledged() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    let dir = tempfile::tempdir().unwrap();
    let mut acked = [0; WRITERS];
    for round in 0..KILLS {
        let name = concat!(module_path!(), "::appends_until_killed");
        let name = name.split_once("::").unwrap().1;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", name, "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{}", dir.path().display()).unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed at another point of sealing each time.
        for _ in 0..150 + round * 61 {
            note_ack(&lines.next().unwrap().unwrap(), &mut acked);
        }
        child.kill().unwrap();
        // What was acknowledged before the kill and is still in the pipe counts too.
        lines.map_while(Result::ok).for_each(|line| note_ack(&line, &mut acked));
        child.wait().unwrap();
    }
    assert!(acked.iter().all(|count| *count > 0), "{acked:?}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = EmbeddedOptions::new(dir.path(), SystemClock::shared());
        let store = Embedded::open(options).unwrap();
        for (writer, acked) in acked.into_iter().enumerate() {
            let id = sensor(&store, &format!("w{writer}")).await;
            let stored = all(&store, id).await;
            assert!(stored.len() as i64 >= acked, "{} of {acked} acknowledged", stored.len());
            let wanted = batch(id, 0..stored.len() as i64);
            assert!(stored.iter().map(|p| p.value).eq(wanted.value));
        }
    });
}

fn note_ack(line: &str, acked: &mut [i64; WRITERS]) {
    if let Some((_, words)) = line.split_once("acked ")
        && let Some((writer, count)) = words.split_once(' ')
        && let (Ok(writer), Ok(count)) = (writer.parse::<usize>(), count.parse())
    {
        acked[writer] = acked[writer].max(count);
    }
}
