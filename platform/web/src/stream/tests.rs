use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures_util::StreamExt;
use kernel::EventDraft;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceExt;

use crate::WebSettings;
use crate::test_world::World;

/// Far longer than any of these tests needs.
const DEADLINE: Duration = Duration::from_secs(20);

/// One event as a browser would understand it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    id: Option<i64>,
    event: String,
    data: Value,
}

/// Reads a stream block by block, as a browser does.
struct Browser {
    body: axum::body::BodyDataStream,
    text: String,
}

impl Browser {
    async fn open(world: &World, path: &str, last: Option<i64>) -> Self {
        let mut request = Request::get(path);
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let response =
            world.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next block, comments too; `None` when the stream ended.
    async fn block(&mut self) -> Option<Seen> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let mut seen = Seen::default();
                for line in block.lines() {
                    match line.split_once(": ") {
                        Some(("id", id)) => seen.id = Some(id.parse().unwrap()),
                        Some(("event", event)) => event.clone_into(&mut seen.event),
                        Some(("data", data)) => seen.data = serde_json::from_str(data).unwrap(),
                        _ => {}
                    }
                }
                self.text = rest.to_owned();
                return Some(seen);
            }
            let chunk = timeout(DEADLINE, self.body.next()).await.expect("the stream is silent")?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    async fn event(&mut self) -> Option<Seen> {
        let next = async {
            loop {
                let seen = self.block().await?;
                if !seen.event.is_empty() {
                    return Some(seen);
                }
            }
        };
        timeout(DEADLINE, next).await.expect("no event came")
    }
}

#[tokio::test]
async fn what_happens_is_said_once_and_in_order() {
    let world = World::new().await;
    world.publish("odd.before", "odd/1", json!({})).await;
    let mut browser = Browser::open(&world, "/events", None).await;
    let greeting = browser.block().await.unwrap();
    assert_eq!(greeting.id, Some(world.bus.head().await.unwrap().0));
    world.publish("odd.happened", "odd/1", json!({ "number": 1 })).await;
    let seen = browser.event().await.unwrap();
    assert_eq!((seen.event.as_str(), &seen.data["data"]["number"]), ("odd.happened", &json!(1)));
    assert_eq!(seen.data["specversion"], "1.0");
    assert!(seen.id > greeting.id);
}

#[tokio::test]
async fn filters_choose_by_type_subject_and_correlation() {
    let world = World::new().await;
    let draft =
        EventDraft::new(kernel::EventType::new("odd.ended", 1), "odd/1", &json!({})).unwrap();
    let correlation = draft.correlation;
    let paths = [
        "/events?types=odd.ended,odd.other&last_event_id=0".to_owned(),
        "/events?subject=odd/1&types=odd.ended&last_event_id=0".to_owned(),
        format!("/events?correlation_id={correlation}&last_event_id=0"),
    ];
    world.publish("odd.happened", "odd/1", json!({})).await;
    let mut browsers = Vec::new();
    for path in &paths {
        browsers.push(Browser::open(&world, path, None).await);
    }
    world.publish("odd.happened", "odd/2", json!({})).await;
    let tx = world.bus.records().begin().await.unwrap();
    world.bus.publish(&tx, "odd", draft).await.unwrap();
    tx.commit().await.unwrap();
    for browser in &mut browsers {
        assert_eq!(browser.event().await.unwrap().event, "odd.ended");
    }
    let bad = world.get("/events?last_event_id=-1").await;
    assert_eq!(bad.problem(), "parameters-invalid");
}

