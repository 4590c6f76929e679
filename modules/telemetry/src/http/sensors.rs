use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kernel::{SensorKey, SensorKind, Timestamp};
use sense::Origin;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use web::{Caller, Json, Page, Path, Problem, Query, Role};

use super::key;
use super::readings::QualityWord;
use crate::error;
use crate::model::{AnomalyRule, Profile, Severity, Trust};
use crate::service::{Entry, SensorChange, Telemetry};

const LIMIT_DEFAULT: usize = 100;

/// The newest reading of a sensor by event time.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct LatestView {
    at: Timestamp,
    value: f64,
    quality: QualityWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_at: Option<Timestamp>,
}

/// The worst anomaly that stands at a sensor.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct AnomalyBrief {
    score: f64,
    severity: Severity,
    since: Timestamp,
    rule: AnomalyRule,
}

/// A sensor with its present.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct SensorView {
    key: SensorKey,
    site: String,
    asset: String,
    measure: String,
    kind: SensorKind,
    unit: Option<String>,
    expected_low: Option<f64>,
    expected_high: Option<f64>,
    rate_max_per_s: Option<f64>,
    interval_s: Option<f64>,
    trust: Trust,
    trust_reason: Option<String>,
    trust_since: Option<Timestamp>,
    #[schema(value_type = String)]
    origin: Origin,
    /// Registered by itself and not yet confirmed; its readings are stored, not judged.
    quarantined: bool,
    #[schema(value_type = Object)]
    metadata: Value,
    version: i64,
    created_at: Timestamp,
    latest: Option<LatestView>,
    /// The anomaly score of the newest reading, 0 to 1.
    score: f64,
    anomaly: Option<AnomalyBrief>,
}

impl From<&Entry> for SensorView {
    fn from(entry: &Entry) -> Self {
        let sensor = entry.sensor.clone();
        let now = entry.read_now();
        Self {
            site: sensor.key.site().to_owned(),
            asset: sensor.key.asset().as_str().to_owned(),
            measure: sensor.key.measure().to_owned(),
            key: sensor.key,
            kind: sensor.kind,
            unit: sensor.unit,
            expected_low: sensor.profile.expected_low,
            expected_high: sensor.profile.expected_high,
            rate_max_per_s: sensor.profile.rate_max_per_s,
            interval_s: sensor.profile.interval_s,
            trust: sensor.trust.trust,
            trust_reason: sensor.trust.reason,
            trust_since: sensor.trust.since,
            origin: sensor.origin,
            quarantined: sensor.quarantined,
            metadata: sensor.metadata,
            version: sensor.version,
            created_at: sensor.created_at,
            latest: now.latest.map(|point| LatestView {
                at: point.at,
                value: point.value,
                quality: point.quality.into(),
                received_at: now.received_at,
            }),
            score: now.score,
            anomaly: now.anomaly.map(|brief| AnomalyBrief {
                score: brief.score,
                severity: brief.severity,
                since: brief.since,
                rule: brief.rule,
            }),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SensorsAsked {
    #[garde(skip)]
    site: Option<String>,
    /// `site/asset`, or the asset's own name.
    #[garde(skip)]
    asset: Option<String>,
    #[garde(skip)]
    kind: Option<SensorKind>,
    #[garde(skip)]
    trust: Option<Trust>,
    /// A part of the key.
    #[garde(length(max = 200))]
    q: Option<String>,
    #[garde(range(min = 1, max = 1000))]
    limit: Option<usize>,
    #[garde(length(max = 200))]
    cursor: Option<String>,
}

impl SensorsAsked {
    fn wants(&self, entry: &Entry) -> bool {
        let sensor = &entry.sensor;
        let asset = sensor.key.asset();
        let own = asset.as_str().split('/').nth(1).unwrap_or_default();
        self.site.as_deref().is_none_or(|site| site == sensor.key.site())
            && self.asset.as_deref().is_none_or(|name| name == asset.as_str() || name == own)
            && self.kind.is_none_or(|kind| kind == sensor.kind)
            && self.trust.is_none_or(|trust| trust == sensor.trust.trust)
            && self
                .q
                .as_ref()
                .is_none_or(|q| sensor.key.as_str().to_lowercase().contains(&q.to_lowercase()))
            && self.cursor.as_deref().is_none_or(|cursor| sensor.key.as_str() > cursor)
    }
}

/// The registered sensors
#[utoipa::path(
    get, operation_id = "list_sensors", path = "/sensors/sensors", tag = "telemetry", params(SensorsAsked),
    responses((status = 200, body = Page<SensorView>), (status = 400, body = Problem))
)]
pub(crate) async fn list(
    State(service): State<Telemetry>,
    Query(asked): Query<SensorsAsked>,
) -> Result<Json<Page<SensorView>>, Problem> {
    let limit = asked.limit.unwrap_or(LIMIT_DEFAULT);
    let sensors = service.sensors().await?;
    let mut items: Vec<SensorView> = sensors
        .iter()
        .filter(|entry| asked.wants(entry))
        .take(limit + 1)
        .map(|entry| SensorView::from(entry.as_ref()))
        .collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| last.key.as_str().to_owned());
    Ok(Json(Page { items, next }))
}

