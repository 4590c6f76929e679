use serde::{Deserialize, Serialize};

use super::network::{Beyond, NodeId};
use super::schedule::{Schedule, along};

/// A valve between two nodes, or at an end against a given head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Valve {
    pub from: NodeId,
    pub to: Beyond,
    pub law: ValveLaw,
    pub characteristic: Characteristic,
    /// Opening over time, 0 (shut) to 1 (open).
    pub opening: Schedule,
}

/// How flow follows from the open share s of the valve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValveLaw {
    /// `Q = s K sqrt(dH)`, both ways; K in m2.5/s when open (see [`conductance_of_kv`]).
    Orifice { conductance: f64 },
    /// `Q = s Q1`, whatever the heads; Q1 in m3/s when open.
    Flow { open_m3s: f64 },
}

/// The share of the open flow area, or of the open Cv, at an opening.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Characteristic {
    /// s = opening.
    Linear,
    /// s = R^(opening - 1), from R^-1 down in a straight line to 0 below 5 % (IEC 60534-2-4 leaves
    /// the foot open).
    EqualPercentage { rangeability: f64 },
    /// Opening and share, both rising from 0 to 1; straight lines between.
    Table(Vec<(f64, f64)>),
}

/// Below this opening an equal-percentage valve closes in a straight line.
const FOOT: f64 = 0.05;

impl Characteristic {
    /// The share, 0 to 1, at an opening, 0 to 1.
    #[must_use]
    pub fn share(&self, opening: f64) -> f64 {
        let opening = opening.clamp(0.0, 1.0);
        match self {
            Self::Linear => opening,
            Self::EqualPercentage { rangeability } => {
                let at = |opening: f64| libm::pow(*rangeability, opening - 1.0);
                if opening < FOOT { at(FOOT) * opening / FOOT } else { at(opening) }
            }
            Self::Table(points) => along(points, opening),
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        match self {
            Self::Linear => true,
            Self::EqualPercentage { rangeability } => {
                rangeability.is_finite() && *rangeability > 1.0
            }
            Self::Table(points) => {
                points.first() == Some(&(0.0, 0.0))
                    && points.last() == Some(&(1.0, 1.0))
                    && points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1)
            }
        }
    }
}

/// K in m2.5/s of a valve's Kv in m3/h at 1 bar (Kv = 0.865 Cv), from `Q = Kv sqrt(dp / (rho /
/// 1000))` (IEC 60534-2-1); it holds for every liquid, since head and density cancel.
#[must_use]
pub fn conductance_of_kv(kv_m3h: f64, gravity_ms2: f64) -> f64 {
    kv_m3h / 3_600.0 * (1_000.0 * gravity_ms2 / 1e5).sqrt()
}

/// K in m2.5/s of an opening of an area in m2 with a discharge coefficient: `Cd A sqrt(2 g)`.
#[must_use]
pub fn conductance_of_area(area_m2: f64, discharge: f64, gravity_ms2: f64) -> f64 {
    discharge * area_m2 * (2.0 * gravity_ms2).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_go_from_shut_to_open() {
        let table = Characteristic::Table(vec![(0.0, 0.0), (0.5, 0.2), (1.0, 1.0)]);
        let equal = Characteristic::EqualPercentage { rangeability: 50.0 };
        for curve in [&table, &equal, &Characteristic::Linear] {
            assert_eq!((curve.share(0.0), curve.share(1.0)), (0.0, 1.0));
            assert!(curve.share(0.3) < curve.share(0.31) && curve.is_sound());
        }
        assert_eq!(table.share(0.25), 0.1);
        assert!(!Characteristic::Table(vec![(0.0, 0.0), (0.9, 1.0)]).is_sound());
    }

    #[test]
    fn a_kv_of_one_passes_a_cubic_metre_an_hour_at_one_bar() {
        let head_of_a_bar = 1e5 / (1_000.0 * 9.81);
        let flow = conductance_of_kv(1.0, 9.81) * f64::sqrt(head_of_a_bar);
        assert!((flow * 3_600.0 - 1.0).abs() < 1e-12);
    }
}
