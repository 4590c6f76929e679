use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kernel::{Reading, SystemClock};
use rumqttc::mqttbytes::QoS;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, PublishOptions};
use rumqttc_v4 as v4;
use sense::{Delivery, LinkState, Receipt, SinkError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;

const DEADLINE: Duration = Duration::from_secs(30);

/// A store that can be held up.
#[derive(Default)]
struct Store {
    kept: Mutex<Vec<Reading>>,
    is_away: AtomicBool,
}

impl Store {
    fn values(&self) -> Vec<f64> {
        self.kept.lock().unwrap().iter().map(|reading| reading.value).collect()
    }
}

impl ReadingSink for Store {
    fn submit(&self, delivery: Delivery) -> BoxFuture<'_, Result<Receipt, SinkError>> {
        Box::pin(async move {
            if self.is_away.load(Ordering::SeqCst) {
                return Err(SinkError::Unavailable("away".into()));
            }
            let accepted = delivery.readings.len();
            self.kept.lock().unwrap().extend(delivery.readings);
            Ok(Receipt { accepted, refused: Vec::new(), offset: Some(1) })
        })
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct Running {
    port: u16,
    store: Arc<Store>,
    status: SourceStatus,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn verify() -> Verify {
    Arc::new(|user, password| {
        Box::pin(async move {
            let client =
                |may_read, may_command| Some(Client { name: user.clone(), may_read, may_command });
            match (user.as_str(), password.as_str()) {
                ("gauge", "secret") => Ok(client(false, false)),
                ("ines", "secret") => Ok(client(true, true)),
                ("away", _) => Err("the database is away".to_owned()),
                _ => Ok(None),
            }
        })
    })
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Running {
    async fn start(change: impl FnOnce(&mut BrokerSettings)) -> Self {
        Self::start_with(verify(), change).await
    }

    async fn start_with(verify: Verify, change: impl FnOnce(&mut BrokerSettings)) -> Self {
        let port = free_port();
        let mut settings = BrokerSettings {
            listen: ([127, 0, 0, 1], port).into(),
            topics: vec!["plant/{site}/{asset}/{measure}".to_owned()],
            ..BrokerSettings::default()
        };
        change(&mut settings);
        let broker = Broker::new("site", settings, verify, SystemClock::shared()).unwrap();
        let broker = Broker { verify_every: Duration::from_millis(50), ..broker };
        let (status, stop) = (broker.status.clone(), CancellationToken::new());
        let store = Arc::new(Store::default());
        let sink: Arc<dyn ReadingSink> = Arc::<Store>::clone(&store);
        let task = tokio::spawn(Arc::new(broker).run(sink, stop.clone()));
        until("listens", || status.snapshot().link == LinkState::Connected).await;
        Self { port, store, status, stop, task }
    }

    fn detail(&self, name: &str) -> String {
        let details = self.status.snapshot().details;
        details.into_iter().find(|(n, _)| *n == name).map_or(String::new(), |(_, v)| v)
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}

/// What a client of version 5 hears, in the order in which it comes.
struct Ear {
    client: AsyncClient,
    heard: Arc<Mutex<Vec<Packet>>>,
    task: JoinHandle<String>,
}

impl Ear {
    fn connect(port: u16, user: &str, id: &str) -> Self {
        let mut options = MqttOptions::new(id, ("127.0.0.1", port));
        options.set_credentials(user, "secret");
        let (client, mut events) = AsyncClient::builder(options).capacity(2_000).build();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(packet)) => log.lock().unwrap().push(packet),
                    Ok(_) => {}
                    Err(error) => return error.to_string(),
                }
            }
        });
        Self { client, heard, task }
    }

    fn count(&self, wanted: impl Fn(&Packet) -> bool) -> usize {
        self.heard.lock().unwrap().iter().filter(|packet| wanted(packet)).count()
    }

    fn acks(&self) -> usize {
        self.count(|packet| matches!(packet, Packet::PubAck(_)))
    }

    fn letters(&self) -> Vec<(String, bool)> {
        let heard = self.heard.lock().unwrap();
        let letters = heard.iter().filter_map(|packet| match packet {
            Packet::Publish(letter) => {
                Some((String::from_utf8_lossy(&letter.payload).into_owned(), letter.retain))
            }
            _ => None,
        });
        letters.collect()
    }

    async fn listen(&self, filter: &str) {
        let before = self.count(|packet| matches!(packet, Packet::SubAck(_)));
        self.client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        let after = || self.count(|packet| matches!(packet, Packet::SubAck(_)));
        until("subscribed", || after() > before).await;
    }

    async fn say(&self, topic: &str, payload: impl Into<String>, options: PublishOptions) {
        self.client.publish(topic, payload.into(), options).await.unwrap();
    }
}

