use super::network::{DemandId, LeakId, Network, NodeId, PumpId, ValveId};
use crate::Error;

/// What is set by hand from step to step; the schedules of the network hold for everything else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Controls {
    heads: Vec<Option<f64>>,
    openings: Vec<Option<f64>>,
    speeds: Vec<Option<f64>>,
    running: Vec<Option<bool>>,
    leaks: Vec<Option<f64>>,
    demands: Vec<Option<f64>>,
}

impl Controls {
    /// The head of a node whose head is imposed, m.
    pub fn set_head(&mut self, node: NodeId, head_m: f64) {
        put(&mut self.heads, node.0, head_m);
    }

    /// The opening of a valve, 0 to 1.
    pub fn set_opening(&mut self, valve: ValveId, opening: f64) {
        put(&mut self.openings, valve.0, opening);
    }

    /// The speed of a pump as a share of the rated one.
    pub fn set_speed(&mut self, pump: PumpId, speed: f64) {
        put(&mut self.speeds, pump.0, speed);
    }

    /// Takes the motor of a pump away; it runs down.
    pub fn trip(&mut self, pump: PumpId) {
        put(&mut self.running, pump.0, false);
    }

    /// Gives a tripped pump its motor back; it has its speed at once, so ramp it up.
    pub fn restart(&mut self, pump: PumpId) {
        put(&mut self.running, pump.0, true);
    }

    /// Ke of a leak, m2.5/s.
    pub fn set_leak(&mut self, leak: LeakId, coefficient: f64) {
        put(&mut self.leaks, leak.0, coefficient);
    }

    /// A flow that leaves at a node, m3/s.
    pub fn set_demand(&mut self, demand: DemandId, flow_m3s: f64) {
        put(&mut self.demands, demand.0, flow_m3s);
    }

    /// # Errors
    /// A value that cannot be.
    fn check(&self) -> Result<(), Error> {
        let within = |values: &[Option<f64>], least: f64, most: f64| {
            values.iter().flatten().all(|value| (least..=most).contains(value))
        };
        let reason = if !within(&self.heads, f64::MIN, f64::MAX) {
            "a head must be a number"
        } else if !within(&self.openings, 0.0, 1.0) {
            "an opening must lie between 0 and 1"
        } else if !within(&self.speeds, 0.0, 2.0) {
            "a speed must lie between 0 and 2 of the rated one"
        } else if !within(&self.leaks, 0.0, f64::MAX) {
            "the coefficient of a leak must not be negative"
        } else if !within(&self.demands, f64::MIN, f64::MAX) {
            "a demand must be a number"
        } else {
            return Ok(());
        };
        Err(Error::Network { part: "controls".to_owned(), reason })
    }
}

fn put<T: Clone>(values: &mut Vec<Option<T>>, index: usize, value: T) {
    if values.len() <= index {
        values.resize(index + 1, None);
    }
    values[index] = Some(value);
}

fn set<T: Copy>(values: &[Option<T>], index: usize) -> Option<T> {
    values.get(index).copied().flatten()
}

/// What holds at one instant.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// Imposed heads by node, m.
    pub(super) heads: Vec<Option<f64>>,
    /// Flow that leaves by node, m3/s.
    pub(super) demands: Vec<f64>,
    /// Share of the open valve.
    pub(super) shares: Vec<f64>,
    pub(super) leaks: Vec<f64>,
    /// Speed that the motor holds, `None` when it has tripped.
    pub(super) motors: Vec<Option<f64>>,
    tripped: Vec<bool>,
}

impl Settings {
    /// # Errors
    /// Controls with a value that cannot be.
    pub(super) fn set(
        &mut self,
        network: &Network,
        controls: &Controls,
        time_s: f64,
    ) -> Result<(), Error> {
        controls.check()?;
        self.heads.clear();
        self.heads.extend(network.nodes.iter().enumerate().map(|(index, node)| {
            let head = node.head.as_ref()?;
            Some(set(&controls.heads, index).unwrap_or_else(|| head.at(time_s)))
        }));
        self.demands.clear();
        self.demands.resize(network.nodes.len(), 0.0);
        for (index, demand) in network.demands.iter().enumerate() {
            let flow = set(&controls.demands, index).unwrap_or_else(|| demand.flow.at(time_s));
            self.demands[demand.node.0] += flow;
        }
        self.shares.clear();
        self.shares.extend(network.valves.iter().enumerate().map(|(index, valve)| {
            let opening = set(&controls.openings, index);
            valve.characteristic.share(opening.unwrap_or_else(|| valve.opening.at(time_s)))
        }));
        self.leaks.clear();
        self.leaks.extend(network.leaks.iter().enumerate().map(|(index, leak)| {
            set(&controls.leaks, index).unwrap_or_else(|| leak.coefficient.at(time_s))
        }));
        self.tripped.resize(network.pumps.len(), false);
        self.motors.clear();
        for (index, pump) in network.pumps.iter().enumerate() {
            let running = set(&controls.running, index);
            let trips = pump.trip_s.is_some_and(|trip_s| time_s > trip_s);
            let tripped = running.map_or(self.tripped[index] || trips, |running| !running);
            self.tripped[index] = tripped;
            let speed = set(&controls.speeds, index).unwrap_or_else(|| pump.speed.at(time_s));
            self.motors.push((!tripped).then_some(speed));
        }
        Ok(())
    }
}
