use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use kernel::{Clock, SystemClock};
use serde_json::{Value, json};

use super::remote::{Link, Remote};
use super::selection::Period;
use super::{DIFFERS, output, table};

const BEFORE: Duration = Duration::from_hours(24);
/// What the door tells in one page.
const LIMIT_MAX: u64 = 1_000;

/// Judges the readings behind anomalies again, with the detector as it was.
///
/// The exit code is 0 when every answer is the same as then, 4 when one is not, and 1 when one
/// could not be asked for.
#[derive(Args)]
pub(crate) struct Explain {
    /// Ids of anomalies; without any all that stood in the period
    #[arg(conflicts_with_all = ["from", "to", "sensor"])]
    anomalies: Vec<String>,
    #[command(flatten)]
    period: Period,
    /// Only anomalies of this sensor
    #[arg(long)]
    sensor: Option<String>,
    /// Anomalies of the period, newest first, at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=LIMIT_MAX))]
    limit: u64,
    /// Of each anomaly that is named: so many of the last readings or rows that were judged
    #[arg(long, default_value_t = 10)]
    rows: usize,
    #[command(flatten)]
    remote: Remote,
}

/// What judging an anomaly again came to.
enum Answer {
    /// As the server tells it.
    Judged(Value),
    Refused {
        id: String,
        why: String,
    },
}

impl Explain {
    pub(super) async fn run(&self, json: bool) -> anyhow::Result<ExitCode> {
        let link = self.remote.link()?;
        let is_named = !self.anomalies.is_empty();
        let (ids, is_more) =
            if is_named { (self.anomalies.clone(), false) } else { self.found(&link).await? };
        let mut answers = Vec::new();
        for id in ids {
            answers.push(judge(&link, id).await?);
        }
        if json {
            let anomalies: Vec<Value> = answers.iter().map(Answer::json).collect();
            let (same, differ, refused) = tally(&answers);
            let body = json!({
                "anomalies": anomalies, "same": same, "differ": differ, "refused": refused,
                "more": is_more,
            });
            output::print(&body.to_string());
        } else if is_named {
            details(&answers, self.rows).iter().for_each(|line| output::print(line));
        } else {
            summary(&answers, is_more).iter().for_each(|line| output::print(line));
        }
        Ok(match tally(&answers) {
            (_, _, 1..) => ExitCode::FAILURE,
            (_, 1.., _) => ExitCode::from(DIFFERS),
            _ => ExitCode::SUCCESS,
        })
    }

    /// The anomalies of the period, and whether there are more.
    async fn found(&self, link: &Link) -> anyhow::Result<(Vec<String>, bool)> {
        let (from, to) = self.period.resolve(SystemClock::new().now(), Some(BEFORE))?;
        let mut query = vec![("from", from.to_string()), ("to", to.to_string())];
        query.push(("limit", self.limit.to_string()));
        query.extend(self.sensor.iter().map(|sensor| ("sensor", sensor.clone())));
        let page: Value = link.get("/api/v1/anomalies", &query).await?.json().await?;
        let items = page["items"].as_array().into_iter().flatten();
        let ids = items.map(|item| text(&item["anomaly_id"]).to_owned()).collect();
        Ok((ids, !page["next"].is_null()))
    }
}

async fn judge(link: &Link, id: String) -> anyhow::Result<Answer> {
    // It stands in an address.
    let is_word = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    anyhow::ensure!(is_word, "`{id}` is no id of an anomaly");
    let answer = link.ask(&format!("/api/v1/anomalies/{id}/explain"), &[]).await?;
    if answer.status().is_success() {
        return Ok(Answer::Judged(answer.json().await?));
    }
    Ok(Answer::Refused { id, why: link.refusal(answer).await })
}

impl Answer {
    fn json(&self) -> Value {
        match self {
            Self::Judged(told) => told.clone(),
            Self::Refused { id, why } => {
                json!({ "anomaly": { "anomaly_id": id }, "same": null, "error": why })
            }
        }
    }

