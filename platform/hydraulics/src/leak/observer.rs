//! Drives the model with what arrives and keeps the residuals.

use serde::{Deserialize, Serialize};

use super::history::{Ends, Normal, PAST_S, Past, Scan};
use super::hypothesis::FLOW_ERROR;
use super::instrument::{FaultKind, Watch};
use super::line::Line;
use super::rttm::{Drive, Rttm};
use super::signature::Mode;

/// An end without its pressure for longer than this is driven by its flow, s.
const PATIENCE_S: f64 = 30.0;
/// After a hole of this length the model starts anew, s.
const HOLE_S: f64 = 600.0;
/// The model has settled after this many transits, and not before this time, s.
const SETTLE_TRANSITS: f64 = 3.0;
const SETTLE_S_MIN: f64 = 120.0;
/// A straight line between two readings misses a bend by about this share of it.
const BEND: f64 = 0.15;
/// One sigma of a time that lies anywhere within one second, s.
const UNIFORM: f64 = 0.29;
/// Changes below this many sigma of a reading are noise and no movement.
const MOVEMENT: f64 = 6.0;
/// The same for a bend, in which three readings have their part.
const BENDING: f64 = 11.0;
/// Disturbances fade at this share of the rate at which friction damps waves, and in a line at
/// rest within this many transits.
const FADE: f64 = 0.6;
const STILL_TRANSITS: f64 = 15.0;
/// A change of flow by this share of the nominal is a new working point.
const WORKING_POINT: f64 = 0.02;

/// Which instruments stand where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Layout {
    pub(crate) meter_in: usize,
    pub(crate) meter_out: usize,
    /// Meters of what enters or leaves on the way.
    pub(crate) laterals: Vec<usize>,
    pub(crate) gauge_in: usize,
    pub(crate) gauge_out: usize,
    /// Gauges between the ends; channel 2 + index.
    pub(crate) inner: Vec<usize>,
    pub(crate) nodes: Vec<usize>,
}

impl Layout {
    pub(crate) fn new(line: &Line) -> Self {
        let meter = |at: f64, sign: f64| {
            line.meters.iter().position(|m| m.at_m == at && m.sign == sign).unwrap_or(0)
        };
        let gauge = |at: f64| line.gauges.iter().position(|g| g.at_m == at).unwrap_or(0);
        let (meter_in, meter_out) = (meter(0.0, 1.0), meter(line.length_m, -1.0));
        let inside = |at: f64| at > 0.0 && at < line.length_m;
        let laterals =
            (0..line.meters.len()).filter(|index| inside(line.meters[*index].at_m)).collect();
        let within = |node: usize| node > 0 && node < line.reaches();
        let inner: Vec<usize> =
            (0..line.gauges.len()).filter(|index| within(line.gauges[*index].node)).collect();
        let nodes = inner.iter().map(|index| line.gauges[*index].node).collect();
        let (gauge_in, gauge_out) = (gauge(0.0), gauge(line.length_m));
        Self { meter_in, meter_out, laterals, gauge_in, gauge_out, inner, nodes }
    }

    pub(crate) fn channels(&self) -> usize {
        2 + self.inner.len()
    }
}

/// Last readings of an end that the model was driven with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Driven {
    time_s: f64,
    inlet: f64,
    outlet: f64,
}

/// The model with its past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Observer {
    pub(crate) layout: Layout,
    pub(crate) mode: Mode,
    pub(crate) normals: Vec<Normal>,
    pub(crate) past: Past,
    pub(crate) watches: Vec<Watch>,
    /// Residuals count from here.
    pub(crate) valid_s: f64,
    /// Disturbance of the flow residuals by fast changes, m3/s, one sigma.
    pub(crate) unrest: f64,
    pub(crate) first_s: Option<f64>,
    model: Option<Rttm>,
    model_s: f64,
    driven: Option<Driven>,
    seen_s: [Option<f64>; 2],
    before: [Option<(f64, f64, f64)>; 4],
    working_flow: f64,
    lateral: Vec<f64>,
}

/// What a scan brought: values that are believed, in SI, and faults that begin.
pub(crate) struct Taken {
    pub(crate) flows: Vec<Option<f64>>,
    pub(crate) heads: Vec<Option<f64>>,
    /// By instrument: meters first, then gauges.
    pub(crate) faults: Vec<(usize, FaultKind)>,
}

