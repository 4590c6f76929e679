use super::*;
use crate::sparkplug::proto::{PropertyContent, PropertySet, PropertyValue, Template};
use proptest::prelude::*;
use prost::Message;

const T0: u64 = 1_700_000_000_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros((T0 + millis) as i64 * 1_000)
}

fn id() -> NodeId {
    NodeId { group: "north".into(), node: "gw".into() }
}

fn metric(name: &str, alias: u64, value: f64, millis: u64) -> Metric {
    Metric {
        name: (!name.is_empty()).then(|| name.to_owned()),
        alias: Some(alias),
        timestamp: Some(T0 + millis),
        datatype: (!name.is_empty()).then_some(10),
        value: Some(MetricValue::Double(value)),
        ..Metric::default()
    }
}

fn payload(seq: u64, millis: u64, metrics: Vec<Metric>) -> Payload {
    Payload { timestamp: Some(T0 + millis), seq: Some(seq), metrics }
}

fn session(number: u64) -> Metric {
    Metric {
        name: Some(BD_SEQ.to_owned()),
        datatype: Some(4),
        value: Some(MetricValue::Long(number)),
        ..Metric::default()
    }
}

struct Bench(Nodes);

impl Bench {
    fn new() -> Self {
        let template = KeyTemplate::parse("{group}/{node}/{device}/{metric}").unwrap();
        Self(Nodes::new(template, Duration::from_secs(10)))
    }

    fn hear(&mut self, verb: Verb, device: Option<&str>, payload: &Payload, now: u64) -> Outcome {
        self.0.hear(verb, &id(), device, payload, at(now))
    }

    /// A node with one tag and a device with one tag.
    fn born() -> Self {
        let mut bench = Self::new();
        let own = payload(0, 0, vec![session(7), metric("temp", 1, 20.0, 0)]);
        assert_eq!(bench.hear(Verb::Birth, None, &own, 0).refused, 0);
        let device = payload(1, 0, vec![metric("flow", 2, 5.0, 0)]);
        assert_eq!(bench.hear(Verb::Birth, Some("p-2"), &device, 0).refused, 0);
        bench
    }

    fn asked(&mut self, now: u64) -> Vec<String> {
        self.0.due_questions(at(now)).into_iter().map(|(_, reason)| reason).collect()
    }
}

fn shown(out: &Outcome) -> Vec<(String, f64, &'static str)> {
    out.readings.iter().map(|r| (r.sensor.to_string(), r.value, r.quality.class())).collect()
}

#[test]
fn births_define_tags_and_aliases_stand_for_them() {
    let mut bench = Bench::born();
    let own = bench.hear(Verb::Data, None, &payload(2, 5, vec![metric("", 1, 21.5, 4)]), 5);
    assert_eq!(shown(&own), [("north/gw/temp".to_owned(), 21.5, "good")]);
    assert_eq!(own.readings[0].at, at(4));
    let device = payload(3, 6, vec![metric("", 2, 6.0, 6)]);
    let device = bench.hear(Verb::Data, Some("p-2"), &device, 6);
    assert_eq!(shown(&device), [("north/gw/p-2/flow".to_owned(), 6.0, "good")]);
    assert_eq!(bench.asked(7), [] as [&str; 0]);
    assert_eq!(bench.0.census(), (1, 1, 1, 3));
}

#[test]
fn a_birth_says_unit_and_range() {
    let mut bench = Bench::new();
    let value = |content| PropertyValue { value: Some(content), ..PropertyValue::default() };
    let set = PropertySet {
        keys: vec!["engUnit".to_owned(), "engHigh".to_owned()],
        values: vec![
            value(PropertyContent::Text("bar".to_owned())),
            value(PropertyContent::Double(16.0)),
        ],
    };
    let properties = Some(set.encode_to_vec().into());
    let tag = Metric { properties, ..metric("pressure", 1, 4.0, 0) };
    let out = bench.hear(Verb::Birth, None, &payload(0, 0, vec![tag]), 0);
    assert_eq!(out.declared[0].unit, Some("bar"));
    assert_eq!(out.declared[0].expected_high, Some(16.0));
    assert_eq!(out.readings[0].unit.as_deref(), Some("bar"));
}

#[test]
fn a_gap_and_an_unknown_alias_ask_for_the_birth_and_not_too_often() {
    let mut bench = Bench::born();
    let late = bench.hear(Verb::Data, None, &payload(9, 5, vec![metric("", 1, 1.0, 5)]), 5);
    assert_eq!(late.readings.len(), 1);
    assert_eq!(bench.asked(5), ["sequence number 9 instead of 2"]);
    let unknown = bench.hear(Verb::Data, None, &payload(10, 6, vec![metric("", 99, 1.0, 6)]), 6);
    assert_eq!((unknown.readings.len(), unknown.refused), (0, 1));
    assert_eq!(bench.asked(9_000).len(), 0);
    assert_eq!(bench.asked(25_000).len(), 1);
    assert_eq!(bench.asked(40_000).len(), 0, "each unanswered question doubles the pause");
    assert_eq!(bench.asked(65_100).len(), 1);
    let birth = payload(0, 70_000, vec![session(7), metric("temp", 1, 20.0, 0)]);
    bench.hear(Verb::Birth, None, &birth, 70_000);
    assert_eq!(bench.asked(900_000).len(), 0);
    assert_eq!(bench.0.figures.rebirths_asked, 3);
}

