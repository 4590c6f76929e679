use std::time::Duration;

use kernel::{Quality, Reading, SensorKey, SensorKind, Timestamp};
use uuid::Uuid;

use super::noise::{self, Noise};
use super::process::{Forces, Process, Quantity};
use super::scenario::{Run, SPALL_AT, ScenarioKind};
use super::{PortError, SensorSetup};

/// Vibration at which a pump of this class must be stopped, mm/s.
const VIBRATION_LIMIT: f64 = 7.1;
/// When the plant is first started, P-2 has been wearing for hours and its bearing spalled this
/// long ago: the history holds the trend and ends with the anomaly.
const SPALLED_BEFORE: Duration = Duration::from_secs(3 * 3_600);
const WEAR_DURATION_S: u64 = 96 * 3_600;
const WEAR_MM_PER_S: f64 = 11.0;
/// Coarsest spacing of readings: that of the history. The live ones are denser.
const INTERVAL_S: f64 = 10.0;

/// One instrument of the plant.
#[derive(Clone, Debug)]
pub(crate) struct Instrument {
    pub(crate) key: SensorKey,
    kind: SensorKind,
    unit: &'static str,
    low: f64,
    high: f64,
    quantity: Quantity,
    /// Size of its noise, and the smallest step it can show.
    noise_size: f64,
    resolution: f64,
    noise: Noise,
}

/// The simulated plant `north`: a 60 km crude line.
#[derive(Clone, Debug)]
pub(crate) struct North {
    process: Process,
    instruments: Vec<Instrument>,
}

struct Row(String, SensorKind, &'static str, (f64, f64), Quantity, f64, f64);

fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = (0..3).flat_map(pump_rows).collect();
    rows.extend(line_rows());
    rows.extend(valve_rows());
    let level = (5.0, 95.0);
    let key = "north/t-2/level".to_owned();
    rows.push(Row(key, SensorKind::Level, "%", level, Quantity::Level, 0.05, 0.001));
    rows
}

fn pump_rows(pump: usize) -> [Row; 4] {
    use SensorKind::{Power, Speed, Temperature, Vibration};
    let name = |measure: &str| format!("north/p-{}/{measure}", pump + 1);
    let (shakes, warms) = (Quantity::Vibration(pump), Quantity::BearingTemp(pump));
    let (turns, draws) = (Quantity::Speed(pump), Quantity::Power(pump));
    [
        Row(name("vibration"), Vibration, "mm/s", (0.0, VIBRATION_LIMIT), shakes, 0.09, 0.001),
        Row(name("bearing_temp"), Temperature, "°C", (0.0, 95.0), warms, 0.25, 0.01),
        Row(name("speed"), Speed, "rpm", (0.0, 3_300.0), turns, 3.0, 0.1),
        Row(name("power"), Power, "kW", (0.0, 240.0), draws, 1.2, 0.01),
    ]
}

fn line_rows() -> Vec<Row> {
    let flow = |name: &str, km| {
        let range = (0.0, 1_000.0);
        let key = format!("north/{name}");
        Row(key, SensorKind::Flow, "m³/h", range, Quantity::Flow(km), 2.5, 0.01)
    };
    let pressure = |name: &str, km, ground| {
        let quantity = Quantity::Pressure(km, ground);
        let key = format!("north/{name}");
        Row(key, SensorKind::Pressure, "bar", (0.0, 64.0), quantity, 0.06, 0.001)
    };
    vec![
        flow("km-00/flow", 0.0),
        flow("km-60/flow", 60.0),
        pressure("km-00/pressure", 0.0, 0.0),
        pressure("km-15/pressure", 15.0, 1.2),
        pressure("km-30/pressure-a", 30.0, -2.4),
        pressure("km-30/pressure-b", 30.0, -2.36),
        pressure("km-45/pressure", 45.0, 0.8),
        pressure("km-60/pressure", 60.0, 0.0),
    ]
}

