//! The transient model against closed forms, and what must hold whatever the network.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::f64::consts::PI;

use hydraulics::Error;
use hydraulics::transient::{
    Beyond, Characteristic, Controls, Demand, End, Fluid, Friction, Leak, LeakId, Network, NodeId,
    Options, Pipe, PipeId, Probe, Pump, PumpCurve, PumpId, RunDown, Schedule, Simulation, TimeStep,
    Valve, ValveId, ValveLaw,
};
use proptest::prelude::*;

const G: f64 = 9.81;
const LENGTH_M: f64 = 6_000.0;
const DIAMETER_M: f64 = 0.5;
const SPEED_MS: f64 = 1_200.0;
const FLOW_M3S: f64 = 0.15;
const REACHES: usize = 100;

fn velocity() -> f64 {
    FLOW_M3S / (PI * DIAMETER_M * DIAMETER_M / 4.0)
}

/// Joukowsky's head, m.
fn rise() -> f64 {
    SPEED_MS * velocity() / G
}

fn pipe(from: NodeId, to: NodeId, length_m: f64, friction: Friction) -> Pipe {
    Pipe {
        from,
        to,
        length_m,
        diameter_m: DIAMETER_M,
        wave_speed_ms: SPEED_MS,
        friction,
        profile: Vec::new(),
    }
}

fn reaches(pipe: PipeId, count: usize) -> Options {
    Options { time_step: TimeStep::Reaches { pipe, count }, ..Options::default() }
}

/// A reservoir, a pipe and a valve at its end against head 0, whose flow is 0.15 m3/s when open.
struct Line {
    network: Network,
    end: NodeId,
    pipe: PipeId,
    valve: ValveId,
}

fn line(head_m: f64, friction: Friction, law: ValveLaw, opening: Schedule) -> Line {
    let mut network = Network::new(Fluid::WATER);
    let from = network.reservoir(head_m);
    let end = network.junction(0.0);
    let pipe = network.pipe(pipe(from, end, LENGTH_M, friction));
    let characteristic = Characteristic::Linear;
    let valve = Valve { from: end, to: Beyond::Head(0.0), law, characteristic, opening };
    let valve = network.valve(valve);
    Line { network, end, pipe, valve }
}

fn head_at_valve(line: &Line, until_s: f64) -> (f64, Vec<f64>) {
    let mut simulation =
        Simulation::new(line.network.clone(), &reaches(line.pipe, REACHES)).unwrap();
    let record = simulation.run(until_s, &[Probe::Head(line.end)]).unwrap();
    assert_eq!(record.separation, None);
    (simulation.step_s(), record.values[0].clone())
}

const FLOW_LAW: ValveLaw = ValveLaw::Flow { open_m3s: FLOW_M3S };

#[test]
fn an_instant_closure_raises_the_head_by_joukowsky() {
    let line = line(200.0, Friction::Darcy(0.0), FLOW_LAW, Schedule::ramp(1.0, 0.0, 0.0, 0.0));
    let (_, heads) = head_at_valve(&line, 60.0);
    assert_eq!(heads[0], 200.0);
    for (step, head) in heads.iter().enumerate().skip(1) {
        // Up for 2 L/a, down for as long, for ever: 200 steps each.
        let sign = if (step - 1) / 200 % 2 == 0 { 1.0 } else { -1.0 };
        assert!((head - 200.0 - sign * rise()).abs() < 1e-7, "{step}: {head}");
    }
}

#[test]
fn a_frictionless_closure_is_the_sum_of_its_reflections() {
    for closure_s in [4.0, 10.0, 25.0] {
        let opening = Schedule::ramp(1.0, 0.0, 0.0, closure_s);
        let line = line(200.0, Friction::Darcy(0.0), FLOW_LAW, opening);
        let (step_s, heads) = head_at_valve(&line, 60.0);
        let lost = |time_s: f64| velocity() * (time_s / closure_s).clamp(0.0, 1.0);
        for (step, head) in heads.iter().enumerate() {
            let time_s = step as f64 * step_s;
            let back = (1..=6).map(|k| {
                let sign = if k % 2 == 0 { 2.0 } else { -2.0 };
                sign * lost(time_s - f64::from(k) * 2.0 * LENGTH_M / SPEED_MS)
            });
            let exact = 200.0 + SPEED_MS / G * (lost(time_s) + back.sum::<f64>());
            assert!((head - exact).abs() < 1e-7, "{closure_s} s: {time_s}: {head} {exact}");
        }
    }
}

