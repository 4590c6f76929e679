use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use kernel::CorrelationId;
use sense::{Delivery, Origin, Protocol, Receipt, Rows, SourceId, json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Caller, FieldError, Json, JsonBytes, Problem, Query, RequestId, Role};

use super::{correlation, unreadable};
use crate::error;
use crate::service::Telemetry;

/// Row faults that one answer names; the rest are counted in `rejected`.
pub(super) const FAULTS_NAMED_MAX: usize = 100;

#[derive(Clone, Debug, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct IngestParams {
    /// `real` (default), `simulated` or `replayed`. Replayed readings are not judged for silence.
    #[garde(skip)]
    #[param(value_type = Option<String>)]
    #[serde(default)]
    pub(super) origin: Origin,
}

/// One reading as a sender writes it.
///
/// Documents the body only: bodies are read row by row.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadingBody {
    /// `site/asset/measure`; `sensor_id` is read too.
    #[schema(example = "north/p-2/vibration")]
    sensor: String,
    #[schema(example = 4.6)]
    value: f64,
    /// RFC 3339 or milliseconds since 1970; now when left out. `at` is read too.
    timestamp: Option<String>,
    #[schema(example = "mm/s")]
    unit: Option<String>,
    /// `good`, `uncertain` or `bad`.
    quality: Option<String>,
    /// `vibration`, `pressure`, …; used when the sensor is new. `sensor_type` is read too.
    kind: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde_json::Value>,
}

/// What became of the readings. Everything in `accepted` is durable.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct IngestAnswer {
    accepted: usize,
    rejected: usize,
    errors: Vec<FieldError>,
    /// Position in the series log.
    offset: u64,
    correlation_id: CorrelationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// Hand in readings
///
/// One reading, an array of up to 10,000, or `{"readings": […]}`. Good rows are stored, bad ones
/// named. A 200 means that every accepted reading is durable.
#[utoipa::path(
    post, path = "/data/ingest", tag = "telemetry",
    params(IngestParams, ("X-Correlation-ID" = Option<String>, Header, description = "The chain these readings start")),
    request_body(content = ReadingBody, description = "One reading, an array of readings, or an object with `readings`"),
    responses(
        (status = 200, body = IngestAnswer),
        (status = 400, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem),
    )
)]
pub(crate) async fn ingest(
    State(service): State<Telemetry>,
    caller: Caller,
    Query(params): Query<IngestParams>,
    headers: HeaderMap,
    request_id: Option<Extension<RequestId>>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<IngestAnswer>, Problem> {
    caller.need(Role::Ingest)?;
    let correlation_id = correlation(&headers)?;
    let received = service.clock.now();
    // The depth is looked at only to explain a failure: a good body is not read twice.
    let source = SourceId::new(Protocol::Json, &caller.name);
    let mut rows = json::parse(&body, received).map_err(|error| {
        service.note_unread(&source, 0, &error.to_string());
        web::too_deep(&body).unwrap_or_else(|| unreadable(&error))
    })?;
    drop(body);
    let delivery = Delivery {
        source,
        origin: params.origin,
        correlation: Some(correlation_id),
        received,
        readings: std::mem::take(&mut rows.readings),
    };
    let receipt = service.take(delivery, &rows.hints).await?;
    let errors = faults(&rows, &receipt, |row, field| match (rows.single, field) {
        (true, "") => "body".to_owned(),
        (true, field) => field.to_owned(),
        (false, "") => format!("readings[{row}]"),
        (false, field) => format!("readings[{row}].{field}"),
    });
    service.count_unreadable(&rows);
    let rejected = rows.refused_total + receipt.refused.len();
    let Some(offset) = receipt.offset else { return Err(refused(rejected, errors)) };
    Ok(Json(IngestAnswer {
        accepted: receipt.accepted,
        rejected,
        errors,
        offset,
        correlation_id,
        request_id: request_id.map(|Extension(RequestId(id))| id),
    }))
}

fn refused(rejected: usize, errors: Vec<FieldError>) -> Problem {
    let detail = match rejected {
        0 => "The body holds no readings.".to_owned(),
        1 => "The reading was refused.".to_owned(),
        many => format!("All {many} readings were refused."),
    };
    Problem { errors, ..Problem::of(&error::READINGS_REFUSED).detail(detail) }
}

/// The faults of reading and of validation in order of their rows.
pub(super) fn faults(
    rows: &Rows,
    receipt: &Receipt,
    name: impl Fn(usize, &str) -> String,
) -> Vec<FieldError> {
    let read = rows.refused.iter().map(|r| (r.row, r.field.as_str(), r.reason.as_str()));
    let judged = receipt.refused.iter().filter_map(|r| {
        let row = rows.rows.get(r.index)?;
        let field = if r.field == "at" { "timestamp" } else { r.field };
        Some((*row, field, r.reason.as_str()))
    });
    let mut all: Vec<_> = read.chain(judged).collect();
    all.sort_by_key(|(row, _, _)| *row);
    all.truncate(FAULTS_NAMED_MAX);
    all.into_iter()
        .map(|(row, field, reason)| FieldError {
            field: name(row, field),
            reason: reason.to_owned(),
        })
        .collect()
}
