use std::time::Duration;

use kernel::{Event, EventDraft};
use store::records::{Migration, Tx};

use crate::{Bus, BusError, Filter, Offset};

pub(crate) fn migrations() -> Vec<Migration> {
    todo!()
}

pub(crate) async fn append(
    _bus: &Bus,
    _tx: &Tx,
    _source: &str,
    _draft: EventDraft,
) -> Result<Event, BusError> {
    todo!()
}

pub(crate) async fn read(
    _bus: &Bus,
    _after: Offset,
    _filter: &Filter,
    _limit: u64,
) -> Result<Vec<(Offset, Event)>, BusError> {
    todo!()
}

pub(crate) async fn tail(
    _bus: &Bus,
    _after: Offset,
    _filter: &Filter,
    _limit: u64,
    _wait: Duration,
) -> Result<Vec<(Offset, Event)>, BusError> {
    todo!()
}

pub(crate) async fn head(_bus: &Bus) -> Result<Offset, BusError> {
    todo!()
}
