use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use kernel::{Backoff, EventDraft, EventType};
use serde::Serialize;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::agent::{Runner, Work};
use crate::consumer::{Consumer, panic_text};
use crate::log::poll;
use crate::records::{events, parked, progress};
use crate::status::{Handle, chain};
use crate::{
    Agent, AgentReport, AgentState, Bus, BusError, Offset, RetryPolicy, TaskContext, TaskError,
};

/// Said when an agent gave an event up or crashed.
pub(crate) const AGENT_FAILED: EventType = EventType::new("agent.failed", 1);

/// Between a crash and the next start. Short at the longest: after an outage of the database every
/// agent is back within ten seconds.
const RESTART: Backoff = Backoff { first: Duration::from_millis(500), max: Duration::from_secs(8) };
/// Running this long without a crash makes the next one a first one.
const STEADY: Duration = Duration::from_secs(60);
/// What an agent has begun may take this long to end; then it is dropped and rolls back.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// New events looked at in one go to see whom they concern.
const WAKE_BATCH: i64 = 1_024;
/// Lag is counted no further than this.
const LAG_MAX: i64 = 100_000;

/// What one agent needs to be run and watched.
struct Entry {
    name: &'static str,
    title: &'static str,
    module: &'static str,
    types: Option<&'static [&'static str]>,
    handle: Handle,
    wake: Arc<Notify>,
}

struct Inner {
    bus: Bus,
    stop: CancellationToken,
    entries: Vec<Entry>,
    running: Mutex<Vec<(&'static str, JoinHandle<()>)>>,
}

/// Runs all agents and keeps the failure of one from the others.
#[derive(Clone)]
pub struct Coordinator {
    inner: Arc<Inner>,
}

impl Coordinator {
    /// Starts every agent. `agents` pairs each with its module's name.
    #[must_use]
    pub fn start(bus: Bus, agents: Vec<(&'static str, Agent)>, policy: RetryPolicy) -> Self {
        let stop = CancellationToken::new();
        let mut entries = Vec::with_capacity(agents.len());
        let mut running = Vec::with_capacity(agents.len() + 1);
        let mut names = BTreeSet::new();
        for (module, agent) in agents {
            let Agent { name, title, work } = agent;
            let handle = Handle::new(name, Arc::clone(bus.clock()));
            let wake = Arc::new(Notify::new());
            let types = match &work {
                Work::Consume { types, .. } => Some(*types),
                Work::Task(_) => None,
            };
            entries.push(Entry {
                name,
                title,
                module,
                types,
                handle: handle.clone(),
                wake: Arc::clone(&wake),
            });
            if !names.insert(name) {
                // Two agents with one name would share one place in the log.
                handle.failed("another agent has this name; this one was not started");
                handle.enter(AgentState::Stopped);
                continue;
            }
            let keeper =
                Keeper { bus: bus.clone(), name, handle: handle.clone(), stop: stop.clone() };
            let job = match work {
                Work::Task(run) => Job::Task(run),
                Work::Consume { types, handler } => Job::Consumer(Arc::new(Consumer {
                    bus: bus.clone(),
                    name,
                    types,
                    handler,
                    policy,
                    handle,
                    wake,
                    stop: stop.clone(),
                })),
            };
            running.push((name, tokio::spawn(keeper.keep(job))));
        }
        let inner = Arc::new(Inner { bus, stop, entries, running: Mutex::new(Vec::new()) });
        running.push(("bus", tokio::spawn(wake_consumers(Arc::clone(&inner)))));
        // Nobody else has the lock yet.
        if let Ok(mut slot) = inner.running.try_lock() {
            *slot = running;
        }
        Self { inner }
    }

    /// Every agent's state, in order of name.
    ///
    /// # Errors
    /// When the lag cannot be read.
    pub async fn report(&self) -> Result<Vec<AgentReport>, BusError> {
        let conn = self.inner.bus.records().read();
        let parked = parked::counts(conn).await?;
        let mut reports = Vec::with_capacity(self.inner.entries.len());
        for entry in &self.inner.entries {
            if let Some(types) = entry.types {
                let position = progress::position(conn, entry.name).await?.unwrap_or_default();
                let ahead = events::count_after(conn, position, types, LAG_MAX).await?;
                let aside = parked.iter().find(|(name, _)| name == entry.name);
                entry.handle.lag(ahead + aside.map_or(0, |(_, count)| *count));
            }
            reports.push(entry.report());
        }
        reports.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(reports)
    }

    /// Puts `agent` back (or forward) to just after `to`; see [`Bus::rewind`].
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn rewind(&self, agent: &str, to: Offset) -> Result<(), BusError> {
        self.inner.bus.rewind(agent, to).await
    }

    /// Stops all agents and waits until what they had begun is committed or rolled back; what
    /// does not end in time is dropped and rolls back.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        let running = std::mem::take(&mut *self.inner.running.lock().await);
        let deadline = Instant::now() + STOP_GRACE;
        for (agent, mut task) in running {
            if tokio::time::timeout_at(deadline, &mut task).await.is_ok() {
                continue;
            }
            tracing::warn!(agent, "an agent did not stop in time and is dropped");
            task.abort();
            // A dropped task answers with the news that it was cancelled.
            drop(task.await);
        }
        for entry in &self.inner.entries {
            entry.handle.enter(AgentState::Stopped);
        }
    }
}

impl Entry {
    fn report(&self) -> AgentReport {
        let status = self.handle.snapshot();
        AgentReport {
            name: self.name.to_owned(),
            title: self.title.to_owned(),
            module: self.module.to_owned(),
            state: status.state,
            consumes: self.types.unwrap_or_default().iter().map(|t| (*t).to_owned()).collect(),
            handled: status.handled,
            failed: status.failed,
            lag: status.lag,
            restarts: status.restarts,
            last_error: status.last_error,
            last_error_at: status.last_error_at,
            last_active_at: status.last_active_at,
        }
    }

