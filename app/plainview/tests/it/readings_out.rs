//! Readings in from files and out again: what other programs read in our files is exactly what
//! was handed in.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::Plainview;
use crate::python::script;

fn run(plainview: &Plainview, args: &[&str]) -> (bool, Value, String) {
    let output = plainview
        .command(args)
        .args(["--json", "--url", &plainview.base, "--key", &plainview.key])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), serde_json::from_str(&said).unwrap_or(Value::Null), told)
}

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_and_out_hold_the_same_bits() {
    let plainview = Plainview::start().await;
    let dir = plainview.directory().join("files");
    std::fs::create_dir(&dir).unwrap();
    let made = script("readings_make.py", &[dir.to_str().unwrap()]);
    let made: Value = serde_json::from_str(&made).unwrap();
    for (file, extra) in [
        ("long.parquet", &[] as &[&str]),
        ("wide.parquet", &["--prefix", "south/pump"]),
        ("polars.parquet", &[]),
        ("long.csv", &[]),
        ("lines.lp", &["--precision", "us"]),
    ] {
        let file_path = path(&dir, file);
        let args = [&["ingest", &file_path, "--replayed"], extra].concat();
        let (is_well, said, told) = run(&plainview, &args);
        assert!(is_well, "{file}: {said} {told}");
        assert_eq!(said["accepted"], made[file], "{file}");
    }
    for out in ["all.parquet", "all.csv", "all.arrow", "days/"] {
        let (is_well, said, told) =
            run(&plainview, &["export", "--from", "2026-01-01", "--out", &path(&dir, out)]);
        assert!(is_well, "{out}: {told}");
        assert_eq!(said["readings"], made["readings"], "{out}");
    }
    let pressures = path(&dir, "pressures.parquet");
    let args = ["export", "--from", "2026-01-01", "--sensor", "*/pressure", "--out", &pressures];
    let (is_well, said, told) = run(&plainview, &args);
    assert!(is_well && said["sensors"] == 2, "{said} {told}");
    let (is_well, _, told) = run(&plainview, &args);
    assert!(!is_well && told.contains("--force"), "{told}");
    println!("{}", script("readings_check.py", &[dir.to_str().unwrap()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_faults_names_each_row_and_stores_the_rest() {
    let plainview = Plainview::start().await;
    let lines = plainview.directory().join("faults.lp");
    let mut text: String =
        (0..6_000).map(|n| format!("pump,site=north,asset=p value={n} {n}000000\n")).collect();
    text.push_str("pump,site=north,asset=p value=x 1\n");
    std::fs::write(&lines, text).unwrap();
    let (is_well, said, told) = run(&plainview, &["ingest", lines.to_str().unwrap()]);
    assert!(!is_well && told.contains("line 6001"), "{said} {told}");
    assert_eq!((&said["accepted"], &said["rejected"]), (&json!(6_000), &json!(1)));

    let csv = plainview.directory().join("faults.csv");
    let text = "timestamp,sensor,value\n2026-01-01,a/b/c,1\nnever,a/b/c,2\n2026-01-01,a/b,3\n";
    std::fs::write(&csv, text).unwrap();
    let (is_well, said, told) = run(&plainview, &["ingest", csv.to_str().unwrap()]);
    assert!(!is_well && told.contains("line 3: timestamp") && told.contains("line 4: sensor"));
    assert_eq!((&said["accepted"], &said["rejected"]), (&json!(1), &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn query_shows_a_table_json_or_csv() {
    let plainview = Plainview::start().await;
    let rows: Vec<Value> = (0..120)
        .map(|s| {
            json!({"sensor": "north/p-2/level", "value": s, "unit": "m",
            "timestamp": format!("2026-03-01T10:{:02}:{:02}Z", s / 60, s % 60)})
        })
        .collect();
    let (status, _) = plainview.post("/api/v1/data/ingest", &json!(rows)).await;
    assert_eq!(status, 200);
    let at = ["--from", "2026-03-01T10:00:00Z", "--to", "2026-03-01T10:02:00Z"];
    let ask = |extra: &[&str]| {
        let output = plainview
            .command(&[&["query", "north/*"], &at[..], extra].concat())
            .args(["--url", &plainview.base, "--key", &plainview.key])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let table = ask(&["--width", "60s"]);
    assert!(table.starts_with("north/p-2/level [m]\n"), "{table}");
    assert!(table.contains("2026-03-01T10:01:00Z     60   60  89.5  119"), "{table}");
    let answer: Value = serde_json::from_str(&ask(&["--json", "--limit", "5"])).unwrap();
    assert_eq!(answer["series"][0]["points"].as_array().map(Vec::len), Some(5));
    assert_eq!(answer["series"][0]["truncated"], true);
    let csv = ask(&["--csv"]);
    assert!(csv.starts_with("timestamp,sensor,value,unit,quality,reason\n"), "{csv}");
    let output =
        plainview.command(&["query", "south/*", "--url", &plainview.base]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("no sensor is called `south/*`"));
}

/// What is streamed is not kept: once the process has its size, a long answer adds less to it than
/// the answer is long.
#[tokio::test(flavor = "multi_thread")]
async fn long_answers_are_streamed_in_little_memory() {
    const READINGS: u64 = 600_000;
    let plainview = Plainview::start().await;
    for part in 0..12_i64 {
        let lines: String = (0..50_000)
            .map(|n| part * 50_000 + n)
            .map(|n| {
                format!("m,site=north,asset=p level={}.5 {}\n", n % 977, 1_772_000_000_000 + n)
            })
            .collect();
        let path = "/api/v2/write?precision=ms&origin=replayed";
        let sent = plainview.request(reqwest::Method::POST, path).body(lines).send().await.unwrap();
        assert_eq!(sent.status(), 204);
    }
    let path = "/api/v1/sensors/readings?sensor=north/p/m/level&from=2026-02-25&to=2026-02-26";
    let (mut before, mut peak) = (0, 0);
    for round in 0..3 {
        let url = format!("{path}&format={}", if round == 1 { "arrow" } else { "csv" });
        let mut answer = plainview.request(reqwest::Method::GET, &url).send().await.unwrap();
        assert!(answer.status().is_success());
        let (mut lines, mut bytes) = (0, 0);
        while let Some(part) = answer.chunk().await.unwrap() {
            lines += part.iter().filter(|byte| **byte == b'\n').count() as u64;
            bytes += part.len() as u64;
            peak = peak.max(resident_kib(&plainview));
        }
        if round == 1 {
            assert!(bytes > READINGS * 28, "{bytes}");
            (before, peak) = (peak, 0);
        } else {
            assert_eq!(lines, READINGS + 1);
            assert!(bytes > 30_000_000, "{bytes}");
        }
        println!("{bytes} bytes, resident {before} KiB before, at most {peak} KiB");
    }
    assert!(peak < before + 16_384, "{before} KiB before, {peak} KiB at the peak");
}

fn resident_kib(plainview: &Plainview) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", plainview.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
