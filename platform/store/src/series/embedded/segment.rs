//! A segment: readings of one UTC day that were sealed together, in a file that never changes.
//!
//! ```text
//! head   what it holds: day, generation, range of log offsets
//! blocks readings of one sensor, readings of several, minute figures of several
//! index  64 entries a block: where each block is, what it covers, its checksum, its summary
//! root   twice: where each index block is and what it covers
//! tail   twice: where the roots are
//! ```
//!
//! Every byte is under a checksum that is checked whenever it is used.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::block::{BLOCK_POINTS, BLOCK_POINTS_SMALL, Columns, Figures, cuts};
use super::codec::{Rest, damaged};
use super::layout::{ENTRY_BYTES, HEAD_BYTES, Root, Tail, read_block, short};
pub(super) use super::layout::{Entry, Head, IndexBlock, TABLES, Table};
use super::packed::{MINUTE_MICROS, Minute, Minutes, Packed, minutes_of};
use super::stretch;
use crate::series::SeriesError;

/// Entries in one block of an index.
const INDEX_ENTRIES: usize = 64;
/// Rows in one block of minute figures.
const MINUTE_ROWS: usize = 4_096;
/// Minute figures pay only where a minute holds at least so many readings.
pub(super) const READINGS_PER_MINUTE_MIN: usize = 20;
const WRITE_BYTES: usize = 1 << 18;

/// Writes one segment; sensors come in order. Nothing is visible before [`SegmentWriter::finish`].
pub(super) struct SegmentWriter {
    head: Head,
    path: PathBuf,
    out: BufWriter<File>,
    place: u64,
    entries: [Vec<Entry>; 3],
    packed: Packed,
    minutes: Minutes,
}

impl SegmentWriter {
    pub(super) fn create(path: PathBuf, head: Head) -> Result<Self, SeriesError> {
        let file = File::create(unfinished(&path))?;
        let mut out = BufWriter::with_capacity(WRITE_BYTES, file);
        out.write_all(&head.to_bytes())?;
        Ok(Self {
            head,
            path,
            out,
            place: HEAD_BYTES as u64,
            entries: Default::default(),
            packed: Packed::default(),
            minutes: Minutes::default(),
        })
    }

    /// Adds all readings that the segment has of one sensor, in order of time.
    pub(super) fn run(&mut self, series: u32, columns: &Columns) -> Result<(), SeriesError> {
        if columns.len() < BLOCK_POINTS_SMALL {
            return self.packed(series, columns);
        }
        self.dense_all(series, columns)?;
        let minutes = minutes_of(columns);
        if columns.len() >= minutes.len() * READINGS_PER_MINUTE_MIN {
            self.minutes(series, &minutes)?;
        }
        Ok(())
    }

    /// Adds a run of which the first part is late. Kept apart, a few late readings do not make
    /// the blocks of the others overlap those of earlier segments.
    pub(super) fn run_with_late(
        &mut self,
        series: u32,
        late: &Columns,
        rest: &Columns,
    ) -> Result<(), SeriesError> {
        if late.len() == 0 {
            return self.run(series, rest);
        }
        if late.len() < BLOCK_POINTS_SMALL && rest.len() >= BLOCK_POINTS_SMALL {
            self.packed(series, late)?;
            return self.run(series, rest);
        }
        let mut all = late.clone();
        all.append(rest, 0, rest.len());
        self.run(series, &all)
    }

    /// Adds readings of one sensor in blocks of a good size.
    pub(super) fn dense_all(&mut self, series: u32, columns: &Columns) -> Result<(), SeriesError> {
        for (from, to) in cuts(&columns.at) {
            self.dense(series, &columns.slice(from, to))?;
        }
        Ok(())
    }

    /// Adds the few readings of one sensor to a block that it shares.
    fn packed(&mut self, series: u32, columns: &Columns) -> Result<(), SeriesError> {
        if columns.len() > 0 {
            self.packed.push(series, columns);
        }
        if self.packed.rows() >= BLOCK_POINTS { self.flush_packed() } else { Ok(()) }
    }

    /// Adds a block of one sensor.
    fn dense(&mut self, series: u32, columns: &Columns) -> Result<(), SeriesError> {
        let Some(summary) = columns.summary(series) else { return Ok(()) };
        let entry = Entry {
            series: (series, series),
            from: summary.first,
            to: summary.last,
            count: summary.count,
            figures: summary.figures,
            place: 0,
            len: 0,
            checksum: 0,
        };
        self.block(Table::Dense, entry, &stretch::encode(columns)?)
    }

