use std::sync::Arc;

use bus::Agent;
use futures_util::future::BoxFuture;
use kernel::EventType;
use serde::Serialize;
use store::records::Migration;
use utoipa_axum::router::OpenApiRouter;

use crate::ErrorCode;

/// How well a subsystem does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Works, or is not configured.
    Ok,
    /// Away or slow; Plainview goes on without it.
    Degraded,
    /// Plainview cannot do its work.
    Failing,
}

/// One line of `/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Check {
    pub status: Standing,
    /// For people: `connected to 127.0.0.1:1883`, `not configured`.
    pub detail: String,
}

/// A named subsystem that `/health` asks.
#[derive(Clone)]
pub struct HealthCheck {
    pub name: &'static str,
    pub ask: Arc<dyn Fn() -> BoxFuture<'static, Check> + Send + Sync>,
}

/// All that a module gives to the composition root.
pub struct Module {
    pub name: &'static str,
    /// Mounted under `/api/v1`.
    pub routes: OpenApiRouter,
    /// Mounted at the root: doors whose paths another product's clients fix, such as `/write`.
    pub root_routes: OpenApiRouter,
    /// First path segments that older clients know at the root, such as `incidents`: a request to
    /// `/incidents/…` is served as `/api/v1/incidents/…`.
    pub root_aliases: &'static [&'static str],
    pub agents: Vec<Agent>,
    pub migrations: Vec<Migration>,
    pub events: &'static [EventType],
    pub errors: &'static [ErrorCode],
    pub health: Vec<HealthCheck>,
}

impl Module {
    /// A module of routes alone; what else it has stands before `..Module::new(…)`.
    #[must_use]
    pub fn new(name: &'static str, routes: OpenApiRouter) -> Self {
        Self {
            name,
            routes,
            root_routes: OpenApiRouter::new(),
            root_aliases: &[],
            agents: Vec::new(),
            migrations: Vec::new(),
            events: &[],
            errors: &[],
            health: Vec::new(),
        }
    }
}
