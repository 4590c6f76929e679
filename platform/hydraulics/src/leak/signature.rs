//! What a leak or a wrong instrument would do to the residuals of the model, learnt by running
//! the model with and without it.

use super::line::Line;
use super::rttm::{Drive, Rttm};

/// How long a response is followed, s, in transits of the line at least; friction has damped the
/// waves by then.
const TRANSITS: f64 = 6.0;
const SPAN_S_MIN: f64 = 240.0;
/// Kept points of a response.
const POINTS_MAX: f64 = 400.0;
/// Working points in steps of this share of the nominal flow.
const FLOW_STEP: f64 = 0.1;
/// A bank serves until the flow is so many steps away.
const FLOW_REACH: f64 = 0.75;
/// Size of the disturbance of the model, as a share of the nominal flow.
const PROBE: f64 = 0.005;

/// How the ends of the model are driven; the other quantity of an end is a residual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Mode {
    /// The inlet follows its measured flow, for want of a pressure.
    pub(crate) inlet_flow: bool,
    pub(crate) outlet_flow: bool,
}

/// A cause of residuals.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Cause {
    /// A leak of 1 m3/s at a node.
    Leak(usize),
    /// The inlet meter reads 1 m3/s too much.
    InletMeter,
    OutletMeter,
    /// The pressure at the inlet reads 1 m too much.
    InletGauge,
    OutletGauge,
    /// The inner channel of this index reads 1 m too much.
    InnerGauge(usize),
    /// The friction is other than the model's.
    Friction,
}

impl Cause {
    pub(crate) fn is_leak(self) -> bool {
        matches!(self, Self::Leak(_))
    }

    /// Whether its size is a flow and not a head.
    pub(crate) fn is_flow(self) -> bool {
        matches!(self, Self::Leak(_) | Self::InletMeter | Self::OutletMeter | Self::Friction)
    }
}

/// The response of every channel to a unit step of one cause, from the moment of the step.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) cause: Cause,
    pub(crate) place_m: f64,
    /// By channel, then by time.
    response: Vec<Vec<f64>>,
    /// Running integral of the response, for slow beginnings.
    integral: Vec<Vec<f64>>,
}

/// All signatures for one way of driving and one working point.
#[derive(Clone, Debug)]
pub(crate) struct Bank {
    pub(crate) mode: Mode,
    step_s: f64,
    pub(crate) signatures: Vec<Signature>,
}

impl Bank {
    /// The index of the working point of a flow in m3/s.
    pub(crate) fn bucket(line: &Line, flow: f64) -> i64 {
        (flow / line.flow_nominal / FLOW_STEP).round() as i64
    }

    /// Whether a bank of a working point holds for a flow in m3/s.
    pub(crate) fn serves(line: &Line, bucket: i64, flow: f64) -> bool {
        (flow / line.flow_nominal / FLOW_STEP - bucket as f64).abs() <= FLOW_REACH
    }

    pub(crate) fn new(line: &Line, mode: Mode, bucket: i64, inner: &[usize]) -> Self {
        let flow = bucket as f64 * FLOW_STEP * line.flow_nominal;
        let span_s = (TRANSITS * line.transit_s()).max(SPAN_S_MIN);
        let every = (span_s / POINTS_MAX / line.dt_s).ceil().max(1.0) as usize;
        let points = (span_s / (line.dt_s * every as f64)).ceil() as usize;
        let mut bank = Self { mode, step_s: line.dt_s * every as f64, signatures: Vec::new() };
        let run = Run { line, mode, flow, inner, every, points };
        let last = line.reaches();
        bank.signatures.extend((1..last).map(|node| run.signature(Cause::Leak(node))));
        let faults = [Cause::InletMeter, Cause::OutletMeter, Cause::InletGauge, Cause::OutletGauge];
        bank.signatures.extend(faults.map(|cause| run.signature(cause)));
        let gauges = (0..inner.len()).map(|index| run.signature(Cause::InnerGauge(2 + index)));
        bank.signatures.extend(gauges);
        bank.signatures.push(run.signature(Cause::Friction));
        bank
    }

    /// The leaks, in order of place; `stride` leaves some out.
    pub(crate) fn leaks(&self, stride: usize) -> impl Iterator<Item = &Signature> {
        let leaks = self.signatures.iter().filter(|signature| signature.cause.is_leak());
        leaks.step_by(stride.max(1))
    }

