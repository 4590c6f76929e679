//! What a process has used, as Linux counts it.

use std::time::{Duration, Instant};

use anyhow::Context;

/// Clock ticks in a second: fixed at 100 for programs on Linux.
const TICKS: f64 = 100.0;

/// Processor seconds, user and system, of a process with all its threads.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after) = text.rsplit_once(')').context("no process name")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |index: usize| -> anyhow::Result<f64> { Ok(fields[index].parse::<f64>()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

/// Resident memory in MB: now, and at its highest.
pub(crate) fn memory_mb(pid: u32) -> anyhow::Result<(f64, f64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let find = |name: &str| -> Option<f64> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1_024.0)
    };
    Ok((find("VmRSS:").context("no VmRSS")?, find("VmHWM:").context("no VmHWM")?))
}

/// Waits until a process has spent next to nothing for a second: what it does in the background
/// is done.
pub(crate) fn until_idle(pid: u32, most: Duration) -> anyhow::Result<bool> {
    let started = Instant::now();
    let mut before = cpu_seconds(pid)?;
    let mut quiet = 0;
    while started.elapsed() < most {
        std::thread::sleep(Duration::from_millis(500));
        let now = cpu_seconds(pid)?;
        quiet = if now - before <= 0.02 { quiet + 1 } else { 0 };
        before = now;
        if quiet == 3 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Bytes that the files below `dir` occupy.
pub(crate) fn bytes_below(dir: &std::path::Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        // Blocks, not length: some peers preallocate and punch holes.
        sum += if meta.is_dir() { bytes_below(&entry.path())? } else { meta.blocks() * 512 };
    }
    Ok(sum)
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}
