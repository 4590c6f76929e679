use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kernel::{SensorKey, Timestamp};
use store::series::{Bucket, Corrected, Correction, Point, SeriesId, SharedSeries, Span};
use tokio::sync::OwnedSemaphorePermit;

use super::Telemetry;
use crate::error::TelemetryError;

/// Readings in one page of a long answer: one is held while the client takes the one before.
pub(crate) const PAGE_READINGS: usize = 20_000;

/// Long answers that are sent at one time. Each holds a page and its text, some 4 MiB; a client
/// that does not take what it asked for is cut off by the web's write timeout.
pub(crate) const ANSWERS_MAX: usize = 32;

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

/// What is known of the sensors asked for, and the keys that name none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReadingsAnswer {
    pub series: Vec<SeriesAnswer>,
    pub unknown: Vec<SensorKey>,
}

struct Known {
    id: SeriesId,
    sensor: SensorKey,
    unit: Option<String>,
}

/// A long answer, read from the store page by page: sensor after sensor, each in order of time.
pub(crate) struct Pages {
    series: SharedSeries,
    known: Vec<Known>,
    unknown: Vec<SensorKey>,
    span: Span,
    shape: Shape,
    /// The sensor that is being read, where its next page starts, and how many may still come.
    place: usize,
    from: Timestamp,
    left: usize,
    _place: OwnedSemaphorePermit,
}

/// Some readings or all buckets of the sensor at `place`.
pub(crate) struct ReadingsPage {
    pub place: usize,
    pub data: SeriesData,
}

impl Pages {
    /// The sensors in the order in which they come, with their units.
    pub(crate) fn sensors(&self) -> Vec<(SensorKey, Option<String>)> {
        self.known.iter().map(|known| (known.sensor.clone(), known.unit.clone())).collect()
    }

    pub(crate) fn unknown(&self) -> &[SensorKey] {
        &self.unknown
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// The next page; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<ReadingsPage>, TelemetryError> {
        while let Some(known) = self.known.get(self.place) {
            let (place, id) = (self.place, known.id);
            match self.shape {
                Shape::Buckets { width } => {
                    self.place += 1;
                    let buckets = self.series.buckets(id, self.span, width).await?;
                    let data = SeriesData::Buckets { buckets, width };
                    return Ok(Some(ReadingsPage { place, data }));
                }
                Shape::Raw { .. } => {
                    let wanted = self.left.min(PAGE_READINGS);
                    let rest = Span { from: self.from, to: self.span.to };
                    let points = self.series.range(id, rest, wanted).await?;
                    self.went_on(&points, wanted);
                    if !points.is_empty() {
                        let data = SeriesData::Raw { points, truncated: false };
                        return Ok(Some(ReadingsPage { place, data }));
                    }
                }
            }
        }
        Ok(None)
    }

    /// A sensor has one reading at a time, so the next page starts a microsecond later.
    fn went_on(&mut self, points: &[Point], wanted: usize) {
        self.left -= points.len();
        match points.last() {
            Some(last) if points.len() == wanted && self.left > 0 => {
                self.from = last.at.plus(Duration::from_micros(1));
            }
            _ => {
                self.place += 1;
                self.from = self.span.from;
                self.left = raw_limit(self.shape);
            }
        }
    }
}

fn raw_limit(shape: Shape) -> usize {
    if let Shape::Raw { limit } = shape { limit } else { 0 }
}

impl Telemetry {
    /// Finds the sensors, and takes a place for the answer. Fails when none of them is known, and
    /// names the first.
    pub(crate) async fn reading_pages(
        &self,
        asked: &ReadingsAsked,
    ) -> Result<Pages, TelemetryError> {
        self.ensure_loaded().await?;
        let _place = Arc::clone(&self.answers)
            .try_acquire_owned()
            .map_err(|_| TelemetryError::AnswersFull { max: ANSWERS_MAX })?;
        let (known, unknown) = self.found(&asked.sensors)?;
        Ok(Pages {
            series: SharedSeries::clone(&self.series),
            known,
            unknown,
            span: asked.span,
            shape: asked.shape,
            place: 0,
            from: asked.span.from,
            left: raw_limit(asked.shape),
            _place,
        })
    }

    fn found(&self, sensors: &[SensorKey]) -> Result<(Vec<Known>, Vec<SensorKey>), TelemetryError> {
        let (mut known, mut unknown) = (Vec::with_capacity(sensors.len()), Vec::new());
        let mut seen = HashSet::new();
        for sensor in sensors.iter().filter(|sensor| seen.insert(*sensor)) {
            match self.sensor(sensor) {
                Ok(entry) => known.push(Known {
                    id: entry.id,
                    sensor: sensor.clone(),
                    unit: entry.sensor.unit.clone(),
                }),
                Err(_) => unknown.push(sensor.clone()),
            }
        }
        if let (true, Some(first)) = (known.is_empty(), unknown.first()) {
            return Err(TelemetryError::NoSuchSensor(first.clone()));
        }
        Ok((known, unknown))
    }

    /// The whole answer at once; its caller bounds it.
    pub(crate) async fn readings(
        &self,
        asked: &ReadingsAsked,
    ) -> Result<ReadingsAnswer, TelemetryError> {
        self.ensure_loaded().await?;
        let (known, unknown) = self.found(&asked.sensors)?;
        let mut series = Vec::with_capacity(known.len());
        for known in known {
            let data = match asked.shape {
                Shape::Raw { limit } => {
                    let mut points = self.series.range(known.id, asked.span, limit + 1).await?;
                    let truncated = points.len() > limit;
                    points.truncate(limit);
                    SeriesData::Raw { points, truncated }
                }
                Shape::Buckets { width } => SeriesData::Buckets {
                    buckets: self.series.buckets(known.id, asked.span, width).await?,
                    width,
                },
            };
            series.push(SeriesAnswer { sensor: known.sensor, unit: known.unit, data });
        }
        Ok(ReadingsAnswer { series, unknown })
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
