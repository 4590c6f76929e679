use axum::extract::State;
use bus::BusError;
use garde::Validate;
use kernel::{Event, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::{LETTER_SETTLED, LETTER_UNKNOWN, PARAMETERS_INVALID};
use crate::{Caller, Json, Page, Path, Problem, Query, Role};

use super::System;

const PAGE_DEFAULT: u64 = 100;

pub(super) fn routes() -> OpenApiRouter<System> {
    OpenApiRouter::new()
        .routes(routes!(list_dead_letters))
        .routes(routes!(replay_dead_letter))
        .routes(routes!(discard_dead_letter))
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum DeadLetterState {
    Waiting,
    Replayed,
    Discarded,
}

/// An event that an agent could not handle, with its cause.
#[derive(Serialize, utoipa::ToSchema)]
struct DeadLetter {
    id: i64,
    agent: String,
    state: DeadLetterState,
    attempts: u32,
    error: String,
    dead_at: Timestamp,
    settled_at: Option<Timestamp>,
    settled_reason: Option<String>,
    event: Event,
}

impl From<bus::DeadLetter> for DeadLetter {
    fn from(letter: bus::DeadLetter) -> Self {
        Self {
            id: letter.id,
            agent: letter.agent,
            state: match letter.state {
                bus::DeadLetterState::Waiting => DeadLetterState::Waiting,
                bus::DeadLetterState::Replayed => DeadLetterState::Replayed,
                bus::DeadLetterState::Discarded => DeadLetterState::Discarded,
            },
            attempts: letter.attempts,
            error: letter.error,
            dead_at: letter.dead_at,
            settled_at: letter.settled_at,
            settled_reason: letter.settled_reason,
            event: letter.event,
        }
    }
}

#[derive(Deserialize, Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Pages {
    #[garde(range(min = 1, max = 1000))]
    limit: Option<u64>,
    /// `next` of the page before.
    #[garde(length(max = 20))]
    cursor: Option<String>,
}

#[derive(Deserialize, Validate, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Discard {
    /// Why it may be set aside.
    #[garde(length(min = 1, max = 500))]
    reason: String,
}

/// Dead letters, newest first.
#[utoipa::path(
    get, path = "/dead-letters", params(Pages), responses((status = 200, body = Page<DeadLetter>))
)]
async fn list_dead_letters(
    State(system): State<System>,
    Query(pages): Query<Pages>,
) -> Result<Json<Page<DeadLetter>>, Problem> {
    let limit = pages.limit.unwrap_or(PAGE_DEFAULT);
    let before = pages.cursor.as_deref().map(parse_cursor).transpose()?;
    let letters = system.0.bus.dead_letters(before, limit).await.map_err(|e| refusal(&e))?;
    let is_full = u64::try_from(letters.len()).unwrap_or(u64::MAX) >= limit;
    let next = letters.last().filter(|_| is_full).map(|letter| letter.id.to_string());
    Ok(Json(Page { items: letters.into_iter().map(DeadLetter::from).collect(), next }))
}

/// Puts a dead letter back to its agent, once.
#[utoipa::path(
    post, path = "/dead-letters/{id}/replay", params(("id" = i64, Path)),
    responses((status = 200, body = DeadLetter))
)]
async fn replay_dead_letter(
    caller: Caller,
    State(system): State<System>,
    Path(id): Path<i64>,
) -> Result<Json<DeadLetter>, Problem> {
    caller.need(Role::Engineer)?;
    let letter = system.0.bus.replay_letter(id).await.map_err(|e| refusal(&e))?;
    tracing::info!(id, by = %caller.name, "dead letter replayed");
    Ok(Json(letter.into()))
}

/// Sets a dead letter aside for good; it stays readable.
#[utoipa::path(
    post, path = "/dead-letters/{id}/discard", params(("id" = i64, Path)), request_body = Discard,
    responses((status = 200, body = DeadLetter))
)]
async fn discard_dead_letter(
    caller: Caller,
    State(system): State<System>,
    Path(id): Path<i64>,
    Json(body): Json<Discard>,
) -> Result<Json<DeadLetter>, Problem> {
    caller.need(Role::Engineer)?;
    let reason = format!("{} ({})", body.reason, caller.name);
    let letter = system.0.bus.discard_letter(id, &reason).await.map_err(|e| refusal(&e))?;
    tracing::info!(id, by = %caller.name, "dead letter discarded");
    Ok(Json(letter.into()))
}

fn parse_cursor(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| {
        Problem::of(&PARAMETERS_INVALID).field("cursor", "is not the `next` of another page")
    })
}

fn refusal(error: &BusError) -> Problem {
    match error {
        BusError::NoSuchLetter { .. } => Problem::of(&LETTER_UNKNOWN),
        BusError::LetterSettled { state, .. } => {
            Problem::of(&LETTER_SETTLED).detail(format!("It was {state}."))
        }
        _ => Problem::internal(error),
    }
}