    /// `the same`, or what is different and why.
    fn verdict(&self) -> String {
        let told = match self {
            Self::Judged(told) if told["same"] == true => return "the same".to_owned(),
            Self::Judged(told) => told,
            Self::Refused { why, .. } => return format!("not judged: {why}"),
        };
        let is_process = told["series"].is_null();
        let why = match told["series"]["hindrance"].as_str() {
            None if is_process => ": readings came late, were corrected or are gone since",
            None => "",
            Some(why) => &format!(": {why}"),
        };
        let readings = &told[if is_process { "rows" } else { "series" }];
        let readings = if is_process { readings } else { &readings["readings"] };
        if !told["again"].is_null() {
            format!("different{why}")
        } else if readings.as_array().is_some_and(|readings| !readings.is_empty()) {
            format!("not found{why}")
        } else {
            format!("not judged{why}")
        }
    }
}

/// How many came out the same, how many not, and how many were refused.
fn tally(answers: &[Answer]) -> (usize, usize, usize) {
    let count = |wanted: &dyn Fn(&Answer) -> bool| answers.iter().filter(|a| wanted(a)).count();
    let same = count(&|a| matches!(a, Answer::Judged(told) if told["same"] == true));
    let refused = count(&|a| matches!(a, Answer::Refused { .. }));
    (same, answers.len() - same - refused, refused)
}

/// A line for each anomaly.
fn summary(answers: &[Answer], is_more: bool) -> Vec<String> {
    if answers.is_empty() {
        return vec!["No anomaly stood in this period.".to_owned()];
    }
    let rows: Vec<Value> = answers
        .iter()
        .map(|answer| match answer {
            Answer::Judged(told) => {
                let mut row = told["anomaly"].clone();
                row["again"] = answer.verdict().into();
                row
            }
            Answer::Refused { id, .. } => json!({ "anomaly_id": id, "again": answer.verdict() }),
        })
        .collect();
    let names = ["anomaly_id", "sensor", "rule", "started_at", "severity", "score", "again"];
    let mut lines = table::columns(&names, &rows);
    if is_more {
        lines.push(format!("  … more than {}; raise --limit", rows.len()));
    }
    let (same, differ, refused) = tally(answers);
    lines.push(format!("{same} the same, {differ} not, {refused} could not be asked for"));
    lines
}

/// All that is told of each anomaly.
fn details(answers: &[Answer], rows_max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for answer in answers {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        match answer {
            Answer::Judged(told) => {
                lines.extend(detail(told, rows_max));
                lines.push(format!("Judged again: {}", answer.verdict()));
            }
            Answer::Refused { id, .. } => lines.push(format!("{id}: {}", answer.verdict())),
        }
    }
    lines
}

