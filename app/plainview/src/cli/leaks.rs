//! `plainview leaks`: the leak detection of production over recorded scans.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use hydraulics::leak::{Detector, Finding, Kind, Phase, PipelineConfig, Reading, VERSION};
use serde_json::{Map, Value, json};

use super::output;
use super::workbench::{self, Failure, Progress, Table};

/// Look for leaks, wrong instruments and operations in the record of a pipeline
#[derive(Args)]
pub(crate) struct Leaks {
    /// The line and its instruments (TOML)
    #[arg(long, value_name = "FILE.toml")]
    pipeline: PathBuf,
    /// The scan: time, flows and pressures, a row per scan (CSV)
    #[arg(long, value_name = "FILE")]
    scada: PathBuf,
    /// Fast pressures on the same clock, for a part of the record or all of it (CSV)
    #[arg(long, value_name = "FILE")]
    fast: Option<PathBuf>,
    /// Where the findings go (JSON)
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
}

impl Leaks {
    pub(super) fn run(&self, json: bool) -> ExitCode {
        workbench::finish(self.detect(json))
    }

    fn detect(&self, json: bool) -> Result<(), Failure> {
        let begun = Instant::now();
        let config = configuration(&self.pipeline)?;
        let mut detector = Detector::new(&config)
            .map_err(|error| Failure::file(&self.pipeline, error.to_string()))?;
        let scans = scans(&config, &Table::read(&self.scada, b',')?)?;
        let fast = match &self.fast {
            Some(path) => samples(&config, path, &Table::read(path, b',')?)?,
            None => Vec::new(),
        };
        let progress = Progress::new(scans.len(), "looking for leaks");
        let mut alarms = Vec::new();
        let mut waiting = fast.iter().peekable();
        for scan in &scans {
            while let Some((time_s, values)) = waiting.next_if(|sample| sample.0 <= scan.time_s) {
                detector.fast(*time_s, values);
            }
            detector.scan(scan).into_iter().for_each(|finding| note(&mut alarms, finding));
            progress.step();
        }
        let counted = |kind: &str| alarms.iter().filter(|alarm| alarm["kind"] == kind).count();
        let summary = json!({
            "files": 1 + usize::from(self.fast.is_some()), "rows": scans.len() + fast.len(),
            "seconds": begun.elapsed().as_secs_f64(), "detector": VERSION,
            "leaks": counted("leak"), "instrument_faults": counted("instrument_fault"),
            "operations": counted("operation"),
            "false_alarms_per_year": config.detection.false_alarms_per_year,
        });
        let result = json!({
            "scenario": scenario(&self.scada),
            "from_s": scans.first().map(|scan| scan.time_s),
            "to_s": scans.last().map(|scan| scan.time_s),
            "alarms": alarms,
        });
        write(&self.out, &result)?;
        drop(progress);
        if json {
            output::print(&summary.to_string());
        }
        Ok(())
    }
}

/// # Errors
/// Text that is no such configuration; the place is named.
fn configuration(path: &Path) -> Result<PipelineConfig, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, error.to_string()))?;
    toml::from_str(&text).map_err(|error| {
        let Some(span) = error.span() else {
            return Failure::file(path, error.message());
        };
        let before = text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count() as u64 + 1;
        let column = before.chars().rev().take_while(|at| *at != '\n').count() + 1;
        Failure::cell(path, line, &column.to_string(), error.message())
    })
}

fn scans(config: &PipelineConfig, table: &Table) -> Result<Vec<Reading>, Failure> {
    let time = table.need(&config.scada.time_column)?;
    let need = |column: &String| table.need(column);
    let flows: Vec<usize> =
        config.scada.flow.iter().map(|meter| need(&meter.column)).collect::<Result<_, _>>()?;
    let pressures: Vec<usize> =
        config.scada.pressure.iter().map(|gauge| need(&gauge.column)).collect::<Result<_, _>>()?;
    let mut scans: Vec<Reading> = Vec::with_capacity(table.len());
    for row in 0..table.len() {
        let newest = scans.last().map(|scan| scan.time_s);
        let time_s = later(table, row, time, newest)?;
        let read = |columns: &[usize]| -> Result<Vec<Option<f64>>, Failure> {
            columns.iter().map(|column| table.number(row, *column)).collect()
        };
        scans.push(Reading { time_s, flows: read(&flows)?, pressures: read(&pressures)? });
    }
    Ok(scans)
}

