use serde::{Deserialize, Serialize};

/// Sweeps of the Jacobi method; it converges quadratically and needs six to ten.
const SWEEPS_MAX: usize = 60;
/// The off-diagonal rest at which the method has converged, relative to the diagonal.
const CONVERGED: f64 = 1e-22;

/// A symmetric matrix, whole rows one after another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Symmetric {
    size: usize,
    #[serde(with = "crate::exact::list")]
    cells: Vec<f64>,
}

/// Eigenvalues, largest first, each with its unit vector.
pub(super) struct Eigen {
    pub(super) values: Vec<f64>,
    pub(super) vectors: Vec<Vec<f64>>,
}

impl Symmetric {
    pub(super) fn identity(size: usize) -> Self {
        let mut matrix = Self { size, cells: vec![0.0; size * size] };
        (0..size).for_each(|k| matrix.set(k, k, 1.0));
        matrix
    }

    pub(super) fn is_whole(&self, size: usize) -> bool {
        self.size == size && self.cells.len() == size * size
    }

    pub(super) fn at(&self, row: usize, column: usize) -> f64 {
        self.cells[row * self.size + column]
    }

    pub(super) fn set(&mut self, row: usize, column: usize, value: f64) {
        self.cells[row * self.size + column] = value;
        self.cells[column * self.size + row] = value;
    }

    /// The matrix times a vector.
    pub(super) fn times(&self, vector: &[f64], out: &mut [f64]) {
        for (row, out) in self.cells.chunks_exact(self.size.max(1)).zip(out) {
            *out = row.iter().zip(vector).map(|(a, b)| a * b).sum();
        }
    }

    /// Correlations of the columns of `rows`, each value less its column's mean. A column that does
    /// not move goes with nothing.
    pub(super) fn correlation(rows: &[Vec<f64>], means: &[f64]) -> Self {
        let size = means.len();
        let mut sums = vec![0.0; size * size];
        let mut centred = vec![0.0; size];
        for row in rows {
            for (k, value) in row.iter().enumerate() {
                centred[k] = value - means[k];
            }
            for a in 0..size {
                for b in 0..=a {
                    sums[a * size + b] += centred[a] * centred[b];
                }
            }
        }
        let mut matrix = Self::identity(size);
        for a in 0..size {
            for b in 0..a {
                let scale = (sums[a * size + a] * sums[b * size + b]).sqrt();
                let share = if scale > 0.0 { sums[a * size + b] / scale } else { 0.0 };
                matrix.set(a, b, share);
            }
        }
        matrix
    }

    /// Takes `share` of what stands beside the diagonal away: few rows know little about it.
    pub(super) fn shrunk(&self, share: f64) -> Self {
        let mut matrix = self.clone();
        for a in 0..self.size {
            for b in 0..a {
                matrix.set(a, b, (1.0 - share) * self.at(a, b));
            }
        }
        matrix
    }

    /// Cyclic Jacobi rotations (Golub and Van Loan, "Matrix Computations", section 8.5).
    pub(super) fn eigen(&self) -> Eigen {
        let size = self.size;
        let mut work = self.clone();
        let mut vectors = Self::identity(size).cells;
        for _ in 0..SWEEPS_MAX {
            let off: f64 = pairs(size).map(|(a, b)| work.at(a, b).powi(2)).sum();
            let on: f64 = (0..size).map(|k| work.at(k, k).powi(2)).sum();
            if off <= CONVERGED * on {
                break;
            }
            for (a, b) in pairs(size) {
                work.rotate(a, b, &mut vectors);
            }
        }
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|a, b| work.at(*b, *b).total_cmp(&work.at(*a, *a)));
        Eigen {
            values: order.iter().map(|k| work.at(*k, *k)).collect(),
            vectors: order
                .iter()
                .map(|k| (0..size).map(|row| vectors[row * size + k]).collect())
                .collect(),
        }
    }

    /// Turns the plane of `a` and `b` so that nothing stands between them.
    fn rotate(&mut self, a: usize, b: usize, vectors: &mut [f64]) {
        let between = self.at(a, b);
        if between == 0.0 {
            return;
        }
        let theta = (self.at(b, b) - self.at(a, a)) / (2.0 * between);
        let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
        let cosine = 1.0 / tangent.hypot(1.0);
        let sine = tangent * cosine;
        let (first, second) = (self.at(a, a), self.at(b, b));
        for k in 0..self.size {
            if k != a && k != b {
                let (x, y) = (self.at(k, a), self.at(k, b));
                self.set(k, a, cosine * x - sine * y);
                self.set(k, b, sine * x + cosine * y);
            }
            let (x, y) = (vectors[k * self.size + a], vectors[k * self.size + b]);
            vectors[k * self.size + a] = cosine * x - sine * y;
            vectors[k * self.size + b] = sine * x + cosine * y;
        }
        self.set(a, b, 0.0);
        self.set(a, a, first - tangent * between);
        self.set(b, b, second + tangent * between);
    }
}

impl Eigen {
    /// The inverse of the matrix that these belong to, made of some of its directions.
    pub(super) fn inverse(&self, directions: std::ops::Range<usize>) -> Symmetric {
        let size = self.values.len();
        let mut inverse = Symmetric { size, cells: vec![0.0; size * size] };
        for k in directions {
            let (value, vector) = (self.values[k], &self.vectors[k]);
            for a in 0..size {
                for b in 0..=a {
                    inverse.set(a, b, inverse.at(a, b) + vector[a] * vector[b] / value);
                }
            }
        }
        inverse
    }
}

fn pairs(size: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..size).flat_map(move |a| (a + 1..size).map(move |b| (a, b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_correlation_times_its_inverse_is_one(
            cells in proptest::collection::vec(-3.0..3.0_f64, 7 * 40)
        ) {
            let rows: Vec<Vec<f64>> = cells.chunks(7).map(<[f64]>::to_vec).collect();
            let matrix = Symmetric::correlation(&rows, &[0.0; 7]).shrunk(0.05);
            let eigen = matrix.eigen();
            prop_assert!(eigen.values.windows(2).all(|pair| pair[0] >= pair[1]));
            let inverse = eigen.inverse(0..7);
            let mut column = [0.0; 7];
            let mut back = [0.0; 7];
            for k in 0..7 {
                let unit: Vec<f64> = (0..7).map(|n| f64::from(u8::from(n == k))).collect();
                inverse.times(&unit, &mut column);
                matrix.times(&column, &mut back);
                for (n, value) in back.iter().enumerate() {
                    prop_assert!((value - unit[n]).abs() < 1e-9, "{n} {value}");
                }
            }
        }
    }

    #[test]
    fn a_column_that_does_not_move_goes_with_nothing() {
        let rows: Vec<Vec<f64>> = (0..20).map(|n| vec![f64::from(n), 4.0]).collect();
        let matrix = Symmetric::correlation(&rows, &[9.5, 4.0]);
        assert_eq!(matrix, Symmetric::identity(2));
    }
}