#[test]
fn the_critical_time_parts_full_from_slow_closures() {
    let peak = |closure_s: f64| {
        let opening = Schedule::ramp(1.0, 0.0, 0.0, closure_s);
        let line = line(200.0, Friction::Darcy(0.0), FLOW_LAW, opening);
        head_at_valve(&line, 60.0).1.into_iter().fold(f64::MIN, f64::max) - 200.0
    };
    assert!((peak(9.9) - rise()).abs() < 1e-7);
    for closure_s in [10.5, 20.0, 40.0] {
        let slow = 2.0 * LENGTH_M * velocity() / (G * closure_s);
        assert!((peak(closure_s) - slow).abs() < 1e-7, "{closure_s}: {} {slow}", peak(closure_s));
    }
}

#[test]
fn an_orifice_satisfies_allievi() {
    let head_m: f64 = 200.0;
    let law = ValveLaw::Orifice { conductance: FLOW_M3S / head_m.sqrt() };
    let closure_s = 30.0;
    let line = line(head_m, Friction::Darcy(0.0), law, Schedule::ramp(1.0, 0.0, 0.0, closure_s));
    let (step_s, heads) = head_at_valve(&line, 60.0);
    let rho = SPEED_MS * velocity() / (2.0 * G * head_m);
    let open = |step: usize| (1.0 - step as f64 * step_s / closure_s).max(0.0);
    for step in 0..heads.len() - 200 {
        let z = |step: usize| (heads[step] / head_m).sqrt();
        let left = z(step).powi(2) + z(step + 200).powi(2) - 2.0;
        let right = 2.0 * rho * (open(step) * z(step) - open(step + 200) * z(step + 200));
        assert!((left - right).abs() < 1e-9, "{step}: {left} {right}");
    }
}

#[test]
fn what_is_shut_passes_nothing() {
    let law = ValveLaw::Orifice { conductance: 0.01 };
    let line = line(200.0, Friction::Darcy(0.018), law, Schedule::ramp(1.0, 0.0, 0.0, 4.0));
    let valve = line.valve;
    let mut simulation = Simulation::new(line.network, &reaches(line.pipe, REACHES)).unwrap();
    let record = simulation.run(20.0, &[Probe::Valve(valve), Probe::Flow(line.pipe, End::To)]);
    let record = record.unwrap();
    for (time_s, (valve, end)) in
        record.times_s.iter().zip(record.values[0].iter().zip(&record.values[1]))
    {
        assert!((valve - end).abs() < 1e-9, "{time_s}: {valve} {end}");
        assert_eq!(*time_s < 4.0, *valve > 0.0, "{time_s}: {valve}");
    }
}

#[test]
fn friction_packs_the_line_and_damps_the_wave() {
    let opening = Schedule::ramp(1.0, 0.0, 0.0, 0.0);
    let line = line(200.0, Friction::Darcy(0.018), FLOW_LAW, opening);
    let peaks: Vec<f64> = [100, 800]
        .map(|count| {
            let mut simulation =
                Simulation::new(line.network.clone(), &reaches(line.pipe, count)).unwrap();
            let record = simulation.run(60.0, &[Probe::Head(line.end)]).unwrap();
            let heads = &record.values[0];
            let lost = 0.018 * LENGTH_M / DIAMETER_M * velocity().powi(2) / (2.0 * G);
            assert!((heads[0] - (200.0 - lost)).abs() < 1e-9);
            // The first rise is Joukowsky's; what friction held back comes after it.
            let most = heads.iter().copied().fold(f64::MIN, f64::max);
            assert!(most > heads[0] + rise() + 0.5 * lost && most < 200.0 + rise());
            let late = heads[heads.len() / 2..].iter().copied().fold(f64::MIN, f64::max);
            assert!(late < most - 1.0);
            most
        })
        .to_vec();
    assert!((peaks[0] - peaks[1]).abs() < 0.05, "{peaks:?}");
}

#[test]
fn a_sudden_leak_sends_half_its_flow_each_way() {
    let mut network = Network::new(Fluid::WATER);
    let (from, to) = (network.reservoir(120.0), network.reservoir(100.0));
    let first = network.pipe(pipe(from, to, 3_000.0, Friction::Darcy(0.02)));
    let (node, _) = network.split(first, 1_200.0).unwrap();
    let leak = network.leak(Leak { node, coefficient: Schedule::ramp(0.0, 2e-4, 1.0, 0.0) });
    let mut simulation = Simulation::new(network, &reaches(first, 80)).unwrap();
    let before = simulation.head_m(node);
    while simulation.leak_flow_m3s(leak) == 0.0 {
        simulation.step(&Controls::default()).unwrap();
    }
    let drop = before - simulation.head_m(node);
    let flow = simulation.leak_flow_m3s(leak);
    let expected = SPEED_MS * flow / (2.0 * G * PI * DIAMETER_M * DIAMETER_M / 4.0);
    assert!((drop / expected - 1.0).abs() < 1e-3, "{drop} {expected}");
    assert!((flow - 2e-4 * simulation.head_m(node).sqrt()).abs() < 1e-9);
}

