use std::error::Error;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower_http::timeout::{TimeoutBody, TimeoutError};

use crate::problem::{BODY_INCOMPLETE, BODY_TOO_LARGE, BODY_TOO_SLOW, BODY_UNDECODABLE};
use crate::{Problem, WebSettings, routes};

/// Used when no layer said otherwise, as in tests of a single handler.
const FALLBACK_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A file as it travels. It is read part by part and never held whole.
const FILE_SENT_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// A file after decompression.
const FILE_READ_BYTES_MAX: usize = 8 * FILE_SENT_BYTES_MAX;

/// How large a body may be. Put into each request by the outermost layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyLimits {
    /// As it travels, perhaps compressed.
    pub(crate) sent_bytes_max: usize,
    /// As it is read, after decompression.
    pub(crate) read_bytes_max: usize,
    /// Whether the body travels compressed.
    pub(crate) compressed: bool,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            sent_bytes_max: FALLBACK_BYTES_MAX,
            read_bytes_max: FALLBACK_BYTES_MAX,
            compressed: false,
        }
    }
}

impl BodyLimits {
    pub(crate) fn of(settings: &WebSettings, path: &str, compressed: bool) -> Self {
        let files = routes::takes_files(path);
        let larger = |own: usize, file: usize| if files { own.max(file) } else { own };
        Self {
            sent_bytes_max: larger(settings.sent_bytes_max, FILE_SENT_BYTES_MAX),
            read_bytes_max: larger(settings.read_bytes_max, FILE_READ_BYTES_MAX),
            compressed,
        }
    }

    pub(crate) fn too_large(self) -> Problem {
        let detail = if self.compressed {
            format!(
                "A compressed body may have {} bytes as sent and {} bytes after decompression. \
                 Send it in parts.",
                self.sent_bytes_max, self.read_bytes_max
            )
        } else {
            format!("A body may have {} bytes. Send it in parts.", self.sent_bytes_max)
        };
        Problem::of(&BODY_TOO_LARGE).detail(detail)
    }
}

/// Bounds the body as it travels: its size, and the time between two parts of it.
pub(crate) fn bound_sent(settings: &WebSettings, mut request: Request) -> Result<Request, Problem> {
    let path = request.uri().path();
    let limits = BodyLimits::of(settings, path, is_compressed(request.headers()));
    if routes::unpacks_itself(path) && says_snappy(request.headers()) {
        // The layer below knows no snappy; the door finds out by itself whether it is one.
        request.headers_mut().remove(header::CONTENT_ENCODING);
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let bytes_max = u64::try_from(limits.sent_bytes_max).unwrap_or(u64::MAX);
    if length.is_some_and(|length| length > bytes_max) {
        return Err(limits.too_large());
    }
    Ok(request.map(|body| {
        let timed = TimeoutBody::new(settings.body_timeout, body);
        Body::new(Limited::new(timed, limits.sent_bytes_max))
    }))
}

fn is_compressed(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_ENCODING)
}

fn says_snappy(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|value| value == "snappy")
}

/// Bounds the body after decompression: a small one may unfold to a huge one.
pub(crate) fn bound_read(settings: &WebSettings, request: Request) -> Request {
    let limits = BodyLimits::of(settings, request.uri().path(), false);
    request.map(|body| Body::new(Limited::new(body, limits.read_bytes_max)))
}

/// Reads the whole body of `request` within its limits.
pub(crate) async fn read(request: Request) -> Result<Bytes, Problem> {
    let limits = request.extensions().get::<BodyLimits>().copied().unwrap_or_default();
    let body = Limited::new(request.into_body(), limits.read_bytes_max);
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(refusal(&*error, limits)),
    }
}

/// Says which limit or fault of the sender stands behind a failed read.
pub(crate) fn refusal(error: &(dyn Error + 'static), limits: BodyLimits) -> Problem {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if current.is::<LengthLimitError>() {
            return limits.too_large();
        }
        if current.is::<TimeoutError>() {
            return Problem::of(&BODY_TOO_SLOW)
                .detail("The next part of the body did not come in time. Send it again.");
        }
        if limits.compressed && current.is::<std::io::Error>() {
            return Problem::of(&BODY_UNDECODABLE)
                .detail("The bytes are not what Content-Encoding says, or they end too early.");
        }
        cause = current.source();
    }
    Problem::of(&BODY_INCOMPLETE).detail("The connection ended before the body did.")
}
