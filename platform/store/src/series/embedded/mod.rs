//! Readings in files: a log of batches in SQLite, and compressed segments per day.
//!
//! - `log.db` takes appends. One thread writes it, commits everything that waits in one
//!   transaction, syncs, and acknowledges (`writer`).
//! - `days/2026-11-19.0000000012.seg` holds compressed readings of one UTC day of event time, in
//!   a file that never changes (`segment`). The sealer moves readings there in the background
//!   (`seal`); the compactor merges the segments of a day and looks for damage (`compact`).
//! - Readings not yet in segments are in memory too; on open they come from the log.
//!
//! Reads never touch the writing connections.

mod arena;
mod bell;
mod block;
mod codec;
mod column;
mod compact;
mod cursor;
mod days;
mod faults;
#[doc(hidden)]
pub mod fuzz;
mod keeper;
mod latest;
mod layout;
mod legacy;
mod log;
mod memory;
mod packed;
mod read;
mod scrub;
mod seal;
mod segment;
mod series;
mod stretch;
mod wal;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kernel::{SensorKey, SharedClock};
use tokio::sync::{oneshot, watch};

use self::bell::Bell;
use self::compact::Compactor;
use self::days::Days;
pub use self::faults::Faults;
use self::log::{LogFile, Opened};
use self::memory::{Memory, Ring, lock, read};
use self::seal::{Request, Sealer};
use self::writer::{Command, Fault, Reply, Writer};
use super::{Offset, SeriesError, SeriesId};

/// Most sensors of one store; ids index plain vectors.
const SENSORS_MAX: usize = 1_000_000;
/// Most readings in one batch; larger ones hold up everybody else's commit.
pub const BATCH_READINGS_MAX: usize = 1_000_000;
/// Commands that may wait for the writer.
const QUEUE_COMMANDS_MAX: usize = 4_096;
/// Bytes of readings that may wait for the writer.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Callers that may wait for a seal or for retention.
const REQUESTS_MAX: usize = 64;
/// Unsealed readings, as a multiple of what starts a seal, above which appends are refused.
const UNSEALED_FACTOR_MAX: usize = 4;
/// The write-ahead log is checkpointed beyond this size.
const CHECKPOINT_BYTES: u64 = 16 << 20;
/// Idle reading connections to the log.
const LOG_READERS_MAX: usize = 4;

/// What an acknowledgement stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Synced to disk.
    #[default]
    Full,
    /// Handed to the operating system: lost in a power cut. For simulations and negative controls.
    Off,
}

impl Durability {
    fn pragma(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Off => "OFF",
        }
    }
}

/// How to open an [`Embedded`] store.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Made when missing; used by one process at a time.
    pub dir: PathBuf,
    pub clock: SharedClock,
    pub durability: Durability,
    /// The log's hard limit: above it, held readers lose their place; at twice that, appends are
    /// refused.
    pub log_bytes_max: u64,
    /// Unsealed readings that start a seal; each costs 24 bytes of memory.
    pub seal_points: usize,
    /// Age of the oldest unsealed reading that starts a seal.
    pub seal_age: Duration,
    /// After so long without a reading the log is put away: sealed where that is worth a segment,
    /// and its room given back.
    pub quiet_after: Duration,
    /// Whether sealing and compaction rest now and then for the sake of everybody else.
    pub paced: bool,
    /// How often every stored block is read to see whether it is still sound.
    pub scrub_every: Duration,
    /// For tests.
    pub faults: Arc<Faults>,
}

impl EmbeddedOptions {
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, clock: SharedClock) -> Self {
        Self {
            dir: dir.into(),
            clock,
            durability: Durability::Full,
            log_bytes_max: 1 << 30,
            seal_points: 2_000_000,
            seal_age: Duration::from_secs(600),
            quiet_after: Duration::from_secs(5),
            paced: true,
            scrub_every: Duration::from_secs(24 * 3600),
            faults: Arc::default(),
        }
    }
}

/// The embedded series store. Dropping it stops its threads; nothing acknowledged is lost by that.
pub struct Embedded {
    shared: Arc<Shared>,
    /// Gone only while dropping: the writer stops when the last sender does.
    commands: Option<SyncSender<Command>>,
    helpers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
    /// Held for its lock on the directory.
    _lock: File,
}

