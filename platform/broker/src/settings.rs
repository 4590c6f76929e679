use std::net::SocketAddr;
use std::path::PathBuf;

use sense::{Origin, SenseError};
use serde::{Deserialize, Serialize};

/// Largest packet that may be allowed.
const PACKET_BYTES_LIMIT: u32 = 16 * 1024 * 1024;
const CONNECTIONS_LIMIT: usize = 100_000;

/// PEM files of the broker's own certificate chain and key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerSettings {
    pub listen: SocketAddr,
    /// Topics of readings, with places for the parts of the key. Other topics are only passed on.
    pub topics: Vec<String>,
    /// Used when a topic names no site.
    pub default_site: String,
    pub tls: Option<TlsFiles>,
    pub connections_max: usize,
    pub packet_bytes_max: u32,
    /// Messages of one client that may wait for the disk.
    pub inflight_max: u16,
    pub origin: Origin,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            topics: vec!["plainview/{site}/{asset}/{measure*}".to_owned()],
            default_site: "default".to_owned(),
            tls: None,
            connections_max: 1_000,
            packet_bytes_max: 1024 * 1024,
            inflight_max: 1_024,
            origin: Origin::Real,
        }
    }
}

impl BrokerSettings {
    pub(crate) fn check(&self) -> Result<(), SenseError> {
        if !(1..=CONNECTIONS_LIMIT).contains(&self.connections_max) {
            return Err(invalid("connections_max", &format!("is 1 to {CONNECTIONS_LIMIT}")));
        }
        if !(1_024..=PACKET_BYTES_LIMIT).contains(&self.packet_bytes_max) {
            return Err(invalid("packet_bytes_max", &format!("is 1024 to {PACKET_BYTES_LIMIT}")));
        }
        if self.inflight_max == 0 {
            return Err(invalid("inflight_max", "is at least 1"));
        }
        if let Some(topic) = self.topics.iter().find(|topic| topic.starts_with("$share")) {
            return Err(invalid("topics", &format!("`{topic}`: the broker shares nothing")));
        }
        Ok(())
    }
}

pub(crate) fn invalid(field: &'static str, reason: &str) -> SenseError {
    SenseError::Settings { field, reason: reason.to_owned() }
}
