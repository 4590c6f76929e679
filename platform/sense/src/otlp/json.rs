//! The JSON encoding (proto3 JSON, with ids as hexadecimal text): names in camelCase, 64-bit
//! numbers as text or as numbers, enumerations as numbers.

use serde::Deserialize;
use serde::de::{self, Deserializer, Error as _, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::point::{Body, DELTA, Distribution, Metric, NO_RECORDED_VALUE, Point, Shape};
use super::protobuf::VALUE_DEPTH_MAX;
use super::{Intake, Speaker};
use crate::SenseError;
use crate::rows::excerpt;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Request {
    resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceMetrics {
    resource: Option<Resource>,
    scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Resource {
    attributes: Vec<KeyValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScopeMetrics {
    scope: Option<Scope>,
    metrics: Vec<MetricJson>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Scope {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MetricJson {
    name: String,
    description: String,
    unit: String,
    gauge: Option<Points<NumberPoint>>,
    sum: Option<Points<NumberPoint>>,
    histogram: Option<Points<HistogramPoint>>,
    exponential_histogram: Option<Points<HistogramPoint>>,
    summary: Option<Points<SummaryPoint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Points<P> {
    #[serde(default = "Vec::new")]
    data_points: Vec<P>,
    #[serde(default)]
    aggregation_temporality: Temporality,
    #[serde(default)]
    is_monotonic: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NumberPoint {
    attributes: Vec<KeyValue>,
    time_unix_nano: Whole,
    as_double: Option<Real>,
    as_int: Option<Real>,
    flags: Whole,
}

/// Of either kind of histogram; the exponential kind has neither counts nor bounds by these names.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HistogramPoint {
    attributes: Vec<KeyValue>,
    time_unix_nano: Whole,
    count: Whole,
    sum: Option<Real>,
    min: Option<Real>,
    max: Option<Real>,
    bucket_counts: Vec<Whole>,
    explicit_bounds: Vec<Real>,
    flags: Whole,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SummaryPoint {
    attributes: Vec<KeyValue>,
    time_unix_nano: Whole,
    count: Whole,
    sum: Real,
    quantile_values: Vec<Quantile>,
    flags: Whole,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Quantile {
    quantile: Real,
    value: Real,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct KeyValue {
    key: String,
    /// An `AnyValue`: an object with one member that says its type.
    value: Value,
}

/// A number from 0, as number or as text.
#[derive(Clone, Copy, Default)]
struct Whole(u64);

/// A number, as number or as text: `"NaN"`, `"Infinity"`, `"-Infinity"` are such texts.
#[derive(Clone, Copy, Default)]
struct Real(f64);

/// An enumeration, by number or by name.
#[derive(Clone, Copy, Default)]
struct Temporality(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = u64;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number from 0, as number or as text")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
                Ok(value)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Reader).map(Self)
    }
}

/// Read from its text: to the last bit, as the standard library does.
impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?.get();
        let quoted = raw.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let text = quoted.unwrap_or(raw);
        text.parse()
            .map(Self)
            .map_err(|_| D::Error::custom(format!("`{}` is no number", excerpt(text, 40))))
    }
}

impl<'de> Deserialize<'de> for Temporality {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = u64;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an aggregation temporality")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
                Ok(value)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
                Ok(if text.ends_with("_DELTA") { DELTA } else { 0 })
            }
        }
        deserializer.deserialize_any(Reader).map(Self)
    }
}

pub(super) fn read(body: &[u8], intake: &mut Intake<'_>) -> Result<(), SenseError> {
    let request: Request = serde_json::from_slice(body).map_err(|error| {
        let full = error.to_string();
        let reason = excerpt(full.split(" at line ").next().unwrap_or_default(), 200);
        SenseError::Json { reason, line: error.line(), column: error.column() }
    })?;
    for resource in request.resource_metrics {
        let attributes = resource.resource.unwrap_or_default().attributes;
        let mut speaker = Speaker::new(&pairs(attributes));
        for scope in resource.scope_metrics {
            speaker.scope = scope.scope.unwrap_or_default().name;
            for metric in scope.metrics {
                take_metric(&metric.split(), &speaker, intake)?;
            }
        }
    }
    Ok(())
}

/// A metric with its data points in one shape.
struct Whose {
    name: String,
    description: String,
    unit: String,
    shape: Shape,
    delta: bool,
    points: Vec<Point>,
}

impl MetricJson {
    fn split(self) -> Whose {
        let Self { name, description, unit, .. } = self;
        let (shape, temporality, points) = if let Some(gauge) = self.gauge {
            (Shape::Gauge, Temporality(0), all(gauge.data_points, number))
        } else if let Some(sum) = self.sum {
            let shape = Shape::Sum { monotonic: sum.is_monotonic };
            (shape, sum.aggregation_temporality, all(sum.data_points, number))
        } else if let Some(it) = self.histogram {
            (Shape::Histogram, it.aggregation_temporality, all(it.data_points, histogram))
        } else if let Some(it) = self.exponential_histogram {
            let points = all(it.data_points, histogram);
            (Shape::ExponentialHistogram, it.aggregation_temporality, points)
        } else {
            let points = self.summary.map(|it| it.data_points).unwrap_or_default();
            (Shape::Summary, Temporality(0), all(points, summary))
        };
        Whose { name, description, unit, shape, delta: temporality.0 == DELTA, points }
    }
}

fn all<P>(points: Vec<P>, read: fn(P) -> Point) -> Vec<Point> {
    points.into_iter().map(read).collect()
}

fn take_metric(
    whose: &Whose,
    speaker: &Speaker,
    intake: &mut Intake<'_>,
) -> Result<(), SenseError> {
    let Whose { name, description, unit, shape, delta, points } = whose;
    let metric = Metric { name, description, unit, shape: *shape, delta: *delta };
    points.iter().try_for_each(|point| intake.take(speaker, &metric, point.clone()))
}

fn number(point: NumberPoint) -> Point {
    Point {
        attributes: pairs(point.attributes),
        nanos: point.time_unix_nano.0,
        recorded: point.flags.0 & NO_RECORDED_VALUE == 0,
        body: Body::Number(point.as_double.or(point.as_int).map(|value| value.0)),
    }
}

fn histogram(point: HistogramPoint) -> Point {
    let real = |value: Option<Real>| value.map(|value| value.0);
    Point {
        attributes: pairs(point.attributes),
        nanos: point.time_unix_nano.0,
        recorded: point.flags.0 & NO_RECORDED_VALUE == 0,
        body: Body::Distribution(Distribution {
            count: point.count.0,
            sum: real(point.sum),
            min: real(point.min),
            max: real(point.max),
            bounds: point.explicit_bounds.iter().map(|bound| bound.0).collect(),
            counts: point.bucket_counts.iter().map(|count| count.0).collect(),
        }),
    }
}

fn summary(point: SummaryPoint) -> Point {
    let quantiles = point.quantile_values.iter().map(|it| (it.quantile.0, it.value.0)).collect();
    Point {
        attributes: pairs(point.attributes),
        nanos: point.time_unix_nano.0,
        recorded: point.flags.0 & NO_RECORDED_VALUE == 0,
        body: Body::Summary { count: point.count.0, sum: point.sum.0, quantiles },
    }
}

fn pairs(attributes: Vec<KeyValue>) -> Vec<(String, String)> {
    attributes.into_iter().map(|it| (it.key, value_text(&it.value, 0))).collect()
}

/// An `AnyValue` as text; lists and maps as JSON writes them. What lies too deep is left out, as in
/// protobuf.
fn value_text(value: &Value, depth: usize) -> String {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return String::new();
    };
    let values = || inner.get("values").and_then(Value::as_array).into_iter().flatten();
    match (kind.as_str(), inner) {
        _ if depth > VALUE_DEPTH_MAX => String::new(),
        ("stringValue", Value::String(text)) if depth > 0 => format!("{text:?}"),
        ("arrayValue", _) => {
            let items: Vec<_> = values().map(|it| value_text(it, depth + 1)).collect();
            format!("[{}]", items.join(","))
        }
        ("kvlistValue", _) => {
            let pair = |it: &Value| {
                let name = it["key"].as_str().unwrap_or_default();
                format!("{name:?}:{}", value_text(&it["value"], depth + 1))
            };
            let items: Vec<_> = values().map(pair).collect();
            format!("{{{}}}", items.join(","))
        }
        (_, Value::String(text)) => text.clone(),
        (_, other) => other.to_string(),
    }
}
