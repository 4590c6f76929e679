//! The line in SI units, cut into reaches that a pressure wave crosses in one step of time.

use serde::{Deserialize, Serialize};

use super::config::{Direction, EndKind, PipelineConfig};
use crate::Error;

/// Standard gravity, m/s2.
pub(crate) const GRAVITY: f64 = 9.806_65;
/// Pa in a bar.
const BAR: f64 = 1e5;
/// Reaches of the model: enough to place a front within a kilometre of a long line, few enough to
/// run thousands of times faster than the plant.
const REACHES_WANTED: f64 = 120.0;
const REACHES_MAX: f64 = 480.0;
/// The wave speed of a stretch may be bent by this share so that its reaches come out whole.
const BEND_MAX: f64 = 0.01;
const SEGMENTS_MAX: usize = 256;
const INSTRUMENTS_MAX: usize = 64;

/// A flow meter, in m3/s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meter {
    pub(crate) name: String,
    pub(crate) at_m: f64,
    pub(crate) node: usize,
    /// Positive into the line.
    pub(crate) sign: f64,
    pub(crate) scale: f64,
    pub(crate) noise: f64,
    pub(crate) drift: f64,
    pub(crate) bias: f64,
}

/// A pressure transmitter, in m of head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gauge {
    pub(crate) name: String,
    pub(crate) at_m: f64,
    pub(crate) node: usize,
    pub(crate) z_m: f64,
    pub(crate) scale: f64,
    pub(crate) noise: f64,
    pub(crate) drift: f64,
    pub(crate) bias: f64,
}

impl Gauge {
    /// Head above the datum for a reading in the sensor's own unit.
    pub(crate) fn head(&self, reading: f64) -> f64 {
        self.z_m + reading * self.scale
    }
}

/// A line ready for computing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) length_m: f64,
    pub(crate) density: f64,
    pub(crate) flow_nominal: f64,
    /// Step of time, s.
    pub(crate) dt_s: f64,
    /// Place of each node, m.
    pub(crate) place_m: Vec<f64>,
    pub(crate) z_m: Vec<f64>,
    /// Travel time of a wave from the inlet to each node, s.
    pub(crate) travel_s: Vec<f64>,
    /// a/(g A) of each reach, s/m2.
    pub(crate) impedance: Vec<f64>,
    /// f dx/(2 g D A2) of each reach, s2/m5.
    pub(crate) resistance: Vec<f64>,
    /// g A dx/a2 of each reach, m2: what a metre of head stores.
    pub(crate) storage: Vec<f64>,
    /// Cross-section of each reach, m2.
    pub(crate) area: Vec<f64>,
    pub(crate) inlet: EndKind,
    pub(crate) outlet: EndKind,
    pub(crate) outlet_head_m: Option<f64>,
    pub(crate) meters: Vec<Meter>,
    pub(crate) gauges: Vec<Gauge>,
    pub(crate) fast: Vec<Gauge>,
    pub(crate) skew_s: f64,
    pub(crate) learn_s: f64,
    pub(crate) false_alarms_per_year: f64,
}

impl Line {
    /// # Errors
    /// A configuration that no model can be made of; the error names the key.
    pub(crate) fn new(config: &PipelineConfig) -> Result<Self, Error> {
        check(config)?;
        let length_m = config.segment.last().map_or(0.0, |segment| segment.to_m);
        let mut line = Self::empty(config, length_m);
        line.cut(config)?;
        line.instruments(config)?;
        Ok(line)
    }

    fn empty(config: &PipelineConfig, length_m: f64) -> Self {
        Self {
            id: config.id.clone(),
            length_m,
            density: config.fluid.density_kg_m3,
            flow_nominal: config.nominal.flow_m3h / 3_600.0,
            dt_s: 0.0,
            place_m: Vec::new(),
            z_m: Vec::new(),
            travel_s: Vec::new(),
            impedance: Vec::new(),
            resistance: Vec::new(),
            storage: Vec::new(),
            area: Vec::new(),
            inlet: config.inlet.kind,
            outlet: config.outlet.kind,
            outlet_head_m: config.outlet.downstream_head_m,
            meters: Vec::new(),
            gauges: Vec::new(),
            fast: Vec::new(),
            skew_s: config.scada.max_skew_s,
            learn_s: config.scada.learn_s,
            false_alarms_per_year: config.detection.false_alarms_per_year,
        }
    }

