//! What the fuzzers under `fuzz/` reach of this store. Nothing else uses it.

use std::collections::BTreeMap;
use std::path::Path;

use super::block::Columns;
use super::codec;
use super::packed::{Minutes, Packed, join_minutes, minutes_of};
use super::segment::{Head, Segment, SegmentWriter, TABLES, Table};
use super::stretch::{Block, encode};
use crate::series::{Offset, SeriesError};

/// Blocks of more rows are read only: writing them anew takes long.
const ROWS_WRITTEN_MAX: usize = 20_000;

/// Time, bits of the value, quality.
pub type Row = (i64, u64, u8);

/// The readings of each sensor, in order of time.
pub type Readings = BTreeMap<u32, Vec<Row>>;

fn rows(columns: &Columns) -> impl Iterator<Item = Row> + '_ {
    assert!(columns.at.len() == columns.value.len() && columns.at.len() == columns.quality.len());
    let values = columns.value.iter().map(|value| value.to_bits());
    columns.at.iter().zip(values).zip(&columns.quality).map(|((at, value), q)| (*at, value, *q))
}

/// Reads bytes as each kind of block and as a batch of the log; what can be read is written and
/// read again, and must be the same.
pub fn blocks(bytes: &[u8]) {
    block(bytes);
    if let Ok(packed) = Packed::decode(bytes) {
        if packed.rows() <= ROWS_WRITTEN_MAX {
            let again = packed.encode().and_then(|bytes| Packed::decode(&bytes));
            assert!(again.is_ok_and(|again| rows(&again.columns).eq(rows(&packed.columns))));
        }
        for (series, range) in packed.runs() {
            assert!(packed.of(series) == Some(range.clone()) && range.end <= packed.rows());
        }
    }
    for ends in [false, true] {
        if let Ok(minutes) = Minutes::decode(bytes, ends) {
            let Some((first, last)) = minutes.ends() else { continue };
            for row in [first, last].iter().filter_map(|series| minutes.of(*series)).flatten() {
                assert!(minutes.minute(row).at == minutes.at(row));
            }
        }
    }
    if let Ok(batch) = codec::decode(bytes) {
        let again = codec::encode(&batch);
        let back = codec::decode(&again);
        assert!(back.is_ok_and(|back| codec::encode(&back) == again), "a batch");
    }
}

fn block(bytes: &[u8]) {
    let Ok(block) = Block::open(bytes.to_vec()) else { return };
    let Ok(columns) = block.read(0..block.len()) else { return };
    assert!(columns.len() == block.count());
    let Some(whole) = columns.summary(1) else { return };
    if columns.len() > ROWS_WRITTEN_MAX {
        return;
    }
    for index in 0..block.len() {
        let part = block.read(index..index + 1).map(|part| part.len());
        assert!(part.is_err() || part.ok() == Some(block.summary(&whole, index).count as usize));
    }
    let again = encode(&columns).and_then(Block::open);
    let again = again.and_then(|again| again.read(0..again.len()));
    assert!(again.is_ok_and(|again| rows(&again).eq(rows(&columns))), "a block");
}

/// Writes readings as one segment. Those of a sensor are in order of time, each time once.
///
/// # Errors
/// When the file cannot be written.
pub fn write_segment(path: &Path, readings: &Readings) -> Result<bool, SeriesError> {
    let head = Head { day: 0, generation: 1, after: Offset(0), through: Offset(1) };
    let mut writer = SegmentWriter::create(path.to_path_buf(), head)?;
    for (series, rows) in readings {
        writer.run(*series, &columns(rows))?;
    }
    Ok(writer.finish()?.is_some())
}

fn columns(rows: &[Row]) -> Columns {
    let mut columns = Columns::default();
    for (at, value, quality) in rows {
        columns.push(*at, f64::from_bits(*value), *quality);
    }
    columns
}

/// Reads a segment as a whole: its readings, and whether all of it was sound.
///
/// # Errors
/// When nothing of it can be read.
pub fn read_segment(path: &Path) -> Result<(Readings, bool), SeriesError> {
    let opened = Segment::at(path.to_path_buf())?.open()?;
    let mut sound = opened.blemish.is_none();
    let mut readings = Readings::new();
    for table in TABLES {
        for index in opened.index(table) {
            let Ok(entries) = opened.entries(index) else {
                sound = false;
                continue;
            };
            for entry in &entries {
                let Ok(bytes) = opened.bytes(entry) else {
                    sound = false;
                    continue;
                };
                sound &= take(table, entry.series.0, &bytes, &mut readings).is_ok();
            }
        }
    }
    Ok((readings, sound))
}

fn take(
    table: Table,
    series: u32,
    bytes: &[u8],
    readings: &mut Readings,
) -> Result<(), SeriesError> {
    match table {
        Table::Dense => {
            let block = Block::open(bytes.to_vec())?;
            let columns = block.read(0..block.len())?;
            readings.entry(series).or_default().extend(rows(&columns));
        }
        Table::Packed => {
            let packed = Packed::decode(bytes)?;
            for (series, range) in packed.runs() {
                let part = packed.columns.slice(range.start, range.end);
                readings.entry(series).or_default().extend(rows(&part));
            }
        }
        Table::Minutes => drop(Minutes::decode(bytes, true)?),
    }
    Ok(())
}

/// Minute figures of readings that were cut in two are those of the whole, but for the sums' noise.
pub fn minutes(rows: &[Row], cut: usize) {
    let (early, late) = rows.split_at(cut.min(rows.len()));
    let mut joined = minutes_of(&columns(early));
    join_minutes(&mut joined, &minutes_of(&columns(late)));
    let whole = minutes_of(&columns(rows));
    let bare = |all: &[super::packed::Minute]| -> Vec<(i64, u64)> {
        all.iter().map(|minute| (minute.at, minute.figures.count)).collect()
    };
    assert!(bare(&joined) == bare(&whole), "minutes");
}
