//! The same request twice has one effect: `Idempotency-Key`.

use std::panic::AssertUnwindSafe;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use coord::{Begun, Idempotency, KeyedRequest, StoredResponse};
use futures_util::FutureExt;
use http_body_util::BodyExt;

use crate::problem::{
    IDEMPOTENCY_IN_FLIGHT, IDEMPOTENCY_KEY_INVALID, IDEMPOTENCY_MISMATCH, INTERNAL, UNAVAILABLE,
};
use crate::{Caller, Problem, body, routes};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

const KEY_BYTES_MAX: usize = 255;
/// Answers of unsafe calls are an entity or a receipt; a larger one is not kept.
const STORED_BYTES_MAX: usize = 256 * 1024;

/// Does a request that carries a key once, and says the first answer again.
pub(crate) async fn once(idempotency: &Idempotency, request: Request, next: Next) -> Response {
    let keyed = !routes::is_safe(request.method())
        // The answer holds a secret that must not be stored.
        && request.uri().path() != "/api/v1/keys"
        // A file is not held whole; its readings are stored once by sensor and time.
        && !routes::takes_files(request.uri().path())
        && request.headers().contains_key(IDEMPOTENCY_KEY);
    if !keyed {
        return next.run(request).await;
    }
    guarded(idempotency.clone(), request, next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn guarded(
    idempotency: Idempotency,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (keyed, request) = read(request).await?;
    match idempotency.begin(&keyed).await.map_err(|error| away(&error))? {
        Begun::New => {}
        Begun::Replay(stored) => return replay(stored),
        Begun::InFlight { since } => {
            return Err(Problem::of(&IDEMPOTENCY_IN_FLIGHT)
                .detail(format!("It began at {since} and is not done."))
                .retry_after(1));
        }
        Begun::Mismatch => {
            return Err(Problem::of(&IDEMPOTENCY_MISMATCH)
                .detail("Another body came with this key before. Use a new key for a new body."));
        }
    }
    // A task of its own: it ends and is noted even when the client hangs up or time runs out.
    let done = tokio::spawn(async move {
        let handled =
            AssertUnwindSafe(idempotency.perform(&keyed, next.run(request))).catch_unwind().await;
        let (response, panic) = match handled {
            Ok(response) => (response, None),
            Err(panic) => (Problem::of(&INTERNAL).into_response(), Some(panic)),
        };
        let response = settle(&idempotency, &keyed, response).await;
        if let Some(panic) = panic {
            std::panic::resume_unwind(panic);
        }
        response
    });
    match done.await {
        Ok(response) => Ok(response),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Problem::of(&UNAVAILABLE)),
    }
}

async fn read(request: Request) -> Result<(KeyedRequest, Request), Problem> {
    let key = request.headers().get(IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok());
    let key = key.filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX).ok_or_else(|| {
        Problem::of(&IDEMPOTENCY_KEY_INVALID)
            .detail(format!("Send 1 to {KEY_BYTES_MAX} printable ASCII characters."))
    })?;
    let key = key.to_owned();
    let caller = request.extensions().get::<Caller>().map(|caller| caller.name.clone());
    let (parts, sent) = request.into_parts();
    let target = format!("{} {}", parts.method, parts.uri);
    let mut whole = Request::from_parts(parts.clone(), sent);
    *whole.extensions_mut() = parts.extensions.clone();
    let bytes = body::read(whole).await?;
    let keyed = KeyedRequest {
        caller: caller.unwrap_or_default(),
        target,
        key,
        body_hash: blake3::hash(&bytes).as_bytes().to_vec(),
    };
    Ok((keyed, Request::from_parts(parts, Body::from(bytes))))
}

/// Keeps an answer that stands for an effect. A refusal changed nothing, so the key is free for
/// another try; after an internal error nobody knows, so it is kept and not tried again.
async fn settle(idempotency: &Idempotency, keyed: &KeyedRequest, response: Response) -> Response {
    let status = response.status();
    let changed_nothing = status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE;
    if changed_nothing {
        note(idempotency.abandon(keyed).await);
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(bytes) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return Problem::of(&INTERNAL).into_response();
    };
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let stored = StoredResponse {
        status: parts.status.as_u16(),
        content_type: content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        body: keepable(&bytes),
    };
    note(idempotency.finish(keyed, &stored).await);
    Response::from_parts(parts, Body::from(bytes))
}

fn keepable(bytes: &Bytes) -> Vec<u8> {
    if bytes.len() <= STORED_BYTES_MAX {
        return bytes.to_vec();
    }
    br#"{"detail":"done before; the answer was too long to keep"}"#.to_vec()
}

/// The effect stands; when its note is lost, the key stays in flight until it expires, which
/// refuses a repetition rather than doing it twice.
fn note(outcome: Result<(), coord::CoordError>) {
    if let Err(error) = outcome {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "outcome of an idempotent request not noted");
    }
}

fn replay(stored: StoredResponse) -> Result<Response, Problem> {
    let status = StatusCode::from_u16(stored.status).map_err(|error| Problem::internal(&error))?;
    let mut response = (status, stored.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    if let Ok(value) = HeaderValue::from_str(&stored.content_type)
        && !value.is_empty()
    {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn away(error: &coord::CoordError) -> Problem {
    let error: &dyn std::error::Error = error;
    tracing::error!(error, "idempotency key not checked");
    Problem::of(&UNAVAILABLE)
        .detail("The idempotency key could not be checked; nothing was done.")
        .retry_after(1)
}
