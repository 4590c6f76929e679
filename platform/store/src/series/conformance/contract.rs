//! Readings: what is stored, what wins, what is served, what is refused.

use std::time::Duration;

use kernel::{Quality, Reason, Timestamp};

use super::*;
use crate::series::{BUCKETS_MAX, Bucket, Correction, SeriesError};

pub(crate) async fn offsets_grow_by_one(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    let first = append(&store, id, &[good(DAY, 1.0)]).await;
    for step in 1..20 {
        let offset = append(&store, id, &[good(DAY + step as i64, 1.0)]).await;
        assert_eq!(offset, Offset(first.0 + step));
    }
    assert_eq!(store.status().await.unwrap().last, Offset(first.0 + 19));
}

pub(crate) async fn a_key_keeps_its_id(harness: &mut impl Harness) {
    let store = harness.store();
    let ids = store.register(&[key("a"), key("b"), key("a")]).await.unwrap();
    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[0], ids[1]);
    let again = store.register(&[key("b"), key("c"), key("a")]).await.unwrap();
    assert_eq!((again[0], again[2]), (ids[1], ids[0]));
    // Many at once agree on who is who.
    let racers: Vec<_> = (0..8)
        .map(|_| {
            let store = harness.store();
            tokio::spawn(async move { store.register(&[key("race"), key("c")]).await.unwrap() })
        })
        .collect();
    let mut seen = Vec::new();
    for racer in racers {
        seen.push(racer.await.unwrap());
    }
    assert!(seen.iter().all(|ids| *ids == seen[0]), "{seen:?}");
    assert_eq!(seen[0][1], again[1]);
    drop(store);
    harness.reopen().await;
    let store = harness.store();
    assert_eq!(store.register(&[key("a"), key("race")]).await.unwrap(), vec![ids[0], seen[0][0]]);
    let mut keys = store.keys().await.unwrap();
    keys.sort();
    assert_eq!(keys.len(), 4);
    assert!(keys.contains(&(ids[1], key("b"))));
}

pub(crate) async fn survives_reopening(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    let quality = Quality::Uncertain(Reason::OutOfRange);
    let points =
        [good(DAY, 1.5), Point { quality, ..good(DAY + SECOND, -0.25) }, good(DAY + 2, 9.0)];
    append(&store, id, &points[..2]).await;
    drop(store);
    harness.seal().await;
    let store = harness.store();
    let last = append(&store, id, &points[2..]).await;
    drop(store);
    harness.reopen().await;
    let store = harness.store();
    assert_eq!(all(&store, id).await, vec![points[0], points[2], points[1]]);
    assert_eq!(store.latest(&[id]).await.unwrap(), vec![Some(points[1])]);
    assert_eq!(store.status().await.unwrap().last, last);
    assert_eq!(append(&store, id, &points[2..]).await, Offset(last.0 + 1));
}

pub(crate) async fn the_last_writer_wins(harness: &mut impl Harness) {
    let id = sensor(&harness.store(), "flow").await;
    let mut value = 0.0;
    for seal in [false, true, false, true, true] {
        let store = harness.store();
        value += 1.0;
        append(&store, id, &[good(DAY, value), good(DAY + 5, 0.5)]).await;
        assert_eq!(all(&store, id).await, vec![good(DAY, value), good(DAY + 5, 0.5)]);
        drop(store);
        if seal {
            harness.seal().await;
        }
        let store = harness.store();
        assert_eq!(all(&store, id).await, vec![good(DAY, value), good(DAY + 5, 0.5)]);
        assert_eq!(store.latest(&[id]).await.unwrap(), vec![Some(good(DAY + 5, 0.5))]);
    }
}

pub(crate) async fn a_retried_batch_changes_nothing(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    let points: Vec<_> = (0..3_000).map(|i| good(DAY + i * SECOND, i as f64)).collect();
    append(&store, id, &points).await;
    harness.seal().await;
    append(&store, id, &points).await;
    assert_eq!(all(&store, id).await, points);
    harness.seal().await;
    assert_eq!(all(&store, id).await, points);
    let day = store.buckets(id, span(DAY, DAY + 86_400 * SECOND), Duration::from_secs(86_400));
    assert_eq!(day.await.unwrap()[0].count, 3_000);
    assert_eq!(store.corrections(id, 10).await.unwrap(), vec![]);
}

pub(crate) async fn late_data_never_rewrites_latest(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    let other = sensor(&store, "silent").await;
    let newest = good(DAY + 9 * SECOND, 2.0);
    append(&store, id, &[newest]).await;
    harness.seal().await;
    // Late by seconds, and by three days.
    let late = [good(DAY + SECOND, 1.0), good(DAY - 3 * 86_400 * SECOND, 0.5)];
    append(&store, id, &late).await;
    for _ in 0..2 {
        let latest = store.latest(&[other, id]).await.unwrap();
        assert_eq!(latest, vec![None, Some(newest)]);
        assert_eq!(all(&store, id).await, vec![late[1], late[0], newest]);
        harness.seal().await;
    }
    drop(store);
    harness.reopen().await;
    let store = harness.store();
    assert_eq!(store.latest(&[id, other]).await.unwrap(), vec![Some(newest), None]);
    assert_eq!(all(&store, id).await, vec![late[1], late[0], newest]);
}

