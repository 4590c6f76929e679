//! Watches for stored readings that failed their checksum and tells whom it concerns, once, and
//! when nothing damaged is left.

use std::collections::HashSet;
use std::time::Duration;

use bus::{TaskContext, TaskError};
use kernel::{EventDraft, SensorKey, Timestamp};
use sense::Origin;
use serde::Serialize;
use store::series::{DAMAGE_LISTED_MAX, Damage, SeriesId, SeriesStatus};
use uuid::Uuid;

use super::Telemetry;
use crate::error::TelemetryError;
use crate::events::ANOMALY_DETECTED;
use crate::model::{AnomalyState, Severity};
use crate::records::{self, DamageAlarm};

/// How far damage has been told, among the checkpoints.
const TOLD: &str = "series-integrity";
const EVERY: Duration = Duration::from_secs(5);
/// Sensors told one by one for each damaged place; of more, the store itself is told.
const SENSORS_MAX: u32 = 8;
/// Stands for the store where nobody can say which sensors lost readings.
const STORE: &str = "plainview/store/readings";
/// What the alarm is called; one stands for each sensor.
const RULE: &str = "damaged_storage";

/// `anomaly.detected` about readings that are kept, not about readings that come in. It is no
/// detector's, so it has no score of one and leads to no prediction.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct StorageDamaged {
    anomaly_id: Uuid,
    sensor: SensorKey,
    asset: String,
    site: String,
    rule: &'static str,
    state: AnomalyState,
    severity: Severity,
    score: f64,
    started_at: Timestamp,
    detected_at: Timestamp,
    cleared_at: Option<Timestamp>,
    origin: Origin,
    /// What was damaged: file, place and event times.
    damage: Damage,
}

impl StorageDamaged {
    fn new(sensor: SensorKey, damage: &Damage) -> Self {
        Self {
            anomaly_id: Uuid::now_v7(),
            asset: sensor.asset().as_str().to_owned(),
            site: sensor.site().to_owned(),
            sensor,
            rule: RULE,
            state: AnomalyState::Active,
            severity: Severity::Medium,
            score: 0.0,
            started_at: damage.found,
            detected_at: damage.found,
            cleared_at: None,
            origin: Origin::Real,
            // Series ids mean nothing outside the store.
            damage: Damage { series: None, ..damage.clone() },
        }
    }
}

impl StorageDamaged {
    /// What is remembered until it is over.
    fn kept(&self) -> Result<DamageAlarm, TelemetryError> {
        Ok(DamageAlarm {
            anomaly_id: self.anomaly_id,
            damage_id: self.damage.id,
            sensor: self.sensor.clone(),
            lost_until: self.damage.to,
            body: serde_json::to_value(self)
                .map_err(|source| TelemetryError::Encoding { what: "damage", source })?,
        })
    }
}

/// Whether the damage that an alarm is about is still in service. The store lists only the newest;
/// of others it is over when their day is older than what is kept.
fn is_left(alarm: &DamageAlarm, status: &SeriesStatus, kept_from: Option<Timestamp>) -> bool {
    let oldest = status.damage.first().filter(|_| status.damage.len() >= DAMAGE_LISTED_MAX);
    if oldest.is_some_and(|oldest| alarm.damage_id < oldest.id) {
        return kept_from.is_none_or(|from| alarm.lost_until >= from);
    }
    !status.damage_over.contains(&alarm.damage_id)
        && status.damage.iter().any(|one| one.id == alarm.damage_id)
}

