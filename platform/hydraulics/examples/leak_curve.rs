//! Leak size against the time to its alarm, at the false alarms that the same settings give.
//!
//! `cargo run --release -p hydraulics --example leak_curve -- [SEEDS] [DAYS] [FIRST] [KIND]`
//! simulates SEEDS records for each kind, from seed FIRST on, and DAYS days without a leak; with a
//! part of a kind's name only those kinds, and every finding is printed. The settings were chosen
//! while seeds 0 to 9 were in view.

#![expect(clippy::print_stdout, reason = "the figures are this program's purpose")]

#[path = "../tests/leak_plant/mod.rs"]
mod leak_plant;
#[path = "../tests/leak_plant/rehearsal.rs"]
mod rehearsal;

use leak_plant::{Chance, Scenario, Wrong};
use rehearsal::{Outcome, rehearse};

const SIZES_PCT: [f64; 7] = [0.3, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seeds: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(20);
    let days: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    let first: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let only = arguments.next();
    let only = only.as_deref();
    let seeds = first..first + seeds;
    println!(
        "kind                 found  delay s: median  p90  max | place m: median p90 inside \
         | size %: median p90 | false leaks, faults named, wrong faults"
    );
    for pct in SIZES_PCT {
        show(&format!("abrupt {pct} %"), &seeds, only, |chance, quiet| {
            leak(chance, quiet, pct, 0.0)
        });
    }
    for pct in [0.5, 1.0, 2.0] {
        show(&format!("10 min ramp {pct} %"), &seeds, only, |chance, quiet| {
            leak(chance, quiet, pct, 600.0)
        });
    }
    show("creeping 2 % in 2 h", &seeds, only, |chance, quiet| leak(chance, quiet, 2.0, 7_200.0));
    show("1-5 % during a move", &seeds, only, moving_leak);
    show("1-5 % p_30 missing", &seeds, only, |chance, quiet| {
        let pct = chance.between(1.0, 5.0);
        leak(chance, quiet, pct, 0.0).with_fault(4, 0.0, Wrong::Missing)
    });
    show("1-5 % p_0 missing", &seeds, only, |chance, quiet| {
        let pct = chance.between(1.0, 5.0);
        leak(chance, quiet, pct, 0.0).with_fault(2, 0.0, Wrong::Missing)
    });
    show("1-5 % q_in missing", &seeds, only, |chance, quiet| {
        let pct = chance.between(1.0, 5.0);
        leak(chance, quiet, pct, 0.0).with_fault(0, 0.0, Wrong::Missing)
    });
    without_leaks(&seeds, only);
    for day in 0..days {
        show(&format!("day {day} with moves"), &(first..first + 1), only, |chance, quiet| {
            a_day(day, chance, quiet)
        });
    }
}

