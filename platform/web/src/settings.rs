use std::time::Duration;

use coord::Rate;

/// How strict Plainview is with itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Reads are open; meant for the loopback of one's own machine.
    #[default]
    Development,
    /// Everything but the health of the program and the UI's files needs a key.
    Production,
}

/// What the web needs to know. Parsed by the composition root.
#[derive(Clone, Debug, PartialEq)]
pub struct WebSettings {
    pub environment: Environment,
    /// Origins, such as `https://hmi.example.org`, whose pages may call the API. Exact; empty
    /// allows none but our own.
    pub cors_origins: Vec<String>,
    /// Largest body as it travels, perhaps compressed.
    pub sent_bytes_max: usize,
    /// Largest body after decompression.
    pub read_bytes_max: usize,
    /// Time for a handler to answer. Event streams are not bound by it.
    pub request_timeout: Duration,
    /// Time for a client to send its headers, and how long an idle connection is kept.
    pub header_timeout: Duration,
    /// Time between two parts of a body.
    pub body_timeout: Duration,
    /// Time for a client to take what we send before its connection is cut.
    pub write_timeout: Duration,
    pub connections_max: usize,
    /// Open event streams.
    pub streams_max: usize,
    pub rates: Rates,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self {
            environment: Environment::Development,
            cors_origins: Vec::new(),
            sent_bytes_max: 16 * 1024 * 1024,
            read_bytes_max: 32 * 1024 * 1024,
            request_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
            connections_max: 16_384,
            streams_max: 10_240,
            rates: Rates::default(),
        }
    }
}

/// How often one caller may call, by class. A caller is a key, or an address without a key.
///
/// The 100 calls a minute of the house rules are meant for calls that change something: a page
/// that opens a trend with ten sensors reads more than that in a few seconds, so reads have
/// classes of their own. Files of the UI, event streams, health and metrics are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Commands to the plant. Emergency close is never limited.
    pub actuation: Rate,
    /// Changes of incidents and alerts.
    pub changes: Rate,
    /// Every other call that is no plain read.
    pub rest: Rate,
    /// Reads with a key.
    pub reads: Rate,
    /// Reads without a key, by address.
    pub anonymous_reads: Rate,
    /// Bodies at the ingest doors, in KiB as sent.
    pub ingest_kib: Rate,
    /// Wrong keys, by address.
    pub wrong_keys: Rate,
}

const MINUTE: Duration = Duration::from_secs(60);

const fn per_minute(calls: u32) -> Rate {
    Rate { calls, per: MINUTE, burst: calls }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            actuation: per_minute(10),
            changes: per_minute(20),
            rest: per_minute(100),
            reads: per_minute(1_200),
            anonymous_reads: per_minute(1_200),
            // 200 MiB a second, in bursts of 2 GiB: a backfill passes, a flood does not.
            ingest_kib: Rate { calls: 12_288_000, per: MINUTE, burst: 2_097_152 },
            wrong_keys: per_minute(30),
        }
    }
}
