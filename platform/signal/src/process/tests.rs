use proptest::prelude::*;

use super::*;

/// Deviates from a fixed linear congruential generator, near enough to normal.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        let mut sum = 0.0;
        for _ in 0..12 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            sum += (self.0 >> 11) as f64 / 9_007_199_254_740_992.0;
        }
        sum - 6.0
    }
}

/// A pump: the flow follows the speed, the pressure its square, the power both; a temperature
/// wanders.
fn pump(rows: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut noise = Noise(seed);
    let (mut speed, mut warmth) = (0.0, 40.0);
    (0..rows)
        .map(|_| {
            speed += 0.2 * (noise.next() - speed);
            warmth += 0.02 * noise.next();
            let rpm = 1450.0 + 10.0 * speed;
            let flow = 0.02 * rpm + 0.02 * noise.next();
            let pressure = 2e-6 * rpm * rpm + 0.005 * noise.next();
            let power = 0.4 * flow * pressure + 0.05 * noise.next();
            vec![rpm, flow, pressure, power, warmth]
        })
        .collect()
}

fn names() -> Vec<String> {
    ["speed", "flow", "pressure", "power", "warmth"].map(str::to_owned).to_vec()
}

fn model() -> ProcessModel {
    ProcessModel::fit(names(), &pump(500, 1), &pump(500, 2)).unwrap()
}

fn verdicts(model: &ProcessModel, rows: &[Vec<f64>]) -> Vec<ProcessVerdict> {
    let mut watch = ProcessWatch::new(model);
    rows.iter().map(|row| watch.observe(model, row)).collect()
}

#[test]
fn normal_operation_is_quiet() {
    let model = model();
    let seen = verdicts(&model, &pump(4_000, 3));
    let alarms = seen.iter().filter(|verdict| verdict.alarm).count();
    assert!(alarms < 40, "{alarms} of 4000 rows");
    assert!(seen.iter().filter(|verdict| verdict.changepoint).count() < 8);
}

#[test]
fn a_broken_relation_is_found_and_its_input_named() {
    let model = model();
    let mut rows = pump(400, 4);
    // The flow stays in its usual range and no longer follows the speed.
    let mut noise = Noise(9);
    rows[200..].iter_mut().for_each(|row| row[1] = 29.0 + 0.2 * noise.next());
    let seen = verdicts(&model, &rows);
    assert!(seen[..200].iter().filter(|verdict| verdict.alarm).count() <= 3);
    assert!(seen[220..].iter().filter(|verdict| verdict.alarm).count() > 170);
    let named = seen[220..].iter().filter(|verdict| verdict.top.first().is_some_and(|t| t.0 == 1));
    assert!(named.count() > 160);
    assert!(seen[230..].iter().filter(|verdict| verdict.lone > 0.8).count() > 140);
    assert!(seen[220..].iter().any(|verdict| verdict.q > verdict.t2));
}

#[test]
fn a_small_lasting_shift_is_found_by_the_averages() {
    let model = model();
    let mut rows = pump(500, 5);
    rows[200..].iter_mut().for_each(|row| row[2] += 0.02);
    let seen = verdicts(&model, &rows);
    let found = seen[200..].iter().position(|verdict| verdict.alarm).unwrap();
    assert!(found < 40, "{found}");
    let lasting = &seen[300..];
    assert!(lasting.iter().filter(|verdict| verdict.alarm).count() > 190);
    assert!(lasting.iter().filter(|verdict| verdict.look != Look::Row).count() > 190);
    let changes: Vec<usize> = (200..500).filter(|row| seen[*row].changepoint).collect();
    assert!(changes.iter().all(|row| (200..260).contains(row)), "{changes:?}");
}

#[test]
fn what_wanders_in_normal_operation_may_wander_on() {
    let model = model();
    let (name, share) = model.wandering().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(name, "warmth");
    assert!(share > 0.5);
    let mut rows = pump(600, 6);
    rows.iter_mut().enumerate().for_each(|(n, row)| row[4] += n as f64 * 2e-3);
    assert!(verdicts(&model, &rows).iter().filter(|verdict| verdict.alarm).count() < 12);
}

#[test]
fn what_is_missing_speaks_neither_for_nor_against() {
    let model = model();
    let mut rows = pump(300, 7);
    for (n, row) in rows.iter_mut().enumerate().skip(100) {
        row[n % 5] = f64::NAN;
    }
    let seen = verdicts(&model, &rows);
    assert!(seen.iter().filter(|verdict| verdict.alarm).count() < 6);
    let mut watch = ProcessWatch::new(&model);
    rows.iter().take(50).for_each(|row| drop(watch.observe(&model, row)));
    let before = watch.clone();
    let blind = watch.observe(&model, &[f64::NAN, f64::NAN, 0.0, 0.0, 0.0]);
    assert!(blind.held && blind.top.is_empty());
    assert_eq!(watch, before, "a row that says nothing changes nothing");
}

#[test]
fn model_and_state_come_back_bit_for_bit() {
    let model = model();
    let rows = pump(300, 8);
    let mut whole = ProcessWatch::new(&model);
    let mut parts = ProcessWatch::new(&model);
    let mut drift = DriftWatch::new(&model);
    for (n, row) in rows.iter().enumerate() {
        if n % 70 == 33 {
            let text = serde_json::to_string(&parts).unwrap();
            parts = serde_json::from_str(&text).unwrap();
            assert!(parts.fits(&model));
        }
        let text = (n == 100).then(|| serde_json::to_string(&model).unwrap());
        let read = text.map(|text| serde_json::from_str::<ProcessModel>(&text).unwrap());
        assert!(read.as_ref().is_none_or(|read| *read == model && read.is_whole()));
        assert_eq!(whole.observe(&model, row), parts.observe(read.as_ref().unwrap_or(&model), row));
        let text = serde_json::to_string(&drift).unwrap();
        let mut read: DriftWatch = serde_json::from_str(&text).unwrap();
        assert!(read.fits(&model));
        assert_eq!(drift.observe(&model, row), read.observe(&model, row));
        assert_eq!(drift, read);
    }
}

