//! How many grid points a core moves on per second: `cargo run --release -p hydraulics --example
//! node_steps`.

use std::io::Write;
use std::time::{Duration, Instant};

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
    Ok(())
}
