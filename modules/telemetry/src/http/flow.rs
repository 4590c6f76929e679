use std::collections::BTreeMap;

use axum::extract::State;
use kernel::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Json, Page, Problem, Query, Standing};

use super::anomalies::{AnomaliesAsked, page};
use crate::model::ChainedAnomaly;
use crate::service::{Flow, Telemetry};

/// Batches that detection may lag behind before the flow counts as degraded.
const LAG_DEGRADED: u64 = 1_000;

/// How well the data flows.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct FlowHealth {
    status: Standing,
    rate_per_s: f64,
    detector_lag_batches: u64,
    sensors: u64,
    detail: String,
}

/// What flowed since the process started.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct FlowMetrics {
    at: Timestamp,
    /// Readings per second over the last ten seconds.
    rate_per_s: f64,
    sensors: u64,
    batches: u64,
    accepted: u64,
    refused: u64,
    by_quality: BTreeMap<&'static str, u64>,
    refused_by_field: BTreeMap<&'static str, u64>,
    duplicates: u64,
    /// Readings that detection went through.
    judged: u64,
    /// Those among them that the score neither judged nor learned from: `late`, because a newer
    /// one of the sensor was seen before, and `doubtful`, because of their quality.
    unjudged: BTreeMap<&'static str, u64>,
    anomalies: u64,
    detector_lag_batches: u64,
}

/// How well the data flows
#[utoipa::path(get, path = "/flow/health", tag = "telemetry", responses((status = 200, body = FlowHealth)))]
pub(crate) async fn health(State(service): State<Telemetry>) -> Json<FlowHealth> {
    let flow = service.flow();
    let behind = flow.detector_lag_batches > LAG_DEGRADED;
    Json(FlowHealth {
        status: if behind { Standing::Degraded } else { Standing::Ok },
        rate_per_s: flow.rate_per_s,
        detector_lag_batches: flow.detector_lag_batches,
        sensors: flow.sensors,
        detail: if behind {
            format!("detection is {} batches behind", flow.detector_lag_batches)
        } else {
            format!("{:.1} readings/s from {} sensors", flow.rate_per_s, flow.sensors)
        },
    })
}

/// What flowed since the process started
#[utoipa::path(get, path = "/flow/metrics", tag = "telemetry", responses((status = 200, body = FlowMetrics)))]
pub(crate) async fn metrics(State(service): State<Telemetry>) -> Json<FlowMetrics> {
    let Flow { good, uncertain, bad, refused_by_field, .. } = service.flow();
    let flow = service.flow();
    Json(FlowMetrics {
        at: flow.at,
        rate_per_s: flow.rate_per_s,
        sensors: flow.sensors,
        batches: flow.batches,
        accepted: flow.accepted,
        refused: flow.refused,
        by_quality: BTreeMap::from([("good", good), ("uncertain", uncertain), ("bad", bad)]),
        refused_by_field: refused_by_field.into_iter().collect(),
        duplicates: flow.duplicates,
        judged: flow.judged,
        unjudged: BTreeMap::from([("late", flow.late), ("doubtful", flow.doubtful)]),
        anomalies: flow.anomalies,
        detector_lag_batches: flow.detector_lag_batches,
    })
}

/// Anomalies in the flow, newest start first
#[utoipa::path(
    get, path = "/flow/anomalies", tag = "telemetry", params(AnomaliesAsked),
    responses((status = 200, body = Page<ChainedAnomaly>), (status = 422, body = Problem))
)]
pub(crate) async fn anomalies(
    State(service): State<Telemetry>,
    Query(asked): Query<AnomaliesAsked>,
) -> Result<Json<Page<ChainedAnomaly>>, Problem> {
    page(&service, &asked).await.map(Json)
}
