use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// Written in JSON as RFC 3339 in UTC with up to six decimals; read from RFC 3339 with any offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The furthest past a series or record may hold: 0001-01-01.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// The furthest future a series or record may hold: 9999-12-30.
    pub const MAX: Self = Self(253_402_207_200_000_000);

    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Seconds with fraction, for mathematics that needs no more than microseconds.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// `self - earlier` in microseconds; negative when `earlier` is later.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// `self - earlier`, zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.micros_since(earlier)).unwrap_or(0))
    }

    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// True when the value lies in the years 1 to 9999, so that it can be written as RFC 3339.
    #[must_use]
    pub fn is_representable(self) -> bool {
        (Self::MIN..=Self::MAX).contains(&self)
    }
}

/// A text that is no RFC 3339 instant.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{text}` is no RFC 3339 time such as 2026-11-19T14:03:10.25Z")]
pub struct TimestampError {
    pub text: String,
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clamped = (*self).clamp(Self::MIN, Self::MAX);
        let instant = jiff::Timestamp::from_microsecond(clamped.0).map_err(|_| fmt::Error)?;
        write!(f, "{instant}")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant = jiff::Timestamp::from_str(text)
            .map_err(|_| TimestampError { text: text.chars().take(64).collect() })?;
        Ok(Self(instant.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
                utoipa::openapi::KnownFormat::DateTime,
            )))
            .description(Some("RFC 3339 instant in UTC"))
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_any_offset_and_writes_utc() {
        let at: Timestamp = "2026-11-19T15:03:10.250001+01:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-11-19T14:03:10.250001Z");
        assert_eq!(serde_json::to_string(&at).unwrap(), "\"2026-11-19T14:03:10.250001Z\"");
    }

    #[test]
    fn refuses_what_is_no_instant() {
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert!("2026-13-01T00:00:00Z".parse::<Timestamp>().is_err());
    }

    #[test]
    fn differences_saturate() {
        let early = Timestamp::from_micros(i64::MIN);
        assert_eq!(Timestamp::from_micros(5).micros_since(early), i64::MAX);
        assert_eq!(early.since(Timestamp::from_secs(1)), Duration::ZERO);
    }
}
