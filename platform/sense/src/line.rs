//! Influx line protocol: `measurement,tag=v field=1.5,other=2i 1700000000000000000`.
//!
//! Each line stands for itself: a faulty one is named by its number, the others are taken. Text
//! fields are no readings and are passed over. A newline always ends a line.

mod known;

use std::borrow::Cow;
use std::collections::HashMap;

use kernel::{Quality, Reading, SensorKey, Timestamp};

use crate::rows::excerpt;
use crate::{Rows, SenseError};

pub use known::{KnownLines, KnownRows};

/// Bytes in one line.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Fields in one line.
pub const FIELDS_MAX: usize = 1_024;
/// Tags in one line.
pub const TAGS_MAX: usize = 64;

/// The unit of the times in a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    #[default]
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    /// Each time by its size: up to 5e9 seconds, each unit a thousandfold of it. As Influx 3
    /// guesses.
    Auto,
}

const AUTO_SECONDS_MAX: u64 = 5_000_000_000;

impl Precision {
    /// # Errors
    /// When `text` is none of the names that Influx 1, 2 and 3 know.
    pub fn parse(text: &str) -> Result<Self, SenseError> {
        match text {
            "ns" | "n" | "nanosecond" => Ok(Self::Nanoseconds),
            "us" | "u" | "µ" | "µs" | "microsecond" => Ok(Self::Microseconds),
            "ms" | "millisecond" => Ok(Self::Milliseconds),
            "s" | "second" => Ok(Self::Seconds),
            "m" => Ok(Self::Minutes),
            "h" => Ok(Self::Hours),
            "auto" => Ok(Self::Auto),
            other => Err(SenseError::Precision(excerpt(other, 32))),
        }
    }

    fn micros(self, ticks: i64) -> Option<i64> {
        match self {
            Self::Nanoseconds => Some(ticks.div_euclid(1_000)),
            Self::Microseconds => Some(ticks),
            Self::Milliseconds => ticks.checked_mul(1_000),
            Self::Seconds => ticks.checked_mul(1_000_000),
            Self::Minutes => ticks.checked_mul(60_000_000),
            Self::Hours => ticks.checked_mul(3_600_000_000),
            Self::Auto => match ticks.unsigned_abs() / AUTO_SECONDS_MAX {
                0 => Self::Seconds,
                1..1_000 => Self::Milliseconds,
                1_000..1_000_000 => Self::Microseconds,
                _ => Self::Nanoseconds,
            }
            .micros(ticks),
        }
    }
}

/// How measurement, tags and field become `site/asset/measure`.
///
/// - With a `site` or an `asset` tag: `site/asset/measurement`, and `/field` unless the field is
///   `value`. A missing site is the default site.
/// - With a `host`, `device` or `hostname` tag the same, with that tag as the asset.
/// - Else `default_site/measurement/field`.
///
/// A `unit` tag is the unit. Every other tag keeps series apart: its value is put between
/// measurement and field, in order of the tag names. Characters that no key may hold become `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMapping {
    pub default_site: String,
    /// Whether the values of other tags become part of the key.
    pub other_tags: bool,
}

impl Default for KeyMapping {
    fn default() -> Self {
        Self { default_site: "default".to_owned(), other_tags: true }
    }
}

const ASSET_TAGS: [&str; 4] = ["asset", "host", "device", "hostname"];

impl KeyMapping {
    fn key(&self, series: &SeriesName<'_>, field: &str) -> Result<SensorKey, String> {
        let mut text = String::with_capacity(64);
        let site = series.tag("site");
        push_part(&mut text, site.unwrap_or(&self.default_site), false);
        text.push('/');
        match ASSET_TAGS.iter().find_map(|name| series.tag(name)) {
            None if site.is_none() => {
                push_part(&mut text, &series.measurement, false);
                self.push_others(&mut text, series);
                text.push('/');
                push_part(&mut text, field, true);
            }
            asset => {
                push_part(&mut text, asset.unwrap_or(&series.measurement), false);
                text.push('/');
                push_part(&mut text, &series.measurement, true);
                self.push_others(&mut text, series);
                if field != "value" {
                    text.push('/');
                    push_part(&mut text, field, true);
                }
            }
        }
        SensorKey::new(&text).map_err(|error| error.to_string())
    }

