//! A robust straight line with honest errors.

/// Most points a line is fitted to; more readings are gathered into this many slices of time. Pairs
/// grow with the square of it.
const SLICES_MAX: usize = 48;
/// Largest autocorrelation that is believed; beyond it the window holds about one observation.
const AUTOCORRELATION_MAX: f64 = 0.95;
/// Fewest independent observations that errors are computed for.
const EFFECTIVE_MIN: f64 = 3.0;
/// Standard deviation of normal noise over its median absolute deviation.
const SIGMA_PER_MAD: f64 = 1.482_602_218_505_602;
/// Standard error of the Theil-Sen slope over that of least squares on normal noise: √(π/3).
const THEIL_SEN_LOSS: f64 = 1.023_326_707_946_488_5;

/// Residuals that follow one another more closely than this show a bend, not noise.
const BEND: f64 = 0.5;
/// How often the window may be halved to find a straight end of it.
const HALVINGS_MAX: u32 = 3;
/// Fewest slices after a step of the level, and the newest share of all in which one is looked for.
const STEP_SLICES_MIN: usize = 2;
const STEP_SHARE: usize = 3;
/// A step is further than this many standard deviations of the noise, and with it the residuals
/// shrink to less than this share.
const STEP_SIGMAS: f64 = 5.0;
const STEP_GAIN: f64 = 0.6;

/// `level + slope·t`, with t in seconds after the last reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) level: f64,
    pub(super) slope: f64,
    /// Variances and covariance of the two, corrected for autocorrelation.
    pub(super) level_variance: f64,
    pub(super) slope_variance: f64,
    pub(super) covariance: f64,
    /// Independent observations that the readings are worth.
    pub(super) effective: f64,
    autocorrelation: f64,
    /// Seconds from the first to the last reading.
    pub(super) span_s: f64,
    /// Middle of the newest slice: what the level is, whatever the line says.
    pub(super) newest: f64,
}

impl Line {
    /// The line through the longest end of the window that is straight: the whole of it, or a half,
    /// a quarter, an eighth. Wear speeds up and loads have their day, so a long window is often
    /// bent, and a line through a bend knows nothing of where it goes. When no end is straight the
    /// whole window is used, whose autocorrelation then says how little it is worth.
    ///
    /// `points` are sorted, t ≤ 0 in seconds before the last one.
    pub(super) fn through(points: &[(f64, f64)], least: usize) -> Option<Self> {
        let whole = Self::fit(points)?;
        let straight = |line: &Self| line.autocorrelation <= BEND;
        if straight(&whole) {
            return Some(whole);
        }
        let ends = (1..=HALVINGS_MAX).map_while(|halvings| {
            let from = -whole.span_s / f64::from(1_u32 << halvings);
            let end = &points[points.partition_point(|(t, _)| *t < from)..];
            (end.len() >= least).then(|| Self::fit(end))
        });
        Some(ends.flatten().find(straight).unwrap_or(whole))
    }

    /// Theil (1950) and Sen (1968): the median of the slopes between all pairs, on medians of time
    /// slices. The error is that of least squares with the residuals' robust spread, widened by
    /// the lag-one autocorrelation (Bayley and Hammersley, 1946; bias of the estimate removed after
    /// Marriott and Pope, 1954). A step of the level just before the end does not turn the line but
    /// lifts it. `None` when all readings have one time.
    fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let span_s = -points.first()?.0;
        if span_s <= 0.0 {
            return None;
        }
        let slices = slices(points, span_s);
        let count = slices.len() as f64;
        let Course { slope, level, residuals, tail, .. } = Course::of(&slices)?;
        let centre = slices.iter().map(|(t, _)| t).sum::<f64>() / count;
        let leverage = slices.iter().map(|(t, _)| (t - centre) * (t - centre)).sum::<f64>();
        if leverage <= 0.0 {
            return None;
        }
        let autocorrelation = autocorrelation(&residuals);
        let inflation = (1.0 + autocorrelation) / (1.0 - autocorrelation);
        let effective = (count / inflation).clamp(EFFECTIVE_MIN, count.max(EFFECTIVE_MIN));
        let spread = spread(&residuals) * THEIL_SEN_LOSS;
        let variance = spread * spread * (count / effective);
        let slope_variance = variance / leverage;
        // After a step only the newest slices say where the level is.
        let behind = tail.unwrap_or(slices.len()) as f64;
        Some(Self {
            level,
            slope,
            level_variance: variance / behind + slope_variance * centre * centre,
            slope_variance,
            covariance: -centre * slope_variance,
            effective,
            autocorrelation,
            span_s,
            newest: slices.last()?.1,
        })
    }

    /// Degrees of freedom of the errors.
    pub(super) fn freedom(&self) -> f64 {
        (self.effective - 2.0).max(1.0)
    }

    /// Probability that the line lies above `limit` at `t` (fiducial; the crossing time that follows
    /// is Fieller's, 1954).
    pub(super) fn probability_above(&self, limit: f64, t: f64) -> f64 {
        let variance =
            self.level_variance + 2.0 * t * self.covariance + t * t * self.slope_variance;
        let distance = self.level + self.slope * t - limit;
        student(distance, variance, self.freedom())
    }

    /// Probability that the slope is above zero.
    pub(super) fn probability_rising(&self) -> f64 {
        student(self.slope, self.slope_variance, self.freedom())
    }
}