/// What the store's threads and its readers have in common.
struct Shared {
    options: EmbeddedOptions,
    clock: SharedClock,
    log_path: PathBuf,
    days: Days,
    registry: RwLock<Registry>,
    memory: RwLock<Memory>,
    ring: Mutex<Ring>,
    /// The last durable offset; followers wait on it.
    last: watch::Sender<Offset>,
    sealed: AtomicU64,
    truncated: AtomicU64,
    log_bytes: AtomicU64,
    wal_bytes: AtomicU64,
    commits: AtomicU64,
    unsealed_points: AtomicUsize,
    /// Nothing has come for a while: the log may shrink to what it holds.
    quiet: AtomicBool,
    queue: Queue,
    held: Mutex<BTreeMap<String, u64>>,
    fault: Mutex<Option<Fault>>,
    requests: Mutex<Vec<Request>>,
    /// Who waits until every day is one segment, and who waits for a look at every block.
    settlers: Mutex<Vec<Reply<()>>>,
    scrubbers: Mutex<Vec<Reply<()>>>,
    sealer_bell: Bell,
    compactor_bell: Bell,
    keeper_bell: Bell,
    faults: Arc<Faults>,
    log_readers: Mutex<Vec<LogFile>>,
    /// Batches in the log that failed their checksum.
    lost_batches: AtomicU64,
}

/// Sensors by key and by id.
#[derive(Default)]
struct Registry {
    ids: HashMap<SensorKey, SeriesId>,
    keys: Vec<SensorKey>,
}

impl Registry {
    fn with_capacity(sensors: usize) -> Self {
        Self { ids: HashMap::with_capacity(sensors), keys: Vec::with_capacity(sensors) }
    }

