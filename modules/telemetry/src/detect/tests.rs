use super::*;
use kernel::Quality;
use proptest::prelude::*;
use store::series::Point;

use crate::model::{AnomalyRule, AnomalyState};

fn subject(origin: Origin) -> Arc<Subject> {
    Arc::new(Subject {
        key: SensorKey::new("north/p-2/vibration").unwrap(),
        kind: SensorKind::Vibration,
        unit: Some("mm/s".to_owned()),
        origin,
        judged: true,
        profile: Profile {
            expected_low: Some(0.0),
            expected_high: Some(7.1),
            rate_max_per_s: None,
            interval_s: Some(1.0),
        },
        doubted: None,
    })
}

const START_S: i64 = 1_700_000_000;

fn batch(index: usize, value: f64) -> Arc<Batch> {
    let at = Timestamp::from_secs(START_S + index as i64);
    let mut batch = Batch { received: at, ..Batch::default() };
    batch.push(SeriesId(0), Point { at, value, quality: Quality::Good });
    Arc::new(batch)
}

fn run(shard: &mut Shard, from: usize, values: &[f64]) -> Vec<Effect> {
    let batches: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(i, value)| (Offset((from + i + 1) as u64), batch(from + i, *value)))
        .collect();
    let known = subject(Origin::Real);
    let outcome = shard.run(&batches, &|_| Some(Arc::clone(&known)));
    outcome.said.into_iter().map(|said| said.effect).collect()
}

fn ranges(effects: &[Effect]) -> Vec<(AnomalyState, i64)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Anomaly { anomaly, revision, .. } if anomaly.rule == AnomalyRule::Range => {
                Some((anomaly.state, *revision))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_range_anomaly_starts_grows_and_ends_once() {
    let mut shard = Shard::new(0, 1);
    let effects = run(&mut shard, 0, &[3.0, 7.5, 7.6, 30.0, 7.5, 3.0, 3.0]);
    assert_eq!(
        ranges(&effects),
        [(AnomalyState::Active, 1), (AnomalyState::Active, 2), (AnomalyState::Cleared, 3)]
    );
    let ids: std::collections::BTreeSet<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Anomaly { anomaly, .. } => Some(anomaly.anomaly_id),
            Effect::Change { .. } | Effect::Trust { .. } => None,
        })
        .collect();
    assert_eq!(ids.len(), 1);
}

#[test]
fn a_live_sensor_that_falls_silent_is_said_once_and_again_when_it_speaks() {
    let mut shard = Shard::new(0, 1);
    run(&mut shard, 0, &[3.0, 3.1, 3.0]);
    let soon = Timestamp::from_secs(START_S + 4);
    assert!(shard.silence(soon).is_empty());
    let later = Timestamp::from_secs(START_S + 10);
    let said = shard.silence(later);
    assert!(matches!(&said[0].effect, Effect::Anomaly { anomaly, .. }
        if anomaly.rule == AnomalyRule::Missing));
    assert!(matches!(said[1].effect, Effect::Trust { trust: Trust::Silent, .. }));
    assert!(shard.silence(later).is_empty());
    let back = run(&mut shard, 11, &[3.0]);
    assert!(matches!(&back[0], Effect::Anomaly { anomaly, .. }
        if anomaly.state == AnomalyState::Cleared));
    assert!(matches!(back[1], Effect::Trust { trust: Trust::Trusted, .. }));
}

#[test]
fn a_generated_series_may_end_without_a_word_unless_it_was_said_to_go_on() {
    for (interval_s, said) in [(None, 0), (Some(1.0), 2)] {
        let mut known = (*subject(Origin::Simulated)).clone();
        known.profile.interval_s = interval_s;
        let known = Arc::new(known);
        let mut shard = Shard::new(0, 1);
        let batches: Vec<_> =
            (0..60).map(|i| (Offset(i as u64 + 1), batch(i, 3.0 + (i % 3) as f64))).collect();
        shard.run(&batches, &|_| Some(Arc::clone(&known)));
        let later = Timestamp::from_secs(START_S + 3_600);
        assert_eq!(shard.silence(later).len(), said, "{interval_s:?}");
    }
}