pub(crate) async fn ranges_are_ordered_and_limited(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    let points: Vec<_> = (0..9_000).map(|i| good(DAY + i * 7, i as f64)).collect();
    let (even, odd): (Vec<_>, Vec<_>) = points.iter().partition(|p| p.value % 2.0 == 0.0);
    append(&store, id, &odd).await;
    harness.seal().await;
    append(&store, id, &even).await;
    for _ in 0..2 {
        let some = store.range(id, span(DAY + 7, DAY + 50_000), 40).await.unwrap();
        assert_eq!(some, points[1..41]);
        let some = store.range(id, span(DAY + 62_000, DAY + 62_300), 999).await.unwrap();
        let wanted =
            points.iter().filter(|p| (DAY + 62_000..DAY + 62_300).contains(&p.at.as_micros()));
        assert_eq!(some, wanted.copied().collect::<Vec<_>>());
        assert_eq!(store.range(id, span(DAY + 5, DAY + 5), 9).await.unwrap(), vec![]);
        assert_eq!(store.range(id, EVER, 0).await.unwrap(), vec![]);
        assert_eq!(all(&store, id).await, points);
        harness.seal().await;
    }
}

pub(crate) async fn buckets_are_aligned_and_leave_bad_out(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    let bad = Point { quality: Quality::Bad(Reason::Stuck), ..good(DAY + 2, 1e9) };
    let unsure = Point { quality: Quality::Uncertain(Reason::Drifting), ..good(DAY + 15, -4.0) };
    let only_bad = Point { at: Timestamp::from_micros(DAY + 35), ..bad };
    let points = [good(-3, 7.0), good(DAY + 3, 1.0), bad, good(DAY + 9, 3.0), unsure, only_bad];
    append(&store, id, &points).await;
    let bucket = |start, count, min, max, sum, first, last| {
        let start = Timestamp::from_micros(start);
        Bucket { start, count, min, max, sum, first, last }
    };
    for _ in 0..2 {
        let width = Duration::from_micros(10);
        let some = store.buckets(id, span(DAY + 1, DAY + 40), width).await.unwrap();
        let wanted = [
            bucket(DAY, 2, 1.0, 3.0, 4.0, 1.0, 3.0),
            bucket(DAY + 10, 1, -4.0, -4.0, -4.0, -4.0, -4.0),
        ];
        assert_eq!(some, wanted);
        // Only what lies in the span counts, though the bucket begins before it.
        let some = store.buckets(id, span(DAY + 5, DAY + 12), width).await.unwrap();
        assert_eq!(some, vec![bucket(DAY, 1, 3.0, 3.0, 3.0, 3.0, 3.0)]);
        // Before 1970 too.
        let some = store.buckets(id, span(-9, 0), width).await.unwrap();
        assert_eq!(some, vec![bucket(-10, 1, 7.0, 7.0, 7.0, 7.0, 7.0)]);
        harness.seal().await;
    }
}

pub(crate) async fn too_many_buckets_are_refused(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    let most = span(DAY, DAY + BUCKETS_MAX as i64 * SECOND);
    assert_eq!(store.buckets(id, most, Duration::from_secs(1)).await.unwrap(), vec![]);
    let more = span(DAY, DAY + BUCKETS_MAX as i64 * SECOND + 1);
    for (span, width) in
        [(more, Duration::from_secs(1)), (EVER, Duration::from_micros(1)), (most, Duration::ZERO)]
    {
        let refused = store.buckets(id, span, width).await;
        assert!(matches!(refused, Err(SeriesError::TooManyBuckets { max: BUCKETS_MAX, .. })));
    }
}

fn correction(at: i64, value: f64) -> Correction {
    Correction {
        at: Timestamp::from_micros(at),
        value,
        actor: "dana".to_owned(),
        reason: "gauge misread".to_owned(),
    }
}

pub(crate) async fn corrections_are_audited(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    append(&store, id, &[good(DAY, 1.0), good(DAY + 1, 2.0)]).await;
    harness.seal().await;
    let first = store.correct(id, correction(DAY, 10.0)).await.unwrap();
    let second = store.correct(id, correction(DAY, 20.0)).await.unwrap();
    assert_eq!(second, Offset(first.0 + 1));
    harness.seal().await;
    store.correct(id, correction(DAY + 7, 30.0)).await.unwrap();
    drop(store);
    harness.reopen().await;
    harness.seal().await;
    let store = harness.store();
    let manual = |point: Point| Point { quality: Quality::Uncertain(Reason::Manual), ..point };
    let wanted = [manual(good(DAY, 20.0)), good(DAY + 1, 2.0), manual(good(DAY + 7, 30.0))];
    assert_eq!(all(&store, id).await, wanted);
    let trail = store.corrections(id, 10).await.unwrap();
    let figures: Vec<_> = trail.iter().map(|c| (c.at.as_micros(), c.before, c.after)).collect();
    let wanted = [(DAY + 7, None, 30.0), (DAY, Some(10.0), 20.0), (DAY, Some(1.0), 10.0)];
    assert_eq!(figures, wanted);
    assert!(trail.iter().all(|c| c.actor == "dana" && c.reason == "gauge misread"));
    assert_eq!(store.corrections(id, 1).await.unwrap(), trail[..1]);
    let other = sensor(&store, "other").await;
    assert_eq!(store.corrections(other, 9).await.unwrap(), vec![]);
    let refused = store.correct(id, correction(DAY, f64::NAN)).await;
    assert!(matches!(refused, Err(SeriesError::NotFinite { .. })));
}

