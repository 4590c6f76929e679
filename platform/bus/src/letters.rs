use kernel::{Event, EventDraft, EventType, Timestamp};
use serde::Serialize;
use store::records::Tx;

use crate::records::letters;
use crate::records::parked::{self, Parked};
use crate::{Bus, BusError, Offset};

/// Said when an agent gave an event up.
pub(crate) const DEAD_LETTER_ADDED: EventType = EventType::new("dead_letter.added", 1);

/// Letters that one page may hold.
const PAGE_MAX: u64 = 500;

/// Whether a dead letter still waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterState {
    Waiting,
    Replayed,
    Discarded,
}

impl DeadLetterState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Waiting, Self::Replayed, Self::Discarded]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// An event that an agent could not handle, with its cause.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeadLetter {
    pub id: i64,
    pub agent: String,
    pub state: DeadLetterState,
    pub attempts: u32,
    pub error: String,
    pub dead_at: Timestamp,
    pub settled_at: Option<Timestamp>,
    pub settled_reason: Option<String>,
    pub event: Event,
}

/// Keeps `event` as a dead letter of `agent` and says so, as part of `tx`.
pub(crate) async fn bury(
    bus: &Bus,
    tx: &Tx,
    agent: &str,
    (offset, event): (Offset, &Event),
    attempts: u32,
    error: &str,
) -> Result<DeadLetter, BusError> {
    let mut letter = DeadLetter {
        id: 0,
        agent: agent.to_owned(),
        state: DeadLetterState::Waiting,
        attempts,
        error: error.to_owned(),
        dead_at: bus.clock().now(),
        settled_at: None,
        settled_reason: None,
        event: event.clone(),
    };
    letter.id = letters::add(tx.conn(), &letter, offset).await?;
    if is_about_failure(event) {
        // An agent that cannot read news of failures must not make more of them for ever.
        tracing::error!(agent, letter = letter.id, "an event about a failure became a dead letter");
        return Ok(letter);
    }
    let subject = format!("dead-letter/{}", letter.id);
    let draft = EventDraft::new(DEAD_LETTER_ADDED, subject, &letter)
        .map_err(|source| BusError::Damaged { offset: offset.0, source })?
        .caused_by(event);
    // Only an event near the size limit can fail here, and its letter is kept all the same.
    match bus.publish(tx, "bus", draft).await {
        Err(BusError::TooLarge { data_bytes, .. }) => {
            tracing::warn!(
                agent,
                letter = letter.id,
                data_bytes,
                "a dead letter is too large to tell"
            );
        }
        told => drop(told?),
    }
    Ok(letter)
}

pub(crate) fn is_about_failure(event: &Event) -> bool {
    event.kind == DEAD_LETTER_ADDED.name || event.kind == crate::coordinator::AGENT_FAILED.name
}

pub(crate) async fn list(
    bus: &Bus,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<DeadLetter>, BusError> {
    letters::list(bus.records().read(), before, limit.min(PAGE_MAX)).await
}

pub(crate) async fn replay(bus: &Bus, id: i64) -> Result<DeadLetter, BusError> {
    let tx = bus.records().begin().await?;
    let (offset, letter) = settle(bus, &tx, id, DeadLetterState::Replayed, None).await?;
    let parked = Parked {
        offset,
        subject: letter.event.subject.clone(),
        attempts: 0,
        next_at: Timestamp::MIN,
    };
    parked::add(tx.conn(), &letter.agent, &parked, None).await?;
    tx.commit().await?;
    bus.nudge();
    Ok(letter)
}

pub(crate) async fn discard(bus: &Bus, id: i64, reason: &str) -> Result<DeadLetter, BusError> {
    let tx = bus.records().begin().await?;
    let (_, letter) = settle(bus, &tx, id, DeadLetterState::Discarded, Some(reason)).await?;
    tx.commit().await?;
    Ok(letter)
}

async fn settle(
    bus: &Bus,
    tx: &Tx,
    id: i64,
    state: DeadLetterState,
    reason: Option<&str>,
) -> Result<(Offset, DeadLetter), BusError> {
    let settled = letters::settle(tx.conn(), id, state, reason, bus.clock().now()).await?;
    let (offset, letter) =
        letters::get(tx.conn(), id).await?.ok_or(BusError::NoSuchLetter { id })?;
    if !settled {
        return Err(BusError::LetterSettled { id, state: letter.state.name() });
    }
    Ok((offset, letter))
}
