use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sense::line::{self, Precision};
use sense::{Origin, Protocol, Receipt, SourceId};
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
    /// Unit of the times: `ns` (default), `us`, `ms` or `s`; also `m`, `h`, and the words of
    /// Influx 3, `nanosecond` to `second` and `auto`.
    #[garde(length(max = 16))]
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
    /// As Influx 3 says it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data: Vec<LineFault>,
}

/// A faulty line as Influx 3 names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct LineFault {
    line_number: usize,
    error_message: String,
    original_line: String,
}

/// Characters of a faulty line that are said again.
const LINE_CHARS_SAID_MAX: usize = 100;

/// What a client of Influx 3 asks beside the rest.
#[derive(Clone, Debug, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WriteLpParams {
    /// Unit of the times: `auto` (default), `nanosecond`, `microsecond`, `millisecond` or `second`.
    #[garde(length(max = 16))]
    precision: Option<String>,
    /// `false` refuses the whole body when one line cannot be read.
    #[garde(skip)]
    accept_partial: Option<bool>,
    /// `real` (default), `simulated` or `replayed`.
    #[garde(skip)]
    #[param(value_type = Option<String>)]
    #[serde(default)]
    origin: Origin,
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
    Ok(answer(take(&service, &caller, &params, &headers, &body).await?, request_id))
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
    Ok(answer(take(&service, &caller, &params, &headers, &body).await?, request_id))
}

/// Hand in readings as line protocol (Influx 3)
///
/// `db` is not looked at. A 204 always means that all of it is durable, so `no_sync` changes
/// nothing.
#[utoipa::path(
    post, path = "/api/v3/write_lp", tag = "telemetry", params(WriteLpParams),
    request_body(content = String, content_type = "text/plain"),
    responses(
        (status = 204, description = "Every line is durable"),
        (status = 400, body = LineProblem, content_type = "application/problem+json"),
        (status = 503, body = Problem),
    )
)]
pub(crate) async fn write_v3(
    State(service): State<Telemetry>,
    caller: Caller,
    Query(asked): Query<WriteLpParams>,
    headers: HeaderMap,
    request_id: Option<Extension<RequestId>>,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    caller.need(Role::Ingest)?;
    let precision = asked.precision.filter(|text| !text.is_empty());
    let precision = Some(precision.unwrap_or_else(|| "auto".to_owned()));
    let params = WriteParams { precision, origin: asked.origin };
    let whole = asked.accept_partial == Some(false);
    let refused = match whole.then(|| unread(&service, &params, &body)).transpose()?.flatten() {
        Some(unread) => Some(unread),
        None => take(&service, &caller, &params, &headers, &body).await?,
    };
    Ok(answer(refused.map(|refused| refused.in_v3(&body)), request_id))
}

/// 204, or what was refused.
fn answer(refused: Option<LineProblem>, request_id: Option<Extension<RequestId>>) -> Response {
    refused.map_or_else(
        || StatusCode::NO_CONTENT.into_response(),
        |refused| refused.answer(request_id.map(|Extension(RequestId(id))| id)),
    )
}

/// The lines of a body that cannot be read, if any; nothing is stored.
fn unread(
    service: &Telemetry,
    params: &WriteParams,
    body: &[u8],
) -> Result<Option<LineProblem>, Problem> {
    let precision = precision(params)?;
    let rows = line::parse(body, precision, &service.settings.mapping, service.clock.now());
    if rows.refused_total == 0 {
        return Ok(None);
    }
    service.count_unreadable(&rows);
    let errors = faults(&rows, &Receipt::default(), place);
    Ok(Some(LineProblem::new(0, rows.refused_total, errors)))
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
    let precision = precision(params)?;
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
    let errors = faults(&rows, &receipt, place);
    Ok(Some(LineProblem::new(receipt.accepted, rejected, errors)))
}

fn precision(params: &WriteParams) -> Result<Precision, Problem> {
    match params.precision.as_deref() {
        None | Some("") => Ok(Precision::Nanoseconds),
        Some(text) => {
            Precision::parse(text).map_err(|error| invalid("precision", error.to_string()))
        }
    }
}

fn place(row: usize, field: &str) -> String {
    match field {
        "line" | "" => format!("line {row}"),
        field => format!("line {row}: {field}"),
    }
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
        let error = message.clone();
        Self { problem, code: "invalid", error, message, accepted, rejected, data: Vec::new() }
    }

    /// Names the faults as clients of Influx 3 read them.
    fn in_v3(mut self, body: &[u8]) -> Self {
        "partial write of line protocol occurred".clone_into(&mut self.error);
        let number = |field: &str| {
            let digits = field.strip_prefix("line ")?;
            digits.split(':').next()?.parse::<usize>().ok()
        };
        let mut lines = body.split(|byte| *byte == b'\n').zip(1..).peekable();
        self.data = self
            .problem
            .errors
            .iter()
            .filter_map(|error| {
                let line_number = number(&error.field)?;
                // The faults come in order of their lines.
                while lines.next_if(|(_, at)| *at < line_number).is_some() {}
                let text = lines.peek().map_or(&[][..], |(line, _)| *line);
                let text = String::from_utf8_lossy(text).into_owned();
                let original_line = text.chars().take(LINE_CHARS_SAID_MAX).collect();
                let error_message = format!("{}: {}", error.field, error.reason);
                Some(LineFault { line_number, error_message, original_line })
            })
            .collect();
        self
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
