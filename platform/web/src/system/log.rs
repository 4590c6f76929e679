use axum::extract::State;
use bus::{Filter, Offset};
use garde::Validate;
use kernel::{CorrelationId, Event};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::PARAMETERS_INVALID;
use crate::stream::http::listed;
use crate::{Json, Page, Problem, Query};

use super::System;

const PAGE_DEFAULT: u64 = 100;

pub(super) fn routes() -> OpenApiRouter<System> {
    OpenApiRouter::new().routes(routes!(list_events))
}

/// An event and its place in the log.
#[derive(Serialize, utoipa::ToSchema)]
struct LoggedEvent {
    offset: i64,
    #[serde(flatten)]
    event: Event,
}

#[derive(Deserialize, Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Offset to begin behind; 0 or nothing begins with the first event.
    #[garde(range(min = 0))]
    after: Option<i64>,
    /// `next` of the page before; the same as `after`.
    #[garde(length(max = 20))]
    cursor: Option<String>,
    /// Event types, separated by commas.
    #[garde(length(max = 2000))]
    types: Option<String>,
    /// Subjects, separated by commas.
    #[garde(length(max = 4000))]
    subject: Option<String>,
    #[garde(skip)]
    #[param(value_type = Option<String>, format = "uuid")]
    correlation_id: Option<CorrelationId>,
    #[garde(range(min = 1, max = 1000))]
    limit: Option<u64>,
}

/// The event log, oldest first.
#[utoipa::path(
    get, path = "/events", params(Wanted), responses((status = 200, body = Page<LoggedEvent>))
)]
async fn list_events(
    State(system): State<System>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page<LoggedEvent>>, Problem> {
    let cursor = wanted.cursor.as_deref().map(str::parse).transpose().map_err(|_| {
        Problem::of(&PARAMETERS_INVALID).field("cursor", "is not the `next` of another page")
    })?;
    let after = Offset(cursor.or(wanted.after).unwrap_or_default());
    let limit = wanted.limit.unwrap_or(PAGE_DEFAULT);
    let filter = Filter {
        types: listed(wanted.types.as_deref()),
        subjects: listed(wanted.subject.as_deref()),
        correlation: wanted.correlation_id,
    };
    let events = system.0.bus.read(after, &filter, limit).await;
    let events = events.map_err(|error| Problem::internal(&error))?;
    let is_full = u64::try_from(events.len()).unwrap_or(u64::MAX) >= limit;
    let next = events.last().filter(|_| is_full).map(|(offset, _)| offset.0.to_string());
    let items =
        events.into_iter().map(|(offset, event)| LoggedEvent { offset: offset.0, event }).collect();
    Ok(Json(Page { items, next }))
}
