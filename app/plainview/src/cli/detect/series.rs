use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use kernel::{Quality, Timestamp};
use serde_json::json;
use signal::detector::{SensorDetector, SensorProfile, THRESHOLD, VERSION};

use crate::cli::output;
use crate::cli::workbench::{Failure, Progress, Sheet, Table, sources};

/// Score each series by itself with the detector that sits on every sensor
#[derive(Args)]
pub(crate) struct SeriesArgs {
    /// Folder searched for .csv and .csv.gz files with the columns timestamp and value
    #[arg(long = "in", value_name = "DIR", required_unless_present = "print_threshold")]
    input: Option<PathBuf>,
    /// Where the results go, under the same relative paths
    #[arg(long, value_name = "DIR", required_unless_present = "print_threshold")]
    out: Option<PathBuf>,
    /// Print the score from which an alarm is raised, and leave
    #[arg(long)]
    print_threshold: bool,
}

impl SeriesArgs {
    pub(super) fn run(&self, json: bool) -> Result<(), Failure> {
        if self.print_threshold {
            let text = THRESHOLD.to_string();
            let object = json!({ "threshold": THRESHOLD }).to_string();
            output::print(if json { &object } else { &text });
            return Ok(());
        }
        let (Some(input), Some(out)) = (&self.input, &self.out) else {
            return Err(Failure::argument("--in and --out are required"));
        };
        let begun = Instant::now();
        let files = sources(input, out)?;
        let progress = Progress::new(files.len(), "detecting");
        let (mut rows, mut alarms) = (0, 0);
        let mut sheets = Vec::with_capacity(files.len());
        for file in &files {
            let scored = scored(&Table::read(&file.path, b',')?)?;
            rows += scored.len();
            alarms += scored.iter().filter(|(_, score)| *score >= THRESHOLD).count();
            let mut sheet = Sheet::new(["timestamp", "anomaly_score"]);
            scored.iter().for_each(|(stamp, score)| sheet.row([stamp, &score.to_string()]));
            sheets.push(sheet);
            progress.step();
        }
        for (file, sheet) in files.iter().zip(&sheets) {
            sheet.write(&file.target)?;
        }
        drop(progress);
        if json {
            let report = json!({
                "files": files.len(), "rows": rows, "alarms": alarms,
                "seconds": begun.elapsed().as_secs_f64(),
                "threshold": THRESHOLD, "detector": VERSION,
            });
            output::print(&report.to_string());
        }
        Ok(())
    }
}

/// The stamp and the score of every row.
fn scored(table: &Table) -> Result<Vec<(String, f64)>, Failure> {
    let (stamps, values) = (table.need("timestamp")?, table.need("value")?);
    let mut detector = SensorDetector::new(SensorProfile::default());
    let mut scored = Vec::with_capacity(table.len());
    for row in 0..table.len() {
        let stamp = table.text(row, stamps);
        let at = time(stamp)
            .ok_or_else(|| table.bad(row, stamps, "is not a time like 2026-03-01 14:05:00"))?;
        let verdict = match table.number(row, values)? {
            Some(value) => detector.observe(at, value, Quality::Good),
            None => detector.observe(at, f64::NAN, Quality::Good),
        };
        scored.push((stamp.to_owned(), verdict.alarm_score()));
    }
    Ok(scored)
}

/// Local times are taken as they stand.
fn time(stamp: &str) -> Option<Timestamp> {
    let stamp = stamp.trim().replacen(' ', "T", 1);
    stamp.parse().or_else(|_| format!("{stamp}Z").parse()).ok()
}