#[test]
fn data_before_a_birth_is_refused_and_the_birth_asked_for() {
    let mut bench = Bench::new();
    let out = bench.hear(Verb::Data, None, &payload(5, 0, vec![metric("temp", 1, 1.0, 0)]), 0);
    assert_eq!((out.readings.len(), out.refused), (0, 1));
    assert_eq!(bench.asked(0), ["no birth was heard"]);
    let mut bench = Bench::born();
    let out = bench.hear(Verb::Data, Some("p-9"), &payload(2, 0, vec![metric("x", 1, 1.0, 0)]), 0);
    assert_eq!((out.readings.len(), out.refused), (0, 1));
    assert_eq!(bench.asked(0), ["no birth of device p-9"]);
}

#[test]
fn a_death_marks_its_tags_stale_and_a_birth_makes_them_good() {
    let mut bench = Bench::born();
    let out = bench.hear(Verb::Death, None, &payload(0, 0, vec![session(7)]), 500);
    let mut stale = shown(&out);
    stale.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        stale,
        [("north/gw/p-2/flow".to_owned(), 5.0, "bad"), ("north/gw/temp".to_owned(), 20.0, "bad")]
    );
    assert!(out.readings.iter().all(|reading| reading.at == at(500)));
    let again = bench.hear(Verb::Death, None, &payload(0, 0, vec![session(7)]), 600);
    assert_eq!(again, Outcome::default());
    // The value has not changed since before the death: it is said for the time of the birth too.
    let birth = payload(0, 400, vec![session(8), metric("temp", 1, 20.0, 0)]);
    let out = bench.hear(Verb::Birth, None, &birth, 700);
    let newest = out.readings.iter().max_by_key(|reading| reading.at).unwrap();
    assert!(newest.quality.is_good() && newest.at > at(500), "{newest:?}");
}

#[test]
fn a_late_will_of_an_older_session_is_passed_over() {
    let mut bench = Bench::born();
    let old = payload(0, 0, vec![session(6)]);
    assert_eq!(bench.hear(Verb::Death, None, &old, 500), Outcome::default());
    assert_eq!(bench.0.census().0, 1);
    assert!(is_of_older_session(Some(255), Some(0)));
    assert!(!is_of_older_session(Some(8), Some(7)) && !is_of_older_session(None, Some(7)));
}

#[test]
fn a_device_dies_alone() {
    let mut bench = Bench::born();
    let out = bench.hear(Verb::Death, Some("p-2"), &payload(2, 300, Vec::new()), 300);
    assert_eq!(shown(&out), [("north/gw/p-2/flow".to_owned(), 5.0, "bad")]);
    let own = bench.hear(Verb::Data, None, &payload(3, 400, vec![metric("", 1, 2.0, 400)]), 400);
    assert_eq!(own.readings.len(), 1);
    let dead = payload(4, 500, vec![metric("", 2, 2.0, 500)]);
    let dead = bench.hear(Verb::Data, Some("p-2"), &dead, 500);
    assert_eq!((dead.readings.len(), dead.refused), (0, 1));
}

#[test]
fn after_a_cut_aliases_are_doubted_and_the_silent_lapse() {
    let mut bench = Bench::born();
    bench.0.link_is_new(at(1_000));
    assert_eq!(bench.asked(1_000), ["the host was away"]);
    let alias = bench.hear(Verb::Data, None, &payload(2, 0, vec![metric("", 1, 2.0, 5)]), 1_500);
    assert_eq!((alias.readings.len(), alias.refused), (0, 1));
    assert_eq!(bench.0.lapse(at(30_000)), Outcome::default());
    assert_eq!(bench.0.lapse(at(61_001)).readings.len(), 2);
    let mut bench = Bench::born();
    bench.0.link_is_new(at(1_000));
    let named = payload(2, 1_500, vec![metric("temp", 1, 2.0, 1_500)]);
    assert_eq!(bench.hear(Verb::Data, None, &named, 1_500).readings.len(), 1);
    assert_eq!(bench.0.lapse(at(70_000)), Outcome::default());
}

#[test]
fn devices_that_do_not_follow_their_node_lapse() {
    let mut bench = Bench::born();
    let birth = payload(0, 1_000, vec![session(7), metric("temp", 1, 20.0, 1_000)]);
    bench.hear(Verb::Birth, None, &birth, 1_000);
    let lapsed = bench.0.lapse(at(62_000));
    assert_eq!(shown(&lapsed), [("north/gw/p-2/flow".to_owned(), 5.0, "bad")]);
}

