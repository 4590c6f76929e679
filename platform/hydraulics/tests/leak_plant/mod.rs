//! A simulated pipeline with instruments, deterministic from a seed: the records that the leak
//! detection is measured on.
//!
//! A method of characteristics of its own (a finer grid than the detector's model, an orifice for
//! the leak, a flow-controlled pump, a valve); instruments with noise, bias, an error that depends
//! on the flow, drift, skewed reading times and missing values.

use hydraulics::leak::config::PipelineConfig;

pub(crate) const LENGTH_M: f64 = 60_000.0;
const REACHES: usize = 300;
const DT_S: f64 = 0.2;
const SPEED: f64 = 1_000.0;
const DIAMETER: f64 = 0.5;
const FRICTION: f64 = 0.017;
const DENSITY: f64 = 850.0;
const GRAVITY: f64 = 9.806_65;
const NOMINAL: f64 = 0.2;
const INLET_M: f64 = 620.0;
const BEHIND_M: f64 = 452.12;
pub(crate) const GAUGES_KM: [f64; 5] = [0.0, 15.0, 30.0, 45.0, 60.0];

/// The line of the records.
pub(crate) fn pipeline() -> PipelineConfig {
    toml::from_str(include_str!("pipeline.toml")).expect("the configuration is valid")
}

/// Numbers from a seed: SplitMix64 (Steele, Lea and Flood, 2014) and Box and Muller's normal.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    pub(crate) fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.even()
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let (u, v) = (self.even().max(1e-300), self.even());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Leak {
    pub(crate) at_m: f64,
    pub(crate) start_s: f64,
    pub(crate) ramp_s: f64,
    pub(crate) pct: f64,
}

/// What a wrong instrument does; sizes in % of nominal flow or in bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wrong {
    Bias(f64),
    /// Size that is reached after an hour, and grows on.
    DriftPerHour(f64),
    Stuck,
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    /// 0 and 1 are the meters, then the gauges.
    pub(crate) instrument: usize,
    pub(crate) start_s: f64,
    pub(crate) wrong: Wrong,
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) span_s: f64,
    pub(crate) scan_s: f64,
    /// (time, share of the nominal flow), linear between.
    pub(crate) inflow: Vec<(f64, f64)>,
    /// (time, change of the head behind the valve in m), linear between.
    pub(crate) behind: Vec<(f64, f64)>,
    pub(crate) leak: Option<Leak>,
    pub(crate) fault: Option<Fault>,
    /// Where the fast record begins; it lasts 20 minutes.
    pub(crate) fast_s: Option<f64>,
}

impl Scenario {
    pub(crate) fn quiet(seed: u64, span_s: f64) -> Self {
        Self {
            seed,
            span_s,
            scan_s: 5.0,
            inflow: vec![(0.0, 1.0)],
            behind: vec![(0.0, 0.0)],
            leak: None,
            fault: None,
            fast_s: None,
        }
    }

    pub(crate) fn with_leak(mut self, at_m: f64, start_s: f64, ramp_s: f64, pct: f64) -> Self {
        self.leak = Some(Leak { at_m, start_s, ramp_s, pct });
        let lead = Chance::new(self.seed ^ 0xFA57).between(200.0, 900.0);
        self.fast_s = Some((start_s - lead).floor());
        self
    }

    pub(crate) fn with_move(mut self, start_s: f64, ramp_s: f64, share: f64) -> Self {
        let before = self.inflow.last().map_or(1.0, |last| last.1);
        self.inflow.extend([(start_s, before), (start_s + ramp_s, share)]);
        self
    }

    pub(crate) fn with_fault(mut self, instrument: usize, start_s: f64, wrong: Wrong) -> Self {
        self.fault = Some(Fault { instrument, start_s, wrong });
        self
    }
}

/// A row of the scan: time, two flows in m3/h, five pressures in bar.
pub(crate) struct Row {
    pub(crate) time_s: f64,
    pub(crate) flows: Vec<Option<f64>>,
    pub(crate) pressures: Vec<Option<f64>>,
}

pub(crate) struct Record {
    pub(crate) rows: Vec<Row>,
    pub(crate) fast: Vec<(f64, Vec<Option<f64>>)>,
    /// Leak flow at the end, m3/h.
    pub(crate) leak_m3h: f64,
}

fn along(points: &[(f64, f64)], time_s: f64) -> f64 {
    let after = points.partition_point(|point| point.0 <= time_s);
    match (after.checked_sub(1).map(|at| points[at]), points.get(after)) {
        (Some(a), Some(b)) => a.1 + (b.1 - a.1) * (time_s - a.0) / (b.0 - a.0),
        (Some(a), None) => a.1,
        (None, Some(b)) => b.1,
        (None, None) => 0.0,
    }
}