    fn id(&self, key: &SensorKey) -> Option<SeriesId> {
        self.ids.get(key).copied()
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    /// Adds a key; ids come in order, and one that is known stays.
    fn insert(&mut self, id: SeriesId, key: SensorKey) {
        if id.0 as usize == self.keys.len() {
            self.keys.push(key.clone());
            self.ids.insert(key, id);
        }
    }
}

/// What waits for the writer.
#[derive(Default)]
struct Queue {
    commands: AtomicUsize,
    bytes: AtomicUsize,
}

impl Queue {
    fn entered(&self, bytes: usize) {
        self.commands.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    fn left(&self, commands: usize, bytes: usize) {
        self.commands.fetch_sub(commands, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

impl Embedded {
    /// Opens the store, making it when there is none. Reads the registry, the latest sealed
    /// readings and the unsealed part of the log, but no blocks.
    ///
    /// # Errors
    /// When the directory is in use by another process, cannot be written, or was made by a
    /// newer program.
    pub fn open(options: EmbeddedOptions) -> Result<Arc<Self>, SeriesError> {
        fs::create_dir_all(&options.dir)?;
        let lock_file = File::create(options.dir.join("lock"))?;
        lock_file.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => SeriesError::Taken { dir: options.dir.clone() },
            fs::TryLockError::Error(error) => error.into(),
        })?;
        let log_path = options.dir.join("log.db");
        let wal_bytes = fs::metadata(options.dir.join("log.db-wal")).map_or(0, |wal| wal.len());
        let cut_off = wal::lost(&options.dir.join("log.db-wal"))?;
        let log = LogFile::create(&log_path, options.durability)?;
        let mut opened = log.opened()?;
        if cut_off > 0 {
            opened
                .blemishes
                .push(format!("{cut_off} transactions behind a damaged frame are lost"));
        }
        let clock = Arc::clone(&options.clock);
        let found = Days::open(
            options.dir.join("days"),
            Arc::clone(&clock),
            std::mem::take(&mut opened.damage),
            opened.sealed,
            (opened.truncated, opened.last),
        )?;
        let days = found.days;
        // When the log is lost or its watermark damaged, the segments still know.
        let sealed = opened.sealed.max(found.through);
        legacy::move_over(&days, &log, sealed)?;
        let (latest, lost) = known_latest(&options.dir, &days, &mut opened)?;
        sync_dir(&options.dir)?;
        let sealed_to = latest.iter().map(|slot| slot.map_or(i64::MIN, |slot| slot.at)).collect();

        let mut registry = Registry::with_capacity(opened.sensors.len());
        for (id, key) in opened.sensors.into_iter().enumerate() {
            registry.insert(SeriesId(id as u32), key);
        }
        let last = opened.last.max(sealed);
        let replayed = replay(&log, sealed, last, latest, registry.len())?;
        let lost = lost + replayed.lost + opened.blemishes.len() as u64;
        for blemish in &opened.blemishes {
            tracing::error!(file = "log.db", reason = blemish, "damaged");
        }
        let shared = Arc::new(Shared {
            log_path,
            days,
            registry: RwLock::new(registry),
            unsealed_points: AtomicUsize::new(replayed.memory.points()),
            memory: RwLock::new(replayed.memory),
            quiet: AtomicBool::new(false),
            ring: Mutex::default(),
            last: watch::Sender::new(last),
            sealed: AtomicU64::new(sealed.0),
            truncated: AtomicU64::new(opened.truncated.0),
            log_bytes: AtomicU64::new(opened.bytes),
            // What an earlier run left there counts.
            wal_bytes: AtomicU64::new(wal_bytes),
            commits: AtomicU64::new(0),
            queue: Queue::default(),
            held: Mutex::new(opened.held),
            fault: Mutex::default(),
            requests: Mutex::default(),
            settlers: Mutex::default(),
            scrubbers: Mutex::default(),
            sealer_bell: Bell::default(),
            compactor_bell: Bell::default(),
            keeper_bell: Bell::default(),
            faults: Arc::clone(&options.faults),
            log_readers: Mutex::default(),
            lost_batches: AtomicU64::new(lost),
            clock,
            options,
        });
        Self::start(shared, log, last, sealed_to, lock_file)
    }

    fn start(
        shared: Arc<Shared>,
        log: LogFile,
        last: Offset,
        sealed_to: Vec<i64>,
        lock_file: File,
    ) -> Result<Arc<Self>, SeriesError> {
        let keeper_log = LogFile::keeper(&shared.log_path, shared.options.durability)?;
        let (commands, received) = sync_channel(QUEUE_COMMANDS_MAX);
        let mut store = Self {
            shared: Arc::clone(&shared),
            commands: Some(commands),
            helpers: Vec::new(),
            writer: None,
            _lock: lock_file,
        };
        // When a thread cannot be started, these go before `store`, whose drop waits for the
        // writer to lose its last sender.
        let (Some(for_sealer), Some(for_keeper)) = (store.commands.clone(), store.commands.clone())
        else {
            return Err(stopped());
        };
        let writer = Writer::new(Arc::clone(&shared), log, last);
        store.writer = Some(spawn("series-writer", move || writer.run(&received))?);
        let sealer = Sealer::new(Arc::clone(&shared), for_sealer, sealed_to);
        store.helpers.push(spawn("series-sealer", move || sealer.run())?);
        let compactor = Compactor::new(Arc::clone(&shared));
        store.helpers.push(spawn("series-compactor", move || compactor.run())?);
        let keeper = move || keeper::run(&shared, &keeper_log, &for_keeper);
        store.helpers.push(spawn("series-keeper", keeper)?);
        Ok(Arc::new(store))
    }

    /// Seals everything appended so far, now. The store does this by itself in time.
    ///
    /// # Errors
    /// When the blocks cannot be written; the readings then stay in the log.
    pub async fn seal_now(&self) -> Result<(), SeriesError> {
        self.request(|reply| Request::Seal { reply }).await
    }

    /// Seals everything and then makes one segment of every day, now. The store does this by
    /// itself where it pays.
    ///
    /// # Errors
    /// When files cannot be written; nothing is lost by that.
    pub async fn settle(&self) -> Result<(), SeriesError> {
        self.seal_now().await?;
        self.compactor(&self.shared.settlers).await
    }

    /// Reads every stored block now and takes those that are damaged out of service.
    ///
    /// # Errors
    /// When files cannot be read.
    pub async fn scrub(&self) -> Result<(), SeriesError> {
        self.compactor(&self.shared.scrubbers).await
    }

    async fn compactor(&self, waiting: &Mutex<Vec<Reply<()>>>) -> Result<(), SeriesError> {
        let (reply, answer) = oneshot::channel();
        {
            let mut waiting = lock(waiting);
            if waiting.len() >= REQUESTS_MAX {
                return Err(SeriesError::Busy { waiting: waiting.len() });
            }
            waiting.push(reply);
        }
        self.shared.compactor_bell.ring();
        answer.await.map_err(|_| stopped())?
    }

    /// How many transactions the log has committed since it was opened.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Relaxed)
    }

    /// How many readings wait in memory and in the log to be sealed.
    #[must_use]
    pub fn unsealed_points(&self) -> usize {
        self.shared.unsealed_points.load(Relaxed)
    }

    async fn request<T>(
        &self,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<T, SeriesError> {
        let (reply, answer) = oneshot::channel();
        {
            let mut requests = lock(&self.shared.requests);
            if requests.len() >= REQUESTS_MAX {
                return Err(SeriesError::Busy { waiting: requests.len() });
            }
            requests.push(request(reply));
        }
        self.shared.sealer_bell.ring();
        answer.await.map_err(|_| stopped())?
    }

    /// Hands a command to the writer and waits until it is durable.
    async fn ask<T>(
        &self,
        bytes: usize,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, SeriesError> {
        let queue = &self.shared.queue;
        let waiting = queue.bytes.load(Relaxed);
        if waiting > 0 && waiting + bytes > QUEUE_BYTES_MAX {
            return Err(SeriesError::Busy { waiting: queue.commands.load(Relaxed) });
        }
        let (reply, answer) = oneshot::channel();
        queue.entered(bytes);
        let commands = self.commands.as_ref().ok_or_else(stopped)?;
        match commands.try_send(command(reply)) {
            Ok(()) => answer.await.map_err(|_| stopped())?,
            Err(TrySendError::Full(_)) => {
                queue.left(1, bytes);
                Err(SeriesError::Busy { waiting: QUEUE_COMMANDS_MAX })
            }
            Err(TrySendError::Disconnected(_)) => Err(stopped()),
        }
    }

    /// Runs a read where blocking is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, SeriesError> + Send + 'static,
    ) -> Result<T, SeriesError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared))
            .await
            .map_err(|error| SeriesError::Failed { reason: error.to_string() })?
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.shared.sealer_bell.stop();
        self.shared.compactor_bell.stop();
        self.shared.keeper_bell.stop();
        for helper in self.helpers.drain(..) {
            if helper.join().is_err() {
                tracing::error!("a thread of the series store panicked");
            }
        }
        self.commands = None;
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the writer of the series store panicked");
        }
    }
}

