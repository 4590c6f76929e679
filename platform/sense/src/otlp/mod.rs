//! OpenTelemetry metrics over HTTP (OTLP 1), protobuf and JSON: one `ExportMetricsServiceRequest`
//! becomes readings.
//!
//! A data point is taken whole or not at all. Gauges and sums become one reading. A histogram
//! becomes what Prometheus makes of it: `…_count`, `…_sum`, a cumulative `…_bucket` for each bound,
//! and `…_min` and `…_max` when it says them. An exponential histogram gives all of that but the
//! buckets, whose bounds move; a summary gives count, sum and a reading for each quantile. Sums of
//! delta temporality are kept as they are sent, a figure per interval.
//!
//! Labels are the attributes of the data point and, of the resource, what says where it runs:
//! `service.namespace` and `service.name` are `job`, `service.instance.id` is `instance`, else
//! `host.name` is `host` and `device.id` is `device`; `site` and `asset` are themselves. The rest
//! of the resource is kept with the sensor. Keys come of [`Labels::key`].

mod json;
mod point;
mod protobuf;
mod response;

use kernel::{Quality, Reading, Reason, SensorKey, Timestamp};
use serde_json::{Map, Value};

use crate::labels::{Family, Labels, Lookup, NAME, kind_of};
use crate::line::KeyMapping;
use crate::rows::excerpt;
use crate::{Hint, Rows, SenseError};

use point::{Figure, Metric, Point, Shape, figures};

pub use response::{partial_success, status};

/// Readings that one body may become.
pub const READINGS_MAX: usize = 100_000;
/// Bytes of a JSON body: it is read whole before it is turned into readings.
pub const JSON_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Buckets of one histogram, quantiles of one summary.
pub const BUCKETS_MAX: usize = 512;
/// Attributes of a resource that are kept with its sensors.
const RESOURCE_ATTRIBUTES_MAX: usize = 64;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

/// What a body is read with.
pub struct Reader<'a> {
    pub mapping: &'a KeyMapping,
    pub lookup: &'a Lookup<'a>,
    /// The time of data points that say none.
    pub received: Timestamp,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("mapping", self.mapping).finish_non_exhaustive()
    }
}

/// A body that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exported {
    /// Row `n` is data point `n` of the body, from 0.
    pub rows: Rows,
    pub points: usize,
    /// Data points whose value is not a number, and those without a recorded value.
    pub valueless: usize,
    /// Exponential histograms, whose buckets are not kept.
    pub without_buckets: usize,
}

impl Reader<'_> {
    /// # Errors
    /// When the body is not what `encoding` says, or becomes more than [`READINGS_MAX`] readings.
    pub fn read(&self, body: &[u8], encoding: Encoding) -> Result<Exported, SenseError> {
        let mut intake = Intake { reader: self, exported: Exported::default() };
        match encoding {
            Encoding::Protobuf => protobuf::read(body, &mut intake)?,
            Encoding::Json if body.len() > JSON_BYTES_MAX => {
                return Err(SenseError::TooLarge { bytes: body.len(), max: JSON_BYTES_MAX });
            }
            Encoding::Json => json::read(body, &mut intake)?,
        }
        Ok(intake.exported)
    }
}

/// Who speaks: a resource and the scope inside it.
#[derive(Clone, Debug, Default)]
struct Speaker {
    /// Labels that every data point of the resource has.
    labels: Vec<(String, String)>,
    resource: Map<String, Value>,
    scope: String,
}