fn valve_rows() -> impl Iterator<Item = Row> {
    [
        (101, Quantity::BlockValve, 0.0),
        (102, Quantity::BlockValve, 0.0),
        (103, Quantity::ControlValve, 0.2),
        (104, Quantity::BlockValve, 0.0),
        (105, Quantity::BlockValve, 0.0),
        (106, Quantity::DrainValve, 0.0),
    ]
    .into_iter()
    .map(|(number, quantity, noise)| {
        let key = format!("north/v-{number}/position");
        Row(key, SensorKind::Position, "%", (0.0, 100.0), quantity, noise, 0.01)
    })
}

impl North {
    /// # Errors
    /// When a key of the table is none; the tests keep it from happening.
    pub(crate) fn new(seed: u64) -> Result<Self, PortError> {
        let rows = rows();
        let mut channels = noise::deal(seed, rows.len() + 1).into_iter();
        let weather = channels.next().ok_or("no channel for the weather")?;
        let instruments = rows
            .into_iter()
            .zip(channels)
            .map(|(row, noise)| {
                let Row(key, kind, unit, (low, high), quantity, noise_size, resolution) = row;
                let key = SensorKey::new(&key)?;
                Ok(Instrument {
                    key,
                    kind,
                    unit,
                    low,
                    high,
                    quantity,
                    noise_size,
                    resolution,
                    noise,
                })
            })
            .collect::<Result<Vec<_>, PortError>>()?;
        Ok(Self { process: Process { weather }, instruments })
    }

    pub(crate) fn has(&self, sensor: &str) -> bool {
        self.instruments.iter().any(|instrument| instrument.key.as_str() == sensor)
    }

    pub(crate) fn has_asset(&self, asset: &str) -> bool {
        self.instruments.iter().any(|instrument| instrument.key.asset().as_str() == asset)
    }

    /// What the registry is told of every sensor.
    pub(crate) fn setups(&self) -> impl Iterator<Item = SensorSetup> {
        self.instruments.iter().map(|instrument| SensorSetup {
            key: instrument.key.clone(),
            kind: instrument.kind,
            unit: instrument.unit.to_owned(),
            expected_low: instrument.low,
            expected_high: instrument.high,
            rate_max_per_s: None,
            interval_s: Some(INTERVAL_S),
        })
    }

    /// The degradation that is under way when the plant is first started at `anchor`.
    pub(crate) fn opening(anchor: Timestamp) -> Run {
        let to_spall = Duration::from_secs(WEAR_DURATION_S).mul_f64(SPALL_AT);
        Run {
            run_id: Uuid::now_v7(),
            kind: ScenarioKind::BearingWear,
            target: Some("north/p-2".to_owned()),
            starts_at: anchor.minus(SPALLED_BEFORE + to_spall),
            duration_s: WEAR_DURATION_S,
            magnitude: WEAR_MM_PER_S,
            started_by: "plant".to_owned(),
            ended_at: None,
        }
    }

    /// What every sensor shows at `at`, appended to `readings`.
    pub(crate) fn read_into(&self, at: Timestamp, runs: &[Run], readings: &mut Vec<Reading>) {
        let forces = forces_at(at, runs);
        for instrument in &self.instruments {
            let value = self.value(instrument, at, &forces, runs);
            readings.push(Reading {
                sensor: instrument.key.clone(),
                at,
                value,
                quality: Quality::Good,
                unit: Some(instrument.unit.to_owned()),
            });
        }
    }

    fn value(&self, instrument: &Instrument, at: Timestamp, forces: &Forces, runs: &[Run]) -> f64 {
        let key = instrument.key.as_str();
        let t = at.as_secs_f64();
        let frozen = runs.iter().filter(|run| run.freezes(key, t)).map(|run| run.starts_at).min();
        if let Some(since) = frozen {
            // The last value before it froze: no run freezes it there.
            let before = since.minus(Duration::from_secs(1));
            let forces = forces_at(before, runs);
            return self.shown(instrument, before.as_secs_f64(), &forces, runs);
        }
        self.shown(instrument, t, forces, runs)
    }