const Q1: PublishOptions = PublishOptions::at_least_once();

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_waits_until_the_reading_is_durable() {
    let running = Running::start(|_| {}).await;
    running.store.is_away.store(true, Ordering::SeqCst);
    let gauge = Ear::connect(running.port, "gauge", "gauge-1");
    for number in 0..200 {
        gauge.say("plant/n/p-2/temp", number.to_string(), Q1).await;
    }
    until("taken", || running.status.snapshot().last_error.is_some()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(gauge.acks(), 0, "nothing is durable yet");
    running.store.is_away.store(false, Ordering::SeqCst);
    until("acknowledged", || gauge.acks() == 200).await;
    assert_eq!(running.store.values(), (0..200).map(f64::from).collect::<Vec<_>>());
    let health = running.status.snapshot();
    assert_eq!((health.readings, health.refused), (200, 0));
    until("counted", || running.detail("clients") == "1").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_3_quality_2_and_poison_are_acknowledged_and_named() {
    let running = Running::start(|_| {}).await;
    let mut options = v4::MqttOptions::new("gauge-3", ("127.0.0.1", running.port));
    options.set_credentials("gauge", "secret");
    let (client, mut events) = v4::AsyncClient::builder(options).capacity(100).build();
    client.publish("plant/n/p/a", "1", v4::PublishOptions::at_least_once()).await.unwrap();
    client.publish("plant/n/p/a", "2", v4::PublishOptions::exactly_once()).await.unwrap();
    client.publish("plant/n/p/a", "rubbish", v4::PublishOptions::at_least_once()).await.unwrap();
    client.publish("plant/n/p/a", "", v4::PublishOptions::at_least_once()).await.unwrap();
    client.publish("other/topic", "x", v4::PublishOptions::at_least_once()).await.unwrap();
    let (mut acks, mut completed) = (0, 0);
    while acks < 4 || completed < 1 {
        match tokio::time::timeout(DEADLINE, events.poll()).await.unwrap().unwrap() {
            v4::Event::Incoming(v4::Packet::PubAck(_)) => acks += 1,
            v4::Event::Incoming(v4::Packet::PubComp(_)) => completed += 1,
            _ => {}
        }
    }
    assert_eq!(running.store.values(), [1.0, 2.0]);
    until("refused", || running.status.snapshot().refused == 2).await;
    let error = running.status.snapshot().last_error.unwrap().message;
    assert!(error.contains("plant/n/p/a") || error.contains("other/topic"), "{error}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_refused_and_rights_are_kept() {
    let running = Running::start(|_| {}).await;
    for (user, reason) in [("nobody", "BadUserNamePassword"), ("away", "ServerUnavailable")] {
        let stranger = Ear::connect(running.port, user, "x");
        let error = tokio::time::timeout(DEADLINE, stranger.task).await.unwrap().unwrap();
        assert!(error.contains(reason), "{error}");
    }
    let gauge = Ear::connect(running.port, "gauge", "g");
    for filter in ["plant/#", "$share/a/plant/#", "spBv1.0/STATE/host", "spBv1.0/g/NCMD/gw"] {
        gauge.listen(filter).await;
    }
    let granted = gauge.count(|packet| match packet {
        Packet::SubAck(ack) => {
            ack.return_codes.iter().all(|c| matches!(c, rumqttc::SubscribeReasonCode::Success(_)))
        }
        _ => false,
    });
    assert_eq!(granted, 2);
    let ines = Ear::connect(running.port, "ines", "i");
    ines.listen("#").await;
    gauge.say("valves/v-1/command", "open", Q1).await;
    gauge.say("spBv1.0/g/NCMD/gw", "x", Q1).await;
    gauge.say("spBv1.0/g/NDATA/gw", "data", Q1).await;
    until("acknowledged", || gauge.acks() == 3).await;
    until("passed on", || !ines.letters().is_empty()).await;
    assert_eq!(ines.letters(), [("data".to_owned(), false)]);
    until("counted", || running.detail("messages not allowed") == "2").await;
    assert_eq!(running.detail("logins refused"), "1");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_passed_on_kept_and_said_after_death() {
    let running = Running::start(|_| {}).await;
    let ines = Ear::connect(running.port, "ines", "i");
    ines.say("notes/a", "kept", Q1.retained()).await;
    ines.say("notes/b", "gone", Q1.retained()).await;
    ines.say("notes/b", "", Q1.retained()).await;
    until("acknowledged", || ines.acks() == 3).await;
    let mut options = v4::MqttOptions::new("dying", ("127.0.0.1", running.port));
    options.set_credentials("gauge", "secret").set_last_will(v4::LastWill::new(
        "plant/n/p/alive",
        "0",
        v4::QoS::AtLeastOnce,
        false,
    ));
    let (_client, mut events) = v4::AsyncClient::builder(options).capacity(10).build();
    events.poll().await.unwrap();
    ines.listen("notes/#").await;
    ines.listen("plant/+/p/+").await;
    drop(events);
    until("heard", || ines.letters().len() == 2).await;
    assert_eq!(ines.letters(), [("kept".to_owned(), true), ("0".to_owned(), false)]);
    until("stored", || running.store.values() == [0.0]).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_and_the_same_client_takes_over() {
    let running = Running::start(|settings| {
        settings.connections_max = 2;
        settings.packet_bytes_max = 2_048;
    })
    .await;
    let first = Ear::connect(running.port, "gauge", "same");
    until("first", || running.detail("clients") == "1").await;
    let second = Ear::connect(running.port, "gauge", "same");
    let error = tokio::time::timeout(DEADLINE, first.task).await.unwrap().unwrap();
    assert!(!error.is_empty());
    second.say("plant/n/p/a", "1", Q1).await;
    until("second", || second.acks() == 1).await;

    // Its own codec would refuse to send it: the packet is written by hand.
    let mut raw = TcpStream::connect(("127.0.0.1", running.port)).await.unwrap();
    let connect = b"\x10\x1b\x00\x04MQTT\x04\xc2\x00\x1e\x00\x00\x00\x05gauge\x00\x06secret";
    raw.write_all(connect).await.unwrap();
    let mut welcome = [0; 4];
    raw.read_exact(&mut welcome).await.unwrap();
    assert_eq!(welcome, [0x20, 2, 0, 0]);
    let mut third = TcpStream::connect(("127.0.0.1", running.port)).await.unwrap();
    assert_eq!(third.read(&mut [0; 1]).await.unwrap_or(0), 0, "there is no room for a third");
    raw.write_all(&[0x30, 0xff, 0xff, 0x03]).await.unwrap();
    assert_eq!(raw.read(&mut [0; 1]).await.unwrap_or(0), 0);
    let message = running.status.snapshot().last_error.unwrap().message;
    assert!(message.contains("2048"), "{message}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_acknowledges_what_is_durable_and_frees_the_address() {
    let running = Running::start(|_| {}).await;
    let port = running.port;
    let gauge = Ear::connect(port, "gauge", "g");
    for number in 0..1_000 {
        gauge.say("plant/n/p/a", number.to_string(), Q1).await;
    }
    until("some", || gauge.acks() > 0).await;
    let store = Arc::clone(&running.store);
    running.stop().await;
    let heard = Arc::clone(&gauge.heard);
    tokio::time::timeout(DEADLINE, gauge.task).await.unwrap().unwrap();
    let heard = heard.lock().unwrap();
    let acks = heard.iter().filter(|packet| matches!(packet, Packet::PubAck(_))).count();
    assert!(acks <= store.values().len());
    assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_ends_ends_its_connections() {
    let revoked = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&revoked);
    let verify: Verify = Arc::new(move |name, _| {
        let alive = !known.load(Ordering::SeqCst);
        let client = alive.then_some(Client { name, may_read: true, may_command: true });
        Box::pin(async move { Ok(client) })
    });
    let running = Running::start_with(verify, |_| {}).await;
    let gauge = Ear::connect(running.port, "gauge", "g");
    gauge.say("plant/n/p/a", "1", Q1).await;
    until("acknowledged", || gauge.acks() == 1).await;
    revoked.store(true, Ordering::SeqCst);
    tokio::time::timeout(DEADLINE, gauge.task).await.unwrap().unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mosquitto_clients_speak_with_it() {
    if !std::path::Path::new("/usr/bin/mosquitto_pub").exists() {
        eprintln!("LEFT OUT: mosquitto_pub is not installed");
        return;
    }
    let running = Running::start(|_| {}).await;
    let port = running.port.to_string();
    for version in ["311", "5"] {
        let (port, store) = (port.clone(), Arc::clone(&running.store));
        let sent = tokio::task::spawn_blocking(move || {
            Command::new("mosquitto_pub")
                .args(["-h", "127.0.0.1", "-p", &port, "-V", version, "-q", "1"])
                .args(["-u", "gauge", "-P", "secret", "-t", "plant/n/p/a", "-m", version])
                .status()
        });
        assert!(sent.await.unwrap().unwrap().success());
        let wanted = version.parse::<f64>().unwrap();
        assert_eq!(store.values().last(), Some(&wanted), "acknowledged, so it is there");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_and_never_without_it() {
    let known = ["/usr/bin/openssl", "/usr/bin/mosquitto_pub"];
    if let Some(absent) = known.iter().find(|program| !std::path::Path::new(program).exists()) {
        eprintln!("LEFT OUT: {absent} is not installed, TLS is not tested");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .arg("-keyout")
        .arg(file("key.pem"))
        .arg("-out")
        .arg(file("cert.pem"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (cert_file, key_file) = (file("cert.pem"), file("key.pem"));
    let running = Running::start(|settings| {
        settings.tls = Some(TlsFiles { cert_file: cert_file.clone(), key_file });
    })
    .await;
    let say = |encrypted: bool| {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "localhost", "-p", &running.port.to_string(), "-q", "1"]);
        command.args(["-u", "gauge", "-P", "secret", "-t", "plant/n/p/a", "-m", "7"]);
        if encrypted {
            command.arg("--cafile").arg(&cert_file);
        }
        tokio::task::spawn_blocking(move || command.status().unwrap().success())
    };
    assert!(say(true).await.unwrap());
    assert_eq!(running.store.values(), [7.0]);
    assert!(!say(false).await.unwrap());
    running.stop().await;

    let settings = BrokerSettings {
        listen: ([127, 0, 0, 1], free_port()).into(),
        tls: Some(TlsFiles { cert_file: file("none.pem"), key_file: file("none.pem") }),
        ..BrokerSettings::default()
    };
    let broker = Broker::new("site", settings, verify(), SystemClock::shared()).unwrap();
    let (status, stop) = (broker.status.clone(), CancellationToken::new());
    let task = tokio::spawn(Arc::new(broker).run(Arc::new(Store::default()), stop.clone()));
    until("says why", || status.snapshot().last_error.is_some()).await;
    assert!(status.snapshot().last_error.unwrap().message.contains("none.pem"));
    stop.cancel();
    task.await.unwrap();
}

#[test]
fn settings_at_fault_are_named() {
    let kind = BrokerKind { verify: verify() };
    let field = |settings: Value| match kind.build("b", &settings, SystemClock::shared()) {
        Err(SenseError::Settings { field, reason }) => (field, reason),
        other => panic!("{:?}", other.map(|connector| connector.status().snapshot())),
    };
    assert_eq!(field(serde_json::json!({ "connections_max": 0 })).0, "connections_max");
    assert_eq!(field(serde_json::json!({ "packet_bytes_max": 1 })).0, "packet_bytes_max");
    assert_eq!(field(serde_json::json!({ "topics": ["$share/a/b"] })).0, "topics");
    assert_eq!(field(serde_json::json!({ "listen": "here" })).0, "listen");
    assert_eq!(field(serde_json::json!({ "tls": { "cert_file": "x" } })).0, "tls");
    assert_eq!(field(serde_json::json!({ "port": 1 })).0, "settings");
    let open = serde_json::json!({ "listen": "0.0.0.0:1883" });
    assert_eq!(kind.weaknesses(&open)[0].0, "listen");
    assert!(kind.weaknesses(&serde_json::json!({})).is_empty());
}
