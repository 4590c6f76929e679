//! `log.db`: batches in order of arrival, the registry of sensors, held readers, the audit trail
//! and the latest sealed readings.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kernel::{SensorKey, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::Durability;
use super::block::Slot;
use super::codec::{checksum, damaged};
use crate::series::{Corrected, Offset, SeriesError, SeriesId};

/// Raised whenever an older binary could misread the files.
const FORMAT: i64 = 1;
/// The other connections are our own and brief; this only bridges a checkpoint.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

const PAGE_BYTES: i64 = 16_384;
/// Free pages kept for the appends to come: growing the file again would cost them time.
const FREE_PAGES_KEPT: i64 = 512;
/// Pages given back in one step.
const SHRINK_PAGES: i64 = 256;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS batch (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, data BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS sensor (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS reader (name TEXT PRIMARY KEY, done INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS latest (
        series INTEGER PRIMARY KEY, at INTEGER NOT NULL, value REAL NOT NULL, tag INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS audit (
        series INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
        before REAL, after REAL NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL,
        recorded INTEGER NOT NULL, PRIMARY KEY (series, seq, at)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS quarantine (
        day INTEGER NOT NULL, block INTEGER NOT NULL, reason TEXT NOT NULL,
        found INTEGER NOT NULL, PRIMARY KEY (day, block)) WITHOUT ROWID;
";

/// One line of the audit trail, with the batch that made it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AuditRow {
    pub(super) series: SeriesId,
    pub(super) offset: Offset,
    pub(super) entry: Corrected,
}

/// A block, or with id 0 a whole day file, that is no longer served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quarantined {
    pub(super) day: i64,
    pub(super) block: i64,
    pub(super) reason: String,
}

/// What the log knows when it is opened, batches aside.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) sealed: Offset,
    pub(super) truncated: Offset,
    pub(super) last: Offset,
    pub(super) bytes: u64,
    pub(super) sensors: Vec<SensorKey>,
    pub(super) held: BTreeMap<String, u64>,
    pub(super) latest: Vec<Option<Slot>>,
    pub(super) quarantined: Vec<(i64, i64)>,
}

/// One connection to `log.db`.
pub(super) struct LogFile {
    pub(super) conn: Connection,
}

impl LogFile {
    /// Opens the one writing connection and brings the schema up.
    pub(super) fn create(path: &Path, durability: Durability) -> Result<Self, SeriesError> {
        let conn = Connection::open(path)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        // Checkpoints run beside the writer (see `checkpoint`), never inside a commit.
        conn.execute_batch(&format!(
            "PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL;
             PRAGMA journal_mode = WAL; PRAGMA synchronous = {};
             PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 16777216;
             PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY;",
            durability.pragma()
        ))?;
        conn.execute_batch(SCHEMA)?;
        let log = Self { conn };
        match log.meta("format")? {
            None => log.set_meta("format", FORMAT)?,
            Some(FORMAT) => {}
            Some(other) => {
                let reason = format!("log.db has format {other}; this program reads {FORMAT}");
                return Err(SeriesError::Damaged { reason });
            }
        }
        Ok(log)
    }

    /// Opens the connection that checkpoints.
    pub(super) fn keeper(path: &Path, durability: Durability) -> Result<Self, SeriesError> {
        let conn = Connection::open(path)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        conn.execute_batch(&format!("PRAGMA synchronous = {};", durability.pragma()))?;
        Ok(Self { conn })
    }

    /// Opens another connection, for reading.
    pub(super) fn reader(path: &Path) -> Result<Self, SeriesError> {
        let conn = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        conn.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -1024;")?;
        Ok(Self { conn })
    }

    pub(super) fn opened(&self) -> Result<Opened, SeriesError> {
        let offset = |name| Ok::<_, SeriesError>(Offset(self.meta(name)?.unwrap_or(0) as u64));
        let truncated = offset("truncated")?;
        let (last, bytes): (Option<i64>, Option<i64>) =
            self.conn.query_row("SELECT max(seq), sum(length(data)) FROM batch", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let mut opened = Opened {
            sealed: offset("sealed")?,
            truncated,
            last: truncated.max(Offset(last.unwrap_or(0) as u64)),
            bytes: bytes.unwrap_or(0) as u64,
            ..Opened::default()
        };
        self.registry(&mut opened)?;
        let mut held = self.conn.prepare("SELECT name, done FROM reader")?;
        for row in held.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))? {
            let (name, done) = row?;
            opened.held.insert(name, done as u64);
        }
        let mut quarantined = self.conn.prepare("SELECT day, block FROM quarantine")?;
        for row in quarantined.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
            opened.quarantined.push(row?);
        }
        Ok(opened)
    }

    fn registry(&self, opened: &mut Opened) -> Result<(), SeriesError> {
        let mut sensors = self.conn.prepare("SELECT id, key FROM sensor ORDER BY id")?;
        let mut rows = sensors.query([])?;
        while let Some(row) = rows.next()? {
            let (id, key): (i64, String) = (row.get(0)?, row.get(1)?);
            let key = SensorKey::new(&key).map_err(|error| damaged(&error.to_string()))?;
            if id != opened.sensors.len() as i64 {
                return Err(damaged("the registry of sensors has a gap"));
            }
            opened.sensors.push(key);
        }
        opened.latest = vec![None; opened.sensors.len()];
        let mut latest = self.conn.prepare("SELECT series, at, value, tag FROM latest")?;
        let mut rows = latest.query([])?;
        while let Some(row) = rows.next()? {
            let series: i64 = row.get(0)?;
            let slot =
                Slot { at: row.get(1)?, value: row.get(2)?, tag: row.get::<_, i64>(3)? as u64 };
            if let Some(place) = opened.latest.get_mut(series as usize) {
                *place = Some(slot);
            }
        }
        Ok(())
    }

    fn meta(&self, name: &str) -> Result<Option<i64>, SeriesError> {
        let mut statement = self.conn.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }

    pub(super) fn set_meta(&self, name: &str, value: i64) -> Result<(), SeriesError> {
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?
            .execute(params![name, value])?;
        Ok(())
    }

    pub(super) fn insert(&self, offset: Offset, data: &[u8]) -> Result<(), SeriesError> {
        self.conn
            .prepare_cached("INSERT INTO batch (seq, crc, data) VALUES (?1, ?2, ?3)")?
            .execute(params![offset.0 as i64, checksum(offset, data), data])?;
        Ok(())
    }

    pub(super) fn register(&self, id: SeriesId, key: &SensorKey) -> Result<(), SeriesError> {
        self.conn
            .prepare_cached("INSERT INTO sensor (id, key) VALUES (?1, ?2)")?
            .execute(params![id.0, key.as_str()])?;
        Ok(())
    }

    pub(super) fn hold(&self, reader: &str, done: Offset) -> Result<(), SeriesError> {
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO reader (name, done) VALUES (?1, ?2)")?
            .execute(params![reader, done.0 as i64])?;
        Ok(())
    }

    /// Adds to the audit trail; an entry that is there stays as it is, so a repeat adds nothing.
    pub(super) fn audit(&self, row: &AuditRow) -> Result<(), SeriesError> {
        let entry = &row.entry;
        self.conn
            .prepare_cached(
                "INSERT OR IGNORE INTO audit
                 (series, seq, at, before, after, actor, reason, recorded)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                row.series.0,
                row.offset.0 as i64,
                entry.at.as_micros(),
                entry.before,
                entry.after,
                entry.actor,
                entry.reason,
                entry.recorded.as_micros()
            ])?;
        Ok(())
    }

    pub(super) fn audited(
        &self,
        series: SeriesId,
        limit: usize,
    ) -> Result<Vec<Corrected>, SeriesError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT at, before, after, actor, reason, recorded FROM audit
             WHERE series = ?1 ORDER BY seq DESC, at DESC LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![series.0, limit], |row| {
            Ok(Corrected {
                at: Timestamp::from_micros(row.get(0)?),
                before: row.get(1)?,
                after: row.get(2)?,
                actor: row.get(3)?,
                reason: row.get(4)?,
                recorded: Timestamp::from_micros(row.get(5)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn set_latest(&self, series: u32, slot: Option<Slot>) -> Result<(), SeriesError> {
        match slot {
            Some(slot) => self
                .conn
                .prepare_cached(
                    "INSERT OR REPLACE INTO latest (series, at, value, tag) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![series, slot.at, slot.value, slot.tag as i64])?,
            None => self
                .conn
                .prepare_cached("DELETE FROM latest WHERE series = ?1")?
                .execute([series])?,
        };
        Ok(())
    }

    pub(super) fn quarantine(&self, found: &Quarantined, now: i64) -> Result<(), SeriesError> {
        self.conn
            .prepare_cached(
                "INSERT OR IGNORE INTO quarantine (day, block, reason, found)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![found.day, found.block, found.reason, now])?;
        Ok(())
    }

    /// Forgets what was quarantined in days before `day`: their files are gone.
    pub(super) fn forget_days(&self, day: i64) -> Result<(), SeriesError> {
        self.conn.prepare_cached("DELETE FROM quarantine WHERE day < ?1")?.execute([day])?;
        Ok(())
    }

    /// Removes batches up to `through`, but no more than `batches_max` or `bytes_max`; returns
    /// how far it came and how many bytes went.
    pub(super) fn truncate(
        &self,
        through: Offset,
        batches_max: usize,
        bytes_max: u64,
    ) -> Result<(Option<Offset>, u64), SeriesError> {
        let mut select = self.conn.prepare_cached(
            "SELECT seq, length(data) FROM batch WHERE seq <= ?1 ORDER BY seq LIMIT ?2",
        )?;
        let mut rows = select.query(params![through.0 as i64, batches_max as i64])?;
        let (mut reached, mut bytes) = (None, 0);
        while let Some(row) = rows.next()? {
            if bytes >= bytes_max {
                break;
            }
            reached = Some(Offset(row.get::<_, i64>(0)? as u64));
            bytes += row.get::<_, i64>(1)? as u64;
        }
        drop(rows);
        if let Some(reached) = reached {
            self.conn
                .prepare_cached("DELETE FROM batch WHERE seq <= ?1")?
                .execute([reached.0 as i64])?;
            self.set_meta("truncated", reached.0 as i64)?;
        }
        Ok((reached, bytes))
    }

    /// Gives free pages at the end of the file back, one step; returns whether more are left.
    pub(super) fn shrink(&self) -> Result<bool, SeriesError> {
        let free: i64 = self.conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        let step = (free - FREE_PAGES_KEPT).min(SHRINK_PAGES);
        if step <= 0 {
            return Ok(false);
        }
        let mut vacuum = self.conn.prepare(&format!("PRAGMA incremental_vacuum({step})"))?;
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        Ok(free - step > FREE_PAGES_KEPT)
    }

    /// Hands every batch after `after` to `each`, in order, until it says stop.
    pub(super) fn scan(
        &self,
        after: Offset,
        mut each: impl FnMut(Offset, u32, &[u8]) -> bool,
    ) -> Result<(), SeriesError> {
        let mut select = self
            .conn
            .prepare_cached("SELECT seq, crc, data FROM batch WHERE seq > ?1 ORDER BY seq")?;
        let mut rows = select.query([after.0 as i64])?;
        while let Some(row) = rows.next()? {
            let offset = Offset(row.get::<_, i64>(0)? as u64);
            let data = row.get_ref(2)?.as_blob().map_err(|_| damaged("a batch is no blob"))?;
            if !each(offset, row.get(1)?, data) {
                break;
            }
        }
        Ok(())
    }

    /// Copies what the write-ahead log holds into the file, without stopping the writer; returns
    /// how many frames are left.
    pub(super) fn checkpoint(&self, mode: &str) -> Result<(bool, i64), SeriesError> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        Ok(self.conn.query_row(&sql, [], |row| {
            let (busy, frames, moved): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((busy != 0, frames - moved))
        })?)
    }
}