fn without_leaks(seeds: &std::ops::Range<u64>, only: Option<&str>) {
    show("set-point moves", seeds, only, moves);
    show("pump trip, restart", seeds, only, trip);
    show("meter bias", seeds, only, |chance, quiet| {
        let (meter, start_s) = (usize::from(chance.even() < 0.5), chance.between(2_500.0, 6_000.0));
        let size = chance.between(0.4, 2.0) * if chance.even() < 0.5 { -1.0 } else { 1.0 };
        quiet.with_fault(meter, start_s, Wrong::Bias(size))
    });
    show("meter drift", seeds, only, |chance, quiet| {
        let (meter, start_s) = (usize::from(chance.even() < 0.5), chance.between(2_500.0, 5_000.0));
        let size = chance.between(0.5, 3.0) * if chance.even() < 0.5 { -1.0 } else { 1.0 };
        quiet.with_fault(meter, start_s, Wrong::DriftPerHour(size))
    });
    show("gauge bias", seeds, only, |chance, quiet| {
        let gauge = 2 + (chance.even() * 5.0) as usize;
        let start_s = chance.between(2_500.0, 6_000.0);
        let size = chance.between(0.1, 0.5) * if chance.even() < 0.5 { -1.0 } else { 1.0 };
        quiet.with_fault(gauge, start_s, Wrong::Bias(size))
    });
    show("gauge drift", seeds, only, |chance, quiet| {
        let gauge = 2 + (chance.even() * 5.0) as usize;
        let start_s = chance.between(2_500.0, 5_000.0);
        let size = chance.between(0.15, 0.6) * if chance.even() < 0.5 { -1.0 } else { 1.0 };
        quiet.with_fault(gauge, start_s, Wrong::DriftPerHour(size))
    });
    show("stuck", seeds, only, |chance, quiet| {
        let (instrument, start_s) =
            ((chance.even() * 7.0) as usize, chance.between(2_500.0, 6_000.0));
        quiet.with_fault(instrument, start_s, Wrong::Stuck)
    });
    show("missing", seeds, only, |chance, quiet| {
        let (instrument, start_s) =
            ((chance.even() * 7.0) as usize, chance.between(2_500.0, 6_000.0));
        quiet.with_fault(instrument, start_s, Wrong::Missing)
    });
}