/// P(T ≤ distance/√variance) of Student's t, by Wallace's transformation to a normal deviate (1959).
fn student(distance: f64, variance: f64, freedom: f64) -> f64 {
    if variance <= 0.0 {
        return if distance > 0.0 {
            1.0
        } else if distance < 0.0 {
            0.0
        } else {
            0.5
        };
    }
    let t = distance / variance.sqrt();
    let shrink = (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0);
    let z = shrink * (freedom * (t * t / freedom).ln_1p()).sqrt();
    0.5 * libm::erfc(-z.copysign(t) * std::f64::consts::FRAC_1_SQRT_2)
}

/// Medians of the readings in equal slices of time; the readings themselves when they are few.
fn slices(points: &[(f64, f64)], span_s: f64) -> Vec<(f64, f64)> {
    if points.len() <= SLICES_MAX {
        return points.to_vec();
    }
    let place = |t: f64| {
        let share = (t + span_s) / span_s * SLICES_MAX as f64;
        (share as usize).min(SLICES_MAX - 1)
    };
    points
        .chunk_by(|a, b| place(a.0) == place(b.0))
        .filter_map(|chunk| {
            let middle = chunk.iter().map(|(t, _)| t).sum::<f64>() / chunk.len() as f64;
            Some((middle, median(chunk.iter().map(|(_, y)| *y).collect())?))
        })
        .collect()
}

/// A slope with the level it leads to.
struct Course {
    slope: f64,
    /// At t = 0.
    level: f64,
    residuals: Vec<f64>,
    /// How many slices follow a step of the level, when there is one, and how far it went.
    tail: Option<usize>,
    step: f64,
}

impl Course {
    /// The straight course, or the one with a step of the level in its newest part where that
    /// explains far more: a bearing that spalls jumps and then wears on as before.
    fn of(points: &[(f64, f64)]) -> Option<Self> {
        let straight = Self::with_tail(points, None)?;
        let stepped = (STEP_SLICES_MIN..=points.len() / STEP_SHARE)
            .filter_map(|tail| Self::with_tail(points, Some(tail)))
            .min_by(|a, b| a.misfit().total_cmp(&b.misfit()));
        Some(match stepped {
            Some(stepped)
                if stepped.misfit() < STEP_GAIN * straight.misfit()
                    && stepped.step.abs() > STEP_SIGMAS * stepped.noise() =>
            {
                stepped
            }
            _ => straight,
        })
    }

    fn with_tail(points: &[(f64, f64)], tail: Option<usize>) -> Option<Self> {
        let (before, after) = points.split_at(points.len() - tail.unwrap_or(0));
        let mut slopes = pair_slopes(before);
        slopes.extend(pair_slopes(after));
        let slope = median(slopes)?;
        let level_of =
            |part: &[(f64, f64)]| median(part.iter().map(|(t, y)| y - slope * t).collect());
        let earlier = level_of(before)?;
        let level = level_of(after).unwrap_or(earlier);
        let residual = |level: f64| move |(t, y): &(f64, f64)| y - level - slope * t;
        let residuals =
            before.iter().map(residual(earlier)).chain(after.iter().map(residual(level))).collect();
        Some(Self { slope, level, residuals, tail, step: level - earlier })
    }

    fn misfit(&self) -> f64 {
        self.residuals.iter().map(|residual| residual.abs()).sum()
    }

    fn noise(&self) -> f64 {
        let size = median(self.residuals.iter().map(|residual| residual.abs()).collect());
        SIGMA_PER_MAD * size.unwrap_or(0.0)
    }
}

