use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest accepted key in bytes; long enough for a plant's tag names, short enough to index.
const KEY_BYTES_MAX: usize = 200;
const SEGMENTS_MIN: usize = 3;
const SEGMENTS_MAX: usize = 8;

/// `site/asset/measure`, such as `north/v-101/pressure`. Deeper measures are allowed:
/// `north/p-2/bearing/de/vibration` belongs to asset `north/p-2`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SensorKey(Arc<str>);

/// `site/asset`: the thing a sensor sits on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug)]
#[serde(transparent)]
pub struct AssetKey(Arc<str>);

/// Why a text is no sensor key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SensorKeyError {
    #[error("a sensor key is site/asset/measure; `{key}` has {segments} part(s)")]
    Segments { key: String, segments: usize },
    #[error("a sensor key has at most {KEY_BYTES_MAX} bytes; this one has {bytes}")]
    TooLong { bytes: usize },
    #[error("`{found}` may not stand in a sensor key; use letters, digits, `-`, `_`, `.` or `:`")]
    Character { found: char },
    #[error("a part of the sensor key `{key}` is empty")]
    EmptySegment { key: String },
}

impl SensorKey {
    /// # Errors
    /// When `text` is not three to eight `/`-separated parts of letters, digits, `-_.:`.
    pub fn new(text: &str) -> Result<Self, SensorKeyError> {
        if text.len() > KEY_BYTES_MAX {
            return Err(SensorKeyError::TooLong { bytes: text.len() });
        }
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
        if let Some(found) = text.chars().find(|c| !allowed(*c)) {
            return Err(SensorKeyError::Character { found });
        }
        let segments = text.split('/').count();
        if !(SEGMENTS_MIN..=SEGMENTS_MAX).contains(&segments) {
            return Err(SensorKeyError::Segments { key: text.to_owned(), segments });
        }
        if text.split('/').any(str::is_empty) {
            return Err(SensorKeyError::EmptySegment { key: text.to_owned() });
        }
        Ok(Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn site(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    #[must_use]
    pub fn asset(&self) -> AssetKey {
        let end = self.0.match_indices('/').nth(1).map_or(self.0.len(), |(at, _)| at);
        AssetKey(self.0[..end].into())
    }

    /// Everything after the asset: `pressure`, `bearing/de/vibration`.
    #[must_use]
    pub fn measure(&self) -> &str {
        self.0.match_indices('/').nth(1).map_or("", |(at, _)| &self.0[at + 1..])
    }
}

impl AssetKey {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn site(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl fmt::Display for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SensorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SensorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SensorKey {
    type Err = SensorKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl Serialize for SensorKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SensorKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for SensorKey {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("site/asset/measure"))
            .examples(["north/v-101/pressure"])
            .into()
    }
}

impl utoipa::ToSchema for SensorKey {}

/// What a sensor measures; decides its default unit and how it is judged.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SensorKind {
    Temperature,
    Pressure,
    Flow,
    Vibration,
    Position,
    Torque,
    Level,
    Speed,
    Power,
    #[default]
    Other,
}

impl SensorKind {
    /// Guesses from the measure's name, as people name tags; `Other` when unsure.
    #[must_use]
    pub fn from_measure(measure: &str) -> Self {
        let name = measure.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if has(&["temp"]) {
            Self::Temperature
        } else if has(&["press"]) {
            Self::Pressure
        } else if has(&["flow"]) {
            Self::Flow
        } else if has(&["vib"]) {
            Self::Vibration
        } else if has(&["torque"]) {
            Self::Torque
        } else if has(&["position", "travel", "opening"]) {
            Self::Position
        } else if has(&["level"]) {
            Self::Level
        } else if has(&["speed", "rpm"]) {
            Self::Speed
        } else if has(&["power"]) {
            Self::Power
        } else {
            Self::Other
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::Pressure => "pressure",
            Self::Flow => "flow",
            Self::Vibration => "vibration",
            Self::Position => "position",
            Self::Torque => "torque",
            Self::Level => "level",
            Self::Speed => "speed",
            Self::Power => "power",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_knows_its_parts() {
        let key = SensorKey::new("north/p-2/bearing/de/vibration").unwrap();
        assert_eq!(key.site(), "north");
        assert_eq!(key.asset().as_str(), "north/p-2");
        assert_eq!(key.measure(), "bearing/de/vibration");
        assert_eq!(SensorKind::from_measure(key.measure()), SensorKind::Vibration);
    }

    #[test]
    fn refuses_what_is_no_key() {
        assert!(matches!(SensorKey::new("a/b"), Err(SensorKeyError::Segments { segments: 2, .. })));
        assert!(matches!(SensorKey::new("a//b"), Err(SensorKeyError::EmptySegment { .. })));
        assert!(matches!(SensorKey::new("a/b/c d"), Err(SensorKeyError::Character { found: ' ' })));
        assert!(matches!(SensorKey::new(&"a/".repeat(150)), Err(SensorKeyError::TooLong { .. })));
    }
}
