//! The Python in which the clients of our users run: an environment of its own, made once from
//! the pinned list beside the scripts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// The folder with `requirements.txt` and the scripts.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python")
}

/// The interpreter, with every package of the list installed.
pub(crate) fn python() -> PathBuf {
    let list = fs::read(scripts().join("requirements.txt")).unwrap();
    let digest: String = Sha256::digest(&list).iter().take(6).map(|b| format!("{b:02x}")).collect();
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{digest}"));
    // Tests run in processes of their own; one of them makes the environment, the others wait.
    let lock = File::create(home.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let ready = home.join("ready");
    if !ready.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
        let list = scripts().join("requirements.txt");
        run(Command::new(home.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(list));
        fs::write(&ready, "").unwrap();
    }
    home.join("bin/python")
}

/// Runs one of our scripts to its end and returns what it printed.
pub(crate) fn script(name: &str, args: &[&str]) -> String {
    run(Command::new(python()).arg(scripts().join(name)).args(args))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed\n{out}\n{err}");
    out.into_owned()
}

#[test]
fn the_clients_can_be_installed() {
    assert!(script("versions.py", &[]).contains("pip "));
}
