//! Lines of series that were met before, read without building their names again.
//!
//! A line usually begins with text that stood there before, and senders repeat their series in
//! the same order. So each known field remembers which one followed it last time, and a line is
//! mostly recognised by one comparison of bytes. Whatever is new, faulty or out of the ordinary is
//! left to [`super::parse_lines`].

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use hashbrown::{DefaultHashBuilder, HashTable};
use kernel::Timestamp;

use super::{LINE_BYTES_MAX, Precision, read_value, unescaped};

/// Digits whose number a double holds exactly, and powers of ten that it holds exactly. The
/// quotient of two exact doubles is correctly rounded (Clinger, "How to read floating point
/// numbers accurately", 1990).
const EXACT_DIGITS: usize = 15;
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
/// Digits of a time; nanoseconds have as many. A number of as many digits fits a `u64`.
const TIME_DIGITS: usize = 19;
/// Handles so many times the rows are too sparse to be counted.
const HANDLES_PER_ROW: usize = 4;
const NOBODY: u32 = u32::MAX;

/// What was read of known series, column by column, in order of the lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownRows {
    /// Number of the line, from 1.
    pub line: Vec<u32>,
    /// What the owner calls the sensor.
    pub handle: Vec<u32>,
    /// Event times, µs UTC.
    pub at: Vec<i64>,
    /// Finite values.
    pub value: Vec<f64>,
}

impl KnownRows {
    fn with_capacity(rows: usize) -> Self {
        Self {
            line: Vec::with_capacity(rows),
            handle: Vec::with_capacity(rows),
            at: Vec::with_capacity(rows),
            value: Vec::with_capacity(rows),
        }
    }

    /// The rows sensor by sensor, each in the order of the lines.
    #[must_use]
    pub fn by_handle(&self) -> Vec<u32> {
        let highest = self.handle.iter().max().map_or(0, |handle| *handle as usize);
        if highest > HANDLES_PER_ROW * self.handle.len() {
            let mut order: Vec<(u32, u32)> = self.handle.iter().copied().zip(0..).collect();
            order.sort();
            return order.into_iter().map(|(_, row)| row).collect();
        }
        // A place for each row, counted out: a quarter of the time of sorting.
        let mut places = vec![0u32; highest + 2];
        self.handle.iter().for_each(|handle| places[*handle as usize + 1] += 1);
        let mut before = 0;
        for place in &mut places {
            before += *place;
            *place = before;
        }
        let mut order = vec![0; self.handle.len()];
        for (row, handle) in self.handle.iter().enumerate() {
            let place = &mut places[*handle as usize];
            order[*place as usize] = row as u32;
            *place += 1;
        }
        order
    }

    fn truncate(&mut self, len: usize) {
        self.line.truncate(len);
        self.handle.truncate(len);
        self.at.truncate(len);
        self.value.truncate(len);
    }
}

/// One field of one series, as senders write it.
#[derive(Debug)]
struct Known {
    /// Where `series field=` starts in the texts.
    start: u32,
    series: u16,
    field: u16,
    handle: u32,
    /// The field that came after this one the last time.
    next: AtomicU32,
}

/// The series and fields met so far, each with the owner's handle. Bounded by `max`.
#[derive(Debug)]
pub struct KnownLines {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    known: Vec<Known>,
    texts: Vec<u8>,
    max: usize,
}