#[test]
fn a_calibration_of_its_own_keeps_the_limits_honest() {
    // Forty inputs and 60 rows: limits from the fitting rows would be far too tight.
    let mut noise = Noise(3);
    let mut rows = |count: usize| -> Vec<Vec<f64>> {
        (0..count).map(|_| (0..40).map(|_| noise.next()).collect()).collect()
    };
    let names = (0..40).map(|n| n.to_string()).collect();
    let model = ProcessModel::fit(names, &rows(60), &rows(200)).unwrap();
    let alarms = verdicts(&model, &rows(1_000)).iter().filter(|verdict| verdict.alarm).count();
    assert!(alarms < 15, "{alarms}");
}

#[test]
fn too_little_to_learn_from_is_refused() {
    let rows = pump(100, 1);
    let fit = |names: Vec<String>, fit: &[Vec<f64>], limits: &[Vec<f64>]| {
        ProcessModel::fit(names, fit, limits).unwrap_err()
    };
    assert_eq!(fit(vec![], &rows, &rows), FitError::Inputs { inputs: 0 });
    assert_eq!(fit(names(), &rows[..29], &rows), FitError::FitRows { rows: 29 });
    assert_eq!(fit(names(), &rows, &rows[..19]), FitError::CalibrateRows { rows: 19 });
    assert!(ProcessModel::split(names(), &rows[..79]).is_err());
    let model = ProcessModel::split(names(), &rows).unwrap();
    assert_eq!(model.rows(), (75, 25));
}

/// Where a drift is said, row by row.
fn drifts(model: &ProcessModel, rows: &[Vec<f64>]) -> Vec<Option<Drift>> {
    let mut watch = DriftWatch::new(model);
    rows.iter().map(|row| watch.observe(model, row)).collect()
}

#[test]
fn a_sensor_that_drifts_is_named_until_it_is_back() {
    let model = model();
    // 0.5, 1 and 2 % an hour at a row a minute.
    for (rate, latest) in [(0.005, 420), (0.01, 300), (0.02, 240)] {
        for input in [1, 2, 3] {
            let mut rows = pump(1_400, 11 + input as u64);
            let usual = rows[0][input];
            for (n, row) in rows.iter_mut().enumerate().take(900).skip(200) {
                row[input] += usual * rate / 60.0 * (n - 200) as f64;
            }
            let seen = drifts(&model, &rows);
            assert!(seen[..200].iter().all(Option::is_none));
            let found = seen.iter().position(Option::is_some).unwrap();
            assert!(found - 200 < latest, "input {input} at {rate}: {found}");
            assert!(seen[found..900].iter().all(|it| it.is_some_and(|it| it.input == input)));
            let (offset, truth) = (seen[899].unwrap().offset, usual * rate / 60.0 * 700.0);
            assert!((offset / truth - 1.0).abs() < 0.3, "{offset} of {truth}");
            let over = seen[900..].iter().position(Option::is_none).unwrap();
            assert!(over < 400, "input {input} at {rate}: {over} rows after");
            assert!(seen[900 + over..].iter().all(Option::is_none));
        }
    }
}

#[test]
fn a_change_of_the_process_is_no_drift() {
    let model = model();
    let none = |rows: &[Vec<f64>]| drifts(&model, rows).iter().all(Option::is_none);
    assert!(none(&pump(4_000, 21)), "normal operation");
    let mut step = pump(900, 22);
    step[300..].iter_mut().for_each(|row| row[1] += 0.3);
    assert!(none(&step), "a step in one input");
    // Another working point, reached at once and slowly.
    for ramp in [1.0, 400.0] {
        let mut rows = pump(1_500, 23);
        for (n, row) in rows.iter_mut().enumerate().skip(300) {
            row[0] += 30.0 * ((n - 300) as f64 / ramp).min(1.0);
            row[1] += 0.6 * ((n - 300) as f64 / ramp).min(1.0);
            row[2] = 2e-6 * row[0] * row[0];
            row[3] = 0.4 * row[1] * row[2];
        }
        assert!(none(&rows), "a working point reached in {ramp} rows");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn nothing_that_comes_in_breaks_the_score(
        cells in proptest::collection::vec(prop_oneof![any::<f64>(), -1e3..1e3_f64], 5 * 60)
    ) {
        let model = model();
        let mut watch = ProcessWatch::new(&model);
        for row in cells.chunks(5) {
            let verdict = watch.observe(&model, row);
            prop_assert!((0.0..=1.0).contains(&verdict.score));
            prop_assert!(verdict.t2.is_finite() && verdict.q.is_finite());
            let shares: f64 = verdict.top.iter().map(|top| top.1).sum();
            prop_assert!(shares <= 1.0 + 1e-9);
        }
        let text = serde_json::to_string(&watch).unwrap();
        prop_assert_eq!(serde_json::from_str::<ProcessWatch>(&text).unwrap(), watch);
    }

    #[test]
    fn any_normal_period_gives_a_model_or_a_reason(
        cells in proptest::collection::vec(any::<f64>(), 3 * 120)
    ) {
        let rows: Vec<Vec<f64>> = cells.chunks(3).map(<[f64]>::to_vec).collect();
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        if let Ok(model) = ProcessModel::split(names, &rows) {
            let seen = verdicts(&model, &rows);
            prop_assert!(seen.iter().all(|verdict| verdict.score.is_finite()));
        }
    }
}