impl Shared {
    fn known(&self, id: SeriesId) -> Result<(), SeriesError> {
        if (id.0 as usize) < read(&self.registry).len() {
            return Ok(());
        }
        Err(SeriesError::UnknownSeries(id))
    }

    /// Lends a reading connection to the log.
    fn with_log<T>(
        &self,
        question: impl FnOnce(&LogFile) -> Result<T, SeriesError>,
    ) -> Result<T, SeriesError> {
        let idle = lock(&self.log_readers).pop();
        let log = match idle {
            Some(log) => log,
            None => LogFile::reader(&self.log_path)?,
        };
        let answer = question(&log)?;
        let mut idle = lock(&self.log_readers);
        if idle.len() < LOG_READERS_MAX {
            idle.push(log);
        }
        Ok(answer)
    }
}

struct Replayed {
    memory: Memory,
    lost: u64,
}

/// The latest sealed readings, and how many damaged pieces they had to be put together from.
fn known_latest(
    dir: &Path,
    days: &Days,
    opened: &mut Opened,
) -> Result<(Vec<Option<block::Slot>>, u64), SeriesError> {
    let sensors = opened.sensors.len();
    let Some(loaded) = latest::load(dir, sensors)? else {
        let mut known = std::mem::take(&mut opened.latest);
        if known.iter().all(Option::is_none) && !days.all().is_empty() {
            let every = 0..sensors as u32;
            read::latest_sealed(days, &mut known, std::slice::from_ref(&every))?;
        }
        return Ok((known, 0));
    };
    let mut known = loaded.latest;
    if !loaded.lost.is_empty() {
        tracing::error!(file = latest::FILE, "damaged; the latest readings come from the blocks");
        read::latest_sealed(days, &mut known, &loaded.lost)?;
    }
    if let Some(through) = loaded.through {
        read::latest_since(days, &mut known, through)?;
    }
    Ok((known, loaded.lost.len() as u64))
}

/// Reads the unsealed part of the log into memory.
fn replay(
    log: &LogFile,
    sealed: Offset,
    last: Offset,
    latest: Vec<Option<block::Slot>>,
    sensors: usize,
) -> Result<Replayed, SeriesError> {
    let mut replayed = Replayed { memory: Memory::new(sealed, latest), lost: 0 };
    let mut next = sealed.0 + 1;
    log.scan(sealed, |offset, crc, bytes| {
        // Offsets are without gaps: what is not there has been lost.
        replayed.lost += offset.0.saturating_sub(next);
        next = offset.0 + 1;
        let batch = checked(offset, crc, bytes)
            .ok()
            .filter(|batch| batch.series.iter().all(|id| (id.0 as usize) < sensors));
        match batch {
            Some(batch) => replayed.memory.apply(offset, &Arc::new(batch)),
            None => {
                replayed.lost += 1;
                tracing::error!(
                    offset = offset.0,
                    "a batch of the log is damaged; it is not served"
                );
            }
        }
        true
    })?;
    replayed.lost += (last.0 + 1).saturating_sub(next);
    Ok(replayed)
}

fn checked(offset: Offset, crc: u32, bytes: &[u8]) -> Result<super::Batch, SeriesError> {
    if codec::checksum(offset, bytes) != crc {
        return Err(codec::damaged("the batch fails its checksum"));
    }
    codec::decode(bytes)
}

fn stopped() -> SeriesError {
    SeriesError::Failed { reason: "the store is closing".to_owned() }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, SeriesError> {
    Ok(thread::Builder::new().name(name.to_owned()).spawn(work)?)
}

/// Makes the names in a directory as durable as the files they name.
fn sync_dir(dir: &Path) -> Result<(), SeriesError> {
    Ok(File::open(dir)?.sync_all()?)
}
