use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use sense::remote_write::{self, Reader, Written};
use sense::{Delivery, Origin, Protocol, SenseError, SourceId};
use web::{Caller, ErrorCode, FieldError, Problem, RawBody, Role};

use super::ingest::faults;
use super::{correlation, unreadable};
use crate::error;
use crate::service::Telemetry;

/// Said by the web's extractors too, and listed there.
pub(super) const CONTENT_TYPE: ErrorCode = ErrorCode {
    code: "content-type-unsupported",
    status: 415,
    title: "This content type is not read here",
};
const MESSAGE_1: &str = "prometheus.writerequest";

/// Hand in readings as Prometheus remote-write 1.0
///
/// A snappy block around a protobuf `WriteRequest`; see the manual for how labels become keys.
/// Good series are stored, bad ones named. A 204 means that all of it is durable. A 400 must not
/// be sent again; a 429 or 503 must, after `Retry-After`.
#[utoipa::path(
    post, operation_id = "remote_write", path = "/write", tag = "telemetry",
    request_body(content = Vec<u8>, content_type = "application/x-protobuf"),
    responses(
        (status = 204, description = "Every series is durable"),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn write(
    State(service): State<Telemetry>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<RawBody, Problem>,
) -> Result<StatusCode, Problem> {
    caller.need(Role::Ingest)?;
    let RawBody(body) = body.map_err(again)?;
    check_message(&headers)?;
    let correlation_id = correlation(&headers)?;
    let received = service.clock.now();
    service.ensure_loaded().await?;
    let source = SourceId::new(Protocol::RemoteWrite, &caller.name);
    let mut written = read(&service, &body).map_err(|error| {
        service.note_unread(&source, 0, &error.to_string());
        unreadable(&error)
    })?;
    drop(body);
    service.describe_metrics(std::mem::take(&mut written.families)).await?;
    let mut rows = std::mem::take(&mut written.rows);
    let delivery = Delivery {
        source: source.clone(),
        origin: Origin::Real,
        correlation: Some(correlation_id),
        received,
        readings: std::mem::take(&mut rows.readings),
    };
    count(&written);
    if delivery.readings.is_empty() && rows.refused_total == 0 {
        return Ok(StatusCode::NO_CONTENT);
    }
    let hints = std::mem::take(&mut rows.hints);
    let receipt = service.take(delivery, &hints).await?;
    service.count_unreadable(&rows);
    let rejected = rows.refused_total + receipt.refused.len();
    if rejected == 0 {
        return Ok(StatusCode::NO_CONTENT);
    }
    let errors = faults(&rows, &receipt, |row, field| format!("timeseries[{row}].{field}"));
    let problem = refused(receipt.accepted, rejected, errors);
    service.note_unread(&source, rows.refused_total, problem.detail.as_deref().unwrap_or_default());
    Err(problem)
}

fn read(service: &Telemetry, body: &[u8]) -> Result<Written, SenseError> {
    let plain = remote_write::unpack(body)?;
    Reader {
        mapping: &service.settings.mapping,
        lookup: &|sensor| service.known(sensor),
        family: &|name| service.family(name),
    }
    .read(&plain)
}

/// A body that came too slowly may be sent again, and a sender of either protocol drops what was
/// answered with 408.
pub(super) fn again(problem: Problem) -> Problem {
    if problem.status == 408 {
        return Problem { status: 503, ..problem }.retry_after(super::RETRY_AFTER_S);
    }
    problem
}

/// Remote-write 2.0 has another message under the same path; a sender that hears 415 falls back
/// to 1.0.
fn check_message(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = text(header::CONTENT_TYPE.as_str()).to_ascii_lowercase();
    let mut parts = kind.split(';').map(str::trim);
    let is_protobuf = parts.next() == Some("application/x-protobuf");
    let message = parts.find_map(|part| part.strip_prefix("proto=")).unwrap_or(MESSAGE_1);
    let version = text("x-prometheus-remote-write-version");
    if is_protobuf && message == MESSAGE_1 && !version.starts_with("2.") {
        return Ok(());
    }
    Err(Problem::of(&CONTENT_TYPE).detail(
        "This door reads remote-write 1.0: `Content-Type: application/x-protobuf`, the message \
         `prometheus.WriteRequest`, in a snappy block.",
    ))
}

fn count(written: &Written) {
    let count = |why: &'static str, count: usize| {
        if count > 0 {
            metrics::counter!("plainview_remote_write_passed_over_total", "why" => why)
                .increment(count as u64);
        }
    };
    count("stale_marker", written.stale);
    count("not_a_number", written.valueless);
    count("histogram_or_exemplar", written.passed_over);
}

fn refused(accepted: usize, rejected: usize, errors: Vec<FieldError>) -> Problem {
    let first = errors.first().map_or_else(String::new, |e| format!("{}: {}", e.field, e.reason));
    let detail =
        format!("{accepted} samples stored, {rejected} refused; do not send them again. {first}");
    Problem { errors, ..Problem::of(&error::SERIES_REFUSED).detail(detail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs.iter().map(|(name, value)| {
            let name: header::HeaderName = name.parse().unwrap();
            (name, header::HeaderValue::from_static(value))
        });
        check_message(&headers.collect()).is_ok()
    }

    #[test]
    fn only_version_1_is_read() {
        let plain = ("content-type", "application/x-protobuf");
        assert!(message(&[plain]));
        assert!(message(&[plain, ("x-prometheus-remote-write-version", "0.1.0")]));
        assert!(message(&[(
            "content-type",
            "application/x-protobuf;proto=prometheus.WriteRequest"
        )]));
        assert!(!message(&[(
            "content-type",
            "application/x-protobuf;proto=io.prometheus.write.v2.Request"
        )]));
        assert!(!message(&[plain, ("x-prometheus-remote-write-version", "2.0.0")]));
        assert!(!message(&[("content-type", "application/json")]));
        assert!(!message(&[]));
    }
}
