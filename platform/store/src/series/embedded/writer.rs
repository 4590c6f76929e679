//! The one thread that changes the log. Everything that waits is committed together, synced once
//! and then acknowledged.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use kernel::SensorKey;
use rusqlite::ErrorCode;
use tokio::sync::oneshot;

use super::log::{AuditRow, BUSY_TIMEOUT, LogFile};
use super::memory::{lock, read, write};
use super::{CHECKPOINT_BYTES, SENSORS_MAX, Shared};
use crate::series::{Batch, Damage, Offset, SeriesError, SeriesId};

/// Commands in one transaction: enough for every waiting caller, short enough for the first one.
const GROUP_COMMANDS_MAX: usize = 1_024;
/// Bytes of readings in one transaction; above it the sync of one group delays the next too long.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// How often an idle writer looks whether a full disk has room again.
const PROBE_PERIOD: Duration = Duration::from_secs(1);
/// One step of truncation: small enough to disappear in an append's own sync.
const TRUNCATE_BATCHES: usize = 2_000;
const TRUNCATE_BYTES: u64 = 4 << 20;
/// What a commit costs in the write-ahead log beside its data.
const COMMIT_BYTES: u64 = 64 << 10;

pub(super) type Reply<T> = oneshot::Sender<Result<T, SeriesError>>;

pub(super) enum Command {
    Append {
        batch: Arc<Batch>,
        bytes: Vec<u8>,
        audit: Option<Box<AuditRow>>,
        reply: Reply<Offset>,
    },
    Register {
        keys: Vec<SensorKey>,
        reply: Reply<Vec<SeriesId>>,
    },
    Hold {
        reader: String,
        done: Offset,
        reply: Reply<()>,
    },
    /// Part of what a sealing pass learnt, ahead of its watermark.
    Learnt {
        audit: Vec<AuditRow>,
        reply: Reply<()>,
    },
    /// Everything up to here is in blocks, durably.
    Sealed {
        through: Offset,
        reply: Reply<()>,
    },
    /// Drops batches up to here, one step; answers whether more are left.
    Truncate {
        through: Offset,
        reply: Reply<bool>,
    },
    /// Gives the room of truncated batches back, one step; answers whether more is left.
    Shrink {
        /// Free pages that stay.
        kept: i64,
        reply: Reply<bool>,
    },
    Quarantine {
        found: Vec<Damage>,
        reply: Reply<()>,
    },
    ForgetDays {
        before: i64,
        reply: Reply<()>,
    },
    /// Lets the write-ahead log begin anew once a checkpoint has emptied it.
    RestartWal {
        reply: Reply<()>,
    },
}

/// Why nothing can be stored.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// No room; tried again with every append and once a second.
    Full(String),
    /// A write or sync failed: what is on disk is unknown until the files are opened anew.
    Failed(String),
}

impl Fault {
    pub(super) fn error(&self) -> SeriesError {
        match self {
            Self::Full(reason) => SeriesError::Full { reason: reason.clone() },
            Self::Failed(reason) => SeriesError::Failed { reason: reason.clone() },
        }
    }

    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Full(reason) | Self::Failed(reason) => reason,
        }
    }
}

/// What went wrong, as the file system or SQLite says it.
pub(super) fn cause(error: &SeriesError) -> String {
    match error {
        SeriesError::Sqlite(cause) => cause.to_string(),
        SeriesError::Io(cause) => cause.to_string(),
        other => other.to_string(),
    }
}

impl From<SeriesError> for Fault {
    fn from(error: SeriesError) -> Self {
        let full = match &error {
            SeriesError::Full { .. } => true,
            SeriesError::Sqlite(error) => error.sqlite_error_code() == Some(ErrorCode::DiskFull),
            _ => false,
        };
        let reason = cause(&error);
        if full { Self::Full(reason) } else { Self::Failed(reason) }
    }
}

/// What becomes true once the transaction is durable, or the refusal once it is not.
type Effect = Box<dyn FnOnce(&Shared, Result<(), &Fault>) + Send>;

