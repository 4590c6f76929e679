use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bus::{Agent, BusError, Coordinator, DeadLetterState, HandlerError, RetryPolicy};

use crate::site::{effect, quick, run, sites, until};

#[derive(Debug, thiserror::Error)]
#[error("cannot read the valve")]
struct Broken(#[source] std::io::Error);

/// Fails on number 13 while `poisoned`, and counts its attempts at it.
fn superstitious(poisoned: &Arc<AtomicBool>, attempts: &Arc<AtomicU32>) -> Agent {
    let (poisoned, attempts) = (Arc::clone(poisoned), Arc::clone(attempts));
    Agent::consumer("superstitious", "Superstitious", &["a"], move |event, tx| {
        let unlucky = event.data["n"] == 13;
        let fail = unlucky && poisoned.load(Ordering::SeqCst);
        attempts.fetch_add(u32::from(unlucky), Ordering::SeqCst);
        Box::pin(async move {
            effect(event, tx).await?;
            if fail {
                return Err(HandlerError::retry(Broken(std::io::Error::other("line is dead"))));
            }
            Ok(())
        })
    })
}

#[tokio::test]
async fn a_poisoned_event_becomes_one_letter_and_harms_no_neighbour() {
    for site in sites().await {
        let poisoned = Arc::new(AtomicBool::new(true));
        let attempts = Arc::new(AtomicU32::new(0));
        let coordinator = run(&site.bus, vec![superstitious(&poisoned, &attempts)]);
        for n in 10..20 {
            site.say("a", "unlucky", n).await;
            site.say("a", "other", n).await;
        }
        site.until_idle(&coordinator).await;
        let expected: Vec<i64> = (10..20).filter(|n| *n != 13).collect();
        assert_eq!(site.numbers("other").await, expected);
        assert_eq!(site.numbers("unlucky").await, expected);
        assert_eq!(attempts.load(Ordering::SeqCst), 8, "four attempts for each of two events");

        let letters = site.bus.dead_letters(None, 10).await.unwrap();
        assert_eq!(letters.len(), 2);
        let letter = letters.iter().find(|letter| letter.event.subject == "unlucky").unwrap();
        assert_eq!((letter.attempts, letter.state), (4, DeadLetterState::Waiting));
        assert_eq!(letter.error, "cannot read the valve: line is dead");
        assert_eq!(letter.agent, "superstitious");

        let told = site.said("dead_letter.added").await;
        assert_eq!(told.len(), 2);
        let about = told.iter().find(|(_, event)| event.data["id"] == letter.id).unwrap();
        assert_eq!(about.1.data, serde_json::to_value(letter).unwrap());
        assert_eq!(about.1.causationid, Some(letter.event.id));
        assert_eq!(site.said("agent.failed").await.len(), 1, "told once a minute at most");
        coordinator.stop().await;
    }
}

#[tokio::test]
async fn a_replayed_letter_takes_effect_once() {
    for site in sites().await {
        let poisoned = Arc::new(AtomicBool::new(true));
        let attempts = Arc::new(AtomicU32::new(0));
        let coordinator = run(&site.bus, vec![superstitious(&poisoned, &attempts)]);
        for n in 12..15 {
            site.say("a", "x", n).await;
        }
        site.until_idle(&coordinator).await;
        let letter = site.bus.dead_letters(None, 10).await.unwrap().remove(0);

        // Replayed too early, it becomes another letter.
        site.bus.replay_letter(letter.id).await.unwrap();
        until("it failed again", || async {
            site.bus.dead_letters(None, 10).await.unwrap().len() == 2
        })
        .await;
        let again = site.bus.dead_letters(None, 10).await.unwrap().remove(0);
        assert!(again.id > letter.id && again.state == DeadLetterState::Waiting);
        assert_eq!(site.bus.dead_letters(Some(again.id), 10).await.unwrap()[0].id, letter.id);

        poisoned.store(false, Ordering::SeqCst);
        let replayed = site.bus.replay_letter(again.id).await.unwrap();
        assert_eq!(replayed.state, DeadLetterState::Replayed);
        assert!(replayed.settled_at.is_some());
        site.until_effects(3).await;
        site.until_idle(&coordinator).await;
        assert_eq!(site.numbers("x").await, [12, 14, 13]);
        let settled = site.bus.replay_letter(again.id).await;
        assert!(matches!(settled, Err(BusError::LetterSettled { state: "replayed", .. })));
        coordinator.stop().await;
        assert_eq!(site.numbers("x").await, [12, 14, 13]);
    }
}

#[tokio::test]
async fn a_discarded_letter_stays_readable_and_settled() {
    for site in sites().await {
        let poisoned = Arc::new(AtomicBool::new(true));
        let coordinator = run(&site.bus, vec![superstitious(&poisoned, &Arc::default())]);
        site.say("a", "x", 13).await;
        until("there is a letter", || async {
            !site.bus.dead_letters(None, 10).await.unwrap().is_empty()
        })
        .await;
        let letter = site.bus.dead_letters(None, 10).await.unwrap().remove(0);
        let discarded = site.bus.discard_letter(letter.id, "a test reading").await.unwrap();
        assert_eq!(discarded.state, DeadLetterState::Discarded);
        assert_eq!(discarded.settled_reason.as_deref(), Some("a test reading"));
        assert_eq!(site.bus.dead_letters(None, 10).await.unwrap(), [discarded]);
        let settled = site.bus.discard_letter(letter.id, "again").await;
        assert!(matches!(settled, Err(BusError::LetterSettled { state: "discarded", .. })));
        let unknown = site.bus.replay_letter(letter.id + 1).await;
        assert!(matches!(unknown, Err(BusError::NoSuchLetter { .. })));
        coordinator.stop().await;
    }
}

#[tokio::test]
async fn poison_is_given_up_at_once() {
    for site in sites().await {
        let attempts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&attempts);
        let agent = Agent::consumer("reader", "Reader", &["a"], move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Err(HandlerError::poison("not a reading")) })
        });
        let coordinator = run(&site.bus, vec![agent]);
        site.say("a", "x", 1).await;
        until("there is a letter", || async {
            !site.bus.dead_letters(None, 10).await.unwrap().is_empty()
        })
        .await;
        coordinator.stop().await;
        assert_eq!(attempts.load(Ordering::SeqCst), 1);
        assert_eq!(site.bus.dead_letters(None, 10).await.unwrap()[0].attempts, 1);
    }
}

