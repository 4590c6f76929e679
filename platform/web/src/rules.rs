use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use coord::Idempotency;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::decompression::RequestDecompressionLayer;

use crate::gate::{self, Gate};
use crate::shared::Share;
use crate::{WebSettings, body, entry, patience, repeat};

/// What the rules of the house go by.
pub(crate) struct House {
    pub(crate) settings: Arc<WebSettings>,
    pub(crate) gate: Gate,
    pub(crate) idempotency: Idempotency,
}

/// Puts the house rules around every route; the first layer added is the innermost. They are few
/// because each costs every request an allocation or two and a copy of its head.
pub(crate) fn around(router: Router, house: Arc<House>, cors: CorsLayer) -> Router {
    router
        .layer((Share, from_fn_with_state(Arc::clone(&house), after_unpacking)))
        .layer((Share, RequestDecompressionLayer::new()))
        .layer((Share, from_fn_with_state(Arc::clone(&house), before_unpacking)))
        .layer((Share, cors))
        .layer((Share, from_fn_with_state(Arc::clone(&house.settings), entry::enter)))
        .layer((Share, CompressionLayer::new()))
}

/// Bounds the time, finds out who calls, counts the call, and bounds the body as it travels.
async fn before_unpacking(
    State(house): State<Arc<House>>,
    request: Request,
    next: Next,
) -> Response {
    let House { settings, gate, .. } = &*house;
    let bounded = async |request| match body::bound_sent(settings, request) {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let limited = async |request| gate::limit(gate, request, bounded).await;
    let identified = async |request| gate::identify(gate, request, limited).await;
    patience::bound(settings.request_timeout, request, identified).await
}

/// Bounds the body as it is read, and does what carries a key once.
async fn after_unpacking(
    State(house): State<Arc<House>>,
    request: Request,
    next: Next,
) -> Response {
    let mut request = body::bound_read(&house.settings, request);
    DefaultBodyLimit::max(house.settings.read_bytes_max).apply(&mut request);
    repeat::once(&house.idempotency, request, next).await
}
