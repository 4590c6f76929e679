use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use kernel::{CorrelationId, SensorKey, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use web::{Caller, Page, Path, Problem, Query, Role};

use crate::error::{self, PlantError};
use crate::model::{GoldenPath, Run, RunState, ScenarioInfo, ScenarioKind};
use crate::service::{Order, Plant, Simulation};

const LIMIT_DEFAULT: u64 = 100;
const RATE_DEFAULT: f64 = 0.3;
const BUSY_RETRY_S: u64 = 5;

impl From<PlantError> for Problem {
    fn from(fault: PlantError) -> Self {
        match fault {
            PlantError::Invalid { field, reason } => Self::of(&error::SIMULATION_INVALID)
                .detail(format!("`{field}` {reason}."))
                .field(field, reason),
            PlantError::Disabled => Self::of(&error::SIMULATION_DISABLED)
                .detail("This installation runs a real plant; simulations are refused."),
            PlantError::ApprovalForbidden => Self::of(&error::AUTO_APPROVE_FORBIDDEN)
                .detail("Start it without auto_approve and decide it under Decisions."),
            PlantError::Busy { running } => Self::of(&error::GOLDEN_PATH_BUSY)
                .detail(format!("{running} golden paths are running; try again shortly."))
                .retry_after(BUSY_RETRY_S),
            PlantError::UnknownPath { id } => Self::of(&error::GOLDEN_PATH_UNKNOWN)
                .detail(format!("No golden path has the id {id}.")),
            PlantError::UnknownRun { id } => Self::of(&error::SCENARIO_RUN_UNKNOWN)
                .detail(format!("No scenario under way has the id {id}.")),
            other => Self::internal(&other),
        }
    }
}

pub(crate) fn routes(service: Plant) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(drift_event))
        .routes(routes!(anomaly_event))
        .routes(routes!(normal_data))
        .routes(routes!(scenarios, play_scenario))
        .routes(routes!(end_scenario))
        .routes(routes!(golden_paths, start_golden_path))
        .routes(routes!(golden_path_status))
        .with_state(service)
}

/// What to simulate. Everything has a default that suits the demo plant.
#[derive(Clone, Debug, Default, Deserialize, garde::Validate, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
struct SimulateBody {
    /// A sensor of the simulated plant, or any key: a series is generated for it then.
    #[garde(skip)]
    sensor: Option<String>,
    #[garde(skip)]
    asset: Option<String>,
    #[garde(skip)]
    duration_s: Option<u64>,
    #[garde(skip)]
    magnitude: Option<f64>,
}

impl SimulateBody {
    fn order(self, kind: ScenarioKind) -> Order {
        Order {
            kind,
            target: self.sensor.or(self.asset),
            duration_s: self.duration_s,
            magnitude: self.magnitude,
        }
    }
}

/// A request without a body leaves everything to the defaults.
fn given(body: Option<web::Json<SimulateBody>>) -> SimulateBody {
    body.map_or_else(SimulateBody::default, |web::Json(body)| body)
}

async fn simulate(
    plant: &Plant,
    caller: &Caller,
    order: Order,
) -> Result<(StatusCode, Json<Simulation>), Problem> {
    caller.need(Role::Operator)?;
    Ok((StatusCode::ACCEPTED, Json(plant.simulate(order, &caller.name).await?)))
}

