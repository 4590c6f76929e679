//! Prometheus remote-write 1.0: a snappy block around one protobuf `WriteRequest`.
//!
//! Each series stands for itself: a faulty one is named by its place and its metric, the others
//! are taken. A staleness marker ends its series and is no fault: it becomes a reading of the last
//! value with the quality bad (stale). A sample that is not a number carries no value and is
//! passed over.

use kernel::{Quality, Reading, Reason, SensorKey, Timestamp};

use crate::labels::{Family, Labels, Lookup, NAME, unit_in_name};
use crate::line::KeyMapping;
use crate::rows::excerpt;
use crate::wire::{Field, Message, WireError};
use crate::{Rows, SenseError};

/// Bytes of a body after decompression.
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Samples in one body; senders make batches of hundreds to tens of thousands.
pub const SAMPLES_MAX: usize = 250_000;
/// Metrics that one body may describe.
pub const FAMILIES_MAX: usize = 10_000;
/// The bits of the value that Prometheus writes when a series ends.
pub const STALE_NAN: u64 = 0x7ff0_0000_0000_0002;

/// A body that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Row `n` is series `n` of the body, from 0.
    pub rows: Rows,
    /// Metrics that the body describes, by name.
    pub families: Vec<(String, Family)>,
    /// Staleness markers.
    pub stale: usize,
    /// Samples that are not a number.
    pub valueless: usize,
    /// Native histograms and exemplars, which are not kept.
    pub passed_over: usize,
}

/// What a body is read with.
pub struct Reader<'a> {
    pub mapping: &'a KeyMapping,
    pub lookup: &'a Lookup<'a>,
    /// What was said about a metric before.
    pub family: &'a dyn Fn(&str) -> Option<Family>,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("mapping", self.mapping).finish_non_exhaustive()
    }
}

/// Unpacks a snappy block.
///
/// # Errors
/// When it is none, or would unfold to more than [`BODY_BYTES_MAX`].
pub fn unpack(body: &[u8]) -> Result<Vec<u8>, SenseError> {
    let length = snap::raw::decompress_len(body).map_err(|_| SenseError::Snappy)?;
    if length > BODY_BYTES_MAX {
        return Err(SenseError::TooLarge { bytes: length, max: BODY_BYTES_MAX });
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(|_| SenseError::Snappy)
}

impl Reader<'_> {
    /// Reads an unpacked `WriteRequest`.
    ///
    /// # Errors
    /// When it is no protobuf message, or holds more samples than [`SAMPLES_MAX`].
    pub fn read(&self, body: &[u8]) -> Result<Written, SenseError> {
        let mut written = Written::default();
        let mut labels = Vec::new();
        let mut index = 0;
        for field in Message::new(body) {
            match field? {
                (1, series) => {
                    self.series(index, series.message(1)?, &mut labels, &mut written)?;
                    index += 1;
                }
                (3, metadata) if written.families.len() < FAMILIES_MAX => {
                    written.families.extend(family(metadata.message(3)?)?);
                }
                _ => {}
            }
            if written.rows.readings.len() > SAMPLES_MAX {
                let found = written.rows.readings.len();
                return Err(SenseError::TooManyRows { found, max: SAMPLES_MAX });
            }
        }
        Ok(written)
    }

    fn series<'b>(
        &self,
        index: usize,
        series: Message<'b>,
        pairs: &mut Vec<(&'b str, &'b str)>,
        written: &mut Written,
    ) -> Result<(), SenseError> {
        pairs.clear();
        for field in series {
            match field? {
                (1, label) => pairs.push(label_of(label.message(1)?)?),
                (3 | 4, _) => written.passed_over += 1,
                _ => {}
            }
        }
        let named = Labels::new(pairs.clone()).and_then(|labels| {
            let name = labels.get(NAME).ok_or("the series has no `__name__`")?.to_owned();
            let key = labels.key(&name, self.mapping)?;
            Ok((labels, name, key))
        });
        let (labels, name, sensor) = match named {
            Ok(named) => named,
            Err(reason) => {
                written.rows.refuse(index, "labels", reason);
                return Ok(());
            }
        };
        let known = (self.lookup)(&sensor);
        if known.is_none() {
            let family = (self.family)(&name);
            written.rows.hints.push(labels.hint(&sensor, &name, family.as_ref()));
        }
        let unit = labels.unit().or_else(|| unit_in_name(&name));
        let mut latest = known.and_then(|known| known.latest);
        for field in series {
            if let (2, sample) = field? {
                let sample = sample_of(sample.message(2)?)?;
                self.sample(index, &sensor, &name, unit, sample, &mut latest, written);
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "what a sample belongs to, and where it goes")]
    fn sample(
        &self,
        index: usize,
        sensor: &SensorKey,
        name: &str,
        unit: Option<&str>,
        (value, millis): (f64, i64),
        latest: &mut Option<f64>,
        written: &mut Written,
    ) {
        let at = millis.checked_mul(1_000).map(Timestamp::from_micros);
        let Some(at) = at.filter(|at| at.is_representable()) else {
            let reason =
                format!("{}: {millis} ms lies outside the years 1 to 9999", excerpt(name, 80));
            written.rows.refuse(index, "timestamp", reason);
            return;
        };
        let mut reading = Reading {
            sensor: sensor.clone(),
            at,
            value,
            quality: Quality::Good,
            unit: unit.map(str::to_owned),
        };
        if value.to_bits() == STALE_NAN {
            written.stale += 1;
            let Some(latest) = *latest else { return };
            // The value that stands is in the sensor's own unit, not in the sender's.
            reading.value = latest;
            reading.unit = None;
            reading.quality = Quality::Bad(Reason::Stale);
        } else if value.is_nan() {
            written.valueless += 1;
            return;
        } else if value.is_infinite() {
            let reason = format!("{}: {value} is not finite", excerpt(name, 80));
            written.rows.refuse(index, "value", reason);
            return;
        } else {
            *latest = Some(value);
        }
        written.rows.take(index, reading);
    }
}

