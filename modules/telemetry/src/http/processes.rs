use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kernel::{AssetKey, SensorKey, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Caller, Json, Path, Problem, Role};

use super::{invalid, key};
use crate::detect::AssetNow;
use crate::model::Contribution;
use crate::service::{
    ModelAsked, ModelRecord, ModelState, ModelStatus, Period, Rejection, Telemetry,
};

/// Row widths that a model takes, in seconds.
const INTERVAL_MIN_S: f64 = 0.001;
const INTERVAL_MAX_S: f64 = 86_400.0;

/// What a process model says about the newest row of its asset.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ProcessNow {
    row_at: Timestamp,
    /// 0 to 1; 0.5 is the limit.
    score: f64,
    alarm: bool,
    /// Too much was missing to judge the row: the state is as it was.
    held: bool,
    /// Rows judged since the program started.
    rows: u64,
    contributions: Vec<Contribution>,
    /// When the process last changed its state.
    changed_at: Option<Timestamp>,
}

impl From<AssetNow> for ProcessNow {
    fn from(now: AssetNow) -> Self {
        let AssetNow { row_at, score, alarm, held, rows, contributions, changed_at } = now;
        Self { row_at, score, alarm, held, rows, contributions, changed_at }
    }
}

/// One input of a model: where it lies in normal operation.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ProcessInput {
    sensor: SensorKey,
    centre: f64,
    /// Standard deviation of a row, with the room for wandering.
    spread: f64,
    /// Share of its movement in the fit period that is slow, 0 to 1: what wanders counts less.
    wander: f64,
}

/// A sensor that is no input, and why.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ProcessLeftOut {
    sensor: SensorKey,
    reason: String,
}

/// One version of an asset's process model.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ProcessModelView {
    asset: String,
    version: i64,
    state: ModelState,
    fit: Period,
    /// `None`: the last quarter of the fit period.
    calibrate: Option<Period>,
    interval_s: f64,
    fit_rows: usize,
    calibrate_rows: usize,
    /// Directions that T² counts.
    components: usize,
    /// Share of the calibration rows that it would have raised.
    calibration_alarm_share: f64,
    inputs: Vec<ProcessInput>,
    left_out: Vec<ProcessLeftOut>,
    created_at: Timestamp,
    created_by: String,
    accepted_at: Option<Timestamp>,
    accepted_by: Option<String>,
    /// When it was proposed and not wanted.
    rejection: Option<Rejection>,
}

impl From<&ModelRecord> for ProcessModelView {
    fn from(record: &ModelRecord) -> Self {
        let model = &record.model;
        let (fit_rows, calibrate_rows) = model.rows();
        let left_out = record.left_out.iter().cloned();
        Self {
            asset: record.asset.clone(),
            version: record.version,
            state: record.state,
            fit: record.fit,
            calibrate: record.calibrate,
            interval_s: record.interval_us as f64 / 1e6,
            fit_rows,
            calibrate_rows,
            components: model.components(),
            calibration_alarm_share: record.alarm_share,
            inputs: inputs(record),
            left_out: left_out
                .map(|out| ProcessLeftOut { sensor: out.sensor, reason: out.reason })
                .collect(),
            created_at: record.created_at,
            created_by: record.created_by.clone(),
            accepted_at: record.accepted_at,
            accepted_by: record.accepted_by.clone(),
            rejection: record.rejection.clone(),
        }
    }
}

fn inputs(record: &ModelRecord) -> Vec<ProcessInput> {
    let (normal, wandering) = (record.model.normal(), record.model.wandering());
    let each = record.inputs.iter().zip(normal).zip(wandering);
    each.map(|((sensor, (_, centre, spread)), (_, wander))| ProcessInput {
        sensor: sensor.clone(),
        centre,
        spread,
        wander,
    })
    .collect()
}

/// The process model of an asset: its versions, newest first, and what the one in force says.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ProcessModelStatus {
    asset: String,
    versions: Vec<ProcessModelView>,
    now: Option<ProcessNow>,
}

impl From<ModelStatus> for ProcessModelStatus {
    fn from(status: ModelStatus) -> Self {
        let versions: Vec<ProcessModelView> = status.versions.iter().map(Into::into).collect();
        Self {
            asset: versions.first().map(|newest| newest.asset.clone()).unwrap_or_default(),
            versions,
            now: status.now.map(Into::into),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProcessModels {
    models: Vec<ProcessModelStatus>,
}

/// The process models in force
#[utoipa::path(
    get, operation_id = "list_process_models", path = "/assets/models", tag = "telemetry",
    responses((status = 200, body = ProcessModels))
)]
pub(crate) async fn list(State(service): State<Telemetry>) -> Result<Json<ProcessModels>, Problem> {
    let models = service.models_in_force().await?.into_iter().map(Into::into).collect();
    Ok(Json(ProcessModels { models }))
}

/// The process model of an asset
#[utoipa::path(
    get, operation_id = "process_model", path = "/assets/{site}/{asset}/model", tag = "telemetry",
    params(("site" = String, Path), ("asset" = String, Path)),
    responses((status = 200, body = ProcessModelStatus), (status = 404, body = Problem))
)]
pub(crate) async fn one(
    State(service): State<Telemetry>,
    Path(place): Path<(String, String)>,
) -> Result<Json<ProcessModelStatus>, Problem> {
    Ok(Json(service.model_status(&asset(&place)?).await?.into()))
}

