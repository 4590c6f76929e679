use kernel::Timestamp;
use signal::trend::{LimitQuestion, Outlook, Side, TimeToLimit as Answer, time_to_limit};
use uuid::Uuid;

use crate::model::{
    AnomalyGist, Contribution, Limit, ModelName, Origin, Prediction, Severity, TREND_TO_LIMIT,
    TREND_TO_LIMIT_VERSION, TimeToLimit, Trend, asset_label,
};
use crate::sense::{Anomaly, Band};

const DAY_S: f64 = 86_400.0;
/// How far ahead a limit counts as a risk, when nobody says.
pub(crate) const HORIZON_S: f64 = 30.0 * DAY_S;
/// Share of cases that the interval holds.
pub(crate) const COVERAGE: f64 = 0.8;
const TREND_POINTS_MIN: usize = signal::trend::POINTS_MIN;

/// What is known when a prediction is made.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) id: Uuid,
    pub(crate) sensor: &'a str,
    pub(crate) asset: &'a str,
    pub(crate) anomaly: Option<&'a Anomaly>,
    /// The sensor's registered range.
    pub(crate) range: Option<Band>,
    /// A limit that the asker gave.
    pub(crate) limit: Option<f64>,
    pub(crate) horizon_s: f64,
    pub(crate) now: Timestamp,
}

/// A limit and the side on which trouble lies.
#[derive(Clone, Debug, PartialEq)]
struct Target {
    limit: Limit,
    side: Side,
    /// The plant may not pass it; a learned band only says what was usual.
    hard: bool,
}

/// Says what the recent readings lead to. Always answers; what it cannot say it leaves out, with
/// the reason.
#[must_use]
pub(crate) fn predict(question: &Question<'_>, window: &[(Timestamp, f64)]) -> Prediction {
    let level = window.iter().max_by_key(|(at, _)| *at).map(|(_, value)| *value);
    let target = target(question, window, level);
    let answer = target.as_ref().map(|target| {
        let asked = LimitQuestion {
            limit: target.limit.value,
            side: target.side,
            horizon_s: question.horizon_s,
            coverage: COVERAGE,
        };
        time_to_limit(window, &asked)
    });
    let (time, why_unsure) = time(target.as_ref(), answer.as_ref());
    let contributions = contributions(question.anomaly, target.as_ref(), answer.as_ref());
    let risk = 1.0 - contributions.iter().map(|one| 1.0 - one.value).product::<f64>();
    let anomaly = question.anomaly;
    Prediction {
        prediction_id: question.id,
        asset: question.asset.to_owned(),
        sensor: question.sensor.to_owned(),
        anomaly_id: anomaly.map(|one| one.anomaly_id),
        kind: anomaly.and_then(|one| one.kind.clone()),
        unit: anomaly.and_then(|one| one.unit.clone()),
        risk: risk.clamp(0.0, 1.0),
        severity: anomaly
            .map_or_else(|| severity(risk), |one| one.severity.max(urgency(time.as_ref()))),
        summary: summary(question, target.as_ref(), time, level),
        limit: target.map(|target| target.limit),
        time_to_limit_s: time,
        why_unsure,
        trend: answer.as_ref().and_then(|answer| trend(answer, window)),
        contributions,
        model: ModelName {
            name: TREND_TO_LIMIT.to_owned(),
            version: TREND_TO_LIMIT_VERSION.to_owned(),
        },
        predicted_at: question.now,
        anomaly: anomaly.map(|one| AnomalyGist {
            score: one.score,
            rule: one.rule.clone(),
            started_at: one.started_at,
        }),
        origin: anomaly.map_or(Origin::Real, |one| one.origin),
    }
}

/// The limit that matters: one that was given, else the near end of the registered range, else
/// twice the way from the usual level to the edge of the learned band.
fn target(
    question: &Question<'_>,
    window: &[(Timestamp, f64)],
    level: Option<f64>,
) -> Option<Target> {
    let make = |value: f64, side, source: &str, hard| {
        let limit = Limit { value, source: source.to_owned() };
        value.is_finite().then_some(Target { limit, side, hard })
    };
    if let Some(value) = question.limit {
        let before = usual(question, window).or(level)?;
        let side = if value >= before { Side::Above } else { Side::Below };
        return make(value, side, "given", true);
    }
    let told = question.anomaly.filter(|one| one.rule == "range").and_then(|one| one.expected);
    let registered = question.anomaly.and_then(|one| one.range).or(question.range).or(told);
    if let Some(band) = registered.filter(|band| band.low.is_some() || band.high.is_some()) {
        let level = level.or_else(|| question.anomaly.and_then(|one| one.value))?;
        let rises = leaning(question, window).unwrap_or_else(|| rises(window, level));
        return match (band.low, band.high) {
            (_, Some(high)) if level > high => make(high, Side::Above, "sensor range", true),
            (Some(low), _) if level < low => make(low, Side::Below, "sensor range", true),
            (Some(low), Some(high)) if rises => {
                make(high.max(low), Side::Above, "sensor range", true)
            }
            (None, Some(high)) => make(high, Side::Above, "sensor range", true),
            (Some(low), _) => make(low, Side::Below, "sensor range", true),
            (None, None) => None,
        };
    }
    let anomaly = question.anomaly?;
    let mean = usual(question, window)?;
    let band = anomaly.expected?;
    let value = anomaly.value.or(level)?;
    if value >= mean {
        let edge = band.high?;
        make(edge + (edge - mean).abs(), Side::Above, "learned band", false)
    } else {
        let edge = band.low?;
        make(edge - (mean - edge).abs(), Side::Below, "learned band", false)
    }
}

