use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bus::{Agent, HandlerError};

use crate::site::{effect, run, sites, until};

#[tokio::test]
async fn pruning_spares_what_is_unfinished() {
    for site in sites().await {
        let poisoned = Arc::new(AtomicBool::new(true));
        let switch = Arc::clone(&poisoned);
        let agent = Agent::consumer("picky", "Picky", &["a"], move |event, tx| {
            let fail = event.data["n"] == 1 && switch.load(Ordering::SeqCst);
            Box::pin(async move {
                if fail { Err(HandlerError::poison("no")) } else { effect(event, tx).await }
            })
        });
        let coordinator = run(&site.bus, vec![agent]);
        for n in 0..3 {
            site.say("a", "x", n).await;
        }
        site.until_effects(2).await;
        site.until_idle(&coordinator).await;
        coordinator.stop().await;
        site.say("a", "x", 3).await;

        assert_eq!(site.bus.prune(site.bus.clock().now().minus(HOUR)).await.unwrap(), 0);
        // The first and the third are done; the second is a waiting letter, the rest is ahead.
        assert_eq!(site.bus.prune(site.later()).await.unwrap(), 2);
        let left: Vec<_> =
            site.said("a").await.into_iter().map(|(_, e)| e.data["n"].clone()).collect();
        assert_eq!(left, [1, 3]);

        poisoned.store(false, Ordering::SeqCst);
        let letter = site.bus.dead_letters(None, 1).await.unwrap().remove(0);
        site.bus.replay_letter(letter.id).await.unwrap();
        assert_eq!(site.bus.prune(site.later()).await.unwrap(), 0, "it is parked now");
        let agent =
            Agent::consumer("picky", "Picky", &["a"], |event, tx| Box::pin(effect(event, tx)));
        let coordinator = run(&site.bus, vec![agent]);
        site.until_effects(4).await;
        site.until_idle(&coordinator).await;
        coordinator.stop().await;
        assert!(site.bus.prune(site.later()).await.unwrap() >= 1);
        assert_eq!(site.numbers("x").await, [0, 2, 1, 3]);
    }
}

const HOUR: std::time::Duration = std::time::Duration::from_secs(3_600);

#[tokio::test]
async fn an_agent_without_events_of_its_own_does_not_hold_up_pruning_for_ever() {
    for site in sites().await {
        let agent = Agent::consumer("idle", "Idle", &["never"], |_, _| Box::pin(async { Ok(()) }));
        let coordinator = run(&site.bus, vec![agent]);
        let tx = site.bus.records().begin().await.unwrap();
        for n in 0..1_100 {
            let draft = testkit::draft("a", "x", serde_json::json!({ "n": n }));
            site.bus.publish(&tx, "tests", draft).await.unwrap();
        }
        tx.commit().await.unwrap();
        site.bus.rewind("unrelated", bus::Offset(0)).await.unwrap();
        assert_eq!(site.bus.prune(site.later()).await.unwrap(), 0);
        assert!(site.bus.forget("unrelated").await.unwrap());
        assert!(!site.bus.forget("unrelated").await.unwrap());
        until("the idle agent's place moved", || async {
            // Any wake does; a rewind of another agent is one.
            site.bus.prune(site.later()).await.unwrap() == 1_100
        })
        .await;
        coordinator.stop().await;
    }
}
