//! How the labels of a time series become `site/asset/measure`.
//!
//! The same words as in line protocol ([`KeyMapping`]), with those that Prometheus and
//! OpenTelemetry use for the same things. The mapping is stable, and no two series of different
//! labels become one sensor:
//!
//! - site: the label `site`, else `job` when the series also says where it runs, else the default.
//! - asset: the first of `asset`, `instance`, `host`, `device`, `hostname`; else `job`; else the
//!   metric itself, and the measure is `value`.
//! - measure: the metric's name.
//! - every other label follows as `/label:value`, in order of the labels.
//! - A `unit` label that names a unit of the unit table is the unit and stands in no key.
//!
//! A character that no key may hold becomes `_`, and then the part ends with eight hexadecimal
//! digits of its value's hash. When a key gets too long or too deep, its other labels become one
//! part, `labels:` and sixteen digits of their hash.

use kernel::{SensorKey, SensorKind, Unit};
use serde_json::{Map, Value};

use crate::Hint;
use crate::line::KeyMapping;
use crate::rows::excerpt;

/// Labels of one series.
pub const LABELS_MAX: usize = 64;
/// Bytes of one label's name.
pub const LABEL_NAME_BYTES_MAX: usize = 256;
/// Bytes of one label's value.
pub const LABEL_VALUE_BYTES_MAX: usize = 2_048;
/// What a key may hold (`kernel::SensorKey`).
const KEY_BYTES_MAX: usize = 200;
const KEY_PARTS_MAX: usize = 8;
/// Characters of a metric's description that are kept.
const HELP_CHARS_MAX: usize = 500;

/// The label that holds the metric's name.
pub const NAME: &str = "__name__";

const ASSET_LABELS: [&str; 5] = ["asset", "instance", "host", "device", "hostname"];

/// What is already known of a sensor while a body is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnownSensor {
    /// The value that stands now.
    pub latest: Option<f64>,
}

/// Looks a sensor up; `None` for one that is not registered.
pub type Lookup<'a> = dyn Fn(&SensorKey) -> Option<KnownSensor> + 'a;

/// What a sender says about all series of one metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// `counter`, `gauge`, `histogram`, `summary`, …
    pub kind: Option<String>,
    pub help: Option<String>,
    /// As the sender writes it.
    pub unit: Option<String>,
}

/// The labels of one series, in order of their names, without empty ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels<T>(Vec<(T, T)>);

impl<T: AsRef<str> + Ord> Labels<T> {
    /// # Errors
    /// Says which label is too long or there twice, or that there are too many.
    pub fn new(mut pairs: Vec<(T, T)>) -> Result<Self, String> {
        pairs.retain(|(_, value)| !value.as_ref().is_empty());
        if pairs.len() > LABELS_MAX {
            return Err(format!("{} labels; at most {LABELS_MAX} are read", pairs.len()));
        }
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, value) in &pairs {
            let (name, value) = (name.as_ref(), value.as_ref());
            if name.is_empty() || name.len() > LABEL_NAME_BYTES_MAX {
                return Err(format!("a label's name has 1 to {LABEL_NAME_BYTES_MAX} bytes"));
            }
            if value.len() > LABEL_VALUE_BYTES_MAX {
                let shown = excerpt(name, 60);
                return Err(format!(
                    "the label `{shown}` has {} bytes; at most {LABEL_VALUE_BYTES_MAX} are read",
                    value.len()
                ));
            }
        }
        if let Some(pair) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(format!("the label `{}` is there twice", excerpt(pair[0].0.as_ref(), 60)));
        }
        Ok(Self(pairs))
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(label, _)| label.as_ref() == name);
        found.map(|(_, value)| value.as_ref())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// These labels and one more.
    ///
    /// # Errors
    /// As [`Labels::new`].
    pub fn with(&self, name: &str, value: &str) -> Result<Self, String>
    where
        T: Clone + From<String>,
    {
        let own = self.0.iter().filter(|(known, _)| known.as_ref() != name).cloned();
        let more = (T::from(name.to_owned()), T::from(value.to_owned()));
        Self::new(own.chain([more]).collect())
    }

    /// The unit that a `unit` label names, when the unit table knows it.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        self.get("unit").and_then(|text| Unit::parse(text).ok()).map(|unit| unit.symbol)
    }

    /// The sensor of the metric `name` with these labels.
    ///
    /// # Errors
    /// When no key can be made of it.
    pub fn key(&self, name: &str, mapping: &KeyMapping) -> Result<SensorKey, String> {
        let asset = ASSET_LABELS.iter().find(|label| self.get(label).is_some()).copied();
        let (site, job) = (self.get("site"), self.get("job"));
        let mut used = vec![NAME, "site"];
        used.extend(asset);
        used.extend(self.unit().map(|_| "unit"));
        let mut key = String::with_capacity(96);
        match asset.and_then(|label| self.get(label)) {
            Some(asset) => {
                used.extend(site.is_none().then_some("job"));
                push(&mut key, site.or(job).unwrap_or(&mapping.default_site));
                push(&mut key, asset);
                push(&mut key, name);
            }
            None => {
                used.push("job");
                push(&mut key, site.unwrap_or(&mapping.default_site));
                push(&mut key, job.unwrap_or(name));
                push(&mut key, if job.is_some() { name } else { "value" });
            }
        }
        if mapping.other_tags {
            self.push_others(&mut key, &used);
        }
        SensorKey::new(&key).map_err(|error| error.to_string())
    }

    fn push_others(&self, key: &mut String, used: &[&str]) {
        let others = || self.iter().filter(|(name, _)| !used.contains(name));
        let before = key.len();
        let mut parts = key.split('/').count();
        for (name, value) in others() {
            push(key, name);
            key.push(':');
            push_text(key, if value == "+Inf" { "Inf" } else { value });
            parts += 1;
        }
        if parts <= KEY_PARTS_MAX && key.len() <= KEY_BYTES_MAX {
            return;
        }
        key.truncate(before);
        let mut hash = Fnv::default();
        for (name, value) in others() {
            hash.write(name.as_bytes());
            hash.write(&[0xff]);
            hash.write(value.as_bytes());
            hash.write(&[0xff]);
        }
        key.push_str(&format!("/labels:{:016x}", hash.0));
    }

    /// Describes the sensor for its registration. The labels are kept whole, so that a question
    /// in the sender's own words finds it.
    pub fn hint(&self, sensor: &SensorKey, name: &str, family: Option<&Family>) -> Hint {
        let mut labels: Map<String, Value> =
            self.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        labels.insert(NAME.to_owned(), name.into());
        let mut metadata = Map::new();
        metadata.insert("labels".to_owned(), Value::Object(labels));
        if let Some(family) = family {
            family.describe(&mut metadata);
        }
        let unit = self.unit().or_else(|| unit_in_name(name));
        Hint {
            sensor: sensor.clone(),
            kind: Some(kind_of(name, unit)),
            metadata: Some(Value::Object(metadata)),
        }
    }
}