type Sample = (f64, Vec<Option<f64>>);

fn samples(config: &PipelineConfig, path: &Path, table: &Table) -> Result<Vec<Sample>, Failure> {
    let Some(fast) = &config.fast else {
        return Err(Failure::file(path, "the pipeline has no table [fast]"));
    };
    let time = table.need(&fast.time_column)?;
    let columns: Vec<usize> =
        fast.pressure.iter().map(|gauge| table.need(&gauge.column)).collect::<Result<_, _>>()?;
    let mut samples: Vec<Sample> = Vec::with_capacity(table.len());
    for row in 0..table.len() {
        let newest = samples.last().map(|sample| sample.0);
        let time_s = later(table, row, time, newest)?;
        let values = columns.iter().map(|column| table.number(row, *column));
        samples.push((time_s, values.collect::<Result<_, _>>()?));
    }
    Ok(samples)
}

fn later(table: &Table, row: usize, column: usize, newest: Option<f64>) -> Result<f64, Failure> {
    match table.number(row, column)? {
        None => Err(table.bad(row, column, "is not a time in seconds")),
        Some(time_s) if newest.is_some_and(|newest| time_s <= newest) => {
            Err(table.bad(row, column, "is not later than the row before"))
        }
        Some(time_s) => Ok(time_s),
    }
}

/// Adds a finding to the alarms, or to the updates of its alarm.
fn note(alarms: &mut Vec<Value>, finding: Finding) {
    let known = alarms.iter_mut().find(|alarm| alarm["number"] == finding.number);
    match (finding.phase, known) {
        (Phase::New, _) => alarms.push(alarm(&finding)),
        (Phase::Cleared, Some(alarm)) => alarm["cleared_s"] = json!(finding.time_s),
        (Phase::Update, Some(alarm)) => {
            if let Some(updates) = alarm["updates"].as_array_mut() {
                updates.push(Value::Object(estimate(&finding)));
            }
        }
        (_, None) => {}
    }
}

fn alarm(finding: &Finding) -> Value {
    let mut alarm = estimate(finding);
    let kind = match &finding.kind {
        Kind::Leak => "leak",
        Kind::InstrumentFault { instrument, fault } => {
            alarm.insert("instrument".into(), json!(instrument));
            alarm.insert("fault".into(), json!(fault));
            "instrument_fault"
        }
        Kind::Operation { what, .. } => {
            alarm.insert("operation".into(), json!(what));
            "operation"
        }
    };
    alarm.insert("kind".into(), json!(kind));
    alarm.insert("number".into(), json!(finding.number));
    alarm.insert("updates".into(), json!([]));
    Value::Object(alarm)
}

fn estimate(finding: &Finding) -> Map<String, Value> {
    let leak = finding.kind == Kind::Leak;
    let size = |value: Option<f64>| json!(value.filter(|_| leak));
    Map::from_iter([
        ("time_s".to_owned(), json!(finding.time_s)),
        ("start_s".to_owned(), json!(finding.start_s)),
        ("start_error_s".to_owned(), json!(finding.start_error_s)),
        ("location_m".to_owned(), json!(finding.location_m)),
        ("location_error_m".to_owned(), json!(finding.location_error_m)),
        ("size_m3h".to_owned(), size(finding.size)),
        ("size_error_m3h".to_owned(), size(finding.size_error)),
        ("method".to_owned(), json!(finding.method)),
        ("confidence".to_owned(), json!(finding.confidence)),
        ("evidence".to_owned(), json!(finding.evidence)),
    ])
}

/// The name of a scan file without what all of them share.
fn scenario(scada: &Path) -> String {
    let name = scada.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let plain = plain.strip_suffix(".csv").unwrap_or(plain);
    plain.strip_suffix("_scada").unwrap_or(plain).to_owned()
}

fn write(path: &Path, value: &Value) -> Result<(), Failure> {
    let failed = |source: std::io::Error| Failure::Write { file: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, format!("{value:#}\n")).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_named_after_its_scan() {
        for (file, name) in
            [("a/D03_scada.csv", "D03"), ("D04_scada.csv.gz", "D04"), ("north.csv", "north")]
        {
            assert_eq!(scenario(Path::new(file)), name);
        }
    }
}
