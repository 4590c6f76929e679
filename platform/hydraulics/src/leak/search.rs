//! Looks through beginnings, shapes and causes for what explains the newest residuals.

use super::config::EndKind;
use super::history::{Normal, Past, Scan};
use super::hypothesis::{Fit, Window};
use super::line::Line;
use super::signature::{Bank, Cause};

/// Supposed ages of a beginning, in s on a line that a wave crosses in a minute.
const AGES_S: [f64; 14] = [
    15.0, 25.0, 40.0, 60.0, 90.0, 130.0, 190.0, 270.0, 390.0, 560.0, 800.0, 1_150.0, 1_650.0,
    2_200.0,
];
/// Ages scale with the transit of the line, from this share on.
const TRANSIT_S: f64 = 60.0;
const SCALE_MIN: f64 = 0.4;
/// Ages that are compared in one window, and how much earlier it begins, s.
const GROUP: usize = 5;
const LEAD_S: f64 = 60.0;
/// Below this deviation of every mean, in sigma, nothing is fitted.
const GATE: f64 = 3.2;
/// Every which node is tried at first.
const STRIDE: usize = 6;
/// Points of a window while it is searched; older residuals are merged.
pub(crate) const POINTS: usize = 100;
/// Beginnings tried in the end, in steps.
const FINE: [f64; 7] = [-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75];
/// Every which node is tried with every beginning when a fit is refined.
const COARSE: usize = 10;
/// Beginnings tried to each side when a fit is refined.
const REFINE: i32 = 6;
/// Beginnings are moved by this at least when the age allows, s.
const REACH_S: f64 = 60.0;
/// Growth tried when a fit is refined, in parts of what it was; a short one is tried for an abrupt
/// beginning, s.
const RAMPS: [f64; 4] = [0.0, 0.6, 1.0, 1.8];
const RAMP_S: f64 = 40.0;
/// The stated interval of a place holds all that is at most so much less likely.
const INTERVAL: f64 = 4.0;
/// An operation may come by chance with anything: no contradiction at an end counts more.
const CONTRADICTION_MAX: f64 = 12.0;
/// What an end device holds is known to this share of the nominal flow.
const DEVICE: f64 = 0.000_3;

/// The best leak and the best other cause.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Search {
    pub(crate) leak: Option<Fit>,
    pub(crate) other: Option<Fit>,
}

/// A refined leak: the fit, and how far from it the place may be, m.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Refined {
    pub(crate) fit: Fit,
    pub(crate) error_m: f64,
}

/// What everything here looks at.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) line: &'a Line,
    pub(crate) past: &'a Past,
    pub(crate) normals: &'a [Normal],
    pub(crate) bank: &'a Bank,
}

/// Ages at which something may have begun, s: those since when a mean deviates.
pub(crate) fn deviating(line: &Line, past: &Past, normals: &[Normal]) -> Vec<f64> {
    let newest_s = past.scans.back().map_or(0.0, |newest| newest.time_s);
    let scale = (line.transit_s() / TRANSIT_S).max(SCALE_MIN);
    let deviates = |age_s: &f64| {
        let window = Window::new(past, normals, newest_s - age_s, POINTS);
        window.is_some_and(|window| window.deviation() > GATE)
    };
    AGES_S.into_iter().map(|age_s| age_s * scale).filter(deviates).collect()
}

