//! The always-on detector of a sensor by itself: time per reading and bytes of state.

use std::hint::black_box;

use anyhow::ensure;
use clap::Args;
use kernel::{Quality, Timestamp};
use signal::detector::{SensorDetector, SensorProfile, VERSION};

use crate::data::{Chance, START_MS};
use crate::measure::cpu_seconds;
use crate::report::{Line, Report};

/// Many sensors at 1 Hz, judged in the way of the series log: a few readings of one sensor, then
/// the next sensor. In their first hours, and after two weeks, when the hours of day and week are
/// known too and cost their part.
#[derive(Args)]
pub(crate) struct Detectors {
    #[arg(long, default_value_t = 1_000)]
    sensors: usize,
    /// Readings of each sensor that are timed
    #[arg(long, default_value_t = 4_000)]
    readings: usize,
    /// Readings of one sensor in a row
    #[arg(long, default_value_t = 10)]
    row: usize,
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

impl Detectors {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        for (who, days) in [("first hours", 0), ("after two weeks", 14)] {
            let runs = (0..self.runs).map(|_| self.judge(days)).collect::<anyhow::Result<_>>()?;
            let settings = format!("{VERSION}, one thread");
            lines.push(Line { who: who.to_owned(), settings, runs });
        }
        Report {
            name: "detectors",
            work: format!(
                "{} sensors × {} readings, {} of one sensor in a row",
                self.sensors, self.readings, self.row
            ),
            columns: vec!["CPU ns/reading", "readings/CPU-s", "bytes of state"],
            lines,
            says: Vec::new(),
        }
        .publish()
    }

    fn judge(&self, days: i64) -> anyhow::Result<Vec<f64>> {
        let mut chance = Chance::new(self.sensors as u64);
        let mut walks: Vec<Walk> = (0..self.sensors).map(|_| Walk::new(&mut chance)).collect();
        let start = START_MS - days * 86_400_000;
        for minute in 0..days * 1_440 / 5 {
            walks.iter_mut().for_each(|walk| walk.step(start + minute * 300_000, &mut chance));
        }
        // Warm before the clock starts, as a program that runs is.
        for second in 0..500 {
            walks.iter_mut().for_each(|walk| walk.step(START_MS + second * 1_000, &mut chance));
        }
        let own = std::process::id();
        let begun = cpu_seconds(own)?;
        for round in 0..self.readings / self.row {
            let first = START_MS + (500 + (round * self.row) as i64) * 1_000;
            for walk in &mut walks {
                (0..self.row as i64).for_each(|n| walk.step(first + n * 1_000, &mut chance));
            }
        }
        let seconds = cpu_seconds(own)? - begun;
        let readings = (self.readings / self.row * self.row * self.sensors) as f64;
        ensure!(seconds > 0.1, "too few readings to time: {seconds} s");
        let state = size_of::<SensorDetector>() as f64;
        Ok(vec![seconds * 1e9 / readings, readings / seconds, state])
    }
}

struct Walk {
    hundredths: i64,
    detector: SensorDetector,
}

impl Walk {
    fn new(chance: &mut Chance) -> Self {
        let hundredths = 2_000 + chance.below(6_000) as i64;
        Self { hundredths, detector: SensorDetector::new(SensorProfile::default()) }
    }

    fn step(&mut self, millis: i64, chance: &mut Chance) {
        self.hundredths = (self.hundredths + chance.below(3) as i64 - 1).max(0);
        let at = Timestamp::from_micros((millis + chance.below(5) as i64) * 1_000);
        let value = self.hundredths as f64 / 100.0;
        black_box(self.detector.observe(at, value, Quality::Good).score);
    }
}
