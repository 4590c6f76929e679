use axum::extract::State;
use kernel::SensorKey;
use serde::Deserialize;
use web::{Json, Page, Problem, Query};

use super::{after, invalid, key, page_of, time};
use crate::model::Changepoint;
use crate::records::ChangeFilter;
use crate::service::Telemetry;

const LIMIT_DEFAULT: u64 = 100;

#[derive(Clone, Debug, Default, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangepointsAsked {
    #[garde(length(max = 200))]
    sensor: Option<String>,
    /// `site/asset`: the asset as a whole and its sensors.
    #[garde(length(max = 200))]
    asset: Option<String>,
    /// Changed at or after this time.
    #[garde(skip)]
    from: Option<String>,
    /// Changed before this time.
    #[garde(skip)]
    to: Option<String>,
    #[garde(range(min = 1, max = 1000))]
    limit: Option<u64>,
    #[garde(length(max = 100))]
    cursor: Option<String>,
}

impl ChangepointsAsked {
    fn filter(&self, limit: u64) -> Result<ChangeFilter, Problem> {
        let asset = self.asset.as_deref().map(|asset| {
            let key = SensorKey::new(&format!("{asset}/-"));
            key.map(|key| key.asset()).map_err(|error| invalid("asset", error.to_string()))
        });
        Ok(ChangeFilter {
            sensor: self.sensor.as_deref().map(key).transpose()?,
            asset: asset.transpose()?,
            from: time("from", self.from.as_deref())?,
            to: time("to", self.to.as_deref())?,
            after: after(self.cursor.as_deref())?,
            limit: limit + 1,
        })
    }
}

/// Levels of sensors and states of assets that changed for good, newest first
#[utoipa::path(
    get, operation_id = "list_changepoints", path = "/changepoints", tag = "telemetry",
    params(ChangepointsAsked),
    responses((status = 200, body = Page<Changepoint>), (status = 422, body = Problem))
)]
pub(crate) async fn list(
    State(service): State<Telemetry>,
    Query(asked): Query<ChangepointsAsked>,
) -> Result<Json<Page<Changepoint>>, Problem> {
    let limit = asked.limit.unwrap_or(LIMIT_DEFAULT);
    let items = service.changepoints(&asked.filter(limit)?).await?;
    Ok(Json(page_of(items, limit, |one| (one.changed_at, one.changepoint_id))))
}
