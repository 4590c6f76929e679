use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// How bad it is when nobody acts. `Critical` is greatest.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

/// Whether it happened, was made up, or happened before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    #[default]
    Real,
    Simulated,
    Replayed,
}

/// A value that should not be passed, and who says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Limit {
    pub value: f64,
    /// `sensor range`, `learned band` or `given`.
    pub source: String,
}

/// Seconds from now until the limit is reached, with the interval that holds it in `confidence`
/// of all cases. `high` is missing when the trend may also never get there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimeToLimit {
    pub median: f64,
    pub low: f64,
    pub high: Option<f64>,
    pub confidence: f64,
}

/// The straight line through the recent readings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trend {
    pub slope_per_day: f64,
    pub error_per_day: f64,
    pub samples: u64,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// How much one thing added to the risk. `weight` adds up to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Contribution {
    pub name: String,
    pub value: f64,
    pub weight: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelName {
    pub name: String,
    pub version: String,
}

/// The anomaly that led to a prediction, as far as it counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnomalyGist {
    pub score: f64,
    pub rule: String,
    pub started_at: Timestamp,
}

/// What will happen to an asset if nobody acts, how sure that is, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Prediction {
    pub prediction_id: Uuid,
    pub asset: String,
    pub sensor: String,
    pub anomaly_id: Option<Uuid>,
    pub kind: Option<String>,
    pub unit: Option<String>,
    /// 0 to 1.
    pub risk: f64,
    pub severity: Severity,
    /// One sentence for people.
    pub summary: String,
    pub limit: Option<Limit>,
    pub time_to_limit_s: Option<TimeToLimit>,
    /// Why there is no time, when there is none.
    pub why_unsure: Option<String>,
    pub trend: Option<Trend>,
    pub contributions: Vec<Contribution>,
    pub model: ModelName,
    pub predicted_at: Timestamp,
    pub anomaly: Option<AnomalyGist>,
    pub origin: Origin,
}

/// One version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelVersion {
    pub name: String,
    pub version: String,
    /// `builtin`: part of this program.
    pub source: String,
    pub task: String,
    pub description: String,
}

/// A model with its versions, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Model {
    pub name: String,
    pub task: String,
    pub description: String,
    pub latest: String,
    pub versions: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ForecastPoint {
    pub at: Timestamp,
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// How one method did on the sensor's own past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MethodScore {
    pub method: String,
    /// Mean absolute error, in the sensor's unit.
    pub mae: f64,
}

/// What the forecast was chosen by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Backtest {
    /// Starting points from which the past was forecast.
    pub origins: u64,
    pub scores: Vec<MethodScore>,
    /// Share of past values that the interval would have held; wanted is `confidence`.
    pub coverage: f64,
    pub confidence: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Forecast {
    pub sensor: String,
    pub points: Vec<ForecastPoint>,
    pub model: ModelName,
    pub backtest: Backtest,
    /// Seconds between two points.
    pub step_s: f64,
    /// Values of the past it was made from.
    pub history: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MlHealth {
    /// `ok` or `degraded`.
    pub status: String,
    pub models: u64,
    pub predictions: u64,
    pub last_prediction_at: Option<Timestamp>,
    pub series: String,
}

/// The models that are part of this program.
#[must_use]
pub fn builtin() -> Vec<ModelVersion> {
    let one = |name: &str, version: &str, task: &str, description: &str| ModelVersion {
        name: name.to_owned(),
        version: version.to_owned(),
        source: "builtin".to_owned(),
        task: task.to_owned(),
        description: description.to_owned(),
    };
    let detector = signal::detector::VERSION.rsplit('/').next().unwrap_or("1");
    vec![
        one(
            TREND_TO_LIMIT,
            TREND_TO_LIMIT_VERSION,
            "time to limit",
            "Straight line through the recent readings, error corrected for autocorrelation",
        ),
        one(
            FORECASTER,
            FORECASTER_VERSION,
            "forecast",
            "Seasonal naive, drift or damped trend, chosen by backtest, interval from its errors",
        ),
        one(
            "sensor-detector",
            &format!("{detector}.0.0"),
            "anomaly",
            "Run rules and an adaptive score per sensor",
        ),
    ]
}

pub const TREND_TO_LIMIT: &str = "trend-to-limit";
pub const TREND_TO_LIMIT_VERSION: &str = "1.0.0";
pub const FORECASTER: &str = "backtested-forecaster";
pub const FORECASTER_VERSION: &str = "1.0.0";

/// The version that `wanted` names: an exact one, or the newest for `latest` and `auto`.
#[must_use]
pub fn resolve<'a>(
    versions: &'a [ModelVersion],
    name: &str,
    wanted: &str,
) -> Option<&'a ModelVersion> {
    let mut own = versions.iter().filter(|version| version.name == name);
    match wanted {
        "latest" | "auto" => own.max_by_key(|version| order(&version.version)),
        exact => own.find(|version| version.version == exact),
    }
}

