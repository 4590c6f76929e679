use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bus::{Filter, Offset};
use futures_util::{Stream, stream};
use garde::Validate;
use kernel::CorrelationId;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::{PARAMETERS_INVALID, STREAMS_FULL, UNAVAILABLE};
use crate::{Problem, Query};

use super::Hub;
use super::hub::{Ended, Reader};

/// Keeps proxies from closing a quiet stream, and finds readers that are gone.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a browser waits before it comes back.
const RECONNECT_MS: u32 = 2_000;
/// Seconds to stay away when all places are taken.
const FULL_RETRY_SECS: u64 = 10;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(crate) fn routes() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(stream_events))
}

#[derive(Debug, Default, Deserialize, Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct Wanted {
    /// Event types, separated by commas.
    #[garde(length(max = 2000))]
    types: Option<String>,
    /// Subjects, separated by commas.
    #[garde(length(max = 4000))]
    subject: Option<String>,
    #[garde(skip)]
    #[param(value_type = Option<String>, format = "uuid")]
    correlation_id: Option<CorrelationId>,
    /// As the header `Last-Event-ID`, for clients that cannot set one.
    #[garde(range(min = 0))]
    last_event_id: Option<i64>,
}

pub(crate) fn listed(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Events as they happen (server-sent events). `id` is the offset in the log; send the last one
/// as `Last-Event-ID` to go on without a gap. What is only announced has no `id`.
#[utoipa::path(
    get, path = "/events", params(Wanted),
    responses((status = 200, description = "A stream of events", body = kernel::Event,
        content_type = "text/event-stream"))
)]
async fn stream_events(
    State(hub): State<Hub>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    let Ok(place) = std::sync::Arc::clone(&hub.places).try_acquire_owned() else {
        return Err(Problem::of(&STREAMS_FULL).retry_after(FULL_RETRY_SECS));
    };
    let head = hub.head().await.map_err(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "event stream not opened");
        Problem::of(&UNAVAILABLE).retry_after(1)
    })?;
    let asked = resume_point(&headers, wanted.last_event_id)?;
    // An id beyond the log is of another log: the reader must forget what it knows.
    let is_foreign = asked.is_some_and(|offset| offset > head);
    let start = asked.filter(|_| !is_foreign).unwrap_or(head);
    let filter = Filter {
        types: listed(wanted.types.as_deref()),
        subjects: listed(wanted.subject.as_deref()),
        correlation: wanted.correlation_id,
    };
    let reset = if is_foreign { "event: stream.reset\ndata: {}\n\n" } else { "" };
    // The id alone lets a reader resume that loses the connection before its first event.
    let greeting = format!("retry: {RECONNECT_MS}\nid: {}\n\n{reset}", start.0);
    let body =
        Body::from_stream(body(hub.reader(filter, start), Bytes::from(greeting), place, hub));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

fn resume_point(headers: &HeaderMap, query: Option<i64>) -> Result<Option<Offset>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else {
        return Ok(query.map(Offset));
    };
    let offset = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    match offset {
        Some(offset) if offset >= 0 => Ok(Some(Offset(offset))),
        _ => Err(Problem::of(&PARAMETERS_INVALID)
            .field("Last-Event-ID", "is no offset of the event log")),
    }
}

/// Counts a stream while it is open, and gives its place back when it ends.
struct Open {
    reader: Reader,
    _place: OwnedSemaphorePermit,
    gauge: metrics::Gauge,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
    }
}

fn body(
    reader: Reader,
    greeting: Bytes,
    place: OwnedSemaphorePermit,
    hub: Hub,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + 'static {
    let gauge = metrics::gauge!("event_streams_open");
    gauge.increment(1.0);
    let open = Open { reader, _place: place, gauge };
    let first = stream::once(async move { Ok(greeting) });
    let rest = stream::unfold((open, hub), |(mut open, hub)| async move {
        let bytes = tokio::select! {
            () = hub.stop.cancelled() => return None,
            frames = open.reader.next() => match frames {
                Ok(frames) => Bytes::from(frames.concat()),
                Err(reason) => {
                    farewell(&reason);
                    return None;
                }
            },
            () = tokio::time::sleep(HEARTBEAT) => Bytes::from_static(b": still here\n\n"),
        };
        Some((Ok(bytes), (open, hub)))
    });
    futures_util::StreamExt::chain(first, rest)
}

/// The stream just ends: the reader comes back with its last id.
fn farewell(reason: &Ended) {
    let cause: &dyn std::error::Error = reason;
    match reason {
        Ended::TooSlow(_) => {
            metrics::counter!("event_streams_dropped_total").increment(1);
            tracing::info!(cause, "event stream dropped");
        }
        Ended::Log(_) => tracing::warn!(cause, "event stream ended"),
        Ended::Stopped => tracing::debug!(cause, "event stream ended"),
    }
}
