//! What connectors do when the way to their peer breaks, when they are not let in, and when the
//! peer shows another certificate: it is seen, nothing is lost that can be had, nothing comes twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{FaultProxy, Faults, Path as Way};

use crate::harness::Plainview;
use crate::mqtt::Broker;
use crate::sources::{connect, free_port, latest, source};
use crate::{modbus, opcua, sparkplug};

async fn put(plainview: &Plainview, id: &str, settings: &Value) {
    let put = plainview
        .request(reqwest::Method::PUT, &format!("/api/v1/sources/{id}"))
        .header("If-Match", "*")
        .json(&json!({ "settings": settings }));
    assert_eq!(put.send().await.unwrap().status(), 200);
}

fn is(value: f64, quality: &'static str) -> impl Fn(&Value) -> bool {
    move |latest| latest["value"] == value && latest["quality"] == quality
}

/// Not live, and the last error has one of these words in it.
fn ill_with(words: &'static [&'static str]) -> impl Fn(&Value) -> bool {
    move |view| {
        let message = view["last_error"]["message"].as_str().unwrap_or_default().to_lowercase();
        view["reconciled"] == false && words.iter().any(|word| message.contains(word))
    }
}

fn live(view: &Value) -> bool {
    view["connected_since"].is_string()
}

/// All points of a sensor, oldest first.
async fn points(plainview: &Plainview, sensor: &str) -> Vec<Value> {
    let path = format!(
        "/api/v1/sensors/readings?sensor={sensor}&limit=10000\
         &from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"
    );
    let answer = plainview.get(&path).await;
    answer["series"][0]["points"].as_array().cloned().unwrap_or_default()
}

fn openssl(folder: &Path, args: &str) {
    let made = Command::new("openssl").current_dir(folder).args(args.split(' ')).output().unwrap();
    assert!(made.status.success(), "{args}: {}", String::from_utf8_lossy(&made.stderr));
}