/// The level before things went wrong.
fn usual(question: &Question<'_>, window: &[(Timestamp, f64)]) -> Option<f64> {
    let learned = question.anomaly.and_then(|one| one.evidence).map(|one| one.baseline_mean);
    learned.or_else(|| {
        let first = window.len() / 3;
        (first > 0).then(|| window[..first].iter().map(|(_, v)| v).sum::<f64>() / first as f64)
    })
}

/// Whether the anomaly lies above what was usual. Trouble is on its side: a flow that fell does not
/// threaten its upper limit, however much the day's load rises.
fn leaning(question: &Question<'_>, window: &[(Timestamp, f64)]) -> Option<bool> {
    let value = question.anomaly?.value?;
    let usual = usual(question, window)?;
    Some(value > usual)
}

/// Whether the later half of the window lies above the earlier; the last level decides a tie.
fn rises(window: &[(Timestamp, f64)], level: f64) -> bool {
    let half = window.len() / 2;
    if half == 0 {
        return true;
    }
    let mean = |part: &[(Timestamp, f64)]| {
        part.iter().map(|(_, value)| value).sum::<f64>() / part.len() as f64
    };
    let (early, late) = (mean(&window[..half]), mean(&window[half..]));
    late > early || (late - early).abs() < f64::EPSILON && level >= early
}

fn time(target: Option<&Target>, answer: Option<&Answer>) -> (Option<TimeToLimit>, Option<String>) {
    let (Some(target), Some(answer)) = (target, answer) else {
        return (None, Some("no limit is known for this sensor; set its range".to_owned()));
    };
    let given = |median: f64, low: f64, high: Option<f64>| {
        Some(TimeToLimit { median, low, high, confidence: COVERAGE })
    };
    match answer.outlook {
        Outlook::Beyond if target.hard => (given(0.0, 0.0, Some(0.0)), None),
        Outlook::Beyond => {
            let why = "already far outside what was usual, and no hard limit is known";
            (None, Some(why.to_owned()))
        }
        Outlook::Approaching => match (answer.median_s, answer.low_s) {
            (Some(median), Some(low)) => (given(median, low, answer.high_s), None),
            _ => (None, Some(answer.explanation.clone())),
        },
        Outlook::Receding | Outlook::Steady | Outlook::TooFew => {
            (None, Some(answer.explanation.clone()))
        }
    }
}

/// What speaks for trouble, each as a probability of its own; together they miss it only when all
/// of them do.
fn contributions(
    anomaly: Option<&Anomaly>,
    target: Option<&Target>,
    answer: Option<&Answer>,
) -> Vec<Contribution> {
    /// No single piece of evidence is certain.
    const SURE_MAX: f64 = 0.98;
    let mut parts = Vec::new();
    if let Some(anomaly) = anomaly {
        // How often an anomaly of that severity means trouble; to be learned from verdicts.
        let weight = match anomaly.severity {
            Severity::Critical => 0.9,
            Severity::High => 0.7,
            Severity::Medium => 0.45,
            Severity::Low => 0.2,
        };
        let score = if anomaly.score.is_finite() { anomaly.score.clamp(0.0, 1.0) } else { 0.0 };
        parts.push(("anomaly", weight * score));
    }
    if let (Some(target), Some(answer)) = (target, answer) {
        let trust = if target.hard { 1.0 } else { 0.5 };
        let probability =
            if answer.probability.is_finite() { answer.probability.clamp(0.0, 1.0) } else { 0.0 };
        parts.push(("trend reaches the limit", trust * probability));
    }
    let surprise = |value: f64| -(1.0 - value.min(SURE_MAX)).ln();
    let total: f64 = parts.iter().map(|(_, value)| surprise(*value)).sum();
    parts
        .into_iter()
        .map(|(name, value)| Contribution {
            name: name.to_owned(),
            value: value.min(SURE_MAX),
            weight: if total > 0.0 { surprise(value) / total } else { 0.0 },
        })
        .collect()
}

