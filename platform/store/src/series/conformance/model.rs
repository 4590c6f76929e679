//! The store against a plain map, under random appends, late data, repeats, seals and reopenings.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{Quality, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::series::{Bucket, Correction};

const SENSORS: usize = 3;
/// Each case opens the store anew and syncs for every step.
const CASES: u32 = 40;
/// Between two places: far enough apart that a long run crosses midnight, or so near that whole
/// minutes are worth figures of their own.
const STEPS: [i64; 2] = [17 * SECOND, SECOND];

#[derive(Clone, Debug)]
enum Op {
    /// Scattered readings of all sensors, in any order, repeats included.
    Scatter(Vec<(usize, i64, f64, u8)>),
    /// A long stretch of one sensor: enough for blocks to fill, split and merge.
    Stretch {
        sensor: usize,
        start: i64,
        count: i64,
        every: i64,
    },
    Correct {
        sensor: usize,
        place: i64,
        value: f64,
    },
    Seal,
    Reopen,
}

#[derive(Clone, Debug)]
struct Question {
    sensor: usize,
    from: i64,
    length: i64,
    width: i64,
    limit: usize,
}

fn ops() -> impl Strategy<Value = Op> {
    let quality = prop_oneof![5 => Just(0u8), 1 => Just(0x42), 1 => Just(0x85)];
    let reading = (0..SENSORS, -40i64..9_000, -1e6..1e6f64, quality);
    prop_oneof![
        4 => proptest::collection::vec(reading, 0..60).prop_map(Op::Scatter),
        3 => (0..SENSORS, 0i64..9_000, 1i64..6_000, 1i64..3).prop_map(
            |(sensor, start, count, every)| Op::Stretch { sensor, start, count, every }
        ),
        1 => (0..SENSORS, -40i64..9_000, -10.0..10.0f64)
            .prop_map(|(sensor, place, value)| Op::Correct { sensor, place, value }),
        4 => Just(Op::Seal),
        1 => Just(Op::Reopen),
    ]
}

fn questions() -> impl Strategy<Value = Question> {
    let minutes = (1i64..200).prop_map(|minutes| minutes * 60);
    let width = prop_oneof![2 => 1i64..3_000, 1 => 10_000i64..4_000_000, 3 => minutes];
    (0..SENSORS, -60i64..16_000, 0i64..16_000, width, 0usize..12_000).prop_map(
        |(sensor, from, length, width, limit)| Question { sensor, from, length, width, limit },
    )
}

type Model = BTreeMap<(usize, i64), (f64, u8)>;

pub(crate) fn agrees_with_the_model<H: Harness>(make: fn() -> H) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let steps = prop_oneof![Just(STEPS[0]), Just(STEPS[1])];
    let strategy = (
        proptest::collection::vec(ops(), 1..14),
        proptest::collection::vec(questions(), 1..12),
        steps,
    );
    TestRunner::new(config)
        .run(&strategy, |(ops, questions, step)| {
            // The store's threads and connections end inside the runtime.
            runtime.block_on(check(make(), &ops, &questions, step));
            Ok(())
        })
        .unwrap();
}

async fn check(mut harness: impl Harness, ops: &[Op], questions: &[Question], step: i64) {
    let names: Vec<_> = (0..SENSORS).map(|i| key(&format!("s{i}"))).collect();
    let ids = harness.store().register(&names).await.unwrap();
    let mut model = Model::new();
    for (turn, op) in ops.iter().enumerate() {
        apply(&mut harness, &ids, &mut model, op, (turn, step)).await;
        let question = &questions[turn % questions.len()];
        ask(&harness.store(), &ids, &model, question, step).await;
    }
    for question in questions {
        ask(&harness.store(), &ids, &model, question, step).await;
    }
    let store = harness.store();
    for (sensor, id) in ids.iter().enumerate() {
        let wanted: Vec<_> = points(&model, sensor, i64::MIN, i64::MAX);
        assert_eq!(all(&store, *id).await, wanted);
        assert_eq!(store.latest(&[*id]).await.unwrap(), vec![wanted.last().copied()]);
    }
}

