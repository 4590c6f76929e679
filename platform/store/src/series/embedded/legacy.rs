//! Days as they were kept before format 2: one SQLite file each. They become segments when the
//! store is opened; the code goes when nobody can have such files any more.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::block::Columns;
use super::codec::{Rest, damaged};
use super::days::{Days, parse_day};
use super::log::LogFile;
use crate::series::{Offset, SeriesError};

const FORMAT: u8 = 1;
const SUMMARY_BYTES: usize = 76;
const COUNT_MAX: usize = 1 << 20;

/// Makes a segment of every old day file. Done again after a crash: a file goes only when its
/// segment is durable.
pub(super) fn move_over(days: &Days, log: &LogFile, sealed: Offset) -> Result<(), SeriesError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(days.dir())? {
        let path = entry?.path();
        let day = path.file_stem().and_then(|stem| stem.to_str()).and_then(parse_day);
        if let (Some(day), true) = (day, path.extension().is_some_and(|ext| ext == "db")) {
            paths.push((day, path));
        }
    }
    for (day, path) in paths {
        if let Err(error) = move_one(days, day, &path, sealed) {
            // What cannot be read stays where it is, for people to look at.
            tracing::error!(file = %path.display(), %error, "an old day file cannot be read");
            fs::rename(&path, path.with_extension("damaged"))?;
        }
    }
    log.drop_latest()
}

fn move_one(days: &Days, day: i64, path: &Path, sealed: Offset) -> Result<(), SeriesError> {
    tracing::info!(file = %path.display(), "moving a day of readings to the new format");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    // What was sealed before counts as older than anything that is sealed from now on.
    let mut writer = days.create(day, Offset(0), sealed)?;
    let mut select = conn.prepare(
        "SELECT block.series, block.summary, data.bytes FROM block
         LEFT JOIN data ON data.id = block.id ORDER BY block.series, block.first",
    )?;
    let mut rows = select.query([])?;
    let (mut series, mut columns, mut lost) = (None, Columns::default(), 0);
    while let Some(row) = rows.next()? {
        let of: u32 = row.get(0)?;
        if series.is_some_and(|known| known != of) {
            writer.run(series.unwrap_or(of), &columns)?;
            columns.clear();
        }
        series = Some(of);
        let (summary, bytes) = (row.get_ref(1)?.as_blob(), row.get_ref(2)?.as_blob());
        match (summary, bytes) {
            (Ok(summary), Ok(bytes)) if let Ok(block) = decode(of, summary, bytes) => {
                columns.append(&block, 0, block.len());
            }
            _ => lost += 1,
        }
    }
    if let Some(series) = series {
        writer.run(series, &columns)?;
    }
    drop(rows);
    drop(select);
    drop(conn);
    let segment = writer.finish()?;
    days.sync()?;
    days.publish(segment.into_iter().collect());
    if lost > 0 {
        tracing::error!(file = %path.display(), lost, "damaged blocks were left behind");
        return Err(damaged("some of its blocks are damaged"));
    }
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

fn decode(series: u32, summary: &[u8], bytes: &[u8]) -> Result<Columns, SeriesError> {
    if summary.len() != SUMMARY_BYTES {
        return Err(damaged("the summary has the wrong length"));
    }
    let (body, own) = summary.split_at(SUMMARY_BYTES - 4);
    let mut head = Rest(body);
    let of = u32::from_le_bytes(head.array()?);
    head.take(16)?;
    let count = u32::from_le_bytes(head.array()?) as usize;
    let checksum = Rest(&body[SUMMARY_BYTES - 8..]).array()?;
    let sound = crc32c::crc32c(body).to_le_bytes() == own
        && crc32c::crc32c(bytes).to_le_bytes() == checksum
        && of == series;
    let mut rest = Rest(bytes);
    let [format] = rest.array()?;
    let stored = u32::from_le_bytes(rest.array()?) as usize;
    if !sound || format != FORMAT || stored != count || count > COUNT_MAX {
        return Err(damaged("the block fails its checksum"));
    }
    let mut columns = Columns { at: vec![0; count], value: vec![0.0; count], quality: Vec::new() };
    let len = u32::from_le_bytes(rest.array()?) as usize;
    pco::standalone::simple_decompress_into(rest.take(len)?, &mut columns.at).map_err(refused)?;
    let len = u32::from_le_bytes(rest.array()?) as usize;
    pco::standalone::simple_decompress_into(rest.take(len)?, &mut columns.value)
        .map_err(refused)?;
    while columns.quality.len() < count {
        let len = u32::from_le_bytes(rest.array()?) as usize;
        let [byte] = rest.array()?;
        if len == 0 || columns.quality.len() + len > count {
            return Err(damaged("the qualities do not fit the block"));
        }
        columns.quality.resize(columns.quality.len() + len, byte);
    }
    Ok(columns)
}

fn refused(error: pco::errors::PcoError) -> SeriesError {
    damaged(&error.to_string())
}
