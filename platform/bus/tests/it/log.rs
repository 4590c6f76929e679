use std::collections::BTreeSet;
use std::time::Duration;

use bus::{BusError, Filter, Offset};
use kernel::EventDraft;
use serde_json::json;
use testkit::{CorrelatedDrafts, draft};

use crate::site::{open, say, sites};

#[tokio::test]
async fn an_event_comes_back_as_it_was_said() {
    for site in sites().await {
        let first = site.say("test.first", "a", 1).await;
        let tx = site.bus.records().begin().await.unwrap();
        let said = draft("test.second", "ü/\u{202e}b", json!({"text": "\0\"'; DROP", "x": 0.1}));
        let second = site.bus.publish(&tx, "tests", said.caused_by(&first)).await.unwrap();
        tx.commit().await.unwrap();
        let log = site.bus.read(Offset(0), &Filter::default(), 10).await.unwrap();
        let events: Vec<_> = log.iter().map(|(_, event)| event.clone()).collect();
        assert_eq!(events, [first, second]);
        assert!(log[0].0 < log[1].0);
        assert_eq!(site.bus.head().await.unwrap(), log[1].0);
    }
}

#[tokio::test]
async fn filters_choose_by_type_subject_and_correlation() {
    for site in sites().await {
        let chain = CorrelatedDrafts { correlation: kernel::CorrelationId::new() };
        let tx = site.bus.records().begin().await.unwrap();
        for (kind, subject) in [("a", "x"), ("b", "x"), ("a", "y"), ("c", "z")] {
            site.bus.publish(&tx, "tests", draft(kind, subject, json!({}))).await.unwrap();
        }
        site.bus.publish(&tx, "tests", chain.draft("a", "x", json!({}))).await.unwrap();
        tx.commit().await.unwrap();
        let count = async |types: &[&str], subjects: &[&str], correlation| {
            let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
            let filter = Filter { types: owned(types), subjects: owned(subjects), correlation };
            site.bus.read(Offset(0), &filter, 100).await.unwrap().len()
        };
        assert_eq!(count(&[], &[], None).await, 5);
        assert_eq!(count(&["a", "b"], &[], None).await, 4);
        assert_eq!(count(&["a"], &["x"], None).await, 2);
        assert_eq!(count(&[], &[], Some(chain.correlation)).await, 1);
        assert_eq!(count(&["b"], &[], Some(chain.correlation)).await, 0);
    }
}

#[tokio::test]
async fn what_is_rolled_back_was_never_said() {
    for site in sites().await {
        let tx = site.bus.records().begin().await.unwrap();
        site.bus.publish(&tx, "tests", draft("a", "x", json!({}))).await.unwrap();
        tx.rollback().await.unwrap();
        let tx = site.bus.records().begin().await.unwrap();
        site.bus.publish(&tx, "tests", draft("a", "x", json!({}))).await.unwrap();
        drop(tx);
        let kept = site.say("a", "x", 3).await;
        let log = site.bus.read(Offset(0), &Filter::default(), 10).await.unwrap();
        assert_eq!(log.len(), 1);
        assert_eq!(log[0].1, kept);
    }
}

#[tokio::test]
async fn oversized_events_are_refused() {
    for site in sites().await {
        let tx = site.bus.records().begin().await.unwrap();
        let large = draft("a", "x", json!({ "text": "x".repeat(2 << 20) }));
        let refused = site.bus.publish(&tx, "tests", large).await;
        assert!(matches!(refused, Err(BusError::TooLarge { .. })));
        for subject in ["s".repeat(513), "nul\0".to_owned()] {
            let refused = site.bus.publish(&tx, "tests", draft("a", &subject, json!({}))).await;
            assert!(matches!(refused, Err(BusError::BadSubject { .. })));
        }
        tx.commit().await.unwrap();
        assert_eq!(site.bus.head().await.unwrap(), Offset(0));
    }
}

#[tokio::test]
async fn many_at_once_keep_their_order() {
    for site in sites().await {
        for count in [0, 1, 9, 64, 147] {
            let before = site.bus.head().await.unwrap();
            let tx = site.bus.records().begin().await.unwrap();
            let drafts = (0..count).map(|n| draft("a", "x", json!({ "n": n })));
            let events = site.bus.publish_all(&tx, "tests", drafts).await.unwrap();
            tx.commit().await.unwrap();
            let log = site.bus.read(before, &Filter::default(), 1_000).await.unwrap();
            assert_eq!(log.into_iter().map(|(_, event)| event).collect::<Vec<_>>(), events);
            assert_eq!(events.len(), count);
        }
        let tx = site.bus.records().begin().await.unwrap();
        let mixed = [draft("a", "x", json!({})), draft("a", "nul\0", json!({}))];
        assert!(site.bus.publish_all(&tx, "tests", mixed).await.is_err());
        let head = site.bus.head().await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(site.bus.head().await.unwrap(), head);
    }
}

