use axum::extract::State;
use serde::Deserialize;
use web::{Json, Page, Problem, Query};

use super::{invalid, key, time};
use crate::model::{AnomalyState, ChainedAnomaly};
use crate::records::AnomalyFilter;
use crate::service::Telemetry;

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
        let after = self.cursor.as_deref().map(|cursor| {
            let wrong = || invalid("cursor", "pass `next` of the page before, unchanged");
            let (at, id) = cursor.split_once('_').ok_or_else(wrong)?;
            Ok::<_, Problem>((at.parse().map_err(|_| wrong())?, id.to_owned()))
        });
        Ok(AnomalyFilter {
            state: self.state,
            sensor: self.sensor.as_deref().map(key).transpose()?,
            from: time("from", self.from.as_deref())?,
            to: time("to", self.to.as_deref())?,
            after: after.transpose()?,
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
    let mut items = service.anomalies(&asked.filter(limit)?).await?;
    let more = items.len() as u64 > limit;
    items.truncate(limit as usize);
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| format!("{}_{}", last.anomaly.started_at.as_micros(), last.anomaly.anomaly_id));
    Ok(Page { items, next })
}
