//! Following the log: order, waking, holding, truncation.

use std::sync::Arc;

use kernel::CorrelationId;

use super::*;
use crate::series::SeriesError;

pub(crate) async fn tail_is_ordered_and_whole(harness: &mut impl Harness) {
    let store = harness.store();
    store.hold("test", Offset(0)).await.unwrap();
    let id = sensor(&store, "flow").await;
    let mut sent = Vec::new();
    for i in 0..30i64 {
        let mut one = batch(id, &vec![good(DAY + i, i as f64); i as usize % 3]);
        one.correlation = (i % 2 == 0).then(CorrelationId::new);
        let offset = store.append(one.clone()).await.unwrap();
        sent.push((offset, Arc::new(one)));
        if i == 10 {
            harness.seal().await;
        }
    }
    let mut got = Vec::new();
    let mut after = Offset(0);
    while got.len() < sent.len() {
        let some = store.tail(after, 7, LONG).await.unwrap();
        assert!(!some.is_empty() && some.len() <= 7);
        after = some.last().unwrap().0;
        got.extend(some);
    }
    assert_eq!(got, sent);
    assert_eq!(store.tail(after, 7, BRIEF).await.unwrap(), vec![]);
}

pub(crate) async fn tail_reads_what_was_before_opening(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    store.hold("test", Offset(0)).await.unwrap();
    for i in 0..5 {
        append(&store, id, &[good(DAY + i, i as f64)]).await;
    }
    drop(store);
    harness.seal().await;
    harness.reopen().await;
    let store = harness.store();
    let old = store.tail(Offset(2), 2, BRIEF).await.unwrap();
    assert_eq!(old.iter().map(|(o, _)| o.0).collect::<Vec<_>>(), vec![3, 4]);
    assert_eq!(*old[0].1, batch(id, &[good(DAY + 2, 2.0)]));
    append(&store, id, &[good(DAY + 5, 5.0)]).await;
    let rest = store.tail(Offset(4), 9, BRIEF).await.unwrap();
    assert_eq!(rest.iter().map(|(o, _)| o.0).collect::<Vec<_>>(), vec![5, 6]);
    assert_eq!(store.status().await.unwrap().held.get("test"), Some(&0));
}

pub(crate) async fn tail_waits_and_wakes(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    assert_eq!(store.tail(Offset(0), 9, BRIEF).await.unwrap(), vec![]);
    let followers: Vec<_> = (0..4)
        .map(|_| {
            let store = harness.store();
            tokio::spawn(async move { store.tail(Offset(0), 9, LONG).await.unwrap() })
        })
        .collect();
    let started = std::time::Instant::now();
    append(&store, id, &[good(DAY, 1.0)]).await;
    for follower in followers {
        assert_eq!(follower.await.unwrap()[0].0, Offset(1));
    }
    assert!(started.elapsed() < LONG, "woken by the append, not by the end of the wait");
}

pub(crate) async fn held_readers_keep_the_log(harness: &mut impl Harness) {
    let store = harness.store();
    let id = sensor(&store, "flow").await;
    store.hold("slow", Offset(0)).await.unwrap();
    store.hold("quick", Offset(0)).await.unwrap();
    for i in 0..10 {
        append(&store, id, &[good(DAY + i, i as f64)]).await;
    }
    store.hold("quick", Offset(9)).await.unwrap();
    store.hold("slow", Offset(4)).await.unwrap();
    drop(store);
    harness.seal().await;
    harness.reopen().await;
    let store = harness.store();
    // What the slower one has not finished is there.
    let kept = store.tail(Offset(4), 99, BRIEF).await.unwrap();
    assert_eq!(kept.iter().map(|(o, _)| o.0).collect::<Vec<_>>(), (5..=10).collect::<Vec<_>>());
    // What both have finished goes, and a reader learns that it is gone.
    store.hold("slow", Offset(9)).await.unwrap();
    store.hold("quick", Offset(10)).await.unwrap();
    let deadline = tokio::time::Instant::now() + LONG;
    loop {
        append(&store, id, &[good(DAY + 77, 1.0)]).await;
        harness.seal().await;
        drop(store.tail(Offset(9), 1, BRIEF).await.unwrap());
        match store.tail(Offset(3), 1, BRIEF).await {
            Err(SeriesError::Truncated { wanted, oldest }) => {
                assert_eq!(wanted, Offset(3));
                assert!(oldest > Offset(3) && oldest <= Offset(9));
                break;
            }
            Ok(some) => assert_eq!(some[0].0, Offset(4), "no gap without a word"),
            Err(other) => panic!("{other}"),
        }
        assert!(tokio::time::Instant::now() < deadline, "the log was never truncated");
    }
}