#[test]
fn the_column_separates_and_nothing_is_told_after_it() {
    let opening = Schedule::ramp(1.0, 0.0, 0.0, 0.0);
    let line = line(50.0, Friction::Darcy(0.0), FLOW_LAW, opening);
    let mut simulation =
        Simulation::new(line.network.clone(), &reaches(line.pipe, REACHES)).unwrap();
    let record = simulation.run(60.0, &[Probe::Head(line.end)]).unwrap();
    let separation = record.separation.unwrap();
    // The wave comes back from the reservoir after 2 L/a and takes the head below vapour.
    assert!((separation.time_s - 10.05).abs() < 1e-9, "{separation:?}");
    assert_eq!((separation.pipe, separation.at_m), (line.pipe, LENGTH_M));
    assert_eq!(record.values[0].len(), 201);
    assert!(record.values[0].iter().all(|head| *head > -10.0));
    let next = simulation.step(&Controls::default());
    assert!(matches!(next, Err(Error::Separated { .. })));
}

#[test]
fn a_pipe_that_rises_boils_at_its_summit() {
    let mut network = Network::new(Fluid::WATER);
    let (from, to) = (network.reservoir(60.0), network.reservoir(50.0));
    let profile = vec![(1_000.0, 70.0)];
    let rising = Pipe { profile, ..pipe(from, to, 2_000.0, Friction::Darcy(0.02)) };
    let pipe = network.pipe(rising);
    let refused = Simulation::new(network, &reaches(pipe, 20)).unwrap_err();
    assert_eq!(refused, Error::Separated { time_s: 0.0, pipe: 0, at_m: 1_000.0 });
}

/// A station: reservoir, pump, valve, a line that branches, a tank and a customer.
struct Station {
    network: Network,
    pump: PumpId,
    valve: ValveId,
    leak: LeakId,
    pipes: [PipeId; 3],
}

fn branched(friction: Friction) -> Station {
    let mut network = Network::new(Fluid { viscosity_m2s: 5e-6, ..Fluid::WATER });
    let suction = network.reservoir(10.0);
    let (discharge, inlet) = (network.junction(0.0), network.junction(0.0));
    let (fork, tank) = (network.junction(12.0), network.reservoir(40.0));
    let customer = network.junction(5.0);
    let pump = network.pump(Pump {
        from: suction,
        to: discharge,
        curve: PumpCurve::of_rated(0.2, 60.0),
        speed: Schedule::constant(1.0),
        check_valve: true,
        run_down: Some(RunDown {
            inertia_kg_m2: 40.0,
            rated_rpm: 1_480.0,
            rated_m3s: 0.2,
            efficiency: 0.8,
            shut_torque: 0.5,
        }),
        trip_s: None,
    });
    let valve = network.valve(Valve {
        from: discharge,
        to: Beyond::Node(inlet),
        law: ValveLaw::Orifice { conductance: 0.2 },
        characteristic: Characteristic::EqualPercentage { rangeability: 30.0 },
        opening: Schedule::constant(0.9),
    });
    let main = network.pipe(pipe(inlet, fork, 3_000.0, friction));
    let to_tank = Pipe { diameter_m: 0.4, ..pipe(fork, tank, 1_810.0, friction) };
    let to_tank = network.pipe(to_tank);
    let short =
        Pipe { diameter_m: 0.3, wave_speed_ms: 1_100.0, ..pipe(fork, customer, 600.0, friction) };
    let short = network.pipe(short);
    network.demand(Demand { node: customer, flow: Schedule::constant(0.04) });
    let leak = network.leak(Leak { node: fork, coefficient: Schedule::constant(1e-4) });
    Station { network, pump, valve, leak, pipes: [main, to_tank, short] }
}

