//! A table for people and JSON for programs, from the same figures.

use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::measure::median;

/// One contender with its figures, run by run.
pub(crate) struct Line {
    pub(crate) who: String,
    pub(crate) settings: String,
    /// One value per column and run.
    pub(crate) runs: Vec<Vec<f64>>,
}

pub(crate) struct Report {
    pub(crate) name: &'static str,
    /// What was done, in one sentence.
    pub(crate) work: String,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) lines: Vec<Line>,
    /// Sentences that follow from the figures, such as ratios.
    pub(crate) says: Vec<String>,
}

impl Report {
    pub(crate) fn median(&self, line: usize, column: usize) -> f64 {
        let values: Vec<f64> = self.lines[line].runs.iter().map(|run| run[column]).collect();
        median(&values)
    }

    /// Prints the table and writes `target/bench/<name>.json`.
    pub(crate) fn publish(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{}: {}\n", self.name, self.work)?;
        write!(out, "{:<28}", "median of the runs")?;
        for column in &self.columns {
            write!(out, "{column:>20}")?;
        }
        writeln!(out)?;
        for (index, line) in self.lines.iter().enumerate() {
            write!(out, "{:<28}", line.who)?;
            for column in 0..self.columns.len() {
                write!(out, "{:>20}", shown(self.median(index, column)))?;
            }
            writeln!(out)?;
        }
        writeln!(out)?;
        for line in &self.lines {
            writeln!(out, "  {}: {} ({} runs)", line.who, line.settings, line.runs.len())?;
        }
        for sentence in &self.says {
            writeln!(out, "  → {sentence}")?;
        }
        let file = folder().join(format!("{}.json", self.name));
        std::fs::create_dir_all(folder())?;
        std::fs::write(&file, serde_json::to_string_pretty(&self.json())?)?;
        writeln!(out, "  {}", file.display())?;
        Ok(())
    }

    fn json(&self) -> Value {
        let lines: Vec<Value> = (0..self.lines.len())
            .map(|index| {
                let line = &self.lines[index];
                let medians: serde_json::Map<String, Value> = (0..self.columns.len())
                    .map(|c| (self.columns[c].to_owned(), json!(self.median(index, c))))
                    .collect();
                json!({"who": line.who, "settings": line.settings, "median": medians, "runs": line.runs})
            })
            .collect();
        json!({"bench": self.name, "work": self.work, "columns": self.columns, "lines": lines,
               "says": self.says, "machine": machine()})
    }
}

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
        .join("bench")
}

fn machine() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({"cpu": model.map(|m| m.trim_start_matches([' ', '\t', ':'])), "cores": cores})
}

fn shown(value: f64) -> String {
    match value.abs() {
        v if v >= 1e6 => format!("{:.2} M", value / 1e6),
        v if v >= 1e4 => format!("{:.1} k", value / 1e3),
        v if v >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}
