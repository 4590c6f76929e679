//! What people do with connectors: make, change, start, stop, remove.

use kernel::{EventDraft, Timestamp};
use sense::{Protocol, SenseError, SourceId};
use serde_json::Value;
use store::records::Tx;

use super::view::SourceView;
use super::{ConfiguredIn, Desired, SourceRecord, Wanted, secrets};
use crate::error::TelemetryError;
use crate::events::{SOURCE_CHANGED, SourceChanged};
use crate::records;
use crate::service::Telemetry;

/// Connectors of the settings file and of the API together.
const CONNECTORS_MAX: usize = 200;
const NAME_CHARS_MAX: usize = 64;

impl Telemetry {
    /// Reads what is wanted once: the settings file first, then what the records add to it.
    pub(super) async fn ensure_sources(&self) -> Result<(), TelemetryError> {
        self.sources.loaded.get_or_try_init(|| self.load_sources()).await.copied()
    }

    async fn load_sources(&self) -> Result<(), TelemetryError> {
        let file = self.sources.connectors.configured.iter().map(|source| {
            let wanted = Wanted {
                settings: source.settings.clone(),
                configured_in: ConfiguredIn::File,
                desired: Desired::Running,
                version: 1,
                changed_by: None,
            };
            (source.id.clone(), wanted)
        });
        let mut all: std::collections::BTreeMap<_, _> = file.collect();
        for record in records::sources(&self.records).await? {
            match (all.get_mut(&record.id), record.settings) {
                // What stands in the file is configured there; people only start and stop it.
                (Some(wanted), _) => wanted.desired = record.desired,
                (None, Some(settings)) => {
                    let wanted = Wanted {
                        settings,
                        configured_in: ConfiguredIn::Api,
                        desired: record.desired,
                        version: record.version,
                        changed_by: Some(record.changed_by),
                    };
                    all.insert(record.id, wanted);
                }
                // Was started or stopped while it stood in the file, and is gone from there.
                (None, None) => {}
            }
        }
        for (id, wanted) in all {
            self.sources.want(&id, Some(wanted));
        }
        Ok(())
    }

    /// Makes a connector and starts it.
    pub(crate) async fn create_source(
        &self,
        protocol: &str,
        name: &str,
        settings: Value,
        actor: &str,
    ) -> Result<SourceView, TelemetryError> {
        self.ensure_sources().await?;
        let known = Protocol::parse(protocol);
        let Some(protocol) = known.filter(|protocol| self.sources.kind(*protocol).is_some()) else {
            return Err(fault("protocol", &format!("there is no connector for `{protocol}`")));
        };
        sound_name(name)?;
        let id = SourceId::new(protocol, name);
        self.sound_settings(&id, &settings)?;
        let changing = self.sources.changing.lock().await;
        if self.sources.wanted(&id).is_some() {
            return Err(TelemetryError::SourceExists(id.to_string()));
        }
        if self.sources.all_wanted().len() >= CONNECTORS_MAX {
            return Err(fault("name", &format!("there are {CONNECTORS_MAX} connectors already")));
        }
        let wanted = Wanted {
            settings,
            configured_in: ConfiguredIn::Api,
            desired: Desired::Running,
            version: 1,
            changed_by: Some(actor.to_owned()),
        };
        self.keep_source(&id, wanted).await?;
        drop(changing);
        self.source_view(&id).await
    }

    /// Replaces the settings; the connector starts anew with them.
    pub(crate) async fn replace_source(
        &self,
        id: &SourceId,
        settings: Value,
        given: i64,
        actor: &str,
    ) -> Result<SourceView, TelemetryError> {
        let changing = self.sources.changing.lock().await;
        let before = self.own_source(id)?;
        if before.version != given {
            let (id, current) = (id.to_string(), before.version);
            return Err(TelemetryError::SourceChanged { id, current, given });
        }
        let secrets = self.sources.secrets(id.protocol);
        let settings = secrets::restore(settings, &before.settings, secrets);
        self.sound_settings(id, &settings)?;
        let wanted = Wanted {
            settings,
            version: before.version + 1,
            changed_by: Some(actor.to_owned()),
            ..before
        };
        self.keep_source(id, wanted).await?;
        drop(changing);
        self.source_view(id).await
    }

    /// Says whether a connector is to run, wherever it was configured.
    pub(crate) async fn steer_source(
        &self,
        id: &SourceId,
        desired: Desired,
        actor: &str,
    ) -> Result<SourceView, TelemetryError> {
        self.ensure_sources().await?;
        let changing = self.sources.changing.lock().await;
        let before = self.sources.wanted(id);
        let before = before.ok_or_else(|| TelemetryError::NoSuchSource(id.to_string()))?;
        if before.desired != desired {
            let changed_by = Some(actor.to_owned());
            self.keep_source(id, Wanted { desired, changed_by, ..before }).await?;
        }
        drop(changing);
        self.source_view(id).await
    }

