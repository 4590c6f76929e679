use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, OriginalUri, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use crate::body::BodyLimits;
use crate::problem::{
    CONTENT_ENCODING, CONTENT_TYPE, INTERNAL, METHOD_NOT_ALLOWED, NOT_FOUND, REQUEST_INVALID,
};
use crate::{Caller, Environment, Problem, WebSettings, routes};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids are no ids; they would only fill logs.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// What a request is called in logs, problems and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

/// The outermost of our layers: names the request, catches what panics below it, completes
/// problems, and says one line about the outcome.
pub(crate) async fn enter(
    State(settings): State<Arc<WebSettings>>,
    mut request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let path = request
        .extensions()
        .get::<OriginalUri>()
        .map_or_else(|| request.uri().path().to_owned(), |original| original.0.path().to_owned());
    let served = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let compressed = request.headers().contains_key(header::CONTENT_ENCODING);
    let limits = BodyLimits::of(&settings, &served, compressed);
    request.extensions_mut().insert(limits);

    let span = tracing::info_span!("request", request_id = %id);
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span).await;
    let response = answered.unwrap_or_else(|panic| {
        tracing::error!(request_id = %id, reason = panic_text(&*panic), "handler panicked");
        Problem::of(&INTERNAL).into_response()
    });
    let mut response = complete(response, &id, limits);
    secure(response.headers_mut(), settings.environment, &served);

    let status = response.status();
    let seconds = begun.elapsed().as_secs_f64();
    let caller = response.extensions().get::<Caller>().map_or("-", |caller| caller.name.as_str());
    let is_ingest = routes::is_ingest(&served);
    say(&Line {
        id: &id,
        method: method.as_str(),
        path: &path,
        status,
        seconds,
        caller,
        is_ingest,
    });
    let route = route.map_or_else(|| "unmatched".to_owned(), |route| route.as_str().to_owned());
    count(method.as_str(), route, status, seconds);
    response
}

struct Line<'a> {
    id: &'a str,
    method: &'a str,
    path: &'a str,
    status: StatusCode,
    seconds: f64,
    caller: &'a str,
    is_ingest: bool,
}

/// Neither query nor headers are said: they may hold secrets.
fn say(line: &Line<'_>) {
    let duration_ms = (line.seconds * 1e6).round() / 1e3;
    let status = line.status.as_u16();
    let Line { id: request_id, method, path, caller, .. } = *line;
    match status {
        401 | 403 => {
            tracing::warn!(request_id, method, path, status, duration_ms, caller, "access denied");
        }
        500.. => tracing::error!(request_id, method, path, status, duration_ms, caller, "request"),
        // A plant hands in thousands a second; what came is counted, by route and by source.
        ..=399 if line.is_ingest => {
            tracing::debug!(request_id, method, path, status, duration_ms, caller, "request");
        }
        _ => tracing::info!(request_id, method, path, status, duration_ms, caller, "request"),
    }
}

fn count(method: &str, route: String, status: StatusCode, seconds: f64) {
    // Methods are free text on the wire, and label values must be few.
    let method = match method {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    };
    metrics::counter!("http_requests_total", "method" => method, "route" => route.clone(), "status" => status.as_str().to_owned())
        .increment(1);
    metrics::histogram!("http_request_duration_seconds", "method" => method, "route" => route)
        .record(seconds);
}

/// A sane id of the client's own, or a new one.
fn request_id(headers: &HeaderMap) -> String {
    let sane = |text: &&str| {
        !text.is_empty()
            && text.len() <= REQUEST_ID_BYTES_MAX
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(sane)
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// Gives a problem its request id, and turns the bare errors of the framework into problems.
fn complete(mut response: Response, id: &str, limits: BodyLimits) -> Response {
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| bare(&response, limits));
    if let Some(mut problem) = problem {
        problem.request_id = Some(id.to_owned());
        let (mut parts, _) = response.into_parts();
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE));
        parts.headers.remove(header::CONTENT_LENGTH);
        // Writing a problem cannot fail: it holds only text and numbers.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        response = Response::from_parts(parts, Body::from(body));
    }
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// An error that no handler of ours wrote: plain text or nothing.
fn bare(response: &Response, limits: BodyLimits) -> Option<Problem> {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind.is_some_and(|kind| !kind.starts_with("text/plain")) {
        return None;
    }
    let status = response.status();
    let problem = match status.as_u16() {
        404 => Problem::of(&NOT_FOUND).detail("No such path. The paths are listed at /docs."),
        405 => Problem::of(&METHOD_NOT_ALLOWED),
        413 => limits.too_large(),
        415 if response.headers().contains_key(header::ACCEPT_ENCODING) => {
            Problem::of(&CONTENT_ENCODING).detail("Send the body plain, or as gzip or zstd.")
        }
        415 => Problem::of(&CONTENT_TYPE),
        400..=499 => Problem { status: status.as_u16(), ..Problem::of(&REQUEST_INVALID) },
        500..=599 => Problem { status: status.as_u16(), ..Problem::of(&INTERNAL) },
        _ => return None,
    };
    Some(problem)
}

const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);
/// An answer of the API is data: nothing in it may ever run.
const CSP_DATA: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");

fn secure(headers: &mut HeaderMap, environment: Environment, path: &str) {
    let is_page = path.starts_with("/app") || path.starts_with("/docs");
    let mut set = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    set(header::CONTENT_SECURITY_POLICY, if is_page { CSP } else { CSP_DATA });
    set(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    set(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    set(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let same_origin = HeaderValue::from_static("same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), same_origin);
    if !is_page || path.starts_with(routes::API) {
        set(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if environment == Environment::Production {
        let year = HeaderValue::from_static("max-age=31536000");
        set(header::STRICT_TRANSPORT_SECURITY, year);
    }
}
