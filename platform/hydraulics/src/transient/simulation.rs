use super::boundary::{Element, Group};
use super::controls::{Controls, Settings};
use super::grid::{Grid, Options};
use super::lanes::Lanes;
use super::network::{LeakId, Network, NodeId, PipeId, PumpId, ValveId};
use super::record::{Probe, Record};
use super::steady::Steady;
use crate::Error;

/// The friction factor follows the flow every so many steps: it changes with about the fifth root
/// of the flow, and costs as much as these steps.
const REFRESH_STEPS: u64 = 16;

/// The end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    From,
    To,
}

/// Where and when the liquid boiled first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Separation {
    pub time_s: f64,
    pub pipe: PipeId,
    /// From the beginning of the pipe, m.
    pub at_m: f64,
}

/// Highest and lowest head of every grid point since the start, pipe by pipe, m.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    pub highest_m: Vec<f64>,
    pub lowest_m: Vec<f64>,
}

/// A network in motion. A clone goes its own way: so *what if* is asked.
#[derive(Clone, Debug)]
pub struct Simulation {
    network: Network,
    grid: Grid,
    lanes: Lanes,
    groups: Vec<Group>,
    settings: Settings,
    /// Piezometric head by node, m.
    heads: Vec<f64>,
    /// Speed by pump as a share of the rated one.
    speeds: Vec<f64>,
    valve_flows: Vec<f64>,
    pump_flows: Vec<f64>,
    leak_flows: Vec<f64>,
    steps: u64,
    envelope: Option<Envelope>,
    separation: Option<Separation>,
}

impl Simulation {
    /// The steady state of a network as its schedules have it at time 0.
    ///
    /// # Errors
    /// A network or a grid that cannot be, no steady state, or one in which the liquid boils.
    pub fn new(network: Network, options: &Options) -> Result<Self, Error> {
        Self::with(network, options, &Controls::default())
    }

    /// The same under controls.
    ///
    /// # Errors
    /// As [`Simulation::new`].
    pub fn with(network: Network, options: &Options, controls: &Controls) -> Result<Self, Error> {
        network.check()?;
        let grid = Grid::new(&network, options)?;
        let mut lanes = Lanes::new(&network, &grid);
        let mut settings = Settings::default();
        settings.set(&network, controls, 0.0)?;
        let speeds: Vec<f64> = settings.motors.iter().map(|motor| motor.unwrap_or(0.0)).collect();
        let steady = Steady::find(&network, &settings, &speeds, &mut lanes)?;
        let mut groups = Group::all(&network, &lanes);
        for group in &mut groups {
            group.start(&steady);
        }
        let mut simulation = Self {
            valve_flows: vec![0.0; network.valves.len()],
            pump_flows: vec![0.0; network.pumps.len()],
            leak_flows: vec![0.0; network.leaks.len()],
            heads: steady.heads,
            envelope: options
                .envelope
                .then(|| Envelope { highest_m: lanes.head.clone(), lowest_m: lanes.head.clone() }),
            network,
            grid,
            lanes,
            groups,
            settings,
            speeds,
            steps: 0,
            separation: None,
        };
        simulation.note_flows();
        simulation.look_for_vapour()?;
        Ok(simulation)
    }

    /// Goes on by one time step under the schedules and what the controls set instead.
    ///
    /// # Errors
    /// Controls that cannot be; [`Error::Separated`] from the step on in which the liquid boils:
    /// what would follow is not computed.
    pub fn step(&mut self, controls: &Controls) -> Result<(), Error> {
        if let Some(at) = self.separation {
            return Err(at.into());
        }
        let time_s = (self.steps + 1) as f64 * self.grid.step_s;
        self.settings.set(&self.network, controls, time_s)?;
        self.run_down();
        self.lanes.advance();
        for group in &mut self.groups {
            let parts = (&self.network, &self.settings, &self.speeds[..]);
            group
                .advance(parts.0, parts.1, parts.2, &mut self.lanes, &mut self.heads)
                .map_err(|node| Error::NoBalance { time_s, node })?;
        }
        self.steps += 1;
        if self.steps.is_multiple_of(REFRESH_STEPS) {
            self.lanes.refresh(false);
        }
        self.note_flows();
        self.look_for_vapour()?;
        if let Some(envelope) = &mut self.envelope {
            envelope.widen(&self.lanes.head);
        }
        Ok(())
    }

