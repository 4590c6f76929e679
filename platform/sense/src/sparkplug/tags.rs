//! What one metric says: its value as a number, its quality, its unit and range.

use kernel::{Quality, Reason, SensorKey, Timestamp, Unit};

use super::proto::{Metric, MetricValue, PropertyContent, PropertySet, read_properties};
use crate::SenseError;

/// `Quality` of Sparkplug 3.0, section 6.4.6: 0 is bad, 192 good, 500 stale. Other numbers are
/// read as OPC writes them: 192 and above good, 64 and above uncertain.
fn quality_of(code: f64) -> Quality {
    match code {
        500.0 => Quality::Bad(Reason::Stale),
        code if code >= 192.0 => Quality::Good,
        code if code >= 64.0 => Quality::Uncertain(Reason::Source),
        _ => Quality::Bad(Reason::Source),
    }
}

/// How the parts of a metric's place become `site/asset/measure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyTemplate(Vec<String>);

impl KeyTemplate {
    pub(super) fn parse(text: &str) -> Result<Self, SenseError> {
        let wrong = |reason: &str| SenseError::Settings {
            field: "key",
            reason: format!("`{text}`: {reason}"),
        };
        let parts: Vec<String> = text.split('/').map(str::to_owned).collect();
        if parts.iter().any(String::is_empty) || parts.len() < 2 {
            return Err(wrong("parts are separated by one `/` each, and there are several"));
        }
        if !text.contains("{metric}") {
            return Err(wrong("{metric} is missing; every metric would be the same sensor"));
        }
        let bare = ["{group}", "{node}", "{device}", "{metric}"]
            .iter()
            .fold(text.to_owned(), |text, place| text.replace(place, ""));
        if bare.contains(['{', '}']) {
            return Err(wrong("a place is {group}, {node}, {device} or {metric}"));
        }
        if let Some(wrong_one) = bare.chars().find(|c| !is_sound(*c) && *c != '/') {
            return Err(wrong(&format!("`{wrong_one}` may not stand in a sensor key")));
        }
        Ok(Self(parts))
    }

    /// A part that is only a place with nothing in it is left out. Characters that no key may
    /// hold become `_`.
    pub(super) fn key(
        &self,
        group: &str,
        node: &str,
        device: Option<&str>,
        metric: &str,
    ) -> Result<SensorKey, String> {
        let mut text = String::with_capacity(64);
        for part in &self.0 {
            if part == "{device}" && device.is_none() {
                continue;
            }
            if !text.is_empty() {
                text.push('/');
            }
            let filled = part
                .replace("{group}", &sound(group, false))
                .replace("{node}", &sound(node, false))
                .replace("{device}", &sound(device.unwrap_or_default(), false))
                .replace("{metric}", &sound(metric, true));
            text.push_str(&filled);
        }
        SensorKey::new(&text).map_err(|error| error.to_string())
    }
}

fn is_sound(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')
}

fn sound(text: &str, slashes: bool) -> String {
    text.chars().map(|c| if is_sound(c) || (slashes && c == '/') { c } else { '_' }).collect()
}

/// What a metric is worth as a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Worth {
    Number(f64),
    /// It says that it has no value.
    Null,
    /// Text, bytes, data sets, times: no reading.
    NoNumber,
    NotFinite,
}

/// The value, told apart by the datatype: signed numbers travel as unsigned ones.
pub(super) fn worth(metric: &Metric, datatype: u32) -> Worth {
    const DATE_TIME: u32 = 13;
    if metric.is_null == Some(true) {
        return Worth::Null;
    }
    let number = match &metric.value {
        None => return Worth::Null,
        Some(_) if datatype == DATE_TIME => return Worth::NoNumber,
        Some(MetricValue::Int(raw)) => match datatype {
            1 => f64::from(*raw as u8 as i8),
            2 => f64::from(*raw as u16 as i16),
            3 | 4 => f64::from(*raw as i32),
            _ => f64::from(*raw),
        },
        Some(MetricValue::Long(raw)) => match datatype {
            1..=4 => *raw as i64 as f64,
            _ => *raw as f64,
        },
        // Through its decimal form: 0.1 as a float is meant as 0.1.
        Some(MetricValue::Float(value)) => {
            value.to_string().parse().unwrap_or_else(|_| f64::from(*value))
        }
        Some(MetricValue::Double(value)) => *value,
        Some(MetricValue::Boolean(on)) => f64::from(u8::from(*on)),
        Some(_) => return Worth::NoNumber,
    };
    if number.is_finite() { Worth::Number(number) } else { Worth::NotFinite }
}

/// What a birth says of a metric beside its value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Described {
    /// A symbol of the unit table.
    pub(super) unit: Option<&'static str>,
    /// A unit that the table does not know; the readings carry none then.
    pub(super) unknown_unit: Option<String>,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
}

pub(super) fn described(metric: &Metric) -> Described {
    let mut described = Described::default();
    let Some(set) = properties(metric) else { return described };
    for (name, content) in pairs(&set) {
        match name.to_ascii_lowercase().as_str() {
            "engunit" | "engunits" | "unit" => {
                if let PropertyContent::Text(text) = content {
                    match Unit::parse(text) {
                        Ok(unit) if !text.trim().is_empty() => described.unit = Some(unit.symbol),
                        Ok(_) => {}
                        Err(_) => described.unknown_unit = Some(text.chars().take(32).collect()),
                    }
                }
            }
            "englow" => described.low = number(content),
            "enghigh" => described.high = number(content),
            _ => {}
        }
    }
    if let (Some(low), Some(high)) = (described.low, described.high)
        && low >= high
    {
        (described.low, described.high) = (None, None);
    }
    described
}

