//! Looks things up in one snapshot of one day, block by block. What fails its checksum is
//! quarantined and passed over.

use std::ops::Range;
use std::sync::Arc;

use super::block::{Columns, Slot};
use super::codec::damaged;
use super::days::Days;
use super::memory::in_order;
use super::packed::{Minutes, Packed};
use super::segment::{Entry, IndexBlock, Opened, Segment, Table};
use super::stretch::Block;
use crate::series::SeriesError;

/// The last blocks used stay decoded: neighbouring sensors share them.
pub(super) struct Cursor<'a> {
    days: &'a Days,
    parts: Vec<Part>,
}

struct Part {
    segment: Arc<Segment>,
    opened: Arc<Opened>,
    index: [Option<(usize, Vec<Entry>)>; 3],
    packed: Option<(u64, Packed)>,
    minutes: Option<(u64, bool, Minutes)>,
}

/// A block of one sensor and the segment it is in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) part: usize,
    pub(super) entry: Entry,
}

/// What the segments of a day have of one sensor.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// In order of time, no two overlapping.
    pub(super) blocks: Vec<Piece>,
    /// Single readings, in order of time, the last writer's only.
    pub(super) slots: Vec<Slot>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(days: &'a Days, day: i64) -> Result<Self, SeriesError> {
        Ok(Self::over(days, days.snapshot(day)?))
    }

    /// Over these segments only, in the order of the log.
    pub(super) fn over(days: &'a Days, snapshot: super::days::Snapshot) -> Self {
        let part = |(segment, opened)| Part {
            segment,
            opened,
            index: Default::default(),
            packed: None,
            minutes: None,
        };
        Self { days, parts: snapshot.into_iter().map(part).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// How far the log had come when this segment was made; among readings of one time the one
    /// from the later segment is served.
    pub(super) fn rank(&self, part: usize) -> u64 {
        self.parts[part].segment.head.through.0
    }

    /// Everything there is of a sensor in `[from, to)`; blocks that reach into it come whole.
    pub(super) fn pieces(
        &mut self,
        series: u32,
        from: i64,
        to: i64,
    ) -> Result<Pieces, SeriesError> {
        let mut pieces = Pieces::default();
        for part in 0..self.parts.len() {
            self.dense(part, series, from, to, &mut pieces.blocks)?;
            self.few(part, series, from, to, &mut pieces.slots)?;
        }
        pieces.blocks.sort_by_key(|piece| piece.entry.from);
        self.untangle(&mut pieces, from..to)?;
        in_order(&mut pieces.slots, |_, _| ());
        Ok(pieces)
    }

    /// The blocks of a sensor in one segment that reach into `[from, to)`, in order of time.
    pub(super) fn dense(
        &mut self,
        part: usize,
        series: u32,
        from: i64,
        to: i64,
        out: &mut Vec<Piece>,
    ) -> Result<(), SeriesError> {
        let mut entries = Vec::new();
        self.entries(part, Table::Dense, series, from, to, &mut entries)?;
        out.extend(entries.into_iter().map(|entry| Piece { part, entry }));
        Ok(())
    }

    /// The readings of a sensor that shares its block with others.
    pub(super) fn few(
        &mut self,
        part: usize,
        series: u32,
        from: i64,
        to: i64,
        out: &mut Vec<Slot>,
    ) -> Result<(), SeriesError> {
        let mut entries = Vec::new();
        self.entries(part, Table::Packed, series, from, to, &mut entries)?;
        let rank = self.rank(part);
        for entry in entries {
            let Some(packed) = self.packed(part, &entry)? else { continue };
            let Some(run) = packed.of(series) else { continue };
            let columns = &packed.columns;
            let inside = run.filter(|i| (from..to).contains(&columns.at[*i]));
            out.extend(
                inside
                    .map(|i| Slot::new(columns.at[i], columns.value[i], columns.quality[i], rank)),
            );
        }
        Ok(())
    }

    /// The last reading of a sensor in one segment.
    pub(super) fn last(&mut self, part: usize, series: u32) -> Result<Option<Slot>, SeriesError> {
        let (mut blocks, mut slots) = (Vec::new(), Vec::new());
        self.dense(part, series, i64::MIN, i64::MAX, &mut blocks)?;
        self.few(part, series, i64::MIN, i64::MAX, &mut slots)?;
        if let Some(piece) = blocks.last()
            && let Some(block) = self.block(piece)?
            && let Some(columns) = self.read(piece, &block, block.len() - 1..block.len())?
            && let Some(last) = columns.len().checked_sub(1)
        {
            let (at, value, quality) =
                (columns.at[last], columns.value[last], columns.quality[last]);
            slots.push(Slot::new(at, value, quality, self.rank(part)));
        }
        Ok(slots.into_iter().max_by_key(|slot| slot.at))
    }

    /// Blocks of different segments that overlap become single readings.
    fn untangle(&self, pieces: &mut Pieces, times: Range<i64>) -> Result<(), SeriesError> {
        let tangled = |a: &Piece, b: &Piece| b.entry.from <= a.entry.to;
        if !pieces.blocks.windows(2).any(|pair| tangled(&pair[0], &pair[1])) {
            return Ok(());
        }
        let blocks = std::mem::take(&mut pieces.blocks);
        let mut start = 0;
        while start < blocks.len() {
            let (mut end, mut reach) = (start + 1, blocks[start].entry.to);
            while end < blocks.len() && blocks[end].entry.from <= reach {
                reach = reach.max(blocks[end].entry.to);
                end += 1;
            }
            if end == start + 1 {
                pieces.blocks.push(blocks[start]);
            } else {
                for piece in &blocks[start..end] {
                    let rank = self.rank(piece.part);
                    let columns = self.load(piece)?.unwrap_or_default();
                    let inside = (0..columns.len()).filter(|i| times.contains(&columns.at[*i]));
                    pieces.slots.extend(inside.map(|i| {
                        Slot::new(columns.at[i], columns.value[i], columns.quality[i], rank)
                    }));
                }
            }
            start = end;
        }
        Ok(())
    }

    /// The entries that may know of a sensor in `[from, to)`.
    pub(super) fn entries(
        &mut self,
        part: usize,
        table: Table,
        series: u32,
        from: i64,
        to: i64,
        out: &mut Vec<Entry>,
    ) -> Result<(), SeriesError> {
        let days = self.days;
        let part = &mut self.parts[part];
        for position in part.opened.candidates(table, series, from, to) {
            let known = &mut part.index[table as usize];
            if known.as_ref().is_none_or(|(of, _)| *of != position) {
                let block = &part.opened.index(table)[position];
                *known = load_index(days, &part.segment, &part.opened, block)?
                    .map(|entries| (position, entries));
            }
            let Some((_, entries)) = known else { continue };
            let wanted = |entry: &&Entry| {
                (entry.series.0..=entry.series.1).contains(&series)
                    && entry.from < to
                    && entry.to >= from
            };
            // In order, so that a long index block is not read to its end for each sensor.
            let start = entries.partition_point(|entry| entry.series.1 < series);
            let near = entries[start..].iter().take_while(|entry| entry.series.0 <= series);
            out.extend(near.filter(wanted));
        }
        Ok(())
    }

    /// The readings of a block; `None` when they are damaged.
    pub(super) fn load(&self, piece: &Piece) -> Result<Option<Columns>, SeriesError> {
        let Some(block) = self.block(piece)? else { return Ok(None) };
        self.read(piece, &block, 0..block.len())
    }

    /// A block, not decompressed; `None` when it is damaged.
    pub(super) fn block(&self, piece: &Piece) -> Result<Option<Block>, SeriesError> {
        let Part { segment, opened, .. } = &self.parts[piece.part];
        let entry = &piece.entry;
        sound(self.days, segment, entry, || {
            let block = Block::open(opened.bytes(entry)?)?;
            let alike = block.count() == entry.count as usize;
            if alike { Ok(block) } else { Err(damaged("the block does not match its index")) }
        })
    }

    /// The readings of some stretches of a block; `None` when they are damaged.
    pub(super) fn read(
        &self,
        piece: &Piece,
        block: &Block,
        part: Range<usize>,
    ) -> Result<Option<Columns>, SeriesError> {
        let entry = &piece.entry;
        sound(self.days, &self.parts[piece.part].segment, entry, || {
            let columns = block.read(part.clone())?;
            let ends = (columns.at.first(), columns.at.last());
            let begins = part.start > 0 || ends.0 == Some(&entry.from);
            let stops = part.end < block.len() || ends.1 == Some(&entry.to);
            if begins && stops {
                Ok(columns)
            } else {
                Err(damaged("the block does not match its index"))
            }
        })
    }

    /// The bytes of a block as they are; `None` when they are damaged.
    pub(super) fn raw(&self, piece: &Piece) -> Result<Option<Vec<u8>>, SeriesError> {
        let Part { segment, opened, .. } = &self.parts[piece.part];
        sound(self.days, segment, &piece.entry, || opened.bytes(&piece.entry))
    }

    fn packed(&mut self, part: usize, entry: &Entry) -> Result<Option<&Packed>, SeriesError> {
        let days = self.days;
        let Part { segment, opened, packed, .. } = &mut self.parts[part];
        if packed.as_ref().is_none_or(|(place, _)| *place != entry.place) {
            *packed = sound(days, segment, entry, || Packed::decode(&opened.bytes(entry)?))?
                .map(|block| (entry.place, block));
        }
        Ok(packed.as_ref().map(|(_, block)| block))
    }

    /// The minute figures of all that a segment has of a sensor, and the rows that hold them;
    /// `None` when there are none. First and last values only with `ends`.
    pub(super) fn minutes(
        &mut self,
        part: usize,
        series: u32,
        ends: bool,
    ) -> Result<Option<(&Minutes, Range<usize>)>, SeriesError> {
        let mut entries = Vec::new();
        self.entries(part, Table::Minutes, series, i64::MIN, i64::MAX, &mut entries)?;
        let Some(entry) = entries.first() else { return Ok(None) };
        let days = self.days;
        let Part { segment, opened, minutes, .. } = &mut self.parts[part];
        let fits =
            |(place, with, _): &(u64, bool, Minutes)| *place == entry.place && (*with || !ends);
        if !minutes.as_ref().is_some_and(fits) {
            let read = || Minutes::decode(&opened.bytes(entry)?, ends);
            *minutes = sound(days, segment, entry, read)?.map(|block| (entry.place, ends, block));
        }
        let Some((_, _, block)) = minutes.as_ref() else { return Ok(None) };
        Ok(block.of(series).map(|rows| (block, rows)))
    }

    /// Reads every block of one table and quarantines what is damaged.
    pub(super) fn check(&self, part: usize, table: Table) -> Result<(), SeriesError> {
        let Part { segment, opened, .. } = &self.parts[part];
        for block in opened.index(table) {
            for entry in load_index(self.days, segment, opened, block)?.unwrap_or_default() {
                sound(self.days, segment, &entry, || opened.bytes(&entry).map(drop))?;
            }
        }
        Ok(())
    }

    /// Every sensor of one segment with readings of its own or among others.
    pub(super) fn sensors(&self, part: usize) -> Result<Vec<u32>, SeriesError> {
        let Part { segment, opened, .. } = &self.parts[part];
        let mut sensors = Vec::new();
        for block in opened.index(Table::Dense) {
            let entries = load_index(self.days, segment, opened, block)?.unwrap_or_default();
            sensors.extend(entries.iter().map(|entry| entry.series.0));
            sensors.dedup();
        }
        for block in opened.index(Table::Packed) {
            for entry in load_index(self.days, segment, opened, block)?.unwrap_or_default() {
                let packed = || Packed::decode(&opened.bytes(&entry)?);
                let packed = sound(self.days, segment, &entry, packed)?.unwrap_or_default();
                sensors.extend(packed.runs().map(|(series, _)| series));
            }
        }
        Ok(sensors)
    }
}

fn load_index(
    days: &Days,
    segment: &Segment,
    opened: &Opened,
    block: &IndexBlock,
) -> Result<Option<Vec<Entry>>, SeriesError> {
    if days.is_quarantined(segment, Some(block.place)) {
        return Ok(None);
    }
    match opened.entries(block) {
        Ok(entries) => Ok(Some(entries)),
        Err(SeriesError::Damaged { reason }) => {
            let series = (block.first.0, block.last.0);
            days.quarantine_index(segment, block.place, series, &reason);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Does something with a block unless that is quarantined; quarantines it when it is damaged.
fn sound<T>(
    days: &Days,
    segment: &Segment,
    entry: &Entry,
    work: impl FnOnce() -> Result<T, SeriesError>,
) -> Result<Option<T>, SeriesError> {
    if days.is_quarantined(segment, Some(entry.place)) {
        return Ok(None);
    }
    match work() {
        Ok(done) => Ok(Some(done)),
        Err(SeriesError::Damaged { reason }) => {
            days.quarantine_block(segment, entry, &reason);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