fn pair_slopes(points: &[(f64, f64)]) -> Vec<f64> {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (n, (t, y)) in points.iter().enumerate() {
        for (later_t, later_y) in &points[n + 1..] {
            if later_t > t {
                slopes.push((later_y - y) / (later_t - t));
            }
        }
    }
    slopes
}

/// Lag-one autocorrelation, never below zero: an alternation is no reason to be surer.
fn autocorrelation(residuals: &[f64]) -> f64 {
    let count = residuals.len() as f64;
    let mean = residuals.iter().sum::<f64>() / count;
    let power: f64 = residuals.iter().map(|r| (r - mean) * (r - mean)).sum();
    if power <= 0.0 {
        return 0.0;
    }
    let lagged: f64 = residuals.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum();
    let raw = lagged / power;
    // Taking a line out of the residuals biases the estimate down by about (2 + 4ρ)/n.
    (raw + (2.0 + 4.0 * raw) / count).clamp(0.0, AUTOCORRELATION_MAX)
}

/// Standard deviation of the residuals: the larger of the robust and the plain one shrunk, so that
/// neither outliers nor a majority of equal values decide alone.
fn spread(residuals: &[f64]) -> f64 {
    let count = residuals.len() as f64;
    let freedom = (count - 2.0).max(1.0);
    let plain = (residuals.iter().map(|r| r * r).sum::<f64>() / freedom).sqrt();
    let mad = median(residuals.iter().map(|r| r.abs()).collect()).unwrap_or(0.0);
    let robust = SIGMA_PER_MAD * mad * (count / freedom).sqrt();
    robust.max(plain.min(1.5 * robust)).max(0.5 * plain)
}

/// The median; `None` of nothing. Means of the middle two when the count is even.
fn median(mut values: Vec<f64>) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, value, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let value = *value;
    if !even {
        return Some(value);
    }
    let other = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(0.5 * (value + other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn students_t_is_close_to_the_tables() {
        // One-sided 97.5 % points.
        for (freedom, t) in [(4.0, 2.776), (10.0, 2.228), (40.0, 2.021)] {
            let p = student(t, 1.0, freedom);
            assert!((p - 0.975).abs() < 0.003, "{freedom}: {p}");
            assert!((student(-t, 1.0, freedom) + p - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn outliers_do_not_turn_the_line() {
        let mut points: Vec<(f64, f64)> =
            (0..40).map(|n| (f64::from(n) - 39.0, 0.5 * f64::from(n))).collect();
        points[3].1 = 900.0;
        points[30].1 = -700.0;
        points[31].1 = -700.0;
        let line = Line::fit(&points).unwrap();
        assert!((line.slope - 0.5).abs() < 0.02, "{line:?}");
        assert!((line.level - 19.5).abs() < 0.5, "{line:?}");
    }

    /// 48 readings with a little alternating noise on `truth`.
    fn window(truth: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..48_u32)
            .map(|n| {
                let noise = 0.05 * (f64::from(n * 7 % 11) / 5.0 - 1.0);
                (f64::from(n) - 47.0, truth(f64::from(n)) + noise)
            })
            .collect()
    }

    #[test]
    fn a_step_lifts_the_line_and_does_not_turn_it() {
        let points = window(|n| 0.1 * n + if n >= 40.0 { 3.0 } else { 0.0 });
        let line = Line::through(&points, 12).unwrap();
        assert!((line.slope - 0.1).abs() < 0.01, "{line:?}");
        assert!((line.level - 7.7).abs() < 0.1, "{line:?}");
        let lone = window(|n| 0.1 * n + if n >= 47.0 { 3.0 } else { 0.0 });
        assert!((Line::through(&lone, 12).unwrap().level - 4.7).abs() < 0.1);
    }

    #[test]
    fn of_a_bent_window_the_straight_end_counts() {
        let points = window(|n| if n < 24.0 { 0.0 } else { 0.2 * (n - 24.0) });
        let line = Line::through(&points, 12).unwrap();
        assert!((line.slope - 0.2).abs() < 0.01, "{line:?}");
        assert!(line.span_s < 24.0);
        let straight = Line::through(&window(|n| 0.2 * n), 12).unwrap();
        assert!((straight.span_s - 47.0).abs() < 1e-9);
    }

    #[test]
    fn many_readings_are_gathered_into_slices() {
        let points: Vec<(f64, f64)> =
            (0..5_000).map(|n| (f64::from(n) - 4_999.0, f64::from(n))).collect();
        assert_eq!(slices(&points, 4_999.0).len(), SLICES_MAX);
        let line = Line::fit(&points).unwrap();
        assert!((line.slope - 1.0).abs() < 1e-3);
    }
}
