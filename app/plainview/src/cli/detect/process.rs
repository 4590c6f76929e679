use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{ArgGroup, Args};
use serde_json::json;
use signal::process::{FitError, ProcessModel, ProcessVerdict, ProcessWatch, THRESHOLD, VERSION};

use crate::cli::output;
use crate::cli::workbench::{Failure, Progress, Sheet, Source, Table, sources};

/// Columns that tell the time and are no inputs.
const TIMES: [&str; 5] = ["datetime", "timestamp", "time", "date", "time_s"];
/// Inputs named in a result.
const TOP: usize = 3;

/// Judge all columns together with the process model that sits on an asset
#[derive(Args)]
#[command(group = ArgGroup::new("normal").required(true).args(["fit", "fit_rows"]))]
pub(crate) struct ProcessArgs {
    /// A file, or a folder of .csv and .csv.gz files; each is a run of its own
    #[arg(long = "in", value_name = "FILE|DIR")]
    input: PathBuf,
    /// Where the results go, under the same relative paths
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Rows of normal operation that the model comes from
    #[arg(long, value_name = "FILE")]
    fit: Option<PathBuf>,
    /// Further rows of normal operation that the limits come from; otherwise the last quarter of
    /// the fit rows
    #[arg(long, value_name = "FILE")]
    calibrate: Option<PathBuf>,
    /// The first N rows of each file are its normal operation
    #[arg(long, value_name = "N")]
    fit_rows: Option<usize>,
    /// What stands between the columns of all input files
    #[arg(long, value_name = "S", default_value = ",", value_parser = separator)]
    separator: u8,
    /// Columns that are no inputs
    #[arg(long, value_name = "COL", value_delimiter = ',')]
    ignore: Vec<String>,
}

fn separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [one] if one.is_ascii() && !matches!(one, b'"' | b'\r' | b'\n') => Ok(*one),
        _ if text == "\\t" => Ok(b'\t'),
        _ => Err("one character".to_owned()),
    }
}

/// The inputs of one file.
struct Run {
    table: Table,
    time: Option<usize>,
    rows: Vec<Vec<f64>>,
}

struct Scored {
    sheet: Sheet,
    rows: usize,
    alarms: usize,
    changepoints: usize,
}

impl ProcessArgs {
    pub(super) fn run(&self, json: bool) -> Result<(), Failure> {
        let begun = Instant::now();
        let files = sources(&self.input, &self.out)?;
        let first = Table::read(&files[0].path, self.separator)?;
        let names = self.names(&first);
        let shared = self.fit.as_deref().map(|fit| self.shared(fit, &names)).transpose()?;
        let progress = Progress::new(files.len(), "detecting");
        let mut done = Vec::with_capacity(files.len());
        for file in &files {
            done.push(self.judged(file, &names, shared.as_ref())?);
            progress.step();
        }
        for (file, scored) in files.iter().zip(&done) {
            scored.sheet.write(&file.target)?;
        }
        drop(progress);
        if json {
            let sum = |count: fn(&Scored) -> usize| done.iter().map(count).sum::<usize>();
            let report = json!({
                "files": done.len(),
                "rows": sum(|scored| scored.rows),
                "alarm_rows": sum(|scored| scored.alarms),
                "changepoints": sum(|scored| scored.changepoints),
                "inputs": names,
                "fit_rows": self.fit_rows,
                "fit": self.fit, "calibrate": self.calibrate,
                "threshold": THRESHOLD, "detector": VERSION,
                "seconds": begun.elapsed().as_secs_f64(),
            });
            output::print(&report.to_string());
        }
        Ok(())
    }

    fn names(&self, table: &Table) -> Vec<String> {
        let time = time(table);
        let is_input =
            |(place, name): &(usize, &String)| Some(*place) != time && !self.ignore.contains(name);
        table.header().iter().enumerate().filter(is_input).map(|(_, name)| name.clone()).collect()
    }

