//! The detectors: over files from the command line, and over an asset of a running Plainview.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{DEADLINE, Plainview, binary};

/// First second of the pump's readings.
const START_S: i64 = 1_790_000_000;

fn detect(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output =
        Command::new(binary()).env_clear().current_dir(folder).arg("detect").args(args).output();
    let output = output.unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Noise between -1 and 1 that is the same every time.
fn noise(at: i64, which: i64) -> f64 {
    let mut state = (at * 7_919 + which * 104_729).unsigned_abs() ^ 0x9e37_79b9_7f4a_7c15;
    let mut sum = 0.0;
    for _ in 0..4 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        sum += (state >> 11) as f64 / 9_007_199_254_740_992.0 - 0.5;
    }
    sum / 2.0
}

/// Speed, flow and power of a pump, of whose flow `leak` is lost.
fn pump(at: i64, leak: f64) -> [f64; 3] {
    let speed = 1450.0 + 10.0 * (at as f64 / 30.0).sin() + 4.0 * noise(at, 1);
    let flow = 0.02 * speed + 0.06 * noise(at, 2);
    [speed, flow - leak, 0.4 * flow + 0.05 * noise(at, 3)]
}

fn table(rows: i64, fault_from: i64) -> String {
    let mut text = "time;speed;flow;power;label\r\n".to_owned();
    for at in 0..rows {
        let leak = if at >= fault_from { 0.5 } else { 0.0 };
        let [speed, flow, power] = pump(at, leak);
        text.push_str(&format!("t{at};{speed};{flow};{power};{}\r\n", u8::from(leak > 0.0)));
    }
    text
}

#[test]
fn a_process_is_judged_from_files() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("in/deep")).unwrap();
    fs::write(dir.path().join("in/deep/pump.csv"), table(700, 500)).unwrap();
    let normal = ["--fit-rows", "400", "--separator", ";", "--ignore", "label"];
    let run = |more: &[&str]| {
        let mut args = vec!["process", "--in", "in", "--out", "out"];
        args.extend(more);
        detect(dir.path(), &args)
    };
    let (code, said, complained) = run(&[&normal[..], &["--json"]].concat());
    assert_eq!((code, complained.as_str()), (0, ""));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["files"], &said["rows"]), (&json!(1), &json!(700)));
    let text = fs::read_to_string(dir.path().join("out/deep/pump.csv")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let header = "sample,time,score,alarm,changepoint,top_1,top_1_share,top_2,top_2_share,top_3,\
                  top_3_share";
    assert_eq!(rows[0].join(","), header);
    assert_eq!(rows.len(), 701);
    assert_eq!(rows[700][..2], ["699", "t699"]);
    let alarms =
        |from: usize, to: usize| rows[from + 1..=to].iter().filter(|r| r[3] == "1").count();
    assert_eq!(alarms(0, 400), 0);
    assert!(alarms(400, 500) <= 5 && alarms(500, 700) > 190, "{}", alarms(500, 700));
    assert!(rows[521..].iter().filter(|row| row[5] == "flow").count() > 150);
    let again = fs::read(dir.path().join("out/deep/pump.csv")).unwrap();
    assert_eq!(run(&normal).0, 0);
    assert_eq!(fs::read(dir.path().join("out/deep/pump.csv")).unwrap(), again);

    let (code, _, complained) = run(&["--separator", ";"]);
    assert_eq!(code, 2, "{complained}");
    fs::write(dir.path().join("in/z.csv"), "speed;flow;power\r\n1;2;3\r\n1;4x.1;3\r\n").unwrap();
    fs::remove_dir_all(dir.path().join("out")).unwrap();
    let (code, said, complained) = run(&normal);
    assert_eq!((code, said.as_str()), (2, ""));
    let wanted = "plainview: in/z.csv:3: column flow: \"4x.1\" is not a number\n";
    assert_eq!(complained, wanted);
    assert!(!dir.path().join("out").exists(), "nothing is written after bad input");
}

