//! `log.db`: batches in order of arrival, the registry of sensors, held readers, the audit trail
//! and the list of what is damaged. Rows carry checksums of their own: SQLite has none.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kernel::{SensorKey, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::block::Slot;
use super::codec::{checksum, damaged};
use super::days::start_of;
use super::{Durability, SENSORS_MAX};
use crate::series::{Corrected, Damage, Offset, SeriesError, SeriesId};

/// Raised whenever an older binary could misread the files. Format 1 had days in SQLite files
/// too, which are moved over on open; format 2 had blocks in one piece, which are read as they are.
const FORMAT: i64 = 3;
/// The other connections are our own and brief; this only bridges a checkpoint.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A batch is some 130 kB, and each page of it is written, read and moved by calls of its own: with
/// pages of 16 kB an append took a tenth more of the processor. Larger ones make a log of single
/// readings larger for little.
const PAGE_BYTES: i64 = 32_768;
/// Free pages kept for the appends to come: growing the file again would cost them time.
pub(super) const FREE_PAGES_KEPT: i64 = 256;
/// What is left when nothing comes.
pub(super) const FREE_PAGES_QUIET: i64 = 2;
/// Files up to this size are checked whole when they are opened; larger ones by the scrub alone.
const CHECKED_PAGES_MAX: i64 = 1_024;
/// Pages given back in one step.
const SHRINK_PAGES: i64 = 128;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (
        name TEXT PRIMARY KEY, value INTEGER NOT NULL, crc INTEGER) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS batch (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, data BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS sensor (id INTEGER PRIMARY KEY, key TEXT NOT NULL, crc INTEGER);
    CREATE TABLE IF NOT EXISTS reader (name TEXT PRIMARY KEY, done INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS audit (
        series INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
        before REAL, after REAL NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL,
        recorded INTEGER NOT NULL, crc INTEGER, PRIMARY KEY (series, seq, at)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS damage (
        id INTEGER PRIMARY KEY, file TEXT NOT NULL, place INTEGER, first_series INTEGER,
        last_series INTEGER, from_at INTEGER NOT NULL, to_at INTEGER NOT NULL,
        reason TEXT NOT NULL, found INTEGER NOT NULL);
";

/// One line of the audit trail, with the batch that made it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AuditRow {
    pub(super) series: SeriesId,
    pub(super) offset: Offset,
    pub(super) entry: Corrected,
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
    /// Of files from before there was `latest.bin`.
    pub(super) latest: Vec<Option<Slot>>,
    pub(super) damage: Vec<Damage>,
    /// Rows of this file that fail their checksum, one sentence each.
    pub(super) blemishes: Vec<String>,
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
        for table in ["meta", "sensor", "audit"] {
            log.add_checksums(table)?;
        }
        match log.meta("format")? {
            Some(FORMAT) => {}
            None | Some(..FORMAT) => log.set_meta("format", FORMAT)?,
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
        let pages: i64 = self.conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let small = pages <= CHECKED_PAGES_MAX;
        let mut blemishes = if small { self.structure()? } else { Vec::new() };
        let mut offset = |name| {
            let value = match self.meta(name) {
                Err(SeriesError::Damaged { reason }) => {
                    blemishes.push(reason);
                    None
                }
                other => other?,
            };
            Ok::<_, SeriesError>(Offset(value.unwrap_or(0).max(0) as u64))
        };
        let (truncated, sealed) = (offset("truncated")?, offset("sealed")?);
        let (first, last, bytes): (Option<i64>, Option<i64>, Option<i64>) = self.conn.query_row(
            "SELECT min(seq), max(seq), sum(length(data)) FROM batch",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let truncated = truncated.max(Offset(first.unwrap_or(1).max(1) as u64 - 1));
        let mut opened = Opened {
            sealed,
            truncated,
            blemishes,
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
        opened.damage = self.damage()?;
        Ok(opened)
    }

    fn registry(&self, opened: &mut Opened) -> Result<(), SeriesError> {
        let mut sensors = self.conn.prepare("SELECT id, key, crc FROM sensor ORDER BY id")?;
        let mut rows = sensors.query([])?;
        while let Some(row) = rows.next()? {
            let (id, key): (i64, String) = (row.get(0)?, text(row, 1)?);
            let crc: Option<u32> = row.get(2)?;
            let next = opened.sensors.len() as i64;
            if id < next || id >= SENSORS_MAX as i64 {
                opened.blemishes.push(format!("sensor {id} is out of order"));
                continue;
            }
            for missing in next..id {
                opened.blemishes.push(format!("the name of sensor {missing} is lost"));
                opened.sensors.push(nameless(missing)?);
            }
            let key = match crc {
                Some(crc) => mended(id, key, crc),
                None => Some(key),
            };
            opened.sensors.push(match key.and_then(|key| SensorKey::new(&key).ok()) {
                Some(key) => key,
                None => {
                    opened.blemishes.push(format!("the name of sensor {id} is damaged"));
                    nameless(id)?
                }
            });
        }
        opened.latest = vec![None; opened.sensors.len()];
        if !self.has_table("latest")? {
            return Ok(());
        }
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

    /// Forgets the table of latest readings; `latest.bin` has them now.
    pub(super) fn drop_latest(&self) -> Result<(), SeriesError> {
        Ok(self
            .conn
            .execute_batch("DROP TABLE IF EXISTS latest; DROP TABLE IF EXISTS quarantine;")?)
    }

    fn has_table(&self, name: &str) -> Result<bool, SeriesError> {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        Ok(self.conn.query_row(sql, [name], |row| row.get::<_, i64>(0))? > 0)
    }

    fn add_checksums(&self, table: &str) -> Result<(), SeriesError> {
        let sql = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = 'crc'";
        if self.conn.query_row(sql, [table], |row| row.get::<_, i64>(0))? == 0 {
            self.conn.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN crc INTEGER"))?;
        }
        Ok(())
    }

    /// What is wrong with the pages of the file, in words.
    pub(super) fn structure(&self) -> Result<Vec<String>, SeriesError> {
        let mut check = self.conn.prepare("PRAGMA quick_check(8)")?;
        let words = check.query_map([], |row| row.get::<_, String>(0))?;
        let words = words.collect::<Result<Vec<_>, _>>()?;
        Ok(words.into_iter().filter(|word| word != "ok").collect())
    }

    fn damage(&self) -> Result<Vec<Damage>, SeriesError> {
        let mut select = self.conn.prepare(
            "SELECT id, file, place, first_series, last_series, from_at, to_at, reason, found
             FROM damage ORDER BY id",
        )?;
        let rows = select.query_map([], |row| {
            let (first, last): (Option<u32>, Option<u32>) = (row.get(3)?, row.get(4)?);
            Ok(Damage {
                id: row.get::<_, i64>(0)? as u64,
                file: row.get(1)?,
                place: row.get::<_, Option<i64>>(2)?.map(|place| place as u64),
                series: first.zip(last).map(|(first, last)| (SeriesId(first), SeriesId(last))),
                from: Timestamp::from_micros(row.get(5)?),
                to: Timestamp::from_micros(row.get(6)?),
                reason: row.get(7)?,
                found: Timestamp::from_micros(row.get(8)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn meta(&self, name: &str) -> Result<Option<i64>, SeriesError> {
        let mut statement =
            self.conn.prepare_cached("SELECT value, crc FROM meta WHERE name = ?1")?;
        let found: Option<(i64, Option<u32>)> =
            statement.query_row([name], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match found {
            Some((value, Some(crc))) if crc != meta_checksum(name, value) => {
                Err(damaged(&format!("`{name}` fails its checksum")))
            }
            other => Ok(other.map(|(value, _)| value)),
        }
    }

    pub(super) fn set_meta(&self, name: &str, value: i64) -> Result<(), SeriesError> {
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO meta (name, value, crc) VALUES (?1, ?2, ?3)")?
            .execute(params![name, value, meta_checksum(name, value)])?;
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
            .prepare_cached("INSERT INTO sensor (id, key, crc) VALUES (?1, ?2, ?3)")?
            .execute(params![id.0, key.as_str(), name_checksum(i64::from(id.0), key.as_str())])?;
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
                 (series, seq, at, before, after, actor, reason, recorded, crc)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                row.series.0,
                row.offset.0 as i64,
                entry.at.as_micros(),
                entry.before,
                entry.after,
                entry.actor,
                entry.reason,
                entry.recorded.as_micros(),
                audit_checksum(row.series.0, entry),
            ])?;
        Ok(())
    }

    pub(super) fn audited(
        &self,
        series: SeriesId,
        limit: usize,
    ) -> Result<Vec<Corrected>, SeriesError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT at, before, after, actor, reason, recorded, crc FROM audit
             WHERE series = ?1 ORDER BY seq DESC, at DESC LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![series.0, limit], |row| {
            let entry = Corrected {
                at: Timestamp::from_micros(row.get(0)?),
                before: row.get(1)?,
                after: row.get(2)?,
                actor: row.get(3)?,
                reason: row.get(4)?,
                recorded: Timestamp::from_micros(row.get(5)?),
            };
            let crc: Option<u32> = row.get(6)?;
            Ok(crc.is_none_or(|crc| crc == audit_checksum(series.0, &entry)).then_some(entry))
        })?;
        let entries: Vec<_> = rows.collect::<Result<_, _>>()?;
        if entries.iter().any(Option::is_none) {
            return Err(damaged("an entry of the audit trail fails its checksum"));
        }
        Ok(entries.into_iter().flatten().collect())
    }

    pub(super) fn quarantine(&self, found: &Damage) -> Result<(), SeriesError> {
        let series = found.series.map(|(first, last)| (first.0, last.0)).unzip();
        self.conn
            .prepare_cached(
                "INSERT OR IGNORE INTO damage
                 (id, file, place, first_series, last_series, from_at, to_at, reason, found)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                found.id as i64,
                found.file,
                found.place.map(|place| place as i64),
                series.0,
                series.1,
                found.from.as_micros(),
                found.to.as_micros(),
                found.reason,
                found.found.as_micros()
            ])?;
        Ok(())
    }

    /// Forgets what was damaged and what was corrected before `day`: its readings are gone.
    pub(super) fn forget_days(&self, day: i64) -> Result<(), SeriesError> {
        let cutoff = start_of(day);
        self.conn.prepare_cached("DELETE FROM damage WHERE from_at < ?1")?.execute([cutoff])?;
        self.conn.prepare_cached("DELETE FROM audit WHERE at < ?1")?.execute([cutoff])?;
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

    /// Gives free pages back but for some, one step; returns whether more are left.
    pub(super) fn shrink(&self, kept: i64) -> Result<bool, SeriesError> {
        let free: i64 = self.conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        let step = (free - kept).min(SHRINK_PAGES);
        if step <= 0 {
            return Ok(false);
        }
        let mut vacuum = self.conn.prepare(&format!("PRAGMA incremental_vacuum({step})"))?;
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        Ok(free - step > kept)
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

/// Text that may be anything after a bit flipped.
fn text(row: &rusqlite::Row<'_>, index: usize) -> Result<String, SeriesError> {
    let value = row.get_ref(index)?;
    let bytes = value.as_bytes().unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn meta_checksum(name: &str, value: i64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(name.as_bytes()), &value.to_le_bytes())
}

fn name_checksum(id: i64, key: &str) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&id.to_le_bytes()), key.as_bytes())
}

fn audit_checksum(series: u32, entry: &Corrected) -> u32 {
    let mut sum = crc32c::crc32c(&series.to_le_bytes());
    let numbers = [
        entry.at.as_micros().to_le_bytes(),
        entry.before.unwrap_or(f64::NAN).to_le_bytes(),
        entry.after.to_le_bytes(),
        entry.recorded.as_micros().to_le_bytes(),
    ];
    for number in &numbers {
        sum = crc32c::crc32c_append(sum, number);
    }
    sum = crc32c::crc32c_append(sum, entry.actor.as_bytes());
    crc32c::crc32c_append(sum, entry.reason.as_bytes())
}

/// The name of a sensor, with the one bit put right that may have flipped in it.
fn mended(id: i64, key: String, crc: u32) -> Option<String> {
    if name_checksum(id, &key) == crc {
        return Some(key);
    }
    let mut bytes = key.into_bytes();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(text) = std::str::from_utf8(&bytes)
            && name_checksum(id, text) == crc
        {
            return Some(text.to_owned());
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    None
}

/// What a sensor is called whose name is lost: its readings stay within reach.
fn nameless(id: i64) -> Result<SensorKey, SeriesError> {
    SensorKey::new(&format!("damaged/sensor/id-{id}")).map_err(|error| damaged(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flipped_bit_of_a_name_is_put_right() {
        let crc = name_checksum(7, "north/p-1/flow");
        assert_eq!(mended(7, "north/p-1/flow".to_owned(), crc).as_deref(), Some("north/p-1/flow"));
        assert_eq!(mended(7, "north/p-1/flox".to_owned(), crc), None);
        assert_eq!(mended(7, "north/q-1/flow".to_owned(), crc).as_deref(), Some("north/p-1/flow"));
        assert_eq!(mended(8, "north/p-1/flow".to_owned(), crc), None);
    }
}