/// Posters share commits; each event is there once when its poster is told, in the order of its
/// poster, and a cancelled poster harms no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn posts_share_commits() {
    for site in sites().await {
        let commits = site.bus.records().commits();
        let before = *commits.borrow();
        let mut posters = tokio::task::JoinSet::new();
        for poster in 0..32 {
            let bus = site.bus.clone();
            posters.spawn(async move {
                for n in 0..10 {
                    let said = draft("a", &format!("p{poster}"), json!({ "n": n }));
                    let event = bus.post("tests", said.clone()).await.unwrap();
                    let filter =
                        Filter { subjects: vec![event.subject.clone()], ..Filter::default() };
                    let log = bus.read(Offset(0), &filter, 100).await.unwrap();
                    assert_eq!(log.last().unwrap().1, event);
                    let ghost = EventDraft { subject: "ghost".to_owned(), ..said };
                    drop(tokio::time::timeout(Duration::ZERO, bus.post("tests", ghost)).await);
                }
            });
        }
        while let Some(done) = posters.join_next().await {
            done.unwrap();
        }
        for poster in 0..32 {
            let filter = Filter { subjects: vec![format!("p{poster}")], ..Filter::default() };
            let log = site.bus.read(Offset(0), &filter, 100).await.unwrap();
            let numbers: Vec<_> = log.iter().map(|(_, e)| e.data["n"].as_i64().unwrap()).collect();
            assert_eq!(numbers, (0..10).collect::<Vec<_>>());
        }
        let used = *commits.borrow() - before;
        assert!(used < 320, "{used} commits for 320 posts share nothing");
        let refused = site.bus.post("tests", draft("a", &"s".repeat(600), json!({}))).await;
        assert!(matches!(refused, Err(BusError::BadSubject { .. })));
    }
}

#[tokio::test]
async fn a_tail_waits_and_wakes() {
    for site in sites().await {
        let all = Filter::default();
        let none = site.bus.tail(Offset(0), &all, 10, Duration::from_millis(20)).await.unwrap();
        assert!(none.is_empty());
        let tailing = site.bus.tail(Offset(0), &all, 10, Duration::from_secs(30));
        let (found, said) = tokio::join!(tailing, site.say("a", "x", 1));
        assert_eq!(found.unwrap()[0].1, said);
    }
}

/// Eight publishers race, some of them roll back, half of them in another process; readers that
/// start anywhere see every committed event after their start once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_miss_nothing_while_publishers_race() {
    const PUBLISHERS: i64 = 8;
    const EACH: i64 = 60;
    for site in sites().await {
        let other = open(site.database.url()).await;
        let mut publishers = tokio::task::JoinSet::new();
        for publisher in 0..PUBLISHERS {
            let bus = if publisher % 2 == 0 { site.bus.clone() } else { other.clone() };
            publishers.spawn(async move {
                for n in 0..EACH {
                    say(&bus, "kept", &format!("p{publisher}"), n).await;
                    if n % 5 == 0 {
                        let tx = bus.records().begin().await.unwrap();
                        let ghost = draft("ghost", "nobody", json!({}));
                        bus.publish(&tx, "tests", ghost).await.unwrap();
                        tokio::task::yield_now().await;
                        tx.rollback().await.unwrap();
                    }
                }
            });
        }
        let expected = usize::try_from(PUBLISHERS * EACH).unwrap();
        let readers = [3, 64, 1_000].map(|limit| {
            let bus = site.bus.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                let mut after = Offset(0);
                while seen.len() < expected {
                    let wait = Duration::from_secs(30);
                    let found = bus.tail(after, &Filter::default(), limit, wait).await.unwrap();
                    assert!(!found.is_empty(), "the log dried up at {} events", seen.len());
                    for (offset, event) in found {
                        assert!(offset > after, "out of order");
                        after = offset;
                        seen.push((offset, event));
                    }
                }
                seen
            })
        });
        while let Some(done) = publishers.join_next().await {
            done.unwrap();
        }
        for reader in readers {
            let seen = reader.await.unwrap();
            let ids: BTreeSet<_> = seen.iter().map(|(_, event)| event.id).collect();
            assert_eq!(ids.len(), expected);
            for publisher in 0..PUBLISHERS {
                let subject = format!("p{publisher}");
                let numbers = seen.iter().filter(|(_, event)| event.subject == subject);
                let numbers: Vec<_> =
                    numbers.map(|(_, event)| event.data["n"].as_i64().unwrap()).collect();
                assert_eq!(numbers, (0..EACH).collect::<Vec<_>>());
            }
            let middle = seen[expected / 2].0;
            let rest = site.bus.read(middle, &Filter::default(), 1_000).await.unwrap();
            assert_eq!(rest, seen[expected / 2 + 1..]);
        }
    }
}
