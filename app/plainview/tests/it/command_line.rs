//! The command line, as a person at a terminal meets it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::harness::{Plainview, binary};

fn plainview(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(binary()).env_clear().args(args).output().unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn wrong_usage_is_told_and_has_a_code_of_its_own() {
    let (code, _, said) = plainview(&["fly"]);
    assert_eq!(code, 2);
    assert!(said.contains("fly"), "{said}");
    let (code, _, said) = plainview(&["doctor", "--config", "/nowhere.toml"]);
    assert_eq!(code, 3);
    assert!(said.contains("/nowhere.toml"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_names_what_is_wrong_with_a_file() {
    let plainview = Plainview::start().await;
    let file = plainview.directory().join("broken.csv");
    std::fs::write(&file, "timestamp,value\n2026-01-01T00:00:00Z,1\nnever,2\n").unwrap();
    let output = plainview
        .command(&["replay", file.to_str().unwrap(), "--sensor", "a/b/c", "--url"])
        .args([&plainview.base, "--key", &plainview.key])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("line 3"), "{said}");
    let output = plainview
        .command(&["replay", "no-such-recording", "--url", &plainview.base])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("machine_temperature_system_failure"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_and_doctor_say_what_they_see() {
    let plainview = Plainview::start().await;
    let output = plainview.command(&["migrate"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "The schema is current.");
    let output = plainview
        .command(&["doctor", "--json"])
        .env("API_KEYS", "ines:operator:canary-canary-canary-canary-canary")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("\"settings\""), "{said}");
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn the_demo_is_live_within_ten_seconds_and_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut keys = Vec::new();
    for _ in 0..2 {
        let begun = Instant::now();
        let mut demo = Command::new(binary())
            .env_clear()
            .args(["demo", "--listen", "127.0.0.1:0", "--data"])
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(demo.stdout.take().unwrap()).lines();
        let said: Vec<String> =
            lines.map_while(Result::ok).take_while(|line| !line.contains("Stop")).collect();
        let live = begun.elapsed();
        let said = said.join("\n");
        assert!(live.as_secs() < 10, "{live:?}\n{said}");
        assert!(said.contains("http://127.0.0.1:"), "{said}");
        assert!(said.contains(dir.path().file_name().unwrap().to_str().unwrap()), "{said}");
        keys.push(
            said.split("#key=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned(),
        );
        let begun = Instant::now();
        let sent = Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert!(demo.wait().unwrap().success());
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }
    assert_eq!(keys[0], keys[1], "a second start continues from the first");
}
