use kernel::SensorKey;

use crate::SenseError;
use crate::rows::excerpt;

/// A topic filter with places for the parts of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicTemplate {
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
        if measures != assets {
            return Err(wrong("{asset} and {measure} go together"));
        }
        Ok(Self { levels })
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
        parts.join("/")
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
        if asset.is_empty() && measure.is_empty() {
            return Some(TopicKey::Unnamed);
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
    /// The payload must name it.
    Unnamed,
    Wrong(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(template: &str, topic: &str) -> Option<String> {
        match TopicTemplate::parse(template).unwrap().read(topic, "home")? {
            TopicKey::Named(key) => Some(key.to_string()),
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
    }

    #[test]
    fn senseless_templates_are_refused() {
        for text in ["a/#/b", "{site}/{asset}", "a/{b}", "{measure*}/{asset}", "a+"] {
            assert!(TopicTemplate::parse(text).is_err(), "{text}");
        }
    }
}
