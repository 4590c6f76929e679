use kernel::SensorKey;

use crate::SenseError;
use crate::rows::excerpt;

/// A topic filter with places for the parts of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicTemplate {
    /// `$share/group/`, which stands in the subscription and never in a topic.
    share: String,
    levels: Vec<Level>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Exactly(String),
    Any,
    Rest,
    Site,
    Asset,
    Measure,
    MeasureRest,
}

impl TopicTemplate {
    pub(super) fn parse(text: &str) -> Result<Self, SenseError> {
        let wrong =
            |reason: &str| super::invalid("topics", format!("`{}`: {reason}", excerpt(text, 100)));
        let (share, text) = shared(text).map_err(wrong)?;
        if text.is_empty() {
            return Err(wrong("is empty"));
        }
        let mut levels = Vec::new();
        for level in text.split('/') {
            levels.push(match level {
                "+" => Level::Any,
                "#" => Level::Rest,
                "{site}" => Level::Site,
                "{asset}" => Level::Asset,
                "{measure}" => Level::Measure,
                "{measure*}" => Level::MeasureRest,
                other if other.contains(['{', '}', '+', '#', '\0']) => {
                    return Err(wrong("a place is {site}, {asset}, {measure} or {measure*}"));
                }
                other => Level::Exactly(other.to_owned()),
            });
        }
        let last = levels.len() - 1;
        let open = levels.iter().position(|l| matches!(l, Level::Rest | Level::MeasureRest));
        if open.is_some_and(|at| at != last) {
            return Err(wrong("`#` and {measure*} stand at the end only"));
        }
        let measures = levels.iter().any(|l| matches!(l, Level::Measure | Level::MeasureRest));
        let assets = levels.contains(&Level::Asset);
        if measures && !assets {
            return Err(wrong("{measure} needs an {asset}"));
        }
        let twice = |place: &Level| levels.iter().filter(|level| *level == place).count() > 1;
        if [Level::Site, Level::Asset, Level::Measure].iter().any(twice) {
            return Err(wrong("a place stands there twice"));
        }
        Ok(Self { share: share.to_owned(), levels })
    }

    /// As it is subscribed to.
    pub(super) fn filter(&self) -> String {
        let parts: Vec<&str> = self
            .levels
            .iter()
            .map(|level| match level {
                Level::Exactly(text) => text.as_str(),
                Level::Rest | Level::MeasureRest => "#",
                Level::Any | Level::Site | Level::Asset | Level::Measure => "+",
            })
            .collect();
        format!("{}{}", self.share, parts.join("/"))
    }

    /// `None` when the topic is none of this template; else the key it names, if it names one.
    pub(super) fn read(&self, topic: &str, default_site: &str) -> Option<TopicKey> {
        let (mut site, mut asset, mut measure) = (default_site, "", String::new());
        let mut parts = topic.split('/');
        for level in &self.levels {
            match level {
                Level::Rest => {
                    parts.by_ref().for_each(drop);
                    break;
                }
                Level::MeasureRest => {
                    measure = parts.by_ref().collect::<Vec<_>>().join("/");
                    break;
                }
                Level::Any => drop(parts.next()?),
                Level::Site => site = parts.next()?,
                Level::Asset => asset = parts.next()?,
                Level::Measure => parts.next()?.clone_into(&mut measure),
                Level::Exactly(text) => {
                    if parts.next()? != text {
                        return None;
                    }
                }
            }
        }
        if parts.next().is_some() {
            return None;
        }
        let names = |wanted: &Level| self.levels.contains(wanted);
        if !names(&Level::Asset) {
            return Some(TopicKey::Unnamed);
        }
        if !names(&Level::Measure) && !names(&Level::MeasureRest) {
            return Some(TopicKey::asset(site, asset));
        }
        let text = format!("{site}/{asset}/{measure}");
        Some(match SensorKey::new(&text) {
            Ok(key) => TopicKey::Named(key),
            Err(error) => TopicKey::Wrong(error.to_string()),
        })
    }
}

