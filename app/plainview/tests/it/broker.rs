//! The broker inside Plainview: what it acknowledged is there after `kill -9`.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{Connect, ConnectAuth, Packet, Publish};
use serde_json::{Value, json};
use tokio_util::bytes::{Bytes, BytesMut};

use crate::harness::{DEADLINE, Plainview, Setup};
use crate::sources::{Peer, connect, free_port, latest, source};

const ID: &str = "broker/built-in";
const EPOCH_MS: u64 = 1_767_225_600_000;
const MESSAGES: u16 = 20_000;

pub(crate) async fn started(port: u16) -> Plainview {
    let plainview = Setup::default()
        .with("BROKER__ENABLED", "true")
        .with("BROKER__LISTEN", format!("127.0.0.1:{port}"))
        .start()
        .await;
    listening(&plainview).await;
    plainview
}

async fn listening(plainview: &Plainview) {
    source(plainview, ID, "listens", |view| view["connected_since"].is_string()).await;
}

fn mosquitto_pub(port: u16, user: &str, key: &str, topic: &str, payload: &str) -> bool {
    Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-V", "311", "-q", "1"])
        .args(["-u", user, "-P", key, "-t", topic, "-m", payload])
        .status()
        .unwrap()
        .success()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_keys_log_in_and_a_revoked_one_is_out() {
    let port = free_port();
    let plainview = started(port).await;
    let key = plainview.create_key("gauge", "ingest");
    let topic = "plainview/north/p-2/temp";
    assert!(!mosquitto_pub(port, "gauge", "wrong", topic, "1"));
    assert!(!mosquitto_pub(port, "other", &key, topic, "1"), "the user is the key's name");
    assert!(mosquitto_pub(port, "gauge", &key, topic, "21.5"));
    let is = |latest: &Value| latest["value"] == 21.5 && latest["quality"] == "good";
    latest(&plainview, "north/p-2/temp", "is there", is).await;
    let refused = |view: &Value| view["details"].to_string().contains("logins refused");
    source(&plainview, ID, "counts refused logins", refused).await;
    let revoked = plainview.command(&["keys", "revoke", "gauge"]).output().unwrap();
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    plainview
        .until(DEADLINE, "a revoked key is refused", async |_| {
            (!mosquitto_pub(port, "gauge", &key, topic, "22")).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sparkplug_needs_no_other_broker() {
    let port = free_port();
    let plainview = started(port).await;
    let (host, edge) =
        (plainview.create_key("host", "operator"), plainview.create_key("edge", "ingest"));
    let settings = json!({
        "host": "127.0.0.1", "port": port, "username": "host", "password": host,
        "rebirth_every_s": 1,
    });
    connect(&plainview, "sparkplug_b", &settings).await;
    source(&plainview, "sparkplug_b/plant", "connected", |it| it["connected_since"].is_string())
        .await;
    let mut node = Peer::start("sparkplug_edge.py", &[&port.to_string(), "edge", &edge]);
    let is = |value: f64, quality: &'static str| {
        move |latest: &Value| latest["value"] == value && latest["quality"] == quality
    };
    let key = "north/gw/p-2/vibration";
    latest(&plainview, key, "is born", is(4.5, "good")).await;
    // The question for the birth and its answer go through our own broker, and so does the will.
    node.tell("skip");
    node.tell("device vibration 5.5");
    let asked = |view: &Value| {
        view["details"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["name"] == "births" && one["value"] == "4"))
    };
    source(&plainview, "sparkplug_b/plant", "heard the births again", asked).await;
    latest(&plainview, key, "after the gap", is(5.5, "good")).await;
    node.tell("die");
    latest(&plainview, key, "is stale", is(5.5, "bad")).await;
}

/// Publishes until the connection breaks; the numbers that were acknowledged.
fn publish_until_cut(port: u16, key: &str) -> BTreeSet<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let connect = Connect {
        keep_alive: 0,
        client_id: "writer".to_owned(),
        clean_start: true,
        properties: None,
    };
    let auth = ConnectAuth::UsernamePassword {
        username: "gauge".to_owned(),
        password: Bytes::from(key.to_owned()),
    };
    let mut out = BytesMut::new();
    Packet::Connect(connect, None, auth).write(&mut out, None).unwrap();
    let mut writer = stream.try_clone().unwrap();
    writer.write_all(&out).unwrap();
    let sending = std::thread::spawn(move || {
        for number in 1..=MESSAGES {
            let at = EPOCH_MS + u64::from(number) * 1_000;
            let payload = format!("{{\"value\":{number},\"timestamp\":{at}}}");
            let topic = "plainview/north/meter/count";
            let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload, None);
            publish.pkid = number;
            let mut out = BytesMut::new();
            Packet::Publish(publish).write(&mut out, None).unwrap();
            if writer.write_all(&out).is_err() {
                return;
            }
        }
    });
    let (mut acknowledged, mut buffer, mut bytes) =
        (BTreeSet::new(), BytesMut::new(), vec![0; 65_536]);
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        buffer.extend_from_slice(&bytes[..read]);
        while let Ok(packet) = Packet::read(&mut buffer, None) {
            if let Packet::PubAck(ack) = packet {
                acknowledged.insert(ack.pkid);
            }
        }
        if acknowledged.len() == usize::from(MESSAGES) {
            break;
        }
    }
    drop(stream.shutdown(std::net::Shutdown::Both));
    sending.join().unwrap();
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let port = free_port();
    let mut plainview = started(port).await;
    let key = plainview.create_key("gauge", "ingest");
    let writer = tokio::task::spawn_blocking(move || publish_until_cut(port, &key));
    let some = |view: &Value| view["readings"].as_u64().is_some_and(|count| count > 1_000);
    source(&plainview, ID, "has stored some", some).await;
    plainview.kill();
    let acknowledged = writer.await.unwrap();
    assert!(acknowledged.len() > 500, "{} acknowledged", acknowledged.len());
    plainview.launch().await;
    listening(&plainview).await;
    let mut found = BTreeSet::new();
    for part in 0..3 {
        let path = format!(
            "/api/v1/sensors/readings?sensor=north/meter/count&limit=10000&from={}&to={}",
            time(part * 9_000),
            time((part + 1) * 9_000)
        );
        let answer = plainview.get(&path).await;
        let points = answer["series"][0]["points"].as_array().cloned().unwrap_or_default();
        found.extend(points.iter().map(|point| point["value"].as_f64().unwrap() as u16));
    }
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    println!("{} acknowledged, {} stored", acknowledged.len(), found.len());
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

fn time(seconds: u64) -> kernel::Timestamp {
    kernel::Timestamp::from_micros((EPOCH_MS + seconds * 1_000) as i64 * 1_000)
}
