//! The pages in a real Chromium, against a real Plainview each. The scripts are under `ui/e2e`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{Plainview, Setup};
use crate::recording::Journey;

/// How long the simulated plant may take to have its first decision.
const PLANT_DEADLINE: Duration = Duration::from_secs(120);

/// Runs one script of `ui/e2e` and fails with what it said.
fn script(plainview: &Plainview, name: &str, args: &[&str]) {
    let ui = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ui"));
    let output = Command::new("node")
        .current_dir(ui)
        .args([&format!("e2e/{name}.mjs"), "--base", &plainview.base, "--key", &plainview.key])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{name}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A Plainview with the simulated plant, once its first decision waits.
async fn plant() -> Plainview {
    let plainview = Setup::default().with("PLANT__ENABLED", "true").start().await;
    plainview
        .until(PLANT_DEADLINE, "the plant's first decision", async |it| {
            let page = it.get("/api/v1/decisions/pending").await;
            page["items"].as_array()?.first().cloned()
        })
        .await;
    plainview
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_approves_the_recordings_decision_in_chromium() {
    let journey = Journey::begin().await;
    script(&journey.plainview, "approve", &["--decision", journey.decision_id()]);
    journey.check_outcome("tester").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_in_both_themes_on_desk_and_phone() {
    script(&plant().await, "axe", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_do_what_their_users_need() {
    script(&plant().await, "journeys", &[]);
}