#[tokio::test]
async fn announcements_come_without_an_id() {
    let world = World::new().await;
    let mut browser = Browser::open(&world, "/events?types=odd.tick", None).await;
    browser.block().await.unwrap();
    let draft = EventDraft::new(kernel::EventType::new("odd.tick", 1), "odd", &json!({})).unwrap();
    let event = draft.seal("odd", world.bus.clock().now());
    // The reader is live a moment after its greeting; what is only announced before is not kept.
    let announcing = async {
        loop {
            world.bus.announce(event.clone());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let seen =
        tokio::select! { seen = browser.event() => seen.unwrap(), () = announcing => return };
    assert_eq!((seen.event.as_str(), seen.id), ("odd.tick", None));
}

#[tokio::test]
async fn an_id_of_another_log_is_told_so() {
    let world = World::new().await;
    let mut browser = Browser::open(&world, "/events", Some(1_000_000)).await;
    assert_eq!(browser.event().await.unwrap().event, "stream.reset");
}

const AUTHORS: i64 = 4;
const EVENTS_EACH: i64 = 150;

/// Four tasks publish while readers come, go and come back: each sees every event once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn resuming_leaves_no_gap_and_repeats_nothing() {
    let world = std::sync::Arc::new(World::new().await);
    let authors: Vec<_> = (0..AUTHORS)
        .map(|author| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move {
                for number in 0..EVENTS_EACH {
                    let data = json!({ "author": author, "number": number });
                    world.publish("odd.happened", &format!("odd/{author}"), data).await;
                }
            })
        })
        .collect();
    let readers = (0..3).map(|reader| read_all(&world, 7 + 20 * reader));
    let seen = futures_util::future::join_all(readers).await;
    for author in authors {
        author.await.unwrap();
    }
    for seen in seen {
        let ids: Vec<i64> = seen.iter().filter_map(|seen| seen.id).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "out of order or repeated");
        let mut next: BTreeMap<i64, i64> = BTreeMap::new();
        for event in &seen {
            let author = event.data["data"]["author"].as_i64().unwrap();
            let expected = next.entry(author).or_default();
            assert_eq!(event.data["data"]["number"], *expected, "a gap in author {author}");
            *expected += 1;
        }
    }
}

/// Reads everything, hanging up after every `patience` events.
async fn read_all(world: &World, patience: usize) -> Vec<Seen> {
    let wanted = usize::try_from(AUTHORS * EVENTS_EACH).unwrap();
    let mut seen = Vec::new();
    let mut last = 0;
    while seen.len() < wanted {
        let mut browser = Browser::open(world, "/events", Some(last)).await;
        for _ in 0..patience.min(wanted - seen.len()) {
            let event = browser.event().await.unwrap();
            last = event.id.unwrap();
            seen.push(event);
        }
    }
    seen
}

#[tokio::test]
async fn a_slow_reader_is_dropped_and_can_resume() {
    let world = World::new().await;
    let mut slow = Browser::open(&world, "/events", None).await;
    let mut keen = Browser::open(&world, "/events", None).await;
    let mut last = 0;
    // By its second event a reader has joined the live ones.
    for _ in 0..2 {
        world.publish("odd.happened", "odd/1", json!({})).await;
        last = slow.event().await.unwrap().id.unwrap();
        keen.event().await.unwrap();
    }
    // It takes nothing while more happens than may wait for it.
    let (batches, batch) = (12, 100);
    for _ in 0..batches {
        let tx = world.bus.records().begin().await.unwrap();
        for _ in 0..batch {
            let kind = kernel::EventType::new("odd.happened", 1);
            let draft = EventDraft::new(kind, "odd/1", &json!({})).unwrap();
            world.bus.publish(&tx, "odd", draft).await.unwrap();
        }
        tx.commit().await.unwrap();
        for _ in 0..batch {
            keen.event().await.unwrap();
        }
    }
    let mut taken = 0;
    while let Some(event) = slow.event().await {
        last = event.id.unwrap();
        taken += 1;
    }
    assert!(taken < batches * batch, "the slow reader was served everything");
    let mut back = Browser::open(&world, "/events", Some(last)).await;
    for number in taken..batches * batch {
        last += 1;
        assert_eq!(back.event().await.unwrap().id, Some(last), "event {number}");
    }
}

#[tokio::test]
async fn streams_are_counted_and_end_with_the_program() {
    let world = World::with(WebSettings { streams_max: 2, ..WebSettings::default() }).await;
    let mut first = Browser::open(&world, "/events", None).await;
    let second = Browser::open(&world, "/events", None).await;
    let refused = world.get("/events").await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, "streams-full"));
    assert_eq!(refused.header("retry-after"), "10");
    drop(second);
    let mut third = Browser::open(&world, "/events", None).await;
    world.stop.cancel();
    assert_eq!(first.event().await, None);
    assert_eq!(third.event().await, None);
}
