use std::time::Duration;

use kernel::{SensorKey, Timestamp};
use store::series::{Bucket, Corrected, Correction, Point, Span};

use super::Telemetry;
use crate::error::TelemetryError;

/// How readings are wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    Raw { limit: usize },
    Buckets { width: Duration },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReadingsAsked {
    pub sensors: Vec<SensorKey>,
    pub span: Span,
    pub shape: Shape,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SeriesData {
    Raw { points: Vec<Point>, truncated: bool },
    Buckets { buckets: Vec<Bucket>, width: Duration },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SeriesAnswer {
    pub sensor: SensorKey,
    pub unit: Option<String>,
    pub data: SeriesData,
}

impl Telemetry {
    pub(crate) async fn readings(
        &self,
        asked: &ReadingsAsked,
    ) -> Result<Vec<SeriesAnswer>, TelemetryError> {
        self.ensure_loaded().await?;
        let mut answers = Vec::with_capacity(asked.sensors.len());
        for key in &asked.sensors {
            let entry = self.sensor(key)?;
            let data = match asked.shape {
                Shape::Raw { limit } => {
                    let mut points = self.series.range(entry.id, asked.span, limit + 1).await?;
                    let truncated = points.len() > limit;
                    points.truncate(limit);
                    SeriesData::Raw { points, truncated }
                }
                Shape::Buckets { width } => SeriesData::Buckets {
                    buckets: self.series.buckets(entry.id, asked.span, width).await?,
                    width,
                },
            };
            let unit = entry.sensor.unit.clone();
            answers.push(SeriesAnswer { sensor: key.clone(), unit, data });
        }
        Ok(answers)
    }

    /// Puts a stored value right; what it replaces stays in the audit trail.
    pub(crate) async fn correct(
        &self,
        key: &SensorKey,
        at: Timestamp,
        value: f64,
        actor: &str,
        reason: &str,
    ) -> Result<u64, TelemetryError> {
        self.ensure_loaded().await?;
        let entry = self.sensor(key)?;
        let correction =
            Correction { at, value, actor: actor.to_owned(), reason: reason.to_owned() };
        let offset = self.series.correct(entry.id, correction).await?;
        if let Some(Some(point)) = self.series.latest(&[entry.id]).await?.first() {
            entry.stored(*point, self.clock.now());
        }
        Ok(offset.0)
    }

    pub(crate) async fn corrections(
        &self,
        key: &SensorKey,
        limit: usize,
    ) -> Result<Vec<Corrected>, TelemetryError> {
        self.ensure_loaded().await?;
        let entry = self.sensor(key)?;
        Ok(self.series.corrections(entry.id, limit).await?)
    }
}
