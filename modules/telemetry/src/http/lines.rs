use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sense::line::Precision;
use sense::{Origin, Protocol, SourceId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Caller, FieldError, Problem, Query, RawBody, RequestId, Role};

use super::ingest::faults;
use super::{correlation, invalid};
use crate::error;
use crate::service::{Head, Telemetry};

#[derive(Clone, Debug, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WriteParams {
    /// Unit of the times: `ns` (default), `us`, `ms` or `s`.
    #[garde(length(max = 8))]
    precision: Option<String>,
    /// `real` (default), `simulated` or `replayed`.
    #[garde(skip)]
    #[param(value_type = Option<String>)]
    #[serde(default)]
    origin: Origin,
}

/// A problem that clients of Influx understand too.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LineProblem {
    #[serde(flatten)]
    problem: Problem,
    /// As Influx 2 says it: `invalid`.
    code: &'static str,
    /// As Influx 2 says it.
    message: String,
    /// As Influx 1 says it.
    error: String,
    accepted: usize,
    rejected: usize,
}

/// Hand in readings as line protocol (Influx 1)
///
/// `measurement,site=north,asset=p-2 value=4.6 1700000000000000000`; see the manual for how tags
/// become keys. Good lines are stored, bad ones named. A 204 means that all of it is durable.
#[utoipa::path(
    post, path = "/write", tag = "telemetry", params(WriteParams),
    request_body(content = String, content_type = "text/plain"),
    responses(
        (status = 204, description = "Every line is durable"),
        (status = 400, body = LineProblem, content_type = "application/problem+json"),
        (status = 503, body = Problem),
    )
)]
pub(crate) async fn write(
    State(service): State<Telemetry>,
    caller: Caller,
    Query(params): Query<WriteParams>,
    headers: HeaderMap,
    request_id: Option<Extension<RequestId>>,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    caller.need(Role::Ingest)?;
    let answer = take(&service, &caller, &params, &headers, &body).await?;
    Ok(answer.map_or_else(
        || StatusCode::NO_CONTENT.into_response(),
        |refused| refused.answer(request_id.map(|Extension(RequestId(id))| id)),
    ))
}

/// Hand in readings as line protocol (Influx 2)
#[utoipa::path(
    post, path = "/api/v2/write", tag = "telemetry", params(WriteParams),
    request_body(content = String, content_type = "text/plain"),
    responses(
        (status = 204, description = "Every line is durable"),
        (status = 400, body = LineProblem, content_type = "application/problem+json"),
        (status = 503, body = Problem),
    )
)]
pub(crate) async fn write_v2(
    State(service): State<Telemetry>,
    caller: Caller,
    Query(params): Query<WriteParams>,
    headers: HeaderMap,
    request_id: Option<Extension<RequestId>>,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    caller.need(Role::Ingest)?;
    let answer = take(&service, &caller, &params, &headers, &body).await?;
    Ok(answer.map_or_else(
        || StatusCode::NO_CONTENT.into_response(),
        |refused| refused.answer(request_id.map(|Extension(RequestId(id))| id)),
    ))
}

/// Answers clients of Influx that ask whether this is one
#[utoipa::path(get, path = "/ping", tag = "telemetry", responses((status = 204, description = "Here")))]
pub(crate) async fn ping() -> Response {
    let version = [("x-influxdb-version", concat!("plainview-", env!("CARGO_PKG_VERSION")))];
    (StatusCode::NO_CONTENT, version).into_response()
}

async fn take(
    service: &Telemetry,
    caller: &Caller,
    params: &WriteParams,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Option<LineProblem>, Problem> {
    let precision = match params.precision.as_deref() {
        None | Some("") => Precision::Nanoseconds,
        Some(text) => {
            Precision::parse(text).map_err(|error| invalid("precision", error.to_string()))?
        }
    };
    let correlation_id = correlation(headers)?;
    let received = service.clock.now();
    let head = Head {
        source: SourceId::new(Protocol::LineProtocol, &caller.name),
        origin: params.origin,
        correlation: Some(correlation_id),
        received,
    };
    let (rows, receipt) = service.take_lines(body, precision, head).await?;
    service.count_unreadable(&rows);
    let rejected = rows.refused_total + receipt.refused.len();
    if rejected == 0 {
        return Ok(None);
    }
    let errors = faults(&rows, &receipt, |row, field| match field {
        "line" | "" => format!("line {row}"),
        field => format!("line {row}: {field}"),
    });
    Ok(Some(LineProblem::new(receipt.accepted, rejected, errors)))
}

impl LineProblem {
    fn new(accepted: usize, rejected: usize, errors: Vec<FieldError>) -> Self {
        let first =
            errors.first().map_or_else(String::new, |e| format!("{}: {}", e.field, e.reason));
        let dropped = if rejected == 1 { "1 was".to_owned() } else { format!("{rejected} were") };
        let message =
            format!("partial write: {accepted} readings stored, {dropped} refused; {first}");
        let problem =
            Problem { errors, ..Problem::of(&error::LINES_REFUSED).detail(message.clone()) };
        Self { problem, code: "invalid", error: message.clone(), message, accepted, rejected }
    }

    fn answer(mut self, request_id: Option<String>) -> Response {
        self.problem.request_id = request_id;
        let mut response = (StatusCode::BAD_REQUEST, axum::Json(self)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
