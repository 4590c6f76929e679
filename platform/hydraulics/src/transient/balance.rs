//! Heads and flows that agree at points without length between them: a few unknowns, solved by
//! Newton's method on flows and heads together (Todini and Pilati 1988, the global gradient
//! method). The steady state of a network and each group of elements within a step are both this.

use super::friction::Resistance;
use super::pump::PumpCurve;

/// Newton takes at most so many steps; from a start far off it halves the error each time.
const ROUNDS_MAX: usize = 200;
/// A flow that changes by less than this share of itself, or this many m3/s, has settled. Newton
/// converges quadratically: what is left after the last change is far less.
const SETTLED: f64 = 1e-9;
const SETTLED_M3S: f64 = 1e-10;
/// Least slope of a loss, s/m2: keeps losses that are flat at flow 0 solvable.
const SLOPE_MIN: f64 = 1e-3;
/// Holds the head where nothing else does, m2/s; it fades as the head settles.
const HOLD: f64 = 1e-9;
/// A check valve opens only when pushed by more than this, m.
const PUSH_M: f64 = 1e-7;

/// What a flow loses on its way, in m.
#[derive(Clone, Debug)]
pub(super) enum Loss {
    /// `Q|Q| / K^2`.
    Orifice { conductance: f64 },
    /// The negative head of a pump at a share of its speed.
    Pump { curve: PumpCurve, speed: f64 },
    /// So many reaches.
    Pipe { resistance: Resistance, reaches: f64 },
    /// Flow that does not ask for heads, m3/s.
    Given(f64),
}

impl Loss {
    /// Loss in m and slope in s/m2.
    fn at(&self, flow: f64) -> (f64, f64) {
        match self {
            Self::Orifice { conductance } => {
                let per_square = 1.0 / (conductance * conductance);
                (flow * flow.abs() * per_square, 2.0 * flow.abs() * per_square)
            }
            Self::Pump { curve, speed } => (
                -curve.head_m(*speed, flow),
                -speed * curve.linear - 2.0 * curve.quadratic * flow.abs(),
            ),
            Self::Pipe { resistance, reaches } => {
                let (loss, slope) = resistance.loss(flow);
                (loss * reaches, slope * reaches)
            }
            Self::Given(_) => (0.0, 0.0),
        }
    }
}

/// Where an edge ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Far {
    Point(usize),
    Head(f64),
}

#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: Far,
    pub(super) loss: Loss,
    /// Passes no flow backwards.
    pub(super) one_way: bool,
    /// Passes nothing now.
    pub(super) shut: bool,
    pub(super) flow: f64,
}

/// A point with its head; what flows to it otherwise is `source - slope * head`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Point {
    pub(super) fixed: bool,
    pub(super) head: f64,
    pub(super) source: f64,
    pub(super) slope: f64,
}

/// A group of points and edges, with room to work in.
#[derive(Clone, Debug, Default)]
pub(super) struct Balance {
    pub(super) points: Vec<Point>,
    pub(super) edges: Vec<Edge>,
    matrix: Vec<f64>,
    right: Vec<f64>,
}

/// No balance was found; the worst edge begins at this point.
#[derive(Debug)]
pub(super) struct Unsettled(pub(super) usize);

impl Balance {
    /// Finds heads and flows from those there are, and which check valves are shut.
    ///
    /// # Errors
    /// Flows that do not settle.
    pub(super) fn solve(&mut self) -> Result<(), Unsettled> {
        for edge in 0..self.edges.len() {
            self.guess(edge);
        }
        for _ in 0..2 * self.edges.len() + 4 {
            self.settle()?;
            if !self.turn_check_valves() {
                break;
            }
        }
        Ok(())
    }

    fn far_head(&self, to: Far) -> f64 {
        match to {
            Far::Point(point) => self.points[point].head,
            Far::Head(head) => head,
        }
    }

    fn fall(&self, edge: &Edge) -> f64 {
        self.points[edge.from].head - self.far_head(edge.to)
    }

    /// An orifice that has moved far starts from the flow that its heads would drive.
    fn guess(&mut self, index: usize) {
        let edge = &self.edges[index];
        if let (false, Loss::Orifice { conductance }) = (edge.shut, &edge.loss) {
            let conductance = *conductance;
            let fall = self.fall(edge);
            let driven = conductance * fall.abs().sqrt();
            if !(0.7..1.4).contains(&(edge.flow.abs() / driven)) && driven > 0.0 {
                self.edges[index].flow = driven * fall.signum();
            }
        }
    }

