use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use garde::Validate;
use sense::{ConnectorKind, Field, Protocol, SourceId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use web::{Caller, Json, Path, Problem, Role};

use crate::error;
use crate::service::{Desired, SourceFlow, SourceView, Telemetry};

/// Every source, and what flows.
#[derive(Serialize, ToSchema)]
pub(crate) struct SourceList {
    sources: Vec<SourceView>,
    flow: SourceFlow,
}

/// The sources of readings: connectors that go out, agents that call
#[utoipa::path(
    get, operation_id = "list_sources", path = "/sources", tag = "sources",
    responses((status = 200, body = SourceList))
)]
pub(crate) async fn list(State(service): State<Telemetry>) -> Result<Json<SourceList>, Problem> {
    let (sources, flow) = (service.source_views().await?, service.source_flow().await?);
    Ok(Json(SourceList { sources, flow }))
}

/// One field of a connector's settings.
#[derive(Serialize, ToSchema)]
pub(crate) struct SourceField {
    name: &'static str,
    label: &'static str,
    #[schema(value_type = String)]
    kind: sense::FieldKind,
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    default: Option<Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    options: &'static [&'static str],
    help: &'static str,
}

impl From<&Field> for SourceField {
    fn from(field: &Field) -> Self {
        Self {
            name: field.name,
            label: field.label,
            kind: field.kind,
            required: field.required,
            default: field.default_value(),
            options: field.options,
            help: field.help,
        }
    }
}

/// A protocol that connectors speak, with what its settings are.
#[derive(Serialize, ToSchema)]
pub(crate) struct SourceKindView {
    protocol: &'static str,
    title: &'static str,
    fields: Vec<SourceField>,
}

impl From<&dyn ConnectorKind> for SourceKindView {
    fn from(kind: &dyn ConnectorKind) -> Self {
        Self {
            protocol: kind.protocol().name(),
            title: kind.title(),
            fields: kind.fields().iter().map(SourceField::from).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SourceKinds {
    kinds: Vec<SourceKindView>,
}

/// The protocols of connectors, and the fields of their settings
#[utoipa::path(
    get, operation_id = "source_kinds", path = "/sources/kinds", tag = "sources",
    responses((status = 200, body = SourceKinds))
)]
pub(crate) async fn kinds(State(service): State<Telemetry>) -> Json<SourceKinds> {
    let kinds = service.sources.kinds().iter();
    Json(SourceKinds { kinds: kinds.map(|kind| kind.as_ref().into()).collect() })
}

/// One source
#[utoipa::path(
    get, operation_id = "one_source", path = "/sources/{protocol}/{name}", tag = "sources",
    params(("protocol" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = SourceView), (status = 404, body = Problem))
)]
pub(crate) async fn one(
    State(service): State<Telemetry>,
    Path(place): Path<(String, String)>,
) -> Result<Response, Problem> {
    let view = service.source_view(&id(&place)?).await?;
    Ok(tagged(StatusCode::OK, view))
}

/// A connector to make.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSource {
    #[garde(length(min = 1, max = 64))]
    name: String,
    #[garde(length(min = 1, max = 64))]
    protocol: String,
    #[garde(skip)]
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

/// Make a connector and start it
///
/// Needs the role engineer.
#[utoipa::path(
    post, operation_id = "create_source", path = "/sources", tag = "sources", request_body = NewSource,
    responses(
        (status = 201, body = SourceView), (status = 409, body = Problem),
        (status = 422, body = Problem),
    )
)]
pub(crate) async fn create(
    State(service): State<Telemetry>,
    caller: Caller,
    Json(body): Json<NewSource>,
) -> Result<Response, Problem> {
    caller.need(Role::Engineer)?;
    let settings = Value::Object(body.settings);
    let made = service.create_source(&body.protocol, &body.name, settings, &caller.name);
    Ok(tagged(StatusCode::CREATED, made.await?))
}

