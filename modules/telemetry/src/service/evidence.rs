//! What anomalies of sensors rest on: kept when they begin, judged again when somebody asks.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kernel::Timestamp;
use signal::detector::Finding;
use store::records::Tx;
use store::series::{SeriesId, Span};

use super::Telemetry;
use super::detection::encoding;
use super::processes::Explained;
use crate::detect::{
    Again, Effect, KeptState, Onset, Said, SavedBefore, judge_again, read_states, write_states,
};
use crate::error::TelemetryError;
use crate::model::{Anomaly, Band, Severity};
use crate::records::{self, KeptEvidence};

/// Readings judged again at most; a state is written down about twice a minute.
const READINGS_MAX: usize = 400_000;
/// Readings shown of them.
const SHOWN_MAX: usize = 500;

/// An anomaly of a sensor, judged again.
#[derive(Debug)]
pub(crate) struct SeriesExplained {
    /// What the detector said when the anomaly began.
    pub onset: Onset,
    /// The newest reading that was part of the state from which on readings were judged again;
    /// `None`: from the sensor's first reading on.
    pub replayed_after: Option<Timestamp>,
    pub again: Option<Again>,
    /// Why it could not be judged again, or what may be behind another answer.
    pub hindrance: Option<String>,
}

impl Telemetry {
    /// The states before the anomalies that begin here, by sensor. To be asked for before newer
    /// states are written.
    pub(super) async fn states_before(
        &self,
        said: &[Said],
    ) -> Result<HashMap<SeriesId, String>, TelemetryError> {
        let begun = said
            .iter()
            .filter(|said| matches!(said.effect, Effect::Anomaly { onset: Some(_), .. }));
        let mut sensors: Vec<SeriesId> = begun.map(|said| said.series).collect();
        sensors.sort_unstable();
        sensors.dedup();
        let states = self.kept_of(&sensors).await?;
        let text = |state: KeptState| {
            let series = state.series();
            Some((series, BASE64_STANDARD.encode(write_states(&[state]).ok()?)))
        };
        Ok(states.into_values().filter_map(text).collect())
    }

    /// Keeps what an anomaly rests on: the state before it and what was said then. The readings
    /// between lie in the store.
    pub(super) async fn keep_evidence(
        &self,
        tx: &Tx,
        anomaly: &Anomaly,
        onset: &Onset,
        before: Option<&String>,
    ) -> Result<(), TelemetryError> {
        let onset = serde_json::to_string(onset).map_err(encoding("evidence"))?;
        let kept = KeptEvidence { before: before.cloned(), onset };
        records::put_evidence(tx, anomaly.anomaly_id, anomaly.started_at, kept).await
    }

    /// Judges the readings behind an anomaly of a sensor again.
    pub(super) async fn explain_series(
        &self,
        anomaly: Anomaly,
    ) -> Result<Explained, TelemetryError> {
        let Some(kept) = records::evidence_of(&self.records, anomaly.anomaly_id).await? else {
            let reason = "what this anomaly rests on was not kept".to_owned();
            return Err(TelemetryError::Invalid { field: "anomaly_id", reason });
        };
        let onset: Onset = serde_json::from_str(&kept.onset).map_err(encoding("evidence"))?;
        let before = match &kept.before {
            None => SavedBefore::Nothing,
            Some(text) => BASE64_STANDARD
                .decode(text)
                .ok()
                .and_then(|bytes| read_states(&bytes)?.pop())
                .map_or(SavedBefore::Unreadable, |one| SavedBefore::State(Box::new(one.saved))),
        };
        let replayed_after = before.reaches();
        let mut hindrance = before.hindrance(anomaly.unit.as_deref()).map(str::to_owned);
        let mut again = None;
        if hindrance.is_none() {
            let entry = self.sensor(&anomaly.sensor)?;
            let from = replayed_after.map_or(Timestamp::MIN, just_after);
            let span = Span { from, to: just_after(onset.finding.evidence.until) };
            let points = self.series.range(entry.id, span, READINGS_MAX + 1).await?;
            if points.len() > READINGS_MAX {
                hindrance = Some(format!("more than {READINGS_MAX} readings lie between"));
            } else {
                let told = onset.clone();
                let judged = tokio::task::spawn_blocking(move || {
                    judge_again(before, &told, &points, SHOWN_MAX)
                });
                let judged =
                    judged.await.map_err(|error| TelemetryError::Shard(error.to_string()))?;
                again = Some(judged);
            }
        }
        let found = again.as_ref().and_then(|again| again.finding.as_ref());
        let same = found.is_some_and(|found| is_same(found, &onset.finding));
        if !same && hindrance.is_none() {
            let reason = "readings came late, were corrected or are gone since";
            hindrance = Some(reason.to_owned());
        }
        let repeated = found.map(|found| repeated(&anomaly, found));
        let series = SeriesExplained { onset, replayed_after, again, hindrance };
        Ok(Explained { anomaly, rows: Vec::new(), again: repeated, same, series: Some(series) })
    }
}

/// The anomaly as it would have begun.
fn repeated(anomaly: &Anomaly, found: &Finding) -> Anomaly {
    let mut again = anomaly.clone();
    again.severity = Severity::from_measure(found.severity);
    again.started_at = found.evidence.since;
    again.expected = found.expected.map(|(low, high)| Band { low, high });
    again.evidence.from = found.evidence.since;
    again.evidence.to = found.evidence.until;
    again.evidence.samples = found.evidence.samples;
    again.evidence.baseline_mean = found.evidence.baseline_mean;
    again.evidence.baseline_spread = found.evidence.baseline_spread;
    again
}

/// The same in every number. What was written down as text may have lost the last bit of one.
fn is_same(found: &Finding, onset: &Finding) -> bool {
    let through_text = |finding: &Finding| {
        let text = serde_json::to_string(finding).ok()?;
        serde_json::from_str::<Finding>(&text).ok()
    };
    through_text(found).is_some_and(|found| Some(found) == through_text(onset))
}

fn just_after(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(1))
}

#[cfg(test)]
mod tests;
