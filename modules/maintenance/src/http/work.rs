use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use garde::Validate;
use kernel::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{Caller, Json, Page, Path, Problem, Query, Role};

use super::decisions::AtQuery;
use super::{LIMIT_DEFAULT, bad_cursor, before, duration, page};
use crate::model::{
    FailureCause, FailureMechanism, FailureMode, LogEntry, Verdict, WorkOrder, WorkState,
};
use crate::records::work::Wanted;
use crate::service::{Finding, Maintenance, WorkWanted};

/// Work that a person puts into the calendar.
#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct ScheduleBody {
    /// `north/p-2`
    #[garde(length(chars, min = 3, max = 200))]
    asset: String,
    #[garde(length(chars, max = 200))]
    sensor: Option<String>,
    #[garde(length(chars, min = 1, max = 200))]
    title: String,
    #[garde(skip)]
    starts_at: Timestamp,
    #[garde(range(min = 0.25, max = 720.0))]
    duration_h: f64,
    /// 1 (now) to 4; 3 when not given.
    #[garde(range(min = 1, max = 4))]
    priority: Option<i32>,
    #[garde(length(chars, max = 100))]
    skill: Option<String>,
    #[garde(length(chars, min = 1, max = 100))]
    assignee: Option<String>,
    #[garde(length(chars, max = 2000))]
    reason: Option<String>,
}

/// Schedules work without a decision.
#[utoipa::path(
    post, path = "/maintenance/schedule", tag = "maintenance", request_body = ScheduleBody,
    responses(
        (status = 201, body = WorkOrder),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)
    )
)]
pub(super) async fn schedule(
    State(service): State<Maintenance>,
    caller: Caller,
    Json(body): Json<ScheduleBody>,
) -> Result<(StatusCode, Json<WorkOrder>), Problem> {
    caller.need(Role::Operator)?;
    let wanted = WorkWanted {
        asset: body.asset,
        sensor: body.sensor,
        title: body.title,
        starts_at: body.starts_at,
        duration: duration(body.duration_h),
        priority: body.priority.unwrap_or(3),
        skill: body.skill.unwrap_or_else(|| "mechanical".to_owned()),
        assignee: body.assignee,
        reason: body.reason,
    };
    Ok((StatusCode::CREATED, Json(service.schedule(wanted, &caller.name).await?)))
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WorkQuery {
    /// `scheduled` when not given; `all` for every state.
    #[garde(length(max = 20))]
    state: Option<String>,
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

/// Work orders, newest first.
#[utoipa::path(
    get, path = "/maintenance/scheduled", tag = "maintenance", params(WorkQuery),
    responses((status = 200, body = Page<WorkOrder>), (status = 422, body = Problem))
)]
pub(super) async fn scheduled(
    State(service): State<Maintenance>,
    Query(query): Query<WorkQuery>,
) -> Result<Json<Page<WorkOrder>>, Problem> {
    let state = match query.state.as_deref() {
        None | Some("scheduled") => Some(WorkState::Scheduled),
        Some("completed") => Some(WorkState::Completed),
        Some("cancelled") => Some(WorkState::Cancelled),
        Some("all") => None,
        Some(_) => {
            return Err(Problem::of(&crate::error::MAINTENANCE_INVALID)
                .field("state", "one of scheduled, completed, cancelled, all"));
        }
    };
    let wanted = Wanted {
        state,
        asset: query.asset,
        before: before(query.cursor.as_deref())?,
        ..Wanted::default()
    };
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    Ok(Json(page(service.work_orders(&wanted, query.at, limit).await?)))
}

/// One work order.
#[utoipa::path(
    get, operation_id = "one_work_order", path = "/maintenance/{id}", tag = "maintenance",
    params(("id" = Uuid, Path), AtQuery),
    responses((status = 200, body = WorkOrder), (status = 404, body = Problem))
)]
pub(super) async fn one(
    State(service): State<Maintenance>,
    Path(id): Path<Uuid>,
    Query(query): Query<AtQuery>,
) -> Result<Json<WorkOrder>, Problem> {
    Ok(Json(service.work_order(id, query.at).await?))
}

/// What was found when the work was done.
#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct CompleteBody {
    #[garde(skip)]
    verdict: Verdict,
    #[garde(skip)]
    failure_mode: Option<FailureMode>,
    #[garde(skip)]
    failure_mechanism: Option<FailureMechanism>,
    #[garde(skip)]
    failure_cause: Option<FailureCause>,
    #[serde(default)]
    #[garde(length(chars, max = 10000))]
    notes: String,
}

/// Closes a work order with its verdict.
#[utoipa::path(
    post, path = "/maintenance/{id}/complete", tag = "maintenance",
    params(("id" = Uuid, Path)), request_body = CompleteBody,
    responses(
        (status = 200, body = WorkOrder),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)
    )
)]
pub(super) async fn complete(
    State(service): State<Maintenance>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<CompleteBody>,
) -> Result<Json<WorkOrder>, Problem> {
    caller.need(Role::Operator)?;
    let finding = Finding {
        verdict: body.verdict,
        failure_mode: body.failure_mode,
        failure_mechanism: body.failure_mechanism,
        failure_cause: body.failure_cause,
        notes: body.notes,
    };
    Ok(Json(service.complete(id, &finding, &caller.name).await?))
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    #[garde(length(max = 200))]
    asset: Option<String>,
    #[garde(range(min = 1, max = 1000))]
    limit: Option<u64>,
    #[garde(length(max = 64))]
    cursor: Option<String>,
}

/// The maintenance log, newest first.
#[utoipa::path(
    get, path = "/maintenance/logs", tag = "maintenance", params(LogQuery),
    responses((status = 200, body = Page<LogEntry>), (status = 422, body = Problem))
)]
pub(super) async fn logs(
    State(service): State<Maintenance>,
    Query(query): Query<LogQuery>,
) -> Result<Json<Page<LogEntry>>, Problem> {
    let cursor = query.cursor.as_deref().map(Uuid::try_parse).transpose();
    let before = cursor.map_err(|_| bad_cursor())?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    Ok(Json(page(service.logs(query.asset.as_deref(), before, limit).await?)))
}

/// The work orders as an iCalendar feed.
#[utoipa::path(
    get, path = "/maintenance/calendar.ics", tag = "maintenance",
    responses((status = 200, body = String, content_type = "text/calendar"))
)]
pub(super) async fn calendar(State(service): State<Maintenance>) -> Result<Response, Problem> {
    let feed = service.calendar_feed().await?;
    Ok(([(header::CONTENT_TYPE, "text/calendar; charset=utf-8")], feed).into_response())
}
