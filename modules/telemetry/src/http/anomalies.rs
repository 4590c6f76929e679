use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Caller, Json, Page, Path, Problem, Query, Role};

use super::processes::ProcessNow;
use super::{invalid, key, time};
use crate::model::{Anomaly, AnomalyState, ChainedAnomaly};
use crate::records::AnomalyFilter;
use crate::service::Telemetry;

const LIMIT_DEFAULT: u64 = 100;

#[derive(Clone, Debug, Default, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AnomaliesAsked {
    #[garde(skip)]
    state: Option<AnomalyState>,
    #[garde(length(max = 200))]
    sensor: Option<String>,
    /// Standing at or after this time.
    #[garde(skip)]
    from: Option<String>,
    /// Started before this time.
    #[garde(skip)]
    to: Option<String>,
    #[garde(range(min = 1, max = 1000))]
    limit: Option<u64>,
    #[garde(length(max = 100))]
    cursor: Option<String>,
}

impl AnomaliesAsked {
    fn filter(&self, limit: u64) -> Result<AnomalyFilter, Problem> {
        let after = self.cursor.as_deref().map(|cursor| {
            let wrong = || invalid("cursor", "pass `next` of the page before, unchanged");
            let (at, id) = cursor.split_once('_').ok_or_else(wrong)?;
            Ok::<_, Problem>((at.parse().map_err(|_| wrong())?, id.to_owned()))
        });
        Ok(AnomalyFilter {
            state: self.state,
            sensor: self.sensor.as_deref().map(key).transpose()?,
            from: time("from", self.from.as_deref())?,
            to: time("to", self.to.as_deref())?,
            after: after.transpose()?,
            limit: limit + 1,
        })
    }
}

/// Anomalies, newest start first
#[utoipa::path(
    get, operation_id = "list_anomalies", path = "/anomalies", tag = "telemetry", params(AnomaliesAsked),
    responses((status = 200, body = Page<ChainedAnomaly>), (status = 422, body = Problem))
)]
pub(crate) async fn list(
    State(service): State<Telemetry>,
    Query(asked): Query<AnomaliesAsked>,
) -> Result<Json<Page<ChainedAnomaly>>, Problem> {
    page(&service, &asked).await.map(Json)
}

pub(super) async fn page(
    service: &Telemetry,
    asked: &AnomaliesAsked,
) -> Result<Page<ChainedAnomaly>, Problem> {
    let limit = asked.limit.unwrap_or(LIMIT_DEFAULT);
    let mut items = service.anomalies(&asked.filter(limit)?).await?;
    let more = items.len() as u64 > limit;
    items.truncate(limit as usize);
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| format!("{}_{}", last.anomaly.started_at.as_micros(), last.anomaly.anomaly_id));
    Ok(Page { items, next })
}

/// An anomaly, and what the stored readings say when they are judged again.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExplainedAnomaly {
    anomaly: Anomaly,
    /// Whether judging again gave the same anomaly: start, severity, score and contributors. It may
    /// not when readings came late or were corrected since.
    same: bool,
    /// What came out this time; `None` when nothing did.
    again: Option<Anomaly>,
    /// Every row judged, up to the one that the anomaly rests on.
    rows: Vec<ProcessNow>,
}

/// Judge the readings behind an anomaly again
///
/// For anomalies of process models.
#[utoipa::path(
    get, operation_id = "explain_anomaly", path = "/anomalies/{id}/explain", tag = "telemetry",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = ExplainedAnomaly), (status = 404, body = Problem),
        (status = 422, body = Problem),
    )
)]
pub(crate) async fn explain(
    State(service): State<Telemetry>,
    Path(id): Path<String>,
) -> Result<Json<ExplainedAnomaly>, Problem> {
    let explained = service.explain(&id).await?;
    Ok(Json(ExplainedAnomaly {
        anomaly: explained.anomaly,
        same: explained.same,
        again: explained.again,
        rows: explained.rows.into_iter().map(Into::into).collect(),
    }))
}

/// Take the level of a sensor for normal
///
/// Needs the role engineer. For a standing anomaly of the score: it ends with the next dozen calm
/// readings instead of after a day.
#[utoipa::path(
    post, operation_id = "accept_level", path = "/anomalies/{id}/accept-level", tag = "telemetry",
    params(("id" = String, Path)),
    responses(
        (status = 202, body = Anomaly), (status = 404, body = Problem),
        (status = 422, body = Problem),
    )
)]
pub(crate) async fn accept_level(
    State(service): State<Telemetry>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Anomaly>), Problem> {
    caller.need(Role::Engineer)?;
    let anomaly = service.accept_level(&id).await?;
    tracing::info!(sensor = anomaly.sensor.as_str(), by = caller.name, "level called normal");
    Ok((StatusCode::ACCEPTED, Json(anomaly)))
}
