use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kernel::{Reading, SystemClock};
use prost::Message;
use rumqttc_v4 as v4;
use tokio::task::JoinHandle;

use super::proto::{Metric, MetricValue, Payload};
use super::*;
use crate::mosquitto::{DEADLINE, Mosquitto};
use crate::{Delivery, LinkState, Receipt, SinkError};

#[derive(Default)]
struct Store(Mutex<Vec<Reading>>);

impl Store {
    fn of(&self, sensor: &str) -> Vec<(f64, &'static str)> {
        let readings = self.0.lock().unwrap();
        let found = readings.iter().filter(|reading| reading.sensor.as_str() == sensor);
        found.map(|reading| (reading.value, reading.quality.class())).collect()
    }
}

impl ReadingSink for Store {
    fn submit(&self, delivery: Delivery) -> BoxFuture<'_, Result<Receipt, SinkError>> {
        let accepted = delivery.readings.len();
        self.0.lock().unwrap().extend(delivery.readings);
        Box::pin(async move { Ok(Receipt { accepted, refused: Vec::new(), offset: Some(1) }) })
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct Running {
    host: Arc<Host>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(port: u16, store: &Arc<Store>) -> Self {
        let settings = HostSettings { port, rebirth_every_s: 1, ..HostSettings::default() };
        let host = Arc::new(Host::new(settings, None, SystemClock::shared()).unwrap());
        let stop = CancellationToken::new();
        let sink: Arc<dyn ReadingSink> = Arc::<Store>::clone(store);
        let task = tokio::spawn(Connector::run(Arc::clone(&host), sink, stop.clone()));
        let running = Self { host, stop, task };
        until("connected", || running.host.status.snapshot().link == LinkState::Connected).await;
        running
    }

    fn detail(&self, name: &str) -> String {
        let details = self.host.status.snapshot().details;
        details.into_iter().find(|(n, _)| *n == name).map_or(String::new(), |(_, v)| v)
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}

/// An edge node that answers to rebirth and hears the host's state.
struct Edge {
    client: v4::AsyncClient,
    seq: Arc<AtomicU64>,
    bd_seq: u64,
    host_is_online: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Edge {
    async fn connect(port: u16, bd_seq: u64) -> Self {
        let mut options = v4::MqttOptions::new(format!("edge-{bd_seq}"), ("127.0.0.1", port));
        let will = Payload { timestamp: Some(1), seq: None, metrics: vec![session(bd_seq)] };
        options.set_keep_alive(5).set_last_will(v4::LastWill::new(
            "spBv1.0/north/NDEATH/gw",
            will.encode_to_vec(),
            v4::QoS::AtMostOnce,
            false,
        ));
        let (client, mut events) = v4::AsyncClient::builder(options).capacity(100).build();
        let online = Arc::new(AtomicBool::new(false));
        let seq = Arc::new(AtomicU64::new(0));
        let granted = Arc::new(AtomicBool::new(false));
        let own = Self {
            client: client.clone(),
            seq: Arc::clone(&seq),
            bd_seq,
            host_is_online: Arc::clone(&online),
            task: tokio::spawn({
                let (client, granted) = (client.clone(), Arc::clone(&granted));
                async move {
                    while let Ok(event) = events.poll().await {
                        match event {
                            v4::Event::Incoming(v4::Packet::SubAck(_)) => {
                                granted.store(true, Ordering::SeqCst);
                            }
                            v4::Event::Incoming(v4::Packet::Publish(publish)) => {
                                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                                if topic.contains("/STATE/") {
                                    let text = String::from_utf8_lossy(&publish.payload);
                                    online.store(text.contains("true"), Ordering::SeqCst);
                                } else {
                                    birth(&client, &seq, bd_seq);
                                }
                            }
                            _ => {}
                        }
                    }
                }
            }),
        };
        client.try_subscribe("spBv1.0/north/NCMD/gw", v4::QoS::AtMostOnce).unwrap();
        client.try_subscribe("spBv1.0/STATE/plainview", v4::QoS::AtLeastOnce).unwrap();
        until("subscribed", || granted.load(Ordering::SeqCst)).await;
        own
    }

    fn birth(&self) {
        birth(&self.client, &self.seq, self.bd_seq);
    }

    fn data(&self, value: f64) {
        let metric = Metric { value: Some(MetricValue::Double(value)), ..alias(1) };
        say(&self.client, &self.seq, "NDATA", vec![metric]);
    }

    /// As if a message were lost.
    fn skip(&self) {
        self.seq.fetch_add(1, Ordering::SeqCst);
    }

    async fn until_host_is(&self, online: bool) {
        until("state of the host", || self.host_is_online.load(Ordering::SeqCst) == online).await;
    }
}

fn alias(alias: u64) -> Metric {
    Metric { alias: Some(alias), ..Metric::default() }
}

fn session(number: u64) -> Metric {
    let value = Some(MetricValue::Long(number));
    Metric { name: Some("bdSeq".to_owned()), datatype: Some(4), value, ..Metric::default() }
}

fn birth(client: &v4::AsyncClient, seq: &AtomicU64, bd_seq: u64) {
    seq.store(0, Ordering::SeqCst);
    let value = Some(MetricValue::Double(20.0));
    let tag = Metric { name: Some("temp".to_owned()), datatype: Some(10), value, ..alias(1) };
    say(client, seq, "NBIRTH", vec![session(bd_seq), tag]);
}

fn say(client: &v4::AsyncClient, seq: &AtomicU64, kind: &str, metrics: Vec<Metric>) {
    let millis = SystemClock::shared().now().as_micros() as u64 / 1_000;
    let number = seq.fetch_add(1, Ordering::SeqCst) % 256;
    let payload = Payload { timestamp: Some(millis), seq: Some(number), metrics };
    let topic = format!("spBv1.0/north/{kind}/gw");
    let options = v4::PublishOptions::at_most_once();
    client.try_publish(topic, payload.encode_to_vec(), options).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_lives_dies_and_is_asked_for_its_birth() {
    let Some(mosquitto) = Mosquitto::new() else { return };
    let store = Arc::new(Store::default());
    let edge = Edge::connect(mosquitto.port, 3).await;
    let running = Running::start(mosquitto.port, &store).await;
    edge.until_host_is(true).await;

    // It was born before the host came: its first data make the host ask.
    edge.skip();
    edge.data(1.0);
    until("birth", || store.of("north/gw/temp") == [(20.0, "good")]).await;
    assert_eq!(running.detail("rebirths asked"), "1");
    edge.data(21.0);
    until("data", || store.of("north/gw/temp").contains(&(21.0, "good"))).await;

    edge.skip();
    edge.data(22.0);
    until("gap", || running.detail("sequence gaps") == "1").await;
    until("second birth", || running.detail("births") == "2").await;
    assert!(store.of("north/gw/temp").contains(&(22.0, "good")));

    // Its link breaks: the broker publishes its will.
    edge.task.abort();
    until("death", || store.of("north/gw/temp").last() == Some(&(20.0, "bad"))).await;
    assert_eq!(running.detail("nodes alive"), "0 of 1");

    let edge = Edge::connect(mosquitto.port, 4).await;
    edge.birth();
    until("reborn", || store.of("north/gw/temp").last() == Some(&(20.0, "good"))).await;

    running.stop().await;
    edge.until_host_is(false).await;
    let again = Running::start(mosquitto.port, &store).await;
    edge.until_host_is(true).await;
    edge.data(23.0);
    until("asked after a restart", || again.detail("births") == "1").await;
    edge.data(24.0);
    until("data after a restart", || store.of("north/gw/temp").contains(&(24.0, "good"))).await;
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rubbish_is_counted_and_named_and_a_false_offline_is_contradicted() {
    let Some(mosquitto) = Mosquitto::new() else { return };
    let store = Arc::new(Store::default());
    let edge = Edge::connect(mosquitto.port, 3).await;
    let running = Running::start(mosquitto.port, &store).await;
    edge.until_host_is(true).await;
    let options = v4::PublishOptions::at_most_once();
    for topic in ["spBv1.0/north/NDATA/gw", "spBv1.0/north/WHAT/gw", "spBv1.0/north"] {
        edge.client.try_publish(topic, "rubbish", options).unwrap();
    }
    until("refused", || running.host.status.snapshot().refused >= 3).await;
    assert!(running.host.status.snapshot().last_error.is_some());
    edge.birth();
    until("birth", || store.of("north/gw/temp") == [(20.0, "good")]).await;
    let offline = "{\"online\":false,\"timestamp\":1}";
    let kept = v4::PublishOptions::at_least_once().retained();
    edge.client.try_publish("spBv1.0/STATE/plainview", offline, kept).unwrap();
    edge.until_host_is(false).await;
    edge.until_host_is(true).await;
    running.stop().await;
}
