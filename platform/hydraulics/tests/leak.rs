//! Leak detection on a simulated plant with imperfect instruments.

mod leak_plant;
#[path = "leak_plant/rehearsal.rs"]
mod rehearsal;

use hydraulics::leak::{Detector, Kind, Phase, Reading};
use leak_plant::{Chance, Scenario, Wrong, pipeline, record};
use rehearsal::{Outcome, rehearse};

const SPAN_S: f64 = 6_600.0;

fn leak_outcome(seed: u64, at_m: f64, pct: f64, ramp_s: f64) -> Outcome {
    rehearse(&Scenario::quiet(seed, SPAN_S).with_leak(at_m, 3_000.0, ramp_s, pct))
}

#[test]
fn an_abrupt_leak_is_found_placed_and_sized() {
    for (pct, delay_s_max) in [(5.0, 120.0), (2.0, 300.0), (1.0, 1_200.0), (0.5, 1_800.0)] {
        let at_m = (Chance::new((pct * 10.0) as u64).between(20.0, 270.0)).round() * 200.0;
        let found = leak_outcome(3, at_m, pct, 0.0);
        assert!(found.delay_s.is_some_and(|delay_s| delay_s <= delay_s_max), "{pct}: {found:?}");
        assert!(found.late_size_error_pct.is_some_and(|off| off.abs() < 20.0), "{pct}: {found:?}");
        assert_eq!((found.false_alarms, found.faults.len()), (0, 0), "{pct}: {found:?}");
        if pct >= 1.0 {
            assert!(found.late_place_error_m.is_some_and(|off| off < 500.0), "{pct}: {found:?}");
            assert!(found.late_place_inside, "{pct}: {found:?}");
        }
    }
}

#[test]
fn a_slow_leak_is_found() {
    let found = leak_outcome(5, 31_000.0, 2.0, 600.0);
    assert!(found.delay_s.is_some_and(|delay_s| delay_s < 400.0), "{found:?}");
    assert!(found.place_error_m.is_some_and(|off| off < 20_000.0), "{found:?}");
}

#[test]
fn moves_of_pump_and_valve_are_told_and_no_alarm() {
    let mut scenario = Scenario::quiet(11, 9_000.0)
        .with_move(2_500.0, 60.0, 0.9)
        .with_move(4_500.0, 10.0, 0.4)
        .with_move(6_500.0, 200.0, 1.05);
    scenario.behind.extend([(8_000.0, 0.0), (8_060.0, -6.0)]);
    let outcome = rehearse(&scenario);
    assert_eq!((outcome.false_alarms, outcome.faults.len()), (0, 0), "{outcome:?}");
    assert_eq!(outcome.operations, 4, "{outcome:?}");
}

#[test]
fn a_wrong_instrument_is_named_and_is_no_leak() {
    for (instrument, wrong, name) in [
        (1, Wrong::Bias(-0.8), "q_out"),
        (0, Wrong::DriftPerHour(3.0), "q_in"),
        (4, Wrong::Bias(0.3), "p_30"),
        (6, Wrong::Stuck, "p_60"),
        (3, Wrong::Missing, "p_15"),
    ] {
        let outcome = rehearse(&Scenario::quiet(21, SPAN_S).with_fault(instrument, 3_000.0, wrong));
        let named: Vec<&str> = outcome.faults.iter().map(|fault| fault.0.as_str()).collect();
        assert_eq!(named, [name], "{outcome:?}");
        assert!(outcome.faults[0].1 > 3_000.0 && outcome.false_alarms == 0, "{outcome:?}");
    }
}

#[test]
fn a_detector_goes_on_from_its_checkpoint() {
    let scenario = Scenario::quiet(2, 5_000.0).with_leak(24_000.0, 3_000.0, 0.0, 2.0);
    let record = record(&scenario);
    let mut whole = Detector::new(&pipeline()).unwrap();
    let mut resumed = Detector::new(&pipeline()).unwrap();
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for (place, row) in record.rows.iter().enumerate() {
        let reading = Reading {
            time_s: row.time_s,
            flows: row.flows.clone(),
            pressures: row.pressures.clone(),
        };
        if place == 550 || place == 602 {
            let text = serde_json::to_string(&resumed).unwrap();
            resumed = serde_json::from_str(&text).unwrap();
        }
        a.extend(whole.scan(&reading));
        b.extend(resumed.scan(&reading));
    }
    assert!(a.iter().any(|finding| finding.kind == Kind::Leak && finding.phase == Phase::New));
    let said = |findings: &[hydraulics::leak::Finding]| {
        let line =
            |f: &hydraulics::leak::Finding| format!("{} {:?} {:?}", f.time_s, f.phase, f.kind);
        findings.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(said(&a), said(&b));
}

#[test]
fn sensitivity_says_what_can_be_found_and_why_not() {
    let scenario = Scenario::quiet(8, 4_000.0).with_fault(4, 3_500.0, Wrong::Missing);
    let mut detector = Detector::new(&pipeline()).unwrap();
    assert!(!detector.sensitivity().blind.is_empty());
    for row in record(&scenario).rows {
        detector.scan(&Reading { time_s: row.time_s, flows: row.flows, pressures: row.pressures });
        if row.time_s == 3_400.0 {
            let now = detector.sensitivity();
            assert_eq!((now.blind.len(), now.degraded.len()), (0, 0), "{now:?}");
            assert!(now.stretches.iter().all(|stretch| {
                stretch.within_5_min_pct.is_some_and(|pct| pct < 0.6)
                    && stretch.within_30_min_pct.is_some_and(|pct| pct < 0.6)
            }));
        }
    }
    let now = detector.sensitivity();
    assert_eq!(now.degraded, ["p_30 is Missing"]);
}
