use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use kernel::{Quality, Reason, SensorKey, Timestamp};
use serde::{Deserialize, Serialize};
use store::series::{Point, Span};
use utoipa::ToSchema;
use web::{Caller, Json, Problem, Query, Role};

use super::readings_table::{self, Form};
use super::{invalid, key, time};
use crate::service::{ReadingsAsked, SeriesAnswer, SeriesData, Shape, Telemetry};

const SENSORS_MAX: usize = 50;
const POINTS_DEFAULT: usize = 10_000;
/// Readings of each sensor in one JSON answer. Tables are streamed and have no limit of their own.
const POINTS_MAX: usize = 100_000;
/// Readings or buckets in one JSON answer, which is put together in memory.
const ITEMS_MAX: usize = 500_000;
const SPAN_DEFAULT: Duration = Duration::from_secs(24 * 3600);
const WIDTH_MIN: Duration = Duration::from_millis(1);
const CORRECTIONS_MAX: usize = 1_000;

#[derive(Clone, Debug, Default, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadingsParams {
    /// `site/asset/measure`; may come several times.
    #[garde(length(min = 1, max = SENSORS_MAX))]
    #[serde(default)]
    sensor: Vec<String>,
    /// Start of the stretch; a day before its end when left out.
    #[garde(skip)]
    from: Option<String>,
    /// End of the stretch, excluded; now when left out.
    #[garde(skip)]
    to: Option<String>,
    /// Readings of each sensor, at most: in JSON 10,000 when left out and never above 100,000; in
    /// `csv` and `arrow` all of them when left out.
    #[garde(range(min = 1))]
    limit: Option<usize>,
    /// Summarise into about so many buckets.
    #[garde(range(min = 1, max = 20_000))]
    buckets: Option<u64>,
    /// Summarise into buckets of this width: `250ms`, `60s`, `15m`, `1h`, `1d`.
    #[garde(length(max = 16))]
    width: Option<String>,
    /// `json`, `csv`, or `arrow` for an Arrow IPC stream. When left out, the header `Accept`
    /// decides, and `json` is the default.
    #[garde(length(max = 8))]
    format: Option<String>,
}

impl ReadingsParams {
    fn asked(&self, now: Timestamp, form: Form) -> Result<ReadingsAsked, Problem> {
        let sensors = self.sensor.iter().map(|text| key(text)).collect::<Result<Vec<_>, _>>()?;
        // What is stamped now shall be part of the answer.
        let to = time("to", self.to.as_deref())?.unwrap_or(now.plus(Duration::from_secs(1)));
        let from = time("from", self.from.as_deref())?.unwrap_or(to.minus(SPAN_DEFAULT));
        if from >= to {
            return Err(invalid("from", "must lie before `to`"));
        }
        let shape = match (self.buckets, self.width.as_deref()) {
            (Some(_), Some(_)) => return Err(invalid("width", "give `buckets` or `width`")),
            (Some(count), None) => {
                let micros = to.micros_since(from).unsigned_abs().div_ceil(count.max(1));
                Shape::Buckets { width: Duration::from_micros(micros).max(WIDTH_MIN) }
            }
            (None, Some(text)) => Shape::Buckets { width: width(text)? },
            (None, None) => Shape::Raw { limit: self.raw_limit(form, sensors.len())? },
        };
        if form == Form::Json
            && self.buckets.is_some_and(|count| count as usize * sensors.len() > ITEMS_MAX)
        {
            return Err(invalid("buckets", "too many for one JSON answer; ask for `format=arrow`"));
        }
        Ok(ReadingsAsked { sensors, span: Span { from, to }, shape })
    }

    fn raw_limit(&self, form: Form, sensors: usize) -> Result<usize, Problem> {
        match (form, self.limit) {
            (Form::Json, limit) => {
                let limit = limit.unwrap_or(POINTS_DEFAULT);
                if limit > POINTS_MAX {
                    let reason = format!("at most {POINTS_MAX} as JSON; `format=arrow` has no end");
                    return Err(invalid("limit", reason));
                }
                Ok(limit.min(ITEMS_MAX / sensors.max(1)))
            }
            (_, limit) => Ok(limit.unwrap_or(usize::MAX)),
        }
    }
}

pub(super) fn width(text: &str) -> Result<Duration, Problem> {
    let wrong = || invalid("width", "a number with ms, s, m, h or d is needed, such as `60s`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let count: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let millis = count.checked_mul(unit_ms).filter(|millis| *millis > 0).ok_or_else(wrong)?;
    Ok(Duration::from_millis(millis))
}

/// How far a reading can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QualityWord {
    Good,
    Uncertain,
    Bad,
}

