//! OPC UA against an asyncua server: qualities and times, certificates and passwords, restarts on
//! both sides, and the gap from the server's history.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{DEADLINE, Plainview};
use crate::sources::{Peer, connect, free_port, latest, source};

const ID: &str = "opc_ua/plant";

pub(crate) fn start(port: u16, folder: &Path, mode: &str, first: u64) -> Peer {
    start_with(port, folder, mode, first, 0)
}

fn start_with(port: u16, folder: &Path, mode: &str, first: u64, tanks: u64) -> Peer {
    let (port, first, tanks) = (port.to_string(), first.to_string(), tanks.to_string());
    Peer::start("opcua_server.py", &[&port, folder.to_str().unwrap(), mode, &first, &tanks])
}

/// A server that tells its clients another port than its own.
pub(crate) fn start_behind(named: u16, port: u16, folder: &Path) -> Peer {
    let (port, named) = (port.to_string(), named.to_string());
    Peer::start("opcua_server.py", &[&port, folder.to_str().unwrap(), "open", "0", "0", &named])
}

pub(crate) fn open_settings(server: &Peer) -> Value {
    json!({
        "endpoint": server.hello["endpoint"], "security": "none", "mode": "none",
        "sampling_ms": 0, "publishing_ms": 100, "repeat_s": 2,
        "nodes": [
            { "node": "ns=2;i=1001", "sensor": "north/pump/count" },
            { "node": "nsu=urn:plant;s=Pump.Speed", "sensor": "north/pump/speed",
              "unit_of_measure": "rpm" },
        ],
    })
}

fn is(quality: &'static str, value: f64) -> impl Fn(&Value) -> bool {
    move |latest| latest["value"] == value && latest["quality"] == quality
}

/// The counts that are stored, in order of their time, without those that say old or bad.
async fn counts(plainview: &Plainview) -> Vec<u64> {
    let path = "/api/v1/sensors/readings?sensor=north/pump/count&limit=10000\
                &from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z";
    let answer = plainview.request(reqwest::Method::GET, path).send().await.unwrap();
    if answer.status() == 404 {
        return Vec::new();
    }
    let answer: Value = answer.json().await.unwrap();
    let points = answer["series"][0]["points"].as_array().cloned().unwrap_or_default();
    let good = points.iter().filter(|point| point["quality"] == "good");
    let mut counts: Vec<u64> = good.map(|point| point["value"].as_f64().unwrap() as u64).collect();
    counts.dedup();
    counts
}

