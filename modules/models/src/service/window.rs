use std::time::Duration;

use kernel::Timestamp;
use store::series::{SeriesId, SharedSeries, Span};

use crate::error::ModelsError;

/// How far back a trend is looked for.
const LOOK_BACK: Duration = Duration::from_secs(86_400);
/// Points a trend is drawn from: enough for a day in five minutes, few enough to be quick.
const POINTS: u32 = 288;
/// Fewer buckets than this and the readings cover only a part of the day: look closer.
const POINTS_FEW: usize = 48;
const STEP_MIN: Duration = Duration::from_secs(1);

/// The readings of the day before `end` (the newest reading when not given), as means of even
/// stretches, oldest first.
pub(super) async fn recent(
    series: &SharedSeries,
    id: SeriesId,
    end: Option<Timestamp>,
) -> Result<Vec<(Timestamp, f64)>, ModelsError> {
    let Some(end) = end_of(series, id, end).await? else { return Ok(Vec::new()) };
    // Buckets are half open; the newest reading belongs to the window.
    let to = end.plus(Duration::from_micros(1));
    let coarse =
        means(series, id, Span { from: end.minus(LOOK_BACK), to }, LOOK_BACK / POINTS).await?;
    let Some((first, _)) = coarse.first().copied().filter(|_| coarse.len() < POINTS_FEW) else {
        return Ok(coarse);
    };
    let width = (to.since(first) / POINTS).max(STEP_MIN);
    means(series, id, Span { from: first, to }, width).await
}

/// Evenly spaced history, and the time of its last value.
pub(super) struct Even {
    pub(super) values: Vec<f64>,
    pub(super) end: Timestamp,
}

/// The last `max` even steps up to the newest reading; gaps keep the value before them.
pub(super) async fn even(
    series: &SharedSeries,
    id: SeriesId,
    step: Duration,
    max: usize,
) -> Result<Even, ModelsError> {
    let Some(newest) = end_of(series, id, None).await? else {
        return Ok(Even { values: Vec::new(), end: Timestamp::default() });
    };
    let back = step.saturating_mul(u32::try_from(max).unwrap_or(u32::MAX));
    let span = Span { from: newest.minus(back), to: newest.plus(Duration::from_micros(1)) };
    let buckets = series.buckets(id, span, step).await?;
    let mut values: Vec<f64> = Vec::with_capacity(buckets.len());
    let mut end = newest;
    let step_us = i64::try_from(step.as_micros()).unwrap_or(i64::MAX).max(1);
    let mut next: Option<i64> = None;
    for bucket in buckets.iter().filter(|bucket| bucket.count > 0) {
        let start = bucket.start.as_micros();
        if let (Some(expected), Some(last)) = (next, values.last().copied()) {
            let missing = usize::try_from((start - expected) / step_us).unwrap_or(0);
            values.extend(std::iter::repeat_n(last, missing.min(max)));
        }
        values.push(bucket.mean());
        next = Some(start + step_us);
        end = bucket.start;
    }
    let surplus = values.len().saturating_sub(max);
    values.drain(..surplus);
    Ok(Even { values, end })
}

/// Whole seconds between two steps of a forecast.
pub(super) fn step(horizon: Duration, steps: usize) -> Duration {
    let steps = u32::try_from(steps).unwrap_or(u32::MAX).max(1);
    Duration::from_secs((horizon / steps).as_secs().max(1))
}

async fn end_of(
    series: &SharedSeries,
    id: SeriesId,
    end: Option<Timestamp>,
) -> Result<Option<Timestamp>, ModelsError> {
    if end.is_some() {
        return Ok(end);
    }
    let latest = series.latest(&[id]).await?;
    Ok(latest.into_iter().next().flatten().map(|point| point.at))
}

async fn means(
    series: &SharedSeries,
    id: SeriesId,
    span: Span,
    width: Duration,
) -> Result<Vec<(Timestamp, f64)>, ModelsError> {
    let buckets = series.buckets(id, span, width).await?;
    Ok(buckets
        .iter()
        .filter(|bucket| bucket.count > 0)
        .map(|bucket| (bucket.start.plus(width / 2), bucket.mean()))
        .filter(|(_, mean)| mean.is_finite())
        .collect())
}