    fn settle(&mut self) -> Result<(), Unsettled> {
        let mut worst = 0;
        for _ in 0..ROUNDS_MAX {
            self.assemble();
            self.eliminate();
            let mut settled = true;
            for index in 0..self.points.len() {
                if !self.points[index].fixed {
                    self.points[index].head = self.right[index];
                }
            }
            for index in 0..self.edges.len() {
                let edge = &self.edges[index];
                if edge.shut {
                    continue;
                }
                let new = if let Loss::Given(flow) = edge.loss {
                    flow
                } else {
                    let (loss, slope) = edge.loss.at(edge.flow);
                    edge.flow + (self.fall(edge) - loss) / slope.max(SLOPE_MIN)
                };
                let change = (new - edge.flow).abs();
                let still = change <= SETTLED * new.abs() + SETTLED_M3S;
                if !still {
                    worst = edge.from;
                }
                settled &= still;
                self.edges[index].flow = new;
            }
            if settled {
                return Ok(());
            }
        }
        Err(Unsettled(worst))
    }

    /// Shuts what flows backwards, opens what is pushed forwards; whether anything turned.
    fn turn_check_valves(&mut self) -> bool {
        let mut turned = false;
        for index in 0..self.edges.len() {
            let edge = &self.edges[index];
            if !edge.one_way {
                continue;
            }
            if !edge.shut && edge.flow < 0.0 {
                self.edges[index].shut = true;
                self.edges[index].flow = 0.0;
                turned = true;
            } else if edge.shut && self.fall(edge) - edge.loss.at(0.0).0 > PUSH_M {
                self.edges[index].shut = false;
                self.guess(index);
                turned = true;
            }
        }
        turned
    }

    /// Continuity at every point, with each edge's flow in a straight line around what it is.
    fn assemble(&mut self) {
        let size = self.points.len();
        self.matrix.clear();
        self.matrix.resize(size * size, 0.0);
        self.right.clear();
        self.right.resize(size, 0.0);
        for (index, point) in self.points.iter().enumerate() {
            let hold = if point.slope > 0.0 { 0.0 } else { HOLD };
            self.matrix[index * size + index] += point.slope + hold;
            self.right[index] += point.source + hold * point.head;
        }
        for edge in self.edges.iter().filter(|edge| !edge.shut) {
            let (ease, flow) = if let Loss::Given(flow) = edge.loss {
                (0.0, flow)
            } else {
                let (loss, slope) = edge.loss.at(edge.flow);
                let ease = 1.0 / slope.max(SLOPE_MIN);
                (ease, edge.flow - loss * ease)
            };
            let from = edge.from;
            self.matrix[from * size + from] += ease;
            self.right[from] -= flow;
            match edge.to {
                Far::Point(to) => {
                    self.matrix[to * size + to] += ease;
                    self.matrix[from * size + to] -= ease;
                    self.matrix[to * size + from] -= ease;
                    self.right[to] += flow;
                }
                Far::Head(head) => self.right[from] += ease * head,
            }
        }
        for (index, point) in self.points.iter().enumerate().filter(|(_, point)| point.fixed) {
            self.matrix[index * size..(index + 1) * size].fill(0.0);
            self.matrix[index * size + index] = 1.0;
            self.right[index] = point.head;
        }
    }

    /// Gauss without pivoting: the matrix is diagonally dominant by construction.
    fn eliminate(&mut self) {
        let size = self.points.len();
        for pivot in 0..size {
            let (above, below) = self.matrix.split_at_mut((pivot + 1) * size);
            let row = &above[pivot * size..];
            for (offset, other) in below.chunks_exact_mut(size).enumerate() {
                let share = other[pivot] / row[pivot];
                if share != 0.0 {
                    for column in pivot..size {
                        other[column] -= share * row[column];
                    }
                    self.right[pivot + 1 + offset] -= share * self.right[pivot];
                }
            }
        }
        for row in (0..size).rev() {
            let known: f64 =
                (row + 1..size).map(|at| self.matrix[row * size + at] * self.right[at]).sum();
            self.right[row] = (self.right[row] - known) / self.matrix[row * size + row];
        }
    }
}