/// Lets a sensor drift away from the truth.
#[utoipa::path(
    post,
    path = "/simulate/drift-event",
    tag = "plant",
    request_body = Option<SimulateBody>,
    responses(
        (status = 202, body = Simulation),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn drift_event(
    State(plant): State<Plant>,
    caller: Caller,
    body: Option<web::Json<SimulateBody>>,
) -> Result<(StatusCode, Json<Simulation>), Problem> {
    simulate(&plant, &caller, given(body).order(ScenarioKind::SensorDrift)).await
}

/// Lets a sensor jump, or an asset wear out.
#[utoipa::path(
    post,
    path = "/simulate/anomaly-event",
    tag = "plant",
    request_body = Option<SimulateBody>,
    responses(
        (status = 202, body = Simulation),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn anomaly_event(
    State(plant): State<Plant>,
    caller: Caller,
    body: Option<web::Json<SimulateBody>>,
) -> Result<(StatusCode, Json<Simulation>), Problem> {
    let body = given(body);
    let of_an_asset = body.sensor.is_none() && body.asset.is_some();
    let kind = if of_an_asset { ScenarioKind::BearingWear } else { ScenarioKind::SensorSpike };
    simulate(&plant, &caller, body.order(kind)).await
}

/// Ends the scenarios of the plant, or generates normal readings for another sensor.
#[utoipa::path(
    post,
    path = "/simulate/normal-data",
    tag = "plant",
    request_body = Option<SimulateBody>,
    responses(
        (status = 202, body = Simulation),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn normal_data(
    State(plant): State<Plant>,
    caller: Caller,
    body: Option<web::Json<SimulateBody>>,
) -> Result<(StatusCode, Json<Simulation>), Problem> {
    simulate(&plant, &caller, given(body).order(ScenarioKind::Normal)).await
}

#[derive(Clone, Debug, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct RunsQuery {
    /// Items on a page: 1 to 1000, 100 when not given.
    #[garde(range(min = 1, max = 1000))]
    limit: Option<u64>,
    /// `next` of the page before.
    #[garde(skip)]
    cursor: Option<Uuid>,
}

/// A run of a scenario and whether it still plays.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
struct RunView {
    #[serde(flatten)]
    run: Run,
    state: RunState,
}

/// What can be played, and what was.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
struct Scenarios {
    kinds: Vec<ScenarioInfo>,
    /// Newest first.
    items: Vec<RunView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The scenarios that can be played, and their runs.
#[utoipa::path(
    get,
    path = "/simulate/scenarios",
    tag = "plant",
    params(RunsQuery),
    responses(
        (status = 200, body = Scenarios),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn scenarios(
    State(plant): State<Plant>,
    _caller: Caller,
    Query(query): Query<RunsQuery>,
) -> Result<Json<Scenarios>, Problem> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    let mut runs = plant.runs(query.cursor, limit + 1).await?;
    let next = cut(&mut runs, limit, |run| run.run_id.to_string());
    let now = plant.now();
    let items = runs.into_iter().map(|run| RunView { state: run.state(now), run }).collect();
    Ok(Json(Scenarios { kinds: ScenarioKind::catalogue().to_vec(), items, next }))
}

/// Which scenario to play, where, how long and how strongly.
#[derive(Clone, Debug, Deserialize, garde::Validate, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct PlayBody {
    #[garde(skip)]
    kind: ScenarioKind,
    /// Sensor or asset.
    #[garde(skip)]
    target: Option<String>,
    #[garde(skip)]
    duration_s: Option<u64>,
    #[garde(skip)]
    magnitude: Option<f64>,
}

/// Plays a scenario on the simulated plant.
#[utoipa::path(
    post,
    path = "/simulate/scenarios",
    tag = "plant",
    request_body = PlayBody,
    responses(
        (status = 202, body = Simulation),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn play_scenario(
    State(plant): State<Plant>,
    caller: Caller,
    web::Json(body): web::Json<PlayBody>,
) -> Result<(StatusCode, Json<Simulation>), Problem> {
    let PlayBody { kind, target, duration_s, magnitude } = body;
    simulate(&plant, &caller, Order { kind, target, duration_s, magnitude }).await
}

/// Ends one scenario before its time.
#[utoipa::path(
    post,
    path = "/simulate/scenarios/{id}/end",
    tag = "plant",
    params(("id" = Uuid, Path)),
    responses(
        (status = 204),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn end_scenario(
    State(plant): State<Plant>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    caller.need(Role::Operator)?;
    plant.end(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Clone, Debug, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct GoldenQuery {
    /// Share of the generated readings that are anomalous: above 0, at most 0.5; 0.3 when not
    /// given.
    #[garde(skip)]
    target_anomaly_rate: Option<f64>,
    /// Lets the orchestrator approve the decision; in development only.
    #[garde(skip)]
    auto_approve: Option<bool>,
}

/// Where to follow a golden path that was started.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
struct GoldenStarted {
    correlation_id: CorrelationId,
    status_url: String,
    sensor: SensorKey,
    started_at: Timestamp,
}

/// Sends a generated series through the whole chain.
#[utoipa::path(
    post,
    path = "/demo/golden-path",
    tag = "plant",
    params(GoldenQuery),
    responses(
        (status = 202, body = GoldenStarted),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn start_golden_path(
    State(plant): State<Plant>,
    caller: Caller,
    Query(query): Query<GoldenQuery>,
) -> Result<(StatusCode, Json<GoldenStarted>), Problem> {
    caller.need(Role::Operator)?;
    let rate = query.target_anomaly_rate.unwrap_or(RATE_DEFAULT);
    let auto_approve = query.auto_approve.unwrap_or(false);
    let path = plant.start_path(rate, auto_approve, &caller.name).await?;
    let started = GoldenStarted {
        correlation_id: path.correlation_id,
        status_url: format!("/api/v1/demo/golden-path/status/{}", path.correlation_id),
        sensor: path.sensor,
        started_at: path.started_at,
    };
    Ok((StatusCode::ACCEPTED, Json(started)))
}

/// Every step of one golden path, with times, events and evidence.
#[utoipa::path(
    get,
    path = "/demo/golden-path/status/{correlation_id}",
    tag = "plant",
    params(("correlation_id" = CorrelationId, Path)),
    responses(
        (status = 200, body = GoldenPath),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn golden_path_status(
    State(plant): State<Plant>,
    _caller: Caller,
    Path(id): Path<CorrelationId>,
) -> Result<Json<GoldenPath>, Problem> {
    Ok(Json(plant.path(id).await?))
}

#[derive(Clone, Debug, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct PathsQuery {
    /// Items on a page: 1 to 1000, 100 when not given.
    #[garde(range(min = 1, max = 1000))]
    limit: Option<u64>,
    /// `next` of the page before.
    #[garde(skip)]
    cursor: Option<i64>,
}

/// Golden paths, newest first.
#[utoipa::path(
    get,
    path = "/demo/golden-path",
    tag = "plant",
    params(PathsQuery),
    responses(
        (status = 200, body = Page<GoldenPath>),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn golden_paths(
    State(plant): State<Plant>,
    _caller: Caller,
    Query(query): Query<PathsQuery>,
) -> Result<Json<Page<GoldenPath>>, Problem> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    let mut items = plant.paths(query.cursor, limit + 1).await?;
    let next = cut(&mut items, limit, |path| path.number.to_string());
    Ok(Json(Page { items, next }))
}

/// Cuts a list that was read one item too long; the cursor is the last item that stays.
fn cut<T>(items: &mut Vec<T>, limit: u64, cursor: impl Fn(&T) -> String) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    items.last().filter(|_| more).map(cursor)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;
    use crate::service::tests::{Bench, bench};

    fn api(bench: &Bench, role: Option<Role>) -> Router {
        let (router, _) = crate::module(bench.plant()).routes.split_for_parts();
        router.layer(axum::Extension(Caller { name: "ines".to_owned(), role }))
    }

    async fn send(router: &Router, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path);
        let request = match body {
            Some(text) => {
                request.header("content-type", "application/json").body(Body::from(text.to_owned()))
            }
            None => request.body(Body::empty()),
        };
        let response = router.clone().oneshot(request.unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    #[tokio::test]
    async fn a_golden_path_is_started_and_followed() {
        let bench = bench(false, false).await;
        let api = api(&bench, Some(Role::Operator));
        let path = "/demo/golden-path?target_anomaly_rate=0.3";
        let (status, started) = send(&api, "POST", path, None).await;
        assert_eq!(status, 202);
        assert_eq!(started["sensor"], "demo/golden-1/vibration");
        let url = started["status_url"].as_str().unwrap().strip_prefix("/api/v1").unwrap();
        let (status, now) = send(&api, "GET", url, None).await;
        assert_eq!(status, 200);
        assert_eq!(now["overall_status"], "running");
        assert_eq!(now["steps"][0]["name"], "ingest");
        assert_eq!(now["steps"].as_array().unwrap().len(), 7);
        send(&api, "POST", "/demo/golden-path", None).await;
        let (_, page) = send(&api, "GET", "/demo/golden-path?limit=1", None).await;
        assert_eq!(page["items"][0]["number"], 2);
        let next = format!("/demo/golden-path?limit=1&cursor={}", page["next"].as_str().unwrap());
        let (_, page) = send(&api, "GET", &next, None).await;
        assert_eq!(page["items"][0]["number"], 1);
        assert!(page.get("next").is_none());
    }

    #[tokio::test]
    async fn what_cannot_be_is_said_clearly() {
        let bench = bench(false, false).await;
        let operator = api(&bench, Some(Role::Operator));
        for rate in ["0", "0.51", "-1", "NaN", "inf"] {
            let path = format!("/demo/golden-path?target_anomaly_rate={rate}");
            let (status, problem) = send(&operator, "POST", &path, None).await;
            assert_eq!(status, 422, "{rate}: {problem}");
            assert_eq!(problem["errors"][0]["field"], "target_anomaly_rate");
        }
        let (status, _) =
            send(&operator, "POST", "/demo/golden-path?auto_approve=true", None).await;
        assert_eq!(status, 403);
        let unknown = format!("/demo/golden-path/status/{}", Uuid::now_v7());
        assert_eq!(send(&operator, "GET", &unknown, None).await.0, 404);
        assert_eq!(send(&operator, "POST", "/simulate/drift-event", None).await.0, 409);
        let viewer = api(&bench, Some(Role::Viewer));
        assert_eq!(send(&viewer, "POST", "/demo/golden-path", None).await.0, 403);
        let nobody = api(&bench, None);
        assert_eq!(send(&nobody, "POST", "/demo/golden-path", None).await.0, 401);
        assert_eq!(send(&nobody, "GET", "/demo/golden-path", None).await.0, 200);
    }

    #[tokio::test]
    async fn scenarios_are_listed_played_and_ended() {
        let bench = bench(true, true).await;
        let api = api(&bench, Some(Role::Operator));
        let body = Some("{\"kind\":\"leak\",\"magnitude\":0.05}");
        let (status, played) = send(&api, "POST", "/simulate/scenarios", body).await;
        assert_eq!(status, 202, "{played}");
        let (status, drift) = send(&api, "POST", "/simulate/drift-event", None).await;
        assert_eq!(status, 202, "{drift}");
        assert_eq!(drift["run"]["target"], "north/p-1/bearing_temp");
        let asset = Some("{\"asset\":\"north/p-1\"}");
        let (_, wear) = send(&api, "POST", "/simulate/anomaly-event", asset).await;
        assert_eq!(wear["run"]["kind"], "bearing_wear");
        let (_, all) = send(&api, "GET", "/simulate/scenarios", None).await;
        assert_eq!(all["items"].as_array().unwrap().len(), 3);
        assert_eq!(all["kinds"].as_array().unwrap().len(), 10);
        assert_eq!(all["items"][0]["state"], "active");
        let id = played["run"]["run_id"].as_str().unwrap();
        let end = format!("/simulate/scenarios/{id}/end");
        assert_eq!(send(&api, "POST", &end, None).await.0, 204);
        assert_eq!(send(&api, "POST", &end, None).await.0, 404);
        let (_, ended) = send(&api, "POST", "/simulate/normal-data", Some("{}")).await;
        assert_eq!(ended["ended"], 2);
        let endless = Some("{\"kind\":\"leak\",\"duration_s\":99999999}");
        let (status, problem) = send(&api, "POST", "/simulate/scenarios", endless).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some("duration_s")));
    }
}
