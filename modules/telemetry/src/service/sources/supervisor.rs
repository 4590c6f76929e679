//! The agent that brings connectors in line with what people want of them.
//!
//! Each connector runs in a task of its own: what one of them does wrong stays with it. One that
//! ends by itself, whether it panicked or gave up, is started again, later each time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bus::{TaskContext, TaskError};
use kernel::Backoff;
use sense::{ConnectorKind, SourceError, SourceId};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::tick::Told;
use super::view::SourceState;
use super::{Desired, Wanted};
use crate::error::TelemetryError;
use crate::service::Telemetry;

const LOOK_EVERY: Duration = Duration::from_secs(1);
const RESTART: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) };
/// Running this long without a crash makes the next one a first one.
const STEADY: Duration = Duration::from_secs(60);
/// A connector takes leave of its peer within this time, or it is dropped.
const FAREWELL: Duration = Duration::from_secs(5);
/// A state that lasts this long is said; a link that flickers is not an event each time.
const SAID_AFTER: Duration = Duration::from_secs(5);

/// A connector that runs.
struct Run {
    version: i64,
    stop: CancellationToken,
    task: Id,
    abort: AbortHandle,
    started: Duration,
    stopping_since: Option<Duration>,
}

/// When a connector that ended may start again.
#[derive(Clone, Copy, Debug, Default)]
struct Penance {
    failures: u32,
    until: Duration,
}

/// How a state was last said, and what it seems to become.
struct Said {
    is_well: bool,
    otherwise_since: Option<Duration>,
}

/// The connectors of this process. Dropping it ends them all.
#[derive(Default)]
struct Crew {
    tasks: JoinSet<()>,
    runs: HashMap<SourceId, Run>,
    penances: HashMap<SourceId, Penance>,
    said: HashMap<SourceId, Said>,
}

impl Telemetry {
    /// Runs until it is stopped; then every connector takes leave.
    pub(crate) async fn supervise(self, context: TaskContext) -> Result<(), TaskError> {
        self.ensure_loaded().await?;
        self.ensure_sources().await?;
        self.sources.actual().clear();
        let (mut crew, mut told) = (Crew::default(), Told::default());
        let mut timer = tokio::time::interval(LOOK_EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let mut ticked = false;
            tokio::select! {
                () = context.stop.cancelled() => break,
                _ = timer.tick() => ticked = true,
                () = self.sources.nudge.notified() => {}
                Some(ended) = crew.tasks.join_next_with_id() => self.note_end(&mut crew, ended),
            }
            if ticked {
                self.meter_flow();
                // Connectors go on while the database is away; what changed is said later.
                if let Err(error) = self.say_changes(&mut crew).await {
                    context.handle.trouble(&error);
                }
            }
            self.reconcile(&mut crew);
            if ticked && let Err(error) = self.tell_sources(&mut told).await {
                context.handle.trouble(&error);
            }
            context.handle.progress(0, 0);
        }
        self.dismiss(crew).await;
        Ok(())
    }

    fn reconcile(&self, crew: &mut Crew) {
        let now = self.clock.monotonic();
        let wanted = self.sources.all_wanted();
        for (id, run) in &mut crew.runs {
            let stays = wanted.get(id).is_some_and(|wanted| {
                wanted.desired == Desired::Running && wanted.version == run.version
            });
            match run.stopping_since {
                None if !stays => {
                    run.stopping_since = Some(now);
                    run.stop.cancel();
                }
                Some(since) if now.saturating_sub(since) > FAREWELL => run.abort.abort(),
                _ => {}
            }
        }
        crew.penances.retain(|id, _| wanted.contains_key(id));
        crew.said.retain(|id, _| wanted.contains_key(id));
        self.sources.actual().retain(|id, _| wanted.contains_key(id) || crew.runs.contains_key(id));
        for (id, wanted) in &wanted {
            let waits = crew.penances.get(id).is_some_and(|penance| penance.until > now);
            let wanted_now = wanted.desired == Desired::Running;
            if wanted_now && !waits && !crew.runs.contains_key(id) {
                self.launch(crew, id, wanted);
            }
        }
    }

