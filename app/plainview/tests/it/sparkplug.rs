//! Sparkplug B with an edge node of pysparkplug and a real Mosquitto: birth, data, gap, deaths,
//! and Plainview itself killed.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{DEADLINE, Plainview};
use crate::mqtt::Broker;
use crate::sources::{Peer, connect, latest, source};

const ID: &str = "sparkplug_b/plant";
const TEMP: &str = "north/gw/temp";
const VIBRATION: &str = "north/gw/p-2/vibration";

fn is(value: f64, quality: &'static str) -> impl Fn(&Value) -> bool {
    move |latest| {
        let close = latest["value"].as_f64().is_some_and(|it| (it - value).abs() < 1e-9);
        close && latest["quality"] == quality
    }
}

pub(crate) fn detail(view: &Value, name: &str) -> String {
    let details = view["details"].as_array().cloned().unwrap_or_default();
    let found = details.into_iter().find(|detail| detail["name"] == name);
    found.map_or(String::new(), |it| it["value"].as_str().unwrap_or_default().to_owned())
}

pub(crate) fn edge(broker: &Broker) -> Peer {
    Peer::start("sparkplug_edge.py", &[&broker.port.to_string()])
}

/// What the broker keeps as the state of the host.
async fn state(plainview: &Plainview, broker: &Broker, online: bool) {
    let port = broker.port.to_string();
    plainview
        .until(DEADLINE, "the host's state", async |_| {
            let output = Command::new("mosquitto_sub")
                .args(["-h", "127.0.0.1", "-p", &port, "-C", "1", "-W", "1"])
                .args(["-t", "spBv1.0/STATE/plainview"])
                .output()
                .unwrap();
            let state: Value = serde_json::from_slice(&output.stdout).ok()?;
            (state["online"] == online && state["timestamp"].is_i64()).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_born_speaks_loses_a_message_dies_and_is_found_again_after_a_kill() {
    let broker = Broker::start();
    let mut plainview = Plainview::start().await;
    let settings = json!({ "host": "127.0.0.1", "port": broker.port, "rebirth_every_s": 1 });
    connect(&plainview, "sparkplug_b", &settings).await;
    state(&plainview, &broker, true).await;

    let mut node = edge(&broker);
    latest(&plainview, TEMP, "is born", is(20.5, "good")).await;
    latest(&plainview, "north/gw/Inputs/flow", "is born", is(-3.0, "good")).await;
    latest(&plainview, VIBRATION, "is born", is(4.5, "good")).await;
    latest(&plainview, "north/gw/p-2/running", "is born", is(1.0, "good")).await;

    node.tell("data temp 21.25");
    latest(&plainview, TEMP, "by name", is(21.25, "good")).await;
    node.tell("alias 22.75");
    latest(&plainview, TEMP, "by alias", is(22.75, "good")).await;
    let births = |count: &'static str| move |view: &Value| detail(view, "births") == count;
    source(&plainview, ID, "heard two births", births("2")).await;

    node.tell("skip");
    node.tell("device vibration 5.5");
    let view = source(&plainview, ID, "heard two more births", births("4")).await;
    assert_eq!(detail(&view, "sequence gaps"), "1");
    assert_eq!(detail(&view, "rebirths asked"), "1");
    latest(&plainview, VIBRATION, "after the gap", is(5.5, "good")).await;

    node.tell("undevice");
    latest(&plainview, VIBRATION, "is stale", is(5.5, "bad")).await;
    latest(&plainview, TEMP, "lives on", is(21.25, "good")).await;
    node.tell("die");
    latest(&plainview, TEMP, "is stale", is(21.25, "bad")).await;
    let view = source(&plainview, ID, "counts nodes", |_| true).await;
    assert_eq!(detail(&view, "nodes alive"), "0 of 1", "{view}");

    let mut node = edge(&broker);
    latest(&plainview, TEMP, "is born again", is(20.5, "good")).await;
    latest(&plainview, VIBRATION, "is born again", is(4.5, "good")).await;

    plainview.kill();
    state(&plainview, &broker, false).await;
    plainview.launch().await;
    state(&plainview, &broker, true).await;
    // A host that does not know the node asks it for its birth.
    node.tell("data temp 30.5");
    source(&plainview, ID, "asked for the birth", births("2")).await;
    node.tell("alias 31.5");
    latest(&plainview, TEMP, "after the kill", is(31.5, "good")).await;
}