    fn shown(&self, instrument: &Instrument, t: f64, forces: &Forces, runs: &[Run]) -> f64 {
        let span = instrument.high - instrument.low;
        let bias: f64 = runs.iter().map(|run| run.bias(instrument.key.as_str(), t)).sum();
        let size = instrument.noise_size * forces.noise;
        let noise =
            size * Process::liveliness(instrument.quantity, forces) * instrument.noise.at(t);
        let truth = self.process.value(instrument.quantity, t, forces);
        let raw = (truth + noise + bias * span).max(0.0);
        (raw / instrument.resolution).round() * instrument.resolution
    }
}

fn forces_at(at: Timestamp, runs: &[Run]) -> Forces {
    let mut forces = Forces::default();
    for run in runs {
        run.press(at.as_secs_f64(), &mut forces);
    }
    forces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use signal::detector::{Phase, SensorDetector, SensorProfile};

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_794_000_000);

    fn plant() -> North {
        North::new(2026).unwrap()
    }

    fn run(kind: ScenarioKind, target: Option<&str>, duration_s: u64, magnitude: f64) -> Run {
        Run {
            run_id: Uuid::nil(),
            kind,
            target: target.map(str::to_owned),
            starts_at: START,
            duration_s,
            magnitude,
            started_by: "test".to_owned(),
            ended_at: None,
        }
    }

    fn usual(kind: ScenarioKind) -> Run {
        let info = kind.info();
        run(kind, info.target, info.duration_s, info.magnitude)
    }

    fn after(seconds: u64) -> Timestamp {
        START.plus(Duration::from_secs(seconds))
    }

    fn show(plant: &North, sensor: &str, at: Timestamp, runs: &[Run]) -> f64 {
        let mut readings = Vec::new();
        plant.read_into(at, runs, &mut readings);
        readings.into_iter().find(|reading| reading.sensor.as_str() == sensor).unwrap().value
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
        let bytes = |seed| {
            let plant = North::new(seed).unwrap();
            let mut readings = Vec::new();
            for second in 0..300 {
                plant.read_into(after(second), &[North::opening(after(0))], &mut readings);
            }
            serde_json::to_vec(&readings).unwrap()
        };
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
    }

    #[test]
    fn every_unit_is_known_and_every_value_in_range_on_a_quiet_day() {
        let plant = plant();
        for setup in plant.setups() {
            kernel::Unit::parse(&setup.unit).unwrap();
        }
        for minute in 0..1_440 {
            let mut readings = Vec::new();
            plant.read_into(after(minute * 60), &[], &mut readings);
            for (reading, setup) in readings.iter().zip(plant.setups()) {
                let range = setup.expected_low..=setup.expected_high;
                assert!(range.contains(&reading.value), "{reading:?}");
            }
        }
    }

    /// Which sensors start to be unusual in a day of history and half an hour of live readings.
    fn unusual(seed: u64, start: Timestamp) -> Vec<(SensorKey, f64, signal::detector::Rule)> {
        let plant = North::new(seed).unwrap();
        let begin = start.minus(Duration::from_secs(24 * 3_600));
        let runs = [North::opening(start)];
        let mut detectors: Vec<SensorDetector> = plant
            .setups()
            .map(|setup| {
                SensorDetector::new(SensorProfile {
                    range: Some((setup.expected_low, setup.expected_high)),
                    interval_s: setup.interval_s,
                    ..SensorProfile::default()
                })
            })
            .collect();
        let history = (1..=8_640).map(|i| begin.plus(Duration::from_secs(10 * i)));
        let live = (1..=1_800).map(|i| start.plus(Duration::from_secs(i)));
        let mut found = Vec::new();
        for at in history.chain(live) {
            let mut readings = Vec::new();
            plant.read_into(at, &runs, &mut readings);
            for (reading, detector) in readings.iter().zip(&mut detectors) {
                let verdict = detector.observe(at, reading.value, reading.quality);
                let onsets = verdict.findings.iter().filter(|f| f.phase == Phase::Onset);
                let hours = at.micros_since(start) as f64 / 3.6e9;
                found.extend(onsets.map(|f| (reading.sensor.clone(), hours, f.rule)));
            }
        }
        found
    }

    /// The demo rests on this: only the vibration of P-2 is unusual, once, shortly before now.
    #[test]
    fn only_the_worn_pump_is_unusual() {
        for (seed, hours) in [(1, 0), (1, 7), (1, 13), (1, 20), (2026, 3), (7, 10)] {
            let start = after(hours * 3_600);
            let found = unusual(seed, start);
            let pump = |sensor: &SensorKey| sensor.as_str() == "north/p-2/vibration";
            assert!(found.iter().all(|(sensor, ..)| pump(sensor)), "{seed} {hours}: {found:?}");
            assert_eq!(found.len(), 1, "{seed} {hours}: {found:?}");
            assert!((-3.0..-2.9).contains(&found[0].1), "{seed} {hours}: {found:?}");
        }
    }

    #[test]
    fn wear_rises_towards_the_limit() {
        let plant = plant();
        let runs = [North::opening(START)];
        let now = show(&plant, "north/p-2/vibration", START, &runs);
        let before = show(
            &plant,
            "north/p-2/vibration",
            START.minus(Duration::from_secs(20 * 3_600)),
            &runs,
        );
        assert!((2.0..3.2).contains(&before), "{before}");
        assert!((4.0..5.5).contains(&now), "{now}");
        let day = show(&plant, "north/p-2/vibration", after(40 * 3_600), &runs);
        assert!(day > VIBRATION_LIMIT, "{day}");
        let other = show(&plant, "north/p-1/vibration", START, &runs);
        assert!(other < 3.2, "{other}");
    }

    #[test]
    fn a_stuck_sensor_repeats_its_last_value_and_then_wakes() {
        let plant = plant();
        let runs = [usual(ScenarioKind::SensorStuck)];
        let sensor = "north/km-30/pressure-b";
        let before = show(&plant, sensor, START.minus(Duration::from_secs(1)), &runs);
        for second in [0, 1, 600, 1_799] {
            assert_eq!(show(&plant, sensor, after(second), &runs), before);
        }
        assert_ne!(show(&plant, sensor, after(1_801), &runs), before);
        assert_ne!(show(&plant, "north/km-30/pressure-a", after(600), &runs), before);
    }

    #[test]
    fn a_leak_takes_flow_out_and_lets_pressures_sag() {
        let plant = plant();
        let runs = [usual(ScenarioKind::Leak)];
        let change = |sensor: &str| {
            show(&plant, sensor, after(300), &runs) - show(&plant, sensor, after(300), &[])
        };
        assert!(change("north/km-60/flow") < -40.0);
        assert!(change("north/km-00/flow") > 0.0);
        assert!(change("north/km-15/pressure") < -2.0);
        assert!(change("north/km-15/pressure") < change("north/km-60/pressure"));
    }

    #[test]
    fn a_shutdown_stops_the_line_and_fills_the_tank() {
        let plant = plant();
        let runs = [usual(ScenarioKind::EmergencyShutdown)];
        assert!(show(&plant, "north/km-60/flow", after(600), &runs) < 5.0);
        assert!(show(&plant, "north/p-1/speed", after(600), &runs) < 10.0);
        assert_eq!(show(&plant, "north/v-101/position", after(600), &runs), 0.0);
        let fill = |runs: &[Run]| show(&plant, "north/t-2/level", after(900), runs);
        assert!(fill(&runs) - fill(&[]) > 1.0);
        let flow = show(&plant, "north/km-60/flow", after(1_200), &runs);
        assert!(flow > 700.0, "back in service: {flow}");
    }

    #[test]
    fn a_maintenance_window_swaps_the_pumps_without_loss_of_flow() {
        let plant = plant();
        let runs = [usual(ScenarioKind::MaintenanceWindow)];
        assert!(show(&plant, "north/p-2/speed", after(600), &runs) < 10.0);
        assert!(show(&plant, "north/p-3/speed", after(600), &runs) > 2_500.0);
        let flow = |runs: &[Run]| show(&plant, "north/km-00/flow", after(600), runs);
        assert!((flow(&runs) - flow(&[])).abs() < 1.0);
    }

    #[test]
    fn a_cascade_ends_with_the_line_standing() {
        let plant = plant();
        let runs = [usual(ScenarioKind::CascadeFailure)];
        let flow = |second| show(&plant, "north/km-00/flow", after(second), &runs);
        assert!(flow(600) > 700.0);
        assert!((300.0..500.0).contains(&flow(1_000)), "{}", flow(1_000));
        assert!(flow(1_500) < 10.0);
        assert!(show(&plant, "north/p-2/vibration", after(700), &runs) > VIBRATION_LIMIT);
    }

    #[test]
    fn a_drift_grows_and_a_spike_jumps() {
        let plant = plant();
        let drift = [usual(ScenarioKind::SensorDrift)];
        let off = |second| {
            show(&plant, "north/p-1/bearing_temp", after(second), &drift)
                - show(&plant, "north/p-1/bearing_temp", after(second), &[])
        };
        assert!(off(1) < 0.1 && off(900) > 10.0 && off(1_799) > off(900));
        let spike = [usual(ScenarioKind::SensorSpike)];
        let flow = |runs: &[Run]| show(&plant, "north/km-00/flow", after(30), runs);
        assert!(flow(&spike) - flow(&[]) > 400.0);
    }

    #[test]
    fn bad_weather_makes_instruments_noisier() {
        let plant = plant();
        let roughness = |runs: &[Run]| {
            let values: Vec<f64> = (200..500)
                .map(|second| show(&plant, "north/km-45/pressure", after(second), runs))
                .collect();
            values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>()
        };
        assert!(roughness(&[usual(ScenarioKind::BadWeather)]) > 1.5 * roughness(&[]));
    }

    fn any_run() -> impl Strategy<Value = Run> {
        let kinds = ScenarioKind::catalogue();
        (0..kinds.len(), 1_u64..7_200, 0.01_f64..1.0, 0_u64..3_600).prop_map(
            move |(kind, duration_s, magnitude, late)| {
                let info = &kinds[kind];
                let run = run(info.kind, info.target, duration_s, magnitude);
                Run { starts_at: after(late), ..run }
            },
        )
    }

    proptest! {
        #[test]
        fn scenarios_compose_in_any_order_and_stay_physical(
            first in any_run(), second in any_run(), third in any_run(), at in 0_u64..10_000,
        ) {
            let plant = plant();
            let runs = [first, second, third];
            let mut turned = runs.clone();
            turned.reverse();
            let (mut one, mut other) = (Vec::new(), Vec::new());
            plant.read_into(after(at), &runs, &mut one);
            plant.read_into(after(at), &turned, &mut other);
            for (a, b) in one.iter().zip(&other) {
                prop_assert!(a.value.is_finite() && a.value >= 0.0);
                prop_assert!((a.value - b.value).abs() <= 1e-9 + 0.11, "{a:?} {b:?}");
            }
        }

        #[test]
        fn what_is_over_leaves_no_trace(run in any_run(), late in 0_u64..3_600) {
            prop_assume!(!matches!(
                run.kind,
                ScenarioKind::BearingWear | ScenarioKind::EmergencyShutdown
            ));
            let plant = plant();
            let at = run.end().plus(Duration::from_secs(301 + late));
            let (mut with, mut without) = (Vec::new(), Vec::new());
            plant.read_into(at, &[run], &mut with);
            plant.read_into(at, &[], &mut without);
            prop_assert_eq!(with, without);
        }
    }
}
