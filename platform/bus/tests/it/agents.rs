use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bus::{Agent, AgentState, HandlerError, Offset};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::site::{effect, run, say, sites, until};

/// Writes an effect of every event of type `a`.
fn recorder() -> Agent {
    Agent::consumer("recorder", "Recorder", &["a"], |event, tx| Box::pin(effect(event, tx)))
}

#[tokio::test]
async fn a_new_agent_begins_at_the_first_event() {
    for site in sites().await {
        for n in 0..100 {
            site.say(if n % 2 == 0 { "a" } else { "b" }, "x", n).await;
        }
        let coordinator = run(&site.bus, vec![recorder()]);
        site.until_effects(50).await;
        site.say("a", "x", 100).await;
        site.until_effects(51).await;
        coordinator.stop().await;
        let even: Vec<i64> = (0..=100).filter(|n| n % 2 == 0).collect();
        assert_eq!(site.numbers("x").await, even);
        let report = coordinator.report().await.unwrap();
        assert_eq!((report[0].handled, report[0].lag), (51, 0));
        assert_eq!(report[0].state, AgentState::Stopped);
    }
}

#[tokio::test]
async fn a_stopped_agent_goes_on_where_it_stood() {
    for site in sites().await {
        for round in 0..3 {
            let coordinator = run(&site.bus, vec![recorder()]);
            for n in 0..10 {
                site.say("a", "x", round * 10 + n).await;
            }
            coordinator.stop().await;
        }
        let coordinator = run(&site.bus, vec![recorder()]);
        site.until_effects(30).await;
        coordinator.stop().await;
        assert_eq!(site.numbers("x").await, (0..30).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_failed_attempt_leaves_no_effect() {
    for site in sites().await {
        let attempts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&attempts);
        let bus = site.bus.clone();
        let agent = Agent::consumer("flaky", "Flaky", &["a"], move |event, tx| {
            let attempt = counted.fetch_add(1, Ordering::SeqCst);
            let bus = bus.clone();
            Box::pin(async move {
                effect(event, tx).await?;
                let echo = testkit::draft("echo", &event.subject, event.data.clone());
                bus.publish(tx, "tests", echo).await.map_err(HandlerError::retry)?;
                match attempt {
                    0 => Err(HandlerError::retry("not yet")),
                    1 => panic!("what a mess"),
                    _ => Ok(()),
                }
            })
        });
        let coordinator = run(&site.bus, vec![agent]);
        site.say("a", "x", 7).await;
        site.until_effects(1).await;
        coordinator.stop().await;
        assert_eq!(site.numbers("x").await, [7]);
        assert_eq!(site.said("echo").await.len(), 1);
        assert_eq!(attempts.load(Ordering::SeqCst), 3);
        let report = &coordinator.report().await.unwrap()[0];
        assert_eq!((report.handled, report.failed), (1, 2));
        assert_eq!(report.last_error.as_deref(), Some("panicked: what a mess"));
    }
}

/// Events of several subjects under random failures: each takes effect once, and those of one
/// subject in order.
#[tokio::test]
async fn subjects_keep_their_order_under_failures() {
    for seed in [1, 20_261_119, 0xfeed] {
        for site in sites().await {
            const SUBJECTS: usize = 7;
            const EVENTS: i64 = 140;
            let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
            let attempts = Arc::new(Mutex::new(BTreeMap::new()));
            let agent = Agent::consumer("shaky", "Shaky", &["a"], move |event, tx| {
                let unlucky = random.lock().unwrap().random_bool(0.4);
                let mut attempts = attempts.lock().unwrap();
                let attempt = attempts.entry(event.id).or_insert(0);
                *attempt += 1;
                // The last attempt succeeds, so that nothing is given up.
                let fail = unlucky && *attempt <= 3;
                Box::pin(async move {
                    effect(event, tx).await?;
                    if fail { Err(HandlerError::retry("unlucky")) } else { Ok(()) }
                })
            });
            let coordinator = run(&site.bus, vec![agent]);
            let mut expected: BTreeMap<String, Vec<i64>> = BTreeMap::new();
            let mut dice = StdRng::seed_from_u64(seed ^ 0xd1ce);
            for n in 0..EVENTS {
                let subject = format!("s{}", dice.random_range(0..SUBJECTS));
                site.say("a", &subject, n).await;
                expected.entry(subject).or_default().push(n);
            }
            site.until_idle(&coordinator).await;
            coordinator.stop().await;
            for (subject, numbers) in expected {
                assert_eq!(site.numbers(&subject).await, numbers, "{subject}, seed {seed}");
            }
        }
    }
}

#[tokio::test]
async fn a_failing_agent_stops_no_other() {
    for site in sites().await {
        let broken = Agent::consumer("broken", "Broken", &["a"], |_, _| {
            Box::pin(async { Err(HandlerError::retry("always")) })
        });
        let crashing = Agent::task("crashing", "Crashing", |_| Box::pin(async { panic!("down") }));
        let coordinator = run(&site.bus, vec![broken, recorder(), crashing]);
        for n in 0..20 {
            site.say("a", "x", n).await;
        }
        site.until_effects(20).await;
        coordinator.stop().await;
        assert_eq!(site.numbers("x").await, (0..20).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_task_is_started_again_and_its_failures_show() {
    for site in sites().await {
        let starts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&starts);
        let task = Agent::task("shaky", "Shaky", move |context| {
            let start = counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                match start {
                    0 => Err("no plant".into()),
                    1 => panic!("no plant at all"),
                    _ => {
                        context.handle.progress(5, 2);
                        context.stop.cancelled().await;
                        Ok(())
                    }
                }
            })
        });
        let coordinator = run(&site.bus, vec![task]);
        until("the task runs", || async { starts.load(Ordering::SeqCst) == 3 }).await;
        until("it reports", || async { coordinator.report().await.unwrap()[0].handled == 5 }).await;
        let report = coordinator.report().await.unwrap().remove(0);
        assert_eq!((report.restarts, report.failed, report.lag), (2, 2, 2));
        assert_eq!(report.last_error.as_deref(), Some("panicked: no plant at all"));
        assert_eq!(report.state, AgentState::Running);
        coordinator.stop().await;
        assert_eq!(coordinator.report().await.unwrap()[0].state, AgentState::Stopped);
        // The second crash came within the minute in which one is told only once.
        let told = site.said("agent.failed").await;
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].1.data["agent"], "shaky");
        assert_eq!(told[0].1.data["error"], "no plant");
        assert_eq!(told[0].1.source, "plainview/bus");
    }
}

