//! Reads every stored block once in a while: a disk forgets most where nobody looks.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::cursor::Cursor;
use super::segment::TABLES;
use super::{Shared, checked};
use crate::series::{Offset, SeriesError};

/// Bytes read per step; a step is about a second.
const STEP_BYTES: u64 = 8 << 20;

/// Where the round stands.
pub(super) struct Scrub {
    /// When the last round began.
    began: Duration,
    /// Generations still to be looked at in this round, with their days.
    left: Vec<(i64, u64)>,
}

impl Scrub {
    pub(super) fn new(now: Duration) -> Self {
        Self { began: now, left: Vec::new() }
    }

    /// Looks at a little more. The first round begins one period after the start.
    pub(super) fn step(&mut self, shared: &Shared) -> Result<(), SeriesError> {
        let now = shared.clock.monotonic();
        if self.left.is_empty() {
            if now < self.began.saturating_add(shared.options.scrub_every) {
                return Ok(());
            }
            self.began = now;
            self.left = all_of(shared);
            look_at_log(shared)?;
        }
        let mut read = 0;
        while read < STEP_BYTES
            && let Some((day, generation)) = self.left.pop()
        {
            read += look(shared, day, generation)?;
            if self.left.is_empty() {
                shared.days.read_through();
            }
        }
        Ok(())
    }
}

/// Looks at everything.
pub(super) fn all(shared: &Shared) -> Result<(), SeriesError> {
    for (day, generation) in all_of(shared) {
        if shared.compactor_bell.is_stopping() {
            return Ok(());
        }
        look(shared, day, generation)?;
    }
    shared.days.read_through();
    look_at_log(shared)
}

/// Reads every batch and every page of the log.
fn look_at_log(shared: &Shared) -> Result<(), SeriesError> {
    let mut lost = 0;
    let wrong = shared.with_log(|log| {
        log.scan(Offset(0), |offset, crc, bytes| {
            lost += u64::from(checked(offset, crc, bytes).is_err());
            !shared.compactor_bell.is_stopping()
        })?;
        log.structure()
    })?;
    for reason in &wrong {
        tracing::error!(file = "log.db", reason, "damaged");
    }
    shared.lost_batches.fetch_max(lost + wrong.len() as u64, Relaxed);
    Ok(())
}

fn all_of(shared: &Shared) -> Vec<(i64, u64)> {
    let days = shared.days.all();
    let generations = days
        .iter()
        .flat_map(|(day, segments)| segments.iter().map(|segment| (*day, segment.head.generation)));
    generations.collect()
}

/// Reads one segment; returns how many bytes that were.
fn look(shared: &Shared, day: i64, generation: u64) -> Result<u64, SeriesError> {
    let Some(segments) = shared.days.segments(day) else { return Ok(0) };
    let known = segments.iter().find(|segment| segment.head.generation == generation);
    let Some(segment) = known else { return Ok(0) };
    let opened = match segment.open() {
        Ok(opened) => Arc::new(opened),
        Err(SeriesError::Damaged { reason }) => {
            shared.days.quarantine_file(segment, &reason);
            return Ok(segment.bytes);
        }
        // Compaction or retention was faster.
        Err(SeriesError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(0);
        }
        Err(error) => return Err(error),
    };
    if let Some((place, reason)) = &opened.blemish {
        shared.days.note_blemish(segment, *place, reason);
    }
    let cursor = Cursor::over(&shared.days, vec![(Arc::clone(segment), opened)]);
    for table in TABLES {
        cursor.check(0, table)?;
    }
    Ok(segment.bytes)
}