/// The errors of one instrument, in the unit of its column.
struct Errors {
    bias: f64,
    slope: f64,
    noise: f64,
    waves: [(f64, f64, f64); 3],
}

impl Errors {
    fn new(chance: &mut Chance, noise: f64, bias: f64, slope: f64, drift: f64) -> Self {
        let mut wave = |period: f64| {
            let amplitude = drift * (2.0_f64 / 3.0).sqrt();
            let period = period * chance.between(0.7, 1.4);
            (amplitude, std::f64::consts::TAU / period, chance.between(0.0, std::f64::consts::TAU))
        };
        let waves = [wave(9_000.0), wave(25_000.0), wave(70_000.0)];
        Self { bias: bias * chance.normal(), slope: slope * chance.normal(), noise, waves }
    }

    fn read(&self, chance: &mut Chance, time_s: f64, true_value: f64, load: f64) -> f64 {
        let drift: f64 = self.waves.iter().map(|(a, w, p)| a * (w * time_s + p).sin()).sum();
        true_value + self.bias + self.slope * load + drift + self.noise * chance.normal()
    }
}

/// The plant at one moment, as the instruments see it.
#[derive(Clone, Copy, Default)]
struct Moment {
    flows: [f64; 2],
    pressures: [f64; 5],
}

struct Plant {
    head: Vec<f64>,
    arriving: Vec<f64>,
    leaving: Vec<f64>,
    spare: [Vec<f64>; 3],
    leak: f64,
}

impl Plant {
    fn new(share: f64) -> Self {
        let area = std::f64::consts::PI * DIAMETER * DIAMETER / 4.0;
        let flow = share * NOMINAL;
        let slope = FRICTION * flow * flow.abs() / (2.0 * GRAVITY * DIAMETER * area * area);
        let full = FRICTION * NOMINAL * NOMINAL / (2.0 * GRAVITY * DIAMETER * area * area);
        let over = INLET_M - full * LENGTH_M - BEHIND_M;
        let outlet = BEHIND_M + over * share * share;
        let dx = LENGTH_M / REACHES as f64;
        let head = (0..=REACHES).map(|i| outlet + slope * (LENGTH_M - dx * i as f64)).collect();
        let flows = vec![flow; REACHES + 1];
        let spare = std::array::from_fn(|_| vec![0.0; REACHES + 1]);
        Self { head, arriving: flows.clone(), leaving: flows, spare, leak: 0.0 }
    }

    fn step(&mut self, inflow: f64, behind: f64, leak_node: usize, coefficient: f64) {
        let area = std::f64::consts::PI * DIAMETER * DIAMETER / 4.0;
        let b = SPEED / (GRAVITY * area);
        let r = FRICTION * (LENGTH_M / REACHES as f64) / (2.0 * GRAVITY * DIAMETER * area * area);
        let full = FRICTION * NOMINAL * NOMINAL / (2.0 * GRAVITY * DIAMETER * area * area);
        let valve = NOMINAL / (INLET_M - full * LENGTH_M - BEHIND_M).sqrt();
        let [mut head, mut arriving, mut leaving] = std::mem::take(&mut self.spare);
        for i in 0..=REACHES {
            let (cp, bp) = match i.checked_sub(1) {
                Some(a) => (self.head[a] + b * self.leaving[a], b + r * self.leaving[a].abs()),
                None => (0.0, 0.0),
            };
            let (cm, bm) = if i < REACHES {
                (self.head[i + 1] - b * self.arriving[i + 1], b + r * self.arriving[i + 1].abs())
            } else {
                (0.0, 0.0)
            };
            if i == 0 {
                head[0] = cm + bm * inflow;
                (arriving[0], leaving[0]) = (inflow, inflow);
            } else if i == REACHES {
                let (k, over) = (valve * valve, cp - behind);
                let flow = if over <= 0.0 {
                    0.0
                } else {
                    let half = 0.5 * k * bp;
                    -half + (half * half + k * over).sqrt()
                };
                head[i] = cp - bp * flow;
                (arriving[i], leaving[i]) = (flow, flow);
            } else {
                let conductance = 1.0 / bp + 1.0 / bm;
                let still = (cp / bp + cm / bm) / conductance;
                let mut drawn = 0.0;
                if i == leak_node && coefficient > 0.0 && still > 0.0 {
                    let half = 0.5 * coefficient * coefficient / conductance;
                    drawn = -half + (half * half + coefficient * coefficient * still).sqrt();
                    self.leak = drawn;
                }
                head[i] = still - drawn / conductance;
                arriving[i] = (cp - head[i]) / bp;
                leaving[i] = (head[i] - cm) / bm;
            }
        }
        self.spare = [
            std::mem::replace(&mut self.head, head),
            std::mem::replace(&mut self.arriving, arriving),
            std::mem::replace(&mut self.leaving, leaving),
        ];
    }