/// What a topic says about the sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TopicKey {
    Named(SensorKey),
    /// `site/asset`; the payload names the measures.
    Asset(String),
    /// The payload must name it.
    Unnamed,
    Wrong(String),
}

impl TopicKey {
    fn asset(site: &str, asset: &str) -> Self {
        let text = format!("{site}/{asset}");
        match SensorKey::new(&format!("{text}/x")) {
            Ok(_) => Self::Asset(text),
            Err(error) => Self::Wrong(error.to_string()),
        }
    }
}

/// Splits `$share/group/` off.
fn shared(text: &str) -> Result<(&str, &str), &'static str> {
    const WRONG: &str = "a shared subscription is $share/group/topic";
    if text != "$share" && !text.starts_with("$share/") {
        return Ok(("", text));
    }
    let group_at = "$share/".len();
    let group = text.get(group_at..).and_then(|rest| rest.split_once('/')).ok_or(WRONG)?;
    let sound = !group.0.is_empty() && !group.0.contains(['+', '#', '{']) && !group.1.is_empty();
    if sound { Ok(text.split_at(group_at + group.0.len() + 1)) } else { Err(WRONG) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(template: &str, topic: &str) -> Option<String> {
        match TopicTemplate::parse(template).unwrap().read(topic, "home")? {
            TopicKey::Named(key) => Some(key.to_string()),
            TopicKey::Asset(asset) => Some(format!("{asset}/*")),
            TopicKey::Unnamed => Some("unnamed".to_owned()),
            TopicKey::Wrong(_) => Some("wrong".to_owned()),
        }
    }

    #[test]
    fn templates_name_sensors() {
        let plain = "plant/{site}/{asset}/{measure}";
        assert_eq!(read(plain, "plant/n/p-2/temp").as_deref(), Some("n/p-2/temp"));
        assert_eq!(read(plain, "plant/n/p-2/temp/x"), None);
        assert_eq!(read(plain, "plant/n/p-2"), None);
        assert_eq!(read(plain, "plant/n/p 2/temp").as_deref(), Some("wrong"));
        let deep = "{asset}/+/{measure*}";
        assert_eq!(read(deep, "p-2/x/bearing/de").as_deref(), Some("home/p-2/bearing/de"));
        assert_eq!(read("raw/#", "raw/a/b").as_deref(), Some("unnamed"));
        assert_eq!(TopicTemplate::parse(deep).unwrap().filter(), "+/+/#");
        assert_eq!(read("tele/{asset}/SENSOR", "tele/p-2/SENSOR").as_deref(), Some("home/p-2/*"));
        assert_eq!(read("{site}/{asset}/#", "n/p-2/a/b").as_deref(), Some("n/p-2/*"));
        assert_eq!(read("{site}/{asset}/{measure*}", "n/p-2").as_deref(), Some("wrong"));
        assert_eq!(read("{site}/{asset}", "/p").as_deref(), Some("wrong"));
    }

    #[test]
    fn a_shared_subscription_is_no_part_of_the_topic() {
        let shared = "$share/plainview/plant/{site}/{asset}/{measure}";
        assert_eq!(read(shared, "plant/n/p-2/temp").as_deref(), Some("n/p-2/temp"));
        assert_eq!(TopicTemplate::parse(shared).unwrap().filter(), "$share/plainview/plant/+/+/+");
    }

    #[test]
    fn senseless_templates_are_refused() {
        for text in [
            "a/#/b",
            "{site}/{measure}",
            "{site}/{site}/{asset}",
            "a/{b}",
            "{measure*}/{asset}",
            "a+",
            "",
            "$share",
            "$share/a",
            "$share/+/a",
            "$share//a",
        ] {
            assert!(TopicTemplate::parse(text).is_err(), "{text}");
        }
    }
}
