use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Coordinator};
use kernel::SharedClock;
use store::records::Records;
use tokio_util::sync::CancellationToken;

use crate::{Environment, HealthCheck, Metrics};

/// What the system's endpoints answer from; cheap to clone.
#[derive(Clone)]
pub(crate) struct System(pub(super) Arc<Inside>);

pub(super) struct Inside {
    pub(super) version: &'static str,
    pub(super) environment: Environment,
    pub(super) records: Records,
    pub(super) bus: Bus,
    pub(super) clock: SharedClock,
    /// On the monotonic clock.
    pub(super) started_at: Duration,
    pub(super) coordinator: Option<Coordinator>,
    pub(super) checks: Vec<HealthCheck>,
    pub(super) metrics: Option<Metrics>,
    pub(super) modules: Vec<ModuleNames>,
    pub(super) stop: CancellationToken,
}

pub(super) struct ModuleNames {
    pub(super) name: &'static str,
    pub(super) events: Vec<&'static str>,
    pub(super) root_aliases: &'static [&'static str],
}

impl System {
    pub(crate) fn new(
        deps: &crate::Deps,
        environment: Environment,
        modules: &[crate::Module],
    ) -> Self {
        let checks = deps.health.iter().chain(modules.iter().flat_map(|module| &module.health));
        let names = |module: &crate::Module| ModuleNames {
            name: module.name,
            events: module.events.iter().map(|kind| kind.name).collect(),
            root_aliases: module.root_aliases,
        };
        Self(Arc::new(Inside {
            version: deps.version,
            environment,
            records: deps.records.clone(),
            bus: deps.bus.clone(),
            clock: Arc::clone(&deps.clock),
            started_at: deps.clock.monotonic(),
            coordinator: deps.coordinator.clone(),
            checks: checks.cloned().collect(),
            metrics: deps.metrics.clone(),
            modules: modules.iter().map(names).collect(),
            stop: deps.stop.clone(),
        }))
    }
}