/// All models, by name, versions newest first.
#[must_use]
pub fn models(versions: &[ModelVersion]) -> Vec<Model> {
    let mut names: Vec<&str> = versions.iter().map(|version| version.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let model = |name: &str| {
        let latest = resolve(versions, name, "latest")?;
        Some(Model {
            name: name.to_owned(),
            task: latest.task.clone(),
            description: latest.description.clone(),
            latest: latest.version.clone(),
            versions: newest_first(versions, name).into_iter().map(|one| one.version).collect(),
        })
    };
    names.into_iter().filter_map(model).collect()
}

#[must_use]
pub fn newest_first(versions: &[ModelVersion], name: &str) -> Vec<ModelVersion> {
    let mut own: Vec<ModelVersion> =
        versions.iter().filter(|version| version.name == name).cloned().collect();
    own.sort_by_key(|one| std::cmp::Reverse(order(&one.version)));
    own
}

/// Versions order by their numbers, a release after its pre-releases; what is no number goes
/// first.
fn order(version: &str) -> (Vec<u64>, bool, String) {
    let (release, pre) = match version.split_once('-') {
        Some((release, pre)) => (release, Some(pre)),
        None => (version, None),
    };
    let numbers = release.split('.').map_while(|part| part.parse().ok()).collect();
    (numbers, pre.is_none(), pre.unwrap_or_default().to_owned())
}

/// The last part of an asset key as people say it: `north/p-2` is `P-2`.
#[must_use]
pub fn asset_label(asset: &str) -> String {
    asset.rsplit('/').next().unwrap_or(asset).to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: &str) -> ModelVersion {
        ModelVersion {
            name: "bearing-life".to_owned(),
            version: version.to_owned(),
            source: "builtin".to_owned(),
            task: String::new(),
            description: String::new(),
        }
    }

    #[test]
    fn latest_is_the_greatest_number_not_the_last_in_the_alphabet() {
        let all: Vec<_> = ["1.9.0", "1.10.0", "1.10.1-rc1", "odd", "1.10"].map(version).to_vec();
        assert_eq!(resolve(&all, "bearing-life", "latest").unwrap().version, "1.10.1-rc1");
        let mut all = all;
        all.push(version("1.10.1"));
        for wanted in ["latest", "auto"] {
            assert_eq!(resolve(&all, "bearing-life", wanted).unwrap().version, "1.10.1");
        }
        assert_eq!(resolve(&all, "bearing-life", "1.9.0").unwrap().version, "1.9.0");
        assert!(resolve(&all, "bearing-life", "3").is_none());
        assert!(resolve(&all, "other", "latest").is_none());
        assert_eq!(models(&all)[0].versions[0], "1.10.1");
    }

    #[test]
    fn what_is_built_in_can_be_found() {
        let builtin = builtin();
        let found = resolve(&builtin, TREND_TO_LIMIT, "latest").unwrap();
        assert_eq!(found.version, TREND_TO_LIMIT_VERSION);
        assert!(resolve(&builtin, "sensor-detector", "auto").is_some());
    }
}
