//! Keys: who calls. Random, shown once, stored as hashes.

mod configured;
pub(crate) mod http;
mod records;
mod secret;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kernel::{SharedClock, Timestamp};
use rand::RngExt;
use serde::Serialize;
use store::records::{Migration, Records};

use crate::{Caller, Role, WebError};

pub use configured::ConfiguredKey;

/// How long a verified key is believed without asking the database again. Bounds the time until
/// a key that another process revoked is refused here.
const TRUST_FOR: Duration = Duration::from_secs(5);
/// Verified keys kept in memory.
const CACHED_MAX: usize = 1_024;
/// The last use is noted this often at most, so that a busy key costs no writes.
const USE_NOTED_EVERY: Duration = Duration::from_secs(300);
const NAME_BYTES_MAX: usize = 64;

/// A key as people see it: never its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Key {
    pub id: String,
    pub name: String,
    pub role: Role,
    /// The public part of the key, to tell keys apart: `pv_<prefix>_…`.
    pub prefix: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// To within five minutes.
    pub last_used_at: Option<Timestamp>,
}

/// A key just made. `secret` is shown this once and cannot be had again.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct NewKey {
    #[serde(flatten)]
    pub key: Key,
    pub secret: String,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("key", &self.key).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
struct Known {
    key: Key,
    hash: blake3::Hash,
    /// On the monotonic clock.
    read_at: Duration,
}

#[derive(Debug)]
struct Shared {
    records: Records,
    clock: SharedClock,
    configured: Vec<ConfiguredKey>,
    cache: Mutex<HashMap<String, Known>>,
}

/// The keys of this installation; cheap to clone.
#[derive(Clone, Debug)]
pub struct Keys(Arc<Shared>);

impl Keys {
    /// `configured` are keys from the settings; they live only in memory, as hashes.
    #[must_use]
    pub fn new(records: Records, clock: SharedClock, configured: Vec<ConfiguredKey>) -> Self {
        let cache = Mutex::new(HashMap::new());
        Self(Arc::new(Shared { records, clock, configured, cache }))
    }

    #[must_use]
    pub fn migrations() -> Vec<Migration> {
        records::migrations()
    }

    /// Makes a key and shows its secret, once.
    ///
    /// # Errors
    /// When the name is taken by a living key or is none, or the database refuses.
    pub async fn create(
        &self,
        name: &str,
        role: Role,
        expires_at: Option<Timestamp>,
    ) -> Result<NewKey, WebError> {
        check_name(name)?;
        let mut entropy: secret::Entropy = [0; size_of::<secret::Entropy>()];
        rand::rng().fill(&mut entropy);
        let (prefix, secret) = secret::from_entropy(&entropy);
        let key = Key {
            id: uuid::Uuid::now_v7().to_string(),
            name: name.to_owned(),
            role,
            prefix,
            created_at: self.0.clock.now(),
            expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        if self.0.configured.iter().any(|configured| configured.name == name) {
            return Err(WebError::KeyNameTaken { name: name.to_owned() });
        }
        let tx = self.0.records.begin().await?;
        if records::name_is_taken(&tx, name, key.created_at).await? {
            return Err(WebError::KeyNameTaken { name: name.to_owned() });
        }
        records::insert(&tx, &key, secret::hash(&secret)).await?;
        tx.commit().await?;
        tracing::info!(key = %key.name, role = ?key.role, prefix = %key.prefix, "key created");
        Ok(NewKey { key, secret })
    }

    /// All keys of the database, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list(&self) -> Result<Vec<Key>, WebError> {
        records::list(&self.0.records).await
    }

    /// Ends a key by id, name or prefix; at once in this process, within seconds in others.
    /// `None` when there is no such living key.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn revoke(&self, which: &str) -> Result<Option<Key>, WebError> {
        let tx = self.0.records.begin().await?;
        let revoked = records::revoke(&tx, which, self.0.clock.now()).await?;
        tx.commit().await?;
        if let Some(key) = &revoked {
            self.cache().remove(&key.prefix);
            tracing::info!(key = %key.name, prefix = %key.prefix, "key revoked");
        }
        Ok(revoked)
    }

    /// Whose key this is; `None` for a wrong, expired or revoked one.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn verify(&self, presented: &str) -> Result<Option<Caller>, WebError> {
        let hash = secret::hash(presented);
        // Every hash is compared, each in constant time: how long it takes says nothing.
        let configured = self
            .0
            .configured
            .iter()
            .fold(None, |found, key| if key.hash == hash { Some(key) } else { found });
        if let Some(key) = configured {
            return Ok(Some(Caller { name: key.name.clone(), role: Some(key.role) }));
        }
        let Some(prefix) = secret::prefix_of(presented) else { return Ok(None) };
        let Some(known) = self.known(prefix).await? else { return Ok(None) };
        let now = self.0.clock.now();
        let alive = known.key.revoked_at.is_none()
            && known.key.expires_at.is_none_or(|expires_at| now < expires_at);
        if known.hash != hash || !alive {
            return Ok(None);
        }
        self.note_use(&known, now);
        Ok(Some(Caller { name: known.key.name, role: Some(known.key.role) }))
    }

    async fn known(&self, prefix: &str) -> Result<Option<Known>, WebError> {
        let read_at = self.0.clock.monotonic();
        let cached = self.cache().get(prefix).cloned();
        if let Some(known) = cached
            && read_at.saturating_sub(known.read_at) < TRUST_FOR
        {
            return Ok(Some(known));
        }
        let Some((key, hash)) = records::by_prefix(&self.0.records, prefix).await? else {
            return Ok(None);
        };
        let known = Known { key, hash, read_at };
        let mut cache = self.cache();
        if cache.len() >= CACHED_MAX {
            cache.clear();
        }
        cache.insert(prefix.to_owned(), known.clone());
        Ok(Some(known))
    }

    fn note_use(&self, known: &Known, now: Timestamp) {
        let noted_lately =
            known.key.last_used_at.is_some_and(|last| now.since(last) < USE_NOTED_EVERY);
        if noted_lately {
            return;
        }
        if let Some(cached) = self.cache().get_mut(&known.key.prefix) {
            cached.key.last_used_at = Some(now);
        }
        let (keys, id) = (self.clone(), known.key.id.clone());
        // Nobody waits for this note; when it is lost, the next use makes it again.
        tokio::spawn(async move {
            if let Err(error) = keys.write_use(&id, now).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "use of a key not noted");
            }
        });
    }

    async fn write_use(&self, id: &str, now: Timestamp) -> Result<(), WebError> {
        let tx = self.0.records.begin().await?;
        records::note_use(&tx, id, now).await?;
        Ok(tx.commit().await?)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_name(name: &str) -> Result<(), WebError> {
    let sane = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(sane) {
        return Err(WebError::KeyName { name: name.chars().take(NAME_BYTES_MAX).collect() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
