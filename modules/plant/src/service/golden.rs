use kernel::{CorrelationId, SensorKey, SensorKind};
use sense::Receipt;
use serde_json::json;

use super::Plant;
use crate::decide;
use crate::error::PlantError;
use crate::model::{GoldenPath, SensorSetup, Series};
use crate::records::{self, StoredPath};

/// Golden paths that may feed the plant at once.
const RUNNING_MAX: u64 = 5;
/// Readings handed over at once: several batches under one correlation id.
const BATCH_READINGS: usize = 500;
const RATE_MAX: f64 = 0.5;

impl Plant {
    /// Starts a golden path; the orchestrator's task feeds it.
    pub(crate) async fn start_path(
        &self,
        rate: f64,
        auto_approve: bool,
        actor: &str,
    ) -> Result<GoldenPath, PlantError> {
        if !(rate > 0.0 && rate <= RATE_MAX) {
            let reason = format!("lies above 0 and is at most {RATE_MAX}; this is {rate}");
            return Err(PlantError::Invalid { field: "target_anomaly_rate", reason });
        }
        if auto_approve && !self.settings.development {
            return Err(PlantError::ApprovalForbidden);
        }
        let tx = self.bus.records().begin().await?;
        let running = records::active_count(&tx).await?;
        if running >= RUNNING_MAX {
            return Err(PlantError::Busy { running });
        }
        let number = records::next_number(&tx).await?;
        let sensor = golden_sensor(number)?;
        let id = CorrelationId::new();
        let path = GoldenPath::new(id, number, sensor, rate, auto_approve, actor, self.now());
        records::insert_path(&tx, &path).await?;
        tx.commit().await?;
        self.started.notify_one();
        Ok(path)
    }

    pub(crate) async fn path(&self, id: CorrelationId) -> Result<GoldenPath, PlantError> {
        let found = records::path(self.bus.records(), id).await?;
        found.ok_or(PlantError::UnknownPath { id })
    }

    pub(crate) async fn paths(
        &self,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<GoldenPath>, PlantError> {
        records::list_paths(self.bus.records(), before, limit).await
    }

    /// Hands in the readings of a path and notes it. Done again after a crash, it hands in the
    /// same readings at the same times, which changes nothing.
    pub(super) async fn feed(&self, path: &GoldenPath) -> Result<(), PlantError> {
        let setup = SensorSetup {
            key: path.sensor.clone(),
            kind: SensorKind::Vibration,
            unit: "mm/s".to_owned(),
            expected_low: 0.0,
            expected_high: 7.1,
            rate_max_per_s: None,
            interval_s: None,
        };
        (self.configure)(setup)
            .await
            .map_err(|source| PlantError::Port { port: "configure", source })?;
        let seed = self.settings.seed.wrapping_add(path.number.unsigned_abs());
        let series =
            Series::golden(path.sensor.clone(), seed, path.started_at, path.target_anomaly_rate);
        let (receipt, batches) = self.hand_in(&series, Some(path.correlation_id)).await?;
        let evidence = json!({
            "sensor": path.sensor,
            "readings": series.len(),
            "from": series.readings().next().map(|reading| reading.at),
            "to": series.until,
            "normal": series.normal,
            "anomalous": series.anomalous,
            "fault_at": series.fault_at(),
            "offset": receipt.offset,
        });
        let tx = self.bus.records().begin().await?;
        if let Some(StoredPath { mut path, submitted: false }) =
            records::path_for_update(&tx, path.correlation_id).await?
        {
            let refused = receipt.refused.len();
            let taken = decide::Taken { good: receipt.accepted, refused, batches, evidence };
            decide::ingested(&mut path, taken, self.now());
            records::update_path(&tx, &StoredPath { path, submitted: true }).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Hands in a generated series in batches; returns the sum of the receipts.
    pub(super) async fn hand_in(
        &self,
        series: &Series,
        correlation: Option<CorrelationId>,
    ) -> Result<(Receipt, usize), PlantError> {
        let readings: Vec<_> = series.readings().collect();
        let mut sum = Receipt::default();
        let mut batches = 0;
        for batch in readings.chunks(BATCH_READINGS) {
            let receipt = self.submit(batch.to_vec(), correlation).await?;
            sum.accepted += receipt.accepted;
            sum.refused.extend(receipt.refused);
            sum.offset = receipt.offset.or(sum.offset);
            batches += 1;
        }
        Ok((sum, batches))
    }
}

fn golden_sensor(number: i64) -> Result<SensorKey, PlantError> {
    SensorKey::new(&format!("demo/golden-{number}/vibration"))
        .map_err(|error| PlantError::Invalid { field: "sensor", reason: error.to_string() })
}
