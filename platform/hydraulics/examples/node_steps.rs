//! How many grid points a core moves on per second, and how long a surge check of 60 km takes: `cargo run --release -p hydraulics --example
//! node_steps`.

use std::io::Write;
use std::time::{Duration, Instant};

use hydraulics::surge::{self, Limits, Request};
use hydraulics::transient::{
    Beyond, Characteristic, Controls, Fluid, Friction, Network, Options, Pipe, Schedule,
    Simulation, TimeStep, Valve, ValveLaw,
};

/// A reservoir, a pipe and a valve that closes in 4 s at its end: case b2 of the reference, with
/// more or fewer reaches.
fn line(reaches: usize, friction: Friction) -> Result<Simulation, hydraulics::Error> {
    let mut network = Network::new(Fluid::WATER);
    let from = network.reservoir(200.0);
    let end = network.junction(0.0);
    let pipe = network.pipe(Pipe {
        from,
        to: end,
        length_m: 6_000.0,
        diameter_m: 0.5,
        wave_speed_ms: 1_200.0,
        friction,
        profile: Vec::new(),
    });
    network.valve(Valve {
        from: end,
        to: Beyond::Head(0.0),
        law: ValveLaw::Orifice { conductance: 0.15 / 193.574_936_f64.sqrt() },
        characteristic: Characteristic::Linear,
        opening: Schedule::ramp(1.0, 0.0, 0.0, 4.0),
    });
    let time_step = TimeStep::Reaches { pipe, count: reaches };
    Simulation::new(network, &Options { time_step, ..Options::default() })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:>10} {:>12} {:>24}", "reaches", "friction", "node-steps per second")?;
    let rough = Friction::Colebrook { roughness_m: 1e-4 };
    for reaches in [100, 300, 1_000, 10_000, 100_000] {
        for (name, friction) in [("Darcy", Friction::Darcy(0.018)), ("Colebrook", rough)] {
            let first = line(reaches, friction)?;
            let mut best: f64 = 0.0;
            for _ in 0..3 {
                let mut simulation = first.clone();
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(200) {
                    for _ in 0..(1_000_000 / reaches).max(1) {
                        simulation.step(&Controls::default())?;
                    }
                }
                let spent = begun.elapsed().as_secs_f64();
                best = best.max(simulation.node_steps() as f64 / spent);
            }
            writeln!(out, "{reaches:>10} {name:>12} {best:>24.3e}")?;
        }
    }
    let (simulation, request) = closing()?;
    let begun = Instant::now();
    let report = surge::check(&simulation, &request)?;
    let spent = begun.elapsed().as_secs_f64();
    let even_s = report.fastest_safe_s.unwrap_or(f64::NAN);
    let law_s = report.proposal.map_or(f64::NAN, |proposal| proposal.stroke_s);
    writeln!(out, "surge check of 60 km: {spent:.2} s; even {even_s:.0} s, proposed {law_s:.0} s")?;
    Ok(())
}

/// A valve that closes in 20 s at the end of 60 km of oil line in 300 reaches.
fn closing() -> Result<(Simulation, Request), hydraulics::Error> {
    let oil = Fluid { density_kg_m3: 850.0, viscosity_m2s: 1e-5, vapour_head_m: -9.0 };
    let mut network = Network::new(oil);
    let from = network.reservoir(620.0);
    let to = network.junction(0.0);
    let pipe = network.pipe(Pipe {
        from,
        to,
        length_m: 60_000.0,
        diameter_m: 0.5,
        wave_speed_ms: 1_100.0,
        friction: Friction::Colebrook { roughness_m: 5e-5 },
        profile: Vec::new(),
    });
    let valve = network.valve(Valve {
        from: to,
        to: Beyond::Head(480.0),
        law: ValveLaw::Orifice { conductance: 0.1 },
        characteristic: Characteristic::EqualPercentage { rangeability: 50.0 },
        opening: 1.0.into(),
    });
    let time_step = TimeStep::Reaches { pipe, count: 300 };
    let simulation = Simulation::new(network, &Options { time_step, ..Options::default() })?;
    let limits = Limits { mop_head_m: 600.0, ratio_max: 1.1, least_head_m: 0.0 };
    let request =
        Request { valve, opening: 1.0, target: 0.0, stroke_s: 20.0, stroke_s_max: 1_200.0, limits };
    Ok((simulation, request))
}
