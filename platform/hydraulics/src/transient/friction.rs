use std::f64::consts::{LN_10, PI};

use serde::{Deserialize, Serialize};

/// Below this Reynolds number flow is laminar.
const LAMINAR: f64 = 2_300.0;
/// From this Reynolds number on Colebrook and White's law holds; between the two it is a straight
/// line, since no law is sure there.
const TURBULENT: f64 = 4_000.0;

/// How the wall brakes the flow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Friction {
    /// The Darcy friction factor, whatever the flow; 0 is a pipe without friction.
    Darcy(f64),
    /// Laminar flow and Colebrook and White's law, by roughness of the wall in m and the fluid's
    /// viscosity.
    Colebrook { roughness_m: f64 },
}

/// The Darcy friction factor of a Reynolds number and a relative roughness (roughness / diameter).
///
/// 64/Re below 2,300; Colebrook and White, `1/sqrt f = -2 log10(e/3.7 + 2.51/(Re sqrt f))`, from
/// 4,000 on (Colebrook 1939), started from Haaland's formula (1983) and improved by a Newton step
/// to some millionths; a straight line between.
#[must_use]
pub fn darcy_factor(reynolds: f64, relative_roughness: f64) -> f64 {
    if reynolds <= LAMINAR {
        return 64.0 / reynolds;
    }
    Roughness::new(relative_roughness).factor(reynolds)
}

/// What the law needs of a roughness.
#[derive(Clone, Copy, Debug)]
struct Roughness {
    /// Relative roughness over 3.7, as Colebrook and as Haaland have it.
    colebrook: f64,
    haaland: f64,
}

impl Roughness {
    fn new(relative_roughness: f64) -> Self {
        let colebrook = relative_roughness / 3.7;
        Self { colebrook, haaland: libm::pow(colebrook, 1.11) }
    }

    /// The friction factor, in laminar flow that at its end.
    fn factor(&self, reynolds: f64) -> f64 {
        let first = 64.0 / LAMINAR;
        if reynolds <= LAMINAR {
            return first;
        }
        if reynolds < TURBULENT {
            let last = self.turbulent(TURBULENT);
            return first + (last - first) * (reynolds - LAMINAR) / (TURBULENT - LAMINAR);
        }
        self.turbulent(reynolds)
    }

    fn turbulent(&self, reynolds: f64) -> f64 {
        let smooth = 2.51 / reynolds;
        let start = -1.8 / LN_10 * libm::log(self.haaland + 6.9 / reynolds);
        let inside = self.colebrook + smooth * start;
        let miss = start + 2.0 / LN_10 * libm::log(inside);
        let x = start - miss / (1.0 + 2.0 * smooth / (LN_10 * inside));
        1.0 / (x * x)
    }
}

/// What a reach loses: `Q max(laminar, c f(Q) |Q|)`, in m.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resistance {
    /// Laminar loss per flow, s/m2; 0 where the factor is fixed.
    pub(super) laminar: f64,
    /// Loss per flow squared and friction factor, s2/m5.
    per_factor: f64,
    law: Law,
}

#[derive(Clone, Copy, Debug)]
enum Law {
    Fixed(f64),
    /// Reynolds number per flow, and roughness.
    Moving {
        reynolds: f64,
        roughness: Roughness,
    },
}

impl Resistance {
    pub(super) fn new(
        friction: Friction,
        (length_m, diameter_m): (f64, f64),
        viscosity_m2s: f64,
        gravity: f64,
    ) -> Self {
        let area = PI * diameter_m * diameter_m / 4.0;
        let per_factor = length_m / (2.0 * gravity * diameter_m * area * area);
        let (laminar, law) = match friction {
            Friction::Darcy(factor) => (0.0, Law::Fixed(factor)),
            Friction::Colebrook { roughness_m } => {
                let reynolds = diameter_m / (area * viscosity_m2s);
                // Hagen and Poiseuille: h = 128 nu L Q / (pi g D^4), which is f = 64/Re.
                let laminar =
                    128.0 * viscosity_m2s * length_m / (PI * gravity * diameter_m.powi(4));
                let roughness = Roughness::new(roughness_m / diameter_m);
                (laminar, Law::Moving { reynolds, roughness })
            }
        };
        Self { laminar, per_factor, law }
    }