/// How little time is left to plan and do the work.
fn urgency(time: Option<&TimeToLimit>) -> Severity {
    const SHIFT_S: f64 = 8.0 * 3_600.0;
    match time.map(|time| time.median) {
        Some(median) if median <= SHIFT_S => Severity::Critical,
        Some(median) if median <= 3.0 * DAY_S => Severity::High,
        Some(median) if median <= 14.0 * DAY_S => Severity::Medium,
        _ => Severity::Low,
    }
}

fn severity(risk: f64) -> Severity {
    match risk {
        risk if risk >= 0.85 => Severity::Critical,
        risk if risk >= 0.6 => Severity::High,
        risk if risk >= 0.3 => Severity::Medium,
        _ => Severity::Low,
    }
}

fn trend(answer: &Answer, window: &[(Timestamp, f64)]) -> Option<Trend> {
    if answer.samples < TREND_POINTS_MIN {
        return None;
    }
    let (slope, error) = (answer.slope_per_s * DAY_S, answer.slope_error * DAY_S);
    if !slope.is_finite() || !error.is_finite() {
        return None;
    }
    Some(Trend {
        slope_per_day: slope,
        error_per_day: error,
        samples: answer.samples as u64,
        from: window.iter().map(|(at, _)| *at).min()?,
        to: window.iter().map(|(at, _)| *at).max()?,
    })
}

/// One sentence: what reaches which limit when, or what stands instead.
fn summary(
    question: &Question<'_>,
    target: Option<&Target>,
    time: Option<TimeToLimit>,
    level: Option<f64>,
) -> String {
    let measure = question.sensor.rsplit('/').next().unwrap_or("value").replace(['_', '-'], " ");
    let kind = question.anomaly.and_then(|one| one.kind.as_deref()).filter(|kind| *kind != "other");
    let name = capitalised(kind.unwrap_or(&measure));
    let unit = question.anomaly.and_then(|one| one.unit.as_deref()).unwrap_or_default();
    let amount = |value: f64| format!("{} {unit}", short(value)).trim_end().to_owned();
    match (target, time) {
        (Some(target), Some(time)) if time.median <= 0.0 => {
            let side = if target.side == Side::Above { "above" } else { "below" };
            let value = level.map(|value| format!(" at {}", amount(value))).unwrap_or_default();
            format!("{name} is {side} its limit of {}{value}", amount(target.limit.value))
        }
        (Some(target), Some(time)) => {
            let (in_words, divisor) = scale(time.median);
            let part = |seconds: f64| short_count(seconds / divisor);
            let high = time.high.map_or_else(|| "later".to_owned(), part);
            format!(
                "{name} reaches {} in {} {in_words} [{}–{high}]",
                amount(target.limit.value),
                part(time.median),
                part(time.low),
            )
        }
        _ => {
            let value = question.anomaly.and_then(|one| one.value).or(level);
            let value = value.map(|value| format!(" at {}", amount(value))).unwrap_or_default();
            let asset = asset_label(question.asset);
            format!("{name} of {asset} is unusual{value}; when it reaches a limit is not known")
        }
    }
}

fn scale(seconds: f64) -> (&'static str, f64) {
    match seconds {
        s if s >= 2.0 * DAY_S => ("days", DAY_S),
        s if s >= 2.0 * 3_600.0 => ("hours", 3_600.0),
        _ => ("minutes", 60.0),
    }
}

fn short_count(value: f64) -> String {
    if value >= 9.5 { format!("{value:.0}") } else { format!("{}", (value * 10.0).round() / 10.0) }
}