impl Speaker {
    fn new(resource: &[(String, String)]) -> Self {
        let get = |name: &str| {
            let found = resource.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
        };
        let job = match (get("service.namespace"), get("service.name")) {
            (Some(space), Some(name)) => Some(format!("{space}/{name}")),
            (space, name) => name.or(space).map(str::to_owned),
        };
        let place =
            [("instance", "service.instance.id"), ("host", "host.name"), ("device", "device.id")]
                .into_iter()
                .find_map(|(label, name)| Some((label.to_owned(), get(name)?.to_owned())));
        let own = ["site", "asset"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), get(name)?.to_owned())));
        let labels = job.map(|job| ("job".to_owned(), job)).into_iter().chain(place).chain(own);
        let resource_kept = resource.iter().take(RESOURCE_ATTRIBUTES_MAX);
        Self {
            labels: labels.collect(),
            resource: resource_kept
                .map(|(name, value)| (excerpt(name, 200), excerpt(value, 500).into()))
                .collect(),
            scope: String::new(),
        }
    }

    /// The labels of one data point; what the data point says goes before its resource.
    fn labels(&self, attributes: Vec<(String, String)>) -> Result<Labels<String>, String> {
        let mut pairs: Vec<(String, String)> = Vec::with_capacity(attributes.len() + 4);
        for (name, value) in attributes {
            let name = label_name(&name);
            // Two names that differ only in what no label may hold: as Prometheus joins them.
            match pairs.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => {
                    known.push(';');
                    known.push_str(&value);
                }
                None => pairs.push((name, value)),
            }
        }
        for (name, value) in &self.labels {
            if !pairs.iter().any(|(known, _)| known == name) {
                pairs.push((name.clone(), value.clone()));
            }
        }
        pairs.retain(|(name, _)| name != NAME);
        Labels::new(pairs)
    }
}

/// Takes data points one by one.
struct Intake<'a> {
    reader: &'a Reader<'a>,
    exported: Exported,
}

impl Intake<'_> {
    /// Turns one data point into readings.
    ///
    /// # Errors
    /// When the body becomes too many readings. A fault of the point only is noted.
    fn take(
        &mut self,
        speaker: &Speaker,
        metric: &Metric<'_>,
        mut point: Point,
    ) -> Result<(), SenseError> {
        let row = self.exported.points;
        self.exported.points += 1;
        let before = self.exported.rows.readings.len();
        let attributes = std::mem::take(&mut point.attributes);
        let taken = self.readings(speaker, metric, attributes, &point, row);
        if let Err((field, reason)) = taken {
            let rows = &mut self.exported.rows;
            rows.readings.truncate(before);
            rows.rows.truncate(before);
            rows.refuse(row, field, format!("{}: {reason}", excerpt(metric.name, 80)));
        }
        let found = self.exported.rows.readings.len();
        if found > READINGS_MAX {
            return Err(SenseError::TooManyRows { found, max: READINGS_MAX });
        }
        Ok(())
    }

    fn readings(
        &mut self,
        speaker: &Speaker,
        metric: &Metric<'_>,
        attributes: Vec<(String, String)>,
        point: &Point,
        row: usize,
    ) -> Result<(), (&'static str, String)> {
        if metric.name.is_empty() {
            return Err(("metric", "the metric has no name".to_owned()));
        }
        let at = self.time(point.nanos);
        let labels = speaker.labels(attributes).map_err(|reason| ("attributes", reason))?;
        if !point.recorded {
            self.exported.valueless += 1;
        }
        if metric.shape == Shape::ExponentialHistogram {
            self.exported.without_buckets += 1;
        }
        for figure in figures(point)? {
            let labels = figure
                .label
                .as_ref()
                .map_or_else(|| Ok(labels.clone()), |(name, value)| labels.with(name, value));
            let labels = labels.map_err(|reason| ("attributes", reason))?;
            self.reading(speaker, metric, &labels, &figure, at, row)?;
        }
        Ok(())
    }

    fn reading(
        &mut self,
        speaker: &Speaker,
        metric: &Metric<'_>,
        labels: &Labels<String>,
        figure: &Figure,
        at: Timestamp,
        row: usize,
    ) -> Result<(), (&'static str, String)> {
        let name = format!("{}{}", metric.name, figure.suffix);
        let sensor =
            labels.key(&name, self.reader.mapping).map_err(|reason| ("attributes", reason))?;
        let known = (self.reader.lookup)(&sensor);
        let unit = figure.in_unit.then(|| unit_of_ucum(metric.unit)).flatten();
        let mut reading = Reading {
            sensor,
            at,
            value: figure.value.unwrap_or_default(),
            quality: Quality::Good,
            unit: labels.unit().or(unit).map(str::to_owned),
        };
        match figure.value {
            None => {
                // The series is there and has no value now: the last one is old.
                let Some(latest) = known.and_then(|known| known.latest) else { return Ok(()) };
                reading.value = latest;
                reading.unit = None;
                reading.quality = Quality::Bad(Reason::Stale);
            }
            Some(value) if value.is_nan() => {
                self.exported.valueless += 1;
                return Ok(());
            }
            Some(value) if value.is_infinite() => {
                return Err(("value", format!("{value} is not finite")));
            }
            Some(_) => {}
        }
        if known.is_none() {
            let hint = describe(speaker, metric, labels, &reading.sensor, &name, unit);
            self.exported.rows.hints.push(hint);
        }
        self.exported.rows.take(row, reading);
        Ok(())
    }

    /// 64 bits of nanoseconds reach to the year 2554, so every time can be.
    fn time(&self, nanos: u64) -> Timestamp {
        match i64::try_from(nanos / 1_000) {
            Ok(micros) if nanos > 0 => Timestamp::from_micros(micros),
            _ => self.reader.received,
        }
    }
}