    /// The model that serves all files.
    fn shared(&self, fit: &Path, names: &[String]) -> Result<ProcessModel, Failure> {
        let rows = self.read(fit, names)?.rows;
        match &self.calibrate {
            Some(calibrate) => {
                let limits = self.read(calibrate, names)?.rows;
                model(names, &rows, &limits).map_err(|error| {
                    let file = match error {
                        FitError::CalibrateRows { .. } => calibrate,
                        _ => fit,
                    };
                    Failure::file(file, error.to_string())
                })
            }
            None => ProcessModel::split(names.to_vec(), &rows)
                .map_err(|error| Failure::file(fit, error.to_string())),
        }
    }

    fn read(&self, path: &Path, names: &[String]) -> Result<Run, Failure> {
        let table = Table::read(path, self.separator)?;
        let places = names.iter().map(|name| table.need(name)).collect::<Result<Vec<_>, _>>()?;
        if let Some(more) = self.names(&table).iter().find(|name| !names.contains(name)) {
            return Err(Failure::cell(path, 1, more, "is not in the other files"));
        }
        let mut rows = Vec::with_capacity(table.len());
        for row in 0..table.len() {
            let cell = |place: &usize| Ok(table.number(row, *place)?.unwrap_or(f64::NAN));
            rows.push(places.iter().map(cell).collect::<Result<Vec<f64>, Failure>>()?);
        }
        let time = time(&table);
        Ok(Run { table, time, rows })
    }

    fn judged(
        &self,
        file: &Source,
        names: &[String],
        shared: Option<&ProcessModel>,
    ) -> Result<Scored, Failure> {
        let run = self.read(&file.path, names)?;
        let normal = self.fit_rows.unwrap_or(0);
        let own;
        let model = match shared {
            Some(model) => model,
            None => {
                let rows = run.rows.get(..normal).ok_or_else(|| {
                    let reason =
                        format!("{} rows, of which --fit-rows wants {normal}", run.rows.len());
                    Failure::file(&file.path, reason)
                })?;
                own = match &self.calibrate {
                    Some(path) => model(names, rows, &self.read(path, names)?.rows),
                    None => ProcessModel::split(names.to_vec(), rows),
                }
                .map_err(|error| Failure::file(&file.path, error.to_string()))?;
                &own
            }
        };
        Ok(score(&run, names, model, normal))
    }
}

fn model(
    names: &[String],
    fit: &[Vec<f64>],
    limits: &[Vec<f64>],
) -> Result<ProcessModel, FitError> {
    ProcessModel::fit(names.to_vec(), fit, limits)
}

fn time(table: &Table) -> Option<usize> {
    TIMES.iter().find_map(|name| table.find(name))
}

fn score(run: &Run, names: &[String], model: &ProcessModel, normal: usize) -> Scored {
    let mut columns = vec!["sample".to_owned()];
    columns.extend(run.time.map(|time| run.table.header()[time].clone()));
    columns.extend(["score", "alarm", "changepoint"].map(str::to_owned));
    columns.extend((1..=TOP).flat_map(|n| [format!("top_{n}"), format!("top_{n}_share")]));
    let mut sheet = Sheet::new(columns.iter().map(String::as_str));
    let mut watch = ProcessWatch::new(model);
    let (mut alarms, mut changepoints) = (0, 0);
    for (row, values) in run.rows.iter().enumerate() {
        let verdict = watch.observe(model, values);
        let counts = row >= normal;
        let (alarm, change) = (counts && verdict.alarm, counts && verdict.changepoint);
        alarms += usize::from(alarm);
        changepoints += usize::from(change);
        let mut cells = vec![row.to_string()];
        cells.extend(run.time.map(|time| run.table.text(row, time).to_owned()));
        cells.push(verdict.score.to_string());
        cells.extend([alarm, change].map(|flag| u8::from(flag).to_string()));
        cells.extend(named(&verdict, names));
        sheet.row(&cells);
    }
    Scored { sheet, rows: run.rows.len(), alarms, changepoints }
}

fn named(verdict: &ProcessVerdict, names: &[String]) -> Vec<String> {
    let mut cells = Vec::with_capacity(2 * TOP);
    for place in 0..TOP {
        match verdict.top.get(place) {
            Some((input, share)) => cells.extend([names[*input].clone(), share.to_string()]),
            None => cells.extend([String::new(), String::new()]),
        }
    }
    cells
}
