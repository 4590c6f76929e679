use kernel::{Quality, Reason, Timestamp};
use proptest::prelude::*;

use super::SensorDetector;
use crate::change::Change;
use crate::detector::{
    Aspect, CLEAR_THRESHOLD, Disposition, Finding, Flatline, Phase, Rule, SensorProfile, THRESHOLD,
    Verdict,
};

/// Normal deviates from a fixed generator (splitmix64 and Box–Muller).
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    fn normal(&mut self) -> f64 {
        let angle = std::f64::consts::TAU * self.uniform();
        (-2.0 * self.uniform().ln()).sqrt() * angle.cos()
    }
}

/// A detector with a clock: every reading comes one interval after the one before.
struct Bench {
    detector: SensorDetector,
    micros: i64,
    interval: i64,
    findings: Vec<Finding>,
    changes: Vec<Change>,
}

impl Bench {
    fn new(profile: SensorProfile, interval_s: f64) -> Self {
        Self {
            detector: SensorDetector::new(profile),
            micros: 1_700_000_000_000_000,
            interval: (interval_s * 1e6) as i64,
            findings: Vec::new(),
            changes: Vec::new(),
        }
    }

    fn read(&mut self, value: f64) -> Verdict {
        self.read_as(value, Quality::Good)
    }

    fn read_as(&mut self, value: f64, quality: Quality) -> Verdict {
        self.micros += self.interval;
        let verdict = self.detector.observe(Timestamp::from_micros(self.micros), value, quality);
        self.findings.extend(verdict.findings.iter().cloned());
        self.changes.extend(verdict.change.as_deref().copied());
        verdict
    }

    /// Readings of a quiet process: `level` with normal noise of deviation 1.
    fn quiet(&mut self, seed: u64, count: usize, level: f64) {
        let mut noise = Noise(seed);
        (0..count).for_each(|_| drop(self.read(level + noise.normal())));
    }

    fn phases(&self, rule: Rule) -> Vec<Phase> {
        self.findings.iter().filter(|f| f.rule == rule).map(|f| f.phase).collect()
    }

    fn first(&self, rule: Rule) -> &Finding {
        self.findings.iter().find(|f| f.rule == rule).unwrap()
    }
}

#[test]
fn warms_up_honestly() {
    let mut bench = Bench::new(SensorProfile::default(), 1.0);
    let mut noise = Noise(5);
    for n in 0..400 {
        let verdict = bench.read(noise.normal());
        assert_eq!(verdict.ready, n >= 150, "reading {n}");
        assert_eq!(verdict.expected.is_some(), n > 150, "reading {n}");
        assert!(verdict.ready || verdict.score.abs() < f64::EPSILON);
    }
}

#[test]
fn chance_alone_starts_at_most_two_anomalies_a_week() {
    for (interval_s, count, most) in [(1.0, 200_000, 2), (60.0, 60_000, 14), (300.0, 60_000, 80)] {
        let mut bench = Bench::new(SensorProfile::default(), interval_s);
        bench.quiet(99, count, 20.0);
        let onsets = bench.phases(Rule::Score).iter().filter(|p| **p == Phase::Onset).count();
        assert!(onsets <= most, "{interval_s} s: {onsets} onsets");
    }
}

#[test]
fn one_threshold_finds_steps_spikes_and_swelling_noise_at_any_scale() {
    for interval_s in [1.0, 300.0] {
        for scale in [1e-6, 1.0, 1e6] {
            for kind in ["step", "spike", "noise"] {
                let mut bench = Bench::new(SensorProfile::default(), interval_s);
                let mut noise = Noise(11);
                (0..3_000).for_each(|_| drop(bench.read(scale * noise.normal())));
                let calm = bench.phases(Rule::Score).len();
                for n in 0..60 {
                    let value = match kind {
                        "step" => 4.0 + noise.normal(),
                        "spike" if n == 0 => 40.0,
                        "noise" => 12.0 * noise.normal(),
                        _ => noise.normal(),
                    };
                    bench.read(scale * value);
                }
                let found = bench.phases(Rule::Score).len() > calm;
                assert!(found, "{kind} of scale {scale} at {interval_s} s");
            }
        }
    }
}

