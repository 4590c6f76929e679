//! Fuzzing: rubbish for every door and every stored format, guided by what code it reaches.
//!
//! A target is a file under `fuzz/targets`; what it has met before are its seeds under
//! `fuzz/corpus`. The crate is built apart from the others, with coverage as libFuzzer counts it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::shell::{answer, cargo, command, root, run, say, step};

/// Seconds for each target in the general test, after its seeds.
pub(crate) const SECONDS_IN_TEST: u64 = 5;
/// The same run each time in the general test: what it found is there to be found again.
const SEED_IN_TEST: u32 = 1;
/// Only their seeds are run in the general test. The decoder of Parquet believes what a damaged page
/// says of its size, so a search may end in gigabytes that are not ours to refuse.
const SEEDS_ONLY_IN_TEST: &[&str] = &["parquet"];
/// Seconds for one input, and memory for one target: a door that needs more is at fault.
const INPUT_SECONDS_MAX: u32 = 30;
const MEMORY_MB_MAX: u32 = 2_048;
/// Longest new input; what is longer is found by stretching a short one.
const INPUT_BYTES_MAX: u32 = 8 * 1_024;
/// Seconds beyond its own that a target may take, for its seeds and one slow input.
const SECONDS_SPARE: u64 = 120;
/// As cargo-fuzz passes them without a sanitizer: coverage works with any compiler.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg",
    "fuzzing",
    "-Ccodegen-units=1",
];
/// Lines of a failed run that are shown.
const LINES_SHOWN: usize = 40;

/// Which target, and for how long
#[derive(Args)]
pub(crate) struct Fuzz {
    /// A file under `fuzz/targets` without its ending; all when left out
    target: Option<String>,
    /// Seconds for each target, after its seeds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Add what reaches new code to the seeds under `fuzz/corpus`
    #[arg(long)]
    keep: bool,
}

/// How a target is run.
#[derive(Clone, Copy)]
struct Plan {
    seconds: u64,
    /// 0 takes another each time.
    seed: u32,
}

impl Fuzz {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let all = targets()?;
        let chosen: Vec<String> = match self.target {
            None => all,
            Some(name) => {
                ensure!(all.contains(&name), "there is no target `{name}`; there are {all:?}");
                vec![name]
            }
        };
        let only = (chosen.len() == 1).then(|| chosen[0].as_str());
        step("build the fuzz targets", || build(only))?;
        let outcome = run_all(&chosen, Plan { seconds: self.seconds, seed: 0 });
        if self.keep {
            chosen.iter().try_for_each(|name| keep(name))?;
        }
        outcome
    }
}

/// Every target on its seeds and for a short while beyond them.
pub(crate) fn short() -> anyhow::Result<()> {
    let all = targets()?;
    step("build the fuzz targets", || build(None))?;
    run_all(&all, Plan { seconds: SECONDS_IN_TEST, seed: SEED_IN_TEST })
}

fn home() -> PathBuf {
    root().join("fuzz")
}

fn target_dir() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    target.map_or_else(|| root().join("target"), PathBuf::from).join("fuzz")
}

fn targets() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(home().join("targets"))? {
        let path = entry?.path();
        if let (Some("rs"), Some(name)) =
            (path.extension().and_then(|e| e.to_str()), path.file_stem().and_then(|s| s.to_str()))
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The triple of this machine; a build that names it leaves build scripts without coverage.
fn host() -> anyhow::Result<String> {
    let said = answer("rustc", &["-vV"]).context("rustc does not answer")?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}

fn build(only: Option<&str>) -> anyhow::Result<()> {
    let host = host()?;
    let mut build = cargo(&["build", "--release", "--quiet", "--target", &host]);
    match only {
        Some(name) => build.args(["--bin", name]),
        None => build.arg("--bins"),
    };
    build
        .current_dir(home())
        .env("CARGO_TARGET_DIR", target_dir())
        .env("RUSTFLAGS", COVERAGE.join(" "));
    run(build)
}

fn program(name: &str) -> anyhow::Result<PathBuf> {
    Ok(target_dir().join(host()?).join("release").join(name))
}

/// Runs them side by side, one per core; says all that failed.
fn run_all(names: &[String], plan: Plan) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(names.len());
    let waiting = Mutex::new(names.iter());
    let failed = Mutex::new(Vec::new());
    let next = || waiting.lock().ok().and_then(|mut names| names.next());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(name) = next() {
                    if let (Err(error), Ok(mut failed)) = (run_one(name, plan), failed.lock()) {
                        say(&format!("{error:#}"));
                        failed.push(name.as_str());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    ensure!(failed.is_empty(), "these targets failed: {}", failed.join(", "));
    Ok(())
}

fn run_one(name: &str, plan: Plan) -> anyhow::Result<()> {
    let (found, seeds) = (found(name), home().join("corpus").join(name));
    let finds = target_dir().join("finds");
    for folder in [&found, &seeds, &finds] {
        fs::create_dir_all(folder)?;
    }
    // After an input that took too long libFuzzer has been seen to wait for itself for ever.
    let most = (plan.seconds + SECONDS_SPARE).to_string();
    let mut fuzz = command("timeout", &target_dir(), &["--kill-after=5", &most]);
    fuzz.arg(program(name)?)
        .args([&found, &seeds])
        .args([
            format!("-max_total_time={}", plan.seconds),
            format!("-seed={}", plan.seed),
            format!("-timeout={INPUT_SECONDS_MAX}"),
            format!("-rss_limit_mb={MEMORY_MB_MAX}"),
            format!("-max_len={INPUT_BYTES_MAX}"),
            format!("-artifact_prefix={}/{name}-", finds.display()),
            "-print_final_stats=1".to_owned(),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if plan.seed == SEED_IN_TEST && SEEDS_ONLY_IN_TEST.contains(&name) {
        fuzz.arg("-runs=0");
    }
    let output = fuzz.output().with_context(|| format!("cannot start the target {name}"))?;
    let log = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        say(&format!("  {name}: {}", summary(&log)));
        return Ok(());
    }
    let lines: Vec<&str> = log.lines().collect();
    let end = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
    bail!(
        "{end}\ntarget {name} ended with {}; the input is under {}",
        output.status,
        finds.display()
    )
}

/// How much was tried, and how much code it reached.
fn summary(log: &str) -> String {
    let runs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let reached = log.lines().rev().find_map(|line| {
        let after = line.split("cov: ").nth(1)?;
        after.split_whitespace().next()
    });
    let said = |text: Option<&str>| text.map_or("?", str::trim).to_owned();
    format!("{} inputs, {} places in the code", said(runs), said(reached))
}

/// What was found to reach new code, beside the seeds.
fn found(name: &str) -> PathBuf {
    target_dir().join("corpus").join(name)
}

/// Adds what reaches code that the seeds do not.
fn keep(name: &str) -> anyhow::Result<()> {
    let seeds = home().join("corpus").join(name);
    let mut merge = command(&program(name)?.display().to_string(), &target_dir(), &[]);
    let folders: [OsString; 2] = [seeds.clone().into(), found(name).into()];
    merge.arg("-merge=1").args(folders).stdout(Stdio::null()).stderr(Stdio::null());
    run(merge)?;
    say(&format!("  {name}: {} seeds", count(&seeds)?));
    Ok(())
}

fn count(folder: &Path) -> anyhow::Result<usize> {
    Ok(fs::read_dir(folder)?.count())
}
