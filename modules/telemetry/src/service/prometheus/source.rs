//! Readings as samples.

use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use kernel::{Quality, Reason, Timestamp};
use promql::{PromqlError, STALE, Sample, Selection, Source, Take};
use store::series::{Point, SeriesId, SharedSeries, Span};
use tokio::runtime::Handle;

use super::SERIES_MAX;
use super::index::Index;

/// Samples of one series that one selector may load: 34 days at one a second, 48 MiB.
const SAMPLES_MAX: usize = 3_000_000;
/// Readings asked of the store at a time.
const PAGE: usize = 100_000;
/// Series read while the one before is evaluated.
const AHEAD: usize = 2;

pub(super) struct Readings {
    pub(super) series: SharedSeries,
    pub(super) index: Arc<Index>,
    pub(super) runtime: Handle,
}

impl Source for Readings {
    fn select(&self, selection: &Selection<'_>, take: &mut Take<'_>) -> Result<(), PromqlError> {
        let named = self.index.matching(selection.matchers);
        if named.len() > SERIES_MAX {
            return Err(PromqlError::TooMany { what: "series", max: SERIES_MAX });
        }
        let span = Span {
            from: Timestamp::from_millis(selection.from_ms),
            to: Timestamp::from_millis(selection.to_ms.saturating_add(1)),
        };
        let fetches = named
            .into_iter()
            .map(|named| async move { (&named.labels, self.samples(named.entry.id, span).await) });
        let mut fetched = pin!(futures_util::stream::iter(fetches).buffered(AHEAD));
        while let Some((labels, samples)) = self.runtime.block_on(fetched.next()) {
            take(labels, &samples?)?;
        }
        Ok(())
    }
}

impl Readings {
    async fn samples(&self, id: SeriesId, span: Span) -> Result<Vec<Sample>, PromqlError> {
        let mut samples = Vec::new();
        let mut rest = span;
        loop {
            let points = self.series.range(id, rest, PAGE).await;
            let points = points.map_err(|error| PromqlError::Source(Box::new(error)))?;
            push_samples(&points, &mut samples);
            if samples.len() > SAMPLES_MAX {
                let what = "samples of one series";
                return Err(PromqlError::TooMany { what, max: SAMPLES_MAX });
            }
            match points.last() {
                Some(last) if points.len() == PAGE => {
                    rest.from = Timestamp::from_micros(last.at.as_micros().saturating_add(1));
                }
                _ => return Ok(samples),
            }
        }
    }
}

/// One sample a millisecond, the last one. Bad readings are left out, but one that says that its
/// source fell silent ends the series there.
fn push_samples(points: &[Point], samples: &mut Vec<Sample>) {
    samples.reserve(points.len());
    for point in points {
        let value = match point.quality {
            Quality::Bad(Reason::Stale) => STALE,
            Quality::Bad(_) => continue,
            _ => point.value,
        };
        let at_ms = point.at.as_micros().div_euclid(1_000);
        if samples.last().is_some_and(|last| last.at_ms == at_ms) {
            samples.pop();
        }
        samples.push(Sample { at_ms, value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_readings_are_left_out_and_silence_ends_a_series() {
        let point =
            |micros, value, quality| Point { at: Timestamp::from_micros(micros), value, quality };
        let points = [
            point(-1, 0.5, Quality::Good),
            point(1_000, 1.0, Quality::Good),
            point(1_999, 2.0, Quality::Uncertain(Reason::Manual)),
            point(3_000, 3.0, Quality::Bad(Reason::OutOfRange)),
            point(4_000, 4.0, Quality::Bad(Reason::Stale)),
        ];
        let mut samples = Vec::new();
        push_samples(&points, &mut samples);
        let found: Vec<(i64, f64)> = samples.iter().map(|s| (s.at_ms, s.value)).collect();
        assert_eq!(found[..2], [(-1, 0.5), (1, 2.0)]);
        assert_eq!((samples[2].at_ms, samples[2].is_stale()), (4, true));
        assert_eq!(samples.len(), 3);
    }
}