impl Observer {
    pub(crate) fn new(line: &Line) -> Self {
        let layout = Layout::new(line);
        let channels = layout.channels();
        let laterals = layout.laterals.len();
        let mut observer = Self {
            layout,
            mode: Mode { inlet_flow: false, outlet_flow: false },
            normals: Vec::with_capacity(channels),
            past: Past::default(),
            watches: vec![Watch::default(); line.meters.len() + line.gauges.len()],
            valid_s: f64::MAX,
            unrest: 0.0,
            first_s: None,
            model: None,
            model_s: 0.0,
            driven: None,
            seen_s: [None; 2],
            before: [None; 4],
            working_flow: 0.0,
            lateral: vec![0.0; laterals],
        };
        observer.normals = (0..channels).map(|channel| observer.normal(line, channel)).collect();
        observer
    }

    /// What the data sheets say of a channel.
    fn normal(&self, line: &Line, channel: usize) -> Normal {
        let (first, last) = (0, line.reaches() - 1);
        let nominal = line.flow_nominal;
        let drop: f64 = line.resistance.iter().sum::<f64>() * nominal * nominal;
        let per_head = nominal / (2.0 * drop.max(1e-6));
        let of = |meter: usize, gauge: usize, reach: usize| {
            let (meter, gauge) = (&line.meters[meter], &line.gauges[gauge]);
            let wave = gauge.noise / line.impedance[reach];
            let noise = meter.noise * meter.noise + wave * wave;
            let bias = libm::hypot(meter.bias, gauge.bias * per_head);
            Normal::new(noise, 3.0 * bias, libm::hypot(meter.drift, gauge.drift * per_head))
        };
        match channel {
            0 => of(self.layout.meter_in, self.layout.gauge_in, first),
            1 => of(self.layout.meter_out, self.layout.gauge_out, last),
            inner => {
                let gauge = &line.gauges[self.layout.inner[inner - 2]];
                let noise = 1.5 * gauge.noise * gauge.noise;
                Normal::new(noise, 3.0 * gauge.bias, 1.5 * gauge.drift)
            }
        }
    }

    /// Judges the instruments one by one.
    pub(crate) fn take(
        &mut self,
        line: &Line,
        time_s: f64,
        flows: &[Option<f64>],
        pressures: &[Option<f64>],
    ) -> Taken {
        let meters = line.meters.len();
        let mut taken = Taken { flows: Vec::new(), heads: Vec::new(), faults: Vec::new() };
        for (index, watch) in self.watches.iter_mut().enumerate() {
            let reading = match index.checked_sub(meters) {
                None => flows.get(index),
                Some(gauge) => pressures.get(gauge),
            };
            let (value, fault) = watch.take(time_s, reading.copied().flatten());
            taken.faults.extend(fault.map(|fault| (index, fault)));
            match index.checked_sub(meters) {
                None => taken.flows.push(value.map(|v| v * line.meters[index].scale)),
                Some(gauge) => taken.heads.push(value.map(|v| line.gauges[gauge].head(v))),
            }
        }
        taken
    }

    /// Goes on to a scan. `quiet` lets what is normal be learnt.
    pub(crate) fn go(&mut self, line: &Line, time_s: f64, taken: &Taken, quiet: bool) -> bool {
        let first_s = *self.first_s.get_or_insert(time_s);
        let ends = self.ends(taken);
        self.disturb(line, time_s, &ends);
        for (place, meter) in self.layout.laterals.iter().enumerate() {
            if let Some(flow) = taken.flows[*meter] {
                self.lateral[place] = -line.meters[*meter].sign * flow;
            }
        }
        if !self.choose(line, time_s, &ends) {
            return false;
        }
        let (Some(inlet), Some(outlet)) = self.drives(&ends) else {
            return false;
        };
        let now = Driven { time_s, inlet, outlet };
        let gap = self.driven.is_none_or(|driven| time_s - driven.time_s > HOLE_S);
        if gap || self.model.is_none() {
            self.start(line, &ends, now);
            return false;
        }
        self.advance(line, now);
        let Some(scan) = self.scan(line, time_s, &ends, taken) else {
            return false;
        };
        let learning = time_s - first_s < line.learn_s;
        self.remember(line, scan, quiet || learning, learning)
    }

    fn ends(&self, taken: &Taken) -> Ends {
        let layout = &self.layout;
        let of = |value: Option<f64>| value.unwrap_or(f64::NAN);
        Ends {
            flow_in: of(taken.flows[layout.meter_in]),
            flow_out: of(taken.flows[layout.meter_out]),
            head_in: of(taken.heads[layout.gauge_in]),
            head_out: of(taken.heads[layout.gauge_out]),
        }
    }