#[tokio::test]
async fn stopping_lets_the_current_event_commit() {
    for site in sites().await {
        let begun = Arc::new(tokio::sync::Notify::new());
        let tell = Arc::clone(&begun);
        let slow = Agent::consumer("slow", "Slow", &["a"], move |event, tx| {
            let tell = Arc::clone(&tell);
            Box::pin(async move {
                tell.notify_one();
                tokio::time::sleep(Duration::from_millis(100)).await;
                effect(event, tx).await
            })
        });
        site.say("a", "x", 1).await;
        site.say("a", "x", 2).await;
        let coordinator = run(&site.bus, vec![slow]);
        begun.notified().await;
        let stopping = Instant::now();
        coordinator.stop().await;
        assert!(stopping.elapsed() < Duration::from_secs(10));
        assert_eq!(site.numbers("x").await, [1]);
    }
}

#[tokio::test]
async fn a_rewound_agent_handles_again() {
    for site in sites().await {
        for n in 0..3 {
            site.say("a", "x", n).await;
        }
        let coordinator = run(&site.bus, vec![recorder()]);
        site.until_effects(3).await;
        let (second, _) = site.said("a").await[1];
        coordinator.rewind("recorder", second).await.unwrap();
        site.until_effects(4).await;
        coordinator.rewind("recorder", Offset(0)).await.unwrap();
        site.until_effects(7).await;
        coordinator.stop().await;
        assert_eq!(site.numbers("x").await, [0, 1, 2, 2, 0, 1, 2]);
    }
}

#[tokio::test]
async fn two_agents_of_one_name_are_one_too_many() {
    for site in sites().await {
        let coordinator = run(&site.bus, vec![recorder(), recorder()]);
        say(&site.bus, "a", "x", 1).await;
        site.until_effects(1).await;
        let report = coordinator.report().await.unwrap();
        assert_eq!(report.iter().filter(|r| r.state == AgentState::Stopped).count(), 1);
        coordinator.stop().await;
        assert_eq!(site.numbers("x").await, [1]);
    }
}
