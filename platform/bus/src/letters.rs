use kernel::{Event, Timestamp};
use serde::Serialize;

use crate::{Bus, BusError};

/// Whether a dead letter still waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterState {
    Waiting,
    Replayed,
    Discarded,
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

pub(crate) async fn list(
    _bus: &Bus,
    _before: Option<i64>,
    _limit: u64,
) -> Result<Vec<DeadLetter>, BusError> {
    todo!()
}

pub(crate) async fn replay(_bus: &Bus, _id: i64) -> Result<DeadLetter, BusError> {
    todo!()
}

pub(crate) async fn discard(_bus: &Bus, _id: i64, _reason: &str) -> Result<DeadLetter, BusError> {
    todo!()
}
