//! Places the beginning of a leak by its negative pressure wave in fast pressures.
//!
//! The front of the wave runs with the speed of sound both ways and reaches each transmitter after
//! |x - x_k| / (a +- V); friction lowers and blunts what follows the front, but does not delay it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::line::Line;
use super::verdict::Arrival;

/// Fast samples kept, s, and at most in number.
const KEPT_S: f64 = 900.0;
const SAMPLES_MAX: usize = 20_000;
/// Samples on each side of a front, s.
const SIDE_S: f64 = 5.0;
/// A step is a front when it explains this much, as an F value with one degree of freedom.
const FRONT: f64 = 40.0;
/// Half width of the search round the expected arrival, s.
const SEARCH_S: f64 = 25.0;
/// Fronts and the model agree within this, s.
const AGREE_S: f64 = 0.8;
/// One sigma of the wave speed when nothing better is known.
const SPEED_ERROR: f64 = 0.004;
/// Steps of the place, m.
const GRID: usize = 1_200;

/// Fast pressures of the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FastPast {
    samples: VecDeque<(f64, Vec<Option<f64>>)>,
}

/// A place by arrivals.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) place_m: f64,
    pub(crate) error_m: f64,
    pub(crate) start_s: f64,
    pub(crate) arrivals: Vec<Arrival>,
}

/// A guess at where and when, from the slow scan: place in m with sigma, beginning in s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Guess {
    pub(crate) place_m: f64,
    pub(crate) place_sigma_m: f64,
    pub(crate) start_s: f64,
    /// Flow along the line, m3/s.
    pub(crate) flow: f64,
}

impl FastPast {
    pub(crate) fn push(&mut self, time_s: f64, heads: Vec<Option<f64>>) {
        self.samples.push_back((time_s, heads));
        while self.samples.len() > SAMPLES_MAX
            || self.samples.front().is_some_and(|oldest| oldest.0 < time_s - KEPT_S)
        {
            self.samples.pop_front();
        }
    }

    pub(crate) fn newest_s(&self) -> Option<f64> {
        self.samples.back().map(|newest| newest.0)
    }

    /// Places a leak; `None` when fewer than two fronts go together.
    pub(crate) fn place(&self, line: &Line, guess: Guess) -> Option<Placed> {
        let mut fronts = Vec::new();
        for (index, gauge) in line.fast.iter().enumerate() {
            let expected = guess.start_s + travel_s(line, guess.place_m, gauge.at_m, guess.flow);
            let search = SEARCH_S.max(guess.place_sigma_m / line.length_m * line.transit_s());
            if let Some(front) = self.front(index, gauge.noise, expected, search) {
                let drop_bar = -front.step / line.head_per_bar();
                fronts.push(Arrival {
                    instrument: gauge.name.clone(),
                    at_m: gauge.at_m,
                    time_s: front.time_s,
                    error_s: front.sigma_s,
                    drop_bar,
                });
            }
        }
        best(line, guess, fronts)
    }

    /// The sharpest fall of one transmitter near a time.
    fn front(&self, index: usize, noise: f64, expected_s: f64, search_s: f64) -> Option<Front> {
        let (from, to) = (expected_s - search_s - SIDE_S, expected_s + search_s + SIDE_S);
        let first = self.samples.partition_point(|sample| sample.0 < from);
        let values: Vec<(f64, f64)> = self
            .samples
            .iter()
            .skip(first)
            .take_while(|sample| sample.0 <= to)
            .filter_map(|sample| Some((sample.0, sample.1.get(index).copied().flatten()?)))
            .collect();
        let mut best: Option<Front> = None;
        for at in 1..values.len() {
            let time_s = 0.5 * (values[at - 1].0 + values[at].0);
            let low = values.partition_point(|value| value.0 < time_s - SIDE_S);
            let high = values.partition_point(|value| value.0 <= time_s + SIDE_S);
            if at - low < 8 || high - at < 8 || (time_s - expected_s).abs() > search_s {
                continue;
            }
            let (step, worth) = step_worth(&values[low..high], at - low, noise);
            if step < 0.0 && worth > FRONT && best.as_ref().is_none_or(|b| worth > b.worth) {
                let every = values[at].0 - values[at - 1].0;
                let blur = (noise / step).abs();
                let sigma_s = every * (0.29 + blur * blur + 0.5 * blur);
                best = Some(Front { time_s, step, worth, sigma_s });
            }
        }
        best
    }
}

struct Front {
    time_s: f64,
    step: f64,
    worth: f64,
    sigma_s: f64,
}