#[tokio::test]
async fn dead_letters_can_be_switched_off() {
    for site in sites().await {
        let policy = RetryPolicy { dead_letters: false, retries_max: 1, ..quick() };
        let poisoned = Arc::new(AtomicBool::new(true));
        let attempts = Arc::new(AtomicU32::new(0));
        let agents = vec![("tests", superstitious(&poisoned, &attempts))];
        let coordinator = Coordinator::start(site.bus.clone(), agents, policy);
        site.say("a", "x", 13).await;
        site.say("a", "x", 14).await;
        site.until_effects(1).await;
        coordinator.stop().await;
        assert_eq!(site.numbers("x").await, [14]);
        assert_eq!(attempts.load(Ordering::SeqCst), 2);
        assert!(site.bus.dead_letters(None, 10).await.unwrap().is_empty());
        assert!(site.said("dead_letter.added").await.is_empty());
    }
}

/// An agent that cannot read news of dead letters must not make news of dead letters for ever.
#[tokio::test]
async fn failing_at_news_of_failures_ends() {
    for site in sites().await {
        let agent = Agent::consumer("pessimist", "Pessimist", &[], |_, _| {
            Box::pin(async { Err(HandlerError::poison("no")) })
        });
        let coordinator = run(&site.bus, vec![agent]);
        site.say("a", "x", 1).await;
        // The event, the news of its letter and the news of the agent's failure.
        until("three letters", || async {
            site.bus.dead_letters(None, 10).await.unwrap().len() == 3
        })
        .await;
        site.until_idle(&coordinator).await;
        coordinator.stop().await;
        assert_eq!(site.bus.dead_letters(None, 10).await.unwrap().len(), 3);
        assert_eq!(site.bus.head().await.unwrap().0, 3);
    }
}