    fn push_others(&self, text: &mut String, series: &SeriesName<'_>) {
        let special = |name: &str| name == "site" || name == "unit" || ASSET_TAGS.contains(&name);
        if !self.other_tags {
            return;
        }
        for (_, value) in series.tags.iter().filter(|(name, _)| !special(name)) {
            text.push('/');
            push_part(text, value, false);
        }
    }
}

fn push_part(text: &mut String, part: &str, slashes: bool) {
    for c in part.chars() {
        let allowed = c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        text.push(if allowed || (slashes && c == '/') { c } else { '_' });
    }
}

/// Measurement and tags of one line, tags in order of name.
struct SeriesName<'a> {
    measurement: Cow<'a, str>,
    tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl SeriesName<'_> {
    fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(tag, _)| tag == name).map(|(_, value)| value.as_ref())
    }
}

/// What was worked out for one measurement with its tags, and is the same on every line with it.
struct Mapped<'a> {
    name: SeriesName<'a>,
    fields: Vec<(&'a [u8], SensorKey)>,
}

type Fault = (Cow<'static, str>, String);

fn fault(field: &'static str, reason: impl Into<String>) -> Fault {
    (Cow::Borrowed(field), reason.into())
}

/// Series and field of a reading, as they stand on its line. Empty when a `unit` tag makes the
/// value depend on more than them.
pub type Written<'a> = (&'a [u8], &'a [u8]);

/// Reads a body of lines. Lines without a time are of `now`.
#[must_use]
pub fn parse(body: &[u8], precision: Precision, mapping: &KeyMapping, now: Timestamp) -> Rows {
    let lines = body.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.map(|(index, line)| (index + 1, line.trim_ascii()));
    parse_lines(lines, precision, mapping, now).0
}

/// Reads numbered lines; for each reading also how its sensor was written.
pub fn parse_lines<'a>(
    lines: impl Iterator<Item = (usize, &'a [u8])>,
    precision: Precision,
    mapping: &KeyMapping,
    now: Timestamp,
) -> (Rows, Vec<Written<'a>>) {
    let mut rows = Rows::default();
    let mut written = Vec::new();
    let mut known: HashMap<&[u8], Mapped<'a>> = HashMap::new();
    for (number, line) in lines {
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        if line.len() > LINE_BYTES_MAX {
            let length = line.len();
            rows.refuse(
                number,
                "line",
                format!("{length} bytes; at most {LINE_BYTES_MAX} are read"),
            );
            continue;
        }
        let before = rows.readings.len();
        let reader = LineReader { line, precision, mapping, now, number };
        if let Err((field, reason)) = reader.read(&mut known, &mut rows, &mut written) {
            // A line is taken whole or not at all.
            rows.readings.truncate(before);
            rows.rows.truncate(before);
            written.truncate(before);
            rows.refuse(number, field, reason);
        }
    }
    (rows, written)
}

struct LineReader<'a, 'm> {
    line: &'a [u8],
    precision: Precision,
    mapping: &'m KeyMapping,
    now: Timestamp,
    number: usize,
}

impl<'a> LineReader<'a, '_> {
    fn read(
        &self,
        known: &mut HashMap<&'a [u8], Mapped<'a>>,
        rows: &mut Rows,
        written: &mut Vec<Written<'a>>,
    ) -> Result<(), Fault> {
        let line = self.line;
        let split = unescaped(line, b" ").ok_or_else(|| fault("line", "no fields"))?;
        let (series, rest) = (&line[..split], line[split..].trim_ascii_start());
        let end = fields_end(rest)?;
        let (fields, time) = (&rest[..end], rest[end..].trim_ascii());
        let at = self.time(time)?;
        if !known.contains_key(series) {
            known.insert(series, Mapped { name: series_name(series)?, fields: Vec::new() });
        }
        let Some(mapped) = known.get_mut(series) else { return Err(fault("line", "no series")) };
        let mut rest = fields;
        let mut count = 0;
        while !rest.is_empty() {
            count += 1;
            if count > FIELDS_MAX {
                return Err(fault("line", format!("more than {FIELDS_MAX} fields")));
            }
            let (before, equals) = (rows.readings.len(), unescaped(rest, b"=").unwrap_or(0));
            let name = &rest[..equals];
            rest = self.field(rest, mapped, at, rows)?;
            if rows.readings.len() > before {
                let plain = mapped.name.tag("unit").is_none();
                written.push(if plain { (series, name) } else { (&[], &[]) });
            }
        }
        if count == 0 { Err(fault("line", "no fields")) } else { Ok(()) }
    }

    /// Reads the first of `fields` and returns the others.
    fn field(
        &self,
        fields: &'a [u8],
        mapped: &mut Mapped<'a>,
        at: Timestamp,
        rows: &mut Rows,
    ) -> Result<&'a [u8], Fault> {
        let equals = unescaped(fields, b"=").ok_or_else(|| fault("line", "a field has no `=`"))?;
        let (name, after) = (&fields[..equals], &fields[equals + 1..]);
        let end = value_end(after)?;
        let (value, rest) = (&after[..end], &after[end..]);
        let rest = match rest.first() {
            None => rest,
            Some(b',') if rest.len() > 1 => &rest[1..],
            Some(b',') => return Err(fault("line", "a `,` stands without a field after it")),
            Some(_) => return Err(fault("line", "text stands after a quoted value")),
        };
        if name.is_empty() {
            return Err(fault("line", "a field has no name"));
        }
        match read_value(value) {
            Ok(None) => rows.texts_skipped += 1,
            Ok(Some(value)) => {
                let sensor = self.sensor(mapped, name)?;
                let unit = mapped.name.tag("unit").map(str::to_owned);
                rows.take(self.number, Reading { sensor, at, value, quality: Quality::Good, unit });
            }
            Err(reason) => {
                let shown = excerpt(&String::from_utf8_lossy(name), 60);
                return Err((Cow::Owned(shown), reason));
            }
        }
        Ok(rest)
    }

    fn sensor(&self, mapped: &mut Mapped<'a>, name: &'a [u8]) -> Result<SensorKey, Fault> {
        if let Some((_, key)) = mapped.fields.iter().find(|(known, _)| *known == name) {
            return Ok(key.clone());
        }
        let field = unescape(name).map_err(|reason| fault("field", reason))?;
        let key =
            self.mapping.key(&mapped.name, &field).map_err(|reason| fault("sensor", reason))?;
        mapped.fields.push((name, key.clone()));
        Ok(key)
    }

    fn time(&self, text: &[u8]) -> Result<Timestamp, Fault> {
        if text.is_empty() {
            return Ok(self.now);
        }
        let shown = || excerpt(&String::from_utf8_lossy(text), 40);
        let ticks: i64 = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| fault("timestamp", format!("`{}` is no whole number", shown())))?;
        let at = self.precision.micros(ticks).map(Timestamp::from_micros);
        at.filter(|at| at.is_representable()).ok_or_else(|| {
            fault("timestamp", format!("`{}` lies outside the years 1 to 9999", shown()))
        })
    }
}

