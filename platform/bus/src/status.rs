use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kernel::{SharedClock, Timestamp};

use crate::AgentState;

/// `agent.failed` is said at most this often by one agent; what lies between is counted and
/// logged, so that a storm of failures does not become a storm of events.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What is known of a running agent.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) state: AgentState,
    pub(crate) handled: u64,
    pub(crate) failed: u64,
    pub(crate) lag: u64,
    pub(crate) restarts: u32,
    pub(crate) last_error: Option<String>,
    pub(crate) last_error_at: Option<Timestamp>,
    pub(crate) last_active_at: Option<Timestamp>,
    told_at: Option<Duration>,
}

/// Through this a task reports its lag, its progress and errors it survived.
#[derive(Clone, Debug)]
pub struct Handle {
    agent: &'static str,
    clock: SharedClock,
    status: Arc<Mutex<Status>>,
}

impl Handle {
    pub(crate) fn new(agent: &'static str, clock: SharedClock) -> Self {
        let status = Status {
            state: AgentState::Starting,
            handled: 0,
            failed: 0,
            lag: 0,
            restarts: 0,
            last_error: None,
            last_error_at: None,
            last_active_at: None,
            told_at: None,
        };
        Self { agent, clock, status: Arc::new(Mutex::new(status)) }
    }

    /// `handled` more items done, `lag` still waiting.
    pub fn progress(&self, handled: u64, lag: u64) {
        self.lag(lag);
        self.handled(handled);
    }

    /// An error that did not stop the task.
    pub fn trouble(&self, error: &dyn std::error::Error) {
        self.failed(&chain(error));
    }

    pub(crate) fn handled(&self, count: u64) {
        let now = self.clock.now();
        let mut status = self.lock();
        status.handled = status.handled.saturating_add(count);
        status.last_active_at = Some(now);
        metrics::counter!("plainview_agent_handled_total", "agent" => self.agent).increment(count);
    }

    pub(crate) fn lag(&self, lag: u64) {
        self.lock().lag = lag;
        metrics::gauge!("plainview_agent_lag", "agent" => self.agent).set(lag as f64);
    }

    pub(crate) fn failed(&self, error: &str) {
        tracing::warn!(agent = self.agent, error, "an agent failed");
        let now = self.clock.now();
        let mut status = self.lock();
        status.failed = status.failed.saturating_add(1);
        status.last_error = Some(error.to_owned());
        status.last_error_at = Some(now);
        metrics::counter!("plainview_agent_failed_total", "agent" => self.agent).increment(1);
    }

    pub(crate) fn restarted(&self) {
        let mut status = self.lock();
        status.restarts = status.restarts.saturating_add(1);
        metrics::counter!("plainview_agent_restarts_total", "agent" => self.agent).increment(1);
    }

    pub(crate) fn enter(&self, state: AgentState) {
        self.lock().state = state;
    }

    /// Whether `agent.failed` may be said now; [`Handle::told`] then records that it was.
    pub(crate) fn may_tell(&self) -> bool {
        let now = self.clock.monotonic();
        self.lock().told_at.is_none_or(|at| now.saturating_sub(at) >= TOLD_EVERY)
    }

    pub(crate) fn told(&self) {
        let now = self.clock.monotonic();
        self.lock().told_at = Some(now);
    }

    pub(crate) fn snapshot(&self) -> Status {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        // Every change is a plain assignment: a panic between two leaves nothing half done.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest cause chain kept; the rest of a chain is hardly read.
const CHAIN_BYTES_MAX: usize = 8 * 1024;

/// `error` and everything that caused it, outermost first.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut previous = text.clone();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        // Transparent wrappers say the same again.
        if said != previous {
            text.push_str(": ");
            text.push_str(&said);
        }
        previous = said;
        source = cause.source();
    }
    shorten(text)
}

/// At most [`CHAIN_BYTES_MAX`] bytes and no NUL, which Postgres cannot keep.
pub(crate) fn shorten(mut text: String) -> String {
    if text.contains('\0') {
        text = text.replace('\0', "\u{fffd}");
    }
    if text.len() > CHAIN_BYTES_MAX {
        text.truncate(text.floor_char_boundary(CHAIN_BYTES_MAX));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner(#[source] std::io::Error);

    #[test]
    fn a_chain_names_every_cause_once() {
        let error = Outer(Inner(std::io::Error::other("disk gone")));
        assert_eq!(chain(&error), "outer: inner: disk gone");
        let wrapped = crate::HandlerError::retry(error);
        assert_eq!(chain(&wrapped), "outer: inner: disk gone");
    }

    #[test]
    fn a_chain_is_bounded_and_storable() {
        let long = shorten(format!("a\0{}", "ü".repeat(CHAIN_BYTES_MAX)));
        assert!(long.len() <= CHAIN_BYTES_MAX + '…'.len_utf8());
        assert!(!long.contains('\0'));
    }
}
