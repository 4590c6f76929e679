//! Sums and quantiles as Prometheus takes them.

use std::cmp::Ordering;

/// A compensated sum (Neumaier's form of Kahan's).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kahan {
    pub(crate) sum: f64,
    rest: f64,
}

impl Kahan {
    pub(crate) fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.rest += if self.sum.abs() >= value.abs() {
            (self.sum - sum) + value
        } else {
            (value - sum) + self.sum
        };
        self.sum = sum;
    }

    pub(crate) fn both(&self) -> f64 {
        self.sum + self.rest
    }

    /// What is lost to an infinite sum is no number.
    pub(crate) fn finish(&self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.both() }
    }
}

/// NaN below every number.
pub(crate) fn nan_first(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// Between the two nearest ranks, linearly. Sorts `values`.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| nan_first(*a, *b));
    let top = values.len() - 1;
    let rank = q * top as f64;
    let lower = (rank.floor() as usize).min(top);
    let upper = (lower + 1).min(top);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_ranks() {
        let mut values = [3.0, 1.0, 2.0, 4.0];
        assert_eq!(quantile(0.5, &mut values), 2.5);
        assert_eq!(quantile(0.0, &mut values), 1.0);
        assert_eq!(quantile(1.0, &mut values), 4.0);
        assert_eq!(quantile(-0.1, &mut values), f64::NEG_INFINITY);
        assert!(quantile(f64::NAN, &mut values).is_nan());
        assert!(quantile(0.5, &mut []).is_nan());
    }

    #[test]
    fn nan_sorts_first() {
        let mut values = [2.0, f64::NAN, 1.0];
        values.sort_by(|a, b| nan_first(*a, *b));
        assert!(values[0].is_nan() && values[1] == 1.0);
    }

    #[test]
    fn small_terms_survive_large_ones() {
        let mut sum = Kahan::default();
        [1.0, 1e100, 1.0, -1e100].iter().for_each(|value| sum.add(*value));
        assert_eq!(sum.finish(), 2.0);
    }
}