/// Position of the first of `stops` that no backslash protects.
fn unescaped(text: &[u8], stops: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            byte if stops.contains(&byte) => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// Where a value ends: at its closing quote, or before a comma.
fn value_end(text: &[u8]) -> Result<usize, Fault> {
    if text.first() != Some(&b'"') {
        return Ok(text.iter().position(|byte| *byte == b',').unwrap_or(text.len()));
    }
    unescaped(&text[1..], b"\"")
        .map(|end| end + 2)
        .ok_or_else(|| fault("line", "a quoted text has no end"))
}

/// Where the fields end: at the first space outside of quotes.
fn fields_end(text: &[u8]) -> Result<usize, Fault> {
    let mut at = 0;
    let mut quoted = false;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            b'"' => quoted = !quoted,
            b' ' if !quoted => return Ok(at),
            _ => {}
        }
        at += 1;
    }
    if quoted { Err(fault("line", "a quoted text has no end")) } else { Ok(text.len()) }
}

fn series_name(series: &[u8]) -> Result<SeriesName<'_>, Fault> {
    let end = unescaped(series, b",").unwrap_or(series.len());
    let measurement = unescape(&series[..end]).map_err(|reason| fault("measurement", reason))?;
    if measurement.is_empty() {
        return Err(fault("measurement", "missing"));
    }
    let mut tags = Vec::new();
    let mut rest = &series[end..];
    while let Some(after) = rest.strip_prefix(b",") {
        let end = unescaped(after, b",").unwrap_or(after.len());
        let tag = &after[..end];
        let equals = unescaped(tag, b"=").ok_or_else(|| fault("tag", "a tag has no `=`"))?;
        let name = unescape(&tag[..equals]).map_err(|reason| fault("tag", reason))?;
        let value = unescape(&tag[equals + 1..]).map_err(|reason| fault("tag", reason))?;
        if name.is_empty() || value.is_empty() {
            return Err(fault("tag", "a tag has an empty name or value"));
        }
        if tags.len() == TAGS_MAX {
            return Err(fault("tag", format!("more than {TAGS_MAX} tags")));
        }
        tags.push((name, value));
        rest = &after[end..];
    }
    tags.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(SeriesName { measurement, tags })
}

