use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use kernel::Timestamp;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::{FIELDS_INVALID, KEY_NAME_TAKEN, KEY_UNKNOWN};
use crate::{Caller, Json, Keys, Page, Path, Problem, Role, WebError};

use super::{Key, NewKey};

pub(crate) fn routes() -> OpenApiRouter<Keys> {
    OpenApiRouter::new().routes(routes!(list_keys, create_key)).routes(routes!(revoke_key))
}

#[derive(Deserialize, Validate, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateKey {
    /// As it will stand in logs and audit: `ines`.
    #[garde(length(min = 1, max = 64))]
    name: String,
    #[garde(skip)]
    role: Role,
    #[garde(skip)]
    expires_at: Option<Timestamp>,
}

impl From<WebError> for Problem {
    fn from(error: WebError) -> Self {
        match &error {
            WebError::KeyNameTaken { .. } => Self::of(&KEY_NAME_TAKEN)
                .detail("Revoke the other key first, or take another name."),
            WebError::KeyName { .. } => Self::of(&FIELDS_INVALID).field("name", error.to_string()),
            _ => Self::internal(&error),
        }
    }
}

/// All keys, without their secrets. Configured keys are not listed.
#[utoipa::path(get, path = "/keys", responses((status = 200, body = Page<Key>)))]
async fn list_keys(caller: Caller, State(keys): State<Keys>) -> Result<Json<Page<Key>>, Problem> {
    caller.need(Role::Admin)?;
    Ok(Json(Page { items: keys.list().await?, next: None }))
}

/// Makes a key. Its secret is in this answer and nowhere else.
#[utoipa::path(
    post, path = "/keys", request_body = CreateKey, responses((status = 201, body = NewKey))
)]
async fn create_key(
    caller: Caller,
    State(keys): State<Keys>,
    Json(wanted): Json<CreateKey>,
) -> Result<(StatusCode, Json<NewKey>), Problem> {
    caller.need(Role::Admin)?;
    let key = keys.create(&wanted.name, wanted.role, wanted.expires_at).await?;
    Ok((StatusCode::CREATED, Json(key)))
}

/// Ends a key at once. It stays listed.
#[utoipa::path(
    delete, path = "/keys/{id}", params(("id" = String, Path)),
    responses((status = 200, body = Key))
)]
async fn revoke_key(
    caller: Caller,
    State(keys): State<Keys>,
    Path(id): Path<String>,
) -> Result<Json<Key>, Problem> {
    caller.need(Role::Admin)?;
    let key = keys.revoke(&id).await?.ok_or_else(|| Problem::of(&KEY_UNKNOWN))?;
    Ok(Json(key))
}