    fn cut(&mut self, config: &PipelineConfig) -> Result<(), Error> {
        let times: Vec<f64> =
            config.segment.iter().map(|s| (s.to_m - s.from_m) / s.wave_speed_m_s).collect();
        self.dt_s = step(&times);
        self.place_m.push(0.0);
        self.travel_s.push(0.0);
        self.z_m.push(elevation(config, 0.0));
        for (segment, time_s) in config.segment.iter().zip(&times) {
            let reaches = (time_s / self.dt_s).round().max(1.0);
            let length = segment.to_m - segment.from_m;
            let dx = length / reaches;
            let speed = dx / self.dt_s;
            let diameter = segment.inner_diameter_m;
            let area = std::f64::consts::PI * diameter * diameter / 4.0;
            let friction = friction(config, segment, area)?;
            for reach in 1..=reaches as usize {
                let at = segment.from_m + dx * reach as f64;
                self.place_m.push(at);
                self.z_m.push(elevation(config, at));
                self.travel_s.push(self.dt_s * self.travel_s.len() as f64);
                self.impedance.push(speed / (GRAVITY * area));
                self.resistance.push(friction * dx / (2.0 * GRAVITY * diameter * area * area));
                self.storage.push(GRAVITY * area * dx / (speed * speed));
                self.area.push(area);
            }
        }
        Ok(())
    }

    fn instruments(&mut self, config: &PipelineConfig) -> Result<(), Error> {
        let nominal = self.flow_nominal;
        for meter in &config.scada.flow {
            let node = self.node(meter.at_m);
            self.meters.push(Meter {
                name: meter.column.clone(),
                at_m: meter.at_m,
                node,
                sign: if meter.direction == Direction::In { 1.0 } else { -1.0 },
                scale: meter.unit.m3_s(),
                noise: meter.noise_pct / 100.0 * nominal,
                drift: meter.drift_pct / 100.0 * nominal,
                bias: meter.bias_pct / 100.0 * nominal,
            });
        }
        let head = BAR / (self.density * GRAVITY);
        let gauge = |sensor: &super::config::PressureSensor, node| Gauge {
            name: sensor.column.clone(),
            at_m: sensor.at_m,
            node,
            z_m: elevation(config, sensor.at_m),
            scale: sensor.unit.pa() / (self.density * GRAVITY),
            noise: sensor.noise_bar * head,
            drift: sensor.drift_bar * head,
            bias: sensor.bias_bar * head,
        };
        let gauges = config.scada.pressure.iter().map(|s| gauge(s, self.node(s.at_m))).collect();
        let fast = config.fast.iter().flat_map(|fast| &fast.pressure);
        let fast = fast.map(|s| gauge(s, self.node(s.at_m))).collect();
        self.gauges = gauges;
        self.fast = fast;
        let end = |at: f64, sign: f64| {
            self.meters.iter().any(|meter| meter.at_m == at && meter.sign == sign)
        };
        if !end(0.0, 1.0) || !end(self.length_m, -1.0) {
            let reason = "a meter \"in\" at the inlet and one \"out\" at the outlet are needed";
            return Err(bad("scada.flow", reason));
        }
        let ends = [0.0, self.length_m].map(|at| self.gauges.iter().any(|g| g.at_m == at));
        if ends != [true, true] {
            return Err(bad("scada.pressure", "a transmitter at each end is needed"));
        }
        Ok(())
    }

    /// The node nearest to a place.
    pub(crate) fn node(&self, at_m: f64) -> usize {
        let after = self.place_m.partition_point(|place| *place < at_m).min(self.reaches());
        match after.checked_sub(1) {
            Some(before) if at_m - self.place_m[before] < self.place_m[after] - at_m => before,
            _ => after,
        }
    }

    pub(crate) fn reaches(&self) -> usize {
        self.place_m.len() - 1
    }

    /// Travel time of a wave from the inlet to a place, s.
    pub(crate) fn travel(&self, at_m: f64) -> f64 {
        interpolate(&self.place_m, &self.travel_s, at_m)
    }

    /// Travel time through the whole line, s.
    pub(crate) fn transit_s(&self) -> f64 {
        self.dt_s * self.reaches() as f64
    }

    /// Metres of head in a bar.
    pub(crate) fn head_per_bar(&self) -> f64 {
        BAR / (self.density * GRAVITY)
    }
}

pub(crate) fn interpolate(x: &[f64], y: &[f64], at: f64) -> f64 {
    let after = x.partition_point(|place| *place < at).clamp(1, x.len() - 1);
    let share = ((at - x[after - 1]) / (x[after] - x[after - 1])).clamp(0.0, 1.0);
    y[after - 1] + share * (y[after] - y[after - 1])
}

/// The longest step whose reaches bend no wave speed too far.
fn step(times: &[f64]) -> f64 {
    let total: f64 = times.iter().sum();
    let bend = |dt: f64| {
        times.iter().map(|t| ((t / dt).round().max(1.0) * dt / t - 1.0).abs()).fold(0.0, f64::max)
    };
    let (mut best, mut least) = (total / REACHES_WANTED, f64::INFINITY);
    let mut reaches = REACHES_WANTED;
    while reaches <= REACHES_MAX {
        let dt = total / reaches;
        let bent = bend(dt);
        if bent < least {
            (best, least) = (dt, bent);
        }
        if bent <= BEND_MAX {
            break;
        }
        reaches += 1.0;
    }
    best
}

