//! Segments of the store: what is written comes back, and a damaged file is noticed or still right.
//! A file of arbitrary bytes is refused.
#![no_main]

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use store::series::embedded::fuzz::{Readings, Row, minutes, read_segment, write_segment};
use tempfile::TempDir;

/// Syncs cost nothing here.
const MEMORY: &str = "/dev/shm";
const ROWS_MAX: usize = 2_000;
const DAMAGES_MAX: usize = 8;

#[derive(Arbitrary, Debug)]
struct Given<'a> {
    runs: Vec<Run>,
    /// Place and what is done to the byte there.
    damages: Vec<(u32, u8)>,
    cut: Option<u32>,
    raw: &'a [u8],
}

/// Readings on a grid, with jitter and steps.
#[derive(Arbitrary, Debug)]
struct Run {
    series: u32,
    count: u16,
    first: i64,
    step: u32,
    jitter: u8,
    base: f64,
    slope: f64,
    places: u8,
    odd: Vec<(u16, f64, u8)>,
}

impl Run {
    fn rows(&self) -> Vec<Row> {
        let power = 10_f64.powi(i32::from(self.places % 12));
        let mut rows = Vec::new();
        let mut at = self.first;
        for n in 0..usize::from(self.count).min(ROWS_MAX) {
            let value = ((self.base + self.slope * n as f64) * power).round() / power;
            let odd = self.odd.iter().find(|(place, _, _)| usize::from(*place) == n);
            let (value, quality) = odd.map_or((value, 0), |(_, value, quality)| (*value, *quality));
            if value.is_finite() {
                rows.push((at, value.to_bits(), quality));
            }
            let jitter = i64::from(self.jitter) * (n as i64 % 3);
            let Some(next) = at.checked_add(1 + i64::from(self.step) + jitter) else { break };
            at = next;
        }
        rows
    }
}

thread_local! {
    static PLACE: RefCell<(TempDir, PathBuf)> = RefCell::new({
        let dir = if Path::new(MEMORY).is_dir() { TempDir::new_in(MEMORY) } else { TempDir::new() };
        let dir = dir.expect("a directory");
        let path = dir.path().join("a.seg");
        (dir, path)
    });
}

fuzz_target!(|given: Given<'_>| PLACE.with_borrow(|(_, path)| check(&given, path)));

fn check(given: &Given<'_>, path: &Path) {
    let mut written = Readings::new();
    for run in given.runs.iter().take(3) {
        let rows = run.rows();
        minutes(&rows, rows.len() / 3);
        if !rows.is_empty() {
            written.insert(run.series, rows);
        }
    }
    if !write_segment(path, &written).expect("a directory to write in") {
        return;
    }
    let (read, sound) = read_segment(path).expect("what was written");
    assert!(sound && read == written);

    let mut bytes = std::fs::read(path).expect("what was written");
    let whole = bytes.clone();
    for (place, change) in given.damages.iter().take(DAMAGES_MAX) {
        let place = *place as usize % bytes.len();
        bytes[place] ^= change;
    }
    if let Some(cut) = given.cut {
        bytes.truncate(cut as usize % (bytes.len() + 1));
        bytes.extend_from_slice(given.raw);
    }
    std::fs::write(path, &bytes).expect("a directory to write in");
    if let Ok((read, sound)) = read_segment(path) {
        assert!(!sound || read == written, "damage that nobody noticed");
        assert!(sound || bytes != whole);
        for (series, rows) in &read {
            let known = written.get(series).map_or(&[][..], Vec::as_slice);
            assert!(rows.iter().all(|row| known.contains(row)), "readings nobody wrote");
        }
    }
    std::fs::write(path, given.raw).expect("a directory to write in");
    assert!(read_segment(path).is_err(), "no segment at all");
}
