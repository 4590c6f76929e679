use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kernel::{Backoff, SystemClock};

use super::*;
use crate::mosquitto::{DEADLINE, Mosquitto};
use crate::{Delivery, LinkState, Receipt, SinkError};

/// Keeps what it is given, slowly enough that messages are in flight when something breaks.
#[derive(Default)]
struct Store {
    kept: Mutex<HashMap<i64, f64>>,
    failures_left: Mutex<u32>,
}

impl Store {
    fn len(&self) -> usize {
        self.kept.lock().unwrap().len()
    }

    async fn wait_for(&self, count: usize) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while self.len() < count {
            assert!(tokio::time::Instant::now() < deadline, "{} of {count} stored", self.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl ReadingSink for Store {
    fn submit(&self, delivery: Delivery) -> BoxFuture<'_, Result<Receipt, SinkError>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            {
                let mut failures = self.failures_left.lock().unwrap();
                if *failures > 0 {
                    *failures -= 1;
                    return Err(SinkError::Unavailable("full".into()));
                }
            }
            let accepted = delivery.readings.len();
            let mut kept = self.kept.lock().unwrap();
            kept.extend(delivery.readings.iter().map(|r| (r.at.as_micros(), r.value)));
            Ok(Receipt { accepted, refused: Vec::new(), offset: Some(1) })
        })
    }
}

struct Running {
    broker: Broker,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(port: u16, version: MqttVersion, store: &Arc<Store>) -> Self {
        let settings = BrokerSettings { port, version, ..BrokerSettings::default() };
        let broker = Broker::new(settings, SystemClock::shared()).unwrap();
        let stop = CancellationToken::new();
        let (own, sink, until) = (broker.clone(), Arc::clone(store), stop.clone());
        let task = tokio::spawn(async move { own.run(sink, until).await });
        Self { broker, stop, task }
    }

    async fn wait_for(&self, state: LinkState) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while self.broker.status().snapshot().link != state {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{:?}",
                self.broker.status().snapshot()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}

/// The broker restarts in the middle, and so does Plainview; meanwhile more is published.
async fn nothing_is_lost(version: MqttVersion) {
    let Some(mut mosquitto) = Mosquitto::new() else { return };
    let store = Arc::new(Store { failures_left: Mutex::new(2), ..Store::default() });
    let running = Running::start(mosquitto.port, version, &store);
    running.wait_for(LinkState::Connected).await;
    // The topics are granted once something published comes through.
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while store.len() == 0 {
        assert!(tokio::time::Instant::now() < deadline, "no topic granted");
        mosquitto.publish(0..1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    mosquitto.publish(1..3_000).await;
    mosquitto.stop();
    assert!(store.len() <= 3_000);
    mosquitto.start();
    mosquitto.publish(3_000..6_000).await;
    running.wait_for(LinkState::Connected).await;
    assert!(running.broker.status().snapshot().reconnects >= 1);
    running.stop().await;
    mosquitto.publish(6_000..10_000).await;
    let again = Running::start(mosquitto.port, version, &store);
    store.wait_for(10_000).await;
    let kept = store.kept.lock().unwrap().clone();
    assert!(
        (0..10_000).all(|n| kept.get(&(1_700_000_000_000_000 + n * 1_000)) == Some(&(n as f64)))
    );
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_3_loses_nothing_when_broker_and_client_restart() {
    nothing_is_lost(MqttVersion::V3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_5_loses_nothing_when_broker_and_client_restart() {
    nothing_is_lost(MqttVersion::V5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_messages_are_counted_and_do_not_block() {
    let Some(mosquitto) = Mosquitto::new() else { return };
    let store = Arc::new(Store::default());
    let running = Running::start(mosquitto.port, MqttVersion::V5, &store);
    running.wait_for(LinkState::Connected).await;
    let port = mosquitto.port.to_string();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while store.len() == 0 {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", running.broker.status().snapshot());
        let lines = "rubbish\n{\"value\":\"NaN\"}\nNaN\n".to_owned();
        mosquitto.send(&port, "plainview/north/p-2/vibration", lines).await;
        mosquitto.publish(7..8).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let health = running.broker.status().snapshot();
    assert!(health.refused >= 3 && health.readings >= 1, "{health:?}");
    running.stop().await;
}

#[tokio::test]
async fn an_absent_broker_opens_the_breaker_and_says_why() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = BrokerSettings { port: free, ..BrokerSettings::default() };
    let mut broker = Broker::new(settings, SystemClock::shared()).unwrap();
    broker.patience.backoff =
        Backoff { first: Duration::from_millis(1), max: Duration::from_millis(20) };
    let stop = CancellationToken::new();
    let (own, until) = (broker.clone(), stop.clone());
    let task = tokio::spawn(async move { own.run(Arc::new(Store::default()), until).await });
    let deadline = std::time::Instant::now() + DEADLINE;
    while broker.status().snapshot().link != LinkState::Open {
        assert!(std::time::Instant::now() < deadline, "{:?}", broker.status().snapshot());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let health = broker.status().snapshot();
    assert!(health.reconnects >= 5 && health.last_error.is_some(), "{health:?}");
    stop.cancel();
    task.await.unwrap();
}
