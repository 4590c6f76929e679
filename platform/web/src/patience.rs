use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};

use crate::problem::TIMED_OUT;
use crate::{Problem, routes};

/// Gives a handler `limit` to answer. A stream answers at once and then goes on.
pub(crate) async fn bound(
    limit: Duration,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    if routes::takes_files(request.uri().path()) {
        // The time between two parts of a file is bounded, and so is its size.
        return next(request).await;
    }
    let unsafe_call = !routes::is_safe(request.method());
    match tokio::time::timeout(limit, next(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = if unsafe_call {
                "It is unknown whether it was done. Look before you try again."
            } else {
                "Ask for less, or try again."
            };
            Problem::of(&TIMED_OUT).detail(detail).into_response()
        }
    }
}
