use std::time::Duration;

use axum::extract::State;
use kernel::{SensorKind, Timestamp};
use serde::{Deserialize, Serialize};
use store::series::{Aggregate, Span};
use utoipa::ToSchema;
use web::{Json, Problem, Query};

use super::readings::width;
use super::{invalid, time};
use crate::service::{Chosen, Telemetry};

const SPAN_DEFAULT: Duration = Duration::from_secs(24 * 3600);
const WIDTH_DEFAULT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Default, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AggregateParams {
    #[garde(length(max = 200))]
    site: Option<String>,
    /// `site/asset`, or the asset's own name.
    #[garde(length(max = 200))]
    asset: Option<String>,
    #[garde(skip)]
    kind: Option<SensorKind>,
    /// The measure's name.
    #[garde(length(max = 200))]
    measure: Option<String>,
    /// Start of the stretch; a day before its end when left out.
    #[garde(skip)]
    from: Option<String>,
    /// End of the stretch, excluded; now when left out.
    #[garde(skip)]
    to: Option<String>,
    /// Width of the buckets: `250ms`, `60s` (default), `15m`, `1h`, `1d`.
    #[garde(length(max = 16))]
    width: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct AggregateBucket {
    at: Timestamp,
    count: u64,
    min: f64,
    max: f64,
    mean: f64,
}

impl From<Aggregate> for AggregateBucket {
    fn from(of: Aggregate) -> Self {
        Self { at: of.start, count: of.count, min: of.min, max: of.max, mean: of.mean() }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct AggregateView {
    /// Sensors that the filters choose.
    sensors: usize,
    width_s: f64,
    buckets: Vec<AggregateBucket>,
}

/// Many sensors as one: the readings of all that the filters choose, bucket by bucket
///
/// Choose sensors of one kind and unit; bad readings are left out.
#[utoipa::path(
    get, operation_id = "aggregate_readings", path = "/sensors/aggregate", tag = "telemetry",
    params(AggregateParams),
    responses((status = 200, body = AggregateView), (status = 400, body = Problem), (status = 422, body = Problem))
)]
pub(crate) async fn aggregate(
    State(service): State<Telemetry>,
    Query(asked): Query<AggregateParams>,
) -> Result<Json<AggregateView>, Problem> {
    let now = service.clock.now();
    let to = time("to", asked.to.as_deref())?.unwrap_or(now.plus(Duration::from_secs(1)));
    let from = time("from", asked.from.as_deref())?.unwrap_or(to.minus(SPAN_DEFAULT));
    if from >= to {
        return Err(invalid("from", "must lie before `to`"));
    }
    let width = asked.width.as_deref().map_or(Ok(WIDTH_DEFAULT), width)?;
    let chosen =
        Chosen { site: asked.site, asset: asked.asset, kind: asked.kind, measure: asked.measure };
    let (sensors, buckets) = service.aggregate(&chosen, Span { from, to }, width).await?;
    let buckets = buckets.into_iter().map(AggregateBucket::from).collect();
    Ok(Json(AggregateView { sensors, width_s: width.as_secs_f64(), buckets }))
}
