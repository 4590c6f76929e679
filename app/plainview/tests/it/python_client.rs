//! The Python client: its own tests, against a Plainview of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::Plainview;
use crate::python::python;

fn client() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/python")
}

#[test]
fn the_python_client_is_typed_and_in_order() {
    for check in [
        &["-m", "ruff", "format", "--no-cache", "--check", "."][..],
        &["-m", "ruff", "check", "--no-cache", "."],
        &["-m", "mypy", "--cache-dir=/dev/null"],
        &["tools/unasync.py", "--check"],
    ] {
        let output = Command::new(python()).args(check).current_dir(client()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let more = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{check:?}: {said}\n{more}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_passes_its_tests() {
    let plainview = Plainview::start().await;
    let output = Command::new(python())
        .args(["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"])
        .current_dir(client())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PLAINVIEW_TEST_URL", &plainview.base)
        .env("PLAINVIEW_TEST_KEY", &plainview.key)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(" passed") && !said.contains("skipped"), "{said}");
}
