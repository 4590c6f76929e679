use std::time::Duration;

use bus::{TaskContext, TaskError};
use kernel::{Reading, Timestamp};

use super::Plant;
use crate::error::PlantError;
use crate::model::North;
use crate::records::{self, PlantState};

/// How far back the history goes.
const HISTORY: Duration = Duration::from_secs(24 * 3_600);
const HISTORY_STEP: Duration = Duration::from_secs(10);
const LIVE_STEP: Duration = Duration::from_secs(1);
/// A gap longer than this is filled like history; a shorter one second by second.
const CATCH_UP: Duration = Duration::from_secs(60);
/// Readings handed over at once while filling a gap.
const BATCH_READINGS: usize = 25_000;
/// How often the progress is written down; after a crash as much is written again, unchanged.
const SAVE_EVERY: Duration = Duration::from_secs(30);
/// Pause after readings were not taken.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The tank still shows a shutdown of this long ago.
const MEMORY: Duration = Duration::from_secs(24 * 3_600);

impl Plant {
    /// Writes what is missing of the last day, then a reading of every sensor each second, until
    /// told to stop.
    pub(crate) async fn run_plant(self, context: TaskContext) -> Result<(), TaskError> {
        let mut state = self.opening_state().await?;
        if !state.configured {
            state.configured = self.configure_sensors(&context).await;
            self.save(state).await?;
        }
        let mut saved_until = state.written_until;
        while !context.stop.is_cancelled() {
            let now = self.now();
            let (readings, until) = self.next_readings(state.written_until, now).await?;
            if !readings.is_empty() {
                let count = readings.len() as u64;
                if let Err(error) = self.submit(readings, None).await {
                    context.handle.trouble(&error);
                    pause(&context, RETRY_PAUSE).await;
                    continue;
                }
                state.written_until = until;
                context.handle.progress(count, now.since(until).as_secs());
            }
            if until.since(saved_until) >= SAVE_EVERY {
                self.save(state).await?;
                saved_until = until;
            }
            let next = until.plus(LIVE_STEP);
            pause(&context, next.since(self.now())).await;
        }
        Ok(self.save(state).await?)
    }

    /// Where the plant goes on: a day back at the very first start.
    async fn opening_state(&self) -> Result<PlantState, PlantError> {
        let now = self.now();
        let earliest = whole_seconds(now.minus(HISTORY));
        if let Some(mut state) = records::plant_state(self.bus.records()).await? {
            state.written_until = state.written_until.max(earliest);
            return Ok(state);
        }
        let state =
            PlantState { first_started_at: now, written_until: earliest, configured: false };
        let tx = self.bus.records().begin().await?;
        records::save_plant_state(&tx, state).await?;
        records::insert_run(&tx, &North::opening(now)).await?;
        tx.commit().await?;
        Ok(state)
    }

    async fn configure_sensors(&self, context: &TaskContext) -> bool {
        let mut all = true;
        for setup in self.north.setups() {
            if let Err(source) = (self.configure)(setup).await {
                all = false;
                context.handle.trouble(&PlantError::Port { port: "configure", source });
            }
        }
        all
    }

    /// The next readings after `written`, and the instant up to which they reach.
    async fn next_readings(
        &self,
        written: Timestamp,
        now: Timestamp,
    ) -> Result<(Vec<Reading>, Timestamp), PlantError> {
        let now = whole_seconds(now);
        let gap = now.since(written);
        let step = if gap > CATCH_UP { HISTORY_STEP } else { LIVE_STEP };
        if gap < step {
            return Ok((Vec::new(), written));
        }
        let records = self.bus.records();
        let runs = records::runs_since(records, written.minus(MEMORY)).await?;
        let mut readings = Vec::new();
        let mut until = written;
        while readings.len() < BATCH_READINGS && until.plus(step) <= now {
            until = until.plus(step);
            self.north.read_into(until, &runs, &mut readings);
        }
        Ok((readings, until))
    }

    async fn save(&self, state: PlantState) -> Result<(), PlantError> {
        let tx = self.bus.records().begin().await?;
        records::save_plant_state(&tx, state).await?;
        Ok(tx.commit().await?)
    }
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_secs(at.as_micros().div_euclid(1_000_000))
}

async fn pause(context: &TaskContext, span: Duration) {
    tokio::select! {
        () = context.stop.cancelled() => {}
        () = tokio::time::sleep(span) => {}
    }
}