impl From<Quality> for QualityWord {
    fn from(quality: Quality) -> Self {
        match quality {
            Quality::Good => Self::Good,
            Quality::Uncertain(_) => Self::Uncertain,
            Quality::Bad(_) => Self::Bad,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct PointView {
    at: Timestamp,
    value: f64,
    quality: QualityWord,
    /// Why the reading is not good.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
}

impl From<&Point> for PointView {
    fn from(point: &Point) -> Self {
        Self {
            at: point.at,
            value: point.value,
            quality: point.quality.into(),
            reason: point.quality.reason(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct BucketView {
    at: Timestamp,
    count: u64,
    min: f64,
    max: f64,
    mean: f64,
    first: f64,
    last: f64,
}

/// The readings of one sensor: `points` with `truncated`, or `buckets` with `width_s`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct SeriesView {
    sensor: SensorKey,
    unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<Vec<PointView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    buckets: Option<Vec<BucketView>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ReadingsView {
    series: Vec<SeriesView>,
    /// Keys asked for that name no sensor. When none of them does, the answer is a 404.
    unknown: Vec<SensorKey>,
}

impl From<SeriesAnswer> for SeriesView {
    fn from(answer: SeriesAnswer) -> Self {
        let empty = Self {
            sensor: answer.sensor,
            unit: answer.unit,
            points: None,
            truncated: None,
            width_s: None,
            buckets: None,
        };
        match answer.data {
            SeriesData::Raw { points, truncated } => Self {
                points: Some(points.iter().map(PointView::from).collect()),
                truncated: Some(truncated),
                ..empty
            },
            SeriesData::Buckets { buckets, width } => Self {
                width_s: Some(width.as_secs_f64()),
                buckets: Some(
                    buckets
                        .iter()
                        .map(|b| BucketView {
                            at: b.start,
                            count: b.count,
                            min: b.min,
                            max: b.max,
                            mean: b.mean(),
                            first: b.first,
                            last: b.last,
                        })
                        .collect(),
                ),
                ..empty
            },
        }
    }
}

/// Readings of one or several sensors
///
/// Raw, or summarised into buckets with `buckets` or `width`. Bad readings are left out of buckets.
/// CSV and Arrow are streamed, however long they are; an answer that breaks off has no proper end.
#[utoipa::path(
    get, path = "/sensors/readings", tag = "telemetry", params(ReadingsParams),
    responses(
        (status = 200, content(
            (ReadingsView = "application/json"),
            (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        ), headers(("Plainview-Unknown-Sensors" = String, description =
            "In CSV and Arrow: keys asked for that name no sensor, percent-encoded, by commas"))),
        (status = 404, body = Problem), (status = 422, body = Problem),
    )
)]
pub(crate) async fn readings(
    State(service): State<Telemetry>,
    headers: HeaderMap,
    Query(params): Query<ReadingsParams>,
) -> Result<Response, Problem> {
    let form = Form::of(params.format.as_deref(), &headers)?;
    let asked = params.asked(service.clock.now(), form)?;
    if form != Form::Json {
        return readings_table::stream(service.reading_pages(&asked).await?, form);
    }
    let answer = service.readings(&asked).await?;
    let series = answer.series.into_iter().map(SeriesView::from).collect();
    Ok(axum::Json(ReadingsView { series, unknown: answer.unknown }).into_response())
}

#[derive(Clone, Debug, Deserialize, garde::Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorrectionBody {
    #[garde(skip)]
    sensor: SensorKey,
    /// Event time of the reading to put right.
    #[garde(skip)]
    at: Timestamp,
    #[garde(custom(finite))]
    value: f64,
    #[garde(length(min = 1, max = 500))]
    reason: String,
}

fn finite(value: &f64, _context: &()) -> garde::Result {
    if value.is_finite() { Ok(()) } else { Err(garde::Error::new("is not finite")) }
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct CorrectionAnswer {
    sensor: SensorKey,
    at: Timestamp,
    value: f64,
    actor: String,
    reason: String,
    offset: u64,
}

/// Put a stored value right
///
/// What it replaces is kept in the audit trail.
#[utoipa::path(
    post, path = "/sensors/corrections", tag = "telemetry", request_body = CorrectionBody,
    responses((status = 200, body = CorrectionAnswer), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub(crate) async fn correct(
    State(service): State<Telemetry>,
    caller: Caller,
    Json(body): Json<CorrectionBody>,
) -> Result<Json<CorrectionAnswer>, Problem> {
    caller.need(Role::Operator)?;
    let CorrectionBody { sensor, at, value, reason } = body;
    let offset = service.correct(&sensor, at, value, &caller.name, &reason).await?;
    let actor = caller.name;
    Ok(Json(CorrectionAnswer { sensor, at, value, actor, reason, offset }))
}

#[derive(Clone, Debug, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CorrectionsParams {
    #[garde(length(max = 200))]
    sensor: String,
    #[garde(range(min = 1, max = CORRECTIONS_MAX))]
    limit: Option<usize>,
}

/// One entry of the audit trail of a sensor.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct CorrectedView {
    at: Timestamp,
    before: Option<f64>,
    after: f64,
    actor: String,
    reason: String,
    recorded: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct CorrectionsView {
    sensor: SensorKey,
    items: Vec<CorrectedView>,
}

/// What was put right at a sensor, newest first
#[utoipa::path(
    get, path = "/sensors/corrections", tag = "telemetry", params(CorrectionsParams),
    responses((status = 200, body = CorrectionsView), (status = 404, body = Problem))
)]
pub(crate) async fn corrections(
    State(service): State<Telemetry>,
    Query(params): Query<CorrectionsParams>,
) -> Result<Json<CorrectionsView>, Problem> {
    let sensor = key(&params.sensor)?;
    let limit = params.limit.unwrap_or(CORRECTIONS_MAX);
    let trail = service.corrections(&sensor, limit).await?;
    let items = trail.into_iter().map(|c| CorrectedView {
        at: c.at,
        before: c.before,
        after: c.after,
        actor: c.actor,
        reason: c.reason,
        recorded: c.recorded,
    });
    Ok(Json(CorrectionsView { sensor, items: items.collect() }))
}