impl KnownLines {
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            known: Vec::new(),
            texts: Vec::new(),
            max,
        }
    }

    /// Remembers what `field` of `series` is called; both as they stand on the line. Full, it
    /// begins anew rather than grow.
    pub fn learn(&mut self, series: &[u8], field: &[u8], handle: u32) {
        let (Ok(series_len), Ok(field_len)) =
            (u16::try_from(series.len()), u16::try_from(field.len()))
        else {
            return;
        };
        // Only what the plain reader splits the same way: nothing escaped.
        if series.contains(&b'\\') || field.contains(&b'\\') {
            return;
        }
        let hash = self.hasher.hash_one((series, field));
        if let Some(place) = self.find(hash, series, field) {
            self.known[place as usize].handle = handle;
            return;
        }
        let Ok(start) = u32::try_from(self.texts.len()) else { return };
        if self.known.len() >= self.max {
            *self = Self::new(self.max);
            return;
        }
        self.texts.extend_from_slice(series);
        self.texts.push(b' ');
        self.texts.extend_from_slice(field);
        self.texts.push(b'=');
        let place = self.known.len() as u32;
        let next = AtomicU32::new(NOBODY);
        self.known.push(Known { start, series: series_len, field: field_len, handle, next });
        let (known, texts, hasher) = (&self.known, &self.texts, &self.hasher);
        self.table.insert_unique(hash, place, |place| {
            let (series, field) = names(&known[*place as usize], texts);
            hasher.hash_one((series, field))
        });
    }

    /// Reads every plain line of known series; the others come back with their numbers.
    pub fn read<'a>(
        &self,
        body: &'a [u8],
        precision: Precision,
        now: Timestamp,
    ) -> (KnownRows, Vec<(usize, &'a [u8])>) {
        let mut rest = Vec::new();
        let mut rows = KnownRows::with_capacity(body.len() / 48);
        let mut times = Times { precision, text: b"", at: 0 };
        let mut last = NOBODY;
        let mut after = body;
        let mut number = 0;
        while !after.is_empty() {
            number += 1;
            let before = rows.at.len();
            if let Some((place, next)) = self.expected(after, number, last, &mut times, &mut rows) {
                (last, after) = (place, next);
                continue;
            }
            let end = memchr::memchr(b'\n', after);
            let line = after[..end.unwrap_or(after.len())].trim_ascii();
            after = end.map_or(&[], |end| &after[end + 1..]);
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let read = if line.len() > LINE_BYTES_MAX {
                None
            } else {
                self.line(line, number, now, last, &mut times, &mut rows)
            };
            match read {
                Some(place) => last = place,
                None => {
                    rows.truncate(before);
                    rest.push((number, line));
                }
            }
        }
        (rows, rest)
    }

    /// Reads the line that was expected, in its plainest form: one field, a time, a newline. What
    /// comes after it, or `None` when it is anything else.
    #[inline]
    fn expected<'a>(
        &self,
        text: &'a [u8],
        number: usize,
        last: u32,
        times: &mut Times<'a>,
        rows: &mut KnownRows,
    ) -> Option<(u32, &'a [u8])> {
        let place = self.after(last);
        let known = self.known.get(place as usize)?;
        let start = known.start as usize;
        let len = usize::from(known.series) + usize::from(known.field) + 2;
        let rest = text.strip_prefix(&self.texts[start..start + len])?;
        let (value, used) = plain_number(rest)?;
        let rest = rest[used..].strip_prefix(b" ")?;
        let (at, next) = times.line_end(rest)?;
        rows.line.push(u32::try_from(number).ok()?);
        rows.handle.push(known.handle);
        rows.at.push(at);
        rows.value.push(value);
        Some((place, next))
    }

    /// Reads one line; the place of its last field, or `None` when it is not plain and known.
    fn line<'a>(
        &self,
        line: &'a [u8],
        number: usize,
        now: Timestamp,
        last: u32,
        times: &mut Times<'a>,
        rows: &mut KnownRows,
    ) -> Option<u32> {
        let first = rows.at.len();
        let (mut place, mut rest) = self.first_field(line, last)?;
        let series = usize::from(self.known[place as usize].series);
        loop {
            let (value, used) = number_at(rest)?;
            rows.handle.push(self.known[place as usize].handle);
            rows.value.push(value);
            rest = &rest[used..];
            match rest.first() {
                Some(b',') => {
                    let field = &rest[1..];
                    (place, rest) = self.next_field(&line[..series], field, place)?;
                }
                Some(b' ') | None => break,
                Some(_) => return None,
            }
        }
        let at = match rest.trim_ascii() {
            [] => now.as_micros(),
            text => times.read(text)?,
        };
        let count = rows.value.len() - first;
        rows.at.resize(first + count, at);
        rows.line.resize(first + count, u32::try_from(number).ok()?);
        Some(place)
    }

    /// Finds the first field of a line; what follows its `=`.
    fn first_field<'a>(&self, line: &'a [u8], last: u32) -> Option<(u32, &'a [u8])> {
        let expected = self.after(last);
        if let Some(known) = self.known.get(expected as usize) {
            let start = known.start as usize;
            let len = usize::from(known.series) + usize::from(known.field) + 2;
            if let Some(rest) = line.strip_prefix(&self.texts[start..start + len]) {
                return Some((expected, rest));
            }
        }
        let split = unescaped(line, b" ")?;
        let (series, rest) = (&line[..split], line[split..].trim_ascii_start());
        let (place, rest) = self.look_up(series, rest)?;
        self.follows(last, place);
        Some((place, rest))
    }

    fn next_field<'a>(&self, series: &[u8], rest: &'a [u8], last: u32) -> Option<(u32, &'a [u8])> {
        let expected = self.after(last);
        if let Some(known) = self.known.get(expected as usize) {
            let (own, _) = names(known, &self.texts);
            let field = known.start as usize + own.len() + 1;
            let text = &self.texts[field..field + usize::from(known.field) + 1];
            if let Some(rest) = rest.strip_prefix(text)
                && own == series
            {
                return Some((expected, rest));
            }
        }
        let (place, rest) = self.look_up(series, rest)?;
        self.follows(last, place);
        Some((place, rest))
    }

    fn look_up<'a>(&self, series: &[u8], rest: &'a [u8]) -> Option<(u32, &'a [u8])> {
        let equals = memchr::memchr(b'=', rest)?;
        let field = &rest[..equals];
        let place = self.find(self.hasher.hash_one((series, field)), series, field)?;
        Some((place, &rest[equals + 1..]))
    }

    fn find(&self, hash: u64, series: &[u8], field: &[u8]) -> Option<u32> {
        let same =
            |place: &u32| names(&self.known[*place as usize], &self.texts) == (series, field);
        self.table.find(hash, same).copied()
    }

    fn after(&self, place: u32) -> u32 {
        self.known.get(place as usize).map_or(0, |known| known.next.load(Relaxed))
    }

    fn follows(&self, last: u32, place: u32) {
        if let Some(known) = self.known.get(last as usize) {
            known.next.store(place, Relaxed);
        }
    }
}

