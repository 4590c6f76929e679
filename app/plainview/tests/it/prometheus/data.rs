//! A plant of two hours, made from formulas, as OpenMetrics text and as a remote-write body.

use std::fmt::Write as _;

/// 2023-11-14T22:13:20Z.
pub(super) const START_MS: i64 = 1_700_000_000_000;
const STEPS: i64 = 480;
const EVERY_MS: i64 = 15_000;

pub(super) struct Line {
    pub(super) labels: Vec<(&'static str, &'static str)>,
    pub(super) samples: Vec<(i64, f64)>,
}

fn line(
    name: &'static str,
    labels: &[(&'static str, &'static str)],
    value: impl Fn(i64) -> Option<f64>,
    jitter: impl Fn(i64) -> i64,
) -> Line {
    let mut all = vec![("__name__", name)];
    all.extend(labels);
    let samples = (0..=STEPS)
        .filter_map(|i| Some((START_MS + i * EVERY_MS + jitter(i), value(i)?)))
        .collect();
    Line { labels: all, samples }
}

/// Times of which binary seconds know the milliseconds exactly: `promtool` cuts them off.
fn uneven(i: i64) -> i64 {
    (i * 7_919 % 29) * 125
}

fn even(_: i64) -> i64 {
    0
}

pub(super) fn plant() -> Vec<Line> {
    let mut lines = temperatures();
    lines.extend(counters());
    lines.extend(histograms());
    lines.push(line("level", &[("tank", "x")], |_| Some(5.0), even));
    lines.push(line("level", &[("tank", "y")], |i| Some(i as f64 * 0.5 - 100.0), uneven));
    lines.push(line("level", &[("tank", "z")], |i| Some((i * 13 % 37) as f64 - 18.0), even));
    for (site, limit) in [("north", 20.0), ("south", 25.0)] {
        lines.push(line("limits", &[("site", site)], move |_| Some(limit), even));
    }
    for (asset, owner) in [("p-1", "ann"), ("p-2", "bob"), ("p-3", "cid")] {
        lines.push(line("info", &[("asset", asset), ("owner", owner)], |_| Some(1.0), even));
    }
    lines
}

fn temperatures() -> Vec<Line> {
    let mut lines = Vec::new();
    let places = [
        ("north", "p-1"),
        ("north", "p-2"),
        ("north", "p-3"),
        ("south", "p-1"),
        ("south", "p-2"),
        ("south", "p-3"),
    ];
    for (n, (site, asset)) in places.into_iter().enumerate() {
        let n = n as f64;
        let wave = move |i: i64| {
            let t = i as f64;
            20.0 + 2.0 * n * (t / (30.0 + n)).sin() + 0.37 * (t * (1.7 + n)).cos()
        };
        // One falls silent for twenty minutes, one misses every seventh reading.
        let value = move |i: i64| {
            let silent = n == 5.0 && (160..240).contains(&i);
            let missed = n == 1.0 && i % 7 == 3;
            (!silent && !missed).then(|| wave(i))
        };
        let labels = [("site", site), ("asset", asset)];
        let jitter = if n == 2.0 { uneven } else { even };
        lines.push(line("temperature", &labels, value, jitter));
    }
    lines
}

fn counters() -> Vec<Line> {
    let mut lines = Vec::new();
    for (n, (instance, code)) in
        [("a", "200"), ("a", "404"), ("a", "500"), ("b", "200"), ("b", "404"), ("b", "500")]
            .into_iter()
            .enumerate()
    {
        let n = n as i64;
        // Instance b starts anew every 25 minutes.
        let value = move |i: i64| {
            let since = if n >= 3 { i % 100 } else { i };
            Some((since * (11 - 3 * (n % 3)) + (since * since) % (5 + n)) as f64)
        };
        let jitter = if n == 4 { uneven } else { even };
        lines.push(line(
            "requests_total",
            &[("instance", instance), ("code", code)],
            value,
            jitter,
        ));
    }
    lines
}

fn histograms() -> Vec<Line> {
    let mut lines = Vec::new();
    for (n, instance) in ["a", "b"].into_iter().enumerate() {
        let n = n as i64;
        for (share, bound) in
            [(2, "0.1"), (5, "0.5"), (8, "1"), (9 + n, "5"), (11, "+Inf")].into_iter()
        {
            let labels = [("instance", instance), ("le", bound)];
            let count = move |i: i64| Some((i * share + i / 7 * n) as f64);
            lines.push(line("latency_seconds_bucket", &labels, count, even));
        }
        let labels = [("instance", instance)];
        let count = move |i: i64| Some((i * 11 + i / 7 * n) as f64);
        lines.push(line("latency_seconds_count", &labels, count, even));
        lines.push(line("latency_seconds_sum", &labels, move |i| Some(i as f64 * 6.125), even));
    }
    lines
}

/// What `promtool tsdb create-blocks-from openmetrics` reads.
pub(super) fn open_metrics(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let labels: Vec<String> =
            line.labels[1..].iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        for (at_ms, value) in &line.samples {
            let seconds = *at_ms as f64 / 1_000.0;
            writeln!(text, "{}{{{}}} {value} {seconds:.3}", line.labels[0].1, labels.join(","))
                .unwrap();
        }
    }
    text.push_str("# EOF\n");
    text
}

/// A `prometheus.WriteRequest` in a snappy block without compression.
pub(super) fn remote_write(lines: &[Line]) -> Vec<u8> {
    let mut request = Vec::new();
    for line in lines {
        let mut series = Vec::new();
        let mut labels = line.labels.clone();
        labels.sort_unstable();
        for (name, value) in labels {
            let mut label = Vec::new();
            push_bytes(&mut label, 1, name.as_bytes());
            push_bytes(&mut label, 2, value.as_bytes());
            push_bytes(&mut series, 1, &label);
        }
        for (at_ms, value) in &line.samples {
            let mut sample = vec![0x09];
            sample.extend(value.to_le_bytes());
            sample.push(0x10);
            push_varint(&mut sample, at_ms.unsigned_abs());
            push_bytes(&mut series, 2, &sample);
        }
        push_bytes(&mut request, 1, &series);
    }
    snappy(&request)
}

fn push_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    push_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The block format's header, then literals of at most 64 KiB.
fn snappy(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() + 64);
    push_varint(&mut out, plain.len() as u64);
    for chunk in plain.chunks(65_536) {
        out.push(61 << 2);
        out.extend(((chunk.len() - 1) as u16).to_le_bytes());
        out.extend(chunk);
    }
    out
}