    fn launch(&self, crew: &mut Crew, id: &SourceId, wanted: &Wanted) {
        let built = match self.sources.kind(id.protocol) {
            Some(kind) => build(kind, id, wanted, self),
            None => Err(format!("no connector speaks {}", id.protocol.name())),
        };
        let connector = match built {
            Ok(connector) => connector,
            Err(reason) => return self.note_failure(crew, id, reason, Duration::ZERO),
        };
        let mut all = self.sources.actual();
        let actual = all.entry(id.clone()).or_default();
        actual.status = Some(connector.status().clone());
        actual.interval = connector.interval();
        actual.is_running = true;
        drop(all);
        let stop = CancellationToken::new();
        let running = Arc::clone(&connector).run(Arc::new(self.door()), stop.clone());
        let abort = crew.tasks.spawn(running);
        let run = Run {
            version: wanted.version,
            stop,
            task: abort.id(),
            abort,
            started: self.clock.monotonic(),
            stopping_since: None,
        };
        crew.runs.insert(id.clone(), run);
    }

    fn note_end(&self, crew: &mut Crew, ended: Result<(Id, ()), JoinError>) {
        let (task, reason) = match ended {
            Ok((task, ())) => (task, "the connector gave up".to_owned()),
            Err(error) => (error.id(), panic_text(error)),
        };
        let found = crew.runs.iter().find(|(_, run)| run.task == task).map(|(id, _)| id.clone());
        let Some((id, run)) = found.and_then(|id| crew.runs.remove(&id).map(|run| (id, run)))
        else {
            return;
        };
        let mut all = self.sources.actual();
        if let Some(actual) = all.get_mut(&id) {
            actual.is_running = false;
            if let Some(status) = &actual.status {
                status.stopped();
            }
        }
        drop(all);
        if run.stopping_since.is_some() {
            if let Some(actual) = self.sources.actual().get_mut(&id) {
                actual.fault = None;
            }
            crew.penances.remove(&id);
            return;
        }
        let ran = self.clock.monotonic().saturating_sub(run.started);
        self.note_failure(crew, &id, reason, ran);
    }

    fn note_failure(&self, crew: &mut Crew, id: &SourceId, message: String, ran: Duration) {
        let penance = crew.penances.entry(id.clone()).or_default();
        penance.failures = if ran >= STEADY { 1 } else { penance.failures.saturating_add(1) };
        let jitter = kernel::spread((id, penance.failures));
        let pause = RESTART.pause(penance.failures, jitter);
        penance.until = self.clock.monotonic() + pause;
        tracing::warn!(source = %id, failures = penance.failures, message, "a connector ended");
        let mut all = self.sources.actual();
        let actual = all.entry(id.clone()).or_default();
        actual.crashes += 1;
        actual.fault = Some(SourceError { at: self.clock.now(), message });
    }

    /// Says on the bus when a connector becomes ill or well for more than a moment.
    async fn say_changes(&self, crew: &mut Crew) -> Result<(), TelemetryError> {
        let now = self.clock.monotonic();
        let mut changed = BTreeMap::new();
        for (id, wanted) in self.sources.all_wanted() {
            let state = self.connector_view(&id, &wanted, self.clock.now()).state;
            let is_well = matches!(state, SourceState::Live | SourceState::Stopped);
            let said = crew
                .said
                .entry(id.clone())
                .or_insert(Said { is_well: true, otherwise_since: None });
            if said.is_well == is_well {
                said.otherwise_since = None;
                continue;
            }
            let since = *said.otherwise_since.get_or_insert(now);
            if now.saturating_sub(since) >= SAID_AFTER {
                changed.insert(id, (wanted, is_well));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let tx = self.records.begin().await?;
        for (id, (wanted, _)) in &changed {
            self.say_source(&tx, id, wanted, "state").await?;
        }
        tx.commit().await?;
        for (id, (_, is_well)) in changed {
            crew.said.insert(id, Said { is_well, otherwise_since: None });
        }
        Ok(())
    }

    async fn dismiss(&self, mut crew: Crew) {
        for run in crew.runs.values() {
            run.stop.cancel();
        }
        let all_gone = async { while crew.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, all_gone).await.is_err() {
            tracing::warn!("a connector did not stop in time and is dropped");
        }
        for actual in self.sources.actual().values_mut() {
            actual.is_running = false;
            if let Some(status) = &actual.status {
                status.stopped();
            }
        }
    }
}

fn build(
    kind: &Arc<dyn ConnectorKind>,
    id: &SourceId,
    wanted: &Wanted,
    telemetry: &Telemetry,
) -> Result<Arc<dyn sense::Connector>, String> {
    kind.build(&id.name, &wanted.settings, Arc::clone(&telemetry.clock))
        .map_err(|error| error.to_string())
}

fn panic_text(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "dropped".to_owned() };
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    format!("the connector panicked: {}", text.unwrap_or_default())
}
