use kernel::Timestamp;
use proptest::prelude::*;

use super::*;

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

fn question(limit: f64, side: Side) -> LimitQuestion {
    LimitQuestion { limit, side, horizon_s: 3_600.0, coverage: 0.8 }
}

/// One reading a minute: `level + slope·minute` and noise with lag-one correlation `phi`.
fn ramp(noise: &mut Noise, count: i64, slope: f64, sigma: f64, phi: f64) -> Vec<(Timestamp, f64)> {
    let mut state = noise.normal();
    (0..count)
        .map(|n| {
            let own = (1.0 - phi * phi).sqrt() * noise.normal();
            state = phi * state + own;
            (Timestamp::from_secs(60 * n), slope * n as f64 + sigma * state)
        })
        .collect()
}

#[test]
fn a_clean_ramp_meets_the_limit_on_time_on_either_side() {
    let mut noise = Noise(1);
    for (slope, limit, side) in [(1.0, 200.0, Side::Above), (-1.0, -200.0, Side::Below)] {
        let window = ramp(&mut noise, 120, slope, 0.5, 0.0);
        let answer = time_to_limit(&window, &question(limit, side));
        assert_eq!(answer.outlook, Outlook::Approaching);
        let median = answer.median_s.unwrap();
        assert!((median - 81.0 * 60.0).abs() < 60.0, "{answer:?}");
        assert!(answer.low_s.unwrap() < median && median < answer.high_s.unwrap());
        assert!(answer.probability < 0.01, "an hour is too short: {answer:?}");
        assert!(answer.explanation.contains("is reached in 81 min"), "{}", answer.explanation);
    }
}

#[test]
fn the_other_direction_is_receding_and_never() {
    let window = ramp(&mut Noise(2), 120, -1.0, 0.5, 0.0);
    let answer = time_to_limit(&window, &question(50.0, Side::Above));
    assert_eq!(answer.outlook, Outlook::Receding);
    assert_eq!((answer.median_s, answer.low_s, answer.high_s), (None, None, None));
    assert!(answer.probability < 0.01);
}

#[test]
fn beyond_the_limit_is_now() {
    let window = ramp(&mut Noise(3), 120, 1.0, 0.5, 0.0);
    let answer = time_to_limit(&window, &question(100.0, Side::Above));
    assert_eq!(answer.outlook, Outlook::Beyond);
    assert_eq!(answer.median_s, Some(0.0));
    assert!((answer.probability - 1.0).abs() < f64::EPSILON);
}

#[test]
fn too_few_readings_or_one_instant_say_nothing() {
    let window = ramp(&mut Noise(4), POINTS_MIN as i64 - 1, 1.0, 0.1, 0.0);
    assert_eq!(time_to_limit(&window, &question(50.0, Side::Above)).outlook, Outlook::TooFew);
    let instant = vec![(Timestamp::from_secs(1), 1.0); 50];
    assert_eq!(time_to_limit(&instant, &question(50.0, Side::Above)).outlook, Outlook::TooFew);
}

#[test]
fn noise_without_trend_is_seldom_called_a_trend() {
    for phi in [0.0, 0.7] {
        let mut called = 0;
        for seed in 0..300 {
            let window = ramp(&mut Noise(1_000 + seed), 200, 0.0, 1.0, phi);
            let answer = time_to_limit(&window, &question(5.0, Side::Above));
            called += usize::from(answer.outlook == Outlook::Approaching);
        }
        // 2.5 % are allowed for; autocorrelation may double it.
        assert!(called <= 18, "phi {phi}: {called} of 300");
    }
}

#[test]
fn the_interval_covers_what_it_says() {
    for (phi, count) in [(0.0, 40), (0.0, 240), (0.6, 240), (0.8, 600)] {
        let (mut covered, mut answered) = (0, 0);
        for seed in 0..400 {
            let window = ramp(&mut Noise(9_000 + seed), count, 0.05, 1.0, phi);
            let limit = 0.05 * 1.8 * count as f64;
            let answer = time_to_limit(&window, &question(limit, Side::Above));
            let truth = 60.0 * (limit / 0.05 - (count - 1) as f64);
            if answer.outlook == Outlook::Approaching {
                answered += 1;
                let low = answer.low_s.is_none_or(|low| low <= truth);
                let high = answer.high_s.is_none_or(|high| truth <= high);
                covered += usize::from(low && high);
            }
        }
        let share = f64::from(u32::try_from(covered).unwrap()) / f64::from(answered);
        assert!(answered > 60, "phi {phi} count {count}: {answered} answers");
        assert!((0.72..=0.92).contains(&share), "phi {phi} count {count}: {share} of {answered}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn never_panics_and_keeps_its_order(
        readings in prop::collection::vec((any::<i64>(), any::<f64>()), 0..80),
        limit in any::<f64>(),
        above in any::<bool>(),
        horizon_s in any::<f64>().prop_filter("a number", |h| !h.is_nan()),
        coverage in 0.0..1.0_f64,
    ) {
        let window: Vec<_> =
            readings.into_iter().map(|(at, y)| (Timestamp::from_micros(at), y)).collect();
        let side = if above { Side::Above } else { Side::Below };
        let asked = LimitQuestion { limit, side, horizon_s, coverage };
        let answer = time_to_limit(&window, &asked);
        prop_assert!((0.0..=1.0).contains(&answer.probability));
        if let (Some(low), Some(median)) = (answer.low_s, answer.median_s) {
            prop_assert!(low <= median);
        }
        if let (Some(median), Some(high)) = (answer.median_s, answer.high_s) {
            prop_assert!(median <= high);
        }
        let mut shuffled = window.clone();
        shuffled.reverse();
        prop_assert_eq!(time_to_limit(&shuffled, &asked), answer);
    }
}
