use std::time::Duration;

use kernel::{Quality, Reading, SensorKey, SensorKind, Timestamp};
use uuid::Uuid;

use super::noise::{self, Noise};
use super::process::{Forces, Process, Quantity};
use super::scenario::{Run, ScenarioKind};
use super::{PortError, SensorSetup};

/// Vibration at which a pump of this class must be stopped, mm/s.
const VIBRATION_LIMIT: f64 = 7.1;
/// The wear of P-2 begins this long before the plant is first started, and runs this long.
const WEAR_BEFORE: Duration = Duration::from_secs(10 * 3_600);
const WEAR_DURATION_S: u64 = 36 * 3_600;
const WEAR_MM_PER_S: f64 = 5.2;
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
    use SensorKind::{Flow, Level, Position, Power, Pressure, Speed, Temperature, Vibration};
    let mut rows = Vec::new();
    for pump in 0..3 {
        let name = |measure: &str| format!("north/p-{}/{measure}", pump + 1);
        let limit = (0.0, VIBRATION_LIMIT);
        rows.push(Row(
            name("vibration"),
            Vibration,
            "mm/s",
            limit,
            Quantity::Vibration(pump),
            0.09,
            0.001,
        ));
        rows.push(Row(
            name("bearing_temp"),
            Temperature,
            "°C",
            (0.0, 95.0),
            Quantity::BearingTemp(pump),
            0.25,
            0.01,
        ));
        rows.push(Row(
            name("speed"),
            Speed,
            "rpm",
            (0.0, 3_300.0),
            Quantity::Speed(pump),
            3.0,
            0.1,
        ));
        rows.push(Row(name("power"), Power, "kW", (0.0, 240.0), Quantity::Power(pump), 1.2, 0.01));
    }
    let line = |measure: &str| format!("north/{measure}");
    rows.push(Row(
        line("km-00/flow"),
        Flow,
        "m³/h",
        (0.0, 1_000.0),
        Quantity::Flow(0.0),
        2.5,
        0.01,
    ));
    rows.push(Row(
        line("km-60/flow"),
        Flow,
        "m³/h",
        (0.0, 1_000.0),
        Quantity::Flow(60.0),
        2.5,
        0.01,
    ));
    let taps = [
        ("km-00/pressure", 0.0, 0.0),
        ("km-15/pressure", 15.0, 1.2),
        ("km-30/pressure-a", 30.0, -2.4),
        ("km-30/pressure-b", 30.0, -2.36),
        ("km-45/pressure", 45.0, 0.8),
        ("km-60/pressure", 60.0, 0.0),
    ];
    for (name, km, ground) in taps {
        let quantity = Quantity::Pressure(km, ground);
        rows.push(Row(line(name), Pressure, "bar", (0.0, 64.0), quantity, 0.06, 0.001));
    }
    for (number, quantity) in [
        (101, Quantity::BlockValve),
        (102, Quantity::BlockValve),
        (103, Quantity::ControlValve),
        (104, Quantity::BlockValve),
        (105, Quantity::BlockValve),
        (106, Quantity::DrainValve),
    ] {
        let size = if quantity == Quantity::ControlValve { 0.2 } else { 0.0 };
        let name = format!("north/v-{number}/position");
        rows.push(Row(name, Position, "%", (0.0, 100.0), quantity, size, 0.01));
    }
    rows.push(Row(line("t-2/level"), Level, "%", (5.0, 95.0), Quantity::Level, 0.05, 0.001));
    rows
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
        Run {
            run_id: Uuid::now_v7(),
            kind: ScenarioKind::BearingWear,
            target: Some("north/p-2".to_owned()),
            starts_at: anchor.minus(WEAR_BEFORE),
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
        let noise = instrument.noise_size * forces.noise * instrument.noise.at(t);
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