#[test]
fn series_are_scored_from_files() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    let mut text = "timestamp,value\n".to_owned();
    for at in 0..600_i64 {
        let (hour, minute) = (at / 12 % 24, at % 12 * 5);
        let day = 1 + at / 288;
        let value = if at == 550 { 900.0 } else { 20.0 + noise(at, 1) };
        text.push_str(&format!("2026-03-0{day} {hour:02}:{minute:02}:00,{value}\n"));
    }
    text.push_str("2026-03-03 02:00:00,\n");
    fs::write(dir.path().join("in/a.csv"), &text).unwrap();
    let (code, threshold, _) = detect(dir.path(), &["series", "--print-threshold"]);
    assert_eq!(code, 0);
    let threshold: f64 = threshold.trim().parse().unwrap();
    let (code, said, complained) = detect(dir.path(), &["series", "--in", "in", "--out", "out"]);
    assert_eq!((code, said.as_str(), complained.as_str()), (0, "", ""));
    let text = fs::read_to_string(dir.path().join("out/a.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), "timestamp,anomaly_score");
    let scores: Vec<f64> =
        lines.map(|line| line.split_once(',').unwrap().1.parse().unwrap()).collect();
    assert_eq!(scores.len(), 601);
    assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)));
    assert!(scores[550] >= threshold);
    assert!(scores[..550].iter().filter(|score| **score >= threshold).count() <= 2);
    fs::write(dir.path().join("in/b.csv"), "timestamp,value\nyesterday,1\n").unwrap();
    let (code, _, complained) = detect(dir.path(), &["series", "--in", "in", "--out", "other"]);
    assert_eq!(code, 2);
    assert!(complained.contains("in/b.csv:2: column timestamp: \"yesterday\""), "{complained}");
    assert!(!dir.path().join("other").exists());
}

async fn say(plainview: &Plainview, from: i64, to: i64, leak: f64) {
    let readings: Vec<Value> = (from..to)
        .flat_map(|at| {
            let time = kernel::Timestamp::from_secs(START_S + at).to_string();
            let named = ["speed", "flow", "power"].into_iter().zip(pump(at, leak));
            named.map(move |(measure, value)| {
                json!({ "sensor": format!("north/p-7/{measure}"), "timestamp": time, "value": value })
            })
        })
        .collect();
    let (status, said) = plainview.post("/api/v1/data/ingest", &Value::Array(readings)).await;
    assert!(status < 300, "{status} {said}");
}

