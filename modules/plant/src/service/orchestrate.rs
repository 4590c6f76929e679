use std::time::Duration;

use bus::{HandlerError, TaskContext, TaskError};
use kernel::{CorrelationId, Event, Timestamp};
use store::records::Tx;

use super::Plant;
use crate::decide;
use crate::error::PlantError;
use crate::model::GoldenPath;
use crate::records::{self, StoredPath};
use crate::sense;

/// How often deadlines are looked at.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Paths looked at in one round, newest first.
const WATCHED_MAX: u64 = 100;
/// Who approves when nobody has to.
const ACTOR: &str = "golden-path";
const APPROVAL_REASON: &str = "approved by the golden path itself, as asked for at its start";

impl Plant {
    /// Notes what `event` means for the golden path it belongs to, if it belongs to one.
    pub(crate) async fn orchestrate(&self, event: &Event, tx: &Tx) -> Result<(), HandlerError> {
        let found = records::path_for_update(tx, event.correlationid).await?;
        let Some(mut stored) = found else { return Ok(()) };
        let Some(seen) = sense::see(event).map_err(HandlerError::poison)? else { return Ok(()) };
        decide::follow(&mut stored.path, &seen);
        Ok(records::update_path(tx, &stored).await?)
    }

    /// Feeds started paths, asks for approvals that need no person, and marks what is overdue.
    pub(crate) async fn watch_paths(self, context: TaskContext) -> Result<(), TaskError> {
        while !context.stop.is_cancelled() {
            let active = records::active_paths(self.bus.records(), WATCHED_MAX).await?;
            for StoredPath { path, submitted } in active {
                if let Err(error) = self.tend(&path, submitted).await {
                    context.handle.trouble(&error);
                }
            }
            tokio::select! {
                () = context.stop.cancelled() => {}
                () = self.started.notified() => {}
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
        }
        Ok(())
    }

    async fn tend(&self, path: &GoldenPath, submitted: bool) -> Result<(), PlantError> {
        if !submitted && let Err(error) = self.feed(path).await {
            // The path says itself that it is stuck once the deadline has passed.
            self.watch_path(path.correlation_id).await?;
            return Err(error);
        }
        if decide::wants_approval(path)
            && let Some(decision) = path.decision_id.clone()
        {
            (self.approve)(decision, APPROVAL_REASON.to_owned(), ACTOR.to_owned())
                .await
                .map_err(|source| PlantError::Port { port: "approve", source })?;
            return self.note_approval(path.correlation_id, self.now()).await;
        }
        let mut changed = path.clone();
        if decide::watch(&mut changed, self.now()) {
            self.watch_path(path.correlation_id).await?;
        }
        Ok(())
    }

    /// Looks at a path again under its lock: an event may have come in the meantime.
    async fn watch_path(&self, id: CorrelationId) -> Result<(), PlantError> {
        let tx = self.bus.records().begin().await?;
        if let Some(mut stored) = records::path_for_update(&tx, id).await?
            && decide::watch(&mut stored.path, self.now())
        {
            records::update_path(&tx, &stored).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn note_approval(&self, id: CorrelationId, now: Timestamp) -> Result<(), PlantError> {
        let tx = self.bus.records().begin().await?;
        if let Some(mut stored) = records::path_for_update(&tx, id).await? {
            stored.path.approval_asked_at = Some(now);
            records::update_path(&tx, &stored).await?;
        }
        Ok(tx.commit().await?)
    }
}
