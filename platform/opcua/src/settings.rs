use kernel::{SensorKey, Unit};
use opcua_crypto::SecurityPolicy;
use opcua_types::{MessageSecurityMode, NodeId};
use sense::{Field, FieldKind, Origin, SenseError};
use serde::Deserialize;

pub(crate) const NODES_MAX: usize = 10_000;
const SAMPLING_MS: std::ops::RangeInclusive<u64> = 0..=86_400_000;
const PUBLISHING_MS: std::ops::RangeInclusive<u64> = 10..=3_600_000;
const QUEUE_MAX: u32 = 100_000;
const BACKFILL_HOURS_MAX: u32 = 24 * 366;
/// A thumbprint is a SHA-1 in hexadecimal (OPC 10000-6, 6.2.8).
const THUMBPRINT_CHARS: usize = 40;

pub(crate) const FIELDS: &[Field] = &[
    Field::new("endpoint", "Endpoint", FieldKind::Text)
        .required()
        .help("opc.tcp://host:4840/path"),
    Field::new("security", "Security policy", FieldKind::Select)
        .options(&["none", "basic256_sha256", "aes128_sha256_rsa_oaep", "aes256_sha256_rsa_pss"])
        .default("basic256_sha256"),
    Field::new("mode", "Message security", FieldKind::Select)
        .options(&["sign_and_encrypt", "sign", "none"])
        .default("sign_and_encrypt")
        .help("none goes with the security policy none."),
    Field::new("username", "User", FieldKind::Text).help("Anonymous when left out."),
    Field::new("password", "Password", FieldKind::Secret),
    Field::new("server_thumbprint", "Server's thumbprint", FieldKind::Text).help(
        "The SHA-1 thumbprint of the server's certificate, when you have looked at it and accept it.",
    ),
    Field::new("nodes", "Nodes", FieldKind::Json).help(
        "A list of {node: ns=2;s=Pump.Speed, sensor, unit_of_measure, sampling_ms, deadband}. \
         nsu=URI; may stand for ns=number;.",
    ),
    Field::new("browse", "Browse", FieldKind::Json).help(
        "{root, prefix, depth}: every number under the node root becomes a sensor prefix/path.",
    ),
    Field::new("sampling_ms", "Sampling, ms", FieldKind::Number).default("500"),
    Field::new("publishing_ms", "Publishing, ms", FieldKind::Number).default("500"),
    Field::new("queue", "Queue per node", FieldKind::Number).default("100"),
    Field::new("repeat_s", "Repeat, s", FieldKind::Number).default("30").help(
        "A value that does not change is read and said again after this time; 0 never.",
    ),
    Field::new("backfill_hours", "Backfill, hours", FieldKind::Number)
        .default("24")
        .help("How far back a gap is filled from the server's history; 0 never."),
    Field::new("strict_certificate", "Strict certificate", FieldKind::Json)
        .default("true")
        .help("Check host name, dates and application URI of a trusted server certificate too."),
    Field::new("trust_any", "Trust any server", FieldKind::Json)
        .default("false")
        .help("Take any server's certificate; for development only."),
    Field::new("origin", "Origin", FieldKind::Select)
        .options(&["real", "simulated", "replayed"])
        .default("real"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Security {
    None,
    #[serde(rename = "basic256_sha256")]
    Basic256Sha256,
    #[serde(rename = "aes128_sha256_rsa_oaep")]
    Aes128Sha256RsaOaep,
    #[serde(rename = "aes256_sha256_rsa_pss")]
    Aes256Sha256RsaPss,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    None,
    Sign,
    SignAndEncrypt,
}

/// A node of the list.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeSettings {
    pub(crate) node: String,
    pub(crate) sensor: SensorKey,
    #[serde(default)]
    pub(crate) unit_of_measure: Option<String>,
    #[serde(default)]
    pub(crate) sampling_ms: Option<u64>,
    /// Smaller changes are kept back by the server.
    #[serde(default)]
    pub(crate) deadband: Option<f64>,
}

/// A subtree.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BrowseSettings {
    pub(crate) root: String,
    /// `site/asset`, or deeper.
    pub(crate) prefix: String,
    #[serde(default = "depth")]
    pub(crate) depth: u32,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpcUaSettings {
    pub(crate) endpoint: String,
    #[serde(default = "security")]
    pub(crate) security: Security,
    #[serde(default = "mode")]
    pub(crate) mode: Mode,
    #[serde(default)]
    pub(crate) username: Option<String>,
    #[serde(default)]
    pub(crate) password: Option<String>,
    #[serde(default)]
    pub(crate) server_thumbprint: Option<String>,
    #[serde(default)]
    pub(crate) nodes: Vec<NodeSettings>,
    #[serde(default)]
    pub(crate) browse: Option<BrowseSettings>,
    #[serde(default = "half_second_ms")]
    pub(crate) sampling_ms: u64,
    #[serde(default = "half_second_ms")]
    pub(crate) publishing_ms: u64,
    #[serde(default = "queue")]
    pub(crate) queue: u32,
    #[serde(default = "repeat_s")]
    pub(crate) repeat_s: u32,
    #[serde(default = "backfill_hours")]
    pub(crate) backfill_hours: u32,
    #[serde(default = "yes")]
    pub(crate) strict_certificate: bool,
    #[serde(default)]
    pub(crate) trust_any: bool,
    #[serde(default)]
    pub(crate) origin: Origin,
}

fn security() -> Security {
    Security::Basic256Sha256
}

fn mode() -> Mode {
    Mode::SignAndEncrypt
}

fn half_second_ms() -> u64 {
    500
}

fn queue() -> u32 {
    100
}

fn repeat_s() -> u32 {
    30
}

fn backfill_hours() -> u32 {
    24
}

fn depth() -> u32 {
    5
}

fn yes() -> bool {
    true
}

impl OpcUaSettings {
    pub(crate) fn policy(&self) -> SecurityPolicy {
        match self.security {
            Security::None => SecurityPolicy::None,
            Security::Basic256Sha256 => SecurityPolicy::Basic256Sha256,
            Security::Aes128Sha256RsaOaep => SecurityPolicy::Aes128Sha256RsaOaep,
            Security::Aes256Sha256RsaPss => SecurityPolicy::Aes256Sha256RsaPss,
        }
    }

    pub(crate) fn message_mode(&self) -> MessageSecurityMode {
        match self.mode {
            Mode::None => MessageSecurityMode::None,
            Mode::Sign => MessageSecurityMode::Sign,
            Mode::SignAndEncrypt => MessageSecurityMode::SignAndEncrypt,
        }
    }

    /// Whether a certificate of the server must be trusted before anything is said to it.
    pub(crate) fn is_secure(&self) -> bool {
        self.security != Security::None
    }

    /// # Errors
    /// Names the field at fault.
    pub(crate) fn check(&self, is_development: bool) -> Result<(), SenseError> {
        let fault =
            |field, reason: &str| Err(SenseError::Settings { field, reason: reason.to_owned() });
        let host = self.endpoint.strip_prefix("opc.tcp://").unwrap_or_default();
        if host.is_empty() || host.starts_with(['/', ':']) {
            return fault("endpoint", "opc.tcp://host:port/path is needed");
        }
        if self.endpoint.contains('@') {
            return fault("endpoint", "user and password have fields of their own");
        }
        if self.is_secure() == (self.mode == Mode::None) {
            return fault("mode", "none goes with the security policy none, and only with it");
        }
        if self.trust_any && !is_development {
            return fault("trust_any", "is for development only");
        }
        if self.username.as_deref().unwrap_or_default().is_empty() && self.password.is_some() {
            return fault("username", "a password needs a user");
        }
        let is_hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
        let print = self.server_thumbprint.as_deref();
        if print.is_some_and(|print| print.len() != THUMBPRINT_CHARS || !is_hex(print)) {
            return fault("server_thumbprint", "40 hexadecimal digits are needed");
        }
        if !SAMPLING_MS.contains(&self.sampling_ms) {
            return fault("sampling_ms", "0 to 86400000 is needed");
        }
        if !PUBLISHING_MS.contains(&self.publishing_ms) {
            return fault("publishing_ms", "10 to 3600000 is needed");
        }
        if self.queue == 0 || self.queue > QUEUE_MAX {
            return fault("queue", "1 to 100000 is needed");
        }
        if self.backfill_hours > BACKFILL_HOURS_MAX {
            return fault("backfill_hours", "at most a year");
        }
        if self.nodes.is_empty() && self.browse.is_none() {
            return fault("nodes", "name nodes, or a subtree to browse");
        }
        if self.nodes.len() > NODES_MAX {
            return fault("nodes", "at most 10000");
        }
        self.check_nodes()?;
        self.check_browse()
    }

    fn check_nodes(&self) -> Result<(), SenseError> {
        let mut names = std::collections::HashSet::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let fault = |reason: String| {
                Err(SenseError::Settings { field: "nodes", reason: format!("[{index}]: {reason}") })
            };
            if NodeName::parse(&node.node).is_none() {
                return fault(format!("`{}` is no node id, such as ns=2;s=Pump.Speed", node.node));
            }
            if !names.insert(&node.sensor) {
                return fault(format!("there is another `{}`", node.sensor));
            }
            if let Some(Err(error)) = node.unit_of_measure.as_deref().map(Unit::parse) {
                return fault(format!("unit_of_measure: {error}"));
            }
            if node.sampling_ms.is_some_and(|ms| !SAMPLING_MS.contains(&ms)) {
                return fault("sampling_ms: 0 to 86400000 is needed".to_owned());
            }
            if node.deadband.is_some_and(|band| !band.is_finite() || band < 0.0) {
                return fault("deadband: 0 or more is needed".to_owned());
            }
        }
        Ok(())
    }

    fn check_browse(&self) -> Result<(), SenseError> {
        let Some(browse) = &self.browse else { return Ok(()) };
        let fault =
            |reason: &str| Err(SenseError::Settings { field: "browse", reason: reason.to_owned() });
        if NodeName::parse(&browse.root).is_none() {
            return fault("root: no node id, such as ns=2;i=1");
        }
        if SensorKey::new(&format!("{}/x", browse.prefix)).is_err() {
            return fault("prefix: site/asset is needed");
        }
        if browse.depth == 0 || browse.depth > 20 {
            return fault("depth: 1 to 20 is needed");
        }
        Ok(())
    }
}

