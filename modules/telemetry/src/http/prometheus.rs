//! The query API of Prometheus, for Grafana and every other program that speaks it. Answers and
//! errors have its shape, not ours.

mod answer;
mod asked;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use promql::{PromqlError, Query};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::service::Telemetry;
use crate::service::prometheus::{Listing, Prometheus, When};

use answer::{Fault, data};
use asked::Asked;

/// The version whose answers these are; clients choose by it what they ask.
const VERSION: &str = "2.42.0";

pub(crate) fn routes(service: Telemetry) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(query))
        .routes(routes!(query_range))
        .routes(routes!(format_query))
        .routes(routes!(series))
        .routes(routes!(labels))
        .routes(routes!(label_values))
        .routes(routes!(metadata))
        .routes(routes!(query_exemplars))
        .routes(routes!(rules))
        .routes(routes!(alerts))
        .routes(routes!(build_info))
        .route("/prometheus/api/v1/query", post(query))
        .route("/prometheus/api/v1/query_range", post(query_range))
        .route("/prometheus/api/v1/format_query", post(format_query))
        .route("/prometheus/api/v1/series", post(series))
        .route("/prometheus/api/v1/labels", post(labels))
        .route("/prometheus/api/v1/query_exemplars", post(query_exemplars))
        .route("/prometheus/", get(front))
        .route("/prometheus/-/healthy", get(front))
        .route("/prometheus/-/ready", get(front))
        .with_state(Prometheus::new(service))
}

/// For clients that look whether somebody is there before they ask.
async fn front() -> &'static str {
    "Plainview answers the query API of Prometheus here.\n"
}

/// What Prometheus answers: `data` when `status` is `success`, else `errorType` and `error`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PrometheusAnswer {
    /// `success` or `error`.
    status: String,
    #[schema(value_type = Object)]
    data: Option<Value>,
    /// `bad_data`, `execution`, `timeout`, `unavailable` or `internal`.
    #[serde(rename = "errorType")]
    error_type: Option<String>,
    error: Option<String>,
    warnings: Option<Vec<String>>,
}

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `Asked` reads")]
pub(crate) struct InstantParams {
    /// PromQL.
    query: String,
    /// Unix seconds or RFC 3339; now when left out.
    time: Option<String>,
    /// A duration such as `10s`, or seconds.
    timeout: Option<String>,
}

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `Asked` reads")]
pub(crate) struct RangeParams {
    /// PromQL.
    query: String,
    /// Unix seconds or RFC 3339.
    start: String,
    /// Unix seconds or RFC 3339; belongs to the range.
    end: String,
    /// A duration such as `15s`, or seconds.
    step: String,
    /// A duration such as `10s`, or seconds.
    timeout: Option<String>,
}

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `Asked` reads")]
pub(crate) struct ListParams {
    /// Selectors of series; may come several times.
    #[param(rename = "match[]")]
    selectors: Option<Vec<String>>,
    /// Unix seconds or RFC 3339; series that ended before are left out.
    start: Option<String>,
    /// Unix seconds or RFC 3339.
    end: Option<String>,
}

/// Evaluate PromQL at one time
///
/// Also as POST with the parameters as a form.
#[utoipa::path(
    get, path = "/prometheus/api/v1/query", tag = "telemetry", params(InstantParams),
    responses(
        (status = 200, body = PrometheusAnswer), (status = 400, body = PrometheusAnswer),
        (status = 422, body = PrometheusAnswer), (status = 503, body = PrometheusAnswer),
    )
)]
pub(crate) async fn query(
    State(service): State<Prometheus>,
    asked: Asked,
) -> Result<Response, Fault> {
    let at_ms = asked.time("time")?.unwrap_or_else(|| service.now_ms());
    let (timeout, query) = (asked.timeout()?, asked.query()?);
    let answer = service.ask(query, When::Instant(at_ms), timeout).await?;
    Ok(answer::of(&answer))
}

/// Evaluate PromQL over a range of time
///
/// Also as POST with the parameters as a form.
#[utoipa::path(
    get, path = "/prometheus/api/v1/query_range", tag = "telemetry", params(RangeParams),
    responses(
        (status = 200, body = PrometheusAnswer), (status = 400, body = PrometheusAnswer),
        (status = 422, body = PrometheusAnswer), (status = 503, body = PrometheusAnswer),
    )
)]
pub(crate) async fn query_range(
    State(service): State<Prometheus>,
    asked: Asked,
) -> Result<Response, Fault> {
    let grid = asked.grid()?;
    let (timeout, query) = (asked.timeout()?, asked.query()?);
    let answer = service.ask(query, When::Range(grid), timeout).await?;
    Ok(answer::of(&answer))
}

/// Lay a query out over lines
#[utoipa::path(
    get, path = "/prometheus/api/v1/format_query", tag = "telemetry",
    params(("query" = String, Query, description = "PromQL")),
    responses((status = 200, body = PrometheusAnswer), (status = 400, body = PrometheusAnswer))
)]
pub(crate) async fn format_query(asked: Asked) -> Result<Response, Fault> {
    let pretty =
        promql::format(asked.wanted("query")?).map_err(|error| Fault::of("query", &error))?;
    Ok(data(&pretty))
}

