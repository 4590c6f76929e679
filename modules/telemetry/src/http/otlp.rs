use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sense::otlp::{self, Encoding, Exported, Reader};
use sense::{Delivery, Origin, Protocol, Receipt, SourceId};
use serde::Serialize;
use utoipa::ToSchema;
use web::{Caller, FieldError, Problem, RawBody, Role};

use super::ingest::faults;
use super::remote_write::{CONTENT_TYPE, again};
use super::{correlation, unreadable};
use crate::error;
use crate::service::Telemetry;

/// Faults that the message of a partial success names; the rest are counted.
const FAULTS_SAID_MAX: usize = 10;
/// `google.rpc.Code`.
const INVALID_ARGUMENT: i32 = 3;
const INTERNAL: i32 = 13;
const UNAVAILABLE: i32 = 14;

/// A problem that exporters of OpenTelemetry understand too.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct OtlpProblem {
    #[serde(flatten)]
    problem: Problem,
    /// As `google.rpc.Status` says it.
    code: i32,
    /// As `google.rpc.Status` says it.
    message: String,
}

/// What became of the data points; empty when all of them are durable.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExportMetricsServiceResponse {
    partial_success: Option<PartialSuccess>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartialSuccess {
    /// A 64-bit number as text.
    rejected_data_points: String,
    error_message: String,
}

/// Hand in readings as OpenTelemetry metrics (OTLP/HTTP)
///
/// An `ExportMetricsServiceRequest` as protobuf or JSON; see the manual for how metrics and
/// attributes become keys. Good data points are stored; what was refused stands in
/// `partialSuccess`. A 200 means that the accepted ones are durable.
#[utoipa::path(
    post, path = "/v1/metrics", tag = "telemetry",
    request_body(content = Object, content_type = "application/json"),
    responses(
        (status = 200, body = ExportMetricsServiceResponse),
        (status = 400, body = OtlpProblem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = OtlpProblem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn export(
    State(service): State<Telemetry>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<RawBody, Problem>,
) -> Result<Response, Problem> {
    caller.need(Role::Ingest)?;
    let encoding = encoding_of(&headers)?;
    let taken = match body.map_err(again) {
        Ok(RawBody(body)) => take(&service, &caller, &headers, &body, encoding).await,
        Err(problem) => Err(problem),
    };
    Ok(taken.unwrap_or_else(|problem| refuse(problem, encoding)))
}

async fn take(
    service: &Telemetry,
    caller: &Caller,
    headers: &HeaderMap,
    body: &[u8],
    encoding: Encoding,
) -> Result<Response, Problem> {
    let correlation_id = correlation(headers)?;
    let source = SourceId::new(Protocol::Otlp, &caller.name);
    service.ensure_loaded().await?;
    let received = service.clock.now();
    let mut exported = Reader {
        mapping: &service.settings.mapping,
        lookup: &|sensor| service.known(sensor),
        received,
    }
    .read(body, encoding)
    .map_err(|error| {
        service.note_unread(&source, 0, &error.to_string());
        let deep = (encoding == Encoding::Json).then(|| web::too_deep(body)).flatten();
        deep.unwrap_or_else(|| unreadable(&error))
    })?;
    let mut receipt = Receipt::default();
    if !exported.rows.readings.is_empty() {
        let delivery = Delivery {
            source: source.clone(),
            origin: Origin::Real,
            correlation: Some(correlation_id),
            received,
            readings: std::mem::take(&mut exported.rows.readings),
        };
        let hints = std::mem::take(&mut exported.rows.hints);
        receipt = service.take(delivery, &hints).await?;
    }
    service.count_unreadable(&exported.rows);
    if let Some(first) = exported.rows.refused.first() {
        service.note_unread(&source, exported.rows.refused_total, &first.reason);
    }
    answer(&exported, &receipt, encoding)
}

fn answer(exported: &Exported, receipt: &Receipt, encoding: Encoding) -> Result<Response, Problem> {
    let rows = &exported.rows;
    let judged = receipt.refused.iter().filter_map(|refusal| rows.rows.get(refusal.index));
    let rejected = rows.refused_total + judged.collect::<BTreeSet<_>>().len();
    let errors = faults(rows, receipt, |row, field| format!("dataPoints[{row}].{field}"));
    if rejected > 0 && rejected == exported.points {
        let detail = format!("All {rejected} data points were refused.");
        return Err(Problem { errors, ..Problem::of(&error::POINTS_REFUSED).detail(detail) });
    }
    let message = if rejected > 0 {
        said(&errors)
    } else if exported.without_buckets > 0 {
        "the buckets of exponential histograms are not kept; count, sum, min and max are".to_owned()
    } else {
        String::new()
    };
    let body = otlp::partial_success(encoding, rejected, &message);
    Ok(([(header::CONTENT_TYPE, media_type(encoding))], body).into_response())
}

fn said(errors: &[FieldError]) -> String {
    let some = errors.iter().take(FAULTS_SAID_MAX);
    some.map(|error| format!("{}: {}", error.field, error.reason)).collect::<Vec<_>>().join("; ")
}

fn encoding_of(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = text.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match kind.to_ascii_lowercase().as_str() {
        "application/x-protobuf" => Ok(Encoding::Protobuf),
        "application/json" => Ok(Encoding::Json),
        _ => Err(Problem::of(&CONTENT_TYPE)
            .detail("Send `application/x-protobuf` or `application/json`.")),
    }
}

fn media_type(encoding: Encoding) -> HeaderValue {
    HeaderValue::from_static(match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    })
}

/// A refusal in the encoding of the question. Exporters send again after 429, 502, 503 and 504
/// only, so whatever passes with time is said as 503.
fn refuse(mut problem: Problem, encoding: Encoding) -> Response {
    let code = match problem.status {
        400..=499 => INVALID_ARGUMENT,
        503 | 507 => UNAVAILABLE,
        _ => INTERNAL,
    };
    if problem.status == 507 {
        problem.status = 503;
    }
    let first = problem.errors.first().map(|e| format!(" {}: {}", e.field, e.reason));
    let detail = problem.detail.clone().unwrap_or_else(|| format!("{}.", problem.title));
    let message = format!("{detail}{}", first.unwrap_or_default());
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after = problem.retry_after;
    let mut response = match encoding {
        Encoding::Protobuf => (status, otlp::status(code, &message)).into_response(),
        Encoding::Json => {
            (status, axum::Json(OtlpProblem { problem, code, message })).into_response()
        }
    };
    let kind = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/problem+json",
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