    fn moment(&self) -> Moment {
        let bar = DENSITY * GRAVITY / 1e5;
        let pressures = GAUGES_KM
            .map(|km| self.head[(km * 1_000.0 / LENGTH_M * REACHES as f64).round() as usize] * bar);
        Moment { flows: [self.leaving[0] * 3_600.0, self.arriving[REACHES] * 3_600.0], pressures }
    }
}

/// Runs the plant and reads its instruments.
pub(crate) fn record(scenario: &Scenario) -> Record {
    let mut chance = Chance::new(scenario.seed);
    let pct = NOMINAL * 36.0;
    let meters: Vec<Errors> = (0..2)
        .map(|_| Errors::new(&mut chance, 0.15 * pct, 0.1 * pct, 0.3 * pct, 0.06 * pct))
        .collect();
    let gauges: Vec<Errors> =
        (0..5).map(|_| Errors::new(&mut chance, 0.01, 0.02, 0.0, 0.01)).collect();
    let mut plant = Plant::new(along(&scenario.inflow, 0.0));
    let leak_node =
        scenario.leak.map_or(0, |leak| (leak.at_m / LENGTH_M * REACHES as f64).round() as usize);
    let nominal_head = Plant::new(1.0).head[leak_node];
    let steps = (scenario.span_s / DT_S).round() as usize;
    let per_scan = (scenario.scan_s / DT_S).round() as usize;
    let mut late = std::collections::VecDeque::from([plant.moment()]);
    let mut held = [None; 7];
    let mut rows = Vec::new();
    let mut fast = Vec::new();
    for step in 0..=steps {
        let time_s = step as f64 * DT_S;
        if step > 0 {
            let open = scenario.leak.map_or(0.0, |leak| {
                let since = time_s - leak.start_s;
                let share = if leak.ramp_s > 0.0 { since / leak.ramp_s } else { 1.0 };
                if since < 0.0 { 0.0 } else { share.min(1.0) * leak.pct / 100.0 }
            });
            let inflow = along(&scenario.inflow, time_s) * NOMINAL;
            let behind = BEHIND_M + along(&scenario.behind, time_s);
            let coefficient = open * NOMINAL / nominal_head.sqrt();
            plant.step(inflow, behind, leak_node, coefficient);
            late.push_front(plant.moment());
            late.truncate(7);
        }
        let running = scenario.fast_s.is_some_and(|s| (s..s + 1_200.0).contains(&time_s));
        if running {
            let now = plant.moment().pressures;
            let read = [0, 2, 4].map(|k| Some(round(now[k] + 0.004 * chance.normal(), 1e4)));
            fast.push((time_s, read.to_vec()));
        }
        if step % per_scan == 0 {
            rows.push(read(scenario, &mut chance, time_s, &late, &meters, &gauges, &mut held));
        }
    }
    Record { rows, fast, leak_m3h: plant.leak * 3_600.0 }
}

fn round(value: f64, per: f64) -> f64 {
    (value * per).round() / per
}

fn read(
    scenario: &Scenario,
    chance: &mut Chance,
    time_s: f64,
    late: &std::collections::VecDeque<Moment>,
    meters: &[Errors],
    gauges: &[Errors],
    held: &mut [Option<f64>; 7],
) -> Row {
    let mut values = Vec::with_capacity(7);
    for instrument in 0..7 {
        let steps = chance.even() / DT_S;
        let (a, share) = (steps.floor() as usize, steps.fract());
        let of = |moment: &Moment| match instrument {
            0 | 1 => moment.flows[instrument],
            gauge => moment.pressures[gauge - 2],
        };
        let at = |index: usize| of(&late[index.min(late.len() - 1)]);
        let value = at(a) * (1.0 - share) + at(a + 1) * share;
        let load = at(a) / (NOMINAL * 3_600.0) - 1.0;
        let (mut shown, per) = match instrument {
            0 | 1 => (meters[instrument].read(chance, time_s, value, load), 100.0),
            gauge => (gauges[gauge - 2].read(chance, time_s, value, 0.0), 1_000.0),
        };
        let unit = if instrument < 2 { NOMINAL * 36.0 } else { 1.0 };
        let mut gone = chance.even() < 0.002;
        if let Some(fault) = scenario.fault.filter(|f| f.instrument == instrument) {
            let since = time_s - fault.start_s;
            if since >= 0.0 {
                match fault.wrong {
                    Wrong::Bias(size) => shown += size * unit,
                    Wrong::DriftPerHour(size) => shown += size * unit * since / 3_600.0,
                    Wrong::Stuck => shown = held[instrument].unwrap_or(shown),
                    Wrong::Missing => gone = true,
                }
            }
        }
        let shown = round(shown, per);
        held[instrument] = Some(shown);
        values.push((!gone).then_some(shown));
    }
    let pressures = values.split_off(2);
    Row { time_s, flows: values, pressures }
}