#[test]
fn recordings_are_not_judged_by_the_clock() {
    let mut shard = Shard::new(0, 1);
    let old =
        Arc::new(Batch { received: Timestamp::from_secs(START_S * 2), ..(*batch(0, 3.0)).clone() });
    let known = subject(Origin::Real);
    shard.run(&[(Offset(1), old)], &|_| Some(Arc::clone(&known)));
    assert!(shard.silence(Timestamp::from_secs(START_S * 2 + 100)).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A crash after any batch, with the state as of any earlier batch, says nothing else.
    #[test]
    fn replay_from_a_saved_state_says_the_same(
        values in prop::collection::vec(prop::sample::select(vec![3.0, 3.2, 2.9, 7.5, 20.0]), 2..40),
        cut in 0_usize..40,
    ) {
        let cut = cut % values.len();
        let mut whole = Shard::new(0, 1);
        let first = run(&mut whole, 0, &values[..cut]);
        let mut resumed = Shard::new(0, 1);
        if let Some(watch) = whole.watch(SeriesId(0)) {
            let text = serde_json::to_string(&watch.save()).unwrap();
            let saved = serde_json::from_str(&text).unwrap();
            let standing = watch.standing().to_vec();
            let restored = Watch::restored(
                subject(Origin::Real), Some(saved), watch.applied(), standing, watch.trust());
            resumed.put(SeriesId(0), restored);
        }
        let rest = run(&mut whole, cut, &values[cut..]);
        // The log is read again from its start; what is part of the state is passed over.
        let again = run(&mut resumed, 0, &values);
        prop_assert_eq!(&again, &rest, "after {:?}", first);
    }
}

#[test]
fn a_skewed_clock_costs_trust_until_it_is_right_again() {
    let mut shard = Shard::new(0, 1);
    let known = subject(Origin::Real);
    let mut reasons = Vec::new();
    for n in 0..800_u64 {
        let received = Timestamp::from_secs(START_S + n as i64);
        let ahead = if (200..400).contains(&n) { 120 } else { 0 };
        let at = Timestamp::from_secs(START_S + n as i64 + ahead);
        let mut batch = Batch { received, ..Batch::default() };
        let value = 3.0 + 0.1 * (n % 7) as f64;
        batch.push(SeriesId(0), Point { at, value, quality: Quality::Good });
        let outcome = shard.run(&[(Offset(n + 1), Arc::new(batch))], &|_| Some(Arc::clone(&known)));
        reasons.extend(outcome.said.into_iter().filter_map(|said| match said.effect {
            Effect::Trust { trust, reason, .. } => Some((trust, reason)),
            Effect::Anomaly { .. } | Effect::Change { .. } => None,
        }));
    }
    let clock = |(trust, reason): &(Trust, Option<String>)| {
        *trust == Trust::Suspect && reason.as_deref().is_some_and(|it| it.contains("clock"))
    };
    assert!(reasons.iter().any(clock), "{reasons:?}");
    assert_eq!(reasons.last().unwrap().0, Trust::Trusted, "{reasons:?}");
}

#[test]
fn a_sensor_that_its_asset_contradicts_is_suspect() {
    let mut shard = Shard::new(0, 1);
    run(&mut shard, 0, &[3.0, 3.1, 3.0]);
    let doubted = |doubt| {
        let known = subject(Origin::Real);
        Some(Arc::new(Subject { doubted: Some(doubt), ..(*known).clone() }))
    };
    let now = Timestamp::from_secs(START_S + 4);
    let trust = |said: Vec<Said>| -> Vec<Trust> {
        said.into_iter()
            .filter_map(|said| match said.effect {
                Effect::Trust { trust, .. } => Some(trust),
                Effect::Anomaly { .. } | Effect::Change { .. } => None,
            })
            .collect()
    };
    let said = shard.refresh(now, &|_| doubted(Doubt::Alone));
    assert_eq!(trust(said), [Trust::Suspect]);
    let said = shard.refresh(now, &|_| doubted(Doubt::DriftsUp));
    assert_eq!(trust(said), [Trust::Suspect], "for another reason");
    assert!(shard.refresh(now, &|_| doubted(Doubt::DriftsUp)).is_empty());
    let said = shard.refresh(now, &|_| Some(subject(Origin::Real)));
    assert_eq!(trust(said), [Trust::Trusted]);
}

#[test]
fn a_new_level_stands_until_somebody_calls_it_normal() {
    let mut shard = Shard::new(0, 1);
    let noisy = |level: f64, from: usize, count: usize| -> Vec<f64> {
        (from..from + count).map(|n| level + 0.1 * ((n * 7_919) % 11) as f64).collect()
    };
    run(&mut shard, 0, &noisy(2.0, 0, 2_000));
    run(&mut shard, 2_000, &noisy(5.0, 2_000, 1_500));
    let standing = |shard: &mut Shard| {
        let watch = shard.watch(SeriesId(0)).unwrap();
        watch.standing().iter().any(|it| it.anomaly.rule == AnomalyRule::Score)
    };
    assert!(standing(&mut shard), "25 minutes are not the new normal");
    shard.watch(SeriesId(0)).unwrap().accept_level();
    run(&mut shard, 3_500, &noisy(5.0, 3_500, 60));
    assert!(!standing(&mut shard));
}

#[test]
fn a_level_that_stays_elsewhere_is_said_once_with_both_levels() {
    let mut shard = Shard::new(0, 1);
    let noisy = |level: f64, from: usize, count: usize| -> Vec<f64> {
        (from..from + count).map(|n| level + 0.1 * ((n * 7_919) % 11) as f64).collect()
    };
    let changes = |effects: Vec<Effect>| -> Vec<(Box<Changepoint>, CorrelationId)> {
        effects
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Change { change, correlation } => Some((change, correlation)),
                _ => None,
            })
            .collect()
    };
    assert!(changes(run(&mut shard, 0, &noisy(2.0, 0, 2_000))).is_empty());
    let said = changes(run(&mut shard, 2_000, &noisy(5.0, 2_000, 1_500)));
    let [(change, correlation)] = said.as_slice() else { panic!("{said:#?}") };
    assert!((change.before.unwrap() - 2.5).abs() < 0.2, "{change:?}");
    assert!((change.after.unwrap() - 5.5).abs() < 0.3, "{change:?}");
    assert!(change.confidence > 0.9);
    let late_s = change.changed_at.micros_since(Timestamp::from_secs(START_S + 2_000)) / 1_000_000;
    assert!((0..20).contains(&late_s), "{late_s}");
    let standing = &shard.watch(SeriesId(0)).unwrap().standing()[0];
    assert_eq!(change.anomaly_id, Some(standing.anomaly.anomaly_id));
    assert_eq!(*correlation, standing.correlation);
}