/// An authority of its own, and a certificate of it for this machine.
fn certify(folder: &Path) {
    const KEY: &str = "-newkey rsa:2048 -nodes";
    openssl(folder, &format!("req -x509 {KEY} -days 2 -subj /CN=plant -keyout ca.key -out ca.pem"));
    openssl(folder, &format!("req {KEY} -subj /CN=broker -keyout key.pem -out request.pem"));
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    openssl(
        folder,
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile names -out cert.pem",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_waits_for_the_right_password_and_for_an_authority_it_trusts() {
    let inside = free_port();
    let mut broker = Broker::start_with(|folder| {
        certify(folder);
        let users = folder.join("users").display().to_string();
        let made = Command::new("mosquitto_passwd")
            .args(["-b", "-c", &users, "plainview", "canary-right"])
            .status();
        assert!(made.unwrap().success());
        let at = folder.display();
        format!(
            "certfile {at}/cert.pem\nkeyfile {at}/key.pem\nlistener {inside} 127.0.0.1\n\
             allow_anonymous false\npassword_file {users}\n"
        )
    });
    let say = |value: u64| {
        let payload = format!("{{\"value\":{value},\"timestamp\":{}}}", 1_767_225_600_000 + value);
        let said = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &inside.to_string(), "-q", "1"])
            .args(["-u", "plainview", "-P", "canary-right"])
            .args(["-t", "plainview/north/p-1/level", "-m", &payload])
            .status();
        assert!(said.unwrap().success());
    };
    let plainview = Plainview::start().await;
    let first = broker.folder().join("first.pem");
    std::fs::copy(broker.folder().join("ca.pem"), &first).unwrap();
    let mut settings = json!({
        "host": "127.0.0.1", "port": broker.port, "username": "plainview",
        "password": "canary-wrong", "tls": { "ca_file": first },
    });
    connect(&plainview, "mqtt", &settings).await;
    let id = "mqtt/plant";
    let refused = ill_with(&["auth", "password", "credential"]);
    source(&plainview, id, "is not let in", refused).await;

    settings["password"] = json!("canary-right");
    put(&plainview, id, &settings).await;
    source(&plainview, id, "is let in", live).await;
    plainview
        .until(crate::harness::DEADLINE, "the first reading", async |it| {
            say(1);
            let view = it.get(&format!("/api/v1/sources/{id}")).await;
            (view["readings"].as_u64()? > 0).then_some(())
        })
        .await;

    certify(broker.folder());
    broker.restart();
    source(&plainview, id, "does not trust it", ill_with(&["certificate", "issuer"])).await;
    // It waits at the broker, for the session is kept there.
    say(2);
    settings["tls"] = json!({ "ca_file": broker.folder().join("ca.pem") });
    put(&plainview, id, &settings).await;
    latest(&plainview, "north/p-1/level", "what waited", is(2.0, "good")).await;
    assert_eq!(points(&plainview, "north/p-1/level").await.len(), 2);
    assert!(!plainview.log().contains("canary"), "{}", plainview.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modbus_link_that_breaks_is_stale_and_whole_again_each_time() {
    let port = free_port();
    let device = modbus::start(port);
    let proxy = FaultProxy::start(([127, 0, 0, 1], port).into(), 7).await.unwrap();
    let plainview = Plainview::start().await;
    connect(&plainview, "modbus_tcp", &modbus::settings(proxy.addr().port(), &device)).await;
    let (id, sensor) = ("modbus_tcp/plant", "north/device/f32-abcd");
    latest(&plainview, sensor, "good", is(1.5, "good")).await;
    for path in [Way::Reset, Way::Blackhole] {
        proxy.set(Faults { path, ..Faults::default() });
        latest(&plainview, sensor, "of a broken link", is(1.5, "bad")).await;
        let gone = |view: &Value| view["connected_since"].is_null();
        source(&plainview, id, "lost its link", gone).await;
        proxy.heal();
        latest(&plainview, sensor, "of a link that stands", is(1.5, "good")).await;
    }
    let points = points(&plainview, sensor).await;
    let times: Vec<&str> = points.iter().map(|point| point["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "one value at one time: {times:?}");
    let mut course: Vec<&str> = points.iter().map(|p| p["quality"].as_str().unwrap()).collect();
    course.dedup();
    assert_eq!(course, ["good", "bad", "good", "bad", "good"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opc_ua_link_that_breaks_is_filled_from_history_and_nothing_is_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let proxy = FaultProxy::start(([127, 0, 0, 1], port).into(), 7).await.unwrap();
    let server = opcua::start_behind(proxy.addr().port(), port, folder.path());
    let plainview = Plainview::start().await;
    // A value that was not heard of for long would be read and said again, as it should.
    let mut settings = opcua::open_settings(&server);
    settings["repeat_s"] = json!(0);
    connect(&plainview, "opc_ua", &settings).await;
    let id = "opc_ua/plant";
    opcua::without_gap(&plainview, 10).await;
    let mut newest = 10;
    for path in [Way::Reset, Way::Blackhole] {
        proxy.set(Faults { path, ..Faults::default() });
        latest(&plainview, "north/pump/speed", "of a broken link", is(1480.5, "bad")).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        proxy.heal();
        source(&plainview, id, "has its link again", live).await;
        // Three seconds of ten counts each, and those that follow.
        newest += 40;
        opcua::without_gap(&plainview, newest).await;
    }
    let points = points(&plainview, "north/pump/count").await;
    let good = points.iter().filter(|point| point["quality"] == "good");
    let counts: Vec<u64> = good.map(|point| point["value"].as_f64().unwrap() as u64).collect();
    let different: BTreeSet<u64> = counts.iter().copied().collect();
    assert_eq!(counts.len(), different.len(), "each count once: {counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_of_an_opc_ua_server_is_not_taken_until_people_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = opcua::start(port, folder.path(), "secure", 0);
    let plainview = Plainview::start().await;
    let mut settings = json!({
        "endpoint": server.hello["endpoint"], "publishing_ms": 100,
        "username": "reader", "password": "canary-opc",
        "server_thumbprint": server.hello["thumbprint"],
        "nodes": [{ "node": "ns=2;i=1001", "sensor": "north/pump/count" }],
    });
    connect(&plainview, "opc_ua", &settings).await;
    let id = "opc_ua/plant";
    source(&plainview, id, "is live", |view| view["state"] == "live").await;

    drop(server);
    for file in ["key.pem", "cert.der"] {
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
    let server = opcua::start(port, folder.path(), "secure", 100_000);
    assert_ne!(server.hello["thumbprint"], settings["server_thumbprint"]);
    source(&plainview, id, "does not take it", ill_with(&["thumbprint"])).await;
    let late = |latest: &Value| latest["value"].as_f64().is_some_and(|count| count >= 100_000.0);
    let page = plainview.get("/api/v1/sensors/sensors?limit=10").await;
    assert!(!late(&page["items"][0]["latest"]), "{page}");

    settings["server_thumbprint"] = server.hello["thumbprint"].clone();
    put(&plainview, id, &settings).await;
    latest(&plainview, "north/pump/count", "of the new certificate", late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sparkplug_host_that_was_cut_off_asks_for_births_again() {
    let broker = Broker::start();
    let proxy = FaultProxy::start(([127, 0, 0, 1], broker.port).into(), 7).await.unwrap();
    let plainview = Plainview::start().await;
    let settings =
        json!({ "host": "127.0.0.1", "port": proxy.addr().port(), "rebirth_every_s": 1 });
    connect(&plainview, "sparkplug_b", &settings).await;
    let (id, sensor) = ("sparkplug_b/plant", "north/gw/p-2/vibration");
    source(&plainview, id, "connected", live).await;
    let mut node = sparkplug::edge(&broker);
    latest(&plainview, sensor, "is born", is(4.5, "good")).await;

    proxy.set(Faults { path: Way::Reset, ..Faults::default() });
    // The broker says our will, and the node speaks on meanwhile.
    node.tell("device vibration 5.5");
    source(&plainview, id, "lost its link", |view| view["connected_since"].is_null()).await;
    node.tell("device vibration 6.5");
    proxy.heal();
    source(&plainview, id, "has its link again", live).await;
    node.tell("device vibration 7.5");
    latest(&plainview, sensor, "after the cut", is(7.5, "good")).await;
    let asked = |view: &Value| sparkplug::detail(view, "births").parse::<u64>().unwrap_or(0) >= 4;
    source(&plainview, id, "heard the births again", asked).await;
}
