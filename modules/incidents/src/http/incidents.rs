use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use garde::Validate;
use kernel::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{Caller, Json, Page, Path, Problem, Query, Role};

use super::alerts::AtQuery;
use super::{LIMIT_DEFAULT, before, page};
use crate::decide::incidents::Update;
use crate::error;
use crate::model::{Incident, IncidentDetail, IncidentState};
use crate::service::{Incidents, IncidentsWanted};

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    #[garde(skip)]
    state: Option<IncidentState>,
    #[garde(length(max = 200))]
    asset: Option<String>,
    /// As it was then.
    #[garde(skip)]
    #[param(value_type = Option<String>)]
    at: Option<Timestamp>,
    #[garde(range(min = 1, max = 1000))]
    limit: Option<u64>,
    #[garde(length(max = 64))]
    cursor: Option<String>,
}

/// Incidents, newest first.
#[utoipa::path(
    get, operation_id = "list_incidents", path = "/incidents", tag = "incidents", params(ListQuery),
    responses((status = 200, body = Page<Incident<String>>), (status = 422, body = Problem))
)]
pub(super) async fn list(
    State(service): State<Incidents>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Incident>>, Problem> {
    let wanted = IncidentsWanted {
        states: query.state.into_iter().collect(),
        asset: query.asset,
        at: query.at,
        before: before(query.cursor.as_deref())?,
        limit: query.limit.unwrap_or(LIMIT_DEFAULT),
    };
    Ok(Json(page(service.incidents(&wanted).await?)))
}

/// One incident with its alarms and its timeline. Its `ETag` is what an update must name.
#[utoipa::path(
    get, operation_id = "one_incident", path = "/incidents/{id}", tag = "incidents", params(("id" = Uuid, Path), AtQuery),
    responses(
        (status = 200, body = IncidentDetail, headers(("ETag" = String))),
        (status = 404, body = Problem)
    )
)]
pub(super) async fn one(
    State(service): State<Incidents>,
    Path(id): Path<Uuid>,
    Query(query): Query<AtQuery>,
) -> Result<Response, Problem> {
    let (detail, version) = service.incident(id, query.at).await?;
    Ok(([(header::ETAG, etag(version))], Json(detail)).into_response())
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct UpdateBody {
    /// `open`, `investigating` or `resolved`; dismissing goes by `dismissal`.
    #[garde(skip)]
    state: Option<IncidentState>,
    /// Who looks after it; empty for nobody.
    #[garde(length(chars, max = 100))]
    assignee: Option<String>,
    #[garde(length(chars, max = 2000))]
    note: Option<String>,
    #[garde(dive)]
    dismissal: Option<DismissalBody>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct DismissalBody {
    #[garde(length(chars, max = 2000))]
    reason: String,
    /// When it comes back if an alarm of it still stands.
    #[garde(skip)]
    until: Timestamp,
}

/// Changes an incident. `If-Match` names the version that was read.
#[utoipa::path(
    post, path = "/incidents/{id}/update", tag = "incidents",
    params(("id" = Uuid, Path), ("If-Match" = String, Header)), request_body = UpdateBody,
    responses(
        (status = 200, body = Incident<String>, headers(("ETag" = String))),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 428, body = Problem)
    )
)]
pub(super) async fn update(
    State(service): State<Incidents>,
    caller: Caller,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Json(body): Json<UpdateBody>,
) -> Result<Response, Problem> {
    caller.need(Role::Operator)?;
    let seen = seen(&headers)?;
    let update = Update {
        state: body.state,
        assignee: body.assignee,
        note: body.note,
        dismissal: body.dismissal.map(|dismissal| (dismissal.reason, dismissal.until)),
    };
    let (incident, version) = service.update(id, seen, update, &caller.name).await?;
    Ok(([(header::ETAG, etag(version))], Json(incident)).into_response())
}

fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The version that `If-Match` names. One that this module never gave out matches nothing.
fn seen(headers: &HeaderMap) -> Result<i64, Problem> {
    let value = headers
        .get(header::IF_MATCH)
        .ok_or_else(|| Problem::of(&error::IF_MATCH_MISSING).detail("Send the ETag you read."))?;
    let version = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().trim_start_matches("W/").trim_matches('"').parse().ok());
    version.ok_or_else(|| Problem::of(&error::INCIDENT_CHANGED).detail("Send the ETag you read."))
}