/// At most three significant decimals, without trailing zeros.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 10.0,
        v if v >= 1.0 => 100.0,
        _ => 1_000.0,
    };
    format!("{}", (value * decimals).round() / decimals)
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + chars.as_str())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    pub(crate) fn anomaly(severity: &str, rule: &str) -> Anomaly {
        serde_json::from_value(json!({
            "anomaly_id": Uuid::nil(), "sensor": "north/p-2/vibration", "asset": "north/p-2",
            "site": "north", "kind": "vibration", "unit": "mm/s", "rule": rule, "state": "active",
            "severity": severity, "score": 0.97, "value": 4.6,
            "expected": {"low": 1.8, "high": 2.6}, "started_at": NOW, "detected_at": NOW,
            "evidence": {"from": NOW, "to": NOW, "samples": 500, "baseline_mean": 2.2,
                          "baseline_spread": 0.1},
            "detector": {"name": "sensor-detector", "version": "sensor/1"}, "origin": "simulated"
        }))
        .unwrap()
    }

    fn question<'a>(anomaly: Option<&'a Anomaly>, range: Option<Band>) -> Question<'a> {
        Question {
            id: Uuid::nil(),
            sensor: "north/p-2/vibration",
            asset: "north/p-2",
            anomaly,
            range,
            limit: None,
            horizon_s: HORIZON_S,
            now: NOW,
        }
    }

    /// A day of five-minute values that rise by `per_day`, with noise that repeats.
    fn window(level: f64, per_day: f64) -> Vec<(Timestamp, f64)> {
        (0..288_u32)
            .map(|n| {
                let at = Timestamp::from_secs(1_795_000_000 - 86_400 + i64::from(n) * 300);
                let noise = f64::from((n * 7_919) % 101) / 1_010.0 - 0.05;
                (at, level + per_day * (f64::from(n) / 288.0 - 1.0) + noise)
            })
            .collect()
    }

    #[test]
    fn a_rise_reaches_the_registered_limit() {
        let anomaly = anomaly("high", "score");
        let range = Some(Band { low: Some(0.0), high: Some(7.1) });
        let prediction = predict(&question(Some(&anomaly), range), &window(4.6, 0.5));
        let time = prediction.time_to_limit_s.expect("a steep rise has a time");
        let days = time.median / DAY_S;
        assert!((4.0..6.0).contains(&days), "{days}");
        assert!(time.low <= time.median && time.high.is_none_or(|high| high >= time.median));
        assert_eq!(prediction.limit.unwrap().source, "sensor range");
        assert!(prediction.summary.starts_with("Vibration reaches 7.1 mm/s in"));
        assert!(prediction.risk > 0.9, "{}", prediction.risk);
        let weights: f64 = prediction.contributions.iter().map(|one| one.weight).sum();
        assert!((weights - 1.0).abs() < 1e-9);
    }

    #[test]
    fn trouble_lies_on_the_side_of_the_anomaly() {
        let range = Some(Band { low: Some(0.0), high: Some(7.1) });
        let fell = Anomaly { value: Some(1.0), ..anomaly("high", "score") };
        let prediction = predict(&question(Some(&fell), range), &window(4.6, 0.5));
        assert_eq!(prediction.limit.unwrap().value, 0.0);
        assert_eq!(prediction.time_to_limit_s, None, "it rises away from the lower limit");
    }

    #[test]
    fn no_trend_is_said_to_be_none() {
        let anomaly = anomaly("medium", "score");
        let range = Some(Band { low: Some(0.0), high: Some(7.1) });
        let prediction = predict(&question(Some(&anomaly), range), &window(2.2, 0.0));
        assert_eq!(prediction.time_to_limit_s, None);
        assert!(prediction.why_unsure.is_some());
        assert!(prediction.summary.contains("not known"), "{}", prediction.summary);
        assert!(prediction.risk > 0.3, "the anomaly alone is a risk: {}", prediction.risk);
    }

    #[test]
    fn without_readings_or_limit_it_still_answers() {
        let anomaly = anomaly("critical", "rate");
        let bare = Anomaly { expected: None, evidence: None, ..anomaly };
        let prediction = predict(&question(Some(&bare), None), &[]);
        assert_eq!((prediction.time_to_limit_s, prediction.trend), (None, None));
        assert!(prediction.why_unsure.unwrap().contains("no limit"));
        assert!((0.0..=1.0).contains(&prediction.risk));
        let nothing = predict(&question(None, None), &[]);
        assert!(nothing.risk.abs() < 1e-12 && nothing.severity == Severity::Low);
    }

    #[test]
    fn beyond_a_hard_limit_there_is_no_time_left() {
        let anomaly = anomaly("critical", "range");
        let told = Anomaly { range: Some(Band { low: None, high: Some(4.0) }), ..anomaly };
        let prediction = predict(&question(Some(&told), None), &window(4.6, 0.1));
        assert_eq!(prediction.time_to_limit_s.unwrap().median, 0.0);
        assert!(prediction.summary.contains("above its limit of 4 mm/s"));
    }

    #[test]
    fn a_learned_band_is_no_hard_limit() {
        let anomaly = anomaly("high", "score");
        let prediction = predict(&question(Some(&anomaly), None), &window(4.6, 0.5));
        assert_eq!(prediction.limit.clone().unwrap().source, "learned band");
        assert!((prediction.limit.unwrap().value - 3.0).abs() < 1e-9);
        assert_eq!(prediction.time_to_limit_s, None);
    }

    #[test]
    fn a_given_limit_may_lie_below() {
        let asked = Question { limit: Some(1.0), ..question(None, None) };
        let prediction = predict(&asked, &window(4.6, -0.9));
        let days = prediction.time_to_limit_s.unwrap().median / DAY_S;
        assert!((3.0..5.0).contains(&days), "{days}");
    }
}
