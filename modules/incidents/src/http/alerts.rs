use std::time::Duration;

use axum::extract::State;
use garde::Validate;
use kernel::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{Caller, Json, Page, Path, Problem, Query, Role};

use super::{LIMIT_DEFAULT, before, page};
use crate::model::{Alert, AlertState, Quality};
use crate::records::alerts::Wanted;
use crate::service::{AlertsWanted, Incidents};

/// Four hours: half a shift.
const WINDOW_DEFAULT_S: u64 = 14_400;

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    #[garde(skip)]
    state: Option<AlertState>,
    /// Whether the plant is wrong now.
    #[garde(skip)]
    active: Option<bool>,
    #[garde(range(min = 1, max = 4))]
    priority: Option<i32>,
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

/// Alarms, newest first.
#[utoipa::path(
    get, operation_id = "list_alerts", path = "/alerts", tag = "incidents", params(ListQuery),
    responses((status = 200, body = Page<Alert>), (status = 422, body = Problem))
)]
pub(super) async fn list(
    State(service): State<Incidents>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Alert>>, Problem> {
    let wanted = AlertsWanted {
        filter: Wanted {
            state: query.state,
            active: query.active,
            priority: query.priority,
            asset: query.asset,
            sensor: query.sensor,
            incident: None,
            before: before(query.cursor.as_deref())?,
        },
        at: query.at,
        limit: query.limit.unwrap_or(LIMIT_DEFAULT),
    };
    Ok(Json(page(service.alerts(&wanted).await?)))
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct QualityQuery {
    /// Seconds back from now; four hours when not given, 31 days at most.
    #[garde(range(min = 600, max = 2_678_400))]
    window_s: Option<u64>,
}

/// How sound the alarm system itself is.
#[utoipa::path(
    get, path = "/alerts/quality", tag = "incidents", params(QualityQuery),
    responses((status = 200, body = Quality), (status = 422, body = Problem))
)]
pub(super) async fn quality(
    State(service): State<Incidents>,
    Query(query): Query<QualityQuery>,
) -> Result<Json<Quality>, Problem> {
    let window = Duration::from_secs(query.window_s.unwrap_or(WINDOW_DEFAULT_S));
    Ok(Json(service.alarm_quality(window).await?))
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AtQuery {
    /// As it was then.
    #[garde(skip)]
    #[param(value_type = Option<String>)]
    pub(super) at: Option<Timestamp>,
}

/// One alarm.
#[utoipa::path(
    get, operation_id = "one_alert", path = "/alerts/{id}", tag = "incidents", params(("id" = Uuid, Path), AtQuery),
    responses((status = 200, body = Alert), (status = 404, body = Problem))
)]
pub(super) async fn one(
    State(service): State<Incidents>,
    Path(id): Path<Uuid>,
    Query(query): Query<AtQuery>,
) -> Result<Json<Alert>, Problem> {
    Ok(Json(service.alert(id, query.at).await?))
}

#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
pub(super) struct AcknowledgeBody {
    #[garde(length(chars, max = 2000))]
    note: Option<String>,
}

/// Says that a person has seen the alarm.
#[utoipa::path(
    post, path = "/alerts/{id}/acknowledge", tag = "incidents", params(("id" = Uuid, Path)),
    request_body(content = Option<AcknowledgeBody>, description = "May be left out"),
    responses(
        (status = 200, body = Alert), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)
    )
)]
pub(super) async fn acknowledge(
    State(service): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Option<Json<AcknowledgeBody>>,
) -> Result<Json<Alert>, Problem> {
    caller.need(Role::Operator)?;
    let note = body.and_then(|Json(body)| body.note);
    Ok(Json(service.acknowledge(id, &caller.name, note.as_deref()).await?))
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct ShelveBody {
    #[garde(length(chars, min = 1, max = 2000))]
    reason: String,
    /// When it returns by itself.
    #[garde(skip)]
    until: Timestamp,
}

/// Keeps the alarm quiet until a time, for a reason.
#[utoipa::path(
    post, path = "/alerts/{id}/shelve", tag = "incidents", params(("id" = Uuid, Path)),
    request_body = ShelveBody,
    responses(
        (status = 200, body = Alert), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)
    )
)]
pub(super) async fn shelve(
    State(service): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<ShelveBody>,
) -> Result<Json<Alert>, Problem> {
    caller.need(Role::Operator)?;
    Ok(Json(service.shelve(id, &caller.name, &body.reason, body.until).await?))
}

/// Ends shelving at once.
#[utoipa::path(
    post, path = "/alerts/{id}/unshelve", tag = "incidents", params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = Alert), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)
    )
)]
pub(super) async fn unshelve(
    State(service): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<Alert>, Problem> {
    caller.need(Role::Operator)?;
    Ok(Json(service.unshelve(id).await?))
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct ResolveBody {
    /// What it was and what was done.
    #[garde(length(chars, min = 1, max = 2000))]
    resolution: String,
}

/// Says what the alarm was.
#[utoipa::path(
    post, path = "/alerts/{id}/resolve", tag = "incidents", params(("id" = Uuid, Path)),
    request_body = ResolveBody,
    responses(
        (status = 200, body = Alert), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)
    )
)]
pub(super) async fn resolve(
    State(service): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<ResolveBody>,
) -> Result<Json<Alert>, Problem> {
    caller.need(Role::Operator)?;
    Ok(Json(service.resolve(id, &caller.name, &body.resolution).await?))
}