pub(crate) async fn late_changes_are_audited(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    append(&store, id, &[good(DAY, 1.0), good(DAY + 1, 2.0)]).await;
    harness.seal().await;
    append(&store, id, &[good(DAY, 1.0), good(DAY + 1, 5.0)]).await;
    append(&store, id, &[good(DAY + 1, 6.0)]).await;
    harness.seal().await;
    harness.seal().await;
    let trail = store.corrections(id, 10).await.unwrap();
    let figures: Vec<_> = trail.iter().map(|c| (c.at.as_micros(), c.before, c.after)).collect();
    // Between the first and the last value, one in between may or may not have been seen.
    assert_eq!(figures.first().map(|f| (f.0, f.2)), Some((DAY + 1, 6.0)), "{figures:?}");
    assert!(figures.iter().all(|f| f.0 == DAY + 1 && f.1 != Some(f.2)), "{figures:?}");
}

pub(crate) async fn retention_removes_whole_days(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    let old = sensor(&store, "old").await;
    let days: Vec<_> = (-2..=1).map(|d| good(DAY + d * 86_400 * SECOND + 5, d as f64)).collect();
    append(&store, id, &days[..3]).await;
    append(&store, old, &days[..1]).await;
    harness.seal().await;
    // Some of what must go is not sealed yet.
    append(&store, id, &days[3..]).await;
    append(&store, old, &days[1..2]).await;
    // The cutoff lies inside a day, which therefore stays.
    let before = Timestamp::from_micros(DAY + 3_600 * SECOND);
    assert_eq!(store.retain(before).await.unwrap(), 2);
    assert_eq!(store.retain(before).await.unwrap(), 0);
    drop(store);
    for _ in 0..2 {
        let store = harness.store();
        assert_eq!(all(&store, id).await, days[2..]);
        assert_eq!(all(&store, old).await, vec![]);
        assert_eq!(store.latest(&[id, old]).await.unwrap(), vec![Some(days[3]), None]);
        drop(store);
        harness.reopen().await;
    }
    // Late data for a removed day is welcome all the same.
    let store = harness.store();
    append(&store, old, &days[..1]).await;
    harness.seal().await;
    assert_eq!(all(&store, old).await, days[..1]);
    assert_eq!(store.latest(&[old]).await.unwrap(), vec![Some(days[0])]);
}

pub(crate) async fn refuses_what_is_no_batch(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    let sound = batch(id, &[good(DAY, 1.0)]);
    let last = store.append(sound.clone()).await.unwrap();

    let ragged = Batch { at: vec![], ..sound.clone() };
    assert!(matches!(store.append(ragged).await, Err(SeriesError::Ragged { at: 0, .. })));
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let refused = store.append(Batch { value: vec![value], ..sound.clone() }).await;
        assert!(matches!(refused, Err(SeriesError::NotFinite { .. })));
    }
    for at in [i64::MIN, i64::MAX] {
        let refused = store.append(Batch { at: vec![at], ..sound.clone() }).await;
        assert!(matches!(refused, Err(SeriesError::TimeOutOfRange { .. })));
    }
    let nobody = SeriesId(id.0 + 1_000);
    let unknown =
        |error: SeriesError| matches!(error, SeriesError::UnknownSeries(id) if id == nobody);
    assert!(unknown(store.append(batch(nobody, &[good(DAY, 1.0)])).await.unwrap_err()));
    assert!(unknown(store.range(nobody, EVER, 1).await.unwrap_err()));
    assert!(unknown(store.buckets(nobody, span(0, 1), BRIEF).await.unwrap_err()));
    assert!(unknown(store.latest(&[id, nobody]).await.unwrap_err()));
    assert!(unknown(store.correct(nobody, correction(DAY, 1.0)).await.unwrap_err()));
    assert!(unknown(store.corrections(nobody, 1).await.unwrap_err()));

    // Nothing of it left a trace.
    assert_eq!(store.status().await.unwrap().last, last);
    assert_eq!(all(&store, id).await, vec![good(DAY, 1.0)]);
}

pub(crate) async fn an_empty_batch_has_an_offset(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    let first = store.append(Batch::default()).await.unwrap();
    harness.seal().await;
    assert_eq!(append(&store, id, &[good(DAY, 1.0)]).await, Offset(first.0 + 1));
    assert_eq!(store.status().await.unwrap().unsealed, 1);
}