/// One sensor
#[utoipa::path(
    get, operation_id = "one_sensor", path = "/sensors/{*key}", tag = "telemetry",
    params(("key" = String, Path, description = "site/asset/measure")),
    responses((status = 200, body = SensorView), (status = 404, body = Problem))
)]
pub(crate) async fn one(
    State(service): State<Telemetry>,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let key = key(&text)?;
    service.ensure_loaded().await?;
    let entry = service.sensor(&key)?;
    Ok(tagged(StatusCode::OK, &entry))
}

fn tagged(status: StatusCode, entry: &Entry) -> Response {
    let tag = format!("\"{}\"", entry.sensor.version);
    (status, [(header::ETAG, tag)], axum::Json(SensorView::from(entry))).into_response()
}

/// What is known about a sensor. What is left out is unset.
#[derive(Clone, Debug, Deserialize, garde::Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SensorBody {
    #[garde(skip)]
    kind: Option<SensorKind>,
    #[garde(length(max = 32))]
    unit: Option<String>,
    #[garde(skip)]
    expected_low: Option<f64>,
    #[garde(skip)]
    expected_high: Option<f64>,
    #[garde(skip)]
    rate_max_per_s: Option<f64>,
    #[garde(skip)]
    interval_s: Option<f64>,
    #[garde(skip)]
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde_json::Map<String, Value>>,
}

/// Register or set a sensor
///
/// Needs the role engineer, and for a sensor that exists an `If-Match` with its entity tag.
/// Confirms a quarantined sensor.
#[utoipa::path(
    put, path = "/sensors/{*key}", tag = "telemetry",
    params(
        ("key" = String, Path, description = "site/asset/measure"),
        ("If-Match" = Option<String>, Header, description = "The entity tag of the sensor"),
    ),
    request_body = SensorBody,
    responses(
        (status = 200, body = SensorView), (status = 201, body = SensorView),
        (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem),
    )
)]
pub(crate) async fn set(
    State(service): State<Telemetry>,
    caller: Caller,
    Path(text): Path<String>,
    headers: HeaderMap,
    Json(body): Json<SensorBody>,
) -> Result<Response, Problem> {
    caller.need(Role::Engineer)?;
    let key = key(&text)?;
    service.ensure_loaded().await?;
    let expected = expected_version(&headers, service.sensor(&key).ok().as_deref())?;
    let change = SensorChange {
        kind: body.kind,
        unit: body.unit,
        profile: Profile {
            expected_low: body.expected_low,
            expected_high: body.expected_high,
            rate_max_per_s: body.rate_max_per_s,
            interval_s: body.interval_s,
        },
        metadata: Value::Object(body.metadata.unwrap_or_default()),
    };
    let entry = service.set_sensor(&key, change, expected).await?;
    let status = if expected.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    Ok(tagged(status, &entry))
}

/// The version that `If-Match` names; `None` for a sensor that is new.
fn expected_version(headers: &HeaderMap, there: Option<&Entry>) -> Result<Option<i64>, Problem> {
    let given = headers.get(header::IF_MATCH).and_then(|tag| tag.to_str().ok());
    match (given, there) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Problem::of(&error::IF_MATCH_MISSING)
            .detail("Read the sensor, and send its ETag back as If-Match.")),
        (Some("*"), Some(entry)) => Ok(Some(entry.sensor.version)),
        // A tag that is none of ours names no version, so it matches none.
        (Some(tag), _) => Ok(Some(tag.trim_matches('"').parse().unwrap_or(-1))),
    }
}
