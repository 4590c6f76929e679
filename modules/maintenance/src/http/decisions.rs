use axum::extract::State;
use garde::Validate;
use kernel::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{Caller, Json, Page, Path, Problem, Query, Role};

use super::{LIMIT_DEFAULT, before, page};
use crate::model::{Decision, DecisionState};
use crate::service::{DecisionChoice, DecisionsWanted, Maintenance, Submission};

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    #[garde(skip)]
    state: Option<DecisionState>,
    /// As it was then.
    #[garde(skip)]
    #[param(value_type = Option<String>)]
    at: Option<Timestamp>,
    #[garde(range(min = 1, max = 1000))]
    limit: Option<u64>,
    #[garde(length(max = 64))]
    cursor: Option<String>,
}

/// Decisions, newest first.
#[utoipa::path(
    get, operation_id = "list_decisions", path = "/decisions", tag = "maintenance", params(ListQuery),
    responses((status = 200, body = Page<Decision>), (status = 422, body = Problem))
)]
pub(super) async fn list(
    State(service): State<Maintenance>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Decision>>, Problem> {
    let states = query.state.into_iter().collect();
    Ok(Json(answer(&service, query, states).await?))
}

/// Decisions that wait for a person, newest first.
#[utoipa::path(
    get, path = "/decisions/pending", tag = "maintenance", params(ListQuery),
    responses((status = 200, body = Page<Decision>), (status = 422, body = Problem))
)]
pub(super) async fn pending(
    State(service): State<Maintenance>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Decision>>, Problem> {
    Ok(Json(answer(&service, query, vec![DecisionState::Waiting]).await?))
}

async fn answer(
    service: &Maintenance,
    query: ListQuery,
    states: Vec<DecisionState>,
) -> Result<Page<Decision>, Problem> {
    let wanted = DecisionsWanted {
        states,
        at: query.at,
        before: before(query.cursor.as_deref())?,
        limit: query.limit.unwrap_or(LIMIT_DEFAULT),
    };
    Ok(page(service.decisions(&wanted).await?))
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AtQuery {
    /// As it was then.
    #[garde(skip)]
    #[param(value_type = Option<String>)]
    pub(super) at: Option<Timestamp>,
}

/// One decision with its evidence.
#[utoipa::path(
    get, operation_id = "one_decision", path = "/decisions/{id}", tag = "maintenance",
    params(("id" = Uuid, Path), AtQuery),
    responses((status = 200, body = Decision), (status = 404, body = Problem))
)]
pub(super) async fn one(
    State(service): State<Maintenance>,
    Path(id): Path<Uuid>,
    Query(query): Query<AtQuery>,
) -> Result<Json<Decision>, Problem> {
    Ok(Json(service.decision(id, query.at).await?))
}

/// A person's answer.
#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct SubmitBody {
    #[garde(skip)]
    decision_id: Uuid,
    #[garde(skip)]
    decision: DecisionChoice,
    /// Why; kept with the decision.
    #[serde(default)]
    #[garde(length(chars, max = 2000))]
    reason: String,
    /// With `defer`: when to ask again.
    #[garde(skip)]
    deferred_until: Option<Timestamp>,
    /// With `approve`: when the work should start, when not at the next free time.
    #[garde(skip)]
    starts_at: Option<Timestamp>,
}

/// Approves, rejects or puts off a decision.
#[utoipa::path(
    post, path = "/decisions/submit", tag = "maintenance", request_body = SubmitBody,
    responses(
        (status = 200, body = Decision),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)
    )
)]
pub(super) async fn submit(
    State(service): State<Maintenance>,
    caller: Caller,
    Json(body): Json<SubmitBody>,
) -> Result<Json<Decision>, Problem> {
    caller.need(Role::Operator)?;
    let submission = Submission {
        decision_id: body.decision_id,
        decision: body.decision,
        reason: body.reason,
        deferred_until: body.deferred_until,
        starts_at: body.starts_at,
    };
    Ok(Json(service.submit(submission, &caller.name).await?))
}
