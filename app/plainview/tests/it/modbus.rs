//! Modbus TCP against a pymodbus server that fails, dawdles and is killed.

use serde_json::{Value, json};

use crate::harness::{DEADLINE, Plainview};
use crate::sources::{Peer, connect, free_port, latest, source};

const ID: &str = "modbus_tcp/plant";

pub(crate) fn start(port: u16) -> Peer {
    Peer::start("modbus_server.py", &[&port.to_string()])
}

pub(crate) fn settings(port: u16, device: &Peer) -> Value {
    json!({
        "host": "127.0.0.1", "port": port, "interval_ms": 200, "timeout_ms": 500,
        "registers": device.hello["registers"],
    })
}

fn is(quality: &'static str, value: f64) -> impl Fn(&Value) -> bool {
    move |latest| {
        // The JSON of the answer is not read to the last bit of a large number.
        let near = 1e-12 * value.abs().max(1.0);
        let close = latest["value"].as_f64().is_some_and(|it| (it - value).abs() <= near);
        close && latest["quality"] == quality
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_in_every_order_and_a_register_that_is_not_there() {
    let port = free_port();
    let mut device = start(port);
    let plainview = Plainview::start().await;
    connect(&plainview, "modbus_tcp", &settings(port, &device)).await;
    let live = source(&plainview, ID, "is live", |view| view["state"] == "live").await;
    assert!(live["refused"].as_u64().is_some());
    for (sensor, value) in device.hello["expected"].as_object().unwrap() {
        latest(&plainview, sensor, "as it was sent", is("good", value.as_f64().unwrap())).await;
    }
    let missing = |view: &Value| {
        let message = view["last_error"]["message"].as_str().unwrap_or_default();
        message.contains("north/device/missing") && message.contains("exception 2")
    };
    let view = source(&plainview, ID, "names the missing register", missing).await;
    let requests = view["details"].as_array().unwrap();
    let requests = requests.iter().find(|detail| detail["name"] == "requests per round").unwrap();
    // 44 registers in five places and two units; the missing one costs a few more.
    assert!(requests["value"].as_str().unwrap().parse::<u32>().unwrap() <= 12, "{requests}");

    let changing = device.hello["changing"].as_u64().unwrap();
    device.tell(&format!("set {changing} 99"));
    latest(&plainview, "north/device/changing", "follows", is("good", 99.0)).await;
    device.tell(&format!("fail {changing}"));
    latest(&plainview, "north/device/changing", "is bad", is("bad", 99.0)).await;
    latest(&plainview, "north/device/f64-dcba", "goes on", is("good", -0.1)).await;
    assert_eq!(plainview.get(&format!("/api/v1/sources/{ID}")).await["state"], "live");
    device.tell("mend");
    latest(&plainview, "north/device/changing", "is good again", is("good", 99.0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_dawdles_or_dies_is_never_a_frozen_good() {
    let port = free_port();
    let mut device = start(port);
    let plainview = Plainview::start().await;
    connect(&plainview, "modbus_tcp", &settings(port, &device)).await;
    latest(&plainview, "north/device/f32-abcd", "good", is("good", 1.5)).await;
    latest(&plainview, "north/other/level", "good", is("good", 42.25)).await;

    device.tell("delay 2");
    latest(&plainview, "north/device/f32-abcd", "of a slow unit", is("bad", 1.5)).await;
    let since = latest(&plainview, "north/other/level", "of another unit", is("good", 42.25)).await;
    latest(&plainview, "north/other/level", "goes on", |latest| latest["at"] != since["at"]).await;
    device.tell("delay 0");
    latest(&plainview, "north/device/f32-abcd", "good again", is("good", 1.5)).await;

    drop(device);
    latest(&plainview, "north/device/f32-abcd", "of a dead device", is("bad", 1.5)).await;
    latest(&plainview, "north/other/level", "of a dead device", is("bad", 42.25)).await;
    let gone = |view: &Value| {
        matches!(view["state"].as_str(), Some("waiting" | "failing")) && view["reconciled"] == false
    };
    source(&plainview, ID, "is gone", gone).await;
    let health = plainview.get("/health").await;
    assert_eq!(
        (&health["status"], &health["checks"]["sources"]["status"]),
        (&json!("degraded"), &json!("degraded"))
    );
    plainview
        .until(DEADLINE, "said on the bus", async |it| {
            let said = it.events("types=source.changed").await;
            said.iter().any(|event| event["data"]["change"] == "state").then_some(())
        })
        .await;

    let _device = start(port);
    latest(&plainview, "north/device/f32-abcd", "after a restart", is("good", 1.5)).await;
    let view = source(&plainview, ID, "is live", |view| view["state"] == "live").await;
    assert!(view["reconnects"].as_u64().unwrap() >= 1);
}