/// The labels of the series that match
///
/// Also as POST with the parameters as a form.
#[utoipa::path(
    get, path = "/prometheus/api/v1/series", tag = "telemetry", params(ListParams),
    responses(
        (status = 200, body = PrometheusAnswer), (status = 400, body = PrometheusAnswer),
        (status = 422, body = PrometheusAnswer),
    )
)]
pub(crate) async fn series(
    State(service): State<Prometheus>,
    asked: Asked,
) -> Result<Response, Fault> {
    let listing = listing(&asked)?;
    if listing.selectors.is_empty() {
        return Err(Fault::bad_data("no match[] parameter provided"));
    }
    let found = service.series(&listing).await?;
    let found: Vec<Value> = found.iter().map(answer::labels_json).collect();
    Ok(data(&found))
}

/// The names of labels
///
/// Also as POST with the parameters as a form.
#[utoipa::path(
    get, path = "/prometheus/api/v1/labels", tag = "telemetry", params(ListParams),
    responses((status = 200, body = PrometheusAnswer), (status = 400, body = PrometheusAnswer))
)]
pub(crate) async fn labels(
    State(service): State<Prometheus>,
    asked: Asked,
) -> Result<Response, Fault> {
    Ok(data(&service.label_names(&listing(&asked)?).await?))
}

/// The values of one label
#[utoipa::path(
    get, path = "/prometheus/api/v1/label/{name}/values", tag = "telemetry",
    params(("name" = String, Path, description = "Name of the label"), ListParams),
    responses((status = 200, body = PrometheusAnswer), (status = 400, body = PrometheusAnswer))
)]
pub(crate) async fn label_values(
    State(service): State<Prometheus>,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Response, Fault> {
    if !promql::is_label_name(&name) {
        return Err(Fault::bad_data(format!("invalid label name: {name:?}")));
    }
    Ok(data(&service.label_values(&name, &listing(&asked)?).await?))
}

/// What is known of metrics: type, help, unit
#[utoipa::path(
    get, path = "/prometheus/api/v1/metadata", tag = "telemetry",
    params(
        ("metric" = Option<String>, Query, description = "Of this metric alone"),
        ("limit" = Option<usize>, Query, description = "Metrics at most"),
    ),
    responses((status = 200, body = PrometheusAnswer), (status = 400, body = PrometheusAnswer))
)]
pub(crate) async fn metadata(
    State(service): State<Prometheus>,
    asked: Asked,
) -> Result<Response, Fault> {
    let limit = asked.number("limit")?.unwrap_or(usize::MAX);
    let known = service.metadata(asked.one("metric")).await?;
    let known = known.into_iter().take(limit).map(|(name, about)| {
        let about = about.into_iter();
        let rows = about.map(|a| json!({ "type": a.kind, "help": a.help, "unit": a.unit }));
        (name, rows.collect::<Value>())
    });
    Ok(data(&known.collect::<serde_json::Map<_, _>>()))
}

/// Exemplars; there are none
#[utoipa::path(
    get, path = "/prometheus/api/v1/query_exemplars", tag = "telemetry", params(RangeParams),
    responses((status = 200, body = PrometheusAnswer), (status = 400, body = PrometheusAnswer))
)]
pub(crate) async fn query_exemplars(asked: Asked) -> Result<Response, Fault> {
    asked.query()?;
    Ok(data(&json!([])))
}

/// Rules of Prometheus; there are none
#[utoipa::path(
    get, path = "/prometheus/api/v1/rules", tag = "telemetry",
    responses((status = 200, body = PrometheusAnswer))
)]
pub(crate) async fn rules() -> Response {
    data(&json!({ "groups": [] }))
}

/// Alerts of Prometheus' rules; there are none
#[utoipa::path(
    get, path = "/prometheus/api/v1/alerts", tag = "telemetry",
    responses((status = 200, body = PrometheusAnswer))
)]
pub(crate) async fn alerts() -> Response {
    data(&json!({ "alerts": [] }))
}

/// Which Prometheus this answers like
#[utoipa::path(
    get, path = "/prometheus/api/v1/status/buildinfo", tag = "telemetry",
    responses((status = 200, body = PrometheusAnswer))
)]
pub(crate) async fn build_info() -> Response {
    data(&json!({
        "version": VERSION,
        "revision": concat!("plainview-", env!("CARGO_PKG_VERSION")),
        "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
    }))
}

fn listing(asked: &Asked) -> Result<Listing, Fault> {
    let selectors = asked.all("match[]").map(|text| {
        let matchers =
            promql::parse_selector(text).map_err(|error| Fault::of("match[]", &error))?;
        if matchers.iter().all(|matcher| matcher.passes("")) {
            return Err(Fault::bad_data("match[] must contain at least one non-empty matcher"));
        }
        Ok(matchers)
    });
    let selectors = selectors.collect::<Result<_, _>>()?;
    let (from_ms, to_ms) = (asked.time("start")?, asked.time("end")?);
    if from_ms.zip(to_ms).is_some_and(|(from, to)| to < from) {
        return Err(Fault::bad_data("end timestamp must not be before start time"));
    }
    Ok(Listing { selectors, from_ms })
}

impl Asked {
    fn query(&self) -> Result<Query, Fault> {
        let text = self.wanted("query")?;
        Query::parse(text).map_err(|error: PromqlError| Fault::of("query", &error))
    }
}

#[cfg(test)]
mod tests;
