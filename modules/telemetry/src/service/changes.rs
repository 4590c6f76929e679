//! Levels and states that changed for good: said once, and listed.

use kernel::{CorrelationId, EventDraft};
use store::records::Tx;

use super::Telemetry;
use super::detection::encoding;
use crate::error::TelemetryError;
use crate::events::CHANGEPOINT_DETECTED;
use crate::model::Changepoint;
use crate::records::{self, ChangeFilter};

impl Telemetry {
    /// Writes a change and says it, once.
    pub(super) async fn say_change(
        &self,
        tx: &Tx,
        change: &Changepoint,
        correlation: CorrelationId,
    ) -> Result<(), TelemetryError> {
        if !records::record_change(tx, change).await? {
            return Ok(());
        }
        let subject = change.sensor.as_ref().map_or(change.asset.as_str(), |it| it.as_str());
        let draft = EventDraft::new(CHANGEPOINT_DETECTED, subject, change)
            .map_err(encoding("changepoint"))?
            .correlated(correlation);
        self.bus.publish(tx, "telemetry", draft).await?;
        Ok(())
    }

    /// Changes, newest first.
    pub(crate) async fn changepoints(
        &self,
        filter: &ChangeFilter,
    ) -> Result<Vec<Changepoint>, TelemetryError> {
        records::changes(&self.records, filter).await
    }
}
