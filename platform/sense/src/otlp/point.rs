//! A data point, whichever way it was written, and the figures it consists of.

use super::BUCKETS_MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Gauge,
    Sum { monotonic: bool },
    Histogram,
    ExponentialHistogram,
    Summary,
}

/// What all data points of a metric have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Metric<'a> {
    pub name: &'a str,
    pub description: &'a str,
    /// In UCUM.
    pub unit: &'a str,
    pub shape: Shape,
    pub delta: bool,
}

impl Metric<'_> {
    /// As Prometheus calls it.
    pub(super) fn kind_name(&self) -> &'static str {
        match self.shape {
            Shape::Gauge | Shape::Sum { monotonic: false } => "gauge",
            Shape::Sum { monotonic: true } => "counter",
            Shape::Histogram | Shape::ExponentialHistogram => "histogram",
            Shape::Summary => "summary",
        }
    }
}

/// `AGGREGATION_TEMPORALITY_DELTA`.
pub(super) const DELTA: u64 = 1;
/// The flag of a data point without a recorded value.
pub(super) const NO_RECORDED_VALUE: u64 = 1;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    pub attributes: Vec<(String, String)>,
    /// Since 1970; 0 when unknown.
    pub nanos: u64,
    pub recorded: bool,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Number(Option<f64>),
    Distribution(Distribution),
    Summary { count: u64, sum: f64, quantiles: Vec<(f64, f64)> },
}

/// A histogram of either kind; one with moving bounds comes without buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Distribution {
    pub count: u64,
    pub sum: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub bounds: Vec<f64>,
    pub counts: Vec<u64>,
}

/// One number of a data point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    pub suffix: &'static str,
    pub label: Option<(&'static str, String)>,
    /// `None` when no value is recorded.
    pub value: Option<f64>,
    /// Whether it is of the metric's unit; a count is not.
    pub in_unit: bool,
}

type Fault = (&'static str, String);

/// The numbers of `point`, in the order in which Prometheus writes them.
pub(super) fn figures(point: &Point) -> Result<Vec<Figure>, Fault> {
    let recorded = |value: f64| point.recorded.then_some(value);
    let measured = |suffix, value| Figure { suffix, label: None, value, in_unit: true };
    let counted = |suffix, count: u64| Figure {
        suffix,
        label: None,
        value: recorded(count as f64),
        in_unit: false,
    };
    match &point.body {
        Body::Number(None) if point.recorded => {
            Err(("value", "the data point has no value".to_owned()))
        }
        Body::Number(value) => Ok(vec![measured("", value.and_then(recorded))]),
        Body::Distribution(it) => {
            let mut all = vec![counted("_count", it.count)];
            let rows = [("_sum", it.sum), ("_min", it.min), ("_max", it.max)];
            let said = rows.into_iter().filter_map(|(suffix, value)| Some((suffix, value?)));
            all.extend(said.map(|(suffix, value)| measured(suffix, recorded(value))));
            all.extend(buckets(it, point.recorded)?);
            Ok(all)
        }
        Body::Summary { count, sum, quantiles } => {
            if quantiles.len() > BUCKETS_MAX {
                return Err(("value", format!("more than {BUCKETS_MAX} quantiles")));
            }
            let mut all = vec![counted("_count", *count), measured("_sum", recorded(*sum))];
            all.extend(quantiles.iter().map(|(quantile, value)| Figure {
                suffix: "",
                label: Some(("quantile", quantile.to_string())),
                value: recorded(*value),
                in_unit: true,
            }));
            Ok(all)
        }
    }
}

/// Cumulative, as Prometheus counts them: each bucket holds all that lies at or below its bound.
fn buckets(it: &Distribution, recorded: bool) -> Result<Vec<Figure>, Fault> {
    if it.counts.is_empty() && it.bounds.is_empty() {
        return Ok(Vec::new());
    }
    if it.counts.len() > BUCKETS_MAX {
        return Err(("value", format!("more than {BUCKETS_MAX} buckets")));
    }
    if it.counts.len() != it.bounds.len() + 1 {
        let (counts, bounds) = (it.counts.len(), it.bounds.len());
        return Err(("value", format!("{counts} buckets do not fit {bounds} bounds")));
    }
    let bounds = it.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    let mut total = 0_u64;
    let figures = it.counts.iter().zip(bounds).map(|(count, bound)| {
        total = total.saturating_add(*count);
        Figure {
            suffix: "_bucket",
            label: Some(("le", bound)),
            value: recorded.then_some(total as f64),
            in_unit: false,
        }
    });
    Ok(figures.collect())
}
