use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where this Plainview runs; decides what weak settings are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Environment {
    #[default]
    Development,
    Production,
}

/// Every setting there is, with its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) environment: Environment,
    pub(crate) server: Server,
    pub(crate) data: Data,
    pub(crate) records: Records,
    pub(crate) auth: Auth,
    pub(crate) ingest: Ingest,
    pub(crate) mqtt: Mqtt,
    pub(crate) broker: Broker,
    pub(crate) sources: Vec<Source>,
    pub(crate) events: Events,
    pub(crate) maintenance: Maintenance,
    pub(crate) notifications: Notifications,
    pub(crate) plant: Plant,
    pub(crate) log: Log,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    /// Exact origins that browsers may call from. Empty allows none but our own.
    pub(crate) cors_origins: Vec<String>,
    /// True when a proxy in front ends TLS; production off loopback refuses to start without.
    pub(crate) behind_tls_proxy: bool,
    /// Calls per minute and caller.
    pub(crate) rate_actuation: u32,
    pub(crate) rate_changes: u32,
    pub(crate) rate_other: u32,
    pub(crate) rate_reads: u32,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4000)),
            cors_origins: Vec::new(),
            behind_tls_proxy: false,
            rate_actuation: 10,
            rate_changes: 20,
            rate_other: 100,
            rate_reads: 1_200,
        }
    }
}

/// How hard the series store holds on to what it acknowledges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Durability {
    /// fsync before every acknowledgement.
    #[default]
    Full,
    /// No fsync: loses data on power loss. For the negative control of the fault tests.
    Off,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Data {
    pub(crate) dir: PathBuf,
    pub(crate) durability: Durability,
    /// Days of readings to keep; 0 keeps all.
    pub(crate) retention_days: u32,
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: PathBuf::from("./data"), durability: Durability::Full, retention_days: 0 }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Records {
    /// `postgres://…`, or empty for SQLite in the data directory.
    pub(crate) url: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Auth {
    /// Reads need a key too, even in development.
    pub(crate) protect_reads: bool,
    /// Keys given from outside: `name:role:key`, or a bare key for an operator.
    pub(crate) keys: Vec<String>,
}

/// What becomes of a sensor nobody registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnknownSensors {
    #[default]
    Auto,
    Quarantine,
    Reject,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ingest {
    pub(crate) unknown_sensors: UnknownSensors,
    /// Site of line-protocol rows that name none.
    pub(crate) default_site: String,
    /// Sensors that may be registered.
    pub(crate) sensors_max: usize,
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            unknown_sensors: UnknownSensors::Auto,
            default_site: "site".to_owned(),
            sensors_max: 200_000,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Mqtt {
    /// `mqtt://host:1883` or `mqtts://host:8883`; empty turns it off.
    pub(crate) url: String,
    /// 4 for MQTT 3.1.1, 5 for MQTT 5.
    pub(crate) version: u8,
    pub(crate) client_id: String,
    pub(crate) user: String,
    pub(crate) password: String,
    /// Topic templates: `plant/{site}/{asset}/{measure}`.
    pub(crate) topics: Vec<String>,
    pub(crate) ca_file: Option<PathBuf>,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            url: String::new(),
            version: 5,
            client_id: "plainview".to_owned(),
            user: String::new(),
            password: String::new(),
            topics: vec!["plainview/{site}/{asset}/{measure}".to_owned()],
            ca_file: None,
        }
    }
}

/// A connector that goes out and reads. What else stands in its table are its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// `mqtt`, `sparkplug_b`, `modbus_tcp` or `opc_ua`.
    pub(crate) protocol: String,
    #[serde(flatten)]
    pub(crate) settings: serde_json::Map<String, serde_json::Value>,
}

/// The MQTT broker inside Plainview. Clients log in with a key's name and the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Broker {
    pub(crate) enabled: bool,
    pub(crate) listen: SocketAddr,
    /// Topic templates of readings; other topics are only passed on.
    pub(crate) topics: Vec<String>,
    /// PEM files of the certificate chain and its key; both turn TLS on.
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) connections_max: u32,
    pub(crate) packet_bytes_max: u32,
    /// Messages of one client that may wait for the disk.
    pub(crate) inflight_max: u16,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            topics: vec!["plainview/{site}/{asset}/{measure*}".to_owned()],
            cert_file: None,
            key_file: None,
            connections_max: 1_000,
            packet_bytes_max: 1024 * 1024,
            inflight_max: 1_024,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Events {
    /// Attempts after the first before an event becomes a dead letter.
    pub(crate) retries_max: u32,
    pub(crate) retry_delay_seconds: f64,
    pub(crate) dead_letters: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { retries_max: 3, retry_delay_seconds: 1.0, dead_letters: true }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Maintenance {
    /// Hours of the day, UTC, in which work may start and end.
    pub(crate) work_starts_hour: u8,
    pub(crate) work_ends_hour: u8,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self { work_starts_hour: 7, work_ends_hour: 17 }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Notifications {
    pub(crate) smtp: Smtp,
    pub(crate) webhooks: Vec<Webhook>,
    /// Lets webhooks reach private networks and this machine, and plain http.
    pub(crate) allow_private: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SmtpTls {
    None,
    #[default]
    Starttls,
    Tls,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Smtp {
    /// Empty turns e-mail off.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: SmtpTls,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
}

impl Default for Smtp {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 587,
            tls: SmtpTls::Starttls,
            user: String::new(),
            password: String::new(),
            from: "Plainview <plainview@localhost>".to_owned(),
            to: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    /// `whsec_` and base64, as Standard Webhooks has it.
    pub(crate) secret: String,
    /// Event types to send; empty sends all that notify.
    #[serde(default)]
    pub(crate) events: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Plant {
    /// Run the simulated plant.
    pub(crate) enabled: bool,
    pub(crate) seed: u64,
}

impl Default for Plant {
    fn default() -> Self {
        Self { enabled: false, seed: 1 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// A filter such as `info` or `info,bus=debug`.
    pub(crate) level: String,
    pub(crate) json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), json: false }
    }
}
