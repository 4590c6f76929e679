//! The surge check against closed forms, and its promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use hydraulics::Error;
use hydraulics::surge::{self, Limits, Request};
use hydraulics::transient::{
    Beyond, Characteristic, Controls, Fluid, Friction, Network, Options, Pipe, Simulation,
    TimeStep, Valve, ValveId, ValveLaw,
};

const LENGTH_M: f64 = 6_000.0;
const SPEED_MS: f64 = 1_200.0;
const VELOCITY_MS: f64 = 0.763_943_727;

/// A reservoir of 100 m, a pipe, and a valve at its end against a head in m.
fn line(law: ValveLaw, friction: Friction, beyond_m: f64) -> (Simulation, ValveId, Pipe) {
    let mut network = Network::new(Fluid::WATER);
    let from = network.reservoir(100.0);
    let to = network.junction(0.0);
    let pipe = Pipe {
        from,
        to,
        length_m: LENGTH_M,
        diameter_m: 0.5,
        wave_speed_ms: SPEED_MS,
        friction,
        profile: Vec::new(),
    };
    let id = network.pipe(pipe.clone());
    let characteristic = Characteristic::Linear;
    let opening = 1.0.into();
    let valve =
        network.valve(Valve { from: to, to: Beyond::Head(beyond_m), law, characteristic, opening });
    let time_step = TimeStep::Reaches { pipe: id, count: 50 };
    let options = Options { time_step, ..Options::default() };
    (Simulation::new(network, &options).unwrap(), valve, pipe)
}

fn request(valve: ValveId, stroke_s: f64, mop_head_m: f64) -> Request {
    Request {
        valve,
        opening: 1.0,
        target: 0.0,
        stroke_s,
        stroke_s_max: 300.0,
        limits: Limits { mop_head_m, ratio_max: 1.1, least_head_m: 0.0 },
    }
}

#[test]
fn the_fastest_safe_stroke_is_that_of_the_closed_form() {
    let law = ValveLaw::Flow { open_m3s: 0.15 };
    let (simulation, valve, pipe) = line(law, Friction::Darcy(0.0), 0.0);
    // 1.1 x 125 m leave 37.5 m of rise: 2 L V / (g T) reaches it at T = 24.9 s.
    let report = surge::check(&simulation, &request(valve, 5.0, 125.0)).unwrap();
    assert!(!report.asked.safe);
    let rise = surge::joukowsky_m(&pipe, VELOCITY_MS, 9.81);
    assert!((report.asked.peak.highest_m - 100.0 - rise).abs() < 1e-6);
    assert!((report.asked.peak.ratio - (100.0 + rise) / 125.0).abs() < 1e-6);
    assert_eq!(report.asked.peak.at_m, LENGTH_M);
    let closed_form = 2.0 * LENGTH_M * VELOCITY_MS / (9.81 * 37.5);
    let fastest = report.fastest_safe_s.unwrap();
    assert!((fastest / closed_form - 1.0).abs() < 0.02, "{fastest} {closed_form}");
    assert!((surge::slow_closure_m(&pipe, VELOCITY_MS, closed_form, 9.81) - 37.5).abs() < 1e-9);
    let proposal = report.proposal.unwrap();
    assert!(proposal.outcome.safe && proposal.outcome.peak.ratio <= 1.1);
    assert!(proposal.stroke_s <= 1.06 * fastest);
}

#[test]
fn an_orifice_gains_from_going_slow_at_the_end() {
    // The pipe takes 18 m of 20, so that the valve begins to brake when it is nearly shut.
    let law = ValveLaw::Orifice { conductance: 0.1 };
    let (simulation, valve, _) = line(law, Friction::Darcy(0.05), 80.0);
    let report = surge::check(&simulation, &request(valve, 10.0, 120.0)).unwrap();
    assert!(!report.asked.safe && report.asked.separation.is_none());
    let proposal = report.proposal.unwrap();
    assert!(proposal.outcome.safe);
    assert!(
        proposal.stroke_s < 0.8 * report.fastest_safe_s.unwrap(),
        "{} {:?}",
        proposal.stroke_s,
        report.fastest_safe_s
    );
    let safe = surge::check(&simulation, &request(valve, 300.0, 120.0)).unwrap();
    assert!(safe.asked.safe && safe.proposal.is_none());
}

#[test]
fn what_separates_is_never_safe_and_the_simulation_stays_as_it_is() {
    let law = ValveLaw::Flow { open_m3s: 0.25 };
    let (mut simulation, valve, _) = line(law, Friction::Darcy(0.01), 0.0);
    let before = simulation.at(only_pipe(&simulation), 3_000.0);
    let report = surge::check(&simulation, &request(valve, 0.0, 1_000.0)).unwrap();
    let separation = report.asked.separation.unwrap();
    assert!(!report.asked.safe && separation.time_s > 10.0);
    assert_eq!(simulation.at(only_pipe(&simulation), 3_000.0), before);
    simulation.step(&Controls::default()).unwrap();
}

fn only_pipe(simulation: &Simulation) -> hydraulics::transient::PipeId {
    simulation.pipe_ids().next().unwrap()
}

#[test]
fn nonsense_is_refused() {
    let law = ValveLaw::Flow { open_m3s: 0.15 };
    let (simulation, valve, _) = line(law, Friction::Darcy(0.0), 0.0);
    for bad in [
        Request { target: 1.5, ..request(valve, 5.0, 100.0) },
        Request { stroke_s: f64::NAN, ..request(valve, 5.0, 100.0) },
        request(valve, 5.0, 0.0),
        request(valve, 1e9, 100.0),
    ] {
        assert!(matches!(surge::check(&simulation, &bad), Err(Error::Surge { .. })));
    }
}
