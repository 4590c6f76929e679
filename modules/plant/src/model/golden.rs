use std::f64::consts::TAU;
use std::time::Duration;

use kernel::{Quality, Reading, SensorKey, Timestamp};

use super::noise;

/// Readings of the golden path are a minute apart.
const SPACING: Duration = Duration::from_secs(60);
/// What a detector needs to learn a sensor, with reserve.
const NORMAL_MIN: usize = 720;
/// Fewer anomalous readings than this give no trend.
const ANOMALOUS_MIN: usize = 30;
/// More readings than this are never made, whatever the rate.
const READINGS_MAX: usize = 12_000;
const LEVEL: f64 = 2.8;
const NOISE: f64 = 0.12;
/// The load comes and goes: period in readings, and share of the spread. In eight days of mere noise
/// a detector finds something remarkable by chance every tenth time; here the fault alone must be.
const LOAD: [(f64, f64); 2] = [(37.0, 0.5), (241.0, 0.5)];
const NOISE_SHARE: f64 = 0.5;
/// The fault: a jump of many spreads at once, then a climb that ends short of the limit.
const JUMP: f64 = 1.3;
const CLIMB: f64 = 2.0;

/// How a generated series goes on after its normal stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Normal,
    /// Jumps and climbs.
    Fault,
    /// Climbs without a jump.
    Drift,
}

/// A generated series for one sensor, ending at `until`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) sensor: SensorKey,
    pub(crate) seed: u64,
    pub(crate) until: Timestamp,
    pub(crate) normal: usize,
    pub(crate) anomalous: usize,
    pub(crate) shape: Shape,
    /// Scales jump and climb.
    pub(crate) magnitude: f64,
}

impl Series {
    /// A series of which `rate` of all readings are anomalous, as near as whole readings allow.
    pub(crate) fn golden(sensor: SensorKey, seed: u64, until: Timestamp, rate: f64) -> Self {
        let odds = rate / (1.0 - rate);
        let wanted = (NORMAL_MIN as f64 * odds).round() as usize;
        let anomalous = wanted.max(ANOMALOUS_MIN);
        let normal = ((anomalous as f64 / odds).round() as usize)
            .clamp(NORMAL_MIN, READINGS_MAX - anomalous);
        Self { sensor, seed, until, normal, anomalous, shape: Shape::Fault, magnitude: 1.0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.normal + self.anomalous
    }

    /// The event time of the first anomalous reading.
    pub(crate) fn fault_at(&self) -> Timestamp {
        self.at(self.normal)
    }

    fn at(&self, index: usize) -> Timestamp {
        let before = u32::try_from(self.len() - 1 - index).unwrap_or(u32::MAX);
        self.until.minus(SPACING.saturating_mul(before))
    }

    /// All readings, oldest first.
    pub(crate) fn readings(&self) -> impl Iterator<Item = Reading> {
        let channel = noise::deal(self.seed, 1);
        (0..self.len()).map(move |index| {
            // Index, not time: white noise needs another second for each reading.
            let noise = channel.first().map_or(0.0, |noise| noise.at(index as f64 * 61.0));
            let load = |(period, share): (f64, f64)| share * (TAU * index as f64 / period).sin();
            let noise = NOISE_SHARE * noise + LOAD.map(load).iter().sum::<f64>();
            let value = LEVEL + NOISE * noise + self.fault(index);
            Reading {
                sensor: self.sensor.clone(),
                at: self.at(index),
                value: (value * 1_000.0).round() / 1_000.0,
                quality: Quality::Good,
                unit: Some("mm/s".to_owned()),
            }
        })
    }

    fn fault(&self, index: usize) -> f64 {
        let Some(into) = index.checked_sub(self.normal) else { return 0.0 };
        let progress = (into + 1) as f64 / self.anomalous.max(1) as f64;
        let (jump, climb) = match self.shape {
            Shape::Normal => (0.0, 0.0),
            Shape::Fault => (JUMP, CLIMB),
            Shape::Drift => (0.0, JUMP + CLIMB),
        };
        self.magnitude * (jump + climb * progress)
    }
}

#[cfg(test)]
mod tests {
    use signal::detector::{Phase, SensorDetector, SensorProfile};

    use super::*;

    const UNTIL: Timestamp = Timestamp::from_secs(1_795_089_600);

    fn series(seed: u64, rate: f64) -> Series {
        let sensor = SensorKey::new("demo/golden-1/vibration").unwrap();
        Series::golden(sensor, seed, UNTIL, rate)
    }

    #[test]
    fn the_rate_is_kept_and_the_normal_stretch_is_long_enough() {
        for rate in [0.005, 0.05, 0.1, 0.3, 0.5] {
            let series = series(1, rate);
            let share = series.anomalous as f64 / series.len() as f64;
            assert!((share - rate).abs() < 0.002, "{rate}: {share}");
            assert!(series.normal >= 600 && series.len() <= READINGS_MAX);
        }
        assert_eq!(series(1, 1e-9).len(), READINGS_MAX);
    }

    #[test]
    fn readings_are_a_minute_apart_and_end_now() {
        let readings: Vec<Reading> = series(3, 0.3).readings().collect();
        assert_eq!(readings.last().unwrap().at, UNTIL);
        assert!(readings.windows(2).all(|pair| pair[1].at.since(pair[0].at) == SPACING));
        assert_eq!(readings, series(3, 0.3).readings().collect::<Vec<_>>());
        assert!(readings.iter().all(|reading| reading.value < 7.1));
    }

    #[test]
    fn the_detector_cannot_miss_the_fault_and_finds_nothing_before() {
        for seed in 0..100 {
            for rate in [0.05, 0.3, 0.5] {
                let series = series(seed, rate);
                let profile = SensorProfile { range: Some((0.0, 7.1)), ..SensorProfile::default() };
                let mut detector = SensorDetector::new(profile);
                let onset = series.readings().find_map(|reading| {
                    let verdict = detector.observe(reading.at, reading.value, reading.quality);
                    let begins = verdict.findings.iter().any(|f| f.phase == Phase::Onset);
                    begins.then_some(reading.at)
                });
                let onset = onset.expect("the fault is found");
                assert!(onset >= series.fault_at(), "{seed} {rate}: too early");
                assert!(onset.since(series.fault_at()) <= 3 * SPACING, "{seed} {rate}: too late");
            }
        }
    }
}