async fn apply(
    harness: &mut impl Harness,
    ids: &[SeriesId],
    model: &mut Model,
    op: &Op,
    (turn, step): (usize, i64),
) {
    let mut readings = Vec::new();
    match op {
        Op::Scatter(scattered) => {
            readings.extend(
                scattered.iter().map(|(s, place, value, q)| (*s, DAY + place * step, *value, *q)),
            );
        }
        Op::Stretch { sensor, start, count, every } => {
            let place = |i: i64| DAY + (start + i * every) * step;
            readings.extend((0..*count).map(|i| (*sensor, place(i), (turn as i64 * i) as f64, 0)));
        }
        Op::Correct { sensor, place, value } => {
            let at = DAY + place * step;
            let before = model.get(&(*sensor, at)).map(|(value, _)| *value);
            let correction = Correction {
                at: Timestamp::from_micros(at),
                value: *value,
                actor: "model".to_owned(),
                reason: format!("turn {turn}"),
            };
            let store = harness.store();
            store.correct(ids[*sensor], correction).await.unwrap();
            model.insert((*sensor, at), (*value, 0x48));
            let newest = store.corrections(ids[*sensor], 1).await.unwrap().remove(0);
            assert_eq!((newest.before, newest.after), (before, *value));
        }
        Op::Seal => harness.seal().await,
        Op::Reopen => harness.reopen().await,
    }
    if readings.is_empty() {
        return;
    }
    let mut batch = Batch::default();
    for (sensor, at, value, quality) in readings {
        let quality_read = Quality::from_byte(quality);
        let at_read = Timestamp::from_micros(at);
        batch.push(ids[sensor], Point { at: at_read, value, quality: quality_read });
        model.insert((sensor, at), (value, quality));
    }
    harness.store().append(batch).await.unwrap();
}

fn points(model: &Model, sensor: usize, from: i64, to: i64) -> Vec<Point> {
    let readings = model.range((sensor, from)..(sensor, to));
    readings
        .map(|((_, at), (value, quality))| Point {
            at: Timestamp::from_micros(*at),
            value: *value,
            quality: Quality::from_byte(*quality),
        })
        .collect()
}

async fn ask(
    store: &SharedSeries,
    ids: &[SeriesId],
    model: &Model,
    question: &Question,
    step: i64,
) {
    let (from, to) =
        (DAY + question.from * step - 3, DAY + (question.from + question.length) * step);
    let id = ids[question.sensor];
    let wanted = points(model, question.sensor, from, to.max(from));
    let got = store.range(id, span(from, to), question.limit).await.unwrap();
    assert_eq!(got, wanted[..wanted.len().min(question.limit)]);

    let width = question.width * SECOND;
    if (to - from) / width > 10_000 {
        return;
    }
    let mut buckets: Vec<Bucket> = Vec::new();
    for point in wanted.iter().filter(|point| !point.quality.is_bad()) {
        let start = Timestamp::from_micros(point.at.as_micros().div_euclid(width) * width);
        let value = point.value;
        match buckets.last_mut().filter(|bucket| bucket.start == start) {
            Some(bucket) => {
                bucket.count += 1;
                bucket.min = bucket.min.min(value);
                bucket.max = bucket.max.max(value);
                bucket.sum += value;
                bucket.last = value;
            }
            None => buckets.push(Bucket {
                start,
                count: 1,
                min: value,
                max: value,
                sum: value,
                first: value,
                last: value,
            }),
        }
    }
    let width = Duration::from_micros(width as u64);
    ask_all(store, ids, model, (from, to), width).await;
    let mut got = store.buckets(id, span(from, to), width).await.unwrap();
    assert_eq!(got.len(), buckets.len());
    for (got, wanted) in got.iter_mut().zip(&buckets) {
        // Sums over blocks add up in another order.
        let close =
            (got.sum - wanted.sum).abs() <= 1e-9 * (1.0 + wanted.sum.abs()) * got.count as f64;
        assert!(close, "{got:?} {wanted:?}");
        got.sum = wanted.sum;
        assert_eq!(got, wanted);
    }
}

/// The same question about all sensors together.
async fn ask_all(
    store: &SharedSeries,
    ids: &[SeriesId],
    model: &Model,
    (from, to): (i64, i64),
    width: Duration,
) {
    let micros = width.as_micros() as i64;
    let mut wanted: BTreeMap<i64, (u64, f64, f64, f64)> = BTreeMap::new();
    for ((_, at), (value, quality)) in model.iter().filter(|((_, at), _)| (from..to).contains(at)) {
        if Quality::from_byte(*quality).is_bad() {
            continue;
        }
        let bucket = wanted.entry(at.div_euclid(micros) * micros).or_insert((
            0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
        ));
        bucket.0 += 1;
        bucket.1 = bucket.1.min(*value);
        bucket.2 = bucket.2.max(*value);
        bucket.3 += value;
    }
    // A sensor named twice counts once.
    let asked: Vec<_> = ids.iter().chain(&ids[..1]).copied().collect();
    let got = store.aggregate(&asked, span(from, to), width).await.unwrap();
    assert_eq!(got.len(), wanted.len());
    for (got, (start, (count, min, max, sum))) in got.iter().zip(wanted) {
        assert_eq!((got.start.as_micros(), got.count, got.min, got.max), (start, count, min, max));
        let close = (got.sum - sum).abs() <= 1e-9 * (1.0 + sum.abs()) * count as f64;
        assert!(close, "{got:?} {sum}");
    }
}
