//! The pages in a real Chromium, against a real Plainview each. The journeys are under `ui/e2e`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{Plainview, Setup};
use crate::recording::Journey;

/// How long the simulated plant may take to have its first decision.
const PLANT_DEADLINE: Duration = Duration::from_secs(120);

/// The pictures the README shows.
const PICTURES: &[&str] = &[
    "overview-light.png",
    "overview-dark.png",
    "alarms-light.png",
    "incident-light.png",
    "decisions-light.png",
    "connect-light.png",
    "connect-dark.png",
    "workbench-light.png",
    "golden-path-light.png",
    "overview-phone-light.png",
];

/// Where the pictures go instead of a temporary folder: `PLAINVIEW_PICTURES=docs/images` refreshes
/// those of the README. Relative to the root of the repository.
const PICTURES_VARIABLE: &str = "PLAINVIEW_PICTURES";

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Runs one of the files of `ui/e2e` and fails with what it said.
fn run(plainview: &Plainview, name: &str, args: &[&str]) {
    let ui = root().join("ui");
    assert!(ui.join("dist/index.html").exists(), "the UI is not built: `npm run build` in ui/");
    let output = Command::new("node")
        .current_dir(ui)
        .args(["e2e/run.mjs", "--only", name])
        .args(["--base", &plainview.base, "--key", &plainview.key])
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
    run(&journey.plainview, "approve", &["--decision", journey.decision_id()]);
    journey.check_outcome("tester").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_in_both_themes_on_desk_and_phone() {
    run(&plant().await, "axe", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_do_what_their_users_need() {
    let plant = plant().await;
    run(&plant, "journeys", &[]);
    run(&plant, "explorer", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_readings_are_panned_and_zoomed_without_a_stutter() {
    run(&plant().await, "million", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_pictures_can_be_taken() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::vars_os()
        .find(|(name, _)| name == PICTURES_VARIABLE)
        .map_or_else(|| temporary.path().to_owned(), |(_, folder)| root().join(folder));
    run(&plant().await, "pictures", &["--pictures", folder.to_str().unwrap()]);
    for name in PICTURES {
        assert!(is_picture(&folder.join(name)), "{name}");
    }
}

fn is_picture(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x89PNG"))
}