/// A node as settings name it: by the number of its namespace, or by the namespace itself, whose
/// number a server may change when it starts anew.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NodeName {
    Number(NodeId),
    Uri { uri: String, node: NodeId },
}

impl NodeName {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let Some(rest) = text.strip_prefix("nsu=") else {
            return text.parse().ok().map(Self::Number);
        };
        let (uri, rest) = rest.split_once(';')?;
        let node = rest.parse().ok()?;
        (!uri.is_empty()).then(|| Self::Uri { uri: uri.to_owned(), node })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn fault(change: impl FnOnce(&mut Value)) -> Option<(&'static str, String)> {
        let mut settings = json!({
            "endpoint": "opc.tcp://plc:4840",
            "nodes": [{ "node": "ns=2;s=A", "sensor": "a/b/c", "unit_of_measure": "bar" }],
            "browse": { "root": "nsu=urn:x;i=5", "prefix": "a/b" },
        });
        change(&mut settings);
        let read = sense::settings::read::<OpcUaSettings>(&settings, FIELDS);
        match read.and_then(|read| read.check(false)) {
            Ok(()) => None,
            Err(SenseError::Settings { field, reason }) => Some((field, reason)),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn settings_at_fault_are_named() {
        assert_eq!(fault(|_| {}), None);
        type Change = fn(&mut Value);
        let faults: [(Change, &str); 12] = [
            (|s| s["endpoint"] = json!("http://plc"), "endpoint"),
            (|s| s["endpoint"] = json!("opc.tcp://u:p@plc"), "endpoint"),
            (|s| s["mode"] = json!("none"), "mode"),
            (|s| s["security"] = json!("none"), "mode"),
            (|s| s["security"] = json!("basic128"), "security"),
            (|s| s["trust_any"] = json!(true), "trust_any"),
            (|s| s["password"] = json!("x"), "username"),
            (|s| s["server_thumbprint"] = json!("abc"), "server_thumbprint"),
            (|s| s["nodes"][0]["node"] = json!("pump"), "nodes"),
            (|s| s["nodes"][0]["sensor"] = json!("pump"), "nodes"),
            (|s| s["browse"]["prefix"] = json!("a"), "browse"),
            (|s| s["queue"] = json!(0), "queue"),
        ];
        for (change, field) in faults {
            assert_eq!(fault(change).map(|(field, _)| field), Some(field));
        }
    }
}
