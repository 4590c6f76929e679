//! The words of Plainview: what every crate means by a sensor, a reading, a time and an event.
//!
//! No I/O, no async, no module's business. A word belongs here only when two platform crates or
//! two modules must agree on it.

mod clock;
mod event;
mod ids;
mod quality;
mod reading;
mod retry;
mod sensor;
mod time;
mod units;

pub use clock::{Clock, SharedClock, SystemClock};
pub use event::{Event, EventDraft, EventType};
pub use ids::{CorrelationId, EventId};
pub use quality::{Quality, Reason};
pub use reading::Reading;
pub use retry::{Backoff, Retryable, spread};
pub use sensor::{AssetKey, SensorKey, SensorKeyError, SensorKind};
pub use time::{Timestamp, TimestampError};
pub use units::{Unit, UnitError, convert};
