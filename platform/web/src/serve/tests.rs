use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::*;
use crate::test_world::World;

const PATIENCE: Duration = Duration::from_secs(20);

async fn start(world: &World) -> (SocketAddr, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (router, settings, stop) =
        (world.router.clone(), world.settings.clone(), world.stop.clone());
    let served = tokio::spawn(async move { serve(listener, router, &settings, stop).await });
    (address, served)
}

async fn open(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Everything until the other side closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("still open").unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn answers_and_drains() {
    let world = World::new().await;
    let (address, served) = start(&world).await;
    let answer =
        rest(open(address, "GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await)
            .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let mut stream = open(address, "GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let idle = open(address, "").await;
    let acting = "POST /api/v1/odd/act HTTP/1.1\r\nhost: a\r\nx-api-key: operator-0123456789\r\n\
        content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let acting = open(address, acting).await;
    let deadline = Instant::now() + PATIENCE;
    while world.effects.load(std::sync::atomic::Ordering::SeqCst) == 0 && Instant::now() < deadline
    {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    world.stop.cancel();
    timeout(PATIENCE, served).await.expect("does not stop").unwrap().unwrap();
    assert!(begun.elapsed() < DRAIN_MAX, "took {:?}", begun.elapsed());
    assert!(rest(acting).await.starts_with("HTTP/1.1 200"));
    drop((stream, idle));
    assert!(TcpStream::connect(address).await.is_err(), "still listening");
}

#[tokio::test]
async fn two_lengths_are_refused() {
    let world = World::new().await;
    let (address, _served) = start(&world).await;
    let twice =
        "GET /health HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab";
    let answer = rest(open(address, twice).await).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn slow_senders_are_cut() {
    let settings = WebSettings {
        header_timeout: Duration::from_millis(100),
        body_timeout: Duration::from_millis(100),
        ..WebSettings::default()
    };
    let world = World::with(settings).await;
    let (address, _served) = start(&world).await;
    let answer = rest(open(address, "GET /health HT").await).await;
    assert!(!answer.contains("200"), "{answer}");
    let dribble = "POST /api/v1/odd/echo HTTP/1.1\r\nhost: a\r\nx-api-key: operator-0123456789\r\n\
        content-type: application/json\r\ncontent-length: 50\r\n\r\n{\"value\"";
    let answer = rest(open(address, dribble).await).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body-too-slow"), "{answer}");
}

/// What a new stream is answered; it is closed again at once.
async fn status(world: &World) -> u16 {
    let request = axum::http::Request::get("/events").body(Body::empty()).unwrap();
    world.router.clone().oneshot(request).await.unwrap().status().as_u16()
}

/// A reader that takes nothing at all is cut, so that it cannot hold its place for ever.
#[tokio::test]
async fn stuck_readers_are_cut() {
    let settings = WebSettings {
        write_timeout: Duration::from_millis(200),
        streams_max: 1,
        ..WebSettings::default()
    };
    let world = World::with(settings).await;
    let (address, _served) = start(&world).await;
    let mut stuck = open(address, "GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut first = [0; 12];
    stuck.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    assert_eq!(status(&world).await, 503);
    let deadline = Instant::now() + PATIENCE;
    let long = "x".repeat(500_000);
    // Its place is free again once it is cut.
    loop {
        world.publish("odd.happened", "odd/1", serde_json::json!({ "long": long })).await;
        if status(&world).await == 200 {
            break;
        }
        assert!(Instant::now() < deadline, "the stuck reader keeps its place");
    }
    drop(stuck);
}