    /// Loss per flow squared at a flow, s2/m5. Bounded, so that it may lag behind the flow.
    pub(super) fn quadratic(&self, flow: f64) -> f64 {
        self.per_factor
            * match self.law {
                Law::Fixed(factor) => factor,
                Law::Moving { reynolds, roughness } => roughness.factor(reynolds * flow.abs()),
            }
    }

    pub(super) fn depends_on_flow(&self) -> bool {
        matches!(self.law, Law::Moving { .. })
    }

    /// Loss in m at a flow, and its slope in s/m2.
    pub(super) fn loss(&self, flow: f64) -> (f64, f64) {
        let turbulent = self.quadratic(flow) * flow.abs();
        if turbulent > self.laminar {
            (turbulent * flow, 2.0 * turbulent)
        } else {
            (self.laminar * flow, self.laminar)
        }
    }
}

/// How a pipe is held, for the wave speed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restraint {
    /// Anchored at its upstream end only.
    Upstream,
    /// Anchored throughout.
    Throughout,
    /// With expansion joints.
    Joints,
}

/// The wave speed in m/s of a liquid (bulk modulus in Pa, density in kg/m3) in a thin-walled pipe
/// (Young's modulus in Pa, Poisson's ratio, inner diameter and wall in m).
///
/// `a = sqrt(K/rho) / sqrt(1 + (K/E)(D/w) c)`, c = 1.25 - nu, 1 - nu^2 or 1 (Wylie and Streeter
/// 1993, section 1.3).
#[must_use]
pub fn wave_speed_ms(
    (bulk_modulus_pa, density_kg_m3): (f64, f64),
    (young_modulus_pa, poisson_ratio): (f64, f64),
    (diameter_m, wall_m): (f64, f64),
    restraint: Restraint,
) -> f64 {
    let held = match restraint {
        Restraint::Upstream => 1.25 - poisson_ratio,
        Restraint::Throughout => 1.0 - poisson_ratio * poisson_ratio,
        Restraint::Joints => 1.0,
    };
    let give = bulk_modulus_pa / young_modulus_pa * diameter_m / wall_m * held;
    (bulk_modulus_pa / density_kg_m3).sqrt() / (1.0 + give).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_satisfies_its_law() {
        for reynolds in [4e3, 2e4, 1e6, 1e8] {
            for rough in [0.0, 1e-6, 1e-3, 5e-2] {
                let x = 1.0 / darcy_factor(reynolds, rough).sqrt();
                let law = -2.0 * (rough / 3.7 + 2.51 * x / reynolds).log10();
                assert!((x / law - 1.0).abs() < 5e-6, "{reynolds} {rough}: {x} {law}");
            }
        }
        assert_eq!(darcy_factor(1_000.0, 0.01), 0.064);
        for edge in [LAMINAR, TURBULENT] {
            let jump = darcy_factor(edge * 1.000_001, 1e-4) - darcy_factor(edge * 0.999_999, 1e-4);
            assert!(jump.abs() < 1e-6, "{edge}: {jump}");
        }
    }

    #[test]
    fn losses_rise_with_flow_through_every_regime() {
        let rough = Friction::Colebrook { roughness_m: 1e-4 };
        let resistance = Resistance::new(rough, (100.0, 0.3), 1e-5, 9.81);
        let mut before = 0.0;
        for step in 1..2_000 {
            let (loss, slope) = resistance.loss(f64::from(step) * 1e-5);
            assert!(loss > before && slope > 0.0);
            before = loss;
        }
        let flow = 1_000.0 * PI * 0.3 / 4.0 * 1e-5;
        let velocity = 1_000.0 * 1e-5 / 0.3;
        let darcy = 0.064 * 100.0 / 0.3 * velocity * velocity / (2.0 * 9.81);
        assert!((resistance.loss(flow).0 - darcy).abs() < 1e-12);
    }

    #[test]
    fn waves_run_slower_in_a_soft_pipe() {
        let speed = |wall| {
            wave_speed_ms((2.2e9, 1_000.0), (2.07e11, 0.3), (0.5, wall), Restraint::Throughout)
        };
        assert!((speed(0.01) - 1_218.0).abs() < 3.0, "{}", speed(0.01));
        assert!(speed(0.005) < speed(0.01));
    }
}
