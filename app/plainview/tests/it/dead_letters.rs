//! An event that an agent cannot handle: it is set aside with its cause, kept over `kill -9`, and
//! once the fault is mended it is replayed and takes effect once.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{DEADLINE, Plainview, Setup};
use crate::receivers::HookSink;

const LETTERS: &str = "/api/v1/dead-letters?limit=200";
/// What the agent writes to, and what takes it away.
const BREAK: &str = "ALTER TABLE notifications RENAME TO notifications_away";
const MEND: &str = "ALTER TABLE notifications_away RENAME TO notifications";

/// The letter about `event` that waits, and is not the one with the id `not`.
async fn waiting(plainview: &Plainview, event: &Value, not: Option<i64>) -> Value {
    plainview
        .item(LETTERS, |letter| {
            letter["event"]["id"] == event["id"]
                && letter["state"] == "waiting"
                && letter["agent"] == "notification"
                && letter["id"].as_i64() != not
        })
        .await
}

async fn replay(plainview: &Plainview, letter: &Value) -> u16 {
    let path = format!("/api/v1/dead-letters/{}/replay", letter["id"]);
    plainview.post(&path, &json!({})).await.0
}

/// Messages about `event` to the pages.
async fn messages(plainview: &Plainview, event: &Value) -> usize {
    let page = plainview.get("/api/v1/notifications?limit=200&channel=in_app").await;
    let all = page["items"].as_array().unwrap();
    all.iter().filter(|message| message["about"]["event_id"] == event["id"]).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_kept_over_a_kill_and_its_replay_takes_effect_once() {
    let hook = HookSink::start().await;
    let settings = format!(
        "[events]\nretry_delay_seconds = 0.05\n[notifications]\nallow_private = true\n\
         [[notifications.webhooks]]\nurl = \"{}\"\nsecret = \"whsec_cGxhaW52aWV3LXRlc3RzLXNpZ24td2l0aC10aGlz\"\n",
        hook.url
    );
    let mut plainview = Setup::default().file(&settings).start().await;
    plainview.sql(BREAK).await;
    let (status, started) =
        plainview.post("/api/v1/demo/golden-path?target_anomaly_rate=0.3", &json!({})).await;
    assert_eq!(status, 202, "{started}");
    let chain = started["correlation_id"].as_str().unwrap();
    let path = format!("types=decision.requested&correlation_id={chain}");
    let event = plainview
        .until(DEADLINE, "a question", async |it| it.events(&path).await.into_iter().next())
        .await;

    let letter = waiting(&plainview, &event, None).await;
    assert_eq!(letter["attempts"], 4, "one and three again: {letter}");
    assert!(letter["error"].as_str().unwrap().contains("notifications"), "{letter}");
    let said = format!("types=dead_letter.added&subject=dead-letter/{}", letter["id"]);
    assert_eq!(plainview.events(&said).await.len(), 1);

    plainview.kill();
    plainview.launch().await;
    let kept = waiting(&plainview, &event, None).await;
    assert_eq!((&kept["id"], &kept["error"]), (&letter["id"], &letter["error"]));

    // Too early: it comes back as a letter of its own.
    assert_eq!(replay(&plainview, &letter).await, 200);
    assert_eq!(replay(&plainview, &letter).await, 409, "it was replayed");
    let again = waiting(&plainview, &event, letter["id"].as_i64()).await;

    plainview.sql(MEND).await;
    assert_eq!(messages(&plainview, &event).await, 0);
    let (one, other) = tokio::join!(replay(&plainview, &again), replay(&plainview, &again));
    assert_eq!(one.min(other), 200);
    assert_eq!(one.max(other), 409, "two at once are one");
    // What was answered with 200 is durable, whatever the agent had done by now.
    plainview.kill();
    plainview.launch().await;
    plainview
        .until(DEADLINE, "the message", async |it| (messages(it, &event).await > 0).then_some(()))
        .await;
    // A webhook that a kill cut off is called again under the same id.
    let hooked = || {
        let hooks = hook.hooks().into_iter().filter(|hook| hook.event()["id"] == event["id"]);
        hooks.map(|hook| hook.id).collect::<BTreeSet<_>>().len()
    };
    plainview.until(DEADLINE, "the webhook", async |_| (hooked() > 0).then_some(())).await;

    // The events that came after it went through too, and nothing came twice.
    plainview
        .until(DEADLINE, "everything handled", async |it| {
            let agents = it.get("/api/v1/agents").await;
            let agent = agents["items"].as_array()?.iter().find(|a| a["name"] == "notification")?;
            (agent["lag"].as_u64() == Some(0)).then_some(())
        })
        .await;
    assert_eq!(messages(&plainview, &event).await, 1);
    assert_eq!(hooked(), 1);
    let letters = plainview.get(LETTERS).await;
    let about = letters["items"].as_array().unwrap().iter();
    let about: Vec<&Value> = about.filter(|it| it["event"]["id"] == event["id"]).collect();
    assert!(about.iter().all(|letter| letter["state"] == "replayed"), "{about:?}");
}
