use futures_util::future::BoxFuture;
use kernel::{CorrelationId, Reading, Retryable, Timestamp};
use serde::{Deserialize, Serialize};

use crate::SourceId;

/// Whether readings come from a plant, a simulation or a recording. Kept with the sensor and with
/// everything concluded from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    #[default]
    Real,
    Simulated,
    Replayed,
}

/// Readings that arrived together through one door.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub source: SourceId,
    pub origin: Origin,
    pub correlation: Option<CorrelationId>,
    pub received: Timestamp,
    pub readings: Vec<Reading>,
}

/// A reading that was not stored, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Position in [`Delivery::readings`].
    pub index: usize,
    /// The field at fault: `value`, `sensor`, `unit`, `at`.
    pub field: &'static str,
    pub reason: String,
}

/// What became of a delivery. Everything in `accepted` is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    pub accepted: usize,
    pub refused: Vec<Refusal>,
    /// Position in the series log; `None` when nothing was accepted.
    pub offset: Option<u64>,
}

/// Why a whole delivery could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("the store is busy or full; try again later")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Retryable for SinkError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Takes readings in. Returns only once what it accepted is durable.
pub trait ReadingSink: Send + Sync {
    fn submit(&self, delivery: Delivery) -> BoxFuture<'_, Result<Receipt, SinkError>>;
}