fn label_of(label: Message<'_>) -> Result<(&str, &str), WireError> {
    let mut pair = ("", "");
    for field in label {
        match field? {
            (1, name) => pair.0 = name.text(1)?,
            (2, value) => pair.1 = value.text(2)?,
            _ => {}
        }
    }
    Ok(pair)
}

fn sample_of(sample: Message<'_>) -> Result<(f64, i64), WireError> {
    let mut read = (0.0, 0);
    for field in sample {
        match field? {
            (1, value) => read.0 = value.double(1)?,
            (2, at) => read.1 = at.varint(2)?.cast_signed(),
            _ => {}
        }
    }
    Ok(read)
}

/// A `MetricMetadata`; `None` without a name.
fn family(metadata: Message<'_>) -> Result<Option<(String, Family)>, WireError> {
    let mut name = "";
    let mut family = Family::default();
    for field in metadata {
        match field? {
            (1, Field::Varint(kind)) => family.kind = kind_name(kind).map(str::to_owned),
            (2, text) => name = text.text(2)?,
            (4, text) => family.help = Some(text.text(4)?.to_owned()),
            (5, text) => family.unit = Some(text.text(5)?.to_owned()),
            _ => {}
        }
    }
    Ok((!name.is_empty()).then(|| (name.to_owned(), family)))
}

fn kind_name(kind: u64) -> Option<&'static str> {
    Some(match kind {
        1 => "counter",
        2 => "gauge",
        3 => "histogram",
        4 => "gaugehistogram",
        5 => "summary",
        6 => "info",
        7 => "stateset",
        _ => return None,
    })
}

