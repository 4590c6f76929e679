use serde::{Deserialize, Serialize};

use super::friction::Friction;
use super::pump::Pump;
use super::schedule::Schedule;
use super::valve::{Valve, ValveLaw};
use crate::Error;

macro_rules! id {
    ($name:ident, $what:literal) => {
        #[doc = concat!("Names ", $what, " of its network, in the order of adding.")]
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub(crate) usize);

        impl $name {
            /// Its place in the order of adding, from 0.
            #[must_use]
            pub fn index(self) -> usize {
                self.0
            }
        }
    };
}

id!(NodeId, "a node");
id!(PipeId, "a pipe");
id!(ValveId, "a valve");
id!(PumpId, "a pump");
id!(LeakId, "a leak");
id!(DemandId, "a demand");

/// The liquid, the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fluid {
    /// kg/m3.
    pub density_kg_m3: f64,
    /// Kinematic, m2/s.
    pub viscosity_m2s: f64,
    /// Gauge pressure head at which it boils, m: -10 for cold water at sea level.
    pub vapour_head_m: f64,
}

impl Fluid {
    /// Water at 15 degC.
    pub const WATER: Self =
        Self { density_kg_m3: 999.1, viscosity_m2s: 1.14e-6, vapour_head_m: -10.0 };
}

/// Where pipes meet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub elevation_m: f64,
    /// The piezometric head over time, m, where it is imposed: a reservoir or a measured pressure.
    pub head: Option<Schedule>,
    /// The head to start from in a part of the network that nothing else fixes, m.
    pub first_head_m: Option<f64>,
}

/// A pipe; flow from `from` to `to` is positive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pipe {
    pub from: NodeId,
    pub to: NodeId,
    pub length_m: f64,
    /// Inner diameter, m.
    pub diameter_m: f64,
    /// See [`super::wave_speed_ms`].
    pub wave_speed_ms: f64,
    pub friction: Friction,
    /// Distance from `from` in m and elevation in m, rising in distance, where the pipe does not
    /// rise straight from node to node; for pressures, heads do not need it.
    pub profile: Vec<(f64, f64)>,
}

/// Where a valve leads to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    Node(NodeId),
    /// Out of the network, against this piezometric head in m.
    Head(f64),
}

/// A hole: `Q = Ke sqrt(H - elevation)`, never inwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leak {
    pub node: NodeId,
    /// Ke over time, m2.5/s; `Cd A sqrt(2 g)`.
    pub coefficient: Schedule,
}

/// A flow that leaves at a node (or enters it, when negative).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    pub node: NodeId,
    /// m3/s over time.
    pub flow: Schedule,
}

/// Pipes, and what stands at their ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    pub fluid: Fluid,
    /// m/s2.
    pub gravity_ms2: f64,
    pub(super) nodes: Vec<Node>,
    pub(super) pipes: Vec<Pipe>,
    pub(super) valves: Vec<Valve>,
    pub(super) pumps: Vec<Pump>,
    pub(super) leaks: Vec<Leak>,
    pub(super) demands: Vec<Demand>,
}

impl Network {
    #[must_use]
    pub fn new(fluid: Fluid) -> Self {
        Self {
            fluid,
            gravity_ms2: 9.81,
            nodes: Vec::new(),
            pipes: Vec::new(),
            valves: Vec::new(),
            pumps: Vec::new(),
            leaks: Vec::new(),
            demands: Vec::new(),
        }
    }

    /// A node at an elevation in m.
    pub fn junction(&mut self, elevation_m: f64) -> NodeId {
        self.node(Node { elevation_m, head: None, first_head_m: None })
    }

    /// A node at elevation 0 whose head in m is given, constant or over time.
    pub fn reservoir(&mut self, head_m: impl Into<Schedule>) -> NodeId {
        self.node(Node { elevation_m: 0.0, head: Some(head_m.into()), first_head_m: None })
    }

