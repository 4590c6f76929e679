//! `days/2026-11-19.db`: the blocks of one UTC day of event time.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use kernel::{SharedClock, Timestamp};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use super::Durability;
use super::block::{self, Columns, Summary};
use super::codec::damaged;
use super::log::Quarantined;
use super::memory::{lock, read, write};
use crate::series::{Offset, SeriesError};

pub(super) const DAY_MICROS: i64 = 86_400_000_000;
/// Idle reading connections kept over all days; each holds up to three file descriptors.
const IDLE_CONNECTIONS_MAX: usize = 48;
/// A reader's checkpoint or a seal's commit is far shorter.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a checkpoint waits for readers; the next one does what it leaves.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(200);
/// Stands for the whole file where a block's id is asked for.
const WHOLE_FILE: i64 = 0;

// Summaries apart from readings: a question that summaries answer touches few pages.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS block (
        series INTEGER NOT NULL, first INTEGER NOT NULL, id INTEGER NOT NULL,
        last INTEGER NOT NULL, summary BLOB NOT NULL,
        PRIMARY KEY (series, first, id)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS data (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS replaced (
        series INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
        before REAL NOT NULL, after REAL NOT NULL, recorded INTEGER NOT NULL,
        PRIMARY KEY (series, seq, at)) WITHOUT ROWID;
";

pub(super) fn day_of(at: i64) -> i64 {
    at.div_euclid(DAY_MICROS)
}

/// The file of one day. Readers hold `gone` for reading while they use it, so that nobody
/// removes the file under an open connection.
#[derive(Debug)]
pub(super) struct Day {
    pub(super) day: i64,
    path: PathBuf,
    gone: RwLock<bool>,
}

/// All day files.
pub(super) struct Days {
    dir: PathBuf,
    durability: Durability,
    clock: SharedClock,
    map: RwLock<BTreeMap<i64, Arc<Day>>>,
    idle: Mutex<VecDeque<(i64, Connection)>>,
    quarantined: Mutex<HashSet<(i64, i64)>>,
    /// Found damaged and not yet written to the log.
    found: Mutex<Vec<Quarantined>>,
}

impl Days {
    pub(super) fn open(
        dir: PathBuf,
        durability: Durability,
        clock: SharedClock,
        quarantined: Vec<(i64, i64)>,
    ) -> Result<Self, SeriesError> {
        fs::create_dir_all(&dir)?;
        let mut map = BTreeMap::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "db")
                && let Some(day) = path.file_stem().and_then(|s| s.to_str()).and_then(parse_day)
            {
                map.insert(day, Arc::new(Day { day, path, gone: RwLock::new(false) }));
            }
        }
        Ok(Self {
            dir,
            durability,
            clock,
            map: RwLock::new(map),
            idle: Mutex::default(),
            quarantined: Mutex::new(quarantined.into_iter().collect()),
            found: Mutex::default(),
        })
    }

    /// The days that hold anything in `[from, to)`, in order.
    pub(super) fn between(&self, from: i64, to: i64) -> Vec<Arc<Day>> {
        if from >= to {
            return Vec::new();
        }
        let days = day_of(from)..=day_of(to - 1);
        read(&self.map).range(days).map(|(_, day)| Arc::clone(day)).collect()
    }

    /// Runs `question` on one snapshot of the day; `None` when the day is gone or not readable.
    pub(super) fn read<T>(
        &self,
        day: &Day,
        question: impl FnOnce(&DayReader<'_>) -> Result<T, SeriesError>,
    ) -> Result<Option<T>, SeriesError> {
        let gone = read(&day.gone);
        if *gone || self.is_quarantined(day.day, WHOLE_FILE) {
            return Ok(None);
        }
        let known = {
            let mut idle = lock(&self.idle);
            let place = idle.iter().position(|(of, _)| *of == day.day);
            place.and_then(|place| idle.remove(place))
        };
        let answer = match known {
            Some((_, conn)) => Ok(conn),
            None => open_reader(&day.path),
        }
        .and_then(|conn| {
            let snapshot = conn.unchecked_transaction()?;
            let answer = question(&DayReader { days: self, day: day.day, conn: &snapshot });
            drop(snapshot);
            answer.map(|answer| (answer, conn))
        });
        match answer {
            Ok((answer, conn)) => {
                let mut idle = lock(&self.idle);
                idle.push_back((day.day, conn));
                if idle.len() > IDLE_CONNECTIONS_MAX {
                    idle.pop_front();
                }
                Ok(Some(answer))
            }
            Err(error) if is_corrupt(&error) => {
                self.quarantine(day.day, WHOLE_FILE, &error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The day's writing connection; makes the file when there is none.
    pub(super) fn writer(&self, day: i64) -> Result<DayWriter<'_>, SeriesError> {
        match self.try_writer(day) {
            Err(error) if is_corrupt(&error) => {
                self.set_aside(day, &error.to_string())?;
                self.try_writer(day)
            }
            other => other,
        }
    }

    fn try_writer(&self, day: i64) -> Result<DayWriter<'_>, SeriesError> {
        let path = self.dir.join(format!("{}.db", day_name(day)));
        let conn = Connection::open(&path)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        conn.execute_batch(&format!(
            "PRAGMA page_size = 32768; PRAGMA journal_mode = WAL; PRAGMA synchronous = {};
             PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;",
            self.durability.pragma()
        ))?;
        conn.execute_batch(SCHEMA)?;
        write(&self.map)
            .entry(day)
            .or_insert_with(|| Arc::new(Day { day, path, gone: RwLock::new(false) }));
        Ok(DayWriter { days: self, day, conn })
    }

    /// Moves an unreadable file out of the way, so that readings of its day can be stored again.
    pub(super) fn set_aside(&self, day: i64, reason: &str) -> Result<(), SeriesError> {
        self.quarantine(day, WHOLE_FILE, reason);
        if let Some(known) = write(&self.map).remove(&day) {
            self.close(&known);
        }
        let name = day_name(day);
        let stamp = self.clock.now().as_micros();
        for suffix in ["", "-wal", "-shm"] {
            let from = self.dir.join(format!("{name}.db{suffix}"));
            let to = self.dir.join(format!("{name}.damaged-{stamp}{suffix}"));
            match fs::rename(&from, &to) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        lock(&self.quarantined).remove(&(day, WHOLE_FILE));
        Ok(())
    }

    /// Removes the files of every day before `cutoff`; returns how many.
    pub(super) fn remove_before(&self, cutoff: i64) -> Result<u64, SeriesError> {
        let old: Vec<_> = {
            let mut map = write(&self.map);
            let kept = map.split_off(&cutoff);
            std::mem::replace(&mut *map, kept).into_values().collect()
        };
        for day in &old {
            self.close(day);
            for suffix in ["", "-wal", "-shm"] {
                let path = self.dir.join(format!("{}.db{suffix}", day_name(day.day)));
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(error.into());
                    }
                    _ => {}
                }
            }
        }
        fs::File::open(&self.dir)?.sync_all()?;
        lock(&self.quarantined).retain(|(day, _)| *day >= cutoff);
        Ok(old.len() as u64)
    }

    /// Waits for the day's readers and lets go of its connections.
    fn close(&self, day: &Day) {
        *write(&day.gone) = true;
        lock(&self.idle).retain(|(of, _)| *of != day.day);
    }

    fn is_quarantined(&self, day: i64, block: i64) -> bool {
        lock(&self.quarantined).contains(&(day, block))
    }

    pub(super) fn quarantine(&self, day: i64, block: i64, reason: &str) {
        if !lock(&self.quarantined).insert((day, block)) {
            return;
        }
        tracing::error!(
            day = day_name(day),
            block,
            reason,
            "block is damaged and no longer served"
        );
        metrics::counter!("series_quarantined_total").increment(1);
        lock(&self.found).push(Quarantined { day, block, reason: reason.to_owned() });
    }

    pub(super) fn quarantined(&self) -> u64 {
        lock(&self.quarantined).len() as u64
    }

    pub(super) fn take_found(&self) -> Vec<Quarantined> {
        std::mem::take(&mut *lock(&self.found))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// One snapshot of one day.
pub(super) struct DayReader<'a> {
    days: &'a Days,
    day: i64,
    conn: &'a Connection,
}

impl DayReader<'_> {
    /// The sound blocks of a sensor that reach into `[from, to)`, in order of time.
    pub(super) fn blocks(
        &self,
        series: u32,
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, Summary)>, SeriesError> {
        let mut select = self.conn.prepare_cached(
            "SELECT id, first, last, summary FROM block
             WHERE series = ?1 AND first < ?3 AND last >= ?2 ORDER BY first",
        )?;
        let mut rows = select.query(params![series, from, to])?;
        let mut blocks = Vec::new();
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            if self.days.is_quarantined(self.day, id) {
                continue;
            }
            match summary(series, row) {
                Ok(summary) => blocks.push((id, summary)),
                Err(error @ SeriesError::Damaged { .. }) => {
                    self.days.quarantine(self.day, id, &error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(blocks)
    }

    /// The readings of a block; `None` when they are damaged, which quarantines it.
    pub(super) fn load(&self, id: i64, summary: &Summary) -> Result<Option<Columns>, SeriesError> {
        let loaded = (|| {
            let mut select = self.conn.prepare_cached("SELECT bytes FROM data WHERE id = ?1")?;
            let found = select
                .query_row([id], |row| {
                    Ok(row.get_ref(0)?.as_blob().map(|bytes| block::decode(summary, bytes)))
                })
                .optional()?;
            match found {
                Some(Ok(columns)) => columns,
                Some(Err(_)) => Err(damaged("the readings are no blob")),
                None => Err(damaged("the readings are missing")),
            }
        })();
        match loaded {
            Ok(columns) => Ok(Some(columns)),
            Err(error) if is_corrupt(&error) || matches!(error, SeriesError::Damaged { .. }) => {
                self.days.quarantine(self.day, id, &error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn summary(series: u32, row: &rusqlite::Row<'_>) -> Result<Summary, SeriesError> {
    let bytes = row.get_ref(3)?.as_blob().map_err(|_| damaged("the summary is no blob"))?;
    let summary = Summary::from_bytes(bytes)?;
    let (first, last): (i64, i64) = (row.get(1)?, row.get(2)?);
    if (summary.series, summary.first, summary.last) != (series, first, last) {
        return Err(damaged("the summary belongs to another block"));
    }
    Ok(summary)
}

/// A reading that took the place of another with a different value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Replaced {
    pub(super) series: u32,
    pub(super) offset: Offset,
    pub(super) at: i64,
    pub(super) before: f64,
    pub(super) after: f64,
    pub(super) recorded: i64,
}

/// The one connection that changes a day; held by the sealer.
pub(super) struct DayWriter<'a> {
    days: &'a Days,
    day: i64,
    conn: Connection,
}

impl DayWriter<'_> {
    pub(super) fn begin(&self) -> Result<rusqlite::Transaction<'_>, SeriesError> {
        Ok(rusqlite::Transaction::new_unchecked(
            &self.conn,
            rusqlite::TransactionBehavior::Immediate,
        )?)
    }

    pub(super) fn reader(&self) -> DayReader<'_> {
        DayReader { days: self.days, day: self.day, conn: &self.conn }
    }

    /// Every reading of this day up to this offset is in blocks.
    pub(super) fn sealed(&self) -> Result<Offset, SeriesError> {
        let sealed: Option<i64> = self
            .conn
            .query_row("SELECT value FROM meta WHERE name = 'sealed'", [], |row| row.get(0))
            .optional()?;
        Ok(Offset(sealed.unwrap_or(0) as u64))
    }

    pub(super) fn set_sealed(&self, through: Offset) -> Result<(), SeriesError> {
        self.conn.execute(
            "INSERT OR REPLACE INTO meta (name, value) VALUES ('sealed', ?1)",
            [through.0 as i64],
        )?;
        Ok(())
    }

    /// The end of the last block that begins at or before `at`, when there is one.
    pub(super) fn before(&self, series: u32, at: i64) -> Result<Option<i64>, SeriesError> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT first FROM block WHERE series = ?1 AND first <= ?2
                 ORDER BY first DESC LIMIT 1",
            )?
            .query_row(params![series, at], |row| row.get(0))
            .optional()?)
    }

    pub(super) fn insert(&self, series: u32, columns: &Columns) -> Result<(), SeriesError> {
        let Some((summary, bytes)) = block::encode(series, columns)? else { return Ok(()) };
        self.conn.prepare_cached("INSERT INTO data (bytes) VALUES (?1)")?.execute([&bytes])?;
        let id = self.conn.last_insert_rowid();
        self.conn
            .prepare_cached(
                "INSERT INTO block (series, first, id, last, summary) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![series, summary.first, id, summary.last, summary.to_bytes()])?;
        Ok(())
    }

    pub(super) fn remove(&self, id: i64, summary: &Summary) -> Result<(), SeriesError> {
        self.conn
            .prepare_cached("DELETE FROM block WHERE series = ?1 AND first = ?2 AND id = ?3")?
            .execute(params![summary.series, summary.first, id])?;
        self.conn.prepare_cached("DELETE FROM data WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    pub(super) fn note_replaced(&self, row: &Replaced) -> Result<(), SeriesError> {
        self.conn
            .prepare_cached(
                "INSERT OR IGNORE INTO replaced (series, seq, at, before, after, recorded)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                row.series,
                row.offset.0 as i64,
                row.at,
                row.before,
                row.after,
                row.recorded
            ])?;
        Ok(())
    }

    /// Drops what the log's audit trail already has: everything up to its watermark.
    pub(super) fn forget_replaced(&self, sealed: Offset) -> Result<(), SeriesError> {
        self.conn.execute("DELETE FROM replaced WHERE seq <= ?1", [sealed.0 as i64])?;
        Ok(())
    }

    pub(super) fn replaced(&self) -> Result<Vec<Replaced>, SeriesError> {
        let mut select =
            self.conn.prepare("SELECT series, seq, at, before, after, recorded FROM replaced")?;
        let rows = select.query_map([], |row| {
            Ok(Replaced {
                series: row.get(0)?,
                offset: Offset(row.get::<_, i64>(1)? as u64),
                at: row.get(2)?,
                before: row.get(3)?,
                after: row.get(4)?,
                recorded: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Moves the write-ahead log into the file. Readers in the way only put it off.
    pub(super) fn checkpoint(&self) {
        let done = self
            .conn
            .busy_timeout(CHECKPOINT_TIMEOUT)
            .and_then(|()| self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if let Err(error) = done {
            tracing::warn!(day = day_name(self.day), %error, "day file could not be checkpointed");
        }
    }
}

fn open_reader(path: &Path) -> Result<Connection, SeriesError> {
    // Not read-only for SQLite, which must be able to recover the write-ahead log after a crash;
    // `query_only` refuses every change.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -512;")?;
    Ok(conn)
}

fn is_corrupt(error: &SeriesError) -> bool {
    matches!(error, SeriesError::Sqlite(error) if matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    ))
}

/// `2026-11-19`
fn day_name(day: i64) -> String {
    let mut name = Timestamp::from_micros(day.saturating_mul(DAY_MICROS)).to_string();
    name.truncate("2026-11-19".len());
    name
}

fn parse_day(name: &str) -> Option<i64> {
    let start: Timestamp = format!("{name}T00:00:00Z").parse().ok()?;
    Some(day_of(start.as_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_keeps_its_name() {
        for day in [-719_162, -1, 0, 20_776, 2_932_895] {
            assert_eq!(parse_day(&day_name(day)), Some(day), "{}", day_name(day));
        }
        assert_eq!(day_name(20_776), "2026-11-19");
        assert_eq!(parse_day("2026-11-19.damaged-1"), None);
    }
}
