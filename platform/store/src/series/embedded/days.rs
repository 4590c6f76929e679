//! The segments of every day, and which parts of them are damaged.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};

use kernel::{SharedClock, Timestamp};

use super::memory::{lock, read, write};
use super::segment::{Entry, Head, Opened, Segment, SegmentWriter};
use crate::series::{DAMAGE_LISTED_MAX, Damage, Offset, SeriesError, SeriesId};

pub(super) const DAY_MICROS: i64 = 86_400_000_000;
/// Files held open between questions: a year of days, and those of today.
const OPEN_MAX: usize = 512;
/// Memory for the roots of those files.
const OPEN_BYTES_MAX: usize = 16 << 20;
/// How often a question starts again because compaction took its files away.
const SNAPSHOT_TRIES: usize = 8;
const SEGMENT: &str = "seg";
const UNFINISHED: &str = "tmp";
/// A file taken out of service, kept for people to look at.
const DAMAGED: &str = "damaged";

pub(super) fn day_of(at: i64) -> i64 {
    at.div_euclid(DAY_MICROS)
}

pub(super) fn start_of(day: i64) -> i64 {
    day.saturating_mul(DAY_MICROS)
}

/// The segments of one day in order of the log: a later one wins over an earlier one.
pub(super) type Segments = Arc<Vec<Arc<Segment>>>;

/// One snapshot of one day: files that stay readable whatever happens to their names.
pub(super) type Snapshot = Vec<(Arc<Segment>, Arc<Opened>)>;

/// All day files.
pub(super) struct Days {
    dir: PathBuf,
    clock: SharedClock,
    map: RwLock<BTreeMap<i64, Segments>>,
    generation: AtomicU64,
    opened: Mutex<VecDeque<(u64, Arc<Opened>)>>,
    quarantine: Mutex<Quarantine>,
}

#[derive(Default)]
struct Quarantine {
    /// Generation and place; all of the file without a place.
    places: HashSet<(u64, Option<u64>)>,
    listed: VecDeque<Damage>,
    total: u64,
    next: u64,
    /// Not yet written to the log.
    found: Vec<Damage>,
    /// Of those listed, the ones that the last round over everything no longer met.
    over: Vec<u64>,
}

/// What was found on opening the directory.
pub(super) struct Found {
    pub(super) days: Days,
    /// The last batch of the log that is in segments.
    pub(super) through: Offset,
}