    pub fn node(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    pub fn pipe(&mut self, pipe: Pipe) -> PipeId {
        self.pipes.push(pipe);
        PipeId(self.pipes.len() - 1)
    }

    pub fn valve(&mut self, valve: Valve) -> ValveId {
        self.valves.push(valve);
        ValveId(self.valves.len() - 1)
    }

    pub fn pump(&mut self, pump: Pump) -> PumpId {
        self.pumps.push(pump);
        PumpId(self.pumps.len() - 1)
    }

    pub fn leak(&mut self, leak: Leak) -> LeakId {
        self.leaks.push(leak);
        LeakId(self.leaks.len() - 1)
    }

    pub fn demand(&mut self, demand: Demand) -> DemandId {
        self.demands.push(demand);
        DemandId(self.demands.len() - 1)
    }

    #[must_use]
    pub fn pipes(&self) -> &[Pipe] {
        &self.pipes
    }

    #[must_use]
    pub fn valves(&self) -> &[Valve] {
        &self.valves
    }

    #[must_use]
    pub fn pumps(&self) -> &[Pump] {
        &self.pumps
    }

    /// Cuts a pipe at a distance in m from its beginning: it ends at the new node, and a new pipe
    /// goes on. For a leak or a gauge on the way.
    ///
    /// # Errors
    /// When there is no such pipe, or the distance is not inside it.
    pub fn split(&mut self, pipe: PipeId, at_m: f64) -> Result<(NodeId, PipeId), Error> {
        let part = || format!("pipe {}", pipe.0);
        let Some(old) = self.pipes.get(pipe.0).cloned() else {
            return Err(Error::Network { part: part(), reason: "is not in the network" });
        };
        if !(at_m > 0.0 && at_m < old.length_m) {
            let reason = "the cut must lie inside the pipe";
            return Err(Error::Network { part: part(), reason });
        }
        let elevation_m = self.elevation_m(pipe, at_m);
        let node = self.junction(elevation_m);
        let rest = Pipe {
            from: node,
            length_m: old.length_m - at_m,
            profile: old.profile.iter().filter(|p| p.0 > at_m).map(|p| (p.0 - at_m, p.1)).collect(),
            ..old.clone()
        };
        let first = &mut self.pipes[pipe.0];
        first.to = node;
        first.length_m = at_m;
        first.profile.retain(|point| point.0 < at_m);
        Ok((node, self.pipe(rest)))
    }

    /// Elevation of a pipe in m at a distance in m from its beginning.
    #[must_use]
    pub fn elevation_m(&self, pipe: PipeId, at_m: f64) -> f64 {
        let pipe = &self.pipes[pipe.0];
        let first = (0.0, self.nodes[pipe.from.0].elevation_m);
        let last = (pipe.length_m, self.nodes[pipe.to.0].elevation_m);
        let mut before = first;
        for point in pipe.profile.iter().copied().chain([last]) {
            if at_m <= point.0 && point.0 > before.0 {
                return before.1 + (point.1 - before.1) * (at_m - before.0) / (point.0 - before.0);
            }
            before = point;
        }
        last.1
    }

    /// # Errors
    /// The first part that cannot be as it is described.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |part: String, reason| Err(Error::Network { part, reason });
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let fluid = &self.fluid;
        if !positive(fluid.density_kg_m3) || !positive(fluid.viscosity_m2s) {
            return refuse("fluid".to_owned(), "density and viscosity must be positive");
        }
        if !positive(self.gravity_ms2) || !fluid.vapour_head_m.is_finite() {
            return refuse("fluid".to_owned(), "gravity and vapour head must be numbers");
        }
        if self.pipes.is_empty() {
            return refuse("network".to_owned(), "has no pipe");
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let numbers = [node.elevation_m, node.first_head_m.unwrap_or(0.0)];
            if numbers.iter().any(|number| !number.is_finite())
                || node.head.as_ref().is_some_and(|head| !head.is_sound())
            {
                return refuse(format!("node {index}"), "elevation and head must be numbers");
            }
        }
        for index in 0..self.pipes.len() {
            if let Some(reason) = self.fault_of_pipe(index) {
                return refuse(format!("pipe {index}"), reason);
            }
        }
        self.check_elements()
    }

