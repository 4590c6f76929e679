use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use web::{Caller, Page, Path, Problem, Query, Role};

use crate::error::{self, NotificationsError};
use crate::model::{Channel, Notification, NotificationState};
use crate::records::Selection;
use crate::service::Notifications;

const LIMIT_DEFAULT: u64 = 100;

impl From<NotificationsError> for Problem {
    fn from(fault: NotificationsError) -> Self {
        match fault {
            NotificationsError::Unknown { id } => Self::of(&error::NOTIFICATION_UNKNOWN)
                .detail(format!("No notification has the id {id}.")),
            other => Self::internal(&other),
        }
    }
}

pub(crate) fn routes(service: Notifications) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read)).with_state(service)
}

#[derive(Clone, Debug, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Items on a page: 1 to 1000, 100 when not given.
    #[garde(range(min = 1, max = 1000))]
    limit: Option<u64>,
    /// `next` of the page before.
    #[garde(skip)]
    cursor: Option<Uuid>,
    #[garde(skip)]
    channel: Option<Channel>,
    #[garde(skip)]
    state: Option<NotificationState>,
}

/// Messages, newest first: the in-app feed and the delivery log.
#[utoipa::path(
    get,
    path = "/notifications",
    tag = "notifications",
    params(ListQuery),
    responses(
        (status = 200, body = Page<Notification>),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn list(
    State(service): State<Notifications>,
    _caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Notification>>, Problem> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    let selection = Selection {
        before: query.cursor,
        channel: query.channel,
        state: query.state,
        limit: limit + 1,
    };
    let mut items = service.list(selection).await?;
    let more = items.len() as u64 > limit;
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = if more { items.last().map(|last| last.notification_id.to_string()) } else { None };
    Ok(Json(Page { items, next }))
}

/// Marks a message as read.
#[utoipa::path(
    post,
    path = "/notifications/{id}/read",
    tag = "notifications",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = Notification),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn read(
    State(service): State<Notifications>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<Notification>, Problem> {
    caller.need(Role::Operator)?;
    Ok(Json(service.read(id, &caller.name).await?))
}