fn names<'t>(known: &Known, texts: &'t [u8]) -> (&'t [u8], &'t [u8]) {
    let start = known.start as usize;
    let series_end = start + usize::from(known.series);
    let field = series_end + 1;
    (&texts[start..series_end], &texts[field..field + usize::from(known.field)])
}

/// The number at the start of `text`, and how many bytes it takes; `None` when it is none.
fn number_at(text: &[u8]) -> Option<(f64, usize)> {
    if let Some((value, used)) = plain_number(text)
        && matches!(text.get(used), None | Some(b',' | b' '))
    {
        return Some((value, used));
    }
    let end = text.iter().position(|b| matches!(b, b',' | b' ')).unwrap_or(text.len());
    // Quoted text may hold the very bytes that end a number.
    let value = if text.first() == Some(&b'"') { None } else { read_value(&text[..end]).ok()? };
    value.map(|value| (value, end))
}

/// A number of few digits, perhaps with an `i` behind it, at the start of `text`.
#[inline]
fn plain_number(text: &[u8]) -> Option<(f64, usize)> {
    let negative = text.first() == Some(&b'-');
    let mut at = usize::from(negative);
    let from = at;
    let mut mantissa: u64 = 0;
    let mut point = None;
    while let Some(byte) = text.get(at) {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'))
            }
            b'.' if point.is_none() => point = Some(at),
            _ => break,
        }
        at += 1;
    }
    let digits = at - from - usize::from(point.is_some());
    if digits == 0 || digits > EXACT_DIGITS {
        return None;
    }
    let decimals = point.map_or(0, |point| at - point - 1);
    let whole = text.get(at) == Some(&b'i') && point.is_none();
    let value = mantissa as f64 / POWERS[decimals];
    Some((if negative { -value } else { value }, at + usize::from(whole)))
}

