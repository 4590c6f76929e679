use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use kernel::Timestamp;

/// Seconds over which the rate is taken.
const WINDOW_S: usize = 10;

/// What came in since the process started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) batches: AtomicU64,
    /// Deliveries begun, whatever became of them.
    pub(crate) intakes: AtomicU64,
    /// Good, uncertain, bad.
    pub(crate) by_quality: [AtomicU64; 3],
    pub(crate) duplicates: AtomicU64,
    /// Refusals by field at fault: value, sensor, unit, at.
    pub(crate) by_fault: [AtomicU64; FAULTS.len()],
    /// Batches of the series log that detection has not finished.
    pub(crate) detector_lag: AtomicU64,
    /// The same for the models of assets.
    pub(crate) process_lag: AtomicU64,
    pub(crate) judged: AtomicU64,
    /// Among them: late, and of doubtful quality.
    pub(crate) left: [AtomicU64; 2],
    pub(crate) anomalies: AtomicU64,
    recent: Mutex<Recent>,
}

pub(crate) const FAULTS: [&str; 4] = ["value", "sensor", "unit", "at"];

#[derive(Debug, Default)]
struct Recent {
    second: i64,
    counts: [u64; WINDOW_S],
}

impl Recent {
    fn turn(&mut self, second: i64) {
        let passed = second.saturating_sub(self.second).clamp(0, WINDOW_S as i64);
        for step in 1..=passed {
            let slot = (self.second + step).rem_euclid(WINDOW_S as i64);
            self.counts[slot as usize] = 0;
        }
        if passed == WINDOW_S as i64 {
            self.counts = [0; WINDOW_S];
        }
        self.second = self.second.max(second);
    }
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    pub(crate) fn count_fault(&self, field: &str) {
        add(&self.refused, 1);
        if let Some(index) = FAULTS.iter().position(|fault| *fault == field) {
            add(&self.by_fault[index], 1);
        }
    }

    pub(crate) fn arrived(&self, now: Timestamp, readings: u64) {
        let second = now.as_micros() / 1_000_000;
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.turn(second);
        recent.counts[second.rem_euclid(WINDOW_S as i64) as usize] += readings;
    }

    /// Readings per second over the last whole seconds.
    pub(crate) fn rate_per_s(&self, now: Timestamp) -> f64 {
        let second = now.as_micros() / 1_000_000;
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.turn(second);
        let current = recent.counts[second.rem_euclid(WINDOW_S as i64) as usize];
        let past: u64 = recent.counts.iter().sum::<u64>() - current;
        past as f64 / (WINDOW_S - 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_forgets() {
        let counters = Counters::default();
        for second in 0..20 {
            counters.arrived(Timestamp::from_secs(1_000 + second), 50);
        }
        let rate = counters.rate_per_s(Timestamp::from_secs(1_020));
        assert!((rate - 50.0).abs() < 1e-9, "{rate}");
        assert!(counters.rate_per_s(Timestamp::from_secs(1_100)).abs() < 1e-9);
    }
}
