use axum::extract::State;
use axum::http::StatusCode;
use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use signal::detector::{Aspect, Rule, THRESHOLD};
use utoipa::ToSchema;
use web::{Caller, Json, Page, Path, Problem, Query, Role};

use super::processes::ProcessNow;
use super::{after, key, page_of, time};
use crate::detect::Judged;
use crate::model::{Anomaly, AnomalyState, Band, ChainedAnomaly, DetectorName};
use crate::records::AnomalyFilter;
use crate::service::{SeriesExplained, Telemetry};

const LIMIT_DEFAULT: u64 = 100;

#[derive(Clone, Debug, Default, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AnomaliesAsked {
    #[garde(skip)]
    state: Option<AnomalyState>,
    #[garde(length(max = 200))]
    sensor: Option<String>,
    /// Standing at or after this time.
    #[garde(skip)]
    from: Option<String>,
    /// Started before this time.
    #[garde(skip)]
    to: Option<String>,
    #[garde(range(min = 1, max = 1000))]
    limit: Option<u64>,
    #[garde(length(max = 100))]
    cursor: Option<String>,
}

impl AnomaliesAsked {
    fn filter(&self, limit: u64) -> Result<AnomalyFilter, Problem> {
        Ok(AnomalyFilter {
            state: self.state,
            sensor: self.sensor.as_deref().map(key).transpose()?,
            from: time("from", self.from.as_deref())?,
            to: time("to", self.to.as_deref())?,
            after: after(self.cursor.as_deref())?,
            limit: limit + 1,
        })
    }
}

/// Anomalies, newest start first
#[utoipa::path(
    get, operation_id = "list_anomalies", path = "/anomalies", tag = "telemetry", params(AnomaliesAsked),
    responses((status = 200, body = Page<ChainedAnomaly>), (status = 422, body = Problem))
)]
pub(crate) async fn list(
    State(service): State<Telemetry>,
    Query(asked): Query<AnomaliesAsked>,
) -> Result<Json<Page<ChainedAnomaly>>, Problem> {
    page(&service, &asked).await.map(Json)
}

pub(super) async fn page(
    service: &Telemetry,
    asked: &AnomaliesAsked,
) -> Result<Page<ChainedAnomaly>, Problem> {
    let limit = asked.limit.unwrap_or(LIMIT_DEFAULT);
    let items = service.anomalies(&asked.filter(limit)?).await?;
    Ok(page_of(items, limit, |one| (one.anomaly.started_at, one.anomaly.anomaly_id)))
}

/// An anomaly, and what the stored readings say when they are judged again.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExplainedAnomaly {
    anomaly: Anomaly,
    /// Whether judging again gave the same anomaly: start, severity, score and contributors. It may
    /// not when readings came late or were corrected since.
    same: bool,
    /// What came out this time; `None` when nothing did.
    again: Option<Anomaly>,
    /// Every row judged, up to the one that the anomaly rests on.
    rows: Vec<ProcessNow>,
    /// For anomalies of sensors, which have no rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<SeriesEvidence>,
}

/// What an anomaly of a sensor rests on.
#[derive(Serialize, ToSchema)]
pub(crate) struct SeriesEvidence {
    /// Name and version of the detector that found it.
    detector: DetectorName,
    /// The score from which an anomaly starts.
    threshold: f64,
    /// Its severity as a number from 0 to 1; for `score` the score.
    measure: f64,
    /// The value, level, step, rate or silence that was looked at.
    observed: f64,
    /// Where that would have been in order.
    expected: Option<Band>,
    limit: Option<f64>,
    /// For `score`: what it consists of, largest share first.
    aspects: Vec<AspectShare>,
    /// The reading at which it was found.
    found_at: Timestamp,
    /// Readings after this one were judged again, from the state written down with it; `None`: from
    /// the sensor's first on.
    replayed_after: Option<Timestamp>,
    /// The last of the readings judged again.
    readings: Vec<JudgedReading>,
    /// Why the answer is not the same.
    hindrance: Option<String>,
}

/// A part of a score: `jump`, `shift`, `season` or `noise`.
#[derive(Serialize, ToSchema)]
pub(crate) struct AspectShare {
    aspect: String,
    share: f64,
}

/// A reading as it was judged again.
#[derive(Serialize, ToSchema)]
pub(crate) struct JudgedReading {
    at: Timestamp,
    value: f64,
    score: f64,
    /// Where it was expected.
    expected: Option<Band>,
}

impl SeriesEvidence {
    fn of(detector: DetectorName, explained: SeriesExplained) -> Self {
        let SeriesExplained { onset, replayed_after, again, hindrance } = explained;
        let finding = onset.finding;
        let band = |(low, high)| Band { low, high };
        let again = again.map(|again| (again.readings, again.aspects));
        let (readings, aspects) = again.unwrap_or_default();
        let share = |(aspect, share): (Aspect, f64)| AspectShare {
            aspect: aspect.name().to_owned(),
            share,
        };
        let reading = |judged: Judged| JudgedReading {
            at: judged.point.at,
            value: judged.point.value,
            score: judged.score,
            expected: judged.expected.map(band),
        };
        Self {
            detector,
            threshold: THRESHOLD,
            measure: finding.severity,
            observed: finding.observed,
            expected: finding.expected.map(band),
            limit: finding.limit,
            aspects: if finding.rule == Rule::Score {
                aspects.into_iter().map(share).collect()
            } else {
                Vec::new()
            },
            found_at: finding.evidence.until,
            replayed_after,
            readings: readings.into_iter().map(reading).collect(),
            hindrance,
        }
    }
}

/// Judge the readings behind an anomaly again
///
/// For an anomaly of a process model the rows of its asset, for one of a sensor its readings, from
/// the detector's state that was written down last before.
#[utoipa::path(
    get, operation_id = "explain_anomaly", path = "/anomalies/{id}/explain", tag = "telemetry",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = ExplainedAnomaly), (status = 404, body = Problem),
        (status = 422, body = Problem),
    )
)]
pub(crate) async fn explain(
    State(service): State<Telemetry>,
    Path(id): Path<String>,
) -> Result<Json<ExplainedAnomaly>, Problem> {
    let explained = service.explain(&id).await?;
    let detector = explained.anomaly.detector.clone();
    Ok(Json(ExplainedAnomaly {
        anomaly: explained.anomaly,
        same: explained.same,
        again: explained.again,
        rows: explained.rows.into_iter().map(Into::into).collect(),
        series: explained.series.map(|series| SeriesEvidence::of(detector, series)),
    }))
}

/// Take the level of a sensor for normal
///
/// Needs the role engineer. For a standing anomaly of the score: it ends with the next dozen calm
/// readings instead of after a day.
#[utoipa::path(
    post, operation_id = "accept_level", path = "/anomalies/{id}/accept-level", tag = "telemetry",
    params(("id" = String, Path)),
    responses(
        (status = 202, body = Anomaly), (status = 404, body = Problem),
        (status = 422, body = Problem),
    )
)]
pub(crate) async fn accept_level(
    State(service): State<Telemetry>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Anomaly>), Problem> {
    caller.need(Role::Engineer)?;
    let anomaly = service.accept_level(&id).await?;
    tracing::info!(sensor = anomaly.sensor.as_str(), by = caller.name, "level called normal");
    Ok((StatusCode::ACCEPTED, Json(anomaly)))
}