/// The settings of a connector; the whole of them.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceBody {
    #[garde(skip)]
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

/// Replace the settings of a connector
///
/// Needs the role engineer and an `If-Match` with its entity tag. A secret sent as `***` stays
/// what it is.
#[utoipa::path(
    put, operation_id = "replace_source", path = "/sources/{protocol}/{name}", tag = "sources",
    params(
        ("protocol" = String, Path), ("name" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The entity tag of the source"),
    ),
    request_body = SourceBody,
    responses(
        (status = 200, body = SourceView), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 428, body = Problem),
    )
)]
pub(crate) async fn replace(
    State(service): State<Telemetry>,
    caller: Caller,
    Path(place): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<SourceBody>,
) -> Result<Response, Problem> {
    caller.need(Role::Engineer)?;
    let id = id(&place)?;
    let before = service.source_view(&id).await?;
    let given = match headers.get(header::IF_MATCH).and_then(|tag| tag.to_str().ok()) {
        None => {
            return Err(Problem::of(&error::IF_MATCH_MISSING)
                .detail("Read the source, and send its ETag back as If-Match."));
        }
        Some("*") => before.version.unwrap_or(0),
        Some(tag) => tag.trim_matches('"').parse().unwrap_or(-1),
    };
    let settings = Value::Object(body.settings);
    let view = service.replace_source(&id, settings, given, &caller.name).await?;
    Ok(tagged(StatusCode::OK, view))
}

/// Remove a connector; what it brought stays
///
/// Needs the role engineer.
#[utoipa::path(
    delete, operation_id = "remove_source", path = "/sources/{protocol}/{name}", tag = "sources",
    params(("protocol" = String, Path), ("name" = String, Path)),
    responses(
        (status = 204), (status = 404, body = Problem), (status = 409, body = Problem),
    )
)]
pub(crate) async fn remove(
    State(service): State<Telemetry>,
    caller: Caller,
    Path(place): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.need(Role::Engineer)?;
    service.remove_source(&id(&place)?, &caller.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Start a connector
///
/// Needs the role engineer.
#[utoipa::path(
    post, operation_id = "start_source", path = "/sources/{protocol}/{name}/start", tag = "sources",
    params(("protocol" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = SourceView), (status = 404, body = Problem))
)]
pub(crate) async fn start(
    State(service): State<Telemetry>,
    caller: Caller,
    Path(place): Path<(String, String)>,
) -> Result<Response, Problem> {
    steer(&service, &caller, &place, Desired::Running).await
}

/// Stop a connector until it is started again
///
/// Needs the role engineer.
#[utoipa::path(
    post, operation_id = "stop_source", path = "/sources/{protocol}/{name}/stop", tag = "sources",
    params(("protocol" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = SourceView), (status = 404, body = Problem))
)]
pub(crate) async fn stop(
    State(service): State<Telemetry>,
    caller: Caller,
    Path(place): Path<(String, String)>,
) -> Result<Response, Problem> {
    steer(&service, &caller, &place, Desired::Stopped).await
}

async fn steer(
    service: &Telemetry,
    caller: &Caller,
    place: &(String, String),
    desired: Desired,
) -> Result<Response, Problem> {
    caller.need(Role::Engineer)?;
    let view = service.steer_source(&id(place)?, desired, &caller.name).await?;
    Ok(tagged(StatusCode::OK, view))
}

fn id((protocol, name): &(String, String)) -> Result<SourceId, Problem> {
    let known = Protocol::parse(protocol).map(|protocol| SourceId::new(protocol, name));
    known.ok_or_else(|| {
        Problem::of(&error::SOURCE_UNKNOWN).detail(format!("No source speaks {protocol}."))
    })
}

fn tagged(status: StatusCode, view: SourceView) -> Response {
    match view.version {
        Some(version) => {
            (status, [(header::ETAG, format!("\"{version}\""))], Json(view)).into_response()
        }
        None => (status, Json(view)).into_response(),
    }
}