pub(super) struct Writer {
    shared: Arc<Shared>,
    log: LogFile,
    next: u64,
    /// Sensors made in the transaction under way.
    made: HashMap<SensorKey, SeriesId>,
    /// Batches in the transaction under way.
    appended: Vec<(Offset, Arc<Batch>)>,
    staged_bytes: u64,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, log: LogFile, last: Offset) -> Self {
        let (made, appended) = (HashMap::new(), Vec::new());
        Self { shared, log, next: last.0 + 1, made, appended, staged_bytes: 0 }
    }

    /// Runs until every sender is gone.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        loop {
            match commands.recv_timeout(PROBE_PERIOD) {
                Ok(first) => self.group(first, commands),
                Err(RecvTimeoutError::Timeout) => self.probe(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn group(&mut self, first: Command, commands: &Receiver<Command>) {
        let mut group = vec![first];
        let mut bytes = 0;
        while group.len() < GROUP_COMMANDS_MAX && bytes < GROUP_BYTES_MAX {
            let Ok(command) = commands.try_recv() else { break };
            bytes += size(&command);
            group.push(command);
        }
        let queued: usize = group.iter().map(size).sum();
        self.shared.queue.left(group.len(), queued);
        let restart = group.iter().position(|c| matches!(c, Command::RestartWal { .. }));
        if let Some(Command::RestartWal { reply }) = restart.map(|index| group.remove(index)) {
            self.restart_wal(reply);
        }
        if !group.is_empty() {
            self.commit(group);
        }
    }

    fn commit(&mut self, group: Vec<Command>) {
        let mut effects: Vec<Effect> = Vec::with_capacity(group.len());
        let started = Instant::now();
        let outcome = self.transact(group, &mut effects);
        metrics::histogram!("series_commit_seconds").record(started.elapsed().as_secs_f64());
        if let Err(fault) = &outcome {
            // After a failed sync the connection is not used again, not even to roll back.
            if matches!(fault, Fault::Full(_))
                && !self.log.conn.is_autocommit()
                && let Err(error) = self.log.conn.execute_batch("ROLLBACK")
            {
                tracing::warn!(%error, "rolling back a full log");
            }
            self.next -= self.appended.len() as u64;
            self.appended.clear();
        }
        self.note(outcome.as_ref().err());
        if outcome.is_ok() {
            self.publish();
        }
        self.made.clear();
        self.staged_bytes = 0;
        let last = self.next - 1;
        self.shared.last.send_if_modified(|known| {
            let grew = known.0 < last;
            known.0 = last;
            grew
        });
        for effect in effects {
            effect(&self.shared, outcome.as_ref().copied());
        }
    }

    fn transact(&mut self, group: Vec<Command>, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        let mut outcome = match &*lock(&self.shared.fault) {
            Some(fault @ Fault::Failed(_)) => Err(fault.clone()),
            _ => Ok(()),
        };
        if outcome.is_ok() {
            outcome = self
                .log
                .conn
                .execute_batch("BEGIN IMMEDIATE")
                .map_err(|e| Fault::from(SeriesError::from(e)));
        }
        for command in group {
            if outcome.is_ok() {
                let (staged, effect) = self.stage(command);
                effects.push(effect);
                outcome = staged.map_err(Fault::from);
            } else {
                effects.push(refusal(command));
            }
        }
        outcome?;
        self.shared.faults.before_commit().map_err(Fault::from)?;
        self.log.conn.execute_batch("COMMIT").map_err(|e| Fault::from(SeriesError::from(e)))
    }

    fn stage(&mut self, command: Command) -> (Result<(), SeriesError>, Effect) {
        match command {
            Command::Append { batch, bytes, audit, reply } => {
                let offset = Offset(self.next);
                let staged = self.stage_append(offset, batch, &bytes, audit.as_deref());
                (staged, answer(reply, move |_| offset))
            }
            Command::Register { keys, reply } => {
                let mut ids = Vec::with_capacity(keys.len());
                let staged = self.stage_register(&keys, &mut ids);
                let effect = answer(reply, move |shared| {
                    let mut registry = write(&shared.registry);
                    for (id, key) in ids.iter().zip(keys) {
                        registry.insert(*id, key);
                    }
                    ids
                });
                (staged, effect)
            }
            Command::Hold { reader, done, reply } => {
                let staged = self.log.hold(&reader, done);
                let effect = answer(reply, move |shared| {
                    lock(&shared.held).insert(reader, done.0);
                });
                (staged, effect)
            }
            Command::Learnt { audit, reply } => (self.stage_learnt(&audit), answer(reply, |_| ())),
            Command::Sealed { through, reply } => {
                let staged = self.log.set_meta("sealed", through.0 as i64);
                let effect = answer(reply, move |shared| shared.sealed.store(through.0, Relaxed));
                (staged, effect)
            }
            Command::Truncate { through, reply } => self.stage_truncate(through, reply),
            Command::Shrink { kept, reply } => match self.log.shrink(kept) {
                Ok(more) => (Ok(()), answer(reply, move |_| more)),
                Err(error) => (Err(error), answer(reply, |_| false)),
            },
            Command::Quarantine { found, reply } => {
                let staged = found.iter().try_for_each(|one| self.log.quarantine(one));
                (staged, answer(reply, |_| ()))
            }
            Command::ForgetDays { before, reply } => {
                (self.log.forget_days(before), answer(reply, |_| ()))
            }
            Command::RestartWal { reply } => (Ok(()), answer(reply, |_| ())),
        }
    }

    fn stage_append(
        &mut self,
        offset: Offset,
        batch: Arc<Batch>,
        bytes: &[u8],
        audit: Option<&AuditRow>,
    ) -> Result<(), SeriesError> {
        self.log.insert(offset, bytes)?;
        if let Some(audit) = audit {
            let mut row = audit.clone();
            row.offset = offset;
            // A reading appended since `before` was looked up is still in memory.
            let at = row.entry.at;
            if let Some(before) = self.unsealed(row.series, at.as_micros()) {
                row.entry.before = Some(before);
            }
            self.log.audit(&row)?;
        }
        self.next += 1;
        self.staged_bytes += bytes.len() as u64;
        self.appended.push((offset, batch));
        Ok(())
    }

    /// The value that an unsealed reading, or one in this transaction, has at this time.
    fn unsealed(&self, series: SeriesId, at: i64) -> Option<f64> {
        let staged = self.appended.iter().rev().find_map(|(_, batch)| {
            let mut found = (0..batch.len()).rev();
            let place = found.find(|i| batch.series[*i] == series && batch.at[*i] == at)?;
            Some(batch.value[place])
        });
        staged.or_else(|| read(&self.shared.memory).at(series, at).map(|slot| slot.value))
    }

    fn stage_register(
        &mut self,
        keys: &[SensorKey],
        ids: &mut Vec<SeriesId>,
    ) -> Result<(), SeriesError> {
        let registry = read(&self.shared.registry);
        for key in keys {
            if let Some(id) = registry.id(key).or_else(|| self.made.get(key).copied()) {
                ids.push(id);
                continue;
            }
            let id = SeriesId((registry.len() + self.made.len()) as u32);
            if id.0 as usize >= SENSORS_MAX {
                let reason = format!("{} sensors are the most", SENSORS_MAX);
                return Err(SeriesError::Full { reason });
            }
            self.log.register(id, key)?;
            self.made.insert(key.clone(), id);
            ids.push(id);
        }
        Ok(())
    }

    fn stage_learnt(&self, audit: &[AuditRow]) -> Result<(), SeriesError> {
        if audit.is_empty() {
            let now = self.shared.clock.now().as_micros();
            self.log.set_meta("probed", now)?;
        }
        audit.iter().try_for_each(|row| self.log.audit(row))
    }

    fn stage_truncate(
        &self,
        through: Offset,
        reply: Reply<bool>,
    ) -> (Result<(), SeriesError>, Effect) {
        // Progress of known readers is only written here, where it could otherwise be lost to
        // a batch that is already gone.
        let held = lock(&self.shared.held).clone();
        let kept = held.iter().try_for_each(|(name, done)| self.log.hold(name, Offset(*done)));
        let step = kept.and_then(|()| self.log.truncate(through, TRUNCATE_BATCHES, TRUNCATE_BYTES));
        match step {
            Ok((reached, bytes)) => {
                let effect = answer(reply, move |shared| {
                    shared.log_bytes.fetch_sub(bytes, Relaxed);
                    if let Some(reached) = reached {
                        shared.truncated.store(reached.0, Relaxed);
                    }
                    reached.is_some_and(|reached| reached < through)
                });
                (Ok(()), effect)
            }
            Err(error) => (Err(error), answer(reply, |_| false)),
        }
    }

    /// Makes the committed batches visible: to readers, to followers, to the sealer.
    fn publish(&mut self) {
        self.shared.commits.fetch_add(1, Relaxed);
        self.shared.log_bytes.fetch_add(self.staged_bytes, Relaxed);
        let wal = self.staged_bytes + COMMIT_BYTES;
        if self.shared.wal_bytes.fetch_add(wal, Relaxed) + wal >= CHECKPOINT_BYTES {
            self.shared.keeper_bell.ring();
        }
        if self.appended.is_empty() {
            return;
        }
        {
            let mut memory = write(&self.shared.memory);
            for (offset, batch) in &self.appended {
                memory.apply(*offset, batch);
            }
            if memory.active_points() >= self.shared.options.seal_points {
                self.shared.sealer_bell.ring();
            }
            self.shared.unsealed_points.store(memory.points(), Relaxed);
        }
        let mut ring = lock(&self.shared.ring);
        for (offset, batch) in self.appended.drain(..) {
            ring.push(offset, batch);
        }
    }

    fn note(&self, fault: Option<&Fault>) {
        let mut known: MutexGuard<'_, Option<Fault>> = lock(&self.shared.fault);
        match (&*known, fault) {
            (None, Some(fault)) => {
                tracing::error!(reason = fault.reason(), "readings cannot be stored")
            }
            (Some(_), None) => tracing::info!("readings can be stored again"),
            _ => {}
        }
        *known = fault.cloned();
    }

    /// A full disk may have room again: finds out without waiting for somebody to try.
    fn probe(&mut self) {
        if matches!(&*lock(&self.shared.fault), Some(Fault::Full(_))) {
            let (reply, _) = oneshot::channel();
            self.commit(vec![Command::Learnt { audit: Vec::new(), reply }]);
        }
    }

    fn restart_wal(&self, reply: Reply<()>) {
        let restart = || {
            // A reader in the way is not waited for: the next round tries again.
            self.log.conn.busy_timeout(Duration::ZERO)?;
            let quiet = self.shared.quiet.load(Relaxed);
            let restarted = self.log.checkpoint(if quiet { "TRUNCATE" } else { "RESTART" });
            self.log.conn.busy_timeout(BUSY_TIMEOUT)?;
            restarted
        };
        let failed = matches!(&*lock(&self.shared.fault), Some(Fault::Failed(_)));
        if !failed && matches!(restart(), Ok((false, _))) {
            self.shared.wal_bytes.store(0, Relaxed);
        }
        send(reply, Ok(()));
    }
}

fn size(command: &Command) -> usize {
    match command {
        Command::Append { bytes, .. } => bytes.len(),
        _ => 0,
    }
}

/// Nobody may be waiting any more; the work is done all the same.
fn send<T>(reply: Reply<T>, answer: Result<T, SeriesError>) {
    drop(reply.send(answer));
}

fn answer<T: Send + 'static>(
    reply: Reply<T>,
    done: impl FnOnce(&Shared) -> T + Send + 'static,
) -> Effect {
    Box::new(move |shared, outcome| match outcome {
        Ok(()) => send(reply, Ok(done(shared))),
        Err(fault) => send(reply, Err(fault.error())),
    })
}

fn refusal(command: Command) -> Effect {
    fn refuse<T: Send + 'static>(reply: Reply<T>) -> Effect {
        Box::new(move |_, outcome| {
            if let Err(fault) = outcome {
                send(reply, Err(fault.error()));
            }
        })
    }
    match command {
        Command::Append { reply, .. } => refuse(reply),
        Command::Register { reply, .. } => refuse(reply),
        Command::Truncate { reply, .. } | Command::Shrink { reply, .. } => refuse(reply),
        Command::Hold { reply, .. }
        | Command::Learnt { reply, .. }
        | Command::Sealed { reply, .. }
        | Command::Quarantine { reply, .. }
        | Command::ForgetDays { reply, .. }
        | Command::RestartWal { reply } => refuse(reply),
    }
}
