use std::io::Write;
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt;
use kernel::{Clock, SystemClock, Timestamp};
use serde_json::Value;

use super::remote::Remote;
use super::selection::{Period, Sensor, sensors};
use super::{output, table};

/// The door answers for so many sensors at once.
const SENSORS_MAX: usize = 50;
const BEFORE: Duration = Duration::from_secs(3_600);

/// Reads readings from a running Plainview.
#[derive(Args)]
pub(crate) struct Query {
    /// Sensors, such as north/p-2/vibration or 'north/*'
    #[arg(required = true)]
    sensors: Vec<String>,
    #[command(flatten)]
    period: Period,
    /// Summarise into about so many buckets
    #[arg(long, conflicts_with = "width")]
    buckets: Option<u64>,
    /// Summarise into buckets of this width: 250ms, 60s, 15m, 1h, 1d
    #[arg(long)]
    width: Option<String>,
    /// Readings of each sensor, at most
    #[arg(long, default_value_t = 1_000)]
    limit: u64,
    /// Write CSV
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Query {
    pub(super) async fn run(&self, json: bool) -> anyhow::Result<()> {
        let (from, to) = self.period.resolve(SystemClock::new().now(), Some(BEFORE))?;
        let link = self.remote.link()?;
        let found = sensors(&link, &self.sensors).await?;
        anyhow::ensure!(
            found.len() <= SENSORS_MAX,
            "{} sensors are meant; at most {SENSORS_MAX} are answered at once, `export` takes all",
            found.len()
        );
        let query = self.query(&found, from, to);
        if self.csv {
            let query = [query, vec![("format", "csv".to_owned())]].concat();
            let mut parts = link.get("/api/v1/sensors/readings", &query).await?.bytes_stream();
            while let Some(part) = parts.next().await {
                if std::io::stdout().write_all(&part?).is_err() {
                    break;
                }
            }
            return Ok(());
        }
        let answer: Value = link.get("/api/v1/sensors/readings", &query).await?.json().await?;
        if json {
            output::print(&answer.to_string());
        } else {
            lines(&answer).iter().for_each(|line| output::print(line));
        }
        Ok(())
    }

    fn query(
        &self,
        found: &[Sensor],
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<(&'static str, String)> {
        let mut query: Vec<_> = found.iter().map(|s| ("sensor", s.key.to_string())).collect();
        query.extend([("from", from.to_string()), ("to", to.to_string())]);
        match (self.buckets, &self.width) {
            (Some(count), _) => query.push(("buckets", count.to_string())),
            (None, Some(width)) => query.push(("width", width.clone())),
            (None, None) => query.push(("limit", self.limit.to_string())),
        }
        query
    }
}

/// Lines of columns under their names, a table per sensor.
fn lines(answer: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for series in answer["series"].as_array().into_iter().flatten() {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let unit = series["unit"].as_str().map(|unit| format!(" [{unit}]")).unwrap_or_default();
        lines.push(format!("{}{unit}", series["sensor"].as_str().unwrap_or_default()));
        let (names, rows): (&[&str], _) = match series["buckets"].as_array() {
            Some(buckets) => (&["at", "count", "min", "mean", "max"], buckets),
            None => match series["points"].as_array() {
                Some(points) => (&["at", "value", "quality", "reason"], points),
                None => continue,
            },
        };
        lines.extend(table::columns(names, rows));
        if rows.is_empty() {
            lines.push("  nothing in this stretch".to_owned());
        }
        if series["truncated"] == true {
            lines.push(format!("  … more than {}; raise --limit or use --buckets", rows.len()));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_says_what_is_missing() {
        let answer = serde_json::json!({"series": [
            {"sensor": "a/b/c", "unit": "bar", "truncated": true, "points": [
                {"at": "2026-01-01T00:00:00Z", "value": 4.6, "quality": "good"},
                {"at": "2026-01-01T00:00:00.25Z", "value": 1234.567890123, "quality": "bad",
                 "reason": "stuck"},
                {"at": "2026-01-01T00:00:01Z", "value": 5e-324, "quality": "good"},
            ]},
            {"sensor": "a/b/d", "unit": null, "width_s": 60.0, "buckets": []},
        ]});
        assert_eq!(
            lines(&answer).join("\n"),
            "a/b/c [bar]\n  \
             at                          value  quality  reason\n  \
             2026-01-01T00:00:00Z          4.6  good\n  \
             2026-01-01T00:00:00.25Z  1234.568  bad      stuck\n  \
             2026-01-01T00:00:01Z       5e-324  good\n  \
             … more than 3; raise --limit or use --buckets\n\n\
             a/b/d\n  \
             at  count  min  mean  max\n  \
             nothing in this stretch"
        );
    }
}