#[test]
fn nothing_moves_before_something_happens() {
    for friction in [Friction::Darcy(0.02), Friction::Colebrook { roughness_m: 5e-5 }] {
        let Station { network, pipes, .. } = branched(friction);
        let mut simulation = Simulation::new(network, &Options::default()).unwrap();
        let before = pipes.map(|pipe| simulation.profile(pipe).0.to_vec());
        assert!(simulation.pipe_flow_m3s(pipes[0], End::From) > 0.1);
        for _ in 0..2_000 {
            simulation.step(&Controls::default()).unwrap();
        }
        for (pipe, before) in pipes.into_iter().zip(before) {
            let heads = simulation.profile(pipe).0;
            for (now, then) in heads.iter().zip(&before) {
                assert!((now - then).abs() < 1e-6, "{now} {then}");
            }
        }
    }
}

#[test]
fn a_tripped_pump_runs_down_and_its_check_valve_holds() {
    let Station { network, pump, pipes, .. } = branched(Friction::Darcy(0.02));
    let mut simulation = Simulation::new(network, &Options::default()).unwrap();
    let mut controls = Controls::default();
    controls.trip(pump);
    let mut speeds = vec![1.0];
    let mut shut_s = None;
    while simulation.time_s() < 60.0 {
        match simulation.step(&controls) {
            Err(Error::Separated { .. }) => break,
            other => other.unwrap(),
        }
        let (speed, flow) = (simulation.pump_speed(pump), simulation.pump_flow_m3s(pump));
        assert!(flow >= 0.0 && speed <= *speeds.last().unwrap());
        if flow == 0.0 && shut_s.is_none() {
            shut_s = Some(simulation.time_s());
        }
        speeds.push(speed);
    }
    // Half of the speed is gone after about I w / (2 T): some tenths of a second to seconds.
    assert!(shut_s.is_some() && *speeds.last().unwrap() < 0.5, "{shut_s:?} {:?}", speeds.last());
    assert!(simulation.pipe_flow_m3s(pipes[0], End::From) <= 0.0 + 1e-9);
}

#[test]
fn a_pump_meets_its_curve_and_the_affinity_laws() {
    for speed in [1.0, 0.8] {
        let mut network = Network::new(Fluid::WATER);
        let (from, discharge) = (network.reservoir(0.0), network.junction(0.0));
        let to = network.reservoir(20.0);
        let curve = PumpCurve::of_rated(0.2, 60.0);
        let pump = network.pump(Pump {
            from,
            to: discharge,
            curve,
            speed: speed.into(),
            check_valve: true,
            run_down: None,
            trip_s: None,
        });
        let line = network.pipe(pipe(discharge, to, 2_400.0, Friction::Darcy(0.02)));
        let simulation = Simulation::new(network, &reaches(line, 24)).unwrap();
        let (flow, head) = (simulation.pump_flow_m3s(pump), simulation.head_m(discharge));
        assert!(flow > 0.1 && (curve.head_m(speed, flow) - head).abs() < 1e-6);
    }
}

#[test]
fn wave_speeds_give_way_only_so_far() {
    let mut network = Network::new(Fluid::WATER);
    let (from, to) = (network.reservoir(60.0), network.junction(0.0));
    let middle = network.junction(0.0);
    let long = network.pipe(pipe(from, middle, 1_000.0, Friction::Darcy(0.02)));
    let short = network.pipe(pipe(middle, to, 145.0, Friction::Darcy(0.02)));
    let refused = Simulation::new(network.clone(), &reaches(long, 10)).unwrap_err();
    assert!(matches!(refused, Error::WaveSpeed { pipe: 1, needed, .. } if needed > 0.2));
    let text = refused.to_string();
    assert!(text.starts_with("pipe 1: its wave speed would change by 45.00 %"), "{text}");
    let simulation = Simulation::new(network, &Options::default()).unwrap();
    for pipe in [long, short] {
        let changed = simulation.wave_speed_ms(pipe) / SPEED_MS - 1.0;
        assert!(changed.abs() <= 0.03, "{changed}");
    }
}

#[test]
fn what_nothing_holds_is_named() {
    let mut network = Network::new(Fluid::WATER);
    let (from, to) = (network.junction(0.0), network.junction(0.0));
    network.pipe(pipe(from, to, 1_000.0, Friction::Darcy(0.02)));
    for (node, flow) in [(from, -0.1), (to, 0.1)] {
        network.demand(Demand { node, flow: flow.into() });
    }
    let refused = Simulation::new(network, &Options::default()).unwrap_err();
    assert!(matches!(refused, Error::Undetermined { .. }));
}