/// The times of a body. Many lines in a row have the same one, which is then only compared.
struct Times<'a> {
    precision: Precision,
    /// The last one read, and what it says, µs UTC.
    text: &'a [u8],
    at: i64,
}

impl<'a> Times<'a> {
    /// The time that `text` begins with and a newline ends; what comes after it.
    #[inline]
    fn line_end(&mut self, text: &'a [u8]) -> Option<(i64, &'a [u8])> {
        if !self.text.is_empty()
            && let Some(next) = text.strip_prefix(self.text).and_then(|t| t.strip_prefix(b"\n"))
        {
            return Some((self.at, next));
        }
        let digits = text.iter().take(TIME_DIGITS + 1).take_while(|b| b.is_ascii_digit()).count();
        let next = text[digits..].strip_prefix(b"\n")?;
        Some((self.read(&text[..digits])?, next))
    }

    fn read(&mut self, text: &'a [u8]) -> Option<i64> {
        let at = self.precision.micros(ticks(text)?)?;
        if !Timestamp::from_micros(at).is_representable() {
            return None;
        }
        (self.text, self.at) = (text, at);
        Some(at)
    }
}

fn ticks(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > TIME_DIGITS {
        return None;
    }
    let mut ticks: u64 = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        ticks = ticks * 10 + u64::from(byte - b'0');
    }
    let ticks = i64::try_from(ticks).ok()?;
    Some(if negative { -ticks } else { ticks })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{KeyMapping, parse, parse_lines};
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    /// Line, key, time and bits of the value.
    type Row = (u32, String, i64, u64);

    /// Reads a body twice, learning in between, and says what each line came to.
    fn twice(body: &[u8]) -> (Vec<Row>, Vec<usize>) {
        let mut known = KnownLines::new(1_000);
        let mut keys = Vec::new();
        let (_, rest) = known.read(body, Precision::Milliseconds, NOW);
        let (rows, names) =
            parse_lines(rest.iter().copied(), Precision::Milliseconds, &KeyMapping::default(), NOW);
        for (reading, (series, field)) in rows.readings.iter().zip(names) {
            known.learn(series, field, keys.len() as u32);
            keys.push(reading.sensor.as_str().to_owned());
        }
        let (fast, rest) = known.read(body, Precision::Milliseconds, NOW);
        let read = (0..fast.at.len()).map(|i| {
            let key = keys[fast.handle[i] as usize].clone();
            (fast.line[i], key, fast.at[i], fast.value[i].to_bits())
        });
        (read.collect(), rest.into_iter().map(|(number, _)| number).collect())
    }

    fn slowly(body: &[u8]) -> Vec<Row> {
        let rows = parse(body, Precision::Milliseconds, &KeyMapping::default(), NOW);
        let each = rows.rows.iter().zip(&rows.readings);
        each.map(|(row, reading)| {
            let at = reading.at.as_micros();
            (*row as u32, reading.sensor.as_str().to_owned(), at, reading.value.to_bits())
        })
        .collect()
    }

    #[test]
    fn plain_lines_are_all_known_the_second_time() {
        let body = b"m,site=n,asset=p value=1.5 1700000000000\n\
                     cpu,host=a user=12i,system=0.25 1700000000001\n\
                     # a remark\n\
                     cpu,host=b user=-3,system=1e3\r\n";
        let (read, rest) = twice(body);
        assert_eq!(rest, Vec::<usize>::new());
        assert_eq!(read, slowly(body));
    }

    #[test]
    fn nanoseconds_are_plain() {
        let mut known = KnownLines::new(10);
        known.learn(b"m", b"v", 7);
        let body =
            b"m v=1 1700000000000000123\nm v=2 1700000000000000123\nm v=3 9300000000000000000\n";
        let (rows, rest) = known.read(body, Precision::Nanoseconds, NOW);
        assert_eq!(rows.at, [1_700_000_000_000_000; 2]);
        assert_eq!(rest.len(), 1, "a time beyond 64 bits is left to the reader that can say so");
    }

    #[test]
    fn what_is_not_plain_is_left() {
        let body = b"m,site=n value=1 1\nm,site=n value=\"a, b\",x=2 1\nm,site=n value=1 x\n\
                     m,site=n value= 1\nm\\ m,site=n value=1 1\nm,site=n value=1e999 1";
        let (read, rest) = twice(body);
        assert_eq!(read.len(), 1);
        assert_eq!(rest, [2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_full_memory_begins_anew() {
        let mut known = KnownLines::new(2);
        for (handle, series) in [b"a", b"b", b"c"].into_iter().enumerate() {
            known.learn(series, b"value", handle as u32);
        }
        assert_eq!(known.known.len(), 0);
    }

    fn line() -> impl Strategy<Value = String> {
        let series =
            prop::sample::select(vec!["m", "m,site=n", "m,host=a,z=1", "m\\ x,site=n", ""]);
        let field = prop::sample::select(vec!["value", "a", "b\\,c", ""]);
        let value = prop_oneof![
            any::<f64>().prop_map(|v| v.to_string()),
            (-100_000i64..100_000).prop_map(|v| format!("{}.{:02}", v / 100, v.abs() % 100)),
            any::<i64>().prop_map(|v| format!("{v}i")),
            prop::sample::select(vec![
                "t", "\"a b\"", "\"", "1e5", "+2", ".5", "5.", "-", "1.2.3", "0x1"
            ])
            .prop_map(str::to_owned),
        ];
        let fields = prop::collection::vec((field, value), 1..3);
        let time =
            prop::sample::select(vec!["", " 1700000000000", " -5", " 99999999999999999999", " x"]);
        let pad = prop::sample::select(vec![" ", "  "]);
        (series, pad, fields, time).prop_map(|(series, pad, fields, time)| {
            let fields: Vec<_> = fields.iter().map(|(f, v)| format!("{f}={v}")).collect();
            format!("{series}{pad}{}{time}", fields.join(","))
        })
    }

    proptest! {
        #[test]
        fn rows_are_grouped_and_keep_their_order(handles in prop::collection::vec(prop_oneof![0u32..9, 0u32..5_000], 0..60)) {
            let rows = KnownRows { handle: handles.clone(), ..KnownRows::default() };
            let mut wanted: Vec<u32> = (0..handles.len() as u32).collect();
            wanted.sort_by_key(|row| handles[*row as usize]);
            prop_assert_eq!(rows.by_handle(), wanted);
        }

        /// The quick reader and the full one agree on everything the quick one takes.
        #[test]
        fn both_readers_agree(lines in prop::collection::vec(line(), 1..12)) {
            let body = lines.join("\n");
            let (read, rest) = twice(body.as_bytes());
            let kept: Vec<_> =
                slowly(body.as_bytes()).into_iter().filter(|r| !rest.contains(&(r.0 as usize))).collect();
            prop_assert_eq!(read, kept);
        }

        #[test]
        fn numbers_are_rounded_as_the_standard_library_does(text in "-?[0-9]{1,12}(\\.[0-9]{0,8})?") {
            let (value, used) = number_at(text.as_bytes()).unwrap();
            prop_assert_eq!(used, text.len());
            prop_assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits());
        }
    }
}