fn detail(told: &Value, rows_max: usize) -> Vec<String> {
    let (then, again) = (&told["anomaly"], &told["again"]);
    let mut lines = vec![format!(
        "{}: {}, rule {}, by {} {}, anomaly {}",
        text(&then["sensor"]),
        text(&then["severity"]),
        text(&then["rule"]),
        text(&then["detector"]["name"]),
        text(&then["detector"]["version"]),
        text(&then["anomaly_id"]),
    )];
    lines.extend(table::columns(&["what", "then", "again"], &compared(then, again)));
    let aspects = told["series"]["aspects"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !aspects.is_empty() {
        lines.extend(table::columns(&["aspect", "share"], aspects));
    }
    lines.extend(judged(told, rows_max));
    lines
}

/// Figure by figure what was said then and what came out now.
fn compared(then: &Value, again: &Value) -> Vec<Value> {
    let mut rows = Vec::new();
    for (what, pointer) in [
        ("started", "/started_at"),
        ("severity", "/severity"),
        ("score", "/score"),
        ("expected low", "/expected/low"),
        ("expected high", "/expected/high"),
        ("evidence from", "/evidence/from"),
        ("evidence to", "/evidence/to"),
        ("model version", "/process/model_version"),
        ("look", "/process/look"),
        ("T²", "/process/t2"),
        ("Q", "/process/q"),
    ] {
        let of = |anomaly: &Value| anomaly.pointer(pointer).cloned().unwrap_or_default();
        if !of(then).is_null() || !of(again).is_null() {
            rows.push(json!({ "what": what, "then": of(then), "again": of(again) }));
        }
    }
    for part in then["contributions"].as_array().into_iter().flatten() {
        let mut others = again["contributions"].as_array().into_iter().flatten();
        let other = others.find(|other| other["sensor"] == part["sensor"]);
        let what = format!("share of {}", text(&part["sensor"]));
        let share = other.map_or(Value::Null, |other| other["share"].clone());
        rows.push(json!({ "what": what, "then": part["share"], "again": share }));
    }
    rows
}

/// The last of the readings or rows that were judged.
fn judged(told: &Value, rows_max: usize) -> Vec<String> {
    let (names, all): (&[&str], _) = if told["series"].is_null() {
        (&["row_at", "score", "alarm", "most"], &told["rows"])
    } else {
        (&["at", "value", "score", "low", "high"], &told["series"]["readings"])
    };
    let all = all.as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Value> = all[all.len().saturating_sub(rows_max)..]
        .iter()
        .cloned()
        .map(|mut row| {
            let at = |pointer| row.pointer(pointer).cloned().unwrap_or_default();
            let (low, high) = (at("/expected/low"), at("/expected/high"));
            row["most"] = at("/contributions/0/sensor");
            row["low"] = low;
            row["high"] = high;
            row
        })
        .collect();
    if rows.is_empty() { Vec::new() } else { table::columns(names, &rows) }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anomaly(score: f64) -> Value {
        json!({
            "anomaly_id": "a1", "sensor": "n/p/flow", "rule": "process", "severity": "major",
            "started_at": "2026-01-01T00:00:00Z", "score": score,
            "detector": { "name": "process", "version": "1" },
            "contributions": [{ "sensor": "n/p/flow", "share": 0.75 }],
        })
    }

    #[test]
    fn what_differs_is_told_with_both_figures() {
        let told = json!({
            "anomaly": anomaly(0.9), "again": anomaly(0.8), "same": false,
            "rows": [
                { "row_at": "2026-01-01T00:00:00Z", "score": 0.2, "alarm": false,
                  "contributions": [] },
                { "row_at": "2026-01-01T00:00:10Z", "score": 0.8, "alarm": true,
                  "contributions": [{ "sensor": "n/p/flow", "share": 0.75 }] },
            ],
        });
        let why = "readings came late, were corrected or are gone since";
        assert_eq!(
            details(&[Answer::Judged(told)], 1).join("\n"),
            format!(
                "n/p/flow: major, rule process, by process 1, anomaly a1\n  \
                 what               then                  again\n  \
                 started            2026-01-01T00:00:00Z  2026-01-01T00:00:00Z\n  \
                 severity           major                 major\n  \
                 score              0.9                   0.8\n  \
                 share of n/p/flow  0.75                  0.75\n  \
                 row_at                score  alarm  most\n  \
                 2026-01-01T00:00:10Z    0.8  true   n/p/flow\n\
                 Judged again: different: {why}"
            )
        );
    }

    #[test]
    fn each_outcome_is_counted_and_told() {
        let series = |readings: Value| json!({ "hindrance": "a unit", "readings": readings });
        let judged = |same: bool, series: Value| {
            Answer::Judged(json!({
                "anomaly": anomaly(0.9), "again": null, "same": same, "rows": [], "series": series,
            }))
        };
        let answers = [
            judged(true, series(json!([]))),
            judged(false, series(json!([]))),
            judged(false, series(json!([{}]))),
            Answer::Refused { id: "a2".to_owned(), why: "gone".to_owned() },
        ];
        let verdicts: Vec<String> = answers.iter().map(Answer::verdict).collect();
        assert_eq!(
            verdicts,
            ["the same", "not judged: a unit", "not found: a unit", "not judged: gone"]
        );
        assert_eq!(tally(&answers), (1, 2, 1));
        let lines = summary(&answers, true);
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[6], "1 the same, 2 not, 1 could not be asked for");
    }
}
