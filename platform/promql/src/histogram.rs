//! `histogram_quantile` of classic buckets, as Prometheus 2.42 computes it (`promql/quantile.go`).

use crate::NAME;
use crate::rows::{self, ABSENT, Row, is_present};

const BOUND: &str = "le";

#[derive(Clone, Copy, Debug)]
struct Bucket {
    bound: f64,
    count: f64,
}

/// One row per histogram; `wanted` is the quantile of each step.
pub(crate) fn quantiles(found: &[Row], wanted: &[f64]) -> Vec<Row> {
    let bounds: Vec<Option<f64>> =
        found.iter().map(|row| row.labels.get(BOUND).parse().ok()).collect();
    let groups = rows::grouped(found, |labels| labels.retain(|name| name != BOUND && name != NAME));
    let mut answers = Vec::new();
    for (labels, members) in groups {
        let cells = wanted.iter().enumerate().map(|(step, q)| {
            let buckets = members.iter().filter_map(|at| {
                let count = found[*at].cells[step];
                let bound = bounds[*at]?;
                is_present(count).then_some(Bucket { bound, count })
            });
            let mut buckets: Vec<Bucket> = buckets.collect();
            if buckets.is_empty() { ABSENT } else { quantile(*q, &mut buckets) }
        });
        let row = Row { labels, cells: cells.collect() };
        if row.has_samples() {
            answers.push(row);
        }
    }
    answers
}

fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return f64::NAN;
    }
    buckets.dedup_by(|later, kept| {
        let same = later.bound == kept.bound;
        if same {
            kept.count += later.count;
        }
        same
    });
    let mut highest = f64::NEG_INFINITY;
    for bucket in buckets.iter_mut() {
        // Scraped at slightly different times, counts can fall; they may not.
        if bucket.count < highest {
            bucket.count = highest;
        }
        highest = bucket.count;
    }
    between(q, buckets)
}

/// Where in the buckets, whose last bound is infinite, the quantile lies.
fn between(q: f64, buckets: &[Bucket]) -> f64 {
    let Some((last, inner)) = buckets.split_last() else { return f64::NAN };
    let Some(highest) = inner.last() else { return f64::NAN };
    if last.count == 0.0 || last.count.is_nan() {
        return f64::NAN;
    }
    let mut rank = q * last.count;
    let at = inner.partition_point(|bucket| bucket.count < rank);
    if at == inner.len() {
        return highest.bound;
    }
    if at == 0 && inner[0].bound <= 0.0 {
        return inner[0].bound;
    }
    let mut start = 0.0;
    let Bucket { bound: end, mut count } = inner[at];
    if at > 0 {
        start = inner[at - 1].bound;
        count -= inner[at - 1].count;
        rank -= inner[at - 1].count;
    }
    start + (end - start) * (rank / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(q: f64, buckets: &[(f64, f64)]) -> f64 {
        let mut buckets: Vec<Bucket> =
            buckets.iter().map(|(bound, count)| Bucket { bound: *bound, count: *count }).collect();
        quantile(q, &mut buckets)
    }

    #[test]
    fn interpolates_inside_the_bucket_of_the_rank() {
        let buckets = [(1.0, 10.0), (2.0, 30.0), (f64::INFINITY, 40.0)];
        assert_eq!(of(0.5, &buckets), 1.5);
        assert_eq!(of(0.125, &buckets), 0.5);
        assert_eq!(of(0.9, &buckets), 2.0);
        assert_eq!(of(-1.0, &buckets), f64::NEG_INFINITY);
        assert_eq!(of(2.0, &buckets), f64::INFINITY);
        assert_eq!(of(0.1, &[(-1.0, 5.0), (f64::INFINITY, 5.0)]), -1.0);
    }

    #[test]
    fn what_cannot_be_known_is_no_number() {
        assert!(of(0.5, &[(1.0, 10.0), (2.0, 20.0)]).is_nan());
        assert!(of(0.5, &[(f64::INFINITY, 20.0)]).is_nan());
        assert!(of(0.5, &[(1.0, 0.0), (f64::INFINITY, 0.0)]).is_nan());
    }

    #[test]
    fn falling_counts_are_evened_and_equal_bounds_added() {
        let uneven = [(1.0, 10.0), (2.0, 8.0), (f64::INFINITY, 20.0)];
        let even = [(1.0, 10.0), (2.0, 10.0), (f64::INFINITY, 20.0)];
        assert_eq!(of(0.4, &uneven), of(0.4, &even));
        let twice = [(1.0, 5.0), (1.0, 5.0), (f64::INFINITY, 20.0)];
        assert_eq!(of(0.25, &twice), 0.5);
    }
}
