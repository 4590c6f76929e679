//! What the detectors wrote down and read back: whatever it is, they go on without a fault, and what
//! they write again is the same.
#![no_main]

use fuzz::{NOW, bounded};
use kernel::{Quality, Reason, SensorKey, Timestamp};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use signal::detector::SensorDetector;
use signal::process::{ProcessModel, ProcessWatch};

#[allow(dead_code, unreachable_pub, reason = "a private part of the telemetry module")]
#[path = "../../modules/telemetry/src/detect/clock.rs"]
mod clock;
#[allow(dead_code, unreachable_pub, reason = "a private part of the telemetry module")]
#[path = "../../modules/telemetry/src/detect/grid.rs"]
mod grid;

const READINGS: i64 = 300;

fuzz_target!(|data: &[u8]| {
    if let Some(detector) = restored::<SensorDetector>(data) {
        bounded(data.len(), 256 << 10, 200, || watch(detector));
    }
    if let Some(clock) = restored::<clock::SourceClock>(data) {
        follow(clock);
    }
    if let Some(grid) = restored::<grid::Grid>(data) {
        fill(grid);
    }
    if let Some((model, watch)) = restored::<(ProcessModel, ProcessWatch)>(data) {
        judge(&model, watch);
    }
});

fn restored<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    data: &[u8],
) -> Option<T> {
    let read: T = serde_json::from_slice(data).ok()?;
    let text = serde_json::to_string(&read).expect("a state is JSON");
    let again: T = serde_json::from_str(&text).expect("what was written");
    assert_eq!(serde_json::to_string(&again).expect("JSON"), text);
    Some(read)
}

/// Readings of all kinds, a second apart, with jumps of the clock.
fn readings() -> impl Iterator<Item = (Timestamp, f64, Quality)> {
    (0..READINGS).map(|n| {
        let value = match n % 50 {
            47 => 1e300,
            48 => f64::NAN,
            49 => -1e300,
            _ => (n as f64 / 7.0).sin(),
        };
        let quality = match n % 17 {
            0 => Quality::Bad(Reason::Source),
            1 => Quality::Uncertain(Reason::Stale),
            _ => Quality::Good,
        };
        let jump = if n == 200 { 86_400 * 365 } else { i64::from(n == 250) * -1_000 };
        (Timestamp::from_micros(NOW.as_micros() + (n + jump) * 1_000_000), value, quality)
    })
}

fn watch(mut detector: SensorDetector) {
    for (at, value, quality) in readings() {
        let verdict = detector.observe(at, value, quality);
        assert!((0.0..=1.0).contains(&verdict.score), "{verdict:?}");
        drop(detector.overdue(at));
    }
    for at in [i64::MIN, -1, 0, i64::MAX] {
        drop(detector.observe(Timestamp::from_micros(at), 1.0, Quality::Good));
        drop(detector.overdue(Timestamp::from_micros(at)));
    }
    detector.accept_level();
    let _ = detector.normal();
}

fn follow(mut clock: clock::SourceClock) {
    for (at, _, _) in readings() {
        clock.observe(at, NOW);
        clock.observe(NOW, at);
    }
}

fn fill(mut grid: grid::Grid) {
    let key = |text: &str| SensorKey::new(text).expect("a key");
    let inputs = vec![key("a/b/c"), key("a/b/d")];
    let plan = grid::Plan { asset: inputs[0].asset(), inputs, interval_us: 1_000_000 };
    if !grid.fits(2) {
        return;
    }
    let mut rows = 0;
    for (n, (at, value, quality)) in readings().enumerate() {
        let sample = grid::Sample { input: n % 2, at, value, quality };
        grid.take(&plan, sample, |row| {
            assert_eq!(row.values.len(), 2);
            rows += 1;
        });
    }
    assert!(rows <= 4 * READINGS as usize, "{rows} rows");
}

fn judge(model: &ProcessModel, mut watch: ProcessWatch) {
    if !model.is_whole() || !watch.fits(model) {
        return;
    }
    for (_, value, _) in readings() {
        let row: Vec<f64> = (0..model.names().len()).map(|k| value * k as f64).collect();
        drop(watch.observe(model, &row));
    }
}
