use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::network::NodeId;
use super::schedule::Schedule;

/// A pump from one node to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pump {
    pub from: NodeId,
    pub to: NodeId,
    pub curve: PumpCurve,
    /// Speed over time as a share of the rated one.
    pub speed: Schedule,
    /// Flow backwards is stopped at once.
    pub check_valve: bool,
    /// What the pump does without its motor. Without it a tripped pump stands at once.
    pub run_down: Option<RunDown>,
    /// When the motor trips, s.
    pub trip_s: Option<f64>,
}

/// Head over flow at rated speed: `H = shutoff + linear Q + quadratic Q|Q|`; at speed n by the
/// affinity laws `H = n^2 shutoff + n linear Q + quadratic Q|Q|`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PumpCurve {
    /// m.
    pub shutoff_m: f64,
    /// s/m2, not positive.
    pub linear: f64,
    /// s2/m5, negative.
    pub quadratic: f64,
}

impl PumpCurve {
    /// A curve through one rated point, m3/s and m, with 4/3 of its head when shut (the rule of
    /// EPANET 2.2).
    #[must_use]
    pub fn of_rated(flow_m3s: f64, head_m: f64) -> Self {
        let shutoff_m = head_m * 4.0 / 3.0;
        Self { shutoff_m, linear: 0.0, quadratic: -(shutoff_m - head_m) / (flow_m3s * flow_m3s) }
    }

    /// A curve through the head when shut and two points, each m3/s and m.
    #[must_use]
    pub fn through(shutoff_m: f64, (q1, h1): (f64, f64), (q2, h2): (f64, f64)) -> Self {
        let (slope1, slope2) = ((h1 - shutoff_m) / q1, (h2 - shutoff_m) / q2);
        let quadratic = (slope2 - slope1) / (q2 - q1);
        Self { shutoff_m, linear: slope1 - quadratic * q1, quadratic }
    }

    /// Head is positive when shut and falls with flow.
    pub(super) fn is_sound(&self) -> bool {
        let numbers = [self.shutoff_m, self.linear, self.quadratic];
        numbers.iter().all(|number| number.is_finite())
            && self.shutoff_m > 0.0
            && self.linear <= 0.0
            && self.quadratic < 0.0
    }

    /// Head in m at a speed share and a flow in m3/s.
    #[must_use]
    pub fn head_m(&self, speed: f64, flow_m3s: f64) -> f64 {
        speed * speed * self.shutoff_m
            + speed * self.linear * flow_m3s
            + self.quadratic * flow_m3s * flow_m3s.abs()
    }
}

/// What carries a pump on when its motor has tripped.
///
/// `I dw/dt = -T`, with the torque between its share when shut and the rated one in a straight
/// line over flow: `T = T1 (s n^2 + (1 - s) n Q/Q1)`, which keeps the affinity laws (T ~ n^2 at
/// Q ~ n) and needs no four-quadrant data; `T1 = rho g Q1 H1 / (eta w1)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunDown {
    /// Moment of inertia of pump, motor and liquid in the impeller, kg m2.
    pub inertia_kg_m2: f64,
    /// Rated speed, turns per minute.
    pub rated_rpm: f64,
    /// Rated flow, m3/s.
    pub rated_m3s: f64,
    /// Efficiency at the rated flow, 0 to 1.
    pub efficiency: f64,
    /// Torque when shut as a share of the rated one; 0.4 to 0.6 for radial pumps.
    pub shut_torque: f64,
}

impl RunDown {
    /// Speed lost within `step_s` at a speed share and a flow.
    pub(super) fn lost(
        &self,
        curve: &PumpCurve,
        specific_weight: f64,
        (speed, flow_m3s): (f64, f64),
        step_s: f64,
    ) -> f64 {
        let rated = self.rated_rpm * 2.0 * PI / 60.0;
        let power = specific_weight * self.rated_m3s * curve.head_m(1.0, self.rated_m3s);
        let torque = power / (self.efficiency * rated);
        let forward = (flow_m3s / self.rated_m3s).max(0.0);
        let share = self.shut_torque * speed * speed + (1.0 - self.shut_torque) * speed * forward;
        torque * share / (self.inertia_kg_m2 * rated) * step_s
    }

    pub(super) fn is_sound(&self) -> bool {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        positive(self.inertia_kg_m2)
            && positive(self.rated_rpm)
            && positive(self.rated_m3s)
            && positive(self.efficiency)
            && self.efficiency <= 1.0
            && (0.0..=1.0).contains(&self.shut_torque)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinity_laws_hold() {
        let curve = PumpCurve::through(80.0, (0.1, 75.0), (0.2, 60.0));
        assert!((curve.head_m(1.0, 0.1) - 75.0).abs() < 1e-9);
        assert!((curve.head_m(1.0, 0.2) - 60.0).abs() < 1e-9);
        assert!((curve.head_m(0.5, 0.1) - 15.0).abs() < 1e-9);
        assert!((PumpCurve::of_rated(0.2, 60.0).head_m(1.0, 0.2) - 60.0).abs() < 1e-9);
    }
}
