//! Before a valve moves: how high and how low heads will go, and how fast it may close.
//!
//! The check runs the transient model from the present state, so it counts what a formula leaves
//! out: the valve's own curve, line packing, reflections and what else moves meanwhile. The quick
//! screen [`joukowsky_m`] and [`slow_closure_m`] needs no model.

use crate::Error;
use crate::transient::{Controls, Pipe, PipeId, Schedule, Separation, Simulation, ValveId};

/// Closing times within this share of each other are the same.
const BISECTION_SHARE: f64 = 0.01;
/// A closing time found is made longer by this share before it is proposed.
const MARGIN_SHARE: f64 = 0.05;
/// A run goes on for this many wave periods (4 L/a) after the stroke has ended.
const PERIODS_AFTER: f64 = 1.0;
/// Steps of one run; a check asks for some dozens of runs.
const STEPS_MAX: f64 = 2e6;
/// Two-speed laws that are tried: the opening at which the valve goes slow, and the share of the
/// whole time that it takes to get there.
const KNEES: [(f64, f64); 6] =
    [(0.5, 0.2), (0.3, 0.2), (0.3, 0.4), (0.15, 0.2), (0.15, 0.4), (0.08, 0.4)];

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub valve: ValveId,
    /// Opening now, 0 to 1.
    pub opening: f64,
    /// Opening wanted, 0 to 1.
    pub target: f64,
    /// Time of the stroke, s.
    pub stroke_s: f64,
    /// Slowest stroke that the actuator can make, s.
    pub stroke_s_max: f64,
    pub limits: Limits,
}

/// How far pressure may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Maximum operating pressure of all pipes as gauge pressure head, m.
    pub mop_head_m: f64,
    /// Highest pressure as a share of it; 1.1 after 49 CFR 195.406(b).
    pub ratio_max: f64,
    /// Lowest gauge pressure head, m. The liquid's vapour head always counts.
    pub least_head_m: f64,
}

/// Extremes at one grid point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extreme {
    pub pipe: PipeId,
    /// From the beginning of the pipe, m.
    pub at_m: f64,
    pub elevation_m: f64,
    /// Piezometric heads, m: at the start, at the highest and at the lowest.
    pub first_m: f64,
    pub highest_m: f64,
    pub lowest_m: f64,
    /// Highest pressure as a share of the maximum operating one.
    pub ratio: f64,
}

/// What one stroke does.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Along all pipes, point by point.
    pub envelope: Vec<Extreme>,
    /// Where pressure comes closest to its limit.
    pub peak: Extreme,
    /// Where the pressure head is lowest.
    pub minimum: Extreme,
    /// Where the column would separate; the envelope ends at this moment.
    pub separation: Option<Separation>,
    /// All limits hold.
    pub safe: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The stroke as asked.
    pub asked: Outcome,
    /// The fastest stroke at even speed that is safe, s; `None` when not even the slowest is.
    pub fastest_safe_s: Option<f64>,
    /// What to do instead, when the stroke asked is not safe and another one is.
    pub proposal: Option<Proposal>,
}

/// A stroke that is safe, with a margin.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Opening over time from now, s.
    pub opening: Schedule,
    pub stroke_s: f64,
    pub outcome: Outcome,
}

/// Simulates a stroke from the present state, finds the fastest safe one by bisection, and
/// proposes a law for it: at even speed, or fast first and slow at the end where that is quicker.
///
/// Other elements follow their schedules; the simulation itself is left as it is.
///
/// # Errors
/// A request that makes no sense, a column that has separated already, or a model that finds no
/// balance.
pub fn check(now: &Simulation, request: &Request) -> Result<Report, Error> {
    check_request(now, request)?;
    let run = |law: Law, stroke_s: f64| outcome(now, request, law, stroke_s);
    let asked = run(Law::Even, request.stroke_s)?;
    let fastest_safe_s = fastest(now, request, Law::Even)?;
    if asked.safe {
        return Ok(Report { asked, fastest_safe_s, proposal: None });
    }
    let mut best = fastest_safe_s.map(|stroke_s| (Law::Even, stroke_s));
    for (opening, share) in KNEES {
        let law = Law::Knee { opening, share };
        let beats = |stroke_s: f64| best.is_none_or(|(_, other)| stroke_s < other);
        if let Some(stroke_s) = fastest(now, request, law)?.filter(|stroke_s| beats(*stroke_s)) {
            best = Some((law, stroke_s));
        }
    }
    let mut proposal = None;
    if let Some((law, stroke_s)) = best {
        let stroke_s = (stroke_s * (1.0 + MARGIN_SHARE)).min(request.stroke_s_max);
        let outcome = run(law, stroke_s)?;
        let opening = law.schedule(request, 0.0, stroke_s);
        proposal = outcome.safe.then_some(Proposal { opening, stroke_s, outcome });
    }
    Ok(Report { asked, fastest_safe_s, proposal })
}

/// Rise of head in m when flow that fills the pipe at `velocity_ms` is stopped within 2 L/a:
/// `a V / g` (Joukowsky 1898).
#[must_use]
pub fn joukowsky_m(pipe: &Pipe, velocity_ms: f64, gravity_ms2: f64) -> f64 {
    pipe.wave_speed_ms * velocity_ms / gravity_ms2
}

/// Rise of head in m when the flow falls in a straight line within `stroke_s`: the full
/// [`joukowsky_m`] up to 2 L/a, `2 L V / (g T)` beyond, without friction (Wylie and Streeter 1993,
/// chapter 3).
#[must_use]
pub fn slow_closure_m(pipe: &Pipe, velocity_ms: f64, stroke_s: f64, gravity_ms2: f64) -> f64 {
    let rise = joukowsky_m(pipe, velocity_ms, gravity_ms2);
    let critical_s = critical_time_s(pipe);
    if stroke_s <= critical_s { rise } else { rise * critical_s / stroke_s }
}