impl Telemetry {
    /// Tells of damage as the store finds it.
    pub(crate) async fn watch_integrity(self, context: TaskContext) -> Result<(), TaskError> {
        self.ensure_loaded().await?;
        let mut timer = tokio::time::interval(EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = context.stop.cancelled() => return Ok(()),
                _ = timer.tick() => {}
            }
            let told = self.tell_damage().await?;
            let ended = self.end_damage().await?;
            context.handle.progress(told + ended, 0);
        }
    }

    /// Raises an alarm for each damaged place not told of yet; what is said and how far it was
    /// said commit together.
    async fn tell_damage(&self) -> Result<u64, TelemetryError> {
        let status = self.series.status().await?;
        metrics::gauge!("plainview_series_quarantined").set(status.quarantined as f64);
        let told = records::checkpoint(&self.records, TOLD).await?;
        let fresh: Vec<&Damage> = status.damage.iter().filter(|one| one.id >= told).collect();
        let Some(last) = fresh.last() else { return Ok(0) };
        let tx = self.records.begin().await?;
        for damage in &fresh {
            for sensor in self.concerned(damage) {
                let alarm = StorageDamaged::new(sensor, damage);
                let draft = EventDraft::new(ANOMALY_DETECTED, alarm.sensor.as_str(), &alarm)
                    .map_err(|source| TelemetryError::Encoding { what: "damage", source })?;
                self.bus.publish(&tx, "telemetry", draft).await?;
                records::put_damage_alarm(&tx, &alarm.kept()?).await?;
            }
        }
        records::save_checkpoint(&tx, TOLD, last.id + 1).await?;
        tx.commit().await?;
        Ok(fresh.len() as u64)
    }

    /// Ends the alarms of sensors of whose damage nothing is left. Alerts go by sensor, so an alarm
    /// waits for the others of its sensor.
    async fn end_damage(&self) -> Result<u64, TelemetryError> {
        let standing = records::damage_alarms(&self.records).await?;
        if standing.is_empty() {
            return Ok(0);
        }
        let status = self.series.status().await?;
        let now = self.clock.now();
        let kept_from = self.settings.retention.map(|kept| now.minus(kept));
        let left: HashSet<SensorKey> = standing
            .iter()
            .filter(|alarm| is_left(alarm, &status, kept_from))
            .map(|alarm| alarm.sensor.clone())
            .collect();
        let over: Vec<DamageAlarm> =
            standing.into_iter().filter(|alarm| !left.contains(&alarm.sensor)).collect();
        if over.is_empty() {
            return Ok(0);
        }
        let tx = self.records.begin().await?;
        for alarm in &over {
            let mut said = alarm.body.clone();
            if let Some(fields) = said.as_object_mut() {
                fields.insert("state".to_owned(), AnomalyState::Cleared.name().into());
                fields.insert("cleared_at".to_owned(), now.to_string().into());
            }
            let draft = EventDraft::new(ANOMALY_DETECTED, alarm.sensor.as_str(), &said)
                .map_err(|source| TelemetryError::Encoding { what: "damage", source })?;
            self.bus.publish(&tx, "telemetry", draft).await?;
            records::end_damage_alarm(&tx, alarm.anomaly_id).await?;
        }
        tx.commit().await?;
        Ok(over.len() as u64)
    }

    /// The sensors that may have lost readings.
    fn concerned(&self, damage: &Damage) -> Vec<SensorKey> {
        let few =
            damage.series.filter(|(first, last)| last.0.saturating_sub(first.0) < SENSORS_MAX);
        let ids = few.into_iter().flat_map(|(first, last)| first.0..=last.0);
        let known = ids.filter_map(|id| self.registry.by_id(SeriesId(id)));
        let mut keys: Vec<SensorKey> = known.map(|entry| entry.sensor.key.clone()).collect();
        if keys.is_empty() {
            keys.extend(SensorKey::new(STORE).ok());
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bus::{Filter, Offset};
    use kernel::{Quality, SharedClock, SystemClock};
    use store::series::embedded::{Embedded, EmbeddedOptions};
    use store::series::{Batch, Point, Series, Span};

    use super::super::Telemetry;
    use super::super::tests::{START, Site};
    use super::*;
    use crate::model::Settings;

    fn open(dir: &std::path::Path) -> Arc<Embedded> {
        let clock: SharedClock = SystemClock::shared();
        Embedded::open(EmbeddedOptions::new(dir, clock)).unwrap()
    }

    #[tokio::test]
    async fn damage_is_told_once_at_its_sensor() {
        let site = Site::new().await;
        let dir = tempfile::tempdir().unwrap();
        let key = SensorKey::new("north/p-1/pressure").unwrap();
        {
            let store = open(dir.path());
            let id = store.register(std::slice::from_ref(&key)).await.unwrap()[0];
            let mut batch = Batch { received: START, ..Batch::default() };
            for i in 0..3_000 {
                let at = START.plus(Duration::from_secs(i));
                batch.push(id, Point { at, value: (i as f64).sin(), quality: Quality::Good });
            }
            store.append(batch).await.unwrap();
            store.seal_now().await.unwrap();
        }
        let days = std::fs::read_dir(dir.path().join("days")).unwrap();
        let file = days.map(|entry| entry.unwrap().path()).next().unwrap();
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[500] ^= 1;
        std::fs::write(&file, bytes).unwrap();

        let mut deps = site.deps(Settings::default());
        deps.series = open(dir.path());
        let series = Arc::clone(&deps.series);
        let telemetry = Telemetry::new(deps);
        let declared = crate::SensorDeclaration {
            key: key.clone(),
            kind: kernel::SensorKind::Pressure,
            unit: "bar".to_owned(),
            expected_low: None,
            expected_high: None,
            rate_max_per_s: None,
            interval_s: None,
        };
        telemetry.door().declare(declared, Origin::Real).await.unwrap();
        assert_eq!(telemetry.tell_damage().await.unwrap(), 0);
        let id = series.register(std::slice::from_ref(&key)).await.unwrap()[0];
        let ever = Span { from: Timestamp::MIN, to: Timestamp::MAX };
        assert_eq!(series.range(id, ever, 9_999).await.unwrap(), vec![]);
        assert_eq!(telemetry.tell_damage().await.unwrap(), 1);
        assert_eq!(telemetry.tell_damage().await.unwrap(), 0, "told already");
        let filter = Filter { types: vec!["anomaly.detected".to_owned()], ..Filter::default() };
        let events = site.bus.read(Offset(0), &filter, 10).await.unwrap();
        assert_eq!(events.len(), 1);
        let event = &events[0].1;
        assert_eq!(event.subject, "north/p-1/pressure");
        assert_eq!((&event.data["rule"], &event.data["state"]), (&RULE.into(), &"active".into()));
        assert_eq!(event.data["damage"]["from"], START.to_string());

        assert_eq!(telemetry.end_damage().await.unwrap(), 0, "the day is still there");
        let later = START.plus(Duration::from_secs(3 * 86_400));
        assert_eq!(series.retain(later).await.unwrap(), 1);
        assert_eq!(telemetry.end_damage().await.unwrap(), 1);
        assert_eq!(telemetry.end_damage().await.unwrap(), 0, "ended already");
        let events = site.bus.read(Offset(0), &filter, 10).await.unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!(events[1].1.data["state"], "cleared");
        assert_eq!(events[1].1.data["anomaly_id"], events[0].1.data["anomaly_id"]);
    }

    #[test]
    fn what_the_store_no_longer_lists_is_over_unless_it_lists_only_the_newest() {
        let at = |day: u64| START.plus(Duration::from_secs(day * 86_400));
        let damage = |id: u64| Damage {
            id,
            file: String::new(),
            place: None,
            series: None,
            from: at(0),
            to: at(0),
            reason: String::new(),
            found: at(0),
        };
        let alarm = DamageAlarm {
            anomaly_id: Uuid::nil(),
            damage_id: 3,
            sensor: SensorKey::new(STORE).unwrap(),
            lost_until: at(5),
            body: serde_json::Value::Null,
        };
        let mut status = SeriesStatus { damage: vec![damage(3), damage(4)], ..status() };
        assert!(is_left(&alarm, &status, None));
        status.damage_over = vec![3];
        assert!(!is_left(&alarm, &status, None), "a scrub found nothing of it");
        status.damage_over.clear();
        status.damage.remove(0);
        assert!(!is_left(&alarm, &status, None));
        status.damage = (4..4 + DAMAGE_LISTED_MAX as u64).map(damage).collect();
        assert!(is_left(&alarm, &status, None));
        assert!(is_left(&alarm, &status, Some(at(5))));
        assert!(!is_left(&alarm, &status, Some(at(6))));
    }

    fn status() -> SeriesStatus {
        SeriesStatus {
            sensors: 0,
            readings: 0,
            last: store::series::Offset(0),
            unsealed: 0,
            bytes_on_disk: 0,
            quarantined: 0,
            damage: Vec::new(),
            damage_over: Vec::new(),
            held: std::collections::BTreeMap::new(),
            fault: None,
        }
    }
}