impl Days {
    /// Looks at what is there. `sealed` is how far the log says that it is in segments; what was
    /// made from later batches is made again, as long as the log (`kept`) still has those.
    pub(super) fn open(
        dir: PathBuf,
        clock: SharedClock,
        damage: Vec<Damage>,
        sealed: Offset,
        kept: (Offset, Offset),
    ) -> Result<Found, SeriesError> {
        fs::create_dir_all(&dir)?;
        let mut quarantine = Quarantine::default();
        damage.into_iter().for_each(|one| quarantine.know(one));
        let days = Self {
            dir,
            clock,
            map: RwLock::default(),
            generation: AtomicU64::new(1),
            opened: Mutex::default(),
            quarantine: Mutex::new(quarantine),
        };
        let mut through = Offset(0);
        let mut map: BTreeMap<i64, Vec<Arc<Segment>>> = BTreeMap::new();
        for path in days.listed()? {
            days.generation.fetch_max(generation_in(&path) + 1, Relaxed);
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(UNFINISHED) => fs::remove_file(&path)?,
                Some(SEGMENT) => {
                    let Some(segment) = days.known(path)? else { continue };
                    let head = segment.head;
                    let again =
                        head.after >= sealed && kept.0 <= head.after && kept.1 >= head.through;
                    if head.through > sealed && again {
                        fs::remove_file(&segment.path)?;
                        continue;
                    }
                    through = through.max(head.through);
                    map.entry(head.day).or_default().push(Arc::new(segment));
                }
                _ => {}
            }
        }
        for segments in map.values_mut() {
            days.drop_replaced(segments)?;
        }
        *write(&days.map) = map.into_iter().map(|(day, all)| (day, Arc::new(all))).collect();
        Ok(Found { days, through })
    }

    /// Every file in the directory.
    fn listed(&self) -> Result<Vec<PathBuf>, SeriesError> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            paths.push(entry?.path());
        }
        paths.sort();
        Ok(paths)
    }

    /// A file of ours; one with a damaged head is taken out of service.
    fn known(&self, path: PathBuf) -> Result<Option<Segment>, SeriesError> {
        let Some((day, generation)) = parse_name(&path) else { return Ok(None) };
        let reason = match Segment::at(path.clone()) {
            Ok(segment) if (segment.head.day, segment.head.generation) == (day, generation) => {
                return Ok(Some(segment));
            }
            Ok(_) => "the file belongs to another name".to_owned(),
            Err(SeriesError::Damaged { reason }) => reason,
            Err(error) => return Err(error),
        };
        // The name alone says which day it is; its place in the order is lost.
        let head = Head { day, generation, after: Offset(0), through: Offset(0) };
        let segment = Segment { head, path, bytes: 0, readings: 0, blocks: 0 };
        self.quarantine_file(&segment, &reason);
        self.set_aside(&segment)?;
        Ok(None)
    }

    /// Removes what a compaction has replaced and had no time to remove.
    fn drop_replaced(&self, segments: &mut Vec<Arc<Segment>>) -> Result<(), SeriesError> {
        segments.sort_by_key(|one| (one.head.after, one.head.through, one.head.generation));
        let heads: Vec<Head> = segments.iter().map(|one| one.head).collect();
        let replaced = |one: &Head| {
            // What moved over from a log that was lost covers nothing, and is covered by nothing.
            one.after < one.through
                && heads.iter().any(|other| {
                    other.generation > one.generation
                        && other.after <= one.after
                        && other.through >= one.through
                })
        };
        let (old, kept) = segments.drain(..).partition(|one| replaced(&one.head));
        *segments = kept;
        let old: Vec<Arc<Segment>> = old;
        old.iter().try_for_each(|one| self.remove(one))
    }

    /// The next number for a segment.
    fn next_generation(&self) -> u64 {
        self.generation.fetch_add(1, Relaxed)
    }

    /// Begins a segment of one day.
    pub(super) fn create(
        &self,
        day: i64,
        after: Offset,
        through: Offset,
    ) -> Result<SegmentWriter, SeriesError> {
        let generation = self.next_generation();
        let name = format!("{}.{generation:010}.{SEGMENT}", day_name(day));
        SegmentWriter::create(self.dir.join(name), Head { day, generation, after, through })
    }

    /// Makes the names of finished segments durable.
    pub(super) fn sync(&self) -> Result<(), SeriesError> {
        Ok(File::open(&self.dir)?.sync_all()?)
    }

    /// Shows finished segments to readers.
    pub(super) fn publish(&self, fresh: Vec<Segment>) {
        let mut map = write(&self.map);
        for segment in fresh {
            let segments = map.entry(segment.head.day).or_default();
            let mut all = segments.to_vec();
            all.push(Arc::new(segment));
            // Mostly it is the last one anyway.
            all.sort_by_key(|one| (one.head.after, one.head.through, one.head.generation));
            *segments = Arc::new(all);
        }
    }

    /// Puts one segment (or nothing) in the place of several and removes their files.
    pub(super) fn replace(
        &self,
        day: i64,
        old: &[Arc<Segment>],
        new: Option<Segment>,
    ) -> Result<(), SeriesError> {
        let gone: HashSet<u64> = old.iter().map(|one| one.head.generation).collect();
        {
            let mut map = write(&self.map);
            let Some(segments) = map.get_mut(&day) else {
                // Retention was faster.
                return new.map_or(Ok(()), |one| self.remove(&one));
            };
            let mut new = new.map(Arc::new);
            let mut all = Vec::with_capacity(segments.len());
            for one in segments.iter() {
                if !gone.contains(&one.head.generation) {
                    all.push(Arc::clone(one));
                } else if let Some(new) = new.take() {
                    all.push(new);
                }
            }
            *segments = Arc::new(all);
        }
        old.iter().try_for_each(|one| self.remove(one))
    }

    /// Removes a segment's file, or puts it aside when some of it is damaged.
    pub(super) fn remove(&self, segment: &Segment) -> Result<(), SeriesError> {
        let generation = segment.head.generation;
        lock(&self.opened).retain(|(of, _)| *of != generation);
        if self.has_damage(generation) {
            return self.set_aside(segment);
        }
        match fs::remove_file(&segment.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn set_aside(&self, segment: &Segment) -> Result<(), SeriesError> {
        match fs::rename(&segment.path, segment.path.with_extension(DAMAGED)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Removes every file of the days before `cutoff`; returns how many days went.
    pub(super) fn remove_before(&self, cutoff: i64) -> Result<u64, SeriesError> {
        let old: Vec<_> = {
            let mut map = write(&self.map);
            let kept = map.split_off(&cutoff);
            std::mem::replace(&mut *map, kept).into_values().collect()
        };
        for path in self.listed()? {
            if day_in(&path).is_some_and(|day| day < cutoff) {
                lock(&self.opened).retain(|(of, _)| *of != generation_in(&path));
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                    _ => {}
                }
            }
        }
        self.sync()?;
        let cutoff = Timestamp::from_micros(start_of(cutoff));
        lock(&self.quarantine).forget(cutoff);
        Ok(old.len() as u64)
    }

    /// The days that hold anything in `[from, to)`, in order.
    pub(super) fn between(&self, from: i64, to: i64) -> Vec<i64> {
        if from >= to {
            return Vec::new();
        }
        let days = day_of(from)..=day_of(to - 1);
        read(&self.map).range(days).map(|(day, _)| *day).collect()
    }

    pub(super) fn all(&self) -> Vec<(i64, Segments)> {
        read(&self.map).iter().map(|(day, all)| (*day, Arc::clone(all))).collect()
    }

    pub(super) fn segments(&self, day: i64) -> Option<Segments> {
        read(&self.map).get(&day).cloned()
    }

    /// Opens every readable segment of a day.
    pub(super) fn snapshot(&self, day: i64) -> Result<Snapshot, SeriesError> {
        let mut tries = 0;
        loop {
            let Some(segments) = self.segments(day) else { return Ok(Vec::new()) };
            tries += 1;
            let mut snapshot = Vec::with_capacity(segments.len());
            let mut missing = None;
            for segment in segments.iter() {
                match self.open_segment(segment) {
                    Ok(Some(opened)) => snapshot.push((Arc::clone(segment), opened)),
                    Ok(None) => {}
                    Err(SeriesError::Io(error)) if error.kind() == ErrorKind::NotFound => {
                        missing = Some(Arc::clone(segment));
                    }
                    Err(error) => return Err(error),
                }
            }
            match missing {
                // Compaction replaced it meanwhile: the new list has the new file.
                Some(_) if tries < SNAPSHOT_TRIES => {}
                Some(segment) => self.quarantine_file(&segment, "the file is missing"),
                None => return Ok(snapshot),
            }
        }
    }

    /// `None` when the file is damaged as a whole.
    pub(super) fn open_segment(
        &self,
        segment: &Arc<Segment>,
    ) -> Result<Option<Arc<Opened>>, SeriesError> {
        let generation = segment.head.generation;
        if self.is_quarantined(segment, None) {
            return Ok(None);
        }
        {
            let mut opened = lock(&self.opened);
            if let Some(place) = opened.iter().position(|(of, _)| *of == generation)
                && let Some(known) = opened.remove(place)
            {
                let file = Arc::clone(&known.1);
                opened.push_back(known);
                return Ok(Some(file));
            }
        }
        let file = match segment.open() {
            Ok(file) => Arc::new(file),
            Err(SeriesError::Damaged { reason }) => {
                self.quarantine_file(segment, &reason);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if let Some((place, reason)) = &file.blemish {
            self.note_blemish(segment, *place, reason);
        }
        let mut opened = lock(&self.opened);
        opened.push_back((generation, Arc::clone(&file)));
        let mut weight: usize = opened.iter().map(|(_, file)| file.weight()).sum();
        while opened.len() > OPEN_MAX || (weight > OPEN_BYTES_MAX && opened.len() > 1) {
            weight -= opened.pop_front().map_or(0, |(_, file)| file.weight());
        }
        Ok(Some(file))
    }

    /// Readings in all segments. One that a later segment replaces counts until they are merged.
    pub(super) fn readings(&self) -> u64 {
        read(&self.map).values().flat_map(|all| all.iter()).map(|one| one.readings).sum()
    }

    /// How many segments there are.
    pub(super) fn count(&self) -> usize {
        read(&self.map).values().map(|all| all.len()).sum()
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// What is damaged.
impl Days {
    pub(super) fn is_quarantined(&self, segment: &Segment, place: Option<u64>) -> bool {
        lock(&self.quarantine).places.contains(&(segment.head.generation, place))
    }

    pub(super) fn has_damage(&self, generation: u64) -> bool {
        lock(&self.quarantine).places.iter().any(|(of, _)| *of == generation)
    }

    /// Takes a block out of service.
    pub(super) fn quarantine_block(&self, segment: &Segment, entry: &Entry, reason: &str) {
        let series = (SeriesId(entry.series.0), SeriesId(entry.series.1));
        self.quarantine(segment, Some(entry.place), Some(series), (entry.from, entry.to), reason);
    }

    /// Takes all blocks of one index block out of service.
    pub(super) fn quarantine_index(
        &self,
        segment: &Segment,
        place: u64,
        series: (u32, u32),
        reason: &str,
    ) {
        let start = start_of(segment.head.day);
        let times = (start, start.saturating_add(DAY_MICROS - 1));
        let series = (SeriesId(series.0), SeriesId(series.1));
        self.quarantine(segment, Some(place), Some(series), times, reason);
    }

    pub(super) fn quarantine_file(&self, segment: &Segment, reason: &str) {
        let start = start_of(segment.head.day);
        let times = (start, start.saturating_add(DAY_MICROS - 1));
        self.quarantine(segment, None, None, times, reason);
    }

    /// A damaged copy of what is there twice: nothing is lost, but the disk is not to be trusted.
    pub(super) fn note_blemish(&self, segment: &Segment, place: u64, reason: &str) {
        let reason = format!("{reason}; its copy is used and nothing is lost");
        let start = start_of(segment.head.day);
        self.quarantine(segment, Some(place), None, (start, start), &reason);
    }

    fn quarantine(
        &self,
        segment: &Segment,
        place: Option<u64>,
        series: Option<(SeriesId, SeriesId)>,
        (from, to): (i64, i64),
        reason: &str,
    ) {
        let mut quarantine = lock(&self.quarantine);
        let key = (segment.head.generation, place);
        if quarantine.places.contains(&key) {
            return;
        }
        let name = segment.path.file_name().unwrap_or_default().to_string_lossy();
        let damage = Damage {
            id: quarantine.next,
            file: format!("days/{name}"),
            place,
            series,
            from: Timestamp::from_micros(from),
            to: Timestamp::from_micros(to),
            reason: reason.to_owned(),
            found: self.clock.now(),
        };
        tracing::error!(file = damage.file, ?place, reason, "damaged; no longer served");
        metrics::counter!("series_quarantined_total").increment(1);
        quarantine.found.push(damage.clone());
        quarantine.know(damage);
    }

    pub(super) fn quarantined(&self) -> u64 {
        lock(&self.quarantine).total
    }

    pub(super) fn damage(&self) -> Vec<Damage> {
        lock(&self.quarantine).listed.iter().cloned().collect()
    }

    /// Notes that everything served has been read: damage whose file was put aside is over.
    pub(super) fn read_through(&self) {
        let days = self.all();
        let served: HashSet<u64> =
            days.iter().flat_map(|(_, all)| all.iter().map(|one| one.head.generation)).collect();
        let mut quarantine = lock(&self.quarantine);
        let aside = |one: &&Damage| !served.contains(&generation_in(Path::new(&one.file)));
        let over = quarantine.listed.iter().filter(aside).map(|one| one.id).collect();
        quarantine.over = over;
    }

    /// Damage of which nothing is in service any more, as the last round over everything found.
    pub(super) fn over(&self) -> Vec<u64> {
        lock(&self.quarantine).over.clone()
    }

    pub(super) fn take_found(&self) -> Vec<Damage> {
        std::mem::take(&mut lock(&self.quarantine).found)
    }

    /// What could not be written down is tried again later.
    pub(super) fn put_found(&self, found: Vec<Damage>) {
        lock(&self.quarantine).found.extend(found);
    }
}

impl Quarantine {
    fn know(&mut self, damage: Damage) {
        let generation = generation_in(Path::new(&damage.file));
        self.places.insert((generation, damage.place));
        self.next = self.next.max(damage.id + 1);
        self.total += 1;
        self.listed.push_back(damage);
        if self.listed.len() > DAMAGE_LISTED_MAX {
            self.listed.pop_front();
        }
    }

    /// Days before `cutoff` are gone, and their damage with them.
    fn forget(&mut self, cutoff: Timestamp) {
        let gone = |damage: &Damage| damage.from < cutoff;
        let forgotten: Vec<Damage> = self.listed.iter().filter(|one| gone(one)).cloned().collect();
        self.total -= (forgotten.len() as u64).min(self.total);
        self.listed.retain(|one| !gone(one));
        self.found.retain(|one| !gone(one));
        for one in forgotten {
            self.places.remove(&(generation_in(Path::new(&one.file)), one.place));
        }
    }
}

/// `2026-11-19`
pub(super) fn day_name(day: i64) -> String {
    let mut name = Timestamp::from_micros(start_of(day)).to_string();
    name.truncate("2026-11-19".len());
    name
}

pub(super) fn parse_day(name: &str) -> Option<i64> {
    let start: Timestamp = format!("{name}T00:00:00Z").parse().ok()?;
    Some(day_of(start.as_micros()))
}

/// Day and generation of `2026-11-19.0000000012.seg`.
fn parse_name(path: &Path) -> Option<(i64, u64)> {
    let (day, generation) = path.file_stem()?.to_str()?.split_once('.')?;
    Some((parse_day(day)?, generation.parse().ok()?))
}

/// The day of any file here.
fn day_in(path: &Path) -> Option<i64> {
    path.file_name()?.to_str()?.split_once('.').and_then(|(day, _)| parse_day(day))
}

fn generation_in(path: &Path) -> u64 {
    parse_name(path).map_or(0, |(_, generation)| generation)
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
        let path = Path::new("x/2026-11-19.0000000012.seg");
        assert_eq!(parse_name(path), Some((20_776, 12)));
        assert_eq!(day_in(Path::new("2026-11-19.0000000012.damaged")), Some(20_776));
        assert_eq!(day_in(Path::new("2026-11-19.db")), Some(20_776));
    }
}