/// Inflow minus outflow of a pipe over one step, m3, against its line pack.
fn worst_imbalance(simulation: &mut Simulation, pipes: &[PipeId], steps: usize) -> f64 {
    let mut worst: f64 = 0.0;
    for _ in 0..steps {
        let before: Vec<_> = pipes.iter().map(|pipe| state(simulation, *pipe)).collect();
        simulation.step(&Controls::default()).unwrap();
        for (pipe, (pack, net)) in pipes.iter().zip(before) {
            let (pack_now, net_now) = state(simulation, *pipe);
            let gained = (net + net_now) / 2.0 * simulation.step_s();
            worst = worst.max((pack_now - pack - gained).abs());
        }
    }
    worst
}

fn state(simulation: &Simulation, pipe: PipeId) -> (f64, f64) {
    let net = simulation.pipe_flow_m3s(pipe, End::From) - simulation.pipe_flow_m3s(pipe, End::To);
    (simulation.line_pack_m3(pipe), net)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_liquid_is_lost(
        factor in 0.0..0.04_f64, closure_s in 0.0..30.0_f64, count in 3..60_usize,
    ) {
        let opening = Schedule::ramp(1.0, 0.3, 0.0, closure_s);
        let line = line(200.0, Friction::Darcy(factor), FLOW_LAW, opening);
        let mut simulation =
            Simulation::new(line.network.clone(), &reaches(line.pipe, count)).unwrap();
        let worst = worst_imbalance(&mut simulation, &[line.pipe], 300);
        // The friction of the end reaches is all that the trapezoid does not cancel.
        let reach = factor * LENGTH_M / count as f64 / DIAMETER_M * velocity().powi(2) / (2.0 * G);
        let packed = reach * simulation.step_s() * G * PI * DIAMETER_M.powi(2) / 4.0 / SPEED_MS;
        prop_assert!(worst <= 1e-9 + packed, "{worst} {packed}");
    }

    #[test]
    fn flows_meet_at_every_node_whatever_is_moved(
        moves in prop::collection::vec((0.0..1.2_f64, 0.0..1.1_f64, 0.0..3e-4_f64), 1..12),
        rough in any::<bool>(),
    ) {
        let friction =
            if rough { Friction::Colebrook { roughness_m: 5e-5 } } else { Friction::Darcy(0.02) };
        let Station { network, pump, valve, leak, pipes: [main, to_tank, short] } =
            branched(friction);
        let mut simulation = Simulation::new(network, &Options::default()).unwrap();
        let mut controls = Controls::default();
        'moves: for (opening, speed, coefficient) in moves {
            // A sixth of the moves shuts the valve.
            controls.set_opening(valve, (opening - 0.2).clamp(0.0, 1.0));
            controls.set_speed(pump, speed);
            controls.set_leak(leak, coefficient);
            for _ in 0..15 {
                match simulation.step(&controls) {
                    Err(Error::Separated { .. }) => break 'moves,
                    other => other.unwrap(),
                }
                let fork = simulation.pipe_flow_m3s(main, End::To)
                    - simulation.pipe_flow_m3s(to_tank, End::From)
                    - simulation.pipe_flow_m3s(short, End::From)
                    - simulation.leak_flow_m3s(leak);
                prop_assert!(fork.abs() < 1e-7, "{fork}");
                let (pumped, passed) =
                    (simulation.pump_flow_m3s(pump), simulation.valve_flow_m3s(valve));
                prop_assert!((pumped - passed).abs() < 1e-6, "{pumped} {passed}");
                let entered = simulation.pipe_flow_m3s(main, End::From);
                prop_assert!((entered - passed).abs() < 1e-7, "{entered} {passed}");
                prop_assert!(pumped >= 0.0);
            }
        }
    }

    #[test]
    fn a_line_and_its_mirror_move_alike(
        factor in 0.0..0.04_f64, drop in 5.0..60.0_f64, count in 2..40_usize,
    ) {
        let run = |mirrored: bool| {
            let mut network = Network::new(Fluid::WATER);
            let high = network.reservoir(Schedule::ramp(200.0, 200.0 - drop, 1.0, 3.0));
            let low = network.junction(0.0);
            let demand = Demand { node: low, flow: Schedule::ramp(0.1, 0.02, 2.0, 1.0) };
            let (from, to) = if mirrored { (low, high) } else { (high, low) };
            let friction = Friction::Darcy(factor);
            let line = network.pipe(pipe(from, to, LENGTH_M, friction));
            network.demand(demand);
            let mut simulation = Simulation::new(network, &reaches(line, count)).unwrap();
            simulation.run(30.0, &[Probe::Head(low)]).unwrap().values.remove(0)
        };
        for (there, back) in run(false).into_iter().zip(run(true)) {
            prop_assert!((there - back).abs() < 1e-9);
        }
    }
}