/// Darcy's factor: given, or Swamee and Jain's of 1976 at the nominal flow.
fn friction(
    config: &PipelineConfig,
    segment: &super::config::Segment,
    area: f64,
) -> Result<f64, Error> {
    if let Some(factor) = segment.friction_factor {
        return Ok(factor);
    }
    let (Some(roughness), Some(viscosity)) = (segment.roughness_m, config.fluid.viscosity_pa_s)
    else {
        let reason = "friction_factor is missing, or roughness_m with fluid.viscosity_pa_s";
        return Err(bad("segment", reason));
    };
    let velocity = config.nominal.flow_m3h / 3_600.0 / area;
    let reynolds = config.fluid.density_kg_m3 * velocity * segment.inner_diameter_m / viscosity;
    if reynolds < 2_300.0 {
        return Ok(64.0 / reynolds);
    }
    let term = roughness / (3.7 * segment.inner_diameter_m) + 5.74 / libm::pow(reynolds, 0.9);
    Ok(0.25 / (libm::log10(term) * libm::log10(term)))
}

fn elevation(config: &PipelineConfig, at_m: f64) -> f64 {
    let places: Vec<f64> = config.elevation.iter().map(|point| point.at_m).collect();
    let heights: Vec<f64> = config.elevation.iter().map(|point| point.z_m).collect();
    interpolate(&places, &heights, at_m)
}

fn bad(key: &str, reason: &str) -> Error {
    Error::Pipeline { key: key.to_owned(), reason: reason.to_owned() }
}

fn check(config: &PipelineConfig) -> Result<(), Error> {
    if config.schema != 1 {
        return Err(bad("schema", "only 1 is known"));
    }
    let positive = |key: &str, value: f64| match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(bad(key, "is not a positive number")),
    };
    positive("fluid.density_kg_m3", config.fluid.density_kg_m3)?;
    positive("nominal.flow_m3h", config.nominal.flow_m3h)?;
    positive("detection.false_alarms_per_year", config.detection.false_alarms_per_year)?;
    if config.segment.is_empty() || config.segment.len() > SEGMENTS_MAX {
        return Err(bad("segment", "between 1 and 256 are needed"));
    }
    let mut end = 0.0;
    for segment in &config.segment {
        if segment.from_m != end {
            return Err(bad("segment.from_m", "a segment does not begin where the last one ends"));
        }
        positive("segment.to_m", segment.to_m - segment.from_m)?;
        positive("segment.inner_diameter_m", segment.inner_diameter_m)?;
        positive("segment.wave_speed_m_s", segment.wave_speed_m_s)?;
        if let Some(factor) = segment.friction_factor {
            positive("segment.friction_factor", factor)?;
        }
        end = segment.to_m;
    }
    check_profile(config)?;
    check_instruments(config, end)
}

fn check_profile(config: &PipelineConfig) -> Result<(), Error> {
    let finite =
        config.elevation.iter().all(|point| point.at_m.is_finite() && point.z_m.is_finite());
    let ordered = config.elevation.is_sorted_by(|a, b| a.at_m < b.at_m);
    match config.elevation.len() >= 2 && finite && ordered {
        true => Ok(()),
        false => Err(bad("elevation", "two points at least are needed, in order of at_m")),
    }
}

fn check_instruments(config: &PipelineConfig, length_m: f64) -> Result<(), Error> {
    let fast = config.fast.iter().flat_map(|fast| &fast.pressure);
    let pressures = config.scada.pressure.iter().chain(fast);
    if config.scada.flow.len() + pressures.clone().count() > INSTRUMENTS_MAX {
        return Err(bad("scada", "too many instruments"));
    }
    let size = |value: f64| value.is_finite() && value >= 0.0;
    if !size(config.scada.max_skew_s) || !size(config.scada.learn_s) {
        return Err(bad("scada", "max_skew_s and learn_s are seconds from 0"));
    }
    let inside = |at_m: f64| (0.0..=length_m).contains(&at_m);
    for meter in &config.scada.flow {
        let sizes = [meter.noise_pct, meter.bias_pct, meter.drift_pct];
        if !inside(meter.at_m) || !sizes.into_iter().all(size) || meter.noise_pct == 0.0 {
            return Err(bad(&meter.column, "lies off the line or has errors that are no sizes"));
        }
    }
    for gauge in pressures {
        let sizes = [gauge.noise_bar, gauge.bias_bar, gauge.drift_bar];
        if !inside(gauge.at_m) || !sizes.into_iter().all(size) || gauge.noise_bar == 0.0 {
            return Err(bad(&gauge.column, "lies off the line or has errors that are no sizes"));
        }
    }
    Ok(())
}
