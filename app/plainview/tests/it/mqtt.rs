//! MQTT against a real Mosquitto that is restarted, as is Plainview.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, PublishOptions};

use crate::harness::{DEADLINE, Plainview, Setup};

const READINGS: u64 = 10_000;
const EPOCH_MS: u64 = 1_767_225_600_000;

/// A broker with persistence, so that it keeps what it took over a restart.
struct Broker {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Broker {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::write(
            dir.path().join("conf"),
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n\
                 persistence_location {}/\nmax_queued_messages 0\nmax_inflight_messages 200\n",
                dir.path().display()
            ),
        )
        .unwrap();
        Self { child: run(dir.path()), port, dir }
    }

    fn stop(&mut self) {
        let sent =
            Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
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