impl Family {
    /// Writes what is known into a sensor's metadata: `type`, `help`, `unit`. Whether that changed
    /// anything.
    pub fn describe(&self, metadata: &mut Map<String, Value>) -> bool {
        let mut changed = false;
        let rows = [("type", &self.kind), ("help", &self.help), ("unit", &self.unit)];
        for (name, value) in rows {
            let Some(value) = value.as_ref().filter(|text| !text.is_empty()) else { continue };
            let value = Value::String(excerpt(value, HELP_CHARS_MAX));
            if metadata.get(name) != Some(&value) {
                metadata.insert(name.to_owned(), value);
                changed = true;
            }
        }
        changed
    }
}

/// What a metric of this name and unit measures.
#[must_use]
pub fn kind_of(name: &str, unit: Option<&str>) -> SensorKind {
    let quantity = unit.and_then(|unit| Unit::parse(unit).ok()).map(|unit| unit.quantity);
    match quantity {
        Some("temperature") => SensorKind::Temperature,
        Some("pressure") => SensorKind::Pressure,
        Some("volume flow" | "mass flow") => SensorKind::Flow,
        Some("torque") => SensorKind::Torque,
        Some("power") => SensorKind::Power,
        _ => SensorKind::from_measure(name),
    }
}

/// The unit at the end of a metric's name, as Prometheus asks of its users: `…_celsius`,
/// `…_seconds_total`. A count or a bucket of a histogram has none.
#[must_use]
pub fn unit_in_name(name: &str) -> Option<&'static str> {
    if name.ends_with("_bucket") || name.ends_with("_count") {
        return None;
    }
    let bare = name.strip_suffix("_total").or_else(|| name.strip_suffix("_sum")).unwrap_or(name);
    unit_of_word(bare.rsplit('_').next().filter(|word| word.len() < bare.len())?)
}

/// The unit table's symbol for Prometheus' word of a base unit.
#[must_use]
pub fn unit_of_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "celsius" => "°C",
        "kelvin" => "K",
        "fahrenheit" => "°F",
        "pascals" => "Pa",
        "bar" => "bar",
        "meters" | "metres" => "m",
        "volts" => "V",
        "amperes" => "A",
        "watts" => "W",
        "hertz" => "Hz",
        "rpm" => "rpm",
        "seconds" => "s",
        "milliseconds" => "ms",
        "percent" => "%",
        "ratio" => "1",
        _ => return None,
    })
}

fn push(key: &mut String, part: &str) {
    if !key.is_empty() {
        key.push('/');
    }
    push_text(key, part);
}

fn push_text(key: &mut String, part: &str) {
    let mut lossy = false;
    for c in part.chars() {
        let allowed = c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        lossy |= !allowed;
        key.push(if allowed { c } else { '_' });
    }
    if lossy {
        let mut hash = Fnv::default();
        hash.write(part.as_bytes());
        key.push_str(&format!("-{:08x}", (hash.0 >> 32) ^ (hash.0 & 0xffff_ffff)));
    }
}

