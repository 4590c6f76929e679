use std::time::Duration;

use axum::extract::State;
use garde::Validate;
use kernel::{SensorKey, Timestamp};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use web::{Json, Page, Path, Problem, Query};

use crate::error::{self, ModelsError};
use crate::model::{
    self, Forecast, MlHealth, Model, ModelVersion, Prediction, builtin, newest_first, resolve,
};
use crate::records::Wanted;
use crate::service::{Models, PredictWanted};

const LIMIT_DEFAULT: u64 = 100;

pub(crate) fn routes(service: Models) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_models))
        .routes(routes!(list_versions))
        .routes(routes!(latest))
        .routes(routes!(predict))
        .routes(routes!(forecast))
        .routes(routes!(health))
        .routes(routes!(list_predictions))
        .with_state(service)
}

impl From<ModelsError> for Problem {
    fn from(fault: ModelsError) -> Self {
        match fault {
            ModelsError::NoSuchSensor(key) => {
                Self::of(&error::NO_SUCH_SENSOR).detail(format!("No readings of {key} are stored."))
            }
            ModelsError::NoSuchModel(name) => {
                Self::of(&error::NO_SUCH_MODEL).detail(format!("{name} is not registered."))
            }
            ModelsError::TooShort { found, needed } => Self::of(&error::HISTORY_TOO_SHORT).detail(
                format!("It has {found} values at this step; {needed} are needed. Use a shorter horizon or more steps."),
            ),
            ModelsError::Field { field, reason } => {
                Self::of(&error::MODELS_INVALID).field(field, reason)
            }
            other => Self::internal(&other),
        }
    }
}

/// Models, by name.
#[utoipa::path(
    get, path = "/ml/models", tag = "models", responses((status = 200, body = Page<Model>))
)]
async fn list_models() -> Json<Page<Model>> {
    Json(Page { items: model::models(&builtin()), next: None })
}

/// The versions of a model, newest first.
#[utoipa::path(
    get, path = "/ml/models/{name}/versions", tag = "models", params(("name" = String, Path)),
    responses((status = 200, body = Page<ModelVersion>), (status = 404, body = Problem))
)]
async fn list_versions(Path(name): Path<String>) -> Result<Json<Page<ModelVersion>>, Problem> {
    let items = newest_first(&builtin(), &name);
    if items.is_empty() {
        return Err(ModelsError::NoSuchModel(name).into());
    }
    Ok(Json(Page { items, next: None }))
}

/// The version that `latest` means now.
#[utoipa::path(
    get, path = "/ml/models/{name}/latest", tag = "models", params(("name" = String, Path)),
    responses((status = 200, body = ModelVersion), (status = 404, body = Problem))
)]
async fn latest(Path(name): Path<String>) -> Result<Json<ModelVersion>, Problem> {
    match resolve(&builtin(), &name, "latest") {
        Some(version) => Ok(Json(version.clone())),
        None => Err(ModelsError::NoSuchModel(name).into()),
    }
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
struct PredictBody {
    /// `north/p-2/vibration`
    #[garde(skip)]
    #[schema(value_type = String)]
    sensor: SensorKey,
    /// Seconds ahead that count as a risk; 30 days when not given.
    #[garde(range(min = 1.0, max = 31_536_000.0))]
    horizon_s: Option<f64>,
    /// The value not to pass; the sensor's own range when not given.
    #[garde(custom(finite))]
    limit: Option<f64>,
}

fn finite(value: &Option<f64>, _context: &()) -> garde::Result {
    match value {
        Some(value) if !value.is_finite() => Err(garde::Error::new("must be a finite number")),
        _ => Ok(()),
    }
}

/// Says when a sensor reaches its limit, from its recent readings. Changes nothing.
#[utoipa::path(
    post, path = "/ml/predict", tag = "models", request_body = PredictBody,
    responses(
        (status = 200, body = Prediction), (status = 404, body = Problem),
        (status = 422, body = Problem)
    )
)]
async fn predict(
    State(service): State<Models>,
    Json(body): Json<PredictBody>,
) -> Result<Json<Prediction>, Problem> {
    let PredictBody { sensor, horizon_s, limit } = body;
    Ok(Json(service.predict(PredictWanted { sensor, horizon_s, limit }).await?))
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
struct ForecastBody {
    #[garde(skip)]
    #[schema(value_type = String)]
    sensor: SensorKey,
    /// Seconds ahead; at most 90 days.
    #[garde(range(min = 1.0, max = 7_776_000.0))]
    horizon_s: f64,
    #[garde(range(min = 1, max = 500))]
    steps: u32,
}

/// Forecasts a sensor with the method that did best on its own past. Changes nothing.
#[utoipa::path(
    post, path = "/ml/forecast", tag = "models", request_body = ForecastBody,
    responses(
        (status = 200, body = Forecast), (status = 404, body = Problem),
        (status = 422, body = Problem)
    )
)]
async fn forecast(
    State(service): State<Models>,
    Json(body): Json<ForecastBody>,
) -> Result<Json<Forecast>, Problem> {
    let horizon = Duration::from_secs_f64(body.horizon_s);
    let steps = usize::try_from(body.steps).unwrap_or(1);
    Ok(Json(service.forecast(&body.sensor, horizon, steps).await?))
}

/// How the models do.
#[utoipa::path(
    get, path = "/ml/health", tag = "models", responses((status = 200, body = MlHealth))
)]
async fn health(State(service): State<Models>) -> Result<Json<MlHealth>, Problem> {
    Ok(Json(service.health().await?))
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
struct PredictionsQuery {
    #[garde(length(max = 200))]
    asset: Option<String>,
    #[garde(length(max = 200))]
    sensor: Option<String>,
    /// As it was then.
    #[garde(skip)]
    #[param(value_type = Option<String>)]
    at: Option<Timestamp>,
    #[garde(range(min = 1, max = 1000))]
    limit: Option<u64>,
    #[garde(length(max = 64))]
    cursor: Option<String>,
}

/// Predictions, newest first.
#[utoipa::path(
    get, path = "/predictions", tag = "models", params(PredictionsQuery),
    responses((status = 200, body = Page<Prediction>), (status = 422, body = Problem))
)]
async fn list_predictions(
    State(service): State<Models>,
    Query(query): Query<PredictionsQuery>,
) -> Result<Json<Page<Prediction>>, Problem> {
    let cursor = query.cursor.as_deref().map(Uuid::try_parse).transpose();
    let before = cursor.map_err(|_| {
        let reason = "pass `next` of the page before, unchanged".to_owned();
        ModelsError::Field { field: "cursor", reason }
    })?;
    let wanted = Wanted { asset: query.asset, sensor: query.sensor, at: query.at, before };
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    let (items, next) = service.predictions(&wanted, limit).await?;
    Ok(Json(Page { items, next }))
}
