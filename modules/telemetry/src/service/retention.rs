use std::time::Duration;

use bus::{TaskContext, TaskError};

use super::Telemetry;
use crate::records;

/// Whole days go, so an hour's delay costs little room.
const EVERY: Duration = Duration::from_secs(3_600);

impl Telemetry {
    /// Removes the days of readings that are older than the settings keep.
    pub(crate) async fn retain(self, context: TaskContext) -> Result<(), TaskError> {
        let Some(kept) = self.settings.retention else {
            context.stop.cancelled().await;
            return Ok(());
        };
        let mut timer = tokio::time::interval(EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = context.stop.cancelled() => return Ok(()),
                _ = timer.tick() => {}
            }
            let removed = self.series.retain(self.clock.now().minus(kept)).await?;
            let tx = self.records.begin().await?;
            records::forget_evidence(&tx, self.clock.now().minus(kept)).await?;
            tx.commit().await?;
            context.handle.progress(removed, 0);
            if removed > 0 {
                tracing::info!(days = removed, "old readings removed");
            }
        }
    }
}