impl View<'_> {
    pub(crate) fn search(&self, ages_s: &[f64]) -> Search {
        let mut search = Search::default();
        let oldest_s = self.past.scans.front().map_or(0.0, |oldest| oldest.time_s);
        for group in ages_s.chunks(GROUP) {
            let Some(oldest_age_s) = group.last() else {
                continue;
            };
            let newest_s = self.past.scans.back().map_or(0.0, |newest| newest.time_s);
            let from_s = (newest_s - oldest_age_s - LEAD_S).max(oldest_s);
            let Some(window) = Window::new(self.past, self.normals, from_s, POINTS) else {
                continue;
            };
            for age_s in group {
                for ramp_s in [0.0, *age_s] {
                    for signature in self.bank.leaks(STRIDE).chain(self.bank.others()) {
                        let start_s = newest_s - age_s;
                        let fit = window.fit(self.bank, signature, start_s, ramp_s);
                        fit.into_iter().for_each(|fit| search.offer(fit));
                    }
                }
            }
        }
        search
    }

    /// The same cause with the beginning, and for a leak the place, looked for closely.
    pub(crate) fn refine(&self, rough: &Fit, points: usize) -> Option<Refined> {
        let newest_s = self.past.scans.back()?.time_s;
        let age_s = newest_s - rough.start_s;
        let reach_s = (0.35 * age_s).min(REACH_S.max(0.5 * rough.ramp_s));
        let step_s = (reach_s / f64::from(REFINE)).max(1.0);
        let base_s = rough.ramp_s.max(RAMP_S);
        let mut gains = vec![f64::NEG_INFINITY; self.line.place_m.len()];
        let mut best = *rough;
        let first_s = rough.start_s - f64::from(REFINE) * step_s - LEAD_S;
        let oldest_s = self.past.scans.front()?.time_s;
        let window = Window::new(self.past, self.normals, first_s.max(oldest_s), points)?;
        best.gain = f64::NEG_INFINITY;
        let mut shape = |start_s: f64, ramp_s: f64, stride: usize, best: &mut Fit| {
            if start_s < newest_s && start_s > oldest_s {
                let when = (start_s, ramp_s.min(newest_s - start_s));
                self.nodes(&window, rough.cause, when, stride, &mut gains, best);
            }
        };
        for shift in -REFINE..=REFINE {
            let start_s = rough.start_s + f64::from(shift) * step_s;
            RAMPS.into_iter().for_each(|ramp| shape(start_s, ramp * base_s, COARSE, &mut best));
        }
        let coarse = best;
        for shift in FINE {
            let start_s = coarse.start_s + shift * step_s;
            shape(start_s, 0.0, 1, &mut best);
            if coarse.ramp_s > 0.0 {
                shape(start_s, coarse.ramp_s, 1, &mut best);
            }
        }
        if best.gain == f64::NEG_INFINITY {
            return None;
        }
        let likely = |node: &usize| gains[*node] > best.gain - INTERVAL;
        let places = (0..gains.len()).filter(likely).map(|node| self.line.place_m[node]);
        let error_m = places.map(|at| (at - best.place_m).abs()).fold(0.0, f64::max);
        let reach = self.line.length_m / self.line.reaches() as f64;
        Some(Refined { fit: best, error_m: error_m + 2.0 * reach })
    }

    fn nodes(
        &self,
        window: &Window,
        cause: Cause,
        (start_s, ramp_s): (f64, f64),
        stride: usize,
        gains: &mut [f64],
        best: &mut Fit,
    ) {
        let signatures = match cause {
            Cause::Leak(_) => self.bank.leaks(stride).collect::<Vec<_>>(),
            cause => self.bank.of(cause).into_iter().collect(),
        };
        for signature in signatures {
            let Some(fit) = window.fit(self.bank, signature, start_s, ramp_s) else {
                continue;
            };
            if let Cause::Leak(node) = fit.cause {
                if fit.size <= 0.0 {
                    continue;
                }
                gains[node] = gains[node].max(fit.gain);
            }
            if fit.gain > best.gain {
                *best = fit;
            }
        }
    }

    /// What the devices at an end say to a leak and to a wrong meter there, as logarithms of
    /// likelihoods from 0 down: a pump that holds its flow, or a valve that passes what its head
    /// drives, tells the true flow a second time.
    pub(crate) fn devices(&self, fault: &Fit) -> (f64, f64) {
        let at_inlet = match fault.cause {
            Cause::InletMeter => true,
            Cause::OutletMeter => false,
            _ => return (0.0, 0.0),
        };
        let Some(newest) = self.past.scans.back() else {
            return (0.0, 0.0);
        };
        let kind = if at_inlet { self.line.inlet } else { self.line.outlet };
        let flow = |scan: &Scan| if at_inlet { scan.ends.flow_in } else { scan.ends.flow_out };
        let head = |scan: &Scan| if at_inlet { scan.ends.head_in } else { scan.ends.head_out };
        let start_s = fault.start_s;
        let before = |of: &dyn Fn(&Scan) -> f64| self.past.mean(start_s - 400.0, start_s - 5.0, of);
        let from_s = newest.time_s - (0.5 * (newest.time_s - start_s)).clamp(30.0, 400.0);
        let after = |of: &dyn Fn(&Scan) -> f64| self.past.mean(from_s, newest.time_s, of);
        let ((q0, n0), (q1, n1)) = (before(&flow), after(&flow));
        let ((h0, m0), (h1, m1)) = (before(&head), after(&head));
        if n0.min(n1) < 4.0 || m0.min(m1) < 4.0 {
            return (0.0, 0.0);
        }
        let expected = match (kind, self.line.outlet_head_m) {
            (EndKind::FlowControlled, _) => q0,
            (EndKind::ControlValve, Some(behind)) if !at_inlet && h0 > behind && h1 > behind => {
                q0 * ((h1 - behind) / (h0 - behind)).sqrt()
            }
            _ => return (0.0, 0.0),
        };
        let noise = self.normals[usize::from(!at_inlet)].noise() * (1.0 / n0 + 1.0 / n1);
        let device = DEVICE * self.line.flow_nominal;
        let variance = noise + device * device + 0.01 * fault.size * fault.size;
        let score = |off: f64| (-0.5 * off * off / variance).max(-CONTRADICTION_MAX);
        let share = if fault.ramp_s > 0.0 { 0.75 } else { 1.0 };
        let moved = q1 - expected;
        (score(moved), score(moved - share * fault.size))
    }
}

impl Search {
    fn offer(&mut self, fit: Fit) {
        let place = if fit.cause.is_leak() { &mut self.leak } else { &mut self.other };
        if fit.cause.is_leak() && fit.size <= 0.0 {
            return;
        }
        if place.is_none_or(|best| fit.worth > best.worth) {
            *place = Some(fit);
        }
    }
}
