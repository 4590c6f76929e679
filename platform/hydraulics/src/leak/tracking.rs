//! A leak that was told: better estimates of place and size, and its end.

use serde::{Deserialize, Serialize};

use super::balance::LongFit;
use super::detector::certainty;
use super::history::Past;
use super::hypothesis::Fit;
use super::npw::{FastPast, Guess, Placed};
use super::search::{Refined, View};
use super::verdict::{Arrival, Evidence, Finding, Kind, Method, Phase};

/// Better estimates are told so long after the alarm, s; later once in the last interval.
const UPDATES_S: [f64; 9] = [60.0, 120.0, 300.0, 600.0, 900.0, 1_200.0, 1_500.0, 1_785.0, 3_600.0];
/// The size is taken over the newest seconds.
const RECENT_S: f64 = 600.0;
/// Fronts are waited for so many transits after the beginning.
const FRONT_TRANSITS: f64 = 3.0;
/// A leak is over when so little of it is left for this time, s.
const GONE: f64 = 0.25;
const GONE_S: f64 = 900.0;
/// A size is never stated better than this share: the model and the meters' slow errors.
const SIZE_SHARE: f64 = 0.03;

/// A leak under watch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tracked {
    number: u64,
    pub(crate) raised_s: f64,
    fit: Fit,
    error_m: f64,
    by_balance: bool,
    /// What was normal before, by channel: level and variance.
    reference: Vec<(f64, f64)>,
    place_m: Option<f64>,
    place_error_m: f64,
    arrivals: Vec<Arrival>,
    updates: usize,
    gone_since_s: Option<f64>,
    evidence: Evidence,
}

impl Tracked {
    pub(crate) fn new(
        number: u64,
        now_s: f64,
        leak: Refined,
        evidence: Evidence,
        past: &Past,
    ) -> Self {
        let first = past.after(leak.fit.start_s).saturating_sub(1);
        let reference = past.scans.get(first).map_or_else(Vec::new, |scan| {
            scan.normal.iter().copied().zip(scan.normal_variance.iter().copied()).collect()
        });
        Self {
            number,
            raised_s: now_s,
            fit: leak.fit,
            error_m: leak.error_m,
            by_balance: false,
            reference,
            place_m: None,
            place_error_m: 0.0,
            arrivals: Vec::new(),
            updates: 0,
            gone_since_s: None,
            evidence,
        }
    }

    /// A leak that a long balance found: its beginning is not known well.
    pub(crate) fn long(
        number: u64,
        now_s: f64,
        leak: &LongFit,
        evidence: Evidence,
        past: &Past,
    ) -> Self {
        let fit = Fit {
            cause: leak.cause,
            place_m: leak.place_m,
            start_s: now_s - leak.window_s,
            ramp_s: leak.window_s,
            size: leak.size,
            size_sigma: leak.size_sigma,
            gain: leak.gain,
            worth: leak.gain,
            misfit: 1.0,
        };
        let error_m = 2.0 * leak.size_sigma / leak.size;
        let refined = Refined { fit, error_m };
        Self { by_balance: true, ..Self::new(number, now_s, refined, evidence, past) }
    }

    pub(crate) fn begin(&mut self, view: &View<'_>, fast: &FastPast, now_s: f64) -> Vec<Finding> {
        if self.by_balance {
            self.error_m *= view.line.length_m;
        }
        self.front(view, fast);
        vec![self.finding(view, now_s, Phase::New)]
    }

    /// Follows the leak with every scan.
    pub(crate) fn follow(&mut self, view: &View<'_>, fast: &FastPast, now_s: f64) -> Vec<Finding> {
        let since_s = now_s - self.raised_s;
        let waits = now_s - self.fit.start_s < FRONT_TRANSITS * view.line.transit_s() + 60.0;
        let known = self.arrivals.len();
        let placed = waits && known < view.line.fast.len() && self.front(view, fast);
        let late = self.updates + 1 - UPDATES_S.len().min(self.updates + 1);
        let due_s = UPDATES_S[self.updates.min(UPDATES_S.len() - 1)] + late as f64 * 1_800.0;
        let due = since_s >= due_s;
        if due {
            self.updates += 1;
            self.again(view);
        }
        if self.is_gone(view, now_s) {
            return vec![self.finding(view, now_s, Phase::Cleared)];
        }
        if due || placed && self.arrivals.len() > known {
            return vec![self.finding(view, now_s, Phase::Update)];
        }
        Vec::new()
    }

