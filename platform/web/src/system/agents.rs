use axum::extract::State;
use kernel::Timestamp;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::{Caller, Environment, Json, Page, Problem, Role};

use super::System;

pub(super) fn routes() -> OpenApiRouter<System> {
    OpenApiRouter::new()
        .routes(routes!(list_agents))
        .routes(routes!(list_modules))
        .routes(routes!(who_am_i))
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum AgentState {
    Starting,
    Running,
    /// Waiting to try again after a failure.
    Retrying,
    Stopped,
}

impl From<bus::AgentState> for AgentState {
    fn from(state: bus::AgentState) -> Self {
        match state {
            bus::AgentState::Starting => Self::Starting,
            bus::AgentState::Running => Self::Running,
            bus::AgentState::Retrying => Self::Retrying,
            bus::AgentState::Stopped => Self::Stopped,
        }
    }
}

/// One agent's state, lag and last error.
#[derive(Serialize, utoipa::ToSchema)]
struct Agent {
    name: String,
    title: String,
    module: String,
    state: AgentState,
    /// Event types it consumes; empty for a task.
    consumes: Vec<String>,
    handled: u64,
    failed: u64,
    /// Events or items waiting for it.
    lag: u64,
    restarts: u32,
    last_error: Option<String>,
    last_error_at: Option<Timestamp>,
    last_active_at: Option<Timestamp>,
}

impl From<bus::AgentReport> for Agent {
    fn from(report: bus::AgentReport) -> Self {
        Self {
            name: report.name,
            title: report.title,
            module: report.module,
            state: report.state.into(),
            consumes: report.consumes,
            handled: report.handled,
            failed: report.failed,
            lag: report.lag,
            restarts: report.restarts,
            last_error: report.last_error,
            last_error_at: report.last_error_at,
            last_active_at: report.last_active_at,
        }
    }
}

/// Every agent, in order of name.
#[utoipa::path(get, path = "/agents", responses((status = 200, body = Page<Agent>)))]
async fn list_agents(State(system): State<System>) -> Result<Json<Page<Agent>>, Problem> {
    let reports = match &system.0.coordinator {
        Some(coordinator) => coordinator.report().await.map_err(|e| Problem::internal(&e))?,
        None => Vec::new(),
    };
    Ok(Json(Page { items: reports.into_iter().map(Agent::from).collect(), next: None }))
}

/// What a module is made of.
#[derive(Serialize, utoipa::ToSchema)]
struct ModuleSummary {
    name: String,
    /// Event types it says.
    events: Vec<String>,
    /// Paths that older clients know at the root.
    root_aliases: Vec<String>,
}

/// The modules of this build.
#[utoipa::path(get, path = "/modules", responses((status = 200, body = Page<ModuleSummary>)))]
async fn list_modules(State(system): State<System>) -> Json<Page<ModuleSummary>> {
    let texts = |list: &[&'static str]| list.iter().map(|text| (*text).to_owned()).collect();
    let modules = system.0.modules.iter().map(|module| ModuleSummary {
        name: module.name.to_owned(),
        events: texts(&module.events),
        root_aliases: texts(module.root_aliases),
    });
    Json(Page { items: modules.collect(), next: None })
}

/// The caller, as the program sees it.
#[derive(Serialize, utoipa::ToSchema)]
struct Me {
    name: String,
    /// Null for the anonymous reader.
    role: Option<Role>,
    environment: Environment,
    version: String,
}

/// Whom the key of this request belongs to.
#[utoipa::path(get, path = "/me", responses((status = 200, body = Me)))]
async fn who_am_i(caller: Caller, State(system): State<System>) -> Json<Me> {
    Json(Me {
        name: caller.name,
        role: caller.role,
        environment: system.0.environment,
        version: system.0.version.to_owned(),
    })
}
