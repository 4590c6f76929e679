//! The language over a source in memory. Answers are compared with those of a real Prometheus in
//! `app/plainview/tests/it/prometheus.rs`; here stand the rules one by one.

use std::cell::Cell;

use proptest::prelude::*;

use super::*;

/// Series in memory.
struct Memory(Vec<(Labels, Vec<Sample>)>);

impl Source for Memory {
    fn select(&self, selection: &Selection<'_>, take: &mut Take<'_>) -> Result<(), PromqlError> {
        for (labels, samples) in &self.0 {
            if selection.matchers.iter().all(|matcher| matcher.passes(labels.get(&matcher.name))) {
                let inside = samples
                    .iter()
                    .filter(|s| (selection.from_ms..=selection.to_ms).contains(&s.at_ms));
                take(labels, &inside.copied().collect::<Vec<_>>())?;
            }
        }
        Ok(())
    }
}

fn series(labels: &[(&str, &str)], every_s: i64, values: &[f64]) -> (Labels, Vec<Sample>) {
    let samples = (0_i64..)
        .zip(values)
        .map(|(i, value)| Sample { at_ms: i * every_s * 1_000, value: *value })
        .collect();
    (Labels::new(labels.iter().copied()), samples)
}

/// Ten minutes of two pumps, and a counter.
fn plant() -> Memory {
    let ramp = |from: f64| (0..21).map(|i| from + f64::from(i)).collect::<Vec<_>>();
    Memory(vec![
        series(&[(NAME, "pressure"), ("asset", "p-1"), ("site", "north")], 30, &ramp(1.0)),
        series(&[(NAME, "pressure"), ("asset", "p-2"), ("site", "north")], 30, &ramp(101.0)),
        series(&[(NAME, "flow"), ("asset", "p-1"), ("site", "north")], 30, &ramp(10.0)),
        series(&[(NAME, "starts_total"), ("asset", "p-1")], 30, &[0.0, 2.0, 4.0, 1.0, 3.0]),
    ])
}

const UNLIMITED: Limits<'_> = Limits { is_over: &|| false };

fn ask(text: &str, at_s: i64) -> Result<Answer, PromqlError> {
    Query::parse(text)?.instant(at_s * 1_000, &plant(), &UNLIMITED)
}

/// The values of an instant vector by the asset's name, or of a scalar.
fn values(text: &str, at_s: i64) -> Vec<(String, f64)> {
    match ask(text, at_s).unwrap() {
        Answer::Vector(samples) => samples
            .into_iter()
            .map(|(labels, sample)| (labels.get("asset").to_owned(), sample.value))
            .collect(),
        Answer::Scalar(sample) => vec![(String::new(), sample.value)],
        other => panic!("{text}: {other:?}"),
    }
}

fn one(text: &str, at_s: i64) -> f64 {
    let found = values(text, at_s);
    assert_eq!(found.len(), 1, "{text}: {found:?}");
    found[0].1
}