/// Least squares of level, slope and a step before sample `at`: the step and what it explains,
/// over the variance of the noise.
fn step_worth(values: &[(f64, f64)], at: usize, noise: f64) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = |of: &dyn Fn(usize) -> f64| (0..values.len()).map(of).sum::<f64>() / n;
    let t_mean = mean(&|i| values[i].0);
    let y_mean = mean(&|i| values[i].1);
    let s_mean = (values.len() - at) as f64 / n;
    let (mut tt, mut ts, mut ss, mut ty, mut sy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (i, (time_s, value)) in values.iter().enumerate() {
        let t = time_s - t_mean;
        let s = if i >= at { 1.0 - s_mean } else { -s_mean };
        let y = value - y_mean;
        tt += t * t;
        ts += t * s;
        ss += s * s;
        ty += t * y;
        sy += s * y;
    }
    let left = ss - ts * ts / tt;
    let step = (sy - ts * ty / tt) / left;
    (step, step * step * left / (noise * noise))
}

/// Travel time between two places with and against the flow, s.
fn travel_s(line: &Line, from_m: f64, to_m: f64, flow: f64) -> f64 {
    let still = line.travel(to_m) - line.travel(from_m);
    let node = line.node(0.5 * (from_m + to_m)).min(line.reaches() - 1);
    let speed = line.impedance[node] * super::line::GRAVITY * line.area[node];
    let mach = flow / line.area[node] / speed;
    still.abs() / (1.0 + still.signum() * mach)
}

/// The place that the most fronts agree on.
fn best(line: &Line, guess: Guess, mut fronts: Vec<Arrival>) -> Option<Placed> {
    while fronts.len() >= 2 {
        let solved = solve(line, guess, &fronts);
        let worst = fronts
            .iter()
            .map(|front| {
                let travel = travel_s(line, solved.place_m, front.at_m, guess.flow);
                (front.time_s - solved.start_s - travel).abs()
            })
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1))?;
        if worst.1 <= AGREE_S {
            let far = (solved.place_m - guess.place_m).abs();
            return (far <= 4.0 * guess.place_sigma_m + 2_000.0).then_some(solved);
        }
        if fronts.len() == 2 {
            return None;
        }
        let out = leave_out(line, guess, &fronts).unwrap_or(worst.0);
        fronts.remove(out);
    }
    None
}

/// Which front is best left out: the one without which the others agree best.
fn leave_out(line: &Line, guess: Guess, fronts: &[Arrival]) -> Option<usize> {
    let misfit = |out: &usize| {
        let mut rest = fronts.to_vec();
        rest.remove(*out);
        let solved = solve(line, guess, &rest);
        cost(line, guess, &rest, solved.place_m).1
    };
    (0..fronts.len()).min_by(|a, b| misfit(a).total_cmp(&misfit(b)))
}

fn solve(line: &Line, guess: Guess, fronts: &[Arrival]) -> Placed {
    let places = (0..=GRID).map(|i| line.length_m * i as f64 / GRID as f64);
    let (mut place_m, mut start_s, mut least) = (guess.place_m, guess.start_s, f64::INFINITY);
    for at in places {
        let (begun, cost) = cost(line, guess, fronts, at);
        if cost < least {
            (place_m, start_s, least) = (at, begun, cost);
        }
    }
    let node = line.node(place_m).min(line.reaches() - 1);
    let speed = line.impedance[node] * super::line::GRAVITY * line.area[node];
    let timing: f64 = fronts.iter().map(|front| front.error_s * front.error_s).sum();
    let (low, high) = fronts.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |range, front| {
        let travel = line.travel(front.at_m) - line.travel(place_m);
        (range.0.min(travel), range.1.max(travel))
    });
    let lopsided = SPEED_ERROR * speed * (high + low).abs() / 2.0;
    let grid = line.length_m / GRID as f64;
    let sigma_m = libm::hypot(0.5 * speed * timing.sqrt(), libm::hypot(lopsided, grid));
    Placed { place_m, error_m: 2.0 * sigma_m, start_s, arrivals: fronts.to_vec() }
}

/// Best beginning and cost of a place.
fn cost(line: &Line, guess: Guess, fronts: &[Arrival], at_m: f64) -> (f64, f64) {
    let weight = |front: &Arrival| 1.0 / (front.error_s * front.error_s);
    let begun = |front: &Arrival| front.time_s - travel_s(line, at_m, front.at_m, guess.flow);
    let weights: f64 = fronts.iter().map(weight).sum();
    let start = fronts.iter().map(|front| weight(front) * begun(front)).sum::<f64>() / weights;
    let misfit: f64 =
        fronts.iter().map(|front| weight(front) * (begun(front) - start).powi(2)).sum();
    let off = (at_m - guess.place_m) / (guess.place_sigma_m + 500.0);
    (start, misfit + off * off)
}