#[test]
fn an_anomaly_starts_once_and_ends_once() {
    let mut bench = Bench::new(SensorProfile::default(), 60.0);
    bench.quiet(3, 2_000, 50.0);
    bench.findings.clear();
    let step = Timestamp::from_micros(bench.micros + bench.interval);
    bench.quiet(4, 40, 60.0);
    assert_eq!(bench.phases(Rule::Score), [Phase::Onset]);
    assert!(bench.detector.active().contains(Rule::Score));
    bench.quiet(5, 400, 50.0);
    assert_eq!(bench.phases(Rule::Score), [Phase::Onset, Phase::Cleared]);
    let onset = bench.first(Rule::Score);
    assert!(onset.severity >= THRESHOLD && onset.evidence.score < THRESHOLD);
    assert!((onset.evidence.baseline_mean - 50.0).abs() < 0.5, "{onset:?}");
    assert!((onset.evidence.baseline_spread - 1.0).abs() < 0.3, "{onset:?}");
    assert!(onset.aspect.is_some() && onset.evidence.samples >= 2_000, "{onset:?}");
    assert_eq!(onset.evidence.since, step);
    let (low, high) = onset.expected.unwrap();
    assert!(onset.observed > high && low < 50.0 && 50.0 < high, "{onset:?}");
}

#[test]
fn the_alarm_score_passes_the_threshold_at_the_onset_only() {
    let mut bench = Bench::new(SensorProfile::default(), 60.0);
    bench.quiet(3, 2_000, 50.0);
    let alarms: Vec<f64> = (0..50).map(|_| bench.read(90.0).alarm_score()).collect();
    assert_eq!(alarms.iter().filter(|score| **score >= THRESHOLD).count(), 1);
    assert!(alarms.iter().filter(|score| **score < THRESHOLD).all(|s| *s <= CLEAR_THRESHOLD));
}

#[test]
fn another_level_at_the_usual_hour_is_found_by_the_memory_of_days() {
    let mut bench = Bench::new(SensorProfile::default(), 300.0);
    let mut noise = Noise(8);
    let mut day = |bench: &mut Bench, flat: bool| {
        for n in 0..288 {
            let phase = f64::from(n) / 288.0 * std::f64::consts::TAU;
            let swing = if flat { 0.0 } else { 20.0 * phase.sin() };
            bench.read(100.0 + swing + noise.normal());
        }
    };
    (0..14).for_each(|_| day(&mut bench, false));
    bench.findings.clear();
    day(&mut bench, true);
    let onset = bench.first(Rule::Score);
    assert_eq!(onset.aspect, Some(Aspect::Season));
}

#[test]
fn one_wild_reading_does_not_blind_the_sensor() {
    let mut bench = Bench::new(SensorProfile::default(), 60.0);
    bench.quiet(3, 3_000, 50.0);
    bench.read(1e30);
    bench.quiet(4, 3_000, 50.0);
    assert_eq!(bench.detector.active().iter().count(), 0, "{:?}", bench.findings);
    bench.findings.clear();
    bench.quiet(5, 30, 62.0);
    assert_eq!(bench.phases(Rule::Score), [Phase::Onset]);
}

#[test]
fn range_starts_outside_and_ends_inside_the_deadband() {
    let profile = SensorProfile { range: Some((0.0, 100.0)), ..SensorProfile::default() };
    let mut bench = Bench::new(profile, 1.0);
    for value in [50.0, 100.0, 100.5, 99.5, 97.9, 50.0, -3.0, 1.0, 2.1] {
        bench.read(value);
    }
    let phases = bench.phases(Rule::Range);
    assert_eq!(phases, [Phase::Onset, Phase::Cleared, Phase::Onset, Phase::Cleared]);
    let ended: Vec<f64> = bench.findings.iter().map(|f| f.observed).collect();
    assert_eq!(ended, [100.5, 97.9, -3.0, 2.1]);
    assert_eq!(bench.first(Rule::Range).limit, Some(100.0));
}