/// `plainview explain`: its exit code and what it said.
fn explain(plainview: &Plainview, args: &[&str]) -> (Option<i32>, String) {
    let url = ["--url", &plainview.base, "--key", &plainview.key];
    let args = [&["explain"], args, &url].concat();
    let output = plainview.command(&args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// Judges the anomaly again from the command line, before and after one of its readings is
/// corrected.
async fn explain_before_and_after(plainview: &Plainview, id: &str, corrected: &Value) {
    let (code, said) = explain(plainview, &[id]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(id) && said.ends_with("Judged again: the same\n"), "{said}");
    let (status, answer) = plainview.post("/api/v1/data/ingest", corrected).await;
    assert!(status < 300, "{status} {answer}");
    let (code, said) = explain(plainview, &[id]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("readings came late, were corrected or are gone since"), "{said}");
    let (code, said) =
        explain(plainview, &["--from", "2026-01-01", "--to", "2100-01-01", "--json"]);
    assert_eq!(code, Some(4), "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert!(said["differ"].as_u64().unwrap() >= 1, "{said}");
    let told = said["anomalies"].as_array().unwrap().iter();
    let own = told.filter(|told| told["anomaly"]["anomaly_id"] == id).collect::<Vec<_>>();
    assert_eq!((own.len(), &own[0]["same"]), (1, &json!(false)));
}

async fn anomalies(plainview: &Plainview) -> Vec<Value> {
    let page = plainview.get("/api/v1/anomalies?limit=1000").await;
    let all = page["items"].as_array().unwrap().iter();
    all.filter(|anomaly| anomaly["rule"] == "process").cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_is_watched_explained_and_taken_up_again_after_a_kill() {
    let mut plainview = Plainview::start().await;
    say(&plainview, 0, 900, 0.0).await;
    let time = |at: i64| kernel::Timestamp::from_secs(START_S + at).to_string();
    let body = json!({
        "fit": { "from": time(0), "to": time(600) },
        "calibrate": { "from": time(600), "to": time(900) },
    });
    let path = "/api/v1/assets/north/p-7/model";
    let missing = plainview.request(Method::GET, path).send().await.unwrap();
    assert_eq!(missing.status().as_u16(), 404);
    let fitted = plainview.request(Method::PUT, path).json(&body).send().await.unwrap();
    assert_eq!(fitted.status().as_u16(), 201);
    let fitted: Value = fitted.json().await.unwrap();
    assert_eq!((&fitted["state"], &fitted["version"]), (&json!("accepted"), &json!(1)));
    assert_eq!(fitted["inputs"].as_array().unwrap().len(), 3);
    say(&plainview, 900, 960, 0.0).await;
    plainview.kill();
    plainview.launch().await;
    say(&plainview, 960, 1_080, 0.5).await;
    let found = plainview
        .until(DEADLINE, "an anomaly of the process", async |it: &Plainview| {
            anomalies(it).await.first().cloned()
        })
        .await;
    assert_eq!(found["sensor"], "north/p-7/flow", "{found}");
    assert_eq!(found["detector"]["name"], "process");
    assert!(found["contributions"][0]["share"].as_f64().unwrap() > 0.5);
    plainview.kill();
    plainview.launch().await;
    say(&plainview, 1_080, 1_200, 0.5).await;
    plainview
        .until(DEADLINE, "the newest row", async |it: &Plainview| {
            let now = it.get(path).await["now"]["row_at"].as_str().map(str::to_owned)?;
            (now >= time(1_190)).then_some(())
        })
        .await;
    let standing = anomalies(&plainview).await;
    assert_eq!(standing.len(), 1, "said once: {standing:#?}");
    let id = standing[0]["anomaly_id"].as_str().unwrap();
    let again = plainview.get(&format!("/api/v1/anomalies/{id}/explain")).await;
    assert_eq!(again["same"], true, "{:#}", again["again"]);
    let trusted = plainview
        .until(Duration::from_secs(30), "doubt about the flow", async |it: &Plainview| {
            let sensor = it.get("/api/v1/sensors/north/p-7/flow").await;
            (sensor["trust"] == "suspect").then_some(sensor)
        })
        .await;
    assert!(trusted["trust_reason"].as_str().unwrap().contains("other sensors"), "{trusted}");
    let row_at = standing[0]["process"]["row_at"].clone();
    let corrected = json!([{ "sensor": "north/p-7/flow", "timestamp": row_at, "value": 20.0 }]);
    explain_before_and_after(&plainview, id, &corrected).await;
    let (code, said) = explain(&plainview, &["00000000-0000-0000-0000-000000000000"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("There is no such anomaly (404)"), "{said}");
    assert_eq!(explain(&plainview, &[id, "--from", "-1h"]).0, Some(2));
}

/// One sensor whose level goes from 20 to 32 at second 1,300 and stays there.
async fn say_level(plainview: &Plainview, from: i64, to: i64) {
    let readings: Vec<Value> = (from..to)
        .map(|at| {
            let level = if at < 1_300 { 20.0 } else { 32.0 };
            json!({
                "sensor": "north/p-8/pressure",
                "timestamp": kernel::Timestamp::from_secs(START_S + at).to_string(),
                "value": level + noise(at, 4),
            })
        })
        .collect();
    let (status, said) = plainview.post("/api/v1/data/ingest", &Value::Array(readings)).await;
    assert!(status < 300, "{status} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensors_anomaly_is_judged_again_alike_after_a_kill_and_its_new_level_is_told() {
    let mut plainview = Plainview::start().await;
    say_level(&plainview, 0, 1_200).await;
    plainview.kill();
    plainview.launch().await;
    say_level(&plainview, 1_200, 1_330).await;
    let begun = plainview
        .until(DEADLINE, "an anomaly of the score", async |it: &Plainview| {
            let page = it.get("/api/v1/anomalies?sensor=north/p-8/pressure").await;
            let mut all = page["items"].as_array()?.iter();
            let stepped = kernel::Timestamp::from_secs(START_S + 1_299).to_string();
            all.find(|it| {
                it["rule"] == "score" && it["started_at"].as_str() > Some(stepped.as_str())
            })
            .cloned()
        })
        .await;
    plainview.kill();
    plainview.launch().await;
    let id = begun["anomaly_id"].as_str().unwrap();
    let again = plainview.get(&format!("/api/v1/anomalies/{id}/explain")).await;
    assert_eq!(again["same"], true, "{:#}", again["series"]["hindrance"]);
    let series = &again["series"];
    assert_eq!(series["detector"]["name"], "sensor");
    let readings = series["readings"].as_array().unwrap();
    let last = readings.last().unwrap();
    assert_eq!(last["at"], series["found_at"]);
    assert!(last["score"].as_f64().unwrap() >= series["threshold"].as_f64().unwrap());
    assert!(!series["aspects"].as_array().unwrap().is_empty());

    say_level(&plainview, 1_330, 2_400).await;
    let change = plainview
        .until(DEADLINE, "a change of level", async |it: &Plainview| {
            let page = it.get("/api/v1/changepoints?asset=north/p-8").await;
            page["items"].as_array()?.first().cloned()
        })
        .await;
    assert_eq!(change["sensor"], "north/p-8/pressure");
    assert!((change["before"].as_f64().unwrap() - 20.0).abs() < 1.0, "{change}");
    assert!((change["after"].as_f64().unwrap() - 32.0).abs() < 1.0, "{change}");
    assert_eq!(change["anomaly_id"], begun["anomaly_id"]);
    let changed_at = change["changed_at"].as_str().unwrap();
    let time = |at: i64| kernel::Timestamp::from_secs(START_S + at).to_string();
    assert!(changed_at >= time(1_300).as_str() && changed_at < time(1_320).as_str(), "{change}");
    let corrected =
        json!([{ "sensor": "north/p-8/pressure", "timestamp": series["found_at"], "value": 20.0 }]);
    explain_before_and_after(&plainview, id, &corrected).await;
}
