mod decisions;
mod reports;
mod tasks;
mod work;

use std::sync::Arc;

use bus::Bus;
use kernel::Timestamp;
use store::records::Tx;
use tokio::sync::Notify;

use crate::act::slots::WorkCalendar;
use crate::error::MaintenanceError;

pub(crate) use decisions::DecisionsWanted;
pub use decisions::{DecisionChoice, Submission};
pub(crate) use reports::ReportWanted;
pub(crate) use work::{Finding, WorkWanted};

/// What this module is given.
#[derive(Clone, Debug)]
pub struct Deps {
    pub bus: Bus,
    pub calendar: WorkCalendar,
}

/// Who wrote an event.
pub(crate) const SOURCE: &str = "maintenance";
/// How often a change is tried again when somebody else was quicker.
const RACES_MAX: u32 = 5;

/// The module's façade; cheap to clone.
#[derive(Clone, Debug)]
pub struct Maintenance {
    bus: Bus,
    calendar: Arc<WorkCalendar>,
    /// Wakes the report maker.
    report_asked: Arc<Notify>,
}

/// A page of a list, and the cursor of the next.
pub(crate) type Listed<T> = (Vec<T>, Option<String>);

impl Maintenance {
    #[must_use]
    pub fn new(deps: Deps) -> Self {
        Self {
            bus: deps.bus,
            calendar: Arc::new(deps.calendar),
            report_asked: Arc::new(Notify::new()),
        }
    }

    fn now(&self) -> Timestamp {
        self.bus.clock().now()
    }

    async fn begin(&self) -> Result<Tx, MaintenanceError> {
        Ok(self.bus.records().begin().await?)
    }
}

/// Cuts a list that was asked for with one item too many to `limit`, and names the next page.
fn page<T>(mut items: Vec<T>, limit: u64, cursor: impl Fn(&T) -> String) -> Listed<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if items.len() <= limit {
        return (items, None);
    }
    items.truncate(limit);
    let next = items.last().map(cursor);
    (items, next)
}

#[cfg(test)]
mod tests;
