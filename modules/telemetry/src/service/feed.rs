//! What telemetry tells about itself: ticks, counters, health.

use std::time::Duration;

use bus::{TaskContext, TaskError};
use kernel::{EventDraft, Timestamp};
use sense::Rows;

use super::counters::{add, read};
use super::{FAULTS, Telemetry};
use crate::detect::Outcome;
use crate::error::TelemetryError;
use crate::events::{TELEMETRY_TICK, Tick, TickValue};

/// Values in one tick; what does not fit waits for the next.
const TICK_VALUES_MAX: usize = 500;
const TICK_EVERY: Duration = Duration::from_secs(1);

/// The counters of the data flow.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Flow {
    pub at: Timestamp,
    pub rate_per_s: f64,
    pub accepted: u64,
    pub refused: u64,
    pub batches: u64,
    pub good: u64,
    pub uncertain: u64,
    pub bad: u64,
    pub duplicates: u64,
    pub refused_by_field: Vec<(&'static str, u64)>,
    pub detector_lag_batches: u64,
    pub judged: u64,
    pub late: u64,
    pub doubtful: u64,
    pub anomalies: u64,
    pub sensors: u64,
}

impl Telemetry {
    pub(crate) fn flow(&self) -> Flow {
        let counters = &self.counters;
        let now = self.clock.now();
        let faults = FAULTS.iter().zip(&counters.by_fault);
        Flow {
            at: now,
            rate_per_s: counters.rate_per_s(now),
            accepted: read(&counters.accepted),
            refused: read(&counters.refused),
            batches: read(&counters.batches),
            good: read(&counters.by_quality[0]),
            uncertain: read(&counters.by_quality[1]),
            bad: read(&counters.by_quality[2]),
            duplicates: read(&counters.duplicates),
            refused_by_field: faults.map(|(name, count)| (*name, read(count))).collect(),
            detector_lag_batches: read(&counters.detector_lag),
            judged: read(&counters.judged),
            late: read(&counters.left[0]),
            doubtful: read(&counters.left[1]),
            anomalies: read(&counters.anomalies),
            sensors: self.registry.len() as u64,
        }
    }

    /// Announces once a second what changed, and reports how much came in.
    pub(crate) async fn acquire(self, context: TaskContext) -> Result<(), TaskError> {
        self.ensure_loaded().await?;
        let mut timer = tokio::time::interval(TICK_EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut before = read(&self.counters.accepted);
        loop {
            tokio::select! {
                () = context.stop.cancelled() => return Ok(()),
                _ = timer.tick() => {}
            }
            self.tick()?;
            let accepted = read(&self.counters.accepted);
            context.handle.progress(accepted - before, 0);
            before = accepted;
            metrics::gauge!("plainview_sensors").set(self.registry.len() as f64);
        }
    }

    /// Reports what validation has judged; the judging itself happens in the door, before the
    /// acknowledgement.
    pub(crate) async fn report_validation(self, context: TaskContext) -> Result<(), TaskError> {
        let mut timer = tokio::time::interval(TICK_EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let judged = || read(&self.counters.accepted) + read(&self.counters.refused);
        let mut before = judged();
        loop {
            tokio::select! {
                () = context.stop.cancelled() => return Ok(()),
                _ = timer.tick() => {}
            }
            let after = judged();
            context.handle.progress(after - before, 0);
            before = after;
        }
    }

    fn tick(&self) -> Result<(), TelemetryError> {
        let changed = self.registry.take_changed(TICK_VALUES_MAX);
        if changed.is_empty() {
            return Ok(());
        }
        let values = changed.iter().filter_map(|entry| {
            let now = entry.read_now();
            let latest = now.latest?;
            Some(TickValue {
                sensor: entry.sensor.key.clone(),
                at: latest.at,
                value: latest.value,
                quality: latest.quality.class(),
                score: now.score,
            })
        });
        let at = self.clock.now();
        let tick = Tick { at, values: values.collect() };
        let draft = EventDraft::new(TELEMETRY_TICK, "telemetry", &tick)
            .map_err(|source| TelemetryError::Encoding { what: "tick", source })?;
        self.bus.announce(draft.seal("telemetry", at));
        Ok(())
    }
}

impl Telemetry {
    /// Counts what detection went through, and what of it the score did not judge.
    pub(super) fn count_judged(&self, outcome: &Outcome) {
        add(&self.counters.judged, outcome.judged);
        let left = [("late", outcome.left.late), ("doubtful", outcome.left.doubtful)];
        for (counter, (why, count)) in self.counters.left.iter().zip(left) {
            add(counter, count);
            metrics::counter!("plainview_readings_unjudged_total", "why" => why).increment(count);
        }
    }

    /// Counts rows of a file that could not be read as refused.
    pub(crate) fn count_refused(&self, rows: u64) {
        add(&self.counters.refused, rows);
    }

    /// Counts rows that a door could not read as refused.
    pub(crate) fn count_unreadable(&self, rows: &Rows) {
        let named = rows.refused.len();
        for refusal in &rows.refused {
            let field = if refusal.field == "timestamp" { "at" } else { refusal.field.as_str() };
            self.counters.count_fault(field);
        }
        add(&self.counters.refused, rows.refused_total.saturating_sub(named) as u64);
    }
}
