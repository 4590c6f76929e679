//! An honest simple forecaster: three methods compete on the sensor's own past, the best one
//! speaks, and its interval is as wide as its errors were.

/// Fewest values a forecast is made from.
pub(crate) const HISTORY_MIN: usize = 24;
/// Most values looked at.
pub(crate) const HISTORY_MAX: usize = 1_024;
/// Most steps ahead.
pub(crate) const STEPS_MAX: usize = 500;
/// Starting points in the past from which the methods are tried.
const ORIGINS_MAX: usize = 24;
/// Share of values that the interval shall hold.
pub(crate) const CONFIDENCE: f64 = 0.8;
/// Steps whose errors are pooled, either side of one: few origins say little about one step alone.
const POOL: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// As one season before.
    SeasonalNaive { season: usize },
    /// On from the last value, as steeply as the whole history.
    Drift,
    /// On from the smoothed level, along a trend that fades.
    DampedTrend,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SeasonalNaive { .. } => "seasonal naive",
            Self::Drift => "drift",
            Self::DampedTrend => "damped trend",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) mean: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Forecast {
    pub(crate) method: Method,
    pub(crate) steps: Vec<Step>,
    pub(crate) origins: usize,
    pub(crate) scores: Vec<(Method, f64)>,
    /// Share of the past values that the interval would have held.
    pub(crate) coverage: f64,
}

/// Errors of one method: one row per origin, one column per step.
struct Trial {
    method: Method,
    errors: Vec<Vec<f64>>,
}

/// Forecasts `steps` values after `history` (evenly spaced, oldest first). `season` is its length
/// in values, when a season is likely. `None` when there is too little history.
#[must_use]
pub(crate) fn forecast(history: &[f64], steps: usize, season: Option<usize>) -> Option<Forecast> {
    let history = &history[history.len().saturating_sub(HISTORY_MAX)..];
    let steps = steps.clamp(1, STEPS_MAX);
    if history.len() < HISTORY_MIN || history.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mut methods = vec![Method::Drift, Method::DampedTrend];
    if let Some(season) = season.filter(|season| *season >= 2 && season * 2 <= history.len()) {
        methods.push(Method::SeasonalNaive { season });
    }
    let trials: Vec<Trial> =
        methods.iter().map(|method| attempt(*method, history, steps)).collect();
    let scores: Vec<(Method, f64)> =
        trials.iter().map(|trial| (trial.method, mean_error(trial))).collect();
    let best = trials.iter().min_by(|a, b| mean_error(a).total_cmp(&mean_error(b)))?;
    let means = run(best.method, history, steps);
    let spread = spreads(&best.errors, steps);
    let steps = means
        .iter()
        .zip(&spread)
        .map(|(mean, (low, high))| Step { mean: *mean, low: mean + low, high: mean + high })
        .collect();
    Some(Forecast {
        method: best.method,
        steps,
        origins: best.errors.len(),
        scores,
        coverage: coverage(&best.errors, &spread),
    })
}

/// Forecasts the past from several origins and keeps the errors. Near the end of the history a
/// row is shorter than the horizon.
fn attempt(method: Method, history: &[f64], steps: usize) -> Trial {
    let least = match method {
        Method::SeasonalNaive { season } => season,
        Method::Drift | Method::DampedTrend => HISTORY_MIN / 2,
    };
    let first = (history.len() / 2).max(least).min(history.len() - 1);
    let stride = (history.len() - first).div_ceil(ORIGINS_MAX).max(1);
    let errors = (first..history.len())
        .step_by(stride)
        .map(|origin| {
            let ahead = steps.min(history.len() - origin);
            let said = run(method, &history[..origin], ahead);
            history[origin..origin + ahead].iter().zip(said).map(|(was, said)| was - said).collect()
        })
        .collect();
    Trial { method, errors }
}

fn mean_error(trial: &Trial) -> f64 {
    let all: Vec<f64> = trial.errors.iter().flatten().map(|error| error.abs()).collect();
    all.iter().sum::<f64>() / all.len().max(1) as f64
}

fn run(method: Method, history: &[f64], steps: usize) -> Vec<f64> {
    let (Some(first), Some(last)) = (history.first(), history.last()) else {
        return vec![0.0; steps];
    };
    match method {
        Method::SeasonalNaive { season } => {
            let from = history.len().saturating_sub(season);
            let season = &history[from..];
            (0..steps).map(|step| season[step % season.len()]).collect()
        }
        Method::Drift => {
            let slope = (last - first) / (history.len() - 1).max(1) as f64;
            (1..=steps).map(|step| last + slope * step as f64).collect()
        }
        Method::DampedTrend => damped(history, steps),
    }
}