    /// Adds the minute figures of all the readings that the segment has of one sensor.
    pub(super) fn minutes(&mut self, series: u32, minutes: &[Minute]) -> Result<(), SeriesError> {
        self.minutes.push(series, minutes);
        if self.minutes.rows() >= MINUTE_ROWS { self.flush_minutes() } else { Ok(()) }
    }

    fn flush_packed(&mut self) -> Result<(), SeriesError> {
        let packed = std::mem::take(&mut self.packed);
        let Some(series) = packed.ends() else { return Ok(()) };
        let times = &packed.columns.at;
        let (Some(from), Some(to)) = (times.iter().min(), times.iter().max()) else {
            return Ok(());
        };
        let entry = Entry {
            series,
            from: *from,
            to: *to,
            count: packed.rows() as u32,
            figures: Figures::default(),
            place: 0,
            len: 0,
            checksum: 0,
        };
        self.block(Table::Packed, entry, &packed.encode()?)
    }

    fn flush_minutes(&mut self) -> Result<(), SeriesError> {
        let minutes = std::mem::take(&mut self.minutes);
        let Some(series) = minutes.ends() else { return Ok(()) };
        let starts = (0..minutes.rows()).map(|row| minutes.at(row));
        let (from, to) =
            starts.fold((i64::MAX, i64::MIN), |(low, high), at| (low.min(at), high.max(at)));
        let entry = Entry {
            series,
            from,
            to: to.saturating_add(MINUTE_MICROS - 1),
            count: minutes.rows() as u32,
            figures: Figures::default(),
            place: 0,
            len: 0,
            checksum: 0,
        };
        self.block(Table::Minutes, entry, &minutes.encode()?)
    }

    /// Adds a block as it is.
    pub(super) fn block(
        &mut self,
        table: Table,
        entry: Entry,
        bytes: &[u8],
    ) -> Result<(), SeriesError> {
        let (place, len) = self.write(bytes)?;
        let checksum = crc32c::crc32c(bytes);
        self.entries[table as usize].push(Entry { place, len, checksum, ..entry });
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(u64, u32), SeriesError> {
        self.out.write_all(bytes)?;
        let place = self.place;
        self.place += bytes.len() as u64;
        Ok((place, bytes.len() as u32))
    }

    /// Leaves nothing behind.
    pub(super) fn abandon(self) -> Result<(), SeriesError> {
        Ok(fs::remove_file(unfinished(&self.path))?)
    }

    /// Makes the segment durable under its name; `None` when nothing was added.
    pub(super) fn finish(mut self) -> Result<Option<Segment>, SeriesError> {
        self.flush_packed()?;
        self.flush_minutes()?;
        if self.entries.iter().all(Vec::is_empty) {
            self.abandon()?;
            return Ok(None);
        }
        let tables = std::mem::take(&mut self.entries);
        let (mut readings, mut blocks) = (0, 0);
        for entry in [Table::Dense, Table::Packed].iter().flat_map(|one| &tables[*one as usize]) {
            readings += u64::from(entry.count);
            blocks += 1;
        }
        let mut root = Vec::new();
        for entries in tables {
            root.extend_from_slice(&(entries.len().div_ceil(INDEX_ENTRIES) as u32).to_le_bytes());
            for some in entries.chunks(INDEX_ENTRIES) {
                self.index(some)?.put(&mut root);
            }
        }
        let checksum = crc32c::crc32c(&root);
        root.extend_from_slice(&checksum.to_le_bytes());
        let (first, len) = self.write(&root)?;
        let (second, _) = self.write(&root)?;
        let tail = Tail { roots: [first, second], len, readings, blocks }.to_bytes();
        self.write(&tail)?;
        self.write(&tail)?;
        let file = self.out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(unfinished(&self.path), &self.path)?;
        Ok(Some(Segment { head: self.head, path: self.path, bytes: self.place, readings, blocks }))
    }

    fn index(&mut self, entries: &[Entry]) -> Result<IndexBlock, SeriesError> {
        let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
        entries.iter().for_each(|entry| entry.put(&mut bytes));
        let (place, len) = self.write(&bytes)?;
        let (first, last) = (entries[0], entries[entries.len() - 1]);
        // Times are in order only among the blocks of one sensor.
        let ends = |entry: &Entry, at, else_at| {
            if entry.series.0 == entry.series.1 { at } else { else_at }
        };
        Ok(IndexBlock {
            first: (first.series.0, ends(&first, first.from, i64::MIN)),
            last: (last.series.1, ends(&last, last.to, i64::MAX)),
            place,
            len,
            checksum: crc32c::crc32c(&bytes),
        })
    }
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

/// A finished segment: its head, and where the file is.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) head: Head,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// Zero when a damaged file does not say.
    pub(super) readings: u64,
    pub(super) blocks: u32,
}

impl Segment {
    /// Reads the head of a file, and how much it says that it holds.
    pub(super) fn at(path: PathBuf) -> Result<Self, SeriesError> {
        let file = File::open(&path)?;
        let bytes = file.metadata()?.len();
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(&mut head, 0).map_err(short)?;
        let head = Head::from_bytes(&head)?;
        let tail = [1, 2].into_iter().find_map(|copy| Tail::read(&file, bytes, copy).ok()?.1.ok());
        let (readings, blocks) = tail.map_or((0, 0), |tail| (tail.readings, tail.blocks));
        let mut segment = Self { head, path, bytes, readings, blocks };
        if readings == 0
            && let Ok(opened) = segment.open()
        {
            (segment.readings, segment.blocks) = opened.count();
        }
        Ok(segment)
    }