/// The metric whose description covers the series `name`: a histogram's `…_bucket` belongs to
/// what stands before it.
#[must_use]
pub fn family_of(name: &str) -> &str {
    ["_bucket", "_count", "_sum", "_total", "_created"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::KnownSensor;
    use crate::wire::write::{bytes, double, int};
    use proptest::prelude::*;

    fn series(labels: &[(&str, &str)], samples: &[(f64, i64)]) -> Vec<u8> {
        let labels = labels.iter().flat_map(|(n, v)| bytes(1, [bytes(1, n), bytes(2, v)].concat()));
        let samples = samples
            .iter()
            .flat_map(|(v, t)| bytes(2, [double(1, *v), int(2, t.cast_unsigned())].concat()));
        bytes(1, labels.chain(samples).collect::<Vec<u8>>())
    }

    fn read_with(body: &[u8], latest: Option<f64>) -> Result<Written, SenseError> {
        let mapping = KeyMapping::default();
        let lookup = |_: &SensorKey| latest.map(|value| KnownSensor { latest: Some(value) });
        Reader { mapping: &mapping, lookup: &lookup, family: &|_| None }.read(body)
    }

    fn read(body: &[u8]) -> Written {
        read_with(body, None).unwrap()
    }

    const UP: [(&str, &str); 3] = [(NAME, "up"), ("instance", "h:1"), ("job", "j")];

    #[test]
    fn reads_series_with_their_labels() {
        let written = read(&series(&UP, &[(1.0, 1_700_000_000_000), (0.5, 1_700_000_001_500)]));
        let [first, second] = written.rows.readings.as_slice() else { panic!("{written:?}") };
        assert_eq!((first.sensor.as_str(), first.value), ("j/h:1/up", 1.0));
        assert_eq!(first.at, Timestamp::from_secs(1_700_000_000));
        assert_eq!(second.at.as_micros(), 1_700_000_001_500_000);
        let labels = &written.rows.hints[0].metadata.as_ref().unwrap()["labels"];
        assert_eq!(labels["__name__"], "up");
        assert!(read_with(&series(&UP, &[(1.0, 0)]), Some(1.0)).unwrap().rows.hints.is_empty());
    }

    #[test]
    fn a_stale_marker_ends_a_series_and_is_no_fault() {
        let marker = f64::from_bits(STALE_NAN);
        let alone = read(&series(&UP, &[(marker, 1)]));
        assert_eq!((alone.stale, alone.rows.readings.len(), alone.rows.refused_total), (1, 0, 0));
        let after = read(&series(&UP, &[(7.0, 1), (marker, 2)])).rows.readings;
        assert_eq!((after[1].value, after[1].quality), (7.0, Quality::Bad(Reason::Stale)));
        let known = read_with(&series(&UP, &[(marker, 2)]), Some(3.0)).unwrap();
        assert_eq!(known.rows.readings[0].value, 3.0);
        let nan = read(&series(&UP, &[(f64::NAN, 1), (1.0, 2)]));
        assert_eq!((nan.valueless, nan.rows.readings.len(), nan.rows.refused_total), (1, 1, 0));
    }

    #[test]
    fn faulty_series_are_named_and_the_good_ones_taken() {
        let body = [
            series(&[("job", "x")], &[(1.0, 1)]),
            series(&UP, &[(f64::INFINITY, 1), (2.0, 2)]),
            series(&[(NAME, "a"), (NAME, "b")], &[(1.0, 1)]),
            series(&UP, &[(1.0, i64::MAX)]),
        ]
        .concat();
        let written = read(&body);
        let named: Vec<_> =
            written.rows.refused.iter().map(|r| (r.row, r.field.as_str())).collect();
        assert_eq!(named, [(0, "labels"), (1, "value"), (2, "labels"), (3, "timestamp")]);
        assert_eq!((written.rows.rows.as_slice(), written.rows.readings[0].value), (&[1][..], 2.0));
    }

    #[test]
    fn metadata_describes_metrics() {
        let about = [int(1, 2), bytes(2, "t_celsius"), bytes(4, "how warm"), bytes(5, "celsius")];
        let written = read(&bytes(3, about.concat()));
        let (name, family) = &written.families[0];
        assert_eq!((name.as_str(), family.kind.as_deref()), ("t_celsius", Some("gauge")));
        assert_eq!(family_of("lag_seconds_bucket"), "lag_seconds");
    }

    #[test]
    fn blocks_are_bounded() {
        let packed = snap::raw::Encoder::new().compress_vec(b"text").unwrap();
        assert_eq!(unpack(&packed).unwrap(), b"text");
        assert!(matches!(unpack(b"\xff\xff\xff\xff\x0f"), Err(SenseError::TooLarge { .. })));
        assert!(matches!(unpack(b"not snappy"), Err(SenseError::Snappy)));
        assert!(matches!(unpack(b""), Err(SenseError::Snappy)));
        let many = vec![(1.0, 1); SAMPLES_MAX + 1];
        assert!(matches!(
            read_with(&series(&UP, &many), None),
            Err(SenseError::TooManyRows { .. })
        ));
        assert!(matches!(read_with(&[0x0a, 9], None), Err(SenseError::Protobuf(_))));
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            drop(unpack(&body));
            drop(read_with(&body, Some(1.0)));
        }

        #[test]
        fn values_and_times_arrive_exactly(
            samples in proptest::collection::vec(
                (any::<f64>().prop_filter("finite", |v| v.is_finite()), 0_i64..4_000_000_000_000),
                1..20,
            ),
        ) {
            let written = read(&series(&UP, &samples));
            for (reading, (value, millis)) in written.rows.readings.iter().zip(&samples) {
                prop_assert_eq!(reading.value.to_bits(), value.to_bits());
                prop_assert_eq!(reading.at.as_micros(), millis * 1_000);
            }
        }
    }
}