/// Waits until every count from the first to at least `last` is there.
pub(crate) async fn without_gap(plainview: &Plainview, last: u64) {
    plainview
        .until(DEADLINE, &format!("every count up to {last}"), async |it| {
            let counts = counts(it).await;
            let (first, newest) = (*counts.first()?, *counts.last()?);
            let whole = counts.len() as u64 == newest - first + 1;
            (whole && newest >= last).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn source_times_and_status_codes_come_through() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut server = start(port, folder.path(), "open", 0);
    let plainview = Plainview::start().await;
    let mut settings = open_settings(&server);
    settings["browse"] = json!({ "root": "nsu=urn:plant;s=Pump", "prefix": "north/all" });
    connect(&plainview, "opc_ua", &settings).await;
    latest(&plainview, "north/pump/speed", "good", is("good", 1480.5)).await;
    latest(&plainview, "north/all/Motor/Temp", "browsed", is("good", 61.25)).await;
    latest(&plainview, "north/all/Running", "is 0 or 1", is("good", 1.0)).await;
    let sensors = plainview.get("/api/v1/sensors/sensors?limit=100").await.to_string();
    assert!(!sensors.contains("Label"), "a text is no sensor: {sensors}");

    // The server waits with what it says again until the value was not heard for two seconds.
    server.tell("set Speed 99.5 1");
    let told = latest(&plainview, "north/pump/speed", "changed", is("good", 99.5)).await;
    let again = latest(&plainview, "north/pump/speed", "is said again", |latest| {
        latest["value"] == 99.5 && latest["at"] != told["at"]
    });
    again.await;

    for (code, quality) in [
        ("UncertainLastUsableValue", "uncertain"),
        ("BadSensorFailure", "bad"),
        ("BadOutOfRange", "bad"),
        ("Good", "good"),
    ] {
        server.tell(&format!("status Speed {code}"));
        latest(&plainview, "north/pump/speed", code, is(quality, 99.5)).await;
    }
    without_gap(&plainview, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_filled_from_history_after_a_restart_of_either_side() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = start(port, folder.path(), "open", 0);
    let mut plainview = Plainview::start().await;
    connect(&plainview, "opc_ua", &open_settings(&server)).await;
    without_gap(&plainview, 10).await;

    plainview.kill();
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    plainview.launch().await;
    source(&plainview, ID, "is live", |view| view["state"] == "live").await;
    let filled = |view: &Value| detail(view, "backfilled readings") >= 30;
    source(&plainview, ID, "filled the gap", filled).await;
    without_gap(&plainview, 50).await;

    drop(server);
    latest(&plainview, "north/pump/speed", "of a dead server", is("bad", 1480.5)).await;
    let gone = |view: &Value| view["reconciled"] == false && view["state"] != "live";
    source(&plainview, ID, "is gone", gone).await;
    let _server = start(port, folder.path(), "open", 100_000);
    latest(&plainview, "north/pump/speed", "after a restart", is("good", 1480.5)).await;
    latest(&plainview, "north/pump/count", "counts on", |latest| {
        latest["value"].as_f64().is_some_and(|count| count > 100_010.0)
    })
    .await;
}

/// A number among a source's details; zero while it is not there.
fn detail(view: &Value, name: &str) -> u64 {
    let all = view["details"].as_array().cloned().unwrap_or_default();
    let found = all.iter().find(|detail| detail["name"] == name);
    found.and_then(|detail| detail["value"].as_str()?.parse().ok()).unwrap_or_default()
}

const TANKS: u64 = 20;
const RECORDED: u64 = 1_500;

/// Levels of `first` and above that are stored of a tank, each once.
async fn levels(plainview: &Plainview, tank: u64, first: u64) -> Option<usize> {
    let path = format!(
        "/api/v1/sensors/readings?sensor=north/tanks/level-{tank}&limit=10000\
         &from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"
    );
    let answer = plainview.get(&path).await;
    let points = answer["series"][0]["points"].as_array()?;
    let values = points.iter().filter_map(|point| point["value"].as_f64());
    let recorded: std::collections::BTreeSet<u64> =
        values.filter(|value| *value >= first as f64).map(|value| value as u64).collect();
    Some(recorded.len())
}

/// Waits until every level from `first` on is stored of every tank, and no more of them.
async fn all_levels(plainview: &Plainview, first: u64) {
    for tank in 0..TANKS {
        plainview
            .until(DEADLINE, &format!("every level of tank {tank}"), async |it| {
                let found = levels(it, tank, first).await?;
                assert!(found <= RECORDED as usize, "{found} of tank {tank}");
                (found == RECORDED as usize).then_some(())
            })
            .await;
    }
}

/// Kills Plainview, lets the server record meanwhile, and starts Plainview again.
async fn missed(plainview: &mut Plainview, server: &mut Peer, folder: &Path, first: u64) {
    plainview.kill();
    // A gap is two seconds long at least, and the levels lie in its last one and a half.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    server.tell(&format!("record {RECORDED} {first}"));
    let recorded = folder.join(format!("recorded-{first}"));
    plainview.until(DEADLINE, "recorded", async |_| recorded.exists().then_some(())).await;
    plainview.launch().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gaps_of_many_nodes_are_read_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start_with(free_port(), folder.path(), "open", 0, TANKS);
    let mut plainview = Plainview::start().await;
    let mut settings = open_settings(&server);
    let tank = |tank: u64| {
        json!({ "node": format!("ns=2;i={}", 2000 + tank),
                "sensor": format!("north/tanks/level-{tank}") })
    };
    settings["nodes"] = (0..TANKS).map(tank).collect();
    connect(&plainview, "opc_ua", &settings).await;
    for tank in 0..TANKS {
        latest(&plainview, &format!("north/tanks/level-{tank}"), "good", is("good", 1.0)).await;
    }
    // This server cuts at the limit of a request, and does not say that there is more.
    missed(&mut plainview, &mut server, folder.path(), 10_000).await;
    let all = RECORDED * TANKS;
    let filled = |view: &Value| detail(view, "backfilled readings") >= all;
    let view = source(&plainview, ID, "filled the gaps", filled).await;
    let requests = detail(&view, "history requests");
    assert!((1..TANKS).contains(&requests), "{requests} requests for {TANKS} nodes: {view}");
    all_levels(&plainview, 10_000).await;
    // And now it goes on by itself, page by page.
    server.tell("page 250");
    missed(&mut plainview, &mut server, folder.path(), 20_000).await;
    source(&plainview, ID, "filled the gaps again", filled).await;
    all_levels(&plainview, 20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secured_server_is_read_once_its_certificate_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = start(port, folder.path(), "secure", 0);
    let plainview = Plainview::start().await;
    let mut settings = json!({
        "endpoint": server.hello["endpoint"], "publishing_ms": 100,
        "security": "basic256_sha256", "mode": "sign_and_encrypt",
        "username": "reader", "password": "canary-opc",
        "nodes": [{ "node": "ns=2;i=1001", "sensor": "north/pump/count" }],
    });
    connect(&plainview, "opc_ua", &settings).await;
    let thumbprint = server.hello["thumbprint"].as_str().unwrap();
    let untrusted = |view: &Value| {
        let message = view["last_error"]["message"].as_str().unwrap_or_default();
        message.contains("not trusted") && message.contains(thumbprint)
    };
    source(&plainview, ID, "asks for trust", untrusted).await;
    assert!(counts(&plainview).await.is_empty());

    let policies = [
        ("basic256_sha256", "sign_and_encrypt"),
        ("basic256_sha256", "sign"),
        ("aes128_sha256_rsa_oaep", "sign_and_encrypt"),
        ("aes256_sha256_rsa_pss", "sign_and_encrypt"),
    ];
    settings["server_thumbprint"] = json!(thumbprint);
    let mut seen = 0;
    for (index, (policy, mode)) in policies.into_iter().enumerate() {
        (settings["security"], settings["mode"]) = (json!(policy), json!(mode));
        let put = plainview
            .request(reqwest::Method::PUT, &format!("/api/v1/sources/{ID}"))
            .header("If-Match", format!("\"{}\"", index + 1))
            .json(&json!({ "settings": settings }));
        assert_eq!(put.send().await.unwrap().status(), 200);
        let what = format!("is live with {policy} and {mode}");
        let live = |view: &Value| view["state"] == "live" && view["version"] == index + 2;
        source(&plainview, ID, &what, live).await;
        let newest = latest(&plainview, "north/pump/count", &what, |latest| {
            latest["value"].as_f64().is_some_and(|count| count as u64 > seen)
        });
        seen = newest.await["value"].as_f64().unwrap() as u64;
    }

    settings["password"] = json!("wrong");
    let put = plainview
        .request(reqwest::Method::PUT, &format!("/api/v1/sources/{ID}"))
        .header("If-Match", "*")
        .json(&json!({ "settings": settings }));
    assert_eq!(put.send().await.unwrap().status(), 200);
    let refused =
        |view: &Value| view["reconciled"] == false && view["last_error"]["message"].is_string();
    source(&plainview, ID, "is refused with a wrong password", refused).await;
    assert!(!plainview.log().contains("canary"), "{}", plainview.log());
}