    fn drives(&self, ends: &Ends) -> (Option<f64>, Option<f64>) {
        let pick = |flow: bool, q: f64, h: f64, normal: &Normal| {
            let value = if flow { q - normal.level } else { h };
            value.is_finite().then_some(value)
        };
        (
            pick(self.mode.inlet_flow, ends.flow_in, ends.head_in, &self.normals[0]),
            pick(self.mode.outlet_flow, ends.flow_out, ends.head_out, &self.normals[1]),
        )
    }

    /// Chooses how to drive the ends; false when that has just changed.
    fn choose(&mut self, line: &Line, time_s: f64, ends: &Ends) -> bool {
        for (end, head) in [ends.head_in, ends.head_out].into_iter().enumerate() {
            if head.is_finite() || self.seen_s[end].is_none() {
                self.seen_s[end] = Some(time_s);
            }
        }
        let gone = self.seen_s.map(|seen| seen.is_some_and(|seen_s| time_s - seen_s > PATIENCE_S));
        let gauges = [self.layout.gauge_in, self.layout.gauge_out];
        let stuck = gauges.map(|gauge| self.watches[line.meters.len() + gauge].state().is_some());
        let mode = Mode { inlet_flow: gone[0] || stuck[0], outlet_flow: gone[1] || stuck[1] };
        if mode == self.mode {
            return true;
        }
        self.mode = mode;
        self.driven = None;
        for channel in 0..self.normals.len() {
            let level = self.normals[channel].level;
            if channel >= 2 {
                self.normals[channel] = self.normal(line, channel);
                self.normals[channel].level = level;
            } else {
                let doubt = 2.0 * self.normals[channel].drift();
                self.normals[channel].doubt(doubt * doubt);
            }
        }
        false
    }

    fn start(&mut self, line: &Line, ends: &Ends, now: Driven) {
        let flow = if ends.flow_in.is_finite() { ends.flow_in } else { ends.flow_out };
        let flow = if flow.is_finite() { flow } else { 0.0 };
        let resistance: f64 = line.resistance.iter().sum();
        let inlet_m = match (ends.head_in.is_finite(), ends.head_out.is_finite()) {
            (true, _) => ends.head_in,
            (false, true) => ends.head_out + resistance * flow * flow.abs(),
            _ => 0.0,
        };
        let by_heads = !self.mode.inlet_flow && !self.mode.outlet_flow;
        let continues = self.model.is_some()
            && self.past.scans.back().is_some_and(|scan| now.time_s - scan.time_s < HOLE_S);
        if !continues {
            self.model = Some(match by_heads {
                true => Rttm::between(line, now.inlet, now.outlet),
                false => Rttm::steady(line, inlet_m, flow),
            });
        }
        self.model_s = now.time_s;
        self.driven = Some(now);
        self.valid_s = now.time_s + (SETTLE_TRANSITS * line.transit_s()).max(SETTLE_S_MIN);
        self.past.scans.clear();
    }

    fn advance(&mut self, line: &Line, now: Driven) {
        let (Some(model), Some(before)) = (self.model.as_mut(), self.driven) else {
            return;
        };
        let draws: Vec<(usize, f64)> = self
            .layout
            .laterals
            .iter()
            .zip(&self.lateral)
            .map(|(meter, flow)| (line.meters[*meter].node, *flow))
            .collect();
        let span = (now.time_s - before.time_s).max(line.dt_s);
        let drive =
            |flow: bool, value: f64| if flow { Drive::Flow(value) } else { Drive::Head(value) };
        while self.model_s + line.dt_s <= now.time_s + 1e-6 {
            self.model_s += line.dt_s;
            let share = ((self.model_s - before.time_s) / span).clamp(0.0, 1.0);
            let inlet = before.inlet + share * (now.inlet - before.inlet);
            let outlet = before.outlet + share * (now.outlet - before.outlet);
            let inlet = drive(self.mode.inlet_flow, inlet);
            let outlet = drive(self.mode.outlet_flow, outlet);
            model.step(line, inlet, outlet, &draws);
        }
        self.driven = Some(now);
    }

