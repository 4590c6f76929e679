//! Running other programs and telling what happens.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};

/// The checkout's root.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

pub(crate) fn ui() -> PathBuf {
    root().join("ui")
}

pub(crate) fn say(line: &str) {
    // A closed standard output is no reason to stop a build.
    drop(writeln!(std::io::stdout(), "{line}"));
}

pub(crate) fn complain(line: &str) {
    drop(writeln!(std::io::stderr(), "\nxtask: {line}"));
}

/// A command to run in `dir` with the terminal's own output.
pub(crate) fn command(program: &str, dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).args(args).stdin(Stdio::null());
    command
}

/// `cargo`, by the path that runs this task.
pub(crate) fn cargo(args: &[&str]) -> Command {
    command(env!("CARGO"), &root(), args)
}

/// Runs `command` to its end and fails when it does.
pub(crate) fn run(mut command: Command) -> anyhow::Result<()> {
    let shown = shown(&command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// The standard output of `command`, or `None` when it cannot run or fails.
pub(crate) fn answer(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

pub(crate) fn found(program: &str) -> bool {
    answer("sh", &["-c", &format!("command -v {program}")]).is_some()
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args().map(OsStr::to_string_lossy) {
        text.push(' ');
        text.push_str(&arg);
    }
    text
}

/// One named step of a task, timed.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    say(&format!("\n── {name}"));
    let begun = Instant::now();
    let outcome = work();
    let took = begun.elapsed().as_secs_f64();
    match &outcome {
        Ok(_) => say(&format!("── {name}: done in {took:.1} s")),
        Err(_) => say(&format!("── {name}: FAILED after {took:.1} s")),
    }
    outcome
}
