//! Faults on demand, so that tests can strike where no fault of the machine can be aimed.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst};

use rusqlite::ffi;

use crate::series::SeriesError;

const NONE: u8 = 0;
const FULL: u8 = 1;
const IO: u8 = 2;

/// Switches, all off unless a test turns one on.
#[derive(Debug, Default)]
pub struct Faults {
    commit: AtomicU8,
    before_watermark: AtomicBool,
}

impl Faults {
    /// Commits fail as on a full disk until [`Faults::heal`].
    pub fn disk_full(&self) {
        self.commit.store(FULL, SeqCst);
    }

    /// Commits fail as on a sync that the disk refuses.
    pub fn sync_fails(&self) {
        self.commit.store(IO, SeqCst);
    }

    /// Sealing stops between the blocks and the watermark, as a crash would.
    pub fn stop_before_watermark(&self) {
        self.before_watermark.store(true, SeqCst);
    }

    pub fn heal(&self) {
        self.commit.store(NONE, SeqCst);
        self.before_watermark.store(false, SeqCst);
    }

    pub(super) fn before_commit(&self) -> Result<(), SeriesError> {
        let code = match self.commit.load(SeqCst) {
            FULL => ffi::SQLITE_FULL,
            IO => ffi::SQLITE_IOERR_FSYNC,
            _ => return Ok(()),
        };
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into())
    }

    pub(super) fn at_watermark(&self) -> Result<(), SeriesError> {
        if self.before_watermark.load(SeqCst) {
            return Err(SeriesError::Failed { reason: "stopped by a test".to_owned() });
        }
        Ok(())
    }
}