/// Holt's linear smoothing with a trend that fades by a tenth each step.
fn damped(history: &[f64], steps: usize) -> Vec<f64> {
    const LEVEL: f64 = 0.3;
    const TREND: f64 = 0.1;
    const FADE: f64 = 0.9;
    let mut level = history.first().copied().unwrap_or(0.0);
    let mut trend = 0.0;
    for value in &history[1..] {
        let before = level;
        level = LEVEL * value + (1.0 - LEVEL) * (level + FADE * trend);
        trend = TREND * (level - before) + (1.0 - TREND) * FADE * trend;
    }
    let mut weight = 0.0;
    let mut fade = 1.0;
    (0..steps)
        .map(|_| {
            fade *= FADE;
            weight += fade;
            level + weight * trend
        })
        .collect()
}

/// Lower and upper distance per step: quantiles of the errors at that step and its neighbours.
/// Further ahead is never narrower.
fn spreads(errors: &[Vec<f64>], steps: usize) -> Vec<(f64, f64)> {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let (mut low, mut high) = (0.0_f64, 0.0_f64);
    (0..steps)
        .map(|step| {
            let near = step.saturating_sub(POOL)..=step + POOL;
            let mut pool: Vec<f64> = errors
                .iter()
                .flat_map(|row| near.clone().filter_map(|at| row.get(at).copied()))
                .collect();
            pool.sort_by(f64::total_cmp);
            if !pool.is_empty() {
                low = low.min(quantile(&pool, tail));
                high = high.max(quantile(&pool, 1.0 - tail));
            }
            (low, high)
        })
        .collect()
}

fn coverage(errors: &[Vec<f64>], spread: &[(f64, f64)]) -> f64 {
    let (mut held, mut all) = (0_usize, 0_usize);
    for row in errors {
        for (error, (low, high)) in row.iter().zip(spread) {
            all += 1;
            held += usize::from(error >= low && error <= high);
        }
    }
    held as f64 / all.max(1) as f64
}

/// Linear between the values; `sorted` is not empty.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len() - 1;
    let at = share.clamp(0.0, 1.0) * last as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (at - at.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_season_is_repeated() {
        let day: Vec<f64> =
            (0..240).map(|n| (f64::from(n % 24) / 24.0 * std::f64::consts::TAU).sin()).collect();
        let forecast = forecast(&day, 24, Some(24)).unwrap();
        assert_eq!(forecast.method, Method::SeasonalNaive { season: 24 });
        assert!((forecast.steps[6].mean - day[6]).abs() < 1e-9);
        assert!(forecast.coverage >= CONFIDENCE);
    }

    #[test]
    fn a_straight_line_goes_on() {
        let line: Vec<f64> = (0..100).map(f64::from).collect();
        let forecast = forecast(&line, 10, Some(24)).unwrap();
        assert_eq!(forecast.method, Method::Drift);
        assert!((forecast.steps[9].mean - 109.0).abs() < 1e-9);
        assert_eq!(forecast.scores.len(), 3);
    }

    #[test]
    fn intervals_hold_what_they_promise_and_only_widen() {
        let mut seed = 7_u64;
        let mut walk = vec![0.0];
        for _ in 0..500 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let step = (seed >> 40) as f64 / f64::from(1 << 24) - 0.5;
            walk.push(walk.last().unwrap() + step);
        }
        let forecast = forecast(&walk, 30, None).unwrap();
        let widths: Vec<f64> = forecast.steps.iter().map(|step| step.high - step.low).collect();
        assert!(widths.windows(2).all(|pair| pair[1] >= pair[0] - 1e-12));
        assert!(forecast.coverage > 0.75, "{}", forecast.coverage);
        assert!(forecast.steps.iter().all(|s| s.low <= s.mean && s.mean <= s.high));
    }

    #[test]
    fn too_little_history_gives_no_forecast() {
        assert!(forecast(&[1.0; 23], 5, None).is_none());
        assert!(forecast(&[f64::NAN; 40], 5, None).is_none());
        assert!(forecast(&[1.0; 24], 5, Some(24)).is_some());
    }
}