fn describe(
    speaker: &Speaker,
    metric: &Metric<'_>,
    labels: &Labels<String>,
    sensor: &SensorKey,
    name: &str,
    unit: Option<&str>,
) -> Hint {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let family = Family {
        kind: Some(metric.kind_name().to_owned()),
        help: text(metric.description),
        unit: text(metric.unit),
    };
    let mut hint = labels.hint(sensor, &metric_name(name), Some(&family));
    hint.kind = Some(kind_of(name, unit));
    if let Some(Value::Object(metadata)) = &mut hint.metadata {
        metadata.insert("metric".to_owned(), excerpt(metric.name, 200).into());
        if !speaker.resource.is_empty() {
            metadata.insert("resource".to_owned(), Value::Object(speaker.resource.clone()));
        }
        if !speaker.scope.is_empty() {
            metadata.insert("scope".to_owned(), excerpt(&speaker.scope, 200).into());
        }
        if metric.delta {
            metadata.insert("temporality".to_owned(), "delta".into());
        }
    }
    hint
}

/// An attribute's name as a label: letters, digits and `_`.
fn label_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let digit = name.starts_with(|c: char| c.is_ascii_digit()).then_some('_');
    digit.into_iter().chain(name.chars().map(plain)).collect()
}

/// A metric's name as Prometheus allows it: as a label's, and `:`.
fn metric_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' };
    let digit = name.starts_with(|c: char| c.is_ascii_digit()).then_some('_');
    digit.into_iter().chain(name.chars().map(plain)).collect()
}

/// The unit table's symbol for a unit in UCUM, where the table knows it. Some of UCUM's codes mean
/// another unit than the same letters do elsewhere: `C` is coulomb, `g` is gram.
#[must_use]
pub fn unit_of_ucum(code: &str) -> Option<&'static str> {
    Some(match code {
        "Cel" => "°C",
        "K" => "K",
        "[degF]" => "°F",
        "Pa" => "Pa",
        "kPa" => "kPa",
        "MPa" => "MPa",
        "bar" => "bar",
        "mbar" => "mbar",
        "[psi]" => "psi",
        "m3/s" => "m³/s",
        "m3/h" => "m³/h",
        "L/min" | "l/min" => "l/min",
        "L/s" | "l/s" => "l/s",
        "[gal_us]/min" => "gpm",
        "kg/s" => "kg/s",
        "kg/h" => "kg/h",
        "t/h" => "t/h",
        "m/s" => "m/s",
        "mm/s" => "mm/s",
        "[in_i]/s" => "in/s",
        "m/s2" => "m/s²",
        "[g]" => "g",
        "m" => "m",
        "cm" => "cm",
        "mm" => "mm",
        "km" => "km",
        "um" => "µm",
        "%" => "%",
        "1" => "1",
        "[ppm]" => "ppm",
        "Hz" => "Hz",
        "/min" | "1/min" | "{rpm}" | "{revolution}/min" => "rpm",
        "N.m" => "N·m",
        "W" => "W",
        "kW" => "kW",
        "MW" => "MW",
        "A" => "A",
        "mA" => "mA",
        "V" => "V",
        "s" => "s",
        "ms" => "ms",
        "m3" => "m³",
        "L" | "l" => "l",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