#[test]
fn selectors_choose_by_label() {
    assert_eq!(values("pressure", 60).len(), 2);
    assert_eq!(one(r#"pressure{asset="p-2"}"#, 60), 103.0);
    assert_eq!(one(r#"pressure{asset!="p-2"}"#, 60), 3.0);
    assert_eq!(values(r#"{asset=~"p-.",__name__!~"starts.*"}"#, 60).len(), 3);
    assert_eq!(values(r#"pressure{asset=~"p"}"#, 60).len(), 0, "regexes are anchored");
    assert_eq!(values(r#"pressure{nothing=""}"#, 60).len(), 2, "an absent label is empty");
}

#[test]
fn a_silent_series_ends_after_five_minutes() {
    assert_eq!(one("flow", 600), 30.0);
    assert_eq!(one("flow", 900), 30.0);
    assert!(values("flow", 901).is_empty());
}

#[test]
fn a_series_that_was_said_to_end_ends_at_once() {
    let ended = Memory(vec![series(&[(NAME, "flow")], 30, &[1.0, 2.0, STALE])]);
    let ask =
        |text: &str, at_ms| Query::parse(text).unwrap().instant(at_ms, &ended, &UNLIMITED).unwrap();
    assert!(matches!(ask("flow", 59_999), Answer::Vector(found) if found.len() == 1));
    assert!(matches!(ask("flow", 60_000), Answer::Vector(found) if found.is_empty()));
    let Answer::Vector(found) = ask("sum_over_time(flow[1m])", 60_000) else { panic!() };
    assert_eq!(found[0].1.value, 3.0);
}

#[test]
fn offset_and_at_move_the_time() {
    assert_eq!(one("flow offset 1m", 120), 12.0);
    assert_eq!(one("flow offset -1m", 120), 16.0);
    assert_eq!(one("flow @ 60", 400), 12.0);
    assert_eq!(one("flow @ 60 offset 30s", 400), 11.0);
    assert_eq!(one("sum_over_time(flow[1m] @ 60)", 400), 33.0);
}

#[test]
fn a_range_asks_at_every_step() {
    let query = Query::parse("flow @ start() + 0 * flow").unwrap();
    let grid = Grid::range(60_000, 120_000, 30_000).unwrap();
    let Answer::Matrix(found) = query.range(grid, &plant(), &UNLIMITED).unwrap() else { panic!() };
    let values: Vec<f64> = found[0].1.iter().map(|sample| sample.value).collect();
    assert_eq!(values, [12.0; 3]);
    let query = Query::parse("max_over_time(sum(pressure)[1m:30s])").unwrap();
    let Answer::Matrix(found) = query.range(grid, &plant(), &UNLIMITED).unwrap() else { panic!() };
    let values: Vec<f64> = found[0].1.iter().map(|sample| sample.value).collect();
    assert_eq!(values, [106.0, 108.0, 110.0]);
}

#[test]
fn windows_hold_both_their_ends() {
    assert_eq!(one("count_over_time(flow[1m])", 60), 3.0);
    assert_eq!(one("count_over_time(flow[59s])", 60), 2.0);
    let Answer::Matrix(found) = ask("flow[1m]", 60).unwrap() else { panic!() };
    assert_eq!(found[0].1.len(), 3);
}

#[test]
fn aggregations_group() {
    assert_eq!(one("sum(pressure)", 0), 102.0);
    assert_eq!(one("avg without (asset) (pressure)", 0), 51.0);
    assert_eq!(values("max by (asset) (pressure)", 0).len(), 2);
    assert_eq!(one("stddev(pressure)", 0), 50.0);
    assert_eq!(one("stdvar(pressure)", 0), 2_500.0);
    assert_eq!(one("count(pressure)", 0), 2.0);
    assert_eq!(one("group(pressure)", 0), 1.0);
    assert_eq!(one("min(pressure)", 0), 1.0);
    assert_eq!(one("quantile(0.5, pressure)", 0), 51.0);
    assert_eq!(values("topk(1, pressure)", 0), [("p-2".to_owned(), 101.0)]);
    assert_eq!(values("bottomk(5, pressure)", 0)[0].0, "p-1");
    assert!(values("topk(0, pressure)", 0).is_empty());
    let Answer::Vector(found) = ask(r#"count_values("v", pressure)"#, 0).unwrap() else { panic!() };
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].0.get("v"), "1");
}

#[test]
fn vectors_find_their_partners() {
    let on = "pressure / on (asset) flow";
    assert_eq!(values(on, 0), [("p-1".to_owned(), 0.1)]);
    assert_eq!(values("pressure > bool 50", 0).len(), 2);
    assert_eq!(values("pressure > 50", 0), [("p-2".to_owned(), 101.0)]);
    assert_eq!(values("50 < pressure", 0), [("p-2".to_owned(), 101.0)]);
    let grouped = "pressure * on (site) group_left () flow";
    assert_eq!(values(grouped, 0).len(), 2);
    assert_eq!(values("flow * on (site) group_right () pressure", 0).len(), 2);
    for wrong in ["pressure * on (site) flow", "flow * on (site) pressure"] {
        assert!(matches!(ask(wrong, 0), Err(PromqlError::Execution(_))), "{wrong}");
    }
    assert_eq!(values("pressure and on (asset) flow", 0).len(), 1);
    assert_eq!(values("pressure unless on (asset) flow", 0), [("p-2".to_owned(), 101.0)]);
    assert_eq!(values("pressure or flow", 0).len(), 2, "the name is no label to match by");
    assert_eq!(values("pressure or on (__name__) flow", 0).len(), 3);
}

#[test]
fn functions_of_labels_and_of_absence() {
    let replaced = r#"label_replace(flow, "pump", "$1-$2", "asset", "(p)-(.*)")"#;
    let Answer::Vector(found) = ask(replaced, 0).unwrap() else { panic!() };
    assert_eq!(found[0].0.get("pump"), "p-1");
    let joined = r#"label_join(flow, "place", "/", "site", "asset")"#;
    let Answer::Vector(found) = ask(joined, 0).unwrap() else { panic!() };
    assert_eq!(found[0].0.get("place"), "north/p-1");
    let Answer::Vector(found) = ask(r#"absent(flow{asset="x",site=~"y"})"#, 0).unwrap() else {
        panic!()
    };
    assert_eq!(found[0].0, Labels::new([("asset", "x")]));
    assert!(values("absent(flow)", 0).is_empty());
    assert_eq!(one("absent_over_time(nothing[1m])", 0), 1.0);
    assert_eq!(one("timestamp(flow)", 70), 60.0);
    assert_eq!(one("timestamp(-flow)", 70), 70.0);
    assert_eq!(one("scalar(flow)", 0), 10.0);
    assert!(one("scalar(pressure)", 0).is_nan());
    assert_eq!(one("vector(7)", 0), 7.0);
    assert_eq!(one("hour()", 7_200), 2.0);
    assert_eq!(values("sort_desc(pressure)", 0)[0].0, "p-2");
}

#[test]
fn two_series_may_not_become_one() {
    let folded = r#"label_replace(pressure, "asset", "same", "", "")"#;
    assert!(matches!(ask(folded, 0), Err(PromqlError::Execution(_))));
    assert!(matches!(ask(r#"abs({asset="p-1"})"#, 60), Err(PromqlError::Execution(_))));
}

#[test]
fn what_is_not_supported_is_named() {
    for (text, what) in [
        ("limitk(2, pressure)", "limitk"),
        ("histogram_count(pressure)", "histogram_count"),
        ("mad_over_time(flow[1m])", "mad_over_time"),
        ("pressure + fill(0) flow", "fill"),
    ] {
        let error = Query::parse(text).unwrap_err();
        assert!(matches!(error, PromqlError::Unsupported { .. }), "{text}: {error}");
        assert!(error.to_string().contains(what), "{text}: {error}");
    }
}

#[test]
fn what_is_no_query_is_a_fault_of_syntax() {
    for text in
        ["", "sum(", "flow[5]", "{}", r#"{a=~".*"}"#, "flow offset 5", "1 == 2", "rate(flow)"]
    {
        let error = Query::parse(text).unwrap_err();
        assert!(matches!(error, PromqlError::Syntax(_)), "{text}: {error:?}");
    }
    let range = Query::parse("flow[5m]").unwrap();
    assert!(range.range(Grid::instant(0), &plant(), &UNLIMITED).is_err());
}

#[test]
fn limits_are_kept() {
    let too_fine = Query::parse("sum_over_time((flow)[1y:1ms])").unwrap();
    let error = too_fine.instant(0, &plant(), &UNLIMITED).unwrap_err();
    assert!(matches!(error, PromqlError::TooMany { .. }));
    let asked = Cell::new(0);
    let is_over = || {
        asked.set(asked.get() + 1);
        asked.get() > 2
    };
    let limits = Limits { is_over: &is_over };
    let query = Query::parse("sum(flow) + sum(flow) + sum(flow)").unwrap();
    assert!(matches!(query.instant(0, &plant(), &limits), Err(PromqlError::TimedOut)));
    assert!(Grid::range(0, 11_000, 1).is_ok());
    assert!(Grid::range(0, 11_001, 1).is_err());
    assert!(Grid::range(0, 10, 0).is_err());
    let many = (0..500).map(|i| series(&[(NAME, "many"), ("n", &i.to_string())], 1, &[1.0; 5]));
    let many = Memory(many.collect());
    let grid = Grid::range(0, 110_000, 10).unwrap();
    let wide = Query::parse("many").unwrap().range(grid, &many, &UNLIMITED);
    assert!(matches!(wide, Err(PromqlError::TooMany { what: "points in its answer", .. })));
    assert!(Query::parse("sum(many)").unwrap().range(grid, &many, &UNLIMITED).is_ok());
    let deep = format!("{}flow{}", "abs(".repeat(400), ")".repeat(400));
    assert!(matches!(Query::parse(&deep), Err(PromqlError::TooMany { .. })));
}

#[test]
fn selectors_of_match_parameters() {
    assert_eq!(parse_selector(r#"flow{a="b"}"#).unwrap().len(), 2);
    for text in ["flow[5m]", "flow offset 5m", "sum(flow)", "1"] {
        assert!(parse_selector(text).is_err(), "{text}");
    }
}

#[test]
fn numbers_have_no_exponent() {
    assert_eq!(number_text(1e21), "1000000000000000000000");
    assert_eq!(number_text(0.1), "0.1");
    assert_eq!(number_text(f64::NEG_INFINITY), "-Inf");
}

const WORDS: &[&str] = &[
    "flow",
    "pressure",
    "starts_total",
    "sum",
    "topk",
    "by",
    "without",
    "(",
    ")",
    "{",
    "}",
    "[5m]",
    "[1m:30s]",
    "[",
    "]",
    "rate",
    "avg_over_time",
    "histogram_quantile",
    "label_replace",
    ",",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "==",
    ">",
    "bool",
    "and",
    "or",
    "unless",
    "on",
    "ignoring",
    "group_left",
    "offset",
    "1m",
    "@",
    "start()",
    "60",
    "0.5",
    "1e300",
    "NaN",
    "Inf",
    "\"a\"",
    "asset",
    "=",
    "=~",
    "!~",
    "quantile",
    "count_values",
    "absent",
    "time()",
    "vector",
    "scalar",
    "clamp",
    "round",
    "predict_linear",
    "year",
    "'",
    "`",
    "#",
    "\n",
    "é",
];

#[test]
fn what_is_laid_out_is_the_same_query() {
    let laid_out = |text| format(text).unwrap();
    assert_eq!(laid_out("sum by(asset)(flow)"), "sum by (asset) (flow)");
    assert_eq!(laid_out("flow @ 60"), "flow @ 60.000");
    assert_eq!(laid_out(" flow @ -80"), "flow @ -80", "not as 0");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,80}") {
        drop(Query::parse(&text).and_then(|query| query.instant(60_000, &plant(), &UNLIMITED)));
    }

    #[test]
    fn no_words_make_it_panic(words in prop::collection::vec(prop::sample::select(WORDS), 0..24)) {
        let text = words.join(" ");
        drop(Query::parse(&text).and_then(|query| query.instant(60_000, &plant(), &UNLIMITED)));
    }

    #[test]
    fn no_sound_query_makes_it_panic(
        text in sound(),
        start in -1_000_000_i64..1_000_000,
        length in 0_i64..1_000_000,
        step in 1_i64..400_000,
    ) {
        let query = Query::parse(&text);
        prop_assert!(query.is_ok(), "{}: {:?}", text, query);
        if let (Ok(query), Ok(grid)) = (query, Grid::range(start, start + length, step)) {
            drop(query.range(grid, &plant(), &UNLIMITED));
        }
    }
}

/// Vectors of every shape.
fn sound() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "flow",
        "pressure",
        "starts_total",
        "vector(time())",
        "pressure offset -1m",
        "flow @ 60",
        "nothing",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(5, 40, 3, |inner| {
        let range = prop::sample::select(vec![
            "rate",
            "increase",
            "delta",
            "irate",
            "idelta",
            "deriv",
            "resets",
            "changes",
            "avg_over_time",
            "min_over_time",
            "stddev_over_time",
            "last_over_time",
            "absent_over_time",
            "present_over_time",
        ]);
        let each = prop::sample::select(vec![
            "abs",
            "ln",
            "sgn",
            "year",
            "day_of_year",
            "absent",
            "timestamp",
            "sort",
            "sum",
            "avg",
            "stddev",
            "group",
            "topk by (asset) (2, ",
            "quantile(0.3, ",
            "round",
            "acosh",
        ]);
        let operator = prop::sample::select(vec![
            "+",
            "/ on (asset)",
            "% ignoring (site)",
            "^",
            "> bool",
            "and",
            "or",
            "unless",
            "* on (site) group_left (asset)",
            "atan2",
            "==",
        ]);
        prop_oneof![
            (range, inner.clone()).prop_map(|(name, of)| format!("{name}(({of})[3m:20s])")),
            (each, inner.clone()).prop_map(|(name, of)| {
                let open = if name.contains('(') { "" } else { "(" };
                format!("{name}{open}{of})")
            }),
            (operator, inner.clone(), inner.clone())
                .prop_map(|(op, a, b)| format!("({a}) {op} ({b})")),
            inner.prop_map(|of| format!("-({of})")),
        ]
    })
}
