use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kernel::{Backoff, Event, Timestamp};
use serde::Serialize;
use store::records::Tx;
use tokio_util::sync::CancellationToken;

use crate::status::Handle;

/// Why an agent could not handle an event.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// Trying again may help: retried with backoff, then dead-lettered.
    #[error("{0}")]
    Retry(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Trying again cannot help: dead-lettered at once.
    #[error("{0}")]
    Poison(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl HandlerError {
    pub fn retry(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Retry(error.into())
    }

    pub fn poison(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Poison(error.into())
    }
}

/// Why a task stopped; it is started again with backoff.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) type Handler =
    Arc<dyn for<'a> Fn(&'a Event, &'a Tx) -> BoxFuture<'a, Result<(), HandlerError>> + Send + Sync>;
pub(crate) type Runner =
    Arc<dyn Fn(TaskContext) -> BoxFuture<'static, Result<(), TaskError>> + Send + Sync>;

/// How often an event is tried before it becomes a dead letter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Attempts after the first.
    pub retries_max: u32,
    pub backoff: Backoff,
    /// False throws failed events away after the last attempt, with a log line only.
    pub dead_letters: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries_max: 3,
            backoff: Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) },
            dead_letters: true,
        }
    }
}

pub(crate) enum Work {
    Consume { types: &'static [&'static str], handler: Handler },
    Task(Runner),
}

/// One worker with a lifecycle: a durable consumer of events, or a long-running task.
pub struct Agent {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) work: Work,
}

impl Agent {
    /// A durable consumer. `name` keeps its progress: never rename one. `handler` is given the
    /// event and the transaction that its effects, its publications and its progress share.
    #[must_use]
    pub fn consumer(
        name: &'static str,
        title: &'static str,
        types: &'static [&'static str],
        handler: impl for<'a> Fn(&'a Event, &'a Tx) -> BoxFuture<'a, Result<(), HandlerError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self { name, title, work: Work::Consume { types, handler: Arc::new(handler) } }
    }

    /// A task that runs until its context is cancelled and keeps progress by itself.
    #[must_use]
    pub fn task(
        name: &'static str,
        title: &'static str,
        run: impl Fn(TaskContext) -> BoxFuture<'static, Result<(), TaskError>> + Send + Sync + 'static,
    ) -> Self {
        Self { name, title, work: Work::Task(Arc::new(run)) }
    }

    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// What a task is given.
#[derive(Clone)]
pub struct TaskContext {
    /// Cancelled when the task must stop.
    pub stop: CancellationToken,
    /// How it says what it is doing.
    pub handle: Handle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    Starting,
    Running,
    /// Waiting to try again after a failure.
    Retrying,
    Stopped,
}

/// What `GET /api/v1/agents` shows of one agent.
#[derive(Clone, Debug, Serialize)]
pub struct AgentReport {
    pub name: String,
    pub title: String,
    pub module: String,
    pub state: AgentState,
    /// Event types it consumes; empty for a task.
    pub consumes: Vec<String>,
    pub handled: u64,
    pub failed: u64,
    /// Events or items waiting for it.
    pub lag: u64,
    pub restarts: u32,
    pub last_error: Option<String>,
    pub last_error_at: Option<Timestamp>,
    pub last_active_at: Option<Timestamp>,
}
