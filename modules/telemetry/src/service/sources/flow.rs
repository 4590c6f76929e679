//! How much comes in and how far its readers are behind.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::TelemetryError;
use crate::service::Telemetry;
use crate::service::counters::read;
use crate::service::detection::READER;
use crate::service::process_detection::READER as PROCESSES;

/// How much one second counts in a smoothed rate.
const SMOOTHING: f64 = 0.2;

/// The way of the readings through this process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct SourceFlow {
    pub(crate) received_per_s: f64,
    pub(crate) refused_per_s: f64,
    pub(crate) stored_per_s: f64,
    /// On disk now, the log included; null while there are none.
    pub(crate) bytes_per_reading: Option<f64>,
    pub(crate) readers: Vec<FlowReader>,
}

impl SourceFlow {
    /// As people read it: a smoothed rate never ends to change.
    pub(super) fn rounded(mut self) -> Self {
        let tenth = |rate: &mut f64| *rate = (*rate * 10.0).round() / 10.0;
        [&mut self.received_per_s, &mut self.refused_per_s, &mut self.stored_per_s]
            .into_iter()
            .chain(self.readers.iter_mut().map(|reader| &mut reader.per_s))
            .for_each(tenth);
        self
    }
}

/// Who follows the log of readings.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct FlowReader {
    pub(crate) name: String,
    pub(crate) per_s: f64,
    pub(crate) lag_ms: u64,
    pub(crate) lag_readings: u64,
}

#[derive(Debug, Default)]
struct Seen {
    at: Option<Duration>,
    accepted: u64,
    refused: u64,
    judged: u64,
    stored_per_s: f64,
    refused_per_s: f64,
    judged_per_s: f64,
}

/// Takes the counters once a second and remembers how fast they grow.
#[derive(Debug, Default)]
pub(crate) struct FlowMeter(Mutex<Seen>);

impl Telemetry {
    pub(super) fn meter_flow(&self) {
        let now = self.clock.monotonic();
        let (accepted, refused, judged) = (
            read(&self.counters.accepted),
            read(&self.counters.refused),
            read(&self.counters.judged),
        );
        let mut seen = self.sources.flow.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = seen.at {
            let seconds = now.saturating_sub(before).as_secs_f64();
            if seconds <= 0.0 {
                return;
            }
            let keep = (1.0 - SMOOTHING).powf(seconds);
            let smooth = |rate: f64, after: u64, before: u64| {
                rate * keep + (1.0 - keep) * after.saturating_sub(before) as f64 / seconds
            };
            seen.stored_per_s = smooth(seen.stored_per_s, accepted, seen.accepted);
            seen.refused_per_s = smooth(seen.refused_per_s, refused, seen.refused);
            seen.judged_per_s = smooth(seen.judged_per_s, judged, seen.judged);
        }
        *seen = Seen { at: Some(now), accepted, refused, judged, ..*seen };
    }

    pub(crate) async fn source_flow(&self) -> Result<SourceFlow, TelemetryError> {
        let counters = &self.counters;
        let status = self.series.status().await?;
        let batches = read(&counters.batches).max(1);
        let per_batch = read(&counters.accepted) as f64 / batches as f64;
        let seen = self.sources.flow.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lag_batches = read(&counters.detector_lag);
        let lag_readings = (lag_batches as f64 * per_batch).round();
        let speed = seen.judged_per_s.max(1.0);
        let detection = FlowReader {
            name: READER.to_owned(),
            per_s: seen.judged_per_s,
            lag_ms: (lag_readings / speed * 1e3) as u64,
            lag_readings: lag_readings as u64,
        };
        let others = status.held.iter().filter(|(name, _)| name.as_str() != READER);
        let others = others.map(|(name, offset)| {
            // What a reader holds is only written down now and then; the models say themselves.
            let batches = if name == PROCESSES {
                read(&counters.process_lag)
            } else {
                status.last.0.saturating_sub(*offset)
            };
            let lag = batches as f64 * per_batch;
            FlowReader {
                name: name.clone(),
                per_s: seen.stored_per_s,
                lag_ms: (lag / seen.stored_per_s.max(1.0) * 1e3) as u64,
                lag_readings: lag as u64,
            }
        });
        Ok(SourceFlow {
            received_per_s: seen.stored_per_s + seen.refused_per_s,
            refused_per_s: seen.refused_per_s,
            stored_per_s: seen.stored_per_s,
            bytes_per_reading: (status.readings > 0)
                .then(|| status.bytes_on_disk as f64 / status.readings as f64),
            readers: std::iter::once(detection).chain(others).collect(),
        })
    }
}
