//! The inner loop: all grid points side by side, without a branch, so that it runs in vectors.

use std::f64::consts::PI;
use std::ops::Range;

use super::friction::Resistance;
use super::grid::Grid;
use super::network::{Network, PipeId};

/// Grid points are looked at in groups of this size when extremes are sought.
const GROUP: usize = 8;

/// One pipe's place among the points, and its constants.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) points: Range<usize>,
    pub(super) reach_m: f64,
    /// a / (g A), s/m2.
    pub(super) impedance: f64,
    pub(super) resistance: Resistance,
}

/// The state of all pipes, point by point.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    pub(super) stretches: Vec<Stretch>,
    pub(super) head: Vec<f64>,
    pub(super) flow: Vec<f64>,
    /// Quadratic resistance of a reach at the flow of each point, s2/m5.
    pub(super) quadratic: Vec<f64>,
    /// What arrives along C+ and C- from each point, m.
    pub(super) plus: Vec<f64>,
    pub(super) minus: Vec<f64>,
    /// Head at which the liquid boils, m.
    pub(super) floor: Vec<f64>,
}

impl Lanes {
    pub(super) fn new(network: &Network, grid: &Grid) -> Self {
        let mut stretches = Vec::with_capacity(network.pipes.len());
        let mut floor = Vec::new();
        for (index, pipe) in network.pipes.iter().enumerate() {
            let reaches = grid.reaches[index];
            let reach_m = pipe.length_m / reaches as f64;
            let area = PI * pipe.diameter_m * pipe.diameter_m / 4.0;
            let first = floor.len();
            floor.extend((0..=reaches).map(|point| {
                network.elevation_m(PipeId(index), reach_m * point as f64)
                    + network.fluid.vapour_head_m
            }));
            stretches.push(Stretch {
                points: first..floor.len(),
                reach_m,
                impedance: grid.wave_speed_ms(network, index) / (network.gravity_ms2 * area),
                resistance: Resistance::new(
                    pipe.friction,
                    (reach_m, pipe.diameter_m),
                    network.fluid.viscosity_m2s,
                    network.gravity_ms2,
                ),
            });
        }
        let zeros = || vec![0.0; floor.len()];
        Self {
            stretches,
            head: zeros(),
            flow: zeros(),
            quadratic: zeros(),
            plus: zeros(),
            minus: zeros(),
            floor,
        }
    }

    /// Moves all points but the ends on by one step; `plus` and `minus` hold what reaches the ends.
    pub(super) fn advance(&mut self) {
        for stretch in &self.stretches {
            let points = stretch.points.clone();
            let (b, k) = (stretch.impedance, stretch.resistance.laminar);
            depart(
                (b, k),
                [&self.head[points.clone()], &self.flow[points.clone()]],
                &self.quadratic[points.clone()],
                [&mut self.plus[points.clone()], &mut self.minus[points.clone()]],
            );
            let inner = points.start + 1..points.end - 1;
            arrive(
                (b, k),
                &self.quadratic[inner.clone()],
                [
                    &self.plus[points.start..points.end - 2],
                    &self.minus[points.start + 2..points.end],
                ],
                [&mut self.head[inner.clone()], &mut self.flow[inner]],
            );
        }
    }

    /// Takes the friction factor from the flow as it is now.
    pub(super) fn refresh(&mut self, all: bool) {
        for stretch in &self.stretches {
            if all || stretch.resistance.depends_on_flow() {
                for point in stretch.points.clone() {
                    self.quadratic[point] = stretch.resistance.quadratic(self.flow[point]);
                }
            }
        }
    }

    /// The deepest point below the head at which the liquid boils.
    pub(super) fn boiling(&self) -> Option<usize> {
        let mut below = [0_u64; GROUP];
        let (heads, floors) = (self.head.chunks_exact(GROUP), self.floor.chunks_exact(GROUP));
        let rest = heads.remainder().iter().zip(floors.remainder());
        let mut any = rest.fold(0, |any, (head, floor)| any | u64::from(head <= floor));
        for (heads, floors) in heads.zip(floors) {
            for lane in 0..GROUP {
                below[lane] |= u64::from(heads[lane] <= floors[lane]);
            }
        }
        any |= below.iter().fold(0, |any, lane| any | lane);
        if any == 0 {
            return None;
        }
        let depth = |point: usize| self.floor[point] - self.head[point];
        (0..self.head.len()).max_by(|a, b| depth(*a).total_cmp(&depth(*b)))
    }
}

/// What leaves every point along both characteristics, with half of the friction.
fn depart(
    (b, k): (f64, f64),
    [head, flow]: [&[f64]; 2],
    quadratic: &[f64],
    [plus, minus]: [&mut [f64]; 2],
) {
    let points = head.iter().zip(flow).zip(quadratic).zip(plus.iter_mut().zip(minus));
    for (((head, flow), r), (plus, minus)) in points {
        let turbulent = r * flow.abs();
        let slope = b - 0.5 * if turbulent > k { turbulent } else { k };
        *plus = head + slope * flow;
        *minus = head - slope * flow;
    }
}

/// What becomes of both characteristics where they meet: `Q + F(Q) / 2B = (C+ - C-) / 2B` solved
/// for Q, with the friction law that brakes more.
fn arrive(
    (b, k): (f64, f64),
    quadratic: &[f64],
    [plus, minus]: [&[f64]; 2],
    [head, flow]: [&mut [f64]; 2],
) {
    let (half, laminar) = (0.5 / b, 1.0 / (1.0 + 0.5 * k / b));
    let points = plus.iter().zip(minus).zip(quadratic).zip(head.iter_mut().zip(flow));
    for (((plus, minus), r), (head, flow)) in points {
        let free = (plus - minus) * half;
        let turbulent = 2.0 / (1.0 + (1.0 + 4.0 * half * r * free.abs()).sqrt());
        *head = 0.5 * (plus + minus);
        *flow = free * if turbulent < laminar { turbulent } else { laminar };
    }
}
