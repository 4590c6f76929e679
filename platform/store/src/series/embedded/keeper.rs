//! Keeps the write-ahead log of `log.db` short without stopping the writer.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use rusqlite::ErrorCode;
use tokio::sync::oneshot;

use super::log::LogFile;
use super::memory::lock;
use super::writer::{Command, Fault, cause};
use super::{CHECKPOINT_BYTES, Shared};
use crate::series::SeriesError;

const TICK: Duration = Duration::from_secs(1);
/// Each round leaves what was appended during it; a few rounds leave little.
const ROUNDS_MAX: usize = 8;
/// So few frames (16 KiB each) are moved by the writer itself in a few milliseconds.
const FRAMES_FEW: i64 = 128;

pub(super) fn run(shared: &Arc<Shared>, log: &LogFile, commands: &SyncSender<Command>) {
    while !shared.keeper_bell.wait(TICK) {
        if shared.wal_bytes.load(Relaxed) < CHECKPOINT_BYTES {
            continue;
        }
        match empty(log) {
            Ok(true) => {
                let (reply, done) = oneshot::channel();
                shared.queue.entered(0);
                if commands.send(Command::RestartWal { reply }).is_err() {
                    return;
                }
                drop(done.blocking_recv());
            }
            Ok(false) => {}
            Err(error) => note(shared, error),
        }
    }
}

/// Returns whether little enough is left for the writer to finish.
fn empty(log: &LogFile) -> Result<bool, SeriesError> {
    for _ in 0..ROUNDS_MAX {
        let (_, left) = log.checkpoint("PASSIVE")?;
        if left <= FRAMES_FEW {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A disk that refuses a checkpoint's sync cannot be trusted with the next append either.
fn note(shared: &Shared, error: SeriesError) {
    tracing::error!(error = cause(&error), "the log could not be checkpointed");
    let io = matches!(&error, SeriesError::Sqlite(error)
        if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure));
    if io {
        *lock(&shared.fault) = Some(Fault::Failed(cause(&error)));
    }
}
