//! Where readings come from: agents that call our doors, and connectors of ours that go out and
//! read. One board counts what both bring; the supervisor brings what connectors do in line with
//! what people want of them.

mod board;
mod flow;
mod health;
mod late;
mod manage;
mod secrets;
mod supervisor;
mod tick;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use kernel::Timestamp;
use sense::{ConnectorKind, Protocol, SourceError, SourceId, SourceStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Notify, OnceCell};
use utoipa::ToSchema;

use board::{Heard, SourceBoard};
pub(crate) use flow::{FlowMeter, SourceFlow};
pub use late::LateDoor;
pub(crate) use view::{SourceState, SourceView};

/// A source that the settings file names.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfiguredSource {
    pub id: SourceId,
    pub settings: Value,
}

/// What goes out and reads.
#[derive(Clone, Default)]
pub struct Connectors {
    pub kinds: Vec<Arc<dyn ConnectorKind>>,
    pub configured: Vec<ConfiguredSource>,
    /// Settings that are too weak for production are refused.
    pub production: bool,
}

/// What people want of a connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Desired {
    #[default]
    Running,
    Stopped,
}

/// Where a source was configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConfiguredIn {
    File,
    Api,
}

/// What is kept of a connector over a restart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SourceRecord {
    pub(crate) id: SourceId,
    /// `None` for a source of the settings file.
    pub(crate) settings: Option<Value>,
    pub(crate) desired: Desired,
    /// Grows with each change of the settings; the entity tag.
    pub(crate) version: i64,
    pub(crate) changed_by: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A connector as it is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) settings: Value,
    pub(crate) configured_in: ConfiguredIn,
    pub(crate) desired: Desired,
    pub(crate) version: i64,
    pub(crate) changed_by: Option<String>,
}

/// A connector as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actual {
    pub(crate) status: Option<SourceStatus>,
    pub(crate) interval: Option<Duration>,
    pub(crate) is_running: bool,
    /// Crashes of its task, and starts that failed.
    pub(crate) crashes: u64,
    pub(crate) fault: Option<SourceError>,
}

/// The sources of this process.
pub(crate) struct Sources {
    pub(crate) board: SourceBoard,
    pub(crate) flow: FlowMeter,
    connectors: Connectors,
    wanted: RwLock<BTreeMap<SourceId, Wanted>>,
    actual: Mutex<BTreeMap<SourceId, Actual>>,
    loaded: OnceCell<()>,
    /// Held while what is wanted changes.
    changing: tokio::sync::Mutex<()>,
    nudge: Notify,
}

impl Sources {
    pub(crate) fn new(connectors: Connectors) -> Self {
        Self {
            board: SourceBoard::default(),
            flow: FlowMeter::default(),
            connectors,
            wanted: RwLock::default(),
            actual: Mutex::default(),
            loaded: OnceCell::new(),
            changing: tokio::sync::Mutex::default(),
            nudge: Notify::new(),
        }
    }

    /// Counts a delivery: how many readings were accepted and refused.
    pub(crate) fn heard(
        &self,
        source: &SourceId,
        received: Timestamp,
        (accepted, refused): (usize, usize),
        newest_at: Option<Timestamp>,
    ) {
        let (accepted, refused) = (accepted as u64, refused as u64);
        self.board.heard(source, Heard { accepted, refused, newest_at, received });
    }

    pub(crate) fn kinds(&self) -> &[Arc<dyn ConnectorKind>] {
        &self.connectors.kinds
    }

    fn kind(&self, protocol: Protocol) -> Option<&Arc<dyn ConnectorKind>> {
        self.kinds().iter().find(|kind| kind.protocol() == protocol)
    }

    fn secrets(&self, protocol: Protocol) -> &'static [&'static str] {
        self.kind(protocol).map_or(&["password"], |kind| kind.secrets())
    }

    fn wanted(&self, id: &SourceId) -> Option<Wanted> {
        self.wanted.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn all_wanted(&self) -> BTreeMap<SourceId, Wanted> {
        self.wanted.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn want(&self, id: &SourceId, wanted: Option<Wanted>) {
        let mut all = self.wanted.write().unwrap_or_else(PoisonError::into_inner);
        match wanted {
            Some(wanted) => {
                all.insert(id.clone(), wanted);
            }
            None => {
                all.remove(id);
            }
        }
        drop(all);
        self.nudge.notify_one();
    }

    fn actual(&self) -> MutexGuard<'_, BTreeMap<SourceId, Actual>> {
        self.actual.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
