mod alerts;
mod incidents;
mod tasks;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bus::Bus;
use kernel::Timestamp;
use store::records::Tx;

use crate::detect::delays::AlarmPolicy;
use crate::error::IncidentsError;

pub(crate) use alerts::AlertsWanted;
pub(crate) use incidents::IncidentsWanted;

/// What this module is given.
#[derive(Clone, Debug)]
pub struct Deps {
    pub bus: Bus,
    pub policy: AlarmPolicy,
}

/// Who wrote an event.
pub(crate) const SOURCE: &str = "incidents";
/// How often a change is tried again when somebody else was quicker.
const RACES_MAX: u32 = 5;

/// The module's façade; cheap to clone.
#[derive(Clone, Debug)]
pub struct Incidents {
    bus: Bus,
    policy: Arc<AlarmPolicy>,
}

/// A page of a list, and the cursor of the next.
pub(crate) type Listed<T> = (Vec<T>, Option<String>);

impl Incidents {
    #[must_use]
    pub fn new(deps: Deps) -> Self {
        Self { bus: deps.bus, policy: Arc::new(deps.policy) }
    }

    fn now(&self) -> Timestamp {
        self.bus.clock().now()
    }

    async fn begin(&self) -> Result<Tx, IncidentsError> {
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