    fn wants(&self, kind: &str) -> bool {
        self.types.is_some_and(|types| types.is_empty() || types.contains(&kind))
    }
}

enum Job {
    Consumer(Arc<Consumer>),
    Task(Runner),
}

/// Starts a job again whenever it fails.
struct Keeper {
    bus: Bus,
    name: &'static str,
    handle: Handle,
    stop: CancellationToken,
}

impl Keeper {
    async fn keep(self, job: Job) {
        let mut crashes = 0_u32;
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            let ended = AssertUnwindSafe(self.run(&job)).catch_unwind().await;
            let error = match ended {
                Ok(Ok(())) => break,
                Ok(Err(error)) => chain(&*error),
                Err(panic) => panic_text(&*panic),
            };
            if self.stop.is_cancelled() {
                break;
            }
            self.handle.failed(&error);
            self.handle.enter(AgentState::Retrying);
            self.handle.restarted();
            crashes = if began.elapsed() >= STEADY { 1 } else { crashes.saturating_add(1) };
            self.tell().await;
            let jitter = kernel::spread((self.name, self.bus.clock().monotonic()));
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(RESTART.pause(crashes, jitter)) => {}
            }
        }
        self.handle.enter(AgentState::Stopped);
    }

    async fn run(&self, job: &Job) -> Result<(), TaskError> {
        match job {
            Job::Consumer(consumer) => Ok(consumer.run().await?),
            Job::Task(run) => {
                self.handle.enter(AgentState::Running);
                let context = TaskContext { stop: self.stop.clone(), handle: self.handle.clone() };
                run(context).await
            }
        }
    }

    /// Publishes `agent.failed`, when it was not said just now and the log can be written.
    async fn tell(&self) {
        if !self.handle.may_tell() {
            return;
        }
        let told = async {
            let draft = failed(self.name, "crashed", &self.handle)?;
            self.bus.post("bus", draft).await.map(drop)
        };
        match told.await {
            Ok(()) => self.handle.told(),
            Err(error) => {
                tracing::error!(agent = self.name, error = chain(&error), "cannot tell of a crash");
            }
        }
    }
}

/// The payload of `agent.failed`: the agent's state after the failure.
#[derive(Serialize)]
struct AgentFailed<'a> {
    agent: &'a str,
    /// `dead_letter` or `crashed`.
    reason: &'a str,
    error: Option<&'a str>,
    handled: u64,
    failed: u64,
    restarts: u32,
}

pub(crate) fn failed(
    agent: &'static str,
    reason: &'static str,
    handle: &Handle,
) -> Result<EventDraft, BusError> {
    let status = handle.snapshot();
    let payload = AgentFailed {
        agent,
        reason,
        error: status.last_error.as_deref(),
        handled: status.handled,
        failed: status.failed,
        restarts: status.restarts,
    };
    EventDraft::new(AGENT_FAILED, format!("agent/{agent}"), &payload)
        .map_err(|source| BusError::Damaged { offset: 0, source })
}

/// Watches the log for all consumers of this process and wakes those whom a new event concerns:
/// one query per commit instead of one per consumer.
async fn wake_consumers(inner: Arc<Inner>) {
    let mut commits = inner.bus.records().commits();
    let mut nudges = inner.bus.nudges();
    let mut seen = None;
    while !inner.stop.is_cancelled() {
        commits.mark_unchanged();
        match wake_concerned(&inner, &mut seen).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(error = chain(&error), "the event log cannot be watched");
            }
        }
        tokio::select! {
            () = inner.stop.cancelled() => {}
            _ = commits.changed() => {}
            _ = nudges.changed() => {
                nudges.mark_unchanged();
                inner.entries.iter().for_each(|entry| entry.wake.notify_one());
            }
            () = tokio::time::sleep(poll(&inner.bus)) => wake_parked(&inner).await,
        }
    }
}

/// Returns whether there may be more.
async fn wake_concerned(inner: &Inner, seen: &mut Option<Offset>) -> Result<bool, BusError> {
    let conn = inner.bus.records().read();
    let Some(after) = *seen else {
        *seen = Some(events::head(conn).await?);
        inner.entries.iter().for_each(|entry| entry.wake.notify_one());
        return Ok(true);
    };
    let fresh = events::types_after(conn, after, WAKE_BATCH).await?;
    let Some((last, _)) = fresh.last() else { return Ok(false) };
    *seen = Some(*last);
    let kinds: BTreeSet<&str> = fresh.iter().map(|(_, kind)| kind.as_str()).collect();
    for entry in &inner.entries {
        if kinds.iter().any(|kind| entry.wants(kind)) {
            entry.wake.notify_one();
        }
    }
    Ok(true)
}

/// Wakes those for whom another process may have put something aside.
async fn wake_parked(inner: &Inner) {
    match parked::counts(inner.bus.records().read()).await {
        Ok(parked) => {
            for entry in &inner.entries {
                if parked.iter().any(|(name, _)| name == entry.name) {
                    entry.wake.notify_one();
                }
            }
        }
        Err(error) => tracing::warn!(%error, "parked events cannot be read"),
    }
}
