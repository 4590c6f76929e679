//! Sources as people handle them, and the peers that the connectors' tests read from.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{DEADLINE, Plainview, Setup};
use crate::python;

/// A server in Python that is steered by lines on its input; dropping it kills it.
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    /// What it said when it was ready.
    pub(crate) hello: Value,
}

impl Peer {
    pub(crate) fn start(script: &str, args: &[&str]) -> Self {
        let mut child = Command::new(python::python())
            .arg(python::scripts().join(script))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let hello = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{script} did not start: {error}: {line}"));
        let input = child.stdin.take().unwrap();
        Self { child, input, hello }
    }

    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
        self.input.flush().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Makes a connector; its view back.
pub(crate) async fn connect(plainview: &Plainview, protocol: &str, settings: &Value) -> Value {
    let body = json!({ "name": "plant", "protocol": protocol, "settings": settings });
    let (status, made) = plainview.post("/api/v1/sources", &body).await;
    assert_eq!(status, 201, "{made}");
    made
}

/// Waits until a source looks as wanted.
pub(crate) async fn source(
    plainview: &Plainview,
    id: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let path = format!("/api/v1/sources/{id}");
    let what = format!("{id} {what}");
    plainview
        .until(DEADLINE, &what, async |it| Some(it.get(&path).await).filter(|view| wanted(view)))
        .await
}

/// Waits until the newest reading of a sensor is as wanted.
pub(crate) async fn latest(
    plainview: &Plainview,
    sensor: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let what = format!("{sensor} {what}");
    plainview
        .until(DEADLINE, &what, async |it| {
            let page = it.get(&format!("/api/v1/sensors/sensors?limit=1000&q={sensor}")).await;
            let found = page["items"].as_array()?.iter().find(|item| item["key"] == sensor)?;
            Some(found["latest"].clone()).filter(|latest| wanted(latest))
        })
        .await
}

async fn send(
    plainview: &Plainview,
    method: Method,
    path: &str,
    tag: Option<&str>,
    body: Option<Value>,
) -> (u16, Value) {
    let mut request = plainview.request(method, path);
    if let Some(tag) = tag {
        request = request.header("If-Match", tag);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_made_changed_stopped_and_removed_and_its_secret_never_comes_back() {
    let file = "[[sources]]\nname = \"north\"\nprotocol = \"mqtt\"\nhost = \"127.0.0.1\"\n\
                port = 1\nusername = \"u\"\npassword = \"canary-file\"\n";
    let mut plainview = Setup::default().file(file).start().await;
    let kinds = plainview.get("/api/v1/sources/kinds").await;
    let known = |protocol: &str| {
        let all = kinds["kinds"].as_array().unwrap();
        all.iter().find(|kind| kind["protocol"] == protocol).cloned().unwrap()
    };
    assert_eq!(known("modbus_tcp")["fields"][0]["name"], "host");
    assert!(known("mqtt").to_string().contains("secret"));

    let settings =
        json!({ "host": "127.0.0.1", "port": 1, "username": "u", "password": "canary-api" });
    let made = connect(&plainview, "mqtt", &settings).await;
    assert_eq!((&made["id"], &made["version"]), (&json!("mqtt/plant"), &json!(1)));
    assert_eq!(made["settings"]["password"], "***");
    let waiting =
        |view: &Value| view["reconciled"] == false && view["last_error"]["message"].is_string();
    source(&plainview, "mqtt/plant", "cannot connect", waiting).await;
    source(&plainview, "mqtt/north", "cannot connect", waiting).await;
    let health = plainview.get("/health").await;
    assert_eq!(health["checks"]["sources"]["status"], "degraded", "{health}");
    assert!(health["checks"]["sources"]["detail"].as_str().unwrap().contains("mqtt/north"));

    let path = "/api/v1/sources/mqtt/plant";
    let body = json!({ "settings": { "host": "127.0.0.1", "port": 2, "username": "u", "password": "***" } });
    let put = async |tag| send(&plainview, Method::PUT, path, tag, Some(body.clone())).await;
    assert_eq!(put(None).await.0, 428);
    assert_eq!(put(Some("\"7\"")).await.0, 412);
    let (status, changed) = put(Some("\"1\"")).await;
    assert_eq!((status, &changed["version"]), (200, &json!(2)));
    let wrong = json!({ "name": "x", "protocol": "modbus_tcp", "settings": { "host": "a", "registers": [] } });
    let (status, problem) = plainview.post("/api/v1/sources", &wrong).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("settings.registers")));

    for id in ["mqtt/plant", "mqtt/north"] {
        let (status, _) = plainview.post(&format!("/api/v1/sources/{id}/stop"), &json!({})).await;
        assert_eq!(status, 200);
    }
    plainview.kill();
    plainview.launch().await;
    for id in ["mqtt/plant", "mqtt/north"] {
        let stopped = |view: &Value| view["state"] == "stopped" && view["reconciled"] == true;
        source(&plainview, id, "stays stopped", stopped).await;
    }
    plainview.post("/api/v1/sources/mqtt/plant/start", &json!({})).await;
    source(&plainview, "mqtt/plant", "cannot connect", waiting).await;
    let remove = async |id: &str| {
        send(&plainview, Method::DELETE, &format!("/api/v1/sources/{id}"), None, None).await.0
    };
    assert_eq!((remove("mqtt/plant").await, remove("mqtt/north").await), (204, 409));
    let all = plainview.get("/api/v1/sources").await;
    let events = plainview.get("/api/v1/events?limit=1000").await;
    for text in [all.to_string(), events.to_string(), plainview.log()] {
        assert!(!text.contains("canary"), "{text}");
    }
    let said = plainview.events("types=source.changed").await;
    assert!(said.iter().any(
        |event| event["data"]["change"] == "removed" && event["data"]["changed_by"] == "tester"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_calls_a_door_is_listed_with_its_rate_and_lag() {
    let plainview = Plainview::start().await;
    for value in 0..5 {
        let reading = json!({ "sensor": "north/p-1/flow", "value": value });
        assert_eq!(plainview.post("/api/v1/data/ingest", &reading).await.0, 200);
    }
    let view = source(&plainview, "json/tester", "is heard", |view| view["readings"] == 5).await;
    assert_eq!((&view["kind"], &view["state"]), (&json!("agent"), &json!("live")));
    assert_eq!((&view["desired"], &view["settings"]), (&Value::Null, &Value::Null));
    assert!(view["lag_ms"].as_i64().unwrap().abs() < 5_000);
    let flow = plainview
        .until(DEADLINE, "flow", async |it| {
            let all = it.get("/api/v1/sources").await;
            (all["flow"]["stored_per_s"].as_f64()? > 0.0).then(|| all["flow"].clone())
        })
        .await;
    assert_eq!(flow["readers"][0]["name"], "anomaly-detection");
}
