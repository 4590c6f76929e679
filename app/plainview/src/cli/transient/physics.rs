//! A case as a network, run to its end.

use hydraulics::Error;
use hydraulics::transient::{
    Beyond, Characteristic, Demand, End, Fluid, Friction, Leak, Network, NodeId, Options, Pipe,
    PipeId, Probe, Schedule, Simulation, TimeStep, Valve, ValveLaw,
};

use super::case::{Case, Duration, Inlet, Law};

/// A field that the physics cannot take.
pub(super) struct Misfit {
    pub(super) field: &'static str,
    pub(super) reason: String,
}

impl Misfit {
    pub(super) fn new(field: &'static str, reason: &str) -> Self {
        Self { field, reason: reason.to_owned() }
    }
}

/// What came of a case.
pub(super) struct Outcome {
    /// Name and values, step by step; they end where the column separates.
    pub(super) columns: Vec<(&'static str, Vec<f64>)>,
    pub(super) steps: usize,
    /// Processor time of the steps, s.
    pub(super) cpu_s: f64,
    /// Time in s and distance from the inlet in m.
    pub(super) separated: Option<(f64, f64)>,
}

/// The parts of a case that are looked at.
struct Built {
    network: Network,
    columns: Vec<(&'static str, Probe)>,
    /// Where each pipe begins, m from the inlet.
    starts_m: Vec<(PipeId, f64)>,
}

/// # Errors
/// A case that the physics cannot take, and its field.
pub(super) fn simulate(case: &Case) -> Result<Outcome, Misfit> {
    let built = match &case.given.leak_x_m {
        None => valve_case(case)?,
        Some(at_m) => leak_case(case, at_m.0)?,
    };
    let options = Options { time_step: TimeStep::Seconds(case.step_s()), ..Options::default() };
    let mut simulation = match Simulation::new(built.network, &options) {
        Ok(simulation) => simulation,
        Err(Error::Separated { .. }) => {
            return Err(Misfit::new("H0_m", "the liquid boils before anything happens"));
        }
        Err(error @ Error::WaveSpeed { .. }) => {
            return Err(Misfit { field: "leak_x_m", reason: error.to_string() });
        }
        Err(error) => return Err(Misfit { field: "case", reason: error.to_string() }),
    };
    let (names, probes): (Vec<_>, Vec<_>) = built.columns.into_iter().unzip();
    let begun_s = thread_cpu_s();
    let record = simulation.run(case.steps() as f64 * case.step_s(), &probes);
    let cpu_s = thread_cpu_s() - begun_s;
    let record = record.map_err(|error| Misfit { field: "case", reason: error.to_string() })?;
    let separated = record.separation.map(|separation| {
        let start = built.starts_m.iter().find(|(pipe, _)| *pipe == separation.pipe);
        (separation.time_s, start.map_or(0.0, |(_, start_m)| *start_m) + separation.at_m)
    });
    let steps = record.times_s.len() - 1;
    Ok(Outcome { columns: names.into_iter().zip(record.values).collect(), steps, cpu_s, separated })
}

fn fluid(case: &Case) -> Fluid {
    Fluid { vapour_head_m: case.given.vapour_head_m, ..Fluid::WATER }
}

fn pipe(case: &Case, from: NodeId, to: NodeId) -> Pipe {
    let given = &case.given;
    Pipe {
        from,
        to,
        length_m: given.length_m.0,
        diameter_m: given.diameter_m.0,
        wave_speed_ms: given.wave_speed_ms.0,
        friction: Friction::Darcy(given.f_darcy.0),
        profile: Vec::new(),
    }
}

/// Reservoir, pipe, valve.
fn valve_case(case: &Case) -> Result<Built, Misfit> {
    let given = &case.given;
    let mut network = Network::new(fluid(case));
    network.gravity_ms2 = given.gravity_ms2.0;
    let from = network.reservoir(given.head_m);
    let end = network.junction(0.0);
    let pipe = network.pipe(pipe(case, from, end));
    let flow_m3s = given.flow_m3s.0;
    let law = if given.valve_law == Some(Law::Orifice) {
        let fall = given.head_m - case.loss_m() - given.downstream_head_m;
        if fall <= 0.0 {
            return Err(Misfit::new("H0_m", "does not drive Q0_m3s through pipe and valve"));
        }
        ValveLaw::Orifice { conductance: flow_m3s / fall.sqrt() }
    } else {
        ValveLaw::Flow { open_m3s: flow_m3s }
    };
    let valve = network.valve(Valve {
        from: end,
        to: Beyond::Head(given.downstream_head_m),
        law,
        characteristic: Characteristic::Linear,
        opening: Schedule::ramp(1.0, 0.0, 0.0, seconds(given.closure_s.as_ref())),
    });
    let columns = vec![
        ("head_valve_m", Probe::Head(end)),
        ("flow_valve_m3s", Probe::Valve(valve)),
        ("flow_inlet_m3s", Probe::Flow(pipe, End::From)),
    ];
    Ok(Built { network, columns, starts_m: vec![(pipe, 0.0)] })
}

/// A pipe between two heads, or a flow and a head, with a leak on the way.
fn leak_case(case: &Case, leak_m: f64) -> Result<Built, Misfit> {
    let given = &case.given;
    let mut network = Network::new(fluid(case));
    network.gravity_ms2 = given.gravity_ms2.0;
    let from = if given.inlet_bc == Some(Inlet::Flow) {
        let inlet = network.junction(0.0);
        network.demand(Demand { node: inlet, flow: (-given.flow_m3s.0).into() });
        inlet
    } else {
        network.reservoir(given.head_m)
    };
    let to = network.reservoir(given.head_m - case.loss_m());
    let first = network.pipe(pipe(case, from, to));
    let (node, second) = network
        .split(first, leak_m)
        .map_err(|error| Misfit { field: "leak_x_m", reason: error.to_string() })?;
    let coefficient = given.leak.as_ref().map_or(0.0, |leak| leak.0);
    let leak = network.leak(Leak {
        node,
        coefficient: Schedule::ramp(
            0.0,
            coefficient,
            seconds(given.leak_start_s.as_ref()),
            seconds(given.leak_ramp_s.as_ref()),
        ),
    });
    let head_at = |share: f64| {
        let at_m = share * given.length_m.0;
        if at_m < leak_m {
            Probe::HeadAt(first, at_m)
        } else {
            Probe::HeadAt(second, at_m - leak_m)
        }
    };
    let columns = vec![
        ("head_x05_m", head_at(0.05)),
        ("head_x95_m", head_at(0.95)),
        ("head_inlet_m", Probe::Head(from)),
        ("head_outlet_m", Probe::Head(to)),
        ("flow_inlet_m3s", Probe::Flow(first, End::From)),
        ("flow_outlet_m3s", Probe::Flow(second, End::To)),
        ("head_at_leak_m", Probe::Head(node)),
        ("leak_flow_m3s", Probe::Leak(leak)),
    ];
    Ok(Built { network, columns, starts_m: vec![(first, 0.0), (second, leak_m)] })
}

fn seconds(duration: Option<&Duration>) -> f64 {
    duration.map_or(0.0, |duration| duration.0)
}

/// Processor time of this thread, s; elsewhere than on Linux the time that passes.
fn thread_cpu_s() -> f64 {
    #[cfg(target_os = "linux")]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
    }
    #[cfg(not(target_os = "linux"))]
    {
        use std::sync::LazyLock;
        use std::time::Instant;
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed().as_secs_f64()
    }
}