/// FNV-1a of 64 bits (Fowler, Noll, Vo): stable over versions and machines, as keys must be.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn labels(pairs: &[(&str, &str)]) -> Labels<String> {
        let owned = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Labels::new(owned).unwrap()
    }

    fn key(name: &str, pairs: &[(&str, &str)]) -> String {
        labels(pairs).key(name, &KeyMapping::default()).unwrap().to_string()
    }

    #[test]
    fn maps_labels_to_keys() {
        let node = ("job", "node");
        let at = ("instance", "h1:9100");
        assert_eq!(key("up", &[node, at]), "node/h1:9100/up");
        assert_eq!(
            key("node_cpu_seconds_total", &[node, at, ("mode", "idle"), ("cpu", "0")]),
            "node/h1:9100/node_cpu_seconds_total/cpu:0/mode:idle"
        );
        assert_eq!(key("up", &[node, at, ("site", "north")]), "north/h1:9100/up/job:node");
        assert_eq!(key("io", &[node, at, ("device", "sda")]), "node/h1:9100/io/device:sda");
        assert_eq!(key("flow", &[("site", "north"), ("asset", "p-2")]), "north/p-2/flow");
        assert_eq!(key("up", &[node]), "default/node/up");
        assert_eq!(key("up", &[("code", "200")]), "default/up/value/code:200");
        assert_eq!(
            key("lag_bucket", &[node, at, ("le", "+Inf")]),
            "node/h1:9100/lag_bucket/le:Inf"
        );
        assert_eq!(key("t", &[node, at, ("unit", "degC")]), "node/h1:9100/t");
        assert_eq!(key("t", &[node, at, ("unit", "boxes")]), "node/h1:9100/t/unit:boxes");
    }

    #[test]
    fn what_a_key_cannot_hold_is_told_apart_by_a_hash() {
        let slash = key("size", &[("job", "n"), ("mountpoint", "/a/b")]);
        let under = key("size", &[("job", "n"), ("mountpoint", "_a_b")]);
        assert!(slash.starts_with("default/n/size/mountpoint:_a_b-"), "{slash}");
        assert_eq!(under, "default/n/size/mountpoint:_a_b");
        let many: Vec<(String, String)> =
            (0..20).map(|n| (format!("label{n}"), "v".repeat(20))).collect();
        let deep = Labels::new(many).unwrap().key("m", &KeyMapping::default()).unwrap();
        assert!(deep.as_str().starts_with("default/m/value/labels:"), "{deep}");
        assert!(labels(&[("job", "n")]).key(&"m".repeat(300), &KeyMapping::default()).is_err());
    }

    #[test]
    fn refuses_what_is_too_much() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let many = (0..=LABELS_MAX).map(|n| pair(&format!("l{n}"), "v")).collect();
        assert!(Labels::<String>::new(many).unwrap_err().contains("at most 64"));
        assert!(Labels::new(vec![pair("a", "1"), pair("a", "2")]).unwrap_err().contains("twice"));
        let long = "x".repeat(LABEL_VALUE_BYTES_MAX + 1);
        assert!(Labels::new(vec![pair("a", &long)]).unwrap_err().contains("2049 bytes"));
        assert!(Labels::new(vec![pair("", "x")]).is_err());
        assert_eq!(labels(&[("a", "")]).iter().count(), 0);
    }

    #[test]
    fn units_and_kinds_come_from_names() {
        assert_eq!(unit_in_name("pump_bearing_celsius"), Some("°C"));
        assert_eq!(unit_in_name("process_cpu_seconds_total"), Some("s"));
        assert_eq!(unit_in_name("http_request_duration_seconds_bucket"), None);
        assert_eq!(unit_in_name("http_request_duration_seconds_sum"), Some("s"));
        assert_eq!(unit_in_name("celsius"), None);
        assert_eq!(kind_of("pump_bearing_celsius", Some("°C")), SensorKind::Temperature);
        assert_eq!(kind_of("flow_rate", None), SensorKind::Flow);
    }

    #[test]
    fn a_hint_keeps_every_label() {
        let labels = labels(&[("job", "n"), ("mountpoint", "/")]);
        let sensor = SensorKey::new("default/n/size").unwrap();
        let family = Family { kind: Some("gauge".to_owned()), ..Family::default() };
        let metadata = labels.hint(&sensor, "size", Some(&family)).metadata.unwrap();
        assert_eq!(
            metadata,
            serde_json::json!({"labels": {"__name__": "size", "job": "n", "mountpoint": "/"}, "type": "gauge"})
        );
    }

    proptest! {
        #[test]
        fn two_series_are_never_one_sensor(
            a in proptest::collection::btree_map("[a-c]{1,2}", r"[ab/_ :]{1,3}", 0..5),
            b in proptest::collection::btree_map("[a-c]{1,2}", r"[ab/_ :]{1,3}", 0..5),
        ) {
            let of = |map: &BTreeMap<String, String>| {
                let pairs = map.clone().into_iter().collect();
                Labels::<String>::new(pairs).unwrap().key("m", &KeyMapping::default()).unwrap()
            };
            prop_assert_eq!(a == b, of(&a) == of(&b));
        }
    }
}
