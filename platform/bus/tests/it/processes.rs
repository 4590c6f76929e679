use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::{Agent, Bus, Coordinator, HandlerError};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::site::{effect, open, quick, run, say, sites};

/// The process dies when the handler has written and not yet committed.
#[test]
fn a_kill_before_the_commit_leaves_nothing_and_loses_nothing() {
    let outer = tokio::runtime::Runtime::new().unwrap();
    for site in outer.block_on(sites()) {
        outer.block_on(site.say("a", "x", 1));
        let doomed = tokio::runtime::Runtime::new().unwrap();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let url = site.database.url().to_owned();
        doomed.spawn(async move {
            let agent = Agent::consumer("writer", "Writer", &["a"], move |event, tx| {
                let tell = tell.clone();
                Box::pin(async move {
                    effect(event, tx).await?;
                    tell.send(()).map_err(HandlerError::retry)?;
                    std::future::pending().await
                })
            });
            run(&open(&url).await, vec![agent])
        });
        told.recv_timeout(Duration::from_secs(60)).unwrap();
        doomed.shutdown_background();

        outer.block_on(async {
            assert!(site.effects().await.is_empty());
            let agent = Agent::consumer("writer", "Writer", &["a"], |event, tx| {
                Box::pin(effect(event, tx))
            });
            let coordinator = run(&site.bus, vec![agent]);
            site.until_effects(1).await;
            coordinator.stop().await;
            assert_eq!(site.numbers("x").await, [1]);
        });
    }
}

/// Runs `shaky` on `bus` as one of several processes does.
fn worker(bus: &Bus, seed: u64) -> Coordinator {
    let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
    let agent = Agent::consumer("shaky", "Shaky", &["a"], move |event, tx| {
        let unlucky = random.lock().unwrap().random_bool(0.2);
        Box::pin(async move {
            effect(event, tx).await?;
            tokio::task::yield_now().await;
            if unlucky { Err(HandlerError::retry("unlucky")) } else { Ok(()) }
        })
    });
    let policy = bus::RetryPolicy { retries_max: 30, ..quick() };
    Coordinator::start(bus.clone(), vec![("tests", agent)], policy)
}

/// Two processes share an agent's work and one is replaced now and then: every event takes effect
/// once, and those of one subject in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_share_an_agent_without_doubling() {
    const EVENTS: i64 = 120;
    for site in sites().await {
        let other = open(site.database.url()).await;
        let steady = worker(&site.bus, 7);
        let mut fickle = worker(&other, 8);
        let mut expected: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for n in 0..EVENTS {
            let subject = format!("s{}", n % 5);
            let through = if n % 3 == 0 { &other } else { &site.bus };
            say(through, "a", &subject, n).await;
            expected.entry(subject).or_default().push(n);
            if n % 40 == 39 {
                fickle.stop().await;
                fickle = worker(&other, n.unsigned_abs());
            }
        }
        site.until_idle(&steady).await;
        steady.stop().await;
        fickle.stop().await;
        for (subject, numbers) in expected {
            assert_eq!(site.numbers(&subject).await, numbers, "{subject}");
        }
        assert!(site.bus.dead_letters(None, 10).await.unwrap().is_empty());
    }
}

/// Two transactions that lock the same row and publish must not lock each other out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishing_never_deadlocks_with_rows() {
    for site in sites().await {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..8 {
            let bus = site.bus.clone();
            tasks.spawn(async move {
                for n in 0..10 {
                    let tx = bus.records().begin().await.unwrap();
                    let draft = testkit::draft("a", "x", serde_json::json!({ "n": n }));
                    // Half publish before they lock the row, half after.
                    if task % 2 == 0 {
                        bus.publish(&tx, "tests", draft.clone()).await.unwrap();
                    }
                    bus_row(&tx).await;
                    if task % 2 == 1 {
                        bus.publish(&tx, "tests", draft).await.unwrap();
                    }
                    tx.commit().await.unwrap();
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert_eq!(site.said("a").await.len(), 80);
    }
}

async fn bus_row(tx: &store::records::Tx) {
    use sea_orm::ConnectionTrait;
    let text = "INSERT INTO effects (id, subject, number) VALUES (1, 'row', 0) \
                ON CONFLICT (id) DO UPDATE SET number = effects.number + 1";
    tx.conn().execute_unprepared(text).await.unwrap();
}
