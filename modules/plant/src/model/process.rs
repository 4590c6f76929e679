use std::f64::consts::TAU;

use super::noise::Noise;

const DAY_S: f64 = 86_400.0;
/// How fast a change of flow is felt along the line, km/s.
const WAVE_KM_PER_S: f64 = 1.05;
/// How far the bearings' temperature lags behind the load, seconds.
const THERMAL_LAG_S: f64 = 900.0;
const FLOW_M3_PER_H: f64 = 820.0;
const FRICTION_BAR: f64 = 34.0;
const ARRIVAL_BAR: f64 = 6.0;
const LINE_KM: f64 = 60.0;
/// Where a simulated leak sits.
const LEAK_KM: f64 = 22.0;
/// Pressure lost at the leak for all of the flow lost, bar.
const LEAK_SAG_BAR: f64 = 60.0;
const TANK_SWING_PERCENT: f64 = 9.0;

/// What the scenarios do to the whole plant at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Forces {
    /// Share of full service of P-1, P-2, P-3.
    pub(super) running: [f64; 3],
    /// Share of their power that all pumps are allowed.
    pub(super) available: f64,
    /// Added vibration of each pump, mm/s.
    pub(super) wear: [f64; 3],
    /// Added warmth of each pump's bearings, °C.
    pub(super) heat: [f64; 3],
    /// Share of the flow that leaves the line.
    pub(super) leak: f64,
    /// How much louder the instruments' noise is.
    pub(super) noise: f64,
    /// Added to the weather, °C.
    pub(super) ambient: f64,
    /// How far the block valves are driven shut, 0 to 1.
    pub(super) blocked: f64,
    /// Added to the tank's level, percent.
    pub(super) tank: f64,
}

impl Default for Forces {
    fn default() -> Self {
        Self {
            running: [1.0, 1.0, 0.0],
            available: 1.0,
            wear: [0.0; 3],
            heat: [0.0; 3],
            leak: 0.0,
            noise: 1.0,
            ambient: 0.0,
            blocked: 0.0,
            tank: 0.0,
        }
    }
}

/// What one sensor looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Quantity {
    Vibration(usize),
    BearingTemp(usize),
    Speed(usize),
    Power(usize),
    /// Flow at a kilometre.
    Flow(f64),
    /// Pressure at a kilometre, and the height of the ground there as bar.
    Pressure(f64, f64),
    /// A valve that stands open and closes in an emergency.
    BlockValve,
    /// A valve that follows the load.
    ControlValve,
    /// A valve that stands shut.
    DrainValve,
    Level,
}

/// The plant without instruments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    pub(super) weather: Noise,
}

impl Process {
    /// How much the customers take, 1 on average.
    fn demand(&self, t: f64) -> f64 {
        1.0 + 0.06 * libm::sin(TAU * (t / DAY_S - 0.3))
            + 0.012 * libm::sin(TAU * t / (DAY_S / 4.0))
            + 0.012 * self.weather.slow(t, 5_400.0)
    }

    fn load(&self, t: f64, forces: &Forces) -> f64 {
        let capacity = forces.running.iter().sum::<f64>() / 2.0;
        self.demand(t) * capacity.min(1.0) * forces.available
    }

    fn ambient(&self, t: f64, forces: &Forces) -> f64 {
        18.0 + 4.0 * libm::sin(TAU * (t / DAY_S - 0.35)) + forces.ambient
    }

    fn discharge_bar(&self, load: f64) -> f64 {
        ARRIVAL_BAR + FRICTION_BAR * load * load
    }

    /// How much of its noise an instrument shows: what stands still is measured as exactly zero.
    pub(super) fn liveliness(quantity: Quantity, forces: &Forces) -> f64 {
        match quantity {
            Quantity::Speed(pump) | Quantity::Power(pump) => {
                forces.running[pump] * forces.available
            }
            _ => 1.0,
        }
    }

    pub(super) fn value(&self, quantity: Quantity, t: f64, forces: &Forces) -> f64 {
        let service = |pump: usize| forces.running[pump] * forces.available;
        match quantity {
            Quantity::Vibration(pump) => {
                let load = self.load(t, forces);
                let turning = 2.2 + 1.5 * (load - 0.95).max(-0.3);
                0.12 + service(pump) * (turning + forces.wear[pump])
            }
            Quantity::BearingTemp(pump) => {
                let load = self.load(t - THERMAL_LAG_S, forces);
                let warmth = 34.0 * load * load + forces.heat[pump];
                self.ambient(t, forces) + service(pump) * warmth
            }
            Quantity::Speed(pump) => service(pump) * 2_980.0 * (0.6 + 0.4 * self.demand(t)),
            Quantity::Power(pump) => {
                let load = self.load(t, forces);
                let hydraulic = 155.0 * load * self.discharge_bar(load) / self.discharge_bar(1.0);
                service(pump) * (hydraulic + 12.0 + 0.2 * forces.heat[pump])
            }
            Quantity::Flow(km) => {
                let kept = if km > LEAK_KM {
                    1.0 - forces.leak.min(0.9)
                } else {
                    1.0 + 0.15 * forces.leak
                };
                FLOW_M3_PER_H * self.load(t - km / WAVE_KM_PER_S, forces) * kept
            }
            Quantity::Pressure(km, ground) => {
                let load = self.load(t - km / WAVE_KM_PER_S, forces);
                let friction = FRICTION_BAR * (1.0 - km / LINE_KM) * load * load;
                let near = 1.0 - (km - LEAK_KM).abs() / LINE_KM;
                let sag = LEAK_SAG_BAR * forces.leak * near;
                (ARRIVAL_BAR * (0.4 + 0.6 * load) + friction + ground - sag).max(0.2)
            }
            Quantity::BlockValve => 100.0 * (1.0 - forces.blocked),
            Quantity::ControlValve => {
                ((58.0 + 45.0 * (self.demand(t) - 1.0)) * (1.0 - forces.blocked)).clamp(0.0, 100.0)
            }
            Quantity::DrainValve => 0.0,
            Quantity::Level => {
                // The integral of the daily swing of the demand.
                let swing = TANK_SWING_PERCENT * libm::cos(TAU * (t / DAY_S - 0.3));
                (61.0 + swing + forces.tank).clamp(0.0, 100.0)
            }
        }
    }
}