    /// Opens the file and reads its root.
    pub(super) fn open(&self) -> Result<Opened, SeriesError> {
        let file = File::open(&self.path)?;
        let bytes = file.metadata()?.len();
        let mut blemish = None;
        let mut found = None;
        for copy in [2, 1] {
            match Tail::read(&file, bytes, copy)? {
                (_, Ok(tail)) => found = found.or(Some((tail.roots, tail.len))),
                (place, Err(error)) => blemish = Some((place, error)),
            }
        }
        let Some((places, len)) = found else { return Err(damaged("both tails are damaged")) };
        let mut root = None;
        for place in places {
            match read_block(&file, place, len).and_then(|bytes| Root::read(&bytes)) {
                Ok(one) => root = root.or(Some(one)),
                Err(error @ SeriesError::Damaged { .. }) => blemish = Some((place, error)),
                Err(error) => return Err(error),
            }
        }
        let root = root.ok_or_else(|| damaged("both roots are damaged"))?;
        Ok(Opened { file, root, blemish: blemish.map(|(place, error)| (place, error.to_string())) })
    }
}

/// A segment with its file open.
#[derive(Debug)]
pub(super) struct Opened {
    file: File,
    root: Root,
    /// One of two copies of something is damaged; the other one does.
    pub(super) blemish: Option<(u64, String)>,
}

impl Opened {
    pub(super) fn index(&self, table: Table) -> &[IndexBlock] {
        &self.root.tables[table as usize]
    }

    /// Readings and blocks, by the index; what is damaged does not count.
    fn count(&self) -> (u64, u32) {
        let (mut readings, mut blocks) = (0, 0);
        for block in [Table::Dense, Table::Packed].iter().flat_map(|table| self.index(*table)) {
            for entry in self.entries(block).unwrap_or_default() {
                readings += u64::from(entry.count);
                blocks += 1;
            }
        }
        (readings, blocks)
    }

    /// How many bytes of memory this takes.
    pub(super) fn weight(&self) -> usize {
        let blocks: usize = self.root.tables.iter().map(Vec::len).sum();
        size_of::<Self>() + blocks * size_of::<IndexBlock>()
    }

    /// The positions of the index blocks that may know of this sensor in `[from, to)`.
    pub(super) fn candidates(
        &self,
        table: Table,
        series: u32,
        from: i64,
        to: i64,
    ) -> std::ops::Range<usize> {
        let blocks = self.index(table);
        let start = blocks.partition_point(|block| block.last < (series, from));
        let end = blocks.partition_point(|block| block.first < (series, to));
        start..end.max(start)
    }

    /// The entries of one index block.
    pub(super) fn entries(&self, block: &IndexBlock) -> Result<Vec<Entry>, SeriesError> {
        let bytes = read_block(&self.file, block.place, block.len)?;
        if crc32c::crc32c(&bytes) != block.checksum {
            return Err(damaged("an index block fails its checksum"));
        }
        let mut rest = Rest(&bytes);
        let mut entries = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
        while !rest.0.is_empty() {
            entries.push(Entry::read(&mut rest)?);
        }
        Ok(entries)
    }

    /// The bytes of one block, checked.
    pub(super) fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, SeriesError> {
        let bytes = read_block(&self.file, entry.place, entry.len)?;
        if crc32c::crc32c(&bytes) != entry.checksum {
            return Err(damaged("a block fails its checksum"));
        }
        Ok(bytes)
    }
}
