//! What changed about sources, once a second, for the pages that are open.

use std::collections::BTreeMap;

use kernel::EventDraft;

use super::{SourceFlow, SourceView};
use crate::error::TelemetryError;
use crate::events::{SOURCE_TICK, SourceTick};
use crate::service::Telemetry;

/// Sources in one tick; what does not fit waits for the next.
const SOURCES_PER_TICK_MAX: usize = 100;

/// How the sources were last said.
#[derive(Debug, Default)]
pub(super) struct Told {
    sources: BTreeMap<String, SourceView>,
    flow: SourceFlow,
    /// The last id of a tick that had no room for all.
    reached: String,
}

impl Telemetry {
    /// Announces the sources that are not as they were last said, and what flows.
    pub(super) async fn tell_sources(&self, told: &mut Told) -> Result<(), TelemetryError> {
        let views = self.source_views().await?;
        let flow = self.source_flow().await?.rounded();
        let (sources, removed) = told.news(views);
        if sources.is_empty() && removed.is_empty() && flow == told.flow {
            return Ok(());
        }
        let at = self.clock.now();
        let tick = SourceTick { at, sources, removed, flow: flow.clone() };
        let draft = EventDraft::new(SOURCE_TICK, "sources", &tick)
            .map_err(|source| TelemetryError::Encoding { what: "tick of sources", source })?;
        self.bus.announce(draft.seal("telemetry", at));
        told.flow = flow;
        Ok(())
    }
}

impl Told {
    /// Those of `views`, in order of id, that changed, and the ids of those that are gone; both
    /// count as said.
    fn news(&mut self, mut views: Vec<SourceView>) -> (Vec<SourceView>, Vec<String>) {
        let is_there = |id: &String| views.binary_search_by(|view| view.id.cmp(id)).is_ok();
        let removed: Vec<String> =
            self.sources.keys().filter(|id| !is_there(id)).cloned().collect();
        self.sources.retain(|id, _| !removed.contains(id));
        // Those that found no room come first.
        let start = views.partition_point(|view| view.id <= self.reached);
        views.rotate_left(start);
        let changed = views.into_iter().filter(|view| self.sources.get(&view.id) != Some(view));
        let changed: Vec<SourceView> = changed.take(SOURCES_PER_TICK_MAX).collect();
        self.reached = match changed.last() {
            Some(last) if changed.len() == SOURCES_PER_TICK_MAX => last.id.clone(),
            _ => String::new(),
        };
        self.sources.extend(changed.iter().map(|view| (view.id.clone(), view.clone())));
        (changed, removed)
    }
}

#[cfg(test)]
mod tests {
    use sense::{Protocol, SourceId};

    use super::*;
    use crate::service::sources::view::{SourceKind, bare};

    fn view(name: usize, readings: u64) -> SourceView {
        let id = SourceId::new(Protocol::Json, &format!("agent-{name:04}"));
        SourceView { readings, ..bare(&id, SourceKind::Agent) }
    }

    #[test]
    fn only_what_changed_is_said_and_nobody_is_left_out() {
        let mut told = Told::default();
        let all = |readings| (0..250).map(|name| view(name, readings)).collect::<Vec<_>>();
        let said: Vec<usize> = (0..4).map(|_| told.news(all(1)).0.len()).collect();
        assert_eq!(said, [100, 100, 50, 0]);
        // All change all the time, and each has its turn.
        let mut seen = std::collections::BTreeSet::new();
        for readings in 2..5 {
            seen.extend(told.news(all(readings)).0.into_iter().map(|view| view.id));
        }
        assert_eq!(seen.len(), 250);
        let (changed, removed) = told.news(vec![view(0, 9)]);
        assert_eq!((changed.len(), removed.len()), (1, 249));
        assert_eq!(told.sources.len(), 1);
    }
}