    /// What is no leak.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Signature> {
        self.signatures.iter().filter(|signature| !signature.cause.is_leak())
    }

    pub(crate) fn of(&self, cause: Cause) -> Option<&Signature> {
        self.signatures.iter().find(|signature| signature.cause == cause)
    }

    /// Response of a channel `age_s` after the start of something that grows evenly for `ramp_s`.
    pub(crate) fn response(
        &self,
        signature: &Signature,
        channel: usize,
        age_s: f64,
        ramp_s: f64,
    ) -> f64 {
        if age_s <= 0.0 {
            return 0.0;
        }
        if ramp_s <= 0.0 {
            return sample(&signature.response[channel], age_s / self.step_s);
        }
        let until = |age: f64| self.integral(signature, channel, age);
        (until(age_s) - until(age_s - ramp_s)) / ramp_s
    }

    fn integral(&self, signature: &Signature, channel: usize, age_s: f64) -> f64 {
        if age_s <= 0.0 {
            return 0.0;
        }
        let values = &signature.integral[channel];
        let last = (values.len() - 1) as f64 * self.step_s;
        let beyond = (age_s - last).max(0.0);
        let steady = signature.response[channel].last().copied().unwrap_or(0.0);
        sample(values, age_s.min(last) / self.step_s) + beyond * steady
    }

    /// Response of a channel when everything has settled.
    pub(crate) fn settled(&self, signature: &Signature, channel: usize) -> f64 {
        signature.response[channel].last().copied().unwrap_or(0.0)
    }
}

fn sample(values: &[f64], at: f64) -> f64 {
    let low = at.floor() as usize;
    if low + 1 >= values.len() {
        return values.last().copied().unwrap_or(0.0);
    }
    let share = at - low as f64;
    values[low] * (1.0 - share) + values[low + 1] * share
}

struct Run<'a> {
    line: &'a Line,
    mode: Mode,
    flow: f64,
    inner: &'a [usize],
    every: usize,
    points: usize,
}

impl Run<'_> {
    fn signature(&self, cause: Cause) -> Signature {
        let line = self.line;
        let probe = PROBE * line.flow_nominal;
        let channels = 2 + self.inner.len();
        let steady = Rttm::steady(line, 0.0, self.flow);
        let head_probe = probe * line.impedance[0];
        let (mut head_in, mut head_out) = (steady.head_m[0], steady.head_m[line.reaches()]);
        let (mut flow_in, mut flow_out) = (self.flow, self.flow);
        let (mut draws, mut sign, mut own) = (Vec::new(), -1.0, None);
        let mut scale = probe;
        match cause {
            Cause::Leak(node) => {
                draws.push((node, probe));
                sign = 1.0;
            }
            Cause::InletMeter => (flow_in, own) = (flow_in + probe, Some(0)),
            Cause::OutletMeter => (flow_out, own) = (flow_out + probe, Some(1)),
            Cause::InletGauge => (head_in, scale) = (head_in + head_probe, head_probe),
            Cause::OutletGauge => (head_out, scale) = (head_out + head_probe, head_probe),
            Cause::InnerGauge(index) => own = Some(index),
            Cause::Friction => {}
        }
        let place_m = match cause {
            Cause::Leak(node) => line.place_m[node],
            Cause::OutletMeter | Cause::OutletGauge => line.length_m,
            Cause::InnerGauge(index) => line.place_m[self.inner[index - 2]],
            _ => 0.0,
        };
        let inlet = if self.mode.inlet_flow { Drive::Flow(flow_in) } else { Drive::Head(head_in) };
        let outlet =
            if self.mode.outlet_flow { Drive::Flow(flow_out) } else { Drive::Head(head_out) };
        let mut model = steady.clone();
        let mut response = vec![Vec::with_capacity(self.points); channels];
        let quiet = matches!(cause, Cause::InnerGauge(_) | Cause::Friction);
        for point in 0..self.points {
            let mut of = |channel: usize, change: f64| {
                let own = if own == Some(channel) { 1.0 } else { 0.0 };
                let common = if cause == Cause::Friction && channel < 2 { 1.0 } else { 0.0 };
                response[channel].push(sign * change / scale + own + common);
            };
            of(0, if self.mode.inlet_flow { 0.0 } else { model.inflow() - steady.inflow() });
            of(1, if self.mode.outlet_flow { 0.0 } else { model.outflow() - steady.outflow() });
            for (index, node) in self.inner.iter().enumerate() {
                of(2 + index, model.head_m[*node] - steady.head_m[*node]);
            }
            if !quiet && point + 1 < self.points {
                (0..self.every).for_each(|_| model.step(line, inlet, outlet, &draws));
            }
        }
        let step_s = line.dt_s * self.every as f64;
        let integral = response.iter().map(|values| cumulated(values, step_s)).collect();
        Signature { cause, place_m, response, integral }
    }
}

fn cumulated(values: &[f64], step_s: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let mut integral = vec![0.0];
    for pair in values.windows(2) {
        sum += 0.5 * (pair[0] + pair[1]) * step_s;
        integral.push(sum);
    }
    integral
}
