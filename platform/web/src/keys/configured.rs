use crate::{Role, WebError};

use super::secret;

/// Shorter keys can be guessed.
const KEY_BYTES_MIN: usize = 16;

/// A key from the settings. Only its hash is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredKey {
    pub name: String,
    pub role: Role,
    pub(super) hash: blake3::Hash,
}

impl ConfiguredKey {
    #[must_use]
    pub fn new(name: impl Into<String>, role: Role, key: &str) -> Self {
        Self { name: name.into(), role, hash: secret::hash(key) }
    }

    /// Reads the form of `API_KEYS`: `name:role:key` or a bare key (an operator's), separated by
    /// commas.
    ///
    /// # Errors
    /// Names the entry by position, never by its text.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, WebError> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.enumerate().map(|(at, entry)| Self::parse(at + 1, entry)).collect()
    }

    fn parse(position: usize, entry: &str) -> Result<Self, WebError> {
        let refuse = |reason| WebError::ConfiguredKey { position, reason };
        let (name, role, key) = match entry.splitn(3, ':').collect::<Vec<_>>()[..] {
            [key] => (format!("configured-{position}"), Role::Operator, key),
            [name, role, key] => {
                let role = Role::parse(role).ok_or_else(|| {
                    refuse("has no role of ingest, viewer, operator, engineer or admin")
                })?;
                (name.to_owned(), role, key)
            }
            _ => return Err(refuse("is neither `name:role:key` nor a key")),
        };
        super::check_name(&name).map_err(|_| refuse("has a name that is none"))?;
        if key.len() < KEY_BYTES_MIN {
            return Err(refuse("has a key shorter than 16 characters"));
        }
        Ok(Self::new(name, role, key))
    }
}
