//! The real-time transient model: the line driven by what is measured at its ends.
//!
//! Method of characteristics with a step in which a wave crosses one reach (Wylie and Streeter,
//! Fluid Transients, 1978, chapter 3), friction as Q_P |Q_A|:
//! H_P = (H_A + B Q_A) - Q_P (B + R |Q_A|) and H_P = (H_B - B Q_B) + Q_P (B + R |Q_B|).

use serde::{Deserialize, Serialize};

use super::line::Line;

/// What is imposed at an end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Drive {
    /// Head, m.
    Head(f64),
    /// Flow along the line, m3/s.
    Flow(f64),
}

/// The state of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rttm {
    /// Head at each node, m.
    pub(crate) head_m: Vec<f64>,
    /// Flow that arrives at each node from upstream, m3/s.
    arriving: Vec<f64>,
    /// Flow that leaves each node downstream, m3/s.
    leaving: Vec<f64>,
    spare: [Vec<f64>; 3],
}

impl Rttm {
    /// The steady state between two heads in m; what draws water off on the way is left out.
    pub(crate) fn between(line: &Line, inlet_m: f64, outlet_m: f64) -> Self {
        let resistance: f64 = line.resistance.iter().sum();
        let drop = inlet_m - outlet_m;
        let flow = drop.signum() * (drop.abs() / resistance).sqrt();
        Self::steady(line, inlet_m, flow)
    }

    /// The steady state of a flow in m3/s from a head at the inlet in m.
    pub(crate) fn steady(line: &Line, inlet_m: f64, flow: f64) -> Self {
        let mut head_m = vec![inlet_m];
        for resistance in &line.resistance {
            let before = head_m.last().copied().unwrap_or(inlet_m);
            head_m.push(before - resistance * flow * flow.abs());
        }
        let nodes = head_m.len();
        let spare = std::array::from_fn(|_| vec![0.0; nodes]);
        Self { head_m, arriving: vec![flow; nodes], leaving: vec![flow; nodes], spare }
    }

    /// Flow into the line at its inlet, m3/s.
    pub(crate) fn inflow(&self) -> f64 {
        self.leaving[0]
    }

    /// Flow out of the line at its outlet, m3/s.
    pub(crate) fn outflow(&self) -> f64 {
        self.arriving[self.arriving.len() - 1]
    }

    /// Goes on by one step of the line's time. `draws` are flows in m3/s that leave at a node, in
    /// order of the nodes.
    pub(crate) fn step(
        &mut self,
        line: &Line,
        inlet: Drive,
        outlet: Drive,
        draws: &[(usize, f64)],
    ) {
        let last = self.head_m.len() - 1;
        let [mut head, mut arriving, mut leaving] = std::mem::take(&mut self.spare);
        let draw = |node: usize| {
            draws.iter().filter(|(at, _)| *at == node).map(|(_, flow)| flow).sum::<f64>()
        };
        let plus = |node: usize| {
            let (b, flow) = (line.impedance[node - 1], self.leaving[node - 1]);
            (self.head_m[node - 1] + b * flow, b + line.resistance[node - 1] * flow.abs())
        };
        let minus = |node: usize| {
            let (b, flow) = (line.impedance[node], self.arriving[node + 1]);
            (self.head_m[node + 1] - b * flow, b + line.resistance[node] * flow.abs())
        };
        for node in 1..last {
            let ((cp, bp), (cm, bm)) = (plus(node), minus(node));
            let drawn = if draws.is_empty() { 0.0 } else { draw(node) };
            let at = (cp / bp + cm / bm - drawn) / (1.0 / bp + 1.0 / bm);
            head[node] = at;
            arriving[node] = (cp - at) / bp;
            leaving[node] = (at - cm) / bm;
        }
        let (cm, bm) = minus(0);
        (head[0], leaving[0]) = match inlet {
            Drive::Head(at) => (at, (at - cm) / bm),
            Drive::Flow(flow) => (cm + bm * flow, flow),
        };
        arriving[0] = leaving[0];
        let (cp, bp) = plus(last);
        (head[last], arriving[last]) = match outlet {
            Drive::Head(at) => (at, (cp - at) / bp),
            Drive::Flow(flow) => (cp - bp * flow, flow),
        };
        leaving[last] = arriving[last];
        self.spare = [
            std::mem::replace(&mut self.head_m, head),
            std::mem::replace(&mut self.arriving, arriving),
            std::mem::replace(&mut self.leaving, leaving),
        ];
    }
}
