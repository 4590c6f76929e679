use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::UNAVAILABLE;
use crate::{Check, Json, Problem, Standing};

use super::System;

/// A check that takes longer is as good as failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// Subsystems that `/health` always names, whether or not they are configured.
const ALWAYS_NAMED: [&str; 2] = ["mqtt", "cache"];

pub(super) fn routes() -> OpenApiRouter<System> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(health_db))
        .routes(routes!(health_redis))
        .routes(routes!(ready))
        .routes(routes!(metrics_text))
}

/// How the program and all it stands on do.
#[derive(Serialize, utoipa::ToSchema)]
struct Health {
    /// The worst of the checks.
    status: Standing,
    checks: BTreeMap<String, Check>,
    uptime_sec: u64,
    version: String,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Ready {
    ready: bool,
}

/// Says how every subsystem does. 503 only when the program cannot do its work.
#[utoipa::path(
    get, path = "/health",
    responses((status = 200, body = Health), (status = 503, body = Health))
)]
async fn health(State(system): State<System>) -> (StatusCode, Json<Health>) {
    let inside = &system.0;
    let (database, event_bus) = tokio::join!(database(&system), event_bus(&system));
    let asked = inside.checks.iter().map(|check| async move {
        let answer = tokio::time::timeout(CHECK_TIMEOUT, (check.ask)()).await;
        (check.name.to_owned(), answer.unwrap_or_else(|_| silent(Standing::Degraded)))
    });
    let mut checks: BTreeMap<String, Check> = join_all(asked).await.into_iter().collect();
    checks.insert("database".to_owned(), database);
    checks.insert("event_bus".to_owned(), event_bus);
    for name in ALWAYS_NAMED {
        checks.entry(name.to_owned()).or_insert_with(not_configured);
    }
    let status = checks.values().map(|check| check.status).max().unwrap_or(Standing::Ok);
    let code = code_of(status);
    let uptime = inside.clock.monotonic().saturating_sub(inside.started_at);
    let version = inside.version.to_owned();
    (code, Json(Health { status, checks, uptime_sec: uptime.as_secs(), version }))
}

/// How the records database does.
#[utoipa::path(
    get, path = "/health/db", responses((status = 200, body = Check), (status = 503, body = Check))
)]
async fn health_db(State(system): State<System>) -> (StatusCode, Json<Check>) {
    let check = database(&system).await;
    (code_of(check.status), Json(check))
}

/// How the shared cache does.
#[utoipa::path(get, path = "/health/redis", responses((status = 200, body = Check)))]
async fn health_redis(State(system): State<System>) -> (StatusCode, Json<Check>) {
    let check = match system.0.checks.iter().find(|check| check.name == "cache") {
        Some(check) => (check.ask)().await,
        None => not_configured(),
    };
    (code_of(check.status), Json(check))
}

/// Whether requests should come here: the database answers and the program is not stopping.
#[utoipa::path(get, path = "/ready", responses((status = 200, body = Ready)))]
async fn ready(State(system): State<System>) -> Result<Json<Ready>, Problem> {
    if system.0.stop.is_cancelled() {
        return Err(Problem::of(&UNAVAILABLE).detail("The program is stopping."));
    }
    let check = database(&system).await;
    if check.status == Standing::Failing {
        return Err(Problem::of(&UNAVAILABLE).detail(check.detail).retry_after(1));
    }
    Ok(Json(Ready { ready: true }))
}

/// Figures for Prometheus, in its text format.
#[utoipa::path(
    get, path = "/metrics",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
async fn metrics_text(State(system): State<System>) -> Result<Response, Problem> {
    let Some(recorder) = &system.0.metrics else {
        return Err(Problem::of(&UNAVAILABLE).detail("Metrics are switched off."));
    };
    let inside = &system.0;
    let uptime = inside.clock.monotonic().saturating_sub(inside.started_at);
    metrics::gauge!("plainview_uptime_seconds").set(uptime.as_secs_f64());
    metrics::gauge!("plainview_info", "version" => inside.version).set(1.0);
    // Asking for the report brings the gauges of the agents' lag up to date.
    if let Some(coordinator) = &inside.coordinator
        && let Err(error) = coordinator.report().await
    {
        tracing::warn!(error = &error as &dyn std::error::Error, "lag of agents unknown");
    }
    let kind = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    Ok(([kind], recorder.render()).into_response())
}

async fn database(system: &System) -> Check {
    let backend = match system.0.records.backend() {
        store::records::Backend::Sqlite => "sqlite",
        store::records::Backend::Postgres => "postgres",
    };
    match tokio::time::timeout(CHECK_TIMEOUT, system.0.records.ping()).await {
        Ok(Ok(())) => Check { status: Standing::Ok, detail: format!("{backend} answers") },
        Ok(Err(error)) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "database does not answer");
            Check { status: Standing::Failing, detail: format!("{backend} does not answer") }
        }
        Err(_) => silent(Standing::Failing),
    }
}

async fn event_bus(system: &System) -> Check {
    match tokio::time::timeout(CHECK_TIMEOUT, system.0.bus.head()).await {
        Ok(Ok(head)) => Check { status: Standing::Ok, detail: format!("log at {}", head.0) },
        Ok(Err(error)) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "event log does not answer");
            Check { status: Standing::Failing, detail: "the log cannot be read".to_owned() }
        }
        Err(_) => silent(Standing::Failing),
    }
}

fn silent(status: Standing) -> Check {
    Check { status, detail: format!("no answer within {} s", CHECK_TIMEOUT.as_secs()) }
}

fn not_configured() -> Check {
    Check { status: Standing::Ok, detail: "not configured".to_owned() }
}

fn code_of(status: Standing) -> StatusCode {
    match status {
        Standing::Ok | Standing::Degraded => StatusCode::OK,
        Standing::Failing => StatusCode::SERVICE_UNAVAILABLE,
    }
}