    fn scan(&self, line: &Line, time_s: f64, ends: &Ends, taken: &Taken) -> Option<Scan> {
        let model = self.model.as_ref()?;
        let unrest = self.unrest * self.unrest;
        let impedance = line.impedance[0];
        let mut residual = vec![ends.flow_in - model.inflow(), ends.flow_out - model.outflow()];
        if self.mode.inlet_flow {
            residual[0] = f64::NAN;
        }
        if self.mode.outlet_flow {
            residual[1] = f64::NAN;
        }
        for (index, node) in self.layout.inner.iter().zip(&self.layout.nodes) {
            residual.push(taken.heads[*index].map_or(f64::NAN, |head| head - model.head_m[*node]));
        }
        let variance = self
            .normals
            .iter()
            .enumerate()
            .map(|(channel, normal)| {
                let scale = if channel < 2 { 1.0 } else { 0.25 * impedance * impedance };
                normal.noise() + unrest * scale
            })
            .collect();
        let normal = self.normals.iter().map(|normal| normal.level).collect();
        let normal_variance = self.normals.iter().map(|normal| normal.variance).collect();
        let flow = model.inflow();
        Some(Scan { time_s, residual, variance, normal, normal_variance, flow, ends: *ends })
    }

    /// Learns and keeps; false while the model settles.
    fn remember(&mut self, line: &Line, scan: Scan, quiet: bool, learning: bool) -> bool {
        if scan.time_s < self.valid_s {
            self.working_flow = scan.flow;
            return false;
        }
        let change = scan.flow - self.working_flow;
        if change.abs() > WORKING_POINT * line.flow_nominal {
            let doubt = FLOW_ERROR * change;
            self.normals.iter_mut().take(2).for_each(|normal| normal.doubt(doubt * doubt));
            self.working_flow = scan.flow;
        }
        let seconds = self.past.scans.back().map_or(0.0, |last| scan.time_s - last.time_s);
        for (channel, normal) in self.normals.iter_mut().enumerate() {
            normal.age(seconds);
            let residual = scan.residual[channel];
            if residual.is_finite() && quiet {
                normal.learn(residual, scan.variance[channel]);
            }
            if residual.is_finite() && learning {
                normal.anchor(residual);
            }
        }
        self.past.push(scan, PAST_S.max(30.0 * line.transit_s()));
        true
    }

    /// What is left of a wave since the last scan: friction damps it by R |Q| / B in each reach
    /// (half the rate of the head loss), and little when the line stands.
    fn fade(&self, line: &Line, time_s: f64) -> f64 {
        let seconds = self.before[0].map_or(0.0, |(at_s, ..)| time_s - at_s);
        let flow = self.model.as_ref().map_or(0.0, |model| model.inflow().abs());
        let rate = line.resistance[0] * flow / (line.impedance[0] * line.dt_s);
        let still = 1.0 / (STILL_TRANSITS * line.transit_s());
        (-seconds * (FADE * rate).max(still)).exp()
    }

    /// How much fast changes at the ends blur the residuals: readings are up to `skew_s` old, and
    /// between two of them a straight line stands for what really happened.
    fn disturb(&mut self, line: &Line, time_s: f64, ends: &Ends) {
        let (first, last) = (line.impedance[0], line.impedance[line.reaches() - 1]);
        let layout = &self.layout;
        let noise = [
            line.meters[layout.meter_in].noise,
            line.meters[layout.meter_out].noise,
            line.gauges[layout.gauge_in].noise / first,
            line.gauges[layout.gauge_out].noise / last,
        ];
        let values = [ends.flow_in, ends.flow_out, ends.head_in / first, ends.head_out / last];
        let mut error = 0.0;
        self.unrest *= self.fade(line, time_s);
        for (place, value) in values.into_iter().enumerate() {
            if !value.is_finite() {
                continue;
            }
            if let Some((at_s, before, slope)) = self.before[place] {
                let seconds = (time_s - at_s).max(1e-3);
                let change = value - before;
                let bend = change - slope * seconds;
                let real = |size: f64, times: f64| {
                    if size.abs() > times * noise[place] { size } else { 0.0 }
                };
                let skew = UNIFORM * line.skew_s * real(change, MOVEMENT) / seconds;
                let bent = BEND * real(bend, BENDING);
                error += skew * skew + bent * bent;
                self.before[place] = Some((time_s, value, change / seconds));
            } else {
                self.before[place] = Some((time_s, value, 0.0));
            }
        }
        self.unrest = self.unrest.max(error.sqrt());
    }
}