#[test]
fn nulls_history_text_and_odd_names() {
    let mut bench = Bench::born();
    let null = Metric { is_null: Some(true), value: None, ..metric("", 1, 0.0, 50) };
    let old = Metric { is_historical: Some(true), ..metric("", 1, 3.0, 20) };
    let passing = Metric { is_transient: Some(true), ..metric("", 1, 4.0, 60) };
    let endless = metric("", 1, f64::INFINITY, 70);
    let out = bench.hear(Verb::Data, None, &payload(2, 99, vec![null, old, passing, endless]), 99);
    assert_eq!(
        shown(&out),
        [("north/gw/temp".to_owned(), 20.0, "bad"), ("north/gw/temp".to_owned(), 3.0, "good")]
    );
    assert_eq!(out.named, [("temp".to_owned(), "is not finite".to_owned())]);

    let text = Metric {
        datatype: Some(12),
        value: Some(MetricValue::Text("x".into())),
        ..metric("serial", 5, 0.0, 0)
    };
    let names = ["a b", "a_b", "Node Control/Rebirth", "a/b/c/d/e/f/g/h"];
    let mut metrics: Vec<Metric> = names.iter().map(|name| metric(name, 0, 1.0, 0)).collect();
    metrics.push(text);
    let out = Bench::new().hear(Verb::Birth, None, &payload(0, 0, metrics), 0);
    assert_eq!(shown(&out), [("north/gw/a_b".to_owned(), 1.0, "good")]);
    let refused: Vec<&str> = out.named.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(refused, ["a_b", "a/b/c/d/e/f/g/h"]);
}

#[test]
fn members_of_a_template_are_tags() {
    let template = |value| {
        let metrics = vec![metric("speed", 0, value, 0)];
        let members = Template { metrics, ..Template::default() };
        let value = Some(MetricValue::Template(members.encode_to_vec().into()));
        Metric { datatype: Some(TEMPLATE), value, ..metric("motor", 9, 0.0, 0) }
    };
    let mut bench = Bench::new();
    let birth = bench.hear(Verb::Birth, None, &payload(0, 0, vec![template(1.0)]), 0);
    assert_eq!(shown(&birth), [("north/gw/motor/speed".to_owned(), 1.0, "good")]);
    let changed = Metric { name: None, ..template(2.0) };
    let data = bench.hear(Verb::Data, None, &payload(1, 0, vec![changed]), 0);
    assert_eq!(shown(&data), [("north/gw/motor/speed".to_owned(), 2.0, "good")]);
}

proptest! {
    #[test]
    fn never_panics_and_never_calls_the_dead_good(
        messages in proptest::collection::vec((0..6u8, any::<u8>(), 0..4u64, any::<f64>()), 0..40)
    ) {
        let mut bench = Bench::new();
        for (index, (kind, seq, alias, value)) in messages.into_iter().enumerate() {
            let now = index as u64 * 1_000;
            let (verb, device) = match kind {
                0 => (Verb::Birth, None),
                1 => (Verb::Birth, Some("d")),
                2 => (Verb::Data, None),
                3 => (Verb::Data, Some("d")),
                4 => (Verb::Death, None),
                _ => (Verb::Death, Some("d")),
            };
            let name = if kind < 2 { format!("m{alias}") } else { String::new() };
            let tags = vec![session(u64::from(seq)), metric(&name, alias, value, now)];
            let out = bench.hear(verb, device, &payload(u64::from(seq), now, tags), now);
            prop_assert!(verb != Verb::Death || out.readings.iter().all(|r| r.quality.is_bad()));
            prop_assert!(out.readings.iter().all(|r| r.value.is_finite()));
            bench.0.due_questions(at(now));
            bench.0.lapse(at(now));
        }
    }
}

#[test]
fn long_names_do_not_multiply() {
    let long = "x".repeat(NAME_BYTES_MAX);
    let member = Metric { name: Some("m".to_owned()), ..Metric::default() };
    let members = Template { metrics: vec![member; 2_000], is_definition: None };
    let template = |name: &str| Metric {
        name: Some(name.to_owned()),
        datatype: Some(TEMPLATE),
        value: Some(MetricValue::Template(members.encode_to_vec().into())),
        ..Metric::default()
    };
    let mut bench = Bench::new();
    let birth =
        payload(0, 0, vec![template(&long), template(&long[..900]), metric("a", 1, 1.0, 0)]);
    let out = bench.hear(Verb::Birth, None, &birth, 0);
    assert_eq!(out.readings.len(), 1, "the good one is read");
    assert!(out.named[0].0.len() < 200 && out.named[0].1.contains("more than"), "{:?}", out.named);
    assert_eq!(bench.0.census().3, 3, "one name once, however often it is said");
    let mut nodes = bench.0;
    let id = NodeId { group: long.as_str().into(), node: "gw".into() };
    let out = nodes.hear(Verb::Birth, &id, None, &payload(0, 0, Vec::new()), at(0));
    assert_eq!((out.refused, nodes.census().1), (1, 1));
}
