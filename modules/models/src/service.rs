mod window;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bus::{Agent, Bus};
use futures_util::future::BoxFuture;
use kernel::{Event, SensorKey, Timestamp};
use store::records::Tx;
use store::series::{SeriesId, SharedSeries};
use uuid::Uuid;

use crate::error::ModelsError;
use crate::events;
use crate::model::{
    Backtest, FORECASTER, FORECASTER_VERSION, Forecast, ForecastPoint, MethodScore, MlHealth,
    ModelName, Prediction, builtin,
};
use crate::predict::{forecast, limit};
use crate::records::{self, Wanted};
use crate::sense::{Anomaly, Band};

/// Says the registered range of a sensor; `None` when it has none.
pub type RangeOf = Arc<dyn Fn(SensorKey) -> BoxFuture<'static, Option<Band>> + Send + Sync>;

/// What this module is given.
#[derive(Clone)]
pub struct Deps {
    pub bus: Bus,
    pub series: SharedSeries,
    /// Where registered ranges are known; without it only what events carry counts.
    pub range_of: Option<RangeOf>,
}

const SOURCE: &str = "models";
const DAY: Duration = Duration::from_secs(86_400);

/// The module's façade; cheap to clone.
#[derive(Clone)]
pub struct Models {
    deps: Deps,
}

/// What a caller wants predicted.
#[derive(Clone, Debug)]
pub(crate) struct PredictWanted {
    pub(crate) sensor: SensorKey,
    pub(crate) horizon_s: Option<f64>,
    pub(crate) limit: Option<f64>,
}

impl Models {
    #[must_use]
    pub fn new(deps: Deps) -> Self {
        Self { deps }
    }

    pub(crate) fn agents(&self) -> Vec<Agent> {
        let service = self.clone();
        vec![Agent::consumer(
            "prediction",
            "Says what will fail, and when",
            &["anomaly.detected"],
            move |event, tx| {
                let service = service.clone();
                Box::pin(async move { Ok(service.on_anomaly(event, tx).await?) })
            },
        )]
    }

    /// An anomaly that matters gets one prediction.
    pub(crate) async fn on_anomaly(&self, event: &Event, tx: &Tx) -> Result<(), ModelsError> {
        let anomaly: Anomaly = event.read()?;
        if !anomaly.is_worth_predicting()
            || records::exists_for(tx.conn(), anomaly.anomaly_id).await?
        {
            return Ok(());
        }
        let key = SensorKey::new(&anomaly.sensor)
            .map_err(|_| ModelsError::NoSuchSensor(anomaly.sensor.clone()))?;
        let window = match self.find(&key).await? {
            Some(id) => window::recent(&self.deps.series, id, Some(anomaly.detected_at)).await?,
            None => Vec::new(),
        };
        let range = match anomaly.range {
            Some(range) => Some(range),
            None => self.range(&key).await,
        };
        let question = limit::Question {
            id: Uuid::now_v7(),
            sensor: &anomaly.sensor,
            asset: &anomaly.asset,
            anomaly: Some(&anomaly),
            range,
            limit: None,
            horizon_s: limit::HORIZON_S,
            now: self.now(),
        };
        let prediction = limit::predict(&question, &window);
        records::insert(tx.conn(), &prediction).await?;
        let draft = events::predicted(&prediction)?.caused_by(event);
        self.deps.bus.publish(tx, SOURCE, draft).await?;
        Ok(())
    }

    /// A prediction on demand; kept nowhere and told to nobody.
    pub(crate) async fn predict(&self, wanted: PredictWanted) -> Result<Prediction, ModelsError> {
        let id = self.known(&wanted.sensor).await?;
        let window = window::recent(&self.deps.series, id, None).await?;
        let asset = wanted.sensor.asset();
        let question = limit::Question {
            id: Uuid::now_v7(),
            sensor: wanted.sensor.as_str(),
            asset: asset.as_str(),
            anomaly: None,
            range: self.range(&wanted.sensor).await,
            limit: wanted.limit,
            horizon_s: wanted.horizon_s.unwrap_or(limit::HORIZON_S),
            now: self.now(),
        };
        Ok(limit::predict(&question, &window))
    }

    pub(crate) async fn forecast(
        &self,
        sensor: &SensorKey,
        horizon: Duration,
        steps: usize,
    ) -> Result<Forecast, ModelsError> {
        let id = self.known(sensor).await?;
        let step = window::step(horizon, steps);
        let history = window::even(&self.deps.series, id, step, forecast::HISTORY_MAX).await?;
        let season = season(step);
        let found =
            forecast::forecast(&history.values, steps, season).ok_or(ModelsError::TooShort {
                found: history.values.len(),
                needed: forecast::HISTORY_MIN,
            })?;
        let mut at = history.end;
        let points = found.steps.iter().map(|value| {
            at = at.plus(step);
            ForecastPoint { at, mean: value.mean, low: value.low, high: value.high }
        });
        let score = |(method, mae): &(forecast::Method, f64)| MethodScore {
            method: method.name().to_owned(),
            mae: *mae,
        };
        Ok(Forecast {
            sensor: sensor.to_string(),
            points: points.collect(),
            model: ModelName {
                name: format!("{FORECASTER}/{}", found.method.name()),
                version: FORECASTER_VERSION.to_owned(),
            },
            backtest: Backtest {
                origins: found.origins as u64,
                scores: found.scores.iter().map(score).collect(),
                coverage: found.coverage,
                confidence: forecast::CONFIDENCE,
            },
            step_s: step.as_secs_f64(),
            history: history.values.len() as u64,
        })
    }

    pub(crate) async fn predictions(
        &self,
        wanted: &Wanted,
        limit: u64,
    ) -> Result<(Vec<Prediction>, Option<String>), ModelsError> {
        let read = self.deps.bus.records().read();
        let mut items = records::list(read, wanted, limit + 1).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if items.len() <= limit {
            return Ok((items, None));
        }
        items.truncate(limit);
        let next = items.last().map(|one| one.prediction_id.to_string());
        Ok((items, next))
    }

    pub(crate) async fn health(&self) -> Result<MlHealth, ModelsError> {
        let (predictions, last_prediction_at) =
            records::count(self.deps.bus.records().read()).await?;
        let series = match self.deps.series.status().await {
            Ok(status) if status.fault.is_none() => "ok",
            _ => "degraded",
        };
        Ok(MlHealth {
            status: series.to_owned(),
            models: builtin().len() as u64,
            predictions,
            last_prediction_at,
            series: series.to_owned(),
        })
    }

    fn now(&self) -> Timestamp {
        self.deps.bus.clock().now()
    }

    async fn range(&self, key: &SensorKey) -> Option<Band> {
        match &self.deps.range_of {
            Some(ask) => ask(key.clone()).await,
            None => None,
        }
    }

    async fn known(&self, key: &SensorKey) -> Result<SeriesId, ModelsError> {
        self.find(key).await?.ok_or_else(|| ModelsError::NoSuchSensor(key.to_string()))
    }

    /// Looks the sensor up without making it known.
    async fn find(&self, key: &SensorKey) -> Result<Option<SeriesId>, ModelsError> {
        let keys = self.deps.series.keys().await?;
        Ok(keys.into_iter().find(|(_, known)| known == key).map(|(id, _)| id))
    }
}

/// A day in steps, when a day is a whole number of them.
fn season(step: Duration) -> Option<usize> {
    let step = step.as_micros().max(1);
    if !DAY.as_micros().is_multiple_of(step) {
        return None;
    }
    usize::try_from(DAY.as_micros() / step).ok()
}