    /// Runs under the schedules until a time in s and keeps what the probes show, the present
    /// state first. Column separation ends the record before the step in which it comes.
    ///
    /// # Errors
    /// Flows that do not settle.
    pub fn run(&mut self, until_s: f64, probes: &[Probe]) -> Result<Record, Error> {
        let steps = ((until_s - self.time_s()) / self.grid.step_s).round().max(0.0) as u64;
        let mut record = Record::new(probes);
        record.note(self);
        let controls = Controls::default();
        for _ in 0..steps {
            match self.step(&controls) {
                Err(Error::Separated { .. }) => break,
                other => other?,
            }
            record.note(self);
        }
        record.separation = self.separation;
        Ok(record)
    }

    fn run_down(&mut self) {
        let weight = self.network.fluid.density_kg_m3 * self.network.gravity_ms2;
        for (index, pump) in self.network.pumps.iter().enumerate() {
            let speed = &mut self.speeds[index];
            *speed = match (self.settings.motors[index], pump.run_down) {
                (Some(speed), _) => speed,
                (None, None) => 0.0,
                (None, Some(run_down)) => {
                    let now = (*speed, self.pump_flows[index]);
                    (*speed - run_down.lost(&pump.curve, weight, now, self.grid.step_s)).max(0.0)
                }
            };
        }
    }

    fn note_flows(&mut self) {
        for (element, flow) in self.groups.iter().flat_map(Group::flows) {
            match element {
                Element::Valve(index) => self.valve_flows[index] = flow,
                Element::Pump(index) => self.pump_flows[index] = flow,
                Element::Leak(index) => self.leak_flows[index] = flow,
            }
        }
    }

    fn look_for_vapour(&mut self) -> Result<(), Error> {
        let Some(point) = self.lanes.boiling() else {
            return Ok(());
        };
        let time_s = self.time_s();
        let place = self.lanes.stretches.iter().position(|s| s.points.contains(&point));
        let pipe = place.unwrap_or(0);
        let stretch = &self.lanes.stretches[pipe];
        let at_m = (point - stretch.points.start) as f64 * stretch.reach_m;
        let separation = Separation { time_s, pipe: PipeId(pipe), at_m };
        self.separation = Some(separation);
        Err(separation.into())
    }

    /// Time of the state, s.
    #[must_use]
    pub fn time_s(&self) -> f64 {
        self.steps as f64 * self.grid.step_s
    }

    /// Length of a step, s.
    #[must_use]
    pub fn step_s(&self) -> f64 {
        self.grid.step_s
    }

    /// The pipes in the order of adding.
    pub fn pipe_ids(&self) -> impl Iterator<Item = PipeId> + use<> {
        (0..self.network.pipes.len()).map(PipeId)
    }

    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Where the column separated; the state is that of this moment and not to be relied on.
    #[must_use]
    pub fn separation(&self) -> Option<Separation> {
        self.separation
    }

    /// Grid points of all pipes times steps so far.
    #[must_use]
    pub fn node_steps(&self) -> u64 {
        self.lanes.head.len() as u64 * self.steps
    }

    /// Number of reaches of a pipe.
    #[must_use]
    pub fn reaches(&self, pipe: PipeId) -> usize {
        self.grid.reaches[pipe.0]
    }

    /// The wave speed of a pipe as the grid has it, m/s.
    #[must_use]
    pub fn wave_speed_ms(&self, pipe: PipeId) -> f64 {
        self.grid.wave_speed_ms(&self.network, pipe.0)
    }

    /// Piezometric head at a node, m.
    #[must_use]
    pub fn head_m(&self, node: NodeId) -> f64 {
        self.heads[node.0]
    }

