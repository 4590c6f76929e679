use std::error::Error;

use axum::body::Bytes;
use axum::extract::Request;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::Problem;
use crate::problem::{BODY_INCOMPLETE, BODY_TOO_LARGE, BODY_TOO_SLOW, BODY_UNDECODABLE};

/// Used when no layer said otherwise, as in tests of a single handler.
const FALLBACK_BYTES_MAX: usize = 2 * 1024 * 1024;

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
        if current.is::<tower_http::timeout::TimeoutError>() {
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