/// What a process model is made of.
#[derive(Clone, Debug, Deserialize, garde::Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProcessModelBody {
    /// Normal operation that the model comes from.
    #[garde(skip)]
    fit: Period,
    /// Further normal operation that the limits come from; otherwise the last quarter of `fit`.
    #[garde(skip)]
    calibrate: Option<Period>,
    /// The inputs; otherwise all sensors of the asset.
    #[garde(length(max = 256))]
    sensors: Option<Vec<String>>,
    /// Width of a row in seconds; otherwise what most of the sensors report in.
    #[garde(range(min = INTERVAL_MIN_S, max = INTERVAL_MAX_S))]
    interval_s: Option<f64>,
}

/// Fit a new version of an asset's process model
///
/// Needs the role engineer. The first version is in force at once; a later one is proposed and
/// judges nothing until it is accepted.
#[utoipa::path(
    put, operation_id = "fit_process_model", path = "/assets/{site}/{asset}/model",
    tag = "telemetry", params(("site" = String, Path), ("asset" = String, Path)),
    request_body = ProcessModelBody,
    responses(
        (status = 201, body = ProcessModelView), (status = 404, body = Problem),
        (status = 422, body = Problem),
    )
)]
pub(crate) async fn fit(
    State(service): State<Telemetry>,
    caller: Caller,
    Path(place): Path<(String, String)>,
    Json(body): Json<ProcessModelBody>,
) -> Result<Response, Problem> {
    caller.need(Role::Engineer)?;
    let sensors = body.sensors.map(|keys| keys.iter().map(|text| key(text)).collect());
    let asked = ModelAsked {
        fit: body.fit,
        calibrate: body.calibrate,
        sensors: sensors.transpose()?,
        interval_s: body.interval_s,
    };
    let record = service.fit_model(&asset(&place)?, asked, &caller.name).await?;
    Ok((StatusCode::CREATED, axum::Json(ProcessModelView::from(&record))).into_response())
}

/// Which version shall be in force.
#[derive(Clone, Debug, Deserialize, garde::Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptedVersion {
    #[garde(range(min = 1))]
    version: i64,
}

/// Put a version of an asset's process model in force
///
/// Needs the role engineer. The version before is retired and may be accepted again.
#[utoipa::path(
    post, operation_id = "accept_process_model", path = "/assets/{site}/{asset}/model/accept",
    tag = "telemetry", params(("site" = String, Path), ("asset" = String, Path)),
    request_body = AcceptedVersion,
    responses((status = 200, body = ProcessModelView), (status = 404, body = Problem))
)]
pub(crate) async fn accept(
    State(service): State<Telemetry>,
    caller: Caller,
    Path(place): Path<(String, String)>,
    Json(body): Json<AcceptedVersion>,
) -> Result<Json<ProcessModelView>, Problem> {
    caller.need(Role::Engineer)?;
    let record = service.accept_model(&asset(&place)?, body.version, &caller.name).await?;
    Ok(Json(ProcessModelView::from(&record)))
}

/// Which proposed version is not wanted, and why.
#[derive(Clone, Debug, Deserialize, garde::Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RejectedVersion {
    #[garde(range(min = 1))]
    version: i64,
    #[garde(length(min = 1, max = 1000))]
    reason: String,
}

/// Reject a proposed version of an asset's process model
///
/// Needs the role engineer. The version in force stays. It may be accepted all the same, later.
#[utoipa::path(
    post, operation_id = "reject_process_model", path = "/assets/{site}/{asset}/model/reject",
    tag = "telemetry", params(("site" = String, Path), ("asset" = String, Path)),
    request_body = RejectedVersion,
    responses(
        (status = 200, body = ProcessModelView), (status = 404, body = Problem),
        (status = 422, body = Problem),
    )
)]
pub(crate) async fn reject(
    State(service): State<Telemetry>,
    caller: Caller,
    Path(place): Path<(String, String)>,
    Json(body): Json<RejectedVersion>,
) -> Result<Json<ProcessModelView>, Problem> {
    caller.need(Role::Engineer)?;
    let RejectedVersion { version, reason } = body;
    let record = service.reject_model(&asset(&place)?, version, reason, &caller.name).await?;
    Ok(Json(ProcessModelView::from(&record)))
}

fn asset((site, asset): &(String, String)) -> Result<AssetKey, Problem> {
    let key = SensorKey::new(&format!("{site}/{asset}/-"));
    Ok(key.map_err(|error| invalid("asset", error.to_string()))?.asset())
}
