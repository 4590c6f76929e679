//! The event stream: named, filtered, resumed without a gap.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;

use crate::harness::{DEADLINE, Plainview};

/// Reads events until `wanted` of them have come; their ids and types.
async fn listen(
    plainview: &Plainview,
    query: &str,
    after: u64,
    wanted: usize,
) -> Vec<(u64, String)> {
    let mut seen = Vec::new();
    let answer = plainview
        .request(reqwest::Method::GET, &format!("/events?{query}"))
        .header("Last-Event-ID", after.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let mut stream = answer.bytes_stream();
    let mut text = String::new();
    while seen.len() < wanted {
        let next = tokio::time::timeout(DEADLINE, stream.next()).await;
        let chunk = next.expect("the stream went silent").unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        // What came along in the same chunk is left: the next listener must get it again.
        while seen.len() < wanted
            && let Some((frame, rest)) = text.split_once("\n\n")
        {
            let field = |name: &str| {
                frame.lines().find_map(|line| line.strip_prefix(name)).map(|v| v.trim().to_owned())
            };
            if let (Some(id), Some(kind)) = (field("id:"), field("event:")) {
                seen.push((id.parse().unwrap(), kind));
            }
            text = rest.to_owned();
        }
    }
    seen
}

async fn schedule(plainview: &Plainview, count: usize) {
    for number in 0..count {
        let (status, answer) = plainview
            .post(
                "/api/v1/maintenance/schedule",
                &json!({
                    "asset": "north/p-2", "title": format!("job {number}"),
                    "starts_at": "2027-01-04T08:00:00Z", "duration_h": 1.0,
                }),
            )
            .await;
        assert!((200..300).contains(&status), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_was_away_misses_nothing() {
    let mut plainview = Plainview::start().await;
    schedule(&plainview, 20).await;
    let first = listen(&plainview, "types=maintenance.scheduled", 0, 10).await;
    assert!(first.iter().all(|(_, kind)| kind == "maintenance.scheduled"));
    let last = first.last().unwrap().0;

    plainview.kill();
    plainview.launch().await;
    schedule(&plainview, 5).await;
    let rest = listen(&plainview, "types=maintenance.scheduled", last, 15).await;
    let ids: Vec<u64> = first.iter().chain(&rest).map(|(id, _)| *id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    let all = plainview.events("types=maintenance.scheduled").await;
    assert_eq!(ids.len(), all.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_listener_hears_at_once() {
    let plainview = Plainview::start().await;
    let heard = tokio::join!(listen(&plainview, "types=maintenance.scheduled", 0, 1), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        schedule(&plainview, 1).await;
    });
    assert_eq!(heard.0.len(), 1);
}