    /// Stops a connector of the API and forgets it. What it brought stays.
    pub(crate) async fn remove_source(
        &self,
        id: &SourceId,
        actor: &str,
    ) -> Result<(), TelemetryError> {
        self.ensure_sources().await?;
        let changing = self.sources.changing.lock().await;
        let before = self.own_source(id)?;
        let last =
            Wanted { desired: Desired::Stopped, changed_by: Some(actor.to_owned()), ..before };
        let tx = self.records.begin().await?;
        records::remove_source(&tx, id).await?;
        self.say_source(&tx, id, &last, "removed").await?;
        tx.commit().await?;
        self.sources.want(id, None);
        self.sources.board.forget(id);
        drop(changing);
        Ok(())
    }

    /// The source of the API that may be changed here.
    fn own_source(&self, id: &SourceId) -> Result<Wanted, TelemetryError> {
        let wanted = self.sources.wanted(id);
        let wanted = wanted.ok_or_else(|| TelemetryError::NoSuchSource(id.to_string()))?;
        if wanted.configured_in == ConfiguredIn::File {
            return Err(TelemetryError::SourceInFile(id.to_string()));
        }
        Ok(wanted)
    }

    async fn keep_source(&self, id: &SourceId, wanted: Wanted) -> Result<(), TelemetryError> {
        let now: Timestamp = self.clock.now();
        let record = SourceRecord {
            id: id.clone(),
            settings: (wanted.configured_in == ConfiguredIn::Api).then(|| wanted.settings.clone()),
            desired: wanted.desired,
            version: wanted.version,
            changed_by: wanted.changed_by.clone().unwrap_or_default(),
            created_at: now,
            updated_at: now,
        };
        let tx = self.records.begin().await?;
        records::put_source(&tx, &record).await?;
        self.say_source(&tx, id, &wanted, "kept").await?;
        tx.commit().await?;
        self.sources.want(id, Some(wanted));
        Ok(())
    }

    /// Publishes a connector's whole state, which names who changed it.
    pub(super) async fn say_source(
        &self,
        tx: &Tx,
        id: &SourceId,
        wanted: &Wanted,
        change: &'static str,
    ) -> Result<(), TelemetryError> {
        let view = self.connector_view(id, wanted, self.clock.now());
        let payload = SourceChanged {
            change,
            changed_by: wanted.changed_by.clone(),
            id: view.id,
            name: view.name,
            protocol: view.protocol,
            address: view.address,
            desired: wanted.desired,
            state: view.state,
            reconciled: view.reconciled,
            configured_in: wanted.configured_in,
            settings: view.settings.unwrap_or_default(),
            version: wanted.version,
            last_error: view.last_error.map(|error| error.message),
        };
        let draft = EventDraft::new(SOURCE_CHANGED, &payload.id, &payload)
            .map_err(|source| TelemetryError::Encoding { what: "source", source })?;
        self.bus.publish(tx, "telemetry", draft).await?;
        Ok(())
    }

    /// Whether a connector can be made of these settings, here.
    fn sound_settings(&self, id: &SourceId, settings: &Value) -> Result<(), TelemetryError> {
        let Some(kind) = self.sources.kind(id.protocol) else {
            return Err(fault("protocol", "there is no such connector"));
        };
        if !settings.is_object() {
            return Err(fault("settings", "an object is needed"));
        }
        kind.build(&id.name, settings, std::sync::Arc::clone(&self.clock)).map_err(|error| {
            match error {
                SenseError::Settings { field, reason } => {
                    fault(&format!("settings.{field}"), &reason)
                }
                other => fault("settings", &other.to_string()),
            }
        })?;
        let weak = kind.weaknesses(settings);
        if self.sources.connectors.production && !weak.is_empty() {
            let named =
                weak.into_iter().map(|(field, advice)| (format!("settings.{field}"), advice));
            return Err(TelemetryError::SourceInvalid(named.collect()));
        }
        Ok(())
    }
}

fn fault(field: &str, reason: &str) -> TelemetryError {
    TelemetryError::SourceInvalid(vec![(field.to_owned(), reason.to_owned())])
}

fn sound_name(name: &str) -> Result<(), TelemetryError> {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(sound) {
        let reason = "1 to 64 letters, digits, `-`, `_` and `.` are needed";
        return Err(fault("name", reason));
    }
    Ok(())
}