    fn fault_of_pipe(&self, index: usize) -> Option<&'static str> {
        let pipe = &self.pipes[index];
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let rough = match pipe.friction {
            Friction::Darcy(factor) => factor,
            Friction::Colebrook { roughness_m } => roughness_m / pipe.diameter_m,
        };
        let [length, diameter, speed] = [pipe.length_m, pipe.diameter_m, pipe.wave_speed_ms];
        if !self.has(pipe.from) || !self.has(pipe.to) || pipe.from == pipe.to {
            Some("must lead from one node of the network to another")
        } else if !positive(length) || !positive(diameter) || !positive(speed) {
            Some("length, diameter and wave speed must be positive")
        } else if !(0.0..0.5).contains(&rough) {
            Some("the friction factor, or roughness over diameter, must lie between 0 and 0.5")
        } else if !pipe.profile.is_sorted_by(|a, b| a.0 < b.0)
            || pipe.profile.iter().any(|p| !(p.0 >= 0.0 && p.0 <= length && p.1.is_finite()))
        {
            Some("the profile must rise in distance within the pipe")
        } else {
            None
        }
    }

    fn check_elements(&self) -> Result<(), Error> {
        let refuse = |part: String, reason| Err(Error::Network { part, reason });
        for (index, valve) in self.valves.iter().enumerate() {
            if let Some(reason) = self.fault_of_valve(valve) {
                return refuse(format!("valve {index}"), reason);
            }
        }
        for (index, pump) in self.pumps.iter().enumerate() {
            if let Some(reason) = self.fault_of_pump(pump) {
                return refuse(format!("pump {index}"), reason);
            }
        }
        for (index, leak) in self.leaks.iter().enumerate() {
            if !self.has(leak.node) || !leak.coefficient.is_sound() {
                return refuse(format!("leak {index}"), "needs a node and a coefficient");
            }
            if !leak.coefficient.is_within(0.0, f64::MAX) {
                return refuse(format!("leak {index}"), "the coefficient must not be negative");
            }
        }
        for (index, demand) in self.demands.iter().enumerate() {
            if !self.has(demand.node) || !demand.flow.is_sound() {
                return refuse(format!("demand {index}"), "needs a node and a flow");
            }
        }
        Ok(())
    }

    fn fault_of_valve(&self, valve: &Valve) -> Option<&'static str> {
        let beyond = match valve.to {
            Beyond::Node(node) => self.has(node) && node != valve.from,
            Beyond::Head(head_m) => head_m.is_finite(),
        };
        let law = match valve.law {
            ValveLaw::Orifice { conductance } => conductance.is_finite() && conductance > 0.0,
            ValveLaw::Flow { open_m3s } => open_m3s.is_finite(),
        };
        if !self.has(valve.from) || !beyond {
            Some("must lead from one node of the network to another, or to a head")
        } else if !law {
            Some("its conductance must be positive, its flow a number")
        } else if !valve.characteristic.is_sound() {
            Some("its characteristic must rise from (0, 0) to (1, 1)")
        } else if !valve.opening.is_sound() || !valve.opening.is_within(0.0, 1.0) {
            Some("its opening must lie between 0 and 1")
        } else {
            None
        }
    }

    fn fault_of_pump(&self, pump: &Pump) -> Option<&'static str> {
        let curve = &pump.curve;
        if !self.has(pump.from) || !self.has(pump.to) || pump.from == pump.to {
            Some("must lead from one node of the network to another")
        } else if !curve.is_sound() {
            Some("its head must be positive when shut and fall with flow")
        } else if !pump.speed.is_sound() || !pump.speed.is_within(0.0, 2.0) {
            Some("its speed must lie between 0 and 2 of the rated one")
        } else if pump.run_down.is_some_and(|run_down| !run_down.is_sound())
            || pump.trip_s.is_some_and(|trip_s| !trip_s.is_finite())
        {
            Some("inertia, speed, flow and efficiency of its run-down must be positive")
        } else {
            None
        }
    }

    fn has(&self, node: NodeId) -> bool {
        node.0 < self.nodes.len()
    }
}
