//! MQTT against a real Mosquitto that is restarted, as is Plainview.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, PublishOptions};
use serde_json::{Value, json};
use testkit::{FaultProxy, Faults, Path as Way};

use crate::harness::{DEADLINE, Plainview, Setup};
use crate::sources::{connect, free_port, latest, source};

const READINGS: u64 = 10_000;
const EPOCH_MS: u64 = 1_767_225_600_000;

/// A broker with persistence, so that it keeps what it took over a restart.
pub(crate) struct Broker {
    child: Child,
    pub(crate) port: u16,
    dir: tempfile::TempDir,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| "allow_anonymous true\n".to_owned())
    }

    /// With lines of settings for its listener, which may name files in the folder it is given.
    pub(crate) fn start_with(settings: impl FnOnce(&Path) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let settings = settings(dir.path());
        std::fs::write(
            dir.path().join("conf"),
            format!(
                "user root\npersistence true\npersistence_location {}/\nmax_queued_messages 0\n\
                 max_inflight_messages 200\nlistener {port} 127.0.0.1\n{settings}",
                dir.path().display()
            ),
        )
        .unwrap();
        Self { child: run(dir.path()), port, dir }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    fn stop(&mut self) {
        let sent =
            Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.stop();
        self.child = run(self.dir.path());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn run(dir: &Path) -> Child {
    Command::new("/usr/sbin/mosquitto")
        .arg("-c")
        .arg(dir.join("conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Publishes readings `range` at QoS 1 and returns once each is acknowledged by the broker.
async fn publish(port: u16, range: std::ops::Range<u64>) {
    let options = MqttOptions::new(format!("publisher-{}", range.start), ("127.0.0.1", port));
    let (client, mut events) = AsyncClient::builder(options).capacity(100).build();
    let wanted = range.end - range.start;
    let sender = tokio::spawn(async move {
        for number in range {
            let payload =
                format!("{{\"value\":{number},\"timestamp\":{}}}", EPOCH_MS + number * 1_000);
            client
                .publish(
                    "plainview/mqtt/meter/count",
                    payload,
                    PublishOptions::new(QoS::AtLeastOnce),
                )
                .await
                .unwrap();
        }
        client
    });
    let mut acked = 0;
    while acked < wanted {
        let event = tokio::time::timeout(DEADLINE, events.poll()).await.unwrap();
        if let Ok(Event::Incoming(Incoming::PubAck(_))) = event {
            acked += 1;
        }
    }
    drop(sender.await.unwrap());
}

async fn connected(plainview: &Plainview) {
    plainview
        .until(DEADLINE, "connected to the broker", async |it| {
            let health = it.get("/health").await;
            let mqtt = &health["checks"]["mqtt"];
            (mqtt["status"] == "ok" && mqtt["detail"].as_str()?.contains("connected")).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_readings_survive_two_restarts_exactly_once() {
    let mut broker = Broker::start();
    let mut plainview = Setup::default()
        .with("MQTT__URL", format!("mqtt://127.0.0.1:{}", broker.port))
        .start()
        .await;
    connected(&plainview).await;
    publish(broker.port, 0..READINGS / 2).await;
    broker.restart();
    connected(&plainview).await;
    let port = broker.port;
    let second = tokio::spawn(async move { publish(port, READINGS / 2..READINGS).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    plainview.kill();
    plainview.launch().await;
    second.await.unwrap();

    let path = "/api/v1/sensors/readings?sensor=mqtt/meter/count&limit=10000\
                &from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";
    let answer = plainview
        .until(DEADLINE, "all readings", async |it| {
            let answer = it.get(path).await;
            let points = answer["series"][0]["points"].as_array()?.len();
            (points as u64 >= READINGS).then_some(answer)
        })
        .await;
    let points = answer["series"][0]["points"].as_array().unwrap();
    for (number, point) in points.iter().enumerate() {
        assert_eq!(point["value"].as_f64().unwrap() as usize, number);
    }
    assert_eq!(points.len() as u64, READINGS);
}

/// One message with QoS 1; returns once the broker has it.
fn say(port: u16, topic: &str, payload: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("payload");
    std::fs::write(&file, payload).unwrap();
    let status = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", topic])
        .args(if payload.is_empty() {
            vec!["-n".as_ref()]
        } else {
            vec!["-f".as_ref(), file.as_os_str()]
        })
        .status()
        .unwrap();
    assert!(status.success());
}

fn is(value: f64, quality: &'static str) -> impl Fn(&Value) -> bool {
    move |latest| latest["value"] == value && latest["quality"] == quality
}

/// Every form of payload, and every poison between them: none of it stops what follows.
async fn forms_and_poison(version: &str) {
    let broker = Broker::start();
    let plainview = Plainview::start().await;
    let topics =
        ["plant/{site}/{asset}/{measure}", "tele/{asset}/SENSOR", "$share/g/lines/#", "json/#"];
    let settings = json!({
        "host": "127.0.0.1", "port": broker.port, "version": version, "topics": topics,
        "default_site": "north",
    });
    connect(&plainview, "mqtt", &settings).await;
    source(&plainview, "mqtt/plant", "connected", |it| it["connected_since"].is_string()).await;
    let port = broker.port;
    // The topics are granted once something published comes through.
    plainview
        .until(DEADLINE, "granted", async |it| {
            say(port, "plant/north/p-1/first", b"1");
            let view = it.get("/api/v1/sources/mqtt/plant").await;
            (view["readings"].as_u64()? > 0).then_some(())
        })
        .await;
    say(port, "plant/north/p-1/plain", b" 21.5\n");
    say(port, "plant/north/p-1/open", b"true");
    say(port, "plant/north/p-1/json", br#"{"value": 3.5, "quality": "uncertain"}"#);
    let before = plainview.get("/api/v1/sources/mqtt/plant").await["refused"].as_u64().unwrap();
    for poison in [&b""[..], b"\xff\xfe", b"rubbish", b"{\"value\": ", &vec![b'7'; 2 << 20]] {
        say(port, "plant/north/p-1/poison", poison);
    }
    // More than a client of version 5 lets the broker send; version 3.1.1 cannot say so.
    say(port, "plant/north/p-1/poison", &vec![b'7'; 9 << 20]);
    say(port, "plant/north/p 1/poison", b"1");
    say(port, "tele/p-2/SENSOR", br#"{"temp": 1.5, "bearing": {"de": 2.5}, "name": "x"}"#);
    say(port, "lines/any", b"flow,site=north,asset=p-3 value=4.5");
    let rows = br#"[{"sensor": "north/p-4/a", "value": 1}, {"sensor": "north/p-4/b", "value": 2}]"#;
    say(port, "json/any", rows);
    for (sensor, value, quality) in [
        ("north/p-1/plain", 21.5, "good"),
        ("north/p-1/open", 1.0, "good"),
        ("north/p-1/json", 3.5, "uncertain"),
        ("north/p-2/temp", 1.5, "good"),
        ("north/p-2/bearing/de", 2.5, "good"),
        ("north/p-3/flow", 4.5, "good"),
        ("north/p-4/a", 1.0, "good"),
        ("north/p-4/b", 2.0, "good"),
    ] {
        latest(&plainview, sensor, "as it was said", is(value, quality)).await;
    }
    let counted = |view: &Value| view["refused"].as_u64().is_some_and(|now| now >= before + 6);
    let view = source(&plainview, "mqtt/plant", "counts the poison", counted).await;
    assert!(view["last_error"]["message"].as_str().unwrap().contains("p 1"), "{view}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_payload_and_poison_over_version_5() {
    forms_and_poison("5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_payload_and_poison_over_version_3() {
    forms_and_poison("3.1.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_cut_in_the_middle_again_and_again_loses_nothing() {
    let broker = Broker::start();
    let upstream = ([127, 0, 0, 1], broker.port).into();
    let proxy = FaultProxy::start(upstream, 7).await.unwrap();
    let plainview = Plainview::start().await;
    let settings = json!({ "host": "127.0.0.1", "port": proxy.addr().port() });
    connect(&plainview, "mqtt", &settings).await;
    source(&plainview, "mqtt/plant", "connected", |it| it["connected_since"].is_string()).await;
    let publishing = tokio::spawn(async move { publish(broker.port, 0..READINGS / 2).await });
    for cut in [
        Faults { cut_reply_after: Some(20_000), ..Faults::default() },
        Faults { cut_request_after: Some(500), ..Faults::default() },
        Faults { path: Way::Reset, ..Faults::default() },
    ] {
        let before = plainview.get("/api/v1/sources/mqtt/plant").await["reconnects"].clone();
        proxy.set(cut);
        let cut = |view: &Value| view["reconnects"] != before;
        source(&plainview, "mqtt/plant", "lost its link", cut).await;
        proxy.heal();
        let whole = |view: &Value| view["connected_since"].is_string();
        source(&plainview, "mqtt/plant", "has its link again", whole).await;
    }
    publishing.await.unwrap();
    let path = "/api/v1/sensors/readings?sensor=mqtt/meter/count&limit=10000\
                &from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";
    plainview
        .until(DEADLINE, "all readings", async |it| {
            let answer = it.get(path).await;
            (answer["series"][0]["points"].as_array()?.len() as u64 == READINGS / 2).then_some(())
        })
        .await;
}
