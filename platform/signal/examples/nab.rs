//! Runs the sensor detector over a folder in NAB's layout and writes what NAB's scorer reads:
//! `nab IN_DIR OUT_DIR` (results), `nab --threshold` (the fixed threshold).

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use flate2::read::GzDecoder;
use kernel::{Quality, Timestamp};
use signal::detector::{SensorDetector, SensorProfile, THRESHOLD};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = std::io::stdout().lock();
    match arguments.as_slice() {
        [flag] if flag == "--threshold" => writeln!(out, "{THRESHOLD}")?,
        [from, to] => {
            let mut files = Vec::new();
            collect(Path::new(from), &mut files)?;
            files.sort();
            let (mut rows, mut nanos) = (0, 0);
            for file in &files {
                let relative = file.strip_prefix(from)?;
                let name = relative.to_string_lossy();
                let target = Path::new(to).join(name.trim_end_matches(".gz"));
                let (file_rows, file_nanos, onsets) = detect(file, &target)?;
                rows += file_rows;
                nanos += file_nanos;
                writeln!(out, "{name}: {}", onsets.join(", "))?;
            }
            let each = nanos / rows.max(1);
            writeln!(out, "{} files, {rows} rows, {each} ns per reading", files.len())?;
        }
        _ => return Err("usage: nab IN_DIR OUT_DIR | nab --threshold".into()),
    }
    Ok(())
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.to_string_lossy().ends_with(".csv.gz") {
            files.push(path);
        }
    }
    Ok(())
}

/// Scores one file; answers rows, nanoseconds of detection and the times of onsets.
fn detect(from: &Path, to: &Path) -> Result<(usize, usize, Vec<String>), Box<dyn Error>> {
    let mut text = String::new();
    GzDecoder::new(fs::File::open(from)?).read_to_string(&mut text)?;
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in table.records() {
        let record = record?;
        let stamp = record.get(0).unwrap_or_default().to_owned();
        let at: Timestamp = format!("{}Z", stamp.replace(' ', "T")).parse()?;
        let value: f64 = record.get(1).unwrap_or_default().parse()?;
        rows.push((stamp, at, value));
    }
    let mut detector = SensorDetector::new(SensorProfile::default());
    let start = Instant::now();
    let scores: Vec<f64> = rows
        .iter()
        .map(|(_, at, value)| detector.observe(*at, *value, Quality::Good).alarm_score())
        .collect();
    let nanos = usize::try_from(start.elapsed().as_nanos())?;
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut sheet = csv::Writer::from_path(to)?;
    sheet.write_record(["timestamp", "anomaly_score"])?;
    let mut onsets = Vec::new();
    for ((stamp, _, _), score) in rows.iter().zip(&scores) {
        sheet.write_record([stamp, &score.to_string()])?;
        if *score >= THRESHOLD {
            onsets.push(stamp.clone());
        }
    }
    sheet.flush()?;
    Ok((rows.len(), nanos, onsets))
}
