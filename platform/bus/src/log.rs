use std::time::Duration;

use kernel::{Event, EventDraft};
use sea_orm::ConnectionTrait;
use store::records::{Backend, Tx};
use tokio::time::{Instant, timeout_at};

use crate::records::events::{self, Row};
use crate::{Bus, BusError, Filter, Offset};

/// Commits of other processes are seen by looking this often. Only a command beside us may write to
/// an SQLite file; on Postgres there are workers.
const POLL: Duration = Duration::from_millis(250);
const POLL_ALONE: Duration = Duration::from_secs(1);

/// An event is a fact, not a file: pictures and batches are referred to, not carried.
const DATA_BYTES_MAX: usize = 1 << 20;
const SUBJECT_BYTES_MAX: usize = 512;
/// One page of the log; a longer answer is read in several.
const READ_MAX: u64 = 1_000;

/// Closes the envelope around `draft`, within limits, and encodes it for the log.
pub(crate) fn seal(bus: &Bus, source: &str, draft: EventDraft) -> Result<(Event, Row), BusError> {
    let event = draft.seal(source, bus.clock().now());
    let subject_bytes = event.subject.len();
    if subject_bytes > SUBJECT_BYTES_MAX || event.subject.contains('\0') {
        return Err(BusError::BadSubject { subject_bytes, subject_bytes_max: SUBJECT_BYTES_MAX });
    }
    let data = serde_json::to_string(&event.data)
        .map_err(|source| BusError::Damaged { offset: 0, source })?;
    if data.len() > DATA_BYTES_MAX {
        let data_bytes = data.len();
        return Err(BusError::TooLarge { data_bytes, data_bytes_max: DATA_BYTES_MAX });
    }
    let row = Row::new(&event, data);
    Ok((event, row))
}

/// Has `rows` inserted as the last part of `tx`.
pub(crate) fn append(tx: &Tx, rows: Vec<Row>) {
    let backend = tx.conn().get_database_backend();
    if let Some(lock) = events::publish_lock(backend) {
        tx.defer_once(lock);
    }
    for statement in events::inserts(backend, rows) {
        tx.defer(statement);
    }
}

pub(crate) async fn read(
    bus: &Bus,
    after: Offset,
    filter: &Filter,
    limit: u64,
) -> Result<Vec<(Offset, Event)>, BusError> {
    events::after(bus.records().read(), after, filter, limit.min(READ_MAX)).await
}

/// How often to look for what other processes have written.
pub(crate) fn poll(bus: &Bus) -> Duration {
    match bus.records().backend() {
        Backend::Sqlite => POLL_ALONE,
        Backend::Postgres => POLL,
    }
}

pub(crate) async fn tail(
    bus: &Bus,
    after: Offset,
    filter: &Filter,
    limit: u64,
    wait: Duration,
) -> Result<Vec<(Offset, Event)>, BusError> {
    let deadline = Instant::now() + wait;
    let mut commits = bus.records().commits();
    loop {
        commits.mark_unchanged();
        let found = read(bus, after, filter, limit).await?;
        let now = Instant::now();
        if !found.is_empty() || now >= deadline {
            return Ok(found);
        }
        // Running into the deadline means looking once more, as does a commit.
        drop(timeout_at(deadline.min(now + poll(bus)), commits.changed()).await);
    }
}

pub(crate) async fn head(bus: &Bus) -> Result<Offset, BusError> {
    Ok(events::head(bus.records().read()).await?)
}