fn show(
    kind: &str,
    seeds: &std::ops::Range<u64>,
    only: Option<&str>,
    make: impl Fn(&mut Chance, Scenario) -> Scenario,
) {
    if only.is_some_and(|only| !kind.contains(only)) {
        return;
    }
    let mut outcomes = Vec::new();
    for seed in seeds.clone() {
        let label: u64 = kind.bytes().fold(7, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
        let seed = label.wrapping_add(seed);
        let mut chance = Chance::new(seed ^ 0xABCD);
        let scenario = make(&mut chance, Scenario::quiet(seed, 10_800.0));
        let outcome = rehearse(&scenario);
        if only.is_some() {
            println!("  {:?} {:?} {:?}", scenario.leak, scenario.fault, scenario.inflow);
            for f in outcome.findings.iter().filter(|f| f.phase != hydraulics::leak::Phase::Update)
            {
                println!(
                    "    {} {:?} {:?} at {:?} size {:?} start {} gain {:.1} rival {:.1} misfit {:.2} ramp {:.0}",
                    f.time_s,
                    f.phase,
                    f.kind,
                    f.location_m,
                    f.size,
                    f.start_s,
                    f.evidence.gain,
                    f.evidence.rival,
                    f.evidence.misfit,
                    f.evidence.ramp_s
                );
            }
        }
        outcomes.push((scenario, outcome));
    }
    print_row(kind, &outcomes);
}

fn print_row(kind: &str, outcomes: &[(Scenario, Outcome)]) {
    let of = |get: &dyn Fn(&Outcome) -> Option<f64>| {
        let mut values: Vec<f64> =
            outcomes.iter().filter_map(|(_, outcome)| get(outcome)).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let at = |values: &[f64], share: f64| {
        let place = (share * values.len() as f64).ceil() as usize;
        values.get(place.saturating_sub(1)).map_or("-".to_owned(), |value| format!("{value:.0}"))
    };
    let delays = of(&|outcome| outcome.delay_s);
    let places = of(&|outcome| outcome.late_place_error_m);
    let sizes = of(&|outcome| outcome.late_size_error_pct.map(f64::abs));
    let inside = outcomes.iter().filter(|(_, outcome)| outcome.late_place_inside).count();
    let leaks = outcomes.iter().filter(|(scenario, _)| scenario.leak.is_some()).count();
    let false_alarms: usize = outcomes.iter().map(|(_, outcome)| outcome.false_alarms).sum();
    let names = ["q_in", "q_out", "p_0", "p_15", "p_30", "p_45", "p_60"];
    let right = |scenario: &Scenario, name: &str| {
        scenario.fault.is_some_and(|fault| names[fault.instrument] == name)
    };
    let named = outcomes.iter().filter(|(s, o)| o.faults.iter().any(|f| right(s, &f.0))).count();
    let wrong: usize =
        outcomes.iter().map(|(s, o)| o.faults.iter().filter(|f| !right(s, &f.0)).count()).sum();
    println!(
        "{kind:20} {:>3}/{leaks:<3} {:>6} {:>6} {:>6} | {:>6} {:>6} {inside:>3} | {:>5} {:>5} | {false_alarms} {named} {wrong}",
        delays.len(),
        at(&delays, 0.5),
        at(&delays, 0.9),
        at(&delays, 1.0),
        at(&places, 0.5),
        at(&places, 0.9),
        at(&sizes, 0.5),
        at(&sizes, 0.9),
    );
}

fn somewhere(chance: &mut Chance) -> f64 {
    (chance.between(2_000.0, 58_000.0) / 200.0).round() * 200.0
}

fn leak(chance: &mut Chance, quiet: Scenario, pct: f64, ramp_s: f64) -> Scenario {
    let (at_m, start_s) = (somewhere(chance), chance.between(2_500.0, 5_000.0).round());
    quiet.with_leak(at_m, start_s, ramp_s, pct)
}

fn moving_leak(chance: &mut Chance, quiet: Scenario) -> Scenario {
    let pct = chance.between(1.0, 5.0);
    let scenario = leak(chance, quiet, pct, 0.0);
    let start_s = scenario.leak.map_or(0.0, |leak| leak.start_s) - chance.between(-60.0, 500.0);
    let (ramp_s, share) = (chance.between(30.0, 200.0), chance.between(0.85, 1.1));
    scenario.with_move(start_s, ramp_s, share)
}

fn moves(chance: &mut Chance, quiet: Scenario) -> Scenario {
    let mut scenario = quiet;
    let mut start_s = chance.between(2_350.0, 3_000.0);
    while start_s < 10_000.0 {
        let (ramp_s, share) = (chance.between(20.0, 300.0), chance.between(0.8, 1.1));
        if chance.even() < 0.7 {
            scenario = scenario.with_move(start_s, ramp_s, share);
        } else {
            let before = scenario.behind.last().map_or(0.0, |last| last.1);
            let head = chance.between(-8.0, 6.0);
            scenario.behind.extend([(start_s, before), (start_s + ramp_s, head)]);
        }
        start_s += ramp_s + chance.between(600.0, 3_000.0);
    }
    scenario
}

fn trip(chance: &mut Chance, quiet: Scenario) -> Scenario {
    let (at_s, rest_s) = (chance.between(2_500.0, 5_000.0), chance.between(900.0, 2_400.0));
    let (down_s, up_s) = (chance.between(3.0, 20.0), chance.between(120.0, 400.0));
    let low = if chance.even() < 0.5 { 0.0 } else { chance.between(0.3, 0.6) };
    quiet.with_move(at_s, down_s, low).with_move(at_s + rest_s, up_s, 1.0)
}

fn a_day(day: u64, chance: &mut Chance, quiet: Scenario) -> Scenario {
    let mut scenario = Scenario { span_s: 86_400.0, ..quiet };
    scenario.scan_s = if day.is_multiple_of(2) { 5.0 } else { 10.0 };
    let mut start_s = chance.between(2_350.0, 9_000.0);
    while start_s < 85_000.0 {
        let (ramp_s, share) = (chance.between(20.0, 300.0), chance.between(0.8, 1.1));
        if chance.even() < 0.6 {
            scenario = scenario.with_move(start_s, ramp_s, share);
        } else {
            let before = scenario.behind.last().map_or(0.0, |last| last.1);
            let head = chance.between(-8.0, 6.0);
            scenario.behind.extend([(start_s, before), (start_s + ramp_s, head)]);
        }
        start_s += ramp_s + chance.between(1_200.0, 16_000.0);
    }
    scenario
}