#[test]
fn rate_looks_at_the_time_between_readings() {
    let profile = SensorProfile { rate_max_per_s: Some(2.0), ..SensorProfile::default() };
    let mut bench = Bench::new(profile, 10.0);
    for value in [0.0, 19.0, 38.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0] {
        bench.read(value);
    }
    assert_eq!(bench.phases(Rule::Rate), [Phase::Onset, Phase::Cleared]);
    let onset = bench.first(Rule::Rate);
    assert!((onset.observed - 60.0).abs() < 1e-12);
    assert_eq!(onset.expected, Some((18.0, 58.0)));
}

#[test]
fn flatline_of_a_given_length_counts_seconds_and_tolerance() {
    let flatline = Flatline::After { seconds: 60.0, tolerance: 0.1 };
    let mut bench = Bench::new(SensorProfile { flatline, ..SensorProfile::default() }, 10.0);
    let start = bench.micros + bench.interval;
    for n in 0..7 {
        assert!(bench.phases(Rule::Flatline).is_empty(), "reading {n}");
        bench.read(5.0 + 0.01 * f64::from(n % 2));
    }
    assert_eq!(bench.phases(Rule::Flatline), [Phase::Onset]);
    assert_eq!(bench.first(Rule::Flatline).evidence.since, Timestamp::from_micros(start));
    bench.read(6.0);
    assert_eq!(bench.phases(Rule::Flatline), [Phase::Onset, Phase::Cleared]);
}

#[test]
fn flatline_is_learned_for_sensors_that_always_move() {
    let mut bench = Bench::new(SensorProfile::default(), 1.0);
    bench.quiet(6, 500, 10.0);
    (0..40).for_each(|_| drop(bench.read(10.2)));
    assert_eq!(bench.phases(Rule::Flatline), [Phase::Onset]);

    let mut switch = Bench::new(SensorProfile::default(), 1.0);
    (0..2_000).for_each(|n| drop(switch.read(f64::from(n / 300 % 2))));
    assert!(switch.phases(Rule::Flatline).is_empty(), "a switch rests by nature");
}

#[test]
fn silence_is_overdue_until_the_next_reading() {
    let profile = SensorProfile { interval_s: Some(10.0), ..SensorProfile::default() };
    let mut bench = Bench::new(profile, 10.0);
    (0..3).for_each(|_| drop(bench.read(1.0)));
    let last = bench.micros;
    let overdue = |bench: &Bench, s: i64| {
        bench.detector.overdue(Timestamp::from_micros(last + s * 1_000_000))
    };
    assert!(overdue(&bench, 30).is_none());
    let finding = overdue(&bench, 31).unwrap();
    assert!(finding.is_onset() && (finding.observed - 31.0).abs() < 1e-9);
    assert!(overdue(&bench, 3_600).unwrap().severity > finding.severity);
    bench.micros += 90_000_000;
    bench.read(1.0);
    assert_eq!(bench.phases(Rule::Missing), [Phase::Cleared]);
    assert!((bench.first(Rule::Missing).observed - 100.0).abs() < 1e-9);
    assert!(overdue(&bench, 100).is_none());
}

#[test]
fn a_learned_interval_finds_silence_too_and_bad_readings_are_no_silence() {
    let mut bench = Bench::new(SensorProfile::default(), 60.0);
    bench.quiet(1, 100, 5.0);
    let after = |bench: &Bench, s: i64| {
        bench.detector.overdue(Timestamp::from_micros(bench.micros + s * 1_000_000))
    };
    assert!(after(&bench, 500).is_none() && after(&bench, 700).is_some());
    (0..30).for_each(|_| drop(bench.read_as(5.0, Quality::Bad(Reason::Source))));
    assert!(after(&bench, 1).is_none());
    assert!(bench.phases(Rule::Missing).is_empty());
}

