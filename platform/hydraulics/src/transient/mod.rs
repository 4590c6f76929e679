//! Water hammer by the method of characteristics: pipes, pumps, valves, reservoirs and leaks.
//!
//! Heads are piezometric (elevation plus gauge pressure head) in m, flows in m3/s, times in s. A
//! pipe is cut into reaches that a wave crosses in exactly one time step (Courant number 1), so
//! fronts stay sharp; wave speeds give way by a few percent so that all pipes share the step.
//!
//! The equations are those of Wylie and Streeter, Fluid Transients in Systems (1993), chapter 3:
//! along C+ and C-, `dH +- (a/gA) dQ +- f Q|Q| dx / (2 g D A^2) = 0`. The friction integral is the
//! mean of its values at both ends of the characteristic, solved exactly for the new flow: second
//! order, stable for every reach, and a steady flow stays where it is.

mod balance;
mod boundary;
mod controls;
mod friction;
mod grid;
mod lanes;
mod network;
mod pump;
mod record;
mod schedule;
mod simulation;
mod steady;
mod valve;

pub use controls::Controls;
pub use friction::{Friction, Restraint, darcy_factor, wave_speed_ms};
pub use grid::{Options, TimeStep};
pub use network::{
    Beyond, Demand, DemandId, Fluid, Leak, LeakId, Network, Node, NodeId, Pipe, PipeId, PumpId,
    ValveId,
};
pub use pump::{Pump, PumpCurve, RunDown};
pub use record::{Probe, Record};
pub use schedule::Schedule;
pub use simulation::{End, Envelope, Separation, Simulation};
pub use valve::{Characteristic, Valve, ValveLaw, conductance_of_area, conductance_of_kv};
