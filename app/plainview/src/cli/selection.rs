//! Which sensors and which stretch of time a command is about.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use kernel::{SensorKey, Timestamp};
use serde::Deserialize;

use super::remote::Link;

/// Sensors in one page of the list.
const PAGE: usize = 1_000;

/// A stretch of time.
#[derive(Args)]
pub(super) struct Period {
    /// Start: RFC 3339, a date, an epoch, or a time before now such as -6h or -7d
    #[arg(long, allow_hyphen_values = true)]
    from: Option<String>,
    /// End, excluded; now when left out
    #[arg(long, allow_hyphen_values = true)]
    to: Option<String>,
}

impl Period {
    /// Start and end. Without a start it is `before` the end.
    pub(super) fn resolve(
        &self,
        now: Timestamp,
        before: Option<Duration>,
    ) -> anyhow::Result<(Timestamp, Timestamp)> {
        let read = |text: &Option<String>| text.as_deref().map(|text| when(text, now)).transpose();
        // What is stamped now shall be part of the answer.
        let to = read(&self.to)?.unwrap_or(now.plus(Duration::from_secs(1)));
        let from = match (read(&self.from)?, before) {
            (Some(from), _) => from,
            (None, Some(before)) => to.minus(before),
            (None, None) => bail!("--from is needed: where the stretch starts"),
        };
        anyhow::ensure!(from < to, "--from ({from}) must lie before --to ({to})");
        Ok((from, to))
    }
}

fn when(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    if text == "now" {
        return Ok(now);
    }
    if let Some(before) = text.strip_prefix('-') {
        let digits = before.find(|c: char| !c.is_ascii_digit()).unwrap_or(before.len());
        let unit = match &before[digits..] {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            _ => bail!("`{text}`: a number with s, m, h, d or w is needed, such as -6h"),
        };
        let count: u64 = before[..digits].parse().with_context(|| format!("`{text}`"))?;
        return Ok(now.minus(Duration::from_secs(count.saturating_mul(unit))));
    }
    sense::parse_time(text)
        .with_context(|| format!("`{text}` is no time; give 2026-11-19T14:00:00Z, -6h, or a date"))
}

/// A sensor of the server.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sensor {
    pub(super) key: SensorKey,
    pub(super) unit: Option<String>,
}

#[derive(Deserialize)]
struct SensorPage {
    items: Vec<Sensor>,
    next: Option<String>,
}

/// The sensors that `wanted` names, all when it names none; `*` stands for any characters.
pub(super) async fn sensors(link: &Link, wanted: &[String]) -> anyhow::Result<Vec<Sensor>> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let mut query = vec![("limit", PAGE.to_string())];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let page: SensorPage = link.get("/api/v1/sensors/sensors", &query).await?.json().await?;
        all.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    for pattern in wanted {
        let is_met = all.iter().any(|sensor| matches(pattern, sensor.key.as_str()));
        anyhow::ensure!(is_met, "no sensor is called `{pattern}`");
    }
    if !wanted.is_empty() {
        let is_wanted =
            |sensor: &Sensor| wanted.iter().any(|pattern| matches(pattern, sensor.key.as_str()));
        all.retain(is_wanted);
    }
    Ok(all)
}

/// Whether `text` is what `pattern` describes.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|head| text.strip_prefix(head)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((tail, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, is_match) in [
            ("north/p-2/vibration", true),
            ("north/*", true),
            ("*", true),
            ("*/vibration", true),
            ("n*p*n", true),
            ("north", false),
            ("north/p-2/vibration*x", false),
            ("*south*", false),
        ] {
            assert_eq!(matches(pattern, "north/p-2/vibration"), is_match, "{pattern}");
        }
    }

    #[test]
    fn times_are_absolute_or_before_now() {
        let now = Timestamp::from_secs(1_700_000_000);
        assert_eq!(when("-2h", now).unwrap(), Timestamp::from_secs(1_699_992_800));
        assert_eq!(when("now", now).unwrap(), now);
        assert_eq!(when("1970-01-02", now).unwrap(), Timestamp::from_secs(86_400));
        for wrong in ["-2", "-h", "yesterday", "-99999999999999999999d"] {
            assert!(when(wrong, now).is_err(), "{wrong}");
        }
        let period = Period { from: None, to: None };
        assert!(period.resolve(now, None).is_err());
        let (from, to) = period.resolve(now, Some(Duration::from_secs(60))).unwrap();
        assert_eq!(to.since(from), Duration::from_secs(60));
    }
}