#[test]
fn bad_readings_hold_everything() {
    let profile = SensorProfile { range: Some((0.0, 100.0)), ..SensorProfile::default() };
    let mut bench = Bench::new(profile, 1.0);
    bench.quiet(2, 500, 50.0);
    bench.read(150.0);
    assert_eq!(bench.phases(Rule::Range), [Phase::Onset]);
    let before = bench.detector.clone();
    for quality in [
        Quality::Bad(Reason::Source),
        Quality::Bad(Reason::Drifting),
        Quality::Uncertain(Reason::Stuck),
        Quality::Uncertain(Reason::Stale),
        Quality::Uncertain(Reason::FutureTime),
    ] {
        let verdict = bench.read_as(50.0, quality);
        assert_eq!(verdict.disposition, Disposition::Held);
        assert!(verdict.active.contains(Rule::Range) && verdict.findings.is_empty());
    }
    assert_eq!(bench.detector.scorer, before.scorer);
    let verdict = bench.read_as(f64::NAN, Quality::Good);
    assert_eq!(verdict.disposition, Disposition::Held);
}

#[test]
fn late_readings_leave_the_score_alone_and_times_in_no_order_are_a_finding() {
    let mut bench = Bench::new(SensorProfile::default(), 10.0);
    bench.quiet(2, 500, 50.0);
    let before = bench.detector.clone();
    let old = Timestamp::from_micros(bench.micros - 5_000_000);
    let verdict = bench.detector.observe(old, 9e9, Quality::Good);
    assert_eq!(verdict.disposition, Disposition::Late);
    assert_eq!(bench.detector.scorer, before.scorer);
    assert_eq!(bench.detector.last_at(), before.last_at());
    assert!(verdict.findings.is_empty(), "one late reading is welcome");
    let same = bench.detector.observe(Timestamp::from_micros(bench.micros), 1.0, Quality::Good);
    assert_eq!(same.disposition, Disposition::Late, "a repetition");
    let at = |step: i64| Timestamp::from_micros(bench.micros - 4_000_000 + step);
    let late = (0..1_000).map(|step| bench.detector.observe(at(step), 1.0, Quality::Good));
    assert!(late.flat_map(|v| v.findings).next().is_none(), "a batch that comes late is welcome");
    let mixed = (0..80).map(|n| bench.detector.observe(at(n * 7_919 % 97), 1.0, Quality::Good));
    let found: Vec<_> = mixed.flat_map(|verdict| verdict.findings).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].rule, Rule::OutOfOrder);
    bench.quiet(3, 200, 50.0);
    assert_eq!(bench.phases(Rule::OutOfOrder), [Phase::Cleared]);
}

#[test]
fn a_unit_jump_is_named_and_a_failure_to_zero_is_not_one() {
    let mut bench = Bench::new(SensorProfile::default(), 10.0);
    bench.quiet(2, 500, 80.0);
    let mut noise = Noise(7);
    (0..20).for_each(|_| drop(bench.read((80.0 + noise.normal()).mul_add(1.8, 32.0))));
    assert_eq!(bench.phases(Rule::UnitJump), [Phase::Onset]);
    bench.quiet(4, 20, 80.0);
    assert_eq!(bench.phases(Rule::UnitJump), [Phase::Onset, Phase::Cleared]);

    let mut broken = Bench::new(SensorProfile::default(), 10.0);
    broken.quiet(2, 500, 80.0);
    (0..50).for_each(|_| drop(broken.read(0.0)));
    assert!(broken.phases(Rule::UnitJump).is_empty());
}