/// Takes the backslashes away that protect commas, spaces, equals signs and backslashes.
fn unescape(text: &[u8]) -> Result<Cow<'_, str>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "invalid UTF-8".to_owned())?;
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let protects = c == '\\'
            && chars.peek().is_some_and(|next| matches!(next, ',' | ' ' | '=' | '\\' | '"'));
        if !protects {
            plain.push(c);
        } else if let Some(next) = chars.next() {
            plain.push(next);
        }
    }
    Ok(Cow::Owned(plain))
}

/// A number or a truth value; `None` for a text.
fn read_value(raw: &[u8]) -> Result<Option<f64>, String> {
    let shown = || excerpt(&String::from_utf8_lossy(raw), 40);
    match raw {
        [] => return Err("the value is missing".to_owned()),
        [b'"', ..] => return Ok(None),
        b"t" | b"T" | b"true" | b"True" | b"TRUE" => return Ok(Some(1.0)),
        b"f" | b"F" | b"false" | b"False" | b"FALSE" => return Ok(Some(0.0)),
        _ => {}
    }
    let whole = |digits: &[u8], signed: bool| -> Option<f64> {
        let text = std::str::from_utf8(digits).ok()?;
        if signed {
            text.parse::<i64>().ok().map(|n| n as f64)
        } else {
            text.parse::<u64>().ok().map(|n| n as f64)
        }
    };
    match raw {
        [digits @ .., b'i'] if raw[0] != b'N' && raw[0] != b'n' => {
            return whole(digits, true)
                .map(Some)
                .ok_or_else(|| format!("`{}` is no whole number", shown()));
        }
        [digits @ .., b'u'] => {
            return whole(digits, false)
                .map(Some)
                .ok_or_else(|| format!("`{}` is no whole number from 0", shown()));
        }
        _ => {}
    }
    // The standard library also reads `nan` and `inf`; both are words, not numbers.
    let numeric = matches!(raw[0], b'0'..=b'9' | b'-' | b'+' | b'.');
    let value = std::str::from_utf8(raw).ok().and_then(|text| text.parse::<f64>().ok());
    match value {
        Some(value) if numeric && value.is_finite() => Ok(Some(value)),
        Some(_) => Err(format!("`{}` is not finite", shown())),
        None => Err(format!("`{}` is no number, truth value or quoted text", shown())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn read(body: &str) -> Rows {
        parse(body.as_bytes(), Precision::Nanoseconds, &KeyMapping::default(), NOW)
    }

    fn keys(body: &str) -> Vec<String> {
        read(body).readings.iter().map(|r| r.sensor.to_string()).collect()
    }

    #[test]
    fn maps_tags_to_keys() {
        assert_eq!(keys("vibration,site=north,asset=p-2 value=4.6"), ["north/p-2/vibration"]);
        assert_eq!(
            keys("bearing,asset=p-2,site=north temp=71,load=0.8"),
            ["north/p-2/bearing/temp", "north/p-2/bearing/load"]
        );
        assert_eq!(keys("flow value=1"), ["default/flow/value"]);
        assert_eq!(keys("cpu,host=h1,core=0 usage=1"), ["default/h1/cpu/0/usage"]);
        assert_eq!(keys(r"bad\ name,site=a\,b value=1"), ["a_b/bad_name/bad_name"]);
    }

    #[test]
    fn reads_every_kind_of_value() {
        let rows = read(
            "m,site=a,asset=b f=1.5,i=-3i,u=7u,t=T,n=false,s=\"a, \\\"b\\\" c=d\",e=1e3 1700000000000000000",
        );
        let values: Vec<f64> = rows.readings.iter().map(|r| r.value).collect();
        assert_eq!(values, [1.5, -3.0, 7.0, 1.0, 0.0, 1000.0]);
        assert_eq!(rows.texts_skipped, 1);
        assert!(rows.readings.iter().all(|r| r.at == NOW));
        assert_eq!(
            read("m,site=a,asset=b,unit=mm/s value=1").readings[0].unit.as_deref(),
            Some("mm/s")
        );
    }

    #[test]
    fn times_follow_the_precision() {
        for (precision, time) in
            [("us", "1700000000000000"), ("ms", "1700000000000"), ("s", "1700000000")]
        {
            let precision = Precision::parse(precision).unwrap();
            let rows = parse(
                format!("m value=1 {time}").as_bytes(),
                precision,
                &KeyMapping::default(),
                NOW,
            );
            assert_eq!(rows.readings[0].at, NOW);
        }
        assert!(Precision::parse("fortnight").is_err());
        let auto = Precision::parse("auto").unwrap();
        for time in ["1700000000", "1700000000000", "1700000000000000", "1700000000000000000"] {
            let body = format!("m value=1 {time}");
            let rows = parse(body.as_bytes(), auto, &KeyMapping::default(), NOW);
            assert_eq!(rows.readings[0].at, NOW, "{time}");
        }
        assert_eq!(Precision::parse("h").unwrap().micros(1), Some(3_600_000_000));
    }

    #[test]
    fn faulty_lines_are_named_and_the_good_ones_taken() {
        let long = format!("m value={}", "1".repeat(LINE_BYTES_MAX));
        let body = format!(
            "m value=1\n\n# note\nm value=nan\nm value=1e999\nm\nm value=1 soon\nm value=x\n{long}\n\
             m,tag value=1\n,a=b value=1\nm value=\"open\nm value=1,\nm value=12i5\nm value=2\r\n"
        );
        let rows = read(&body);
        assert_eq!(rows.rows, [1, 15]);
        let named: Vec<usize> = rows.refused.iter().map(|refusal| refusal.row).collect();
        assert_eq!(named, [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        assert!(rows.refused[5].reason.contains("65536"), "{:?}", rows.refused[5]);
    }

    #[test]
    fn a_line_is_taken_whole_or_not_at_all() {
        assert!(read("m a=1,b=x").readings.is_empty());
    }

    #[test]
    fn invalid_utf8_is_named() {
        let rows =
            parse(b"m value=1\n\xff\xfe value=1", Precision::Seconds, &KeyMapping::default(), NOW);
        assert_eq!((rows.rows.as_slice(), rows.refused[0].row), ([1].as_slice(), 2));
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            drop(parse(&body, Precision::Nanoseconds, &KeyMapping::default(), NOW));
        }

        #[test]
        fn never_panics_on_likely_bytes(body in r#"[a-c=, \\"0-9einuTf.\n#-]{0,200}"#) {
            drop(parse(body.as_bytes(), Precision::Milliseconds, &KeyMapping::default(), NOW));
        }

        #[test]
        fn round_trip(value in any::<f64>().prop_filter("finite", |v| v.is_finite()), micros in 0_i64..4_000_000_000_000_000) {
            let line = format!("m,site=a,asset=b value={value:?} {micros}");
            let rows = parse(line.as_bytes(), Precision::Microseconds, &KeyMapping::default(), NOW);
            prop_assert_eq!(rows.readings[0].value.to_bits(), value.to_bits());
            prop_assert_eq!(rows.readings[0].at.as_micros(), micros);
        }
    }
}