pub(super) fn quality(metric: &Metric) -> Quality {
    let Some(set) = properties(metric) else { return Quality::Good };
    let code = pairs(&set).find(|(name, _)| name.eq_ignore_ascii_case("quality"));
    code.and_then(|(_, content)| number(content)).map_or(Quality::Good, quality_of)
}

fn properties(metric: &Metric) -> Option<PropertySet> {
    metric.properties.as_ref().and_then(read_properties)
}

fn pairs(set: &PropertySet) -> impl Iterator<Item = (&str, &PropertyContent)> {
    set.keys
        .iter()
        .zip(&set.values)
        .filter_map(|(name, value)| Some((name.as_str(), value.value.as_ref()?)))
}

fn number(content: &PropertyContent) -> Option<f64> {
    let number = match content {
        PropertyContent::Int(raw) => f64::from(*raw as i32),
        PropertyContent::Long(raw) => *raw as i64 as f64,
        PropertyContent::Float(value) => f64::from(*value),
        PropertyContent::Double(value) => *value,
        PropertyContent::Text(text) => text.trim().parse().ok()?,
        PropertyContent::Boolean(_) => return None,
    };
    number.is_finite().then_some(number)
}

/// Milliseconds since 1970; `None` for what no calendar holds.
pub(super) fn time(millis: u64) -> Option<Timestamp> {
    let micros = i64::try_from(millis).ok()?.checked_mul(1_000)?;
    let at = Timestamp::from_micros(micros);
    (at.is_representable() && millis > 0).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::super::proto::PropertyValue;
    use super::*;
    use prost::Message;

    #[test]
    fn keys_are_made_of_the_place() {
        let plain = KeyTemplate::parse("{group}/{node}/{device}/{metric}").unwrap();
        let key = |device, metric| plain.key("north", "gw 1", device, metric).unwrap().to_string();
        assert_eq!(key(Some("p-2"), "Inputs/Flow"), "north/gw_1/p-2/Inputs/Flow");
        assert_eq!(key(None, "temp (°C)"), "north/gw_1/temp___C_");
        let flat = KeyTemplate::parse("plant/{group}.{device}/{metric}").unwrap();
        assert_eq!(flat.key("n", "gw", Some("p"), "t").unwrap().as_str(), "plant/n.p/t");
        assert!(plain.key("n", "gw", None, "a/b/c/d/e/f/g").is_err());
        for text in ["", "{group}/{node}", "{group}//{metric}", "{a}/{metric}", "{metric}"] {
            assert!(KeyTemplate::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_read_by_their_datatype() {
        let of =
            |value, datatype| worth(&Metric { value: Some(value), ..Metric::default() }, datatype);
        assert_eq!(of(MetricValue::Int(0xff), 1), Worth::Number(-1.0));
        assert_eq!(of(MetricValue::Int(u32::MAX), 1), Worth::Number(-1.0));
        assert_eq!(of(MetricValue::Int(0xffff), 2), Worth::Number(-1.0));
        assert_eq!(of(MetricValue::Int(u32::MAX), 3), Worth::Number(-1.0));
        assert_eq!(of(MetricValue::Int(u32::MAX), 7), Worth::Number(4_294_967_295.0));
        assert_eq!(of(MetricValue::Long(u64::MAX), 4), Worth::Number(-1.0));
        assert_eq!(of(MetricValue::Float(0.1), 9), Worth::Number(0.1));
        assert_eq!(of(MetricValue::Boolean(true), 11), Worth::Number(1.0));
        assert_eq!(of(MetricValue::Double(f64::NAN), 10), Worth::NotFinite);
        assert_eq!(of(MetricValue::Long(1), 13), Worth::NoNumber);
        assert_eq!(of(MetricValue::Text("x".into()), 12), Worth::NoNumber);
        assert_eq!(worth(&Metric::default(), 10), Worth::Null);
    }

    #[test]
    fn properties_say_unit_range_and_quality() {
        let value = |content| PropertyValue { value: Some(content), ..PropertyValue::default() };
        let set = PropertySet {
            keys: ["engUnit", "engLow", "engHigh", "Quality"].map(str::to_owned).to_vec(),
            values: vec![
                value(PropertyContent::Text("degC".to_owned())),
                value(PropertyContent::Double(-40.0)),
                value(PropertyContent::Int(120)),
                value(PropertyContent::Int(500)),
            ],
        };
        let properties = Some(set.encode_to_vec().into());
        let metric = Metric { properties, ..Metric::default() };
        let found = described(&metric);
        assert_eq!((found.unit, found.low, found.high), (Some("°C"), Some(-40.0), Some(120.0)));
        assert_eq!(quality(&metric), Quality::Bad(Reason::Stale));
        assert_eq!(quality(&Metric::default()), Quality::Good);
        assert_eq!(quality_of(0.0), Quality::Bad(Reason::Source));
        assert_eq!(quality_of(80.0), Quality::Uncertain(Reason::Source));
    }
}