/// 2 L/a in s: a stroke within it raises the head in full.
#[must_use]
pub fn critical_time_s(pipe: &Pipe) -> f64 {
    2.0 * pipe.length_m / pipe.wave_speed_ms
}

/// How the opening goes from one to the other.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Law {
    Even,
    /// Fast down to an opening within a share of the time, slow from there.
    Knee {
        opening: f64,
        share: f64,
    },
}

impl Law {
    fn schedule(self, request: &Request, start_s: f64, stroke_s: f64) -> Schedule {
        let even = Schedule::ramp(request.opening, request.target, start_s, stroke_s);
        match self {
            Self::Knee { opening, share } if opening > request.target => {
                let knee = opening.min(request.opening);
                let points = vec![
                    (start_s, request.opening),
                    (start_s + share * stroke_s, knee),
                    (start_s + stroke_s, request.target),
                ];
                Schedule::new(points).unwrap_or(even)
            }
            _ => even,
        }
    }
}

fn check_request(now: &Simulation, request: &Request) -> Result<(), Error> {
    let Limits { mop_head_m, ratio_max, least_head_m } = request.limits;
    let share = |opening: f64| (0.0..=1.0).contains(&opening);
    let positive = |value: f64| value.is_finite() && value > 0.0;
    let reason = if request.valve.index() >= now.network().valves().len() {
        "there is no such valve"
    } else if !share(request.opening) || !share(request.target) {
        "openings must lie between 0 and 1"
    } else if !(request.stroke_s.is_finite() && request.stroke_s >= 0.0) {
        "the stroke must take some time"
    } else if !positive(request.stroke_s_max) {
        "the slowest stroke must take some time"
    } else if !positive(mop_head_m) || !positive(ratio_max) || !least_head_m.is_finite() {
        "the limits must be numbers"
    } else if (request.stroke_s.max(request.stroke_s_max) / now.step_s()) > STEPS_MAX {
        "the stroke takes more steps than can be run"
    } else {
        return Ok(());
    };
    Err(Error::Surge { reason })
}

/// The shortest safe stroke between an instant and the slowest. Heads fall as strokes get longer,
/// but for the odd reflection, so what bisection ends with is run and safe.
fn fastest(now: &Simulation, request: &Request, law: Law) -> Result<Option<f64>, Error> {
    let safe = |stroke_s: f64| outcome(now, request, law, stroke_s).map(|outcome| outcome.safe);
    if safe(0.0)? {
        return Ok(Some(0.0));
    }
    if !safe(request.stroke_s_max)? {
        return Ok(None);
    }
    let (mut bad, mut good) = (0.0, request.stroke_s_max);
    while good - bad > BISECTION_SHARE * good && good - bad > now.step_s() {
        let middle = f64::midpoint(bad, good);
        if safe(middle)? {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Ok(Some(good))
}

fn outcome(now: &Simulation, request: &Request, law: Law, stroke_s: f64) -> Result<Outcome, Error> {
    let mut future = now.clone();
    future.begin_envelope();
    let start_s = now.time_s();
    let schedule = law.schedule(request, start_s, stroke_s);
    let pipes = now.network().pipes();
    let transit: f64 = pipes.iter().map(|pipe| pipe.length_m / pipe.wave_speed_ms).sum();
    let steps = ((stroke_s + 4.0 * PERIODS_AFTER * transit) / now.step_s()).ceil() as u64;
    let mut controls = Controls::default();
    for step in 1..=steps.max(1) {
        controls.set_opening(request.valve, schedule.at(start_s + step as f64 * now.step_s()));
        match future.step(&controls) {
            Err(Error::Separated { .. }) if now.separation().is_none() => break,
            other => other?,
        }
    }
    let envelope = extremes(now, &future, &request.limits);
    let pressure = |at: &Extreme| at.lowest_m - at.elevation_m;
    let highest = envelope.iter().max_by(|a, b| a.ratio.total_cmp(&b.ratio)).copied();
    let lowest = envelope.iter().min_by(|a, b| pressure(a).total_cmp(&pressure(b))).copied();
    let (Some(peak), Some(minimum)) = (highest, lowest) else {
        return Err(Error::Surge { reason: "there is no pipe" });
    };
    let separation = future.separation();
    let safe = separation.is_none()
        && peak.ratio <= request.limits.ratio_max
        && pressure(&minimum) >= request.limits.least_head_m;
    Ok(Outcome { envelope, peak, minimum, separation, safe })
}

fn extremes(first: &Simulation, future: &Simulation, limits: &Limits) -> Vec<Extreme> {
    let mut all = Vec::new();
    for (index, description) in first.network().pipes().iter().enumerate() {
        let pipe = PipeId(index);
        let Some((highest, lowest)) = future.envelope(pipe) else {
            continue;
        };
        let (heads, _) = first.profile(pipe);
        let reach_m = description.length_m / first.reaches(pipe) as f64;
        for (point, head) in heads.iter().enumerate() {
            let at_m = reach_m * point as f64;
            let elevation_m = first.network().elevation_m(pipe, at_m);
            all.push(Extreme {
                pipe,
                at_m,
                elevation_m,
                first_m: *head,
                highest_m: highest[point],
                lowest_m: lowest[point],
                ratio: (highest[point] - elevation_m) / limits.mop_head_m,
            });
        }
    }
    all
}