    /// Fits once more while the beginning is still remembered.
    fn again(&mut self, view: &View<'_>) {
        let oldest_s = view.past.scans.front().map_or(f64::INFINITY, |oldest| oldest.time_s);
        if self.by_balance || self.fit.start_s - oldest_s < 2.0 * view.line.transit_s() {
            return;
        }
        if let Some(refined) = view.refine(&self.fit, usize::MAX) {
            self.fit = refined.fit;
            self.error_m = refined.error_m;
        }
    }

    /// Looks for the fronts in the fast pressures; true when they place the leak.
    fn front(&mut self, view: &View<'_>, fast: &FastPast) -> bool {
        if self.by_balance || view.line.fast.len() < 2 {
            return false;
        }
        let flow = view.past.scans.back().map_or(0.0, |scan| scan.flow);
        let guess = Guess {
            place_m: self.fit.place_m,
            place_sigma_m: 0.5 * self.error_m,
            start_s: self.fit.start_s,
            flow,
        };
        let Some(Placed { place_m, error_m, start_s, arrivals }) = fast.place(view.line, guess)
        else {
            return false;
        };
        if arrivals.len() < self.arrivals.len() {
            return false;
        }
        if error_m < self.error_m {
            self.place_m = Some(place_m);
            self.place_error_m = error_m;
            self.fit.start_s = start_s;
        }
        self.arrivals = arrivals;
        true
    }

    /// Flow missing in the newest minutes by the settled responses, m3/s, with sigma.
    fn recent(&self, view: &View<'_>, now_s: f64) -> Option<(f64, f64)> {
        let settled_s = self.fit.start_s + 3.0 * view.line.transit_s();
        let from_s = (now_s - RECENT_S).max(settled_s);
        let signature = view.bank.of(self.fit.cause)?;
        let (mut along, mut square) = (0.0_f64, 0.0_f64);
        let both = view.past.scans.back()?.residual.iter().take(2).all(|r| r.is_finite());
        for (channel, normal) in view.normals.iter().enumerate() {
            if both && channel >= 2 {
                break;
            }
            let (mean, n) = view.past.mean(from_s, now_s, |scan| scan.residual[channel]);
            if n < 12.0 {
                continue;
            }
            let (level, variance) = *self.reference.get(channel)?;
            let wander = normal.growth(now_s - self.fit.start_s);
            let variance = variance + wander + normal.noise() * normal.widening() / n;
            let response = view.bank.settled(signature, channel);
            if both {
                // The difference of the two ends is the balance; it needs no place.
                let sign = if channel == 0 { 1.0 } else { -1.0 };
                along += sign * (mean - level);
                square += variance;
            } else {
                along += response * (mean - level) / variance;
                square += response * response / variance;
            }
        }
        match both {
            true if square > 0.0 => Some((along, square.sqrt())),
            false if square > 0.0 => Some((along / square, 1.0 / square.sqrt())),
            _ => None,
        }
    }

    fn is_gone(&mut self, view: &View<'_>, now_s: f64) -> bool {
        let Some((size, _)) = self.recent(view, now_s) else {
            return false;
        };
        if size > GONE * self.fit.size {
            self.gone_since_s = None;
            return false;
        }
        let since_s = *self.gone_since_s.get_or_insert(now_s);
        now_s - since_s >= GONE_S
    }

    fn finding(&self, view: &View<'_>, now_s: f64, phase: Phase) -> Finding {
        let fitted = (self.fit.size, self.fit.size_sigma);
        let (size, sigma) = self.recent(view, now_s).unwrap_or(fitted);
        let error = libm::hypot(2.0 * sigma, SIZE_SHARE * size);
        let by_wave = self.place_m.is_some();
        let method = match (self.by_balance, by_wave) {
            (true, _) => Method::Balance,
            (_, true) => Method::Combined,
            _ => Method::Rttm,
        };
        let beyond = self.fit.worth - self.evidence.threshold;
        let rival = self.fit.worth - self.evidence.rival - 5.0;
        let mut evidence = self.evidence.clone();
        evidence.gain = self.fit.worth;
        evidence.misfit = self.fit.misfit;
        evidence.ramp_s = self.fit.ramp_s;
        evidence.arrivals.clone_from(&self.arrivals);
        let start_error_s = if by_wave { 2.0 } else { 10.0 + 0.2 * self.fit.ramp_s };
        Finding {
            number: self.number,
            phase,
            time_s: now_s,
            kind: Kind::Leak,
            start_s: self.fit.start_s,
            start_error_s,
            location_m: Some(self.place_m.unwrap_or(self.fit.place_m)),
            location_error_m: Some(if by_wave { self.place_error_m } else { self.error_m }),
            size: Some(size * 3_600.0),
            size_error: Some(error * 3_600.0),
            method,
            confidence: certainty(beyond.min(rival)),
            evidence,
        }
    }
}