#[test]
fn the_state_is_small_and_holds_no_heap() {
    assert!(size_of::<SensorDetector>() <= 1_600, "{}", size_of::<SensorDetector>());
    assert!(!std::mem::needs_drop::<SensorDetector>());
}

/// Readings as plants send them: mostly in order, of all qualities, some absurd.
fn readings() -> impl Strategy<Value = Vec<(i64, f64, u8)>> {
    let value = prop_oneof![
        6 => -100.0..100.0_f64,
        2 => Just(5.0),
        1 => any::<f64>(),
    ];
    let step = prop_oneof![8 => 1..2_000_000_i64, 1 => -5_000_000..0_i64, 1 => any::<i64>()];
    let quality = prop_oneof![8 => Just(0_u8), 1 => 0x41..0x49_u8, 1 => 0x81..0x89_u8];
    prop::collection::vec((step, value, quality), 1..600)
}

fn run(detector: &mut SensorDetector, at: &mut i64, readings: &[(i64, f64, u8)]) -> Vec<Verdict> {
    let verdicts = readings.iter().map(|(step, value, quality)| {
        *at = at.saturating_add(*step);
        detector.observe(Timestamp::from_micros(*at), *value, Quality::from_byte(*quality))
    });
    verdicts.collect()
}

fn profile() -> SensorProfile {
    SensorProfile {
        range: Some((-80.0, 80.0)),
        rate_max_per_s: Some(500.0),
        interval_s: None,
        flatline: Flatline::Auto,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_readings_give_a_score_between_0_and_1(readings in readings()) {
        let mut detector = SensorDetector::new(profile());
        let verdicts = run(&mut detector, &mut 0, &readings);
        for verdict in &verdicts {
            prop_assert!((0.0..=1.0).contains(&verdict.score), "{verdict:?}");
            prop_assert!(verdict.findings.len() <= Rule::ALL.len());
            for finding in &verdict.findings {
                prop_assert!((0.0..=1.0).contains(&finding.severity), "{finding:?}");
                prop_assert!(finding.observed.is_finite());
                prop_assert!(finding.expected.is_none_or(|(a, b)| a.is_finite() && b.is_finite()));
            }
        }
        for now in [i64::MIN, 0, i64::MAX] {
            let overdue = detector.overdue(Timestamp::from_micros(now));
            prop_assert!(overdue.is_none_or(|f| f.severity <= 1.0));
        }
    }

    #[test]
    fn a_checkpoint_changes_nothing(readings in readings(), cut in 0.0..1.0_f64) {
        let cut = (cut * readings.len() as f64) as usize;
        let (mut whole, mut whole_at) = (SensorDetector::new(profile()), 0);
        let expected = run(&mut whole, &mut whole_at, &readings);
        let (mut part, mut part_at) = (SensorDetector::new(profile()), 0);
        let mut verdicts = run(&mut part, &mut part_at, &readings[..cut]);
        let written = serde_json::to_string(&part).unwrap();
        let mut restored: SensorDetector = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(&restored, &part);
        verdicts.extend(run(&mut restored, &mut part_at, &readings[cut..]));
        prop_assert_eq!(verdicts, expected);
        prop_assert_eq!(restored, whole);
    }
}

/// Half a day of quiet readings, then a step of five deviations that stays.
fn stepped() -> Bench {
    let mut bench = Bench::new(SensorProfile::default(), 10.0);
    bench.quiet(21, 4_320, 50.0);
    assert!(bench.phases(Rule::Score).is_empty());
    bench.quiet(22, 30, 55.0);
    assert_eq!(bench.phases(Rule::Score), [Phase::Onset]);
    bench
}

#[test]
fn an_anomaly_stands_while_the_level_stays_away() {
    let mut bench = stepped();
    bench.quiet(23, 6 * 360, 55.0);
    assert!(bench.detector.active().contains(Rule::Score), "six hours are not normal");
    let (low, high) = bench.detector.normal().unwrap();
    assert!(48.0 < low && high < 52.0, "the fault is no part of normal: {low} to {high}");
    bench.quiet(24, 200, 50.0);
    assert_eq!(bench.phases(Rule::Score), [Phase::Onset, Phase::Cleared]);
    bench.quiet(25, 2_000, 50.0);
    let more = bench.phases(Rule::Score).len();
    assert!(more <= 4, "coming back is no lasting anomaly: {more}");
    assert!(!bench.detector.active().contains(Rule::Score));
}

#[test]
fn what_stays_for_a_day_is_the_new_normal() {
    let mut bench = stepped();
    bench.quiet(26, 23 * 360, 55.0);
    assert!(bench.detector.active().contains(Rule::Score));
    bench.quiet(27, 2 * 360, 55.0);
    assert!(!bench.detector.active().contains(Rule::Score));
    assert_eq!(bench.phases(Rule::Score), [Phase::Onset, Phase::Cleared]);
    assert!(bench.detector.normal().unwrap().1 > 54.0);
}

#[test]
fn a_level_that_somebody_accepts_is_normal_at_once() {
    let mut bench = stepped();
    bench.quiet(28, 360, 55.0);
    bench.detector.accept_level();
    bench.quiet(29, 60, 55.0);
    assert_eq!(bench.phases(Rule::Score), [Phase::Onset, Phase::Cleared]);
}

#[test]
fn a_further_change_belongs_to_the_anomaly_that_stands() {
    let mut bench = stepped();
    bench.quiet(30, 2_000, 55.0);
    bench.quiet(31, 60, 90.0);
    assert_eq!(bench.phases(Rule::Score), [Phase::Onset]);
    bench.quiet(32, 2_000, 55.0);
    assert_eq!(bench.phases(Rule::Score), [Phase::Onset], "half the way back is not back");
}

#[test]
fn a_held_anomaly_survives_being_written_down() {
    let mut bench = stepped();
    bench.quiet(32, 500, 55.0);
    let text = serde_json::to_string(&bench.detector).unwrap();
    let read: SensorDetector = serde_json::from_str(&text).unwrap();
    assert_eq!(read, bench.detector);
    assert!(text.len() < 6_000, "{} bytes of state", text.len());
}

#[test]
fn a_level_that_changes_for_good_is_told_once_and_so_is_its_return() {
    for interval_s in [1.0, 60.0] {
        let mut bench = Bench::new(SensorProfile::default(), interval_s);
        bench.quiet(5, 3_000, 20.0);
        assert!(bench.changes.is_empty(), "normal operation: {:?}", bench.changes);
        let stepped = Timestamp::from_micros(bench.micros);
        bench.quiet(6, 1_000, 30.0);
        assert_eq!(bench.changes.len(), 1, "{:?}", bench.changes);
        let change = bench.changes[0];
        assert!(
            (change.before - 20.0).abs() < 0.6 && (change.after - 30.0).abs() < 0.9,
            "{change:?}"
        );
        assert!((0.95..1.0).contains(&change.confidence));
        let off_s = change.at.micros_since(stepped) as f64 / 1e6;
        assert!((0.0..20.0 * interval_s).contains(&off_s), "{off_s} s");
        bench.quiet(7, 1_000, 20.0);
        assert_eq!(bench.changes.len(), 2, "{:?}", bench.changes);
        assert!((bench.changes[1].before - 30.0).abs() < 0.9);
        assert!((bench.changes[1].after - 20.0).abs() < 3.0);
    }
}

#[test]
fn a_short_excursion_and_a_spike_change_no_level() {
    let mut bench = Bench::new(SensorProfile::default(), 60.0);
    bench.quiet(5, 2_000, 20.0);
    bench.quiet(6, 30, 30.0);
    bench.quiet(7, 300, 20.0);
    drop(bench.read(500.0));
    bench.quiet(8, 300, 20.0);
    assert!(bench.changes.is_empty(), "{:?}", bench.changes);
}
