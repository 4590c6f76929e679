//! `plainview transient`: the transient model over described cases.

mod case;
mod physics;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use self::case::{Case, read};
use self::physics::{Outcome, simulate};
use super::output;
use super::workbench::{self, Failure, Progress, Sheet};

/// Compute water hammer: the pressure waves of valves that close and leaks that open
#[derive(Args)]
pub(crate) struct Transient {
    /// An array of cases: pipe, boundaries, and what happens (JSON)
    #[arg(long, value_name = "cases.json")]
    cases: PathBuf,
    /// Where the results go: a table and a summary per case
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Transient {
    pub(super) fn run(&self, json: bool) -> ExitCode {
        workbench::finish(self.compute(json))
    }

    fn compute(&self, json: bool) -> Result<(), Failure> {
        let begun = Instant::now();
        let cases = read(&self.cases)?;
        let progress = Progress::new(cases.len(), "computing cases");
        let mut outcomes = Vec::with_capacity(cases.len());
        for case in &cases {
            outcomes.push(simulate(case).map_err(|misfit| case.complain(&self.cases, misfit))?);
            progress.step();
        }
        for (case, outcome) in cases.iter().zip(&outcomes) {
            sheet(case, outcome).write(&self.out.join(format!("{}.csv", case.name())))?;
            let path = self.out.join(format!("{}.json", case.name()));
            write(&path, &summary(case, outcome))?;
        }
        drop(progress);
        if json {
            let rows: usize = cases.iter().map(|case| case.steps() + 1).sum();
            let separated = outcomes.iter().filter(|outcome| outcome.separated.is_some()).count();
            let said = json!({
                "files": 1, "cases": cases.len(), "rows": rows, "column_separations": separated,
                "cpu_s": outcomes.iter().map(|outcome| outcome.cpu_s).sum::<f64>(),
                "seconds": begun.elapsed().as_secs_f64(),
            });
            output::print(&said.to_string());
        }
        Ok(())
    }
}

/// A row per step; what comes after a separation of the column is missing.
fn sheet(case: &Case, outcome: &Outcome) -> Sheet {
    let names = outcome.columns.iter().map(|(name, _)| *name);
    let mut sheet = Sheet::new(["time_s"].into_iter().chain(names));
    for row in 0..=case.steps() {
        let time_s = row as f64 * case.step_s();
        let known = outcome.columns.iter().map(|(_, values)| {
            values.get(row).map_or_else(String::new, |value| format!("{value}"))
        });
        sheet.row([format!("{time_s}")].into_iter().chain(known));
    }
    sheet
}

fn summary(case: &Case, outcome: &Outcome) -> Value {
    let heads = outcome.columns.iter().filter(|(name, _)| name.starts_with("head_"));
    let heads: Vec<f64> = heads.flat_map(|(_, values)| values.iter().copied()).collect();
    let mut summary = json!({
        "case": case.name(),
        "cpu_s": outcome.cpu_s,
        "node_steps": (case.reaches() + 1) * outcome.steps,
        "peak_head_m": heads.iter().copied().reduce(f64::max),
        "min_head_m": heads.iter().copied().reduce(f64::min),
        "column_separation": outcome.separated.is_some(),
    });
    if let Some((time_s, at_m)) = outcome.separated {
        summary["column_separation_s"] = json!(time_s);
        summary["column_separation_at_m"] = json!(at_m);
    }
    summary
}

fn write(path: &Path, value: &Value) -> Result<(), Failure> {
    let failed = |source: std::io::Error| Failure::Write { file: path.to_owned(), source };
    fs::write(path, format!("{value:#}\n")).map_err(failed)
}