    /// Gauge pressure at a node, Pa.
    #[must_use]
    pub fn pressure_pa(&self, node: NodeId) -> f64 {
        let weight = self.network.fluid.density_kg_m3 * self.network.gravity_ms2;
        (self.heads[node.0] - self.network.nodes[node.0].elevation_m) * weight
    }

    /// Head and flow at a distance from the beginning of a pipe, m, m and m3/s; a straight line
    /// between grid points.
    #[must_use]
    pub fn at(&self, pipe: PipeId, at_m: f64) -> (f64, f64) {
        let stretch = &self.lanes.stretches[pipe.0];
        let last = stretch.points.len() - 1;
        let place = (at_m / stretch.reach_m).clamp(0.0, last as f64);
        let before = (place.floor() as usize).min(last - 1);
        let share = place - before as f64;
        let point = stretch.points.start + before;
        let between = |values: &[f64]| {
            if share == 0.0 {
                values[point]
            } else {
                values[point] + share * (values[point + 1] - values[point])
            }
        };
        (between(&self.lanes.head), between(&self.lanes.flow))
    }

    /// Flow at an end of a pipe, positive along it, m3/s.
    #[must_use]
    pub fn pipe_flow_m3s(&self, pipe: PipeId, end: End) -> f64 {
        let points = &self.lanes.stretches[pipe.0].points;
        self.lanes.flow[if end == End::From { points.start } else { points.end - 1 }]
    }

    /// Heads and flows of all grid points of a pipe, m and m3/s, `reaches + 1` each, evenly spaced.
    #[must_use]
    pub fn profile(&self, pipe: PipeId) -> (&[f64], &[f64]) {
        let points = self.lanes.stretches[pipe.0].points.clone();
        (&self.lanes.head[points.clone()], &self.lanes.flow[points])
    }

    #[must_use]
    pub fn valve_flow_m3s(&self, valve: ValveId) -> f64 {
        self.valve_flows[valve.0]
    }

    #[must_use]
    pub fn pump_flow_m3s(&self, pump: PumpId) -> f64 {
        self.pump_flows[pump.0]
    }

    /// Speed of a pump as a share of the rated one.
    #[must_use]
    pub fn pump_speed(&self, pump: PumpId) -> f64 {
        self.speeds[pump.0]
    }

    #[must_use]
    pub fn leak_flow_m3s(&self, leak: LeakId) -> f64 {
        self.leak_flows[leak.0]
    }

    /// Content of a pipe at its present heads beyond that at head 0, m3: the integral of
    /// `g A H / a^2` over its length.
    #[must_use]
    pub fn line_pack_m3(&self, pipe: PipeId) -> f64 {
        let (heads, _) = self.profile(pipe);
        let ends = (heads[0] + heads[heads.len() - 1]) / 2.0;
        let inner: f64 = heads[1..heads.len() - 1].iter().sum();
        // g A dx / a^2 = dt / B, since dx = a dt.
        (ends + inner) * self.grid.step_s / self.lanes.stretches[pipe.0].impedance
    }

    /// Highest and lowest heads of a pipe's grid points, when [`Options::envelope`] asked for them.
    #[must_use]
    pub fn envelope(&self, pipe: PipeId) -> Option<(&[f64], &[f64])> {
        let points = self.lanes.stretches[pipe.0].points.clone();
        let envelope = self.envelope.as_ref()?;
        Some((&envelope.highest_m[points.clone()], &envelope.lowest_m[points]))
    }

    /// Begins a new envelope at the present state.
    pub fn begin_envelope(&mut self) {
        let heads = &self.lanes.head;
        self.envelope = Some(Envelope { highest_m: heads.clone(), lowest_m: heads.clone() });
    }
}

impl Envelope {
    fn widen(&mut self, heads: &[f64]) {
        let both = self.highest_m.iter_mut().zip(&mut self.lowest_m);
        for ((highest, lowest), head) in both.zip(heads) {
            *highest = if *head > *highest { *head } else { *highest };
            *lowest = if *head < *lowest { *head } else { *lowest };
        }
    }
}

impl From<Separation> for Error {
    fn from(at: Separation) -> Self {
        Self::Separated { time_s: at.time_s, pipe: at.pipe.0, at_m: at.at_m }
    }
}
