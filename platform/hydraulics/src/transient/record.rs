use super::network::{LeakId, NodeId, PipeId, PumpId, ValveId};
use super::simulation::{End, Separation, Simulation};

/// A quantity that is kept from every step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Probe {
    /// Piezometric head at a node, m.
    Head(NodeId),
    /// Piezometric head in a pipe at a distance in m from its beginning, m.
    HeadAt(PipeId, f64),
    /// Flow at an end of a pipe, m3/s.
    Flow(PipeId, End),
    /// Flow through a valve, m3/s.
    Valve(ValveId),
    /// Flow through a pump, m3/s.
    Pump(PumpId),
    /// Speed of a pump as a share of the rated one.
    Speed(PumpId),
    /// Flow out of a leak, m3/s.
    Leak(LeakId),
}

/// What the probes showed, state by state.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    probes: Vec<Probe>,
    /// s.
    pub times_s: Vec<f64>,
    /// By probe, then by state.
    pub values: Vec<Vec<f64>>,
    /// Why the record ends early, if it does.
    pub separation: Option<Separation>,
}

impl Record {
    pub(super) fn new(probes: &[Probe]) -> Self {
        Self {
            probes: probes.to_vec(),
            times_s: Vec::new(),
            values: vec![Vec::new(); probes.len()],
            separation: None,
        }
    }

    pub(super) fn note(&mut self, simulation: &Simulation) {
        self.times_s.push(simulation.time_s());
        for (probe, values) in self.probes.iter().zip(&mut self.values) {
            values.push(match *probe {
                Probe::Head(node) => simulation.head_m(node),
                Probe::HeadAt(pipe, at_m) => simulation.at(pipe, at_m).0,
                Probe::Flow(pipe, end) => simulation.pipe_flow_m3s(pipe, end),
                Probe::Valve(valve) => simulation.valve_flow_m3s(valve),
                Probe::Pump(pump) => simulation.pump_flow_m3s(pump),
                Probe::Speed(pump) => simulation.pump_speed(pump),
                Probe::Leak(leak) => simulation.leak_flow_m3s(leak),
            });
        }
    }
}
