//! What the host knows of the edge nodes: who is born, what each tag means, who must say its
//! birth again. Pure: the time is an argument, and what follows is returned.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use kernel::{Quality, Reading, Reason, SensorKey, Timestamp};

use super::proto::{Metric, MetricValue, Payload, read_template};
use super::tags::{Described, KeyTemplate, Worth, described, quality, time, worth};
use super::topic::{NodeId, Verb};
use crate::rows::excerpt;

pub(super) const NODES_MAX: usize = 10_000;
/// Tags of all nodes together.
pub(super) const TAGS_MAX: usize = 1_000_000;
/// Devices of all nodes together.
pub(super) const DEVICES_MAX: usize = 100_000;
/// Bytes of the name of a group, a node or a device; a sensor key has room for less.
const ID_BYTES_MAX: usize = 256;
/// Bytes of a metric's whole name. The members of a template repeat the name of the template: with
/// long ones a small message would become a large structure.
const NAME_BYTES_MAX: usize = 1_024;
/// Characters of a name in messages to people.
const NAME_SHOWN: usize = 100;
/// Templates inside templates.
const TEMPLATE_DEPTH_MAX: usize = 4;
/// Refusals of one message that are named.
const NAMED_MAX: usize = 20;
/// After the link is new a node has this long to be heard, and after its node's birth a device;
/// then their tags are stale.
const BIRTH_GRACE: Duration = Duration::from_secs(60);
/// Questions that stay unanswered are asked at half the rate each time, down to this one.
const ASK_SELDOM: Duration = Duration::from_secs(300);
const BD_SEQ: &str = "bdSeq";

/// A tag as its birth describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct TagDeclaration {
    pub key: SensorKey,
    /// A symbol of the unit table.
    pub unit: Option<&'static str>,
    pub expected_low: Option<f64>,
    pub expected_high: Option<f64>,
}

#[derive(Debug)]
struct Tag {
    key: SensorKey,
    datatype: u32,
    unit: Option<&'static str>,
    /// The newest value and its time.
    last: Option<(Timestamp, f64)>,
    stale: bool,
}

/// The tags of a node or of one of its devices, by metric name. `None` for metrics that are no
/// sensor: text, controls, refused names.
#[derive(Debug, Default)]
struct Tags {
    alive: bool,
    by_name: HashMap<Box<str>, Option<Tag>>,
}

#[derive(Debug, Default)]
struct Node {
    own: Tags,
    devices: HashMap<Box<str>, Tags>,
    /// Aliases are unique within a node: to the device, if it is one's, and the metric's name.
    aliases: HashMap<u64, (Option<Box<str>>, Box<str>)>,
    bd_seq: Option<u64>,
    next_seq: u8,
    /// Why its birth is wanted again.
    wanted: Option<String>,
    asked_at: Option<Timestamp>,
    /// Questions since its last birth.
    asks: u32,
    /// The link was cut since its birth: its aliases may mean something else now.
    doubtful: bool,
    /// Since when something of it waits for a birth.
    unsure_since: Option<Timestamp>,
}

/// What follows from a message.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outcome {
    pub(super) readings: Vec<Reading>,
    pub(super) declared: Vec<TagDeclaration>,
    pub(super) refused: u64,
    /// The first refusals, each a metric's name and a reason.
    pub(super) named: Vec<(String, String)>,
}

impl Outcome {
    fn refuse(&mut self, what: &str, reason: impl Into<String>) {
        self.refused += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push((what.to_owned(), reason.into()));
        }
    }
}

/// Figures for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) births: u64,
    pub(super) deaths: u64,
    pub(super) gaps: u64,
    pub(super) rebirths_asked: u64,
}

#[derive(Debug)]
pub(super) struct Nodes {
    template: KeyTemplate,
    /// A node is asked for its birth at most once in this time.
    ask_every: Duration,
    nodes: HashMap<NodeId, Node>,
    devices: usize,
    tags: usize,
    pub(super) figures: Figures,
}

/// Where a metric belongs, and what its message said.
struct Context<'a> {
    id: &'a NodeId,
    device: Option<&'a str>,
    /// The message's own time.
    sent: Timestamp,
}

impl Nodes {
    pub(super) fn new(template: KeyTemplate, ask_every: Duration) -> Self {
        let figures = Figures::default();
        Self { template, ask_every, nodes: HashMap::new(), devices: 0, tags: 0, figures }
    }

    /// Nodes that are alive, nodes known, devices alive, tags.
    pub(super) fn census(&self) -> (usize, usize, usize, usize) {
        let alive = self.nodes.values().filter(|node| node.own.alive).count();
        let devices = self.nodes.values().flat_map(|node| node.devices.values());
        (alive, self.nodes.len(), devices.filter(|device| device.alive).count(), self.tags)
    }

    /// A new connection: whatever was missed in between must be said again.
    pub(super) fn link_is_new(&mut self, now: Timestamp) {
        for node in self.nodes.values_mut().filter(|node| node.own.alive) {
            node.wanted = Some("the host was away".to_owned());
            (node.doubtful, node.unsure_since) = (true, Some(now));
        }
    }

    /// Takes one message of a node or of a device.
    pub(super) fn hear(
        &mut self,
        verb: Verb,
        id: &NodeId,
        device: Option<&str>,
        payload: &Payload,
        now: Timestamp,
    ) -> Outcome {
        let mut out = Outcome::default();
        let names = [&*id.group, &*id.node, device.unwrap_or_default()];
        if let Some(name) = names.into_iter().find(|name| name.len() > ID_BYTES_MAX) {
            let name = excerpt(name, NAME_SHOWN);
            out.refuse(&name, format!("a name of more than {ID_BYTES_MAX} bytes"));
            return out;
        }
        if !self.nodes.contains_key(id) && self.nodes.len() >= NODES_MAX {
            out.refuse(&id.to_string(), format!("there is room for {NODES_MAX} nodes only"));
            return out;
        }
        let sent = payload.timestamp.and_then(time).unwrap_or(now);
        let at = Context { id, device, sent };
        match (verb, device) {
            (Verb::Birth, None) => self.node_birth(&at, payload, now, &mut out),
            (Verb::Birth, Some(name)) => self.device_birth(&at, name, payload, &mut out),
            (Verb::Data, _) => self.data(&at, payload, &mut out),
            (Verb::Death, None) => self.node_death(&at, payload, now, &mut out),
            (Verb::Death, Some(name)) => self.device_death(&at, name, payload, &mut out),
        }
        out
    }

    fn node_birth(
        &mut self,
        at: &Context<'_>,
        payload: &Payload,
        now: Timestamp,
        out: &mut Outcome,
    ) {
        self.figures.births += 1;
        let node = self.nodes.entry(at.id.clone()).or_default();
        node.aliases.clear();
        node.bd_seq = bd_seq(payload);
        node.next_seq = (payload.seq.unwrap_or(0) as u8).wrapping_add(1);
        (node.wanted, node.asked_at, node.asks, node.doubtful) = (None, None, 0, false);
        // Its devices follow with births of their own; those that do not are stale.
        for device in node.devices.values_mut() {
            device.alive = false;
        }
        let waits = node.devices.values().any(|device| !device.by_name.is_empty());
        node.unsure_since = waits.then_some(now);
        let before = std::mem::take(&mut node.own);
        self.define(at, before, payload, out);
    }

    fn device_birth(&mut self, at: &Context<'_>, name: &str, payload: &Payload, out: &mut Outcome) {
        let devices = self.devices;
        let Some(node) = self.born(at.id, payload, out) else { return };
        let before = node.devices.remove(name);
        if before.is_none() && devices >= DEVICES_MAX {
            return out.refuse(name, format!("there is room for {DEVICES_MAX} devices only"));
        }
        node.aliases.retain(|_, (device, _)| device.as_deref() != Some(name));
        self.devices += usize::from(before.is_none());
        let before = before.unwrap_or_default();
        self.figures.births += 1;
        self.define(at, before, payload, out);
    }

    /// Defines the tags of a birth, and takes the values that it says.
    fn define(&mut self, at: &Context<'_>, before: Tags, payload: &Payload, out: &mut Outcome) {
        let had = before.by_name.len();
        let mut before = before.by_name;
        let mut leaves = Vec::new();
        flatten(&payload.metrics, "", 0, &mut leaves, out);
        let mut tags = Tags { alive: true, by_name: HashMap::with_capacity(leaves.len()) };
        let mut aliases = Vec::new();
        let mut keys = HashSet::new();
        let room = TAGS_MAX - (self.tags - had);
        for (name, metric) in leaves {
            if tags.by_name.len() >= room {
                out.refuse(&name, format!("there is room for {TAGS_MAX} tags only"));
                continue;
            }
            if tags.by_name.contains_key(name.as_str()) {
                out.refuse(&name, "is there twice");
                continue;
            }
            if let Some(alias) = metric.alias {
                aliases.push((alias, Box::from(name.as_str())));
            }
            let mut tag = self.tag(at, &name, &metric, &mut keys, out);
            if let Some(tag) = &mut tag {
                let old = before.remove(name.as_str()).flatten();
                (tag.last, tag.stale) = old.map_or((None, false), |old| (old.last, old.stale));
                confirm(tag, &metric, at.sent, out);
            }
            tags.by_name.insert(name.into_boxed_str(), tag);
        }
        self.tags = self.tags - had + tags.by_name.len();
        // A tag that its birth names no more is gone, and its last value stands no longer.
        before.values_mut().flatten().for_each(|tag| mark_stale(tag, at.sent, out));
        let Some(node) = self.nodes.get_mut(at.id) else { return };
        let device: Option<Box<str>> = at.device.map(Box::from);
        node.aliases.extend(aliases.into_iter().map(|(alias, n)| (alias, (device.clone(), n))));
        match device {
            None => node.own = tags,
            Some(device) => drop(node.devices.insert(device, tags)),
        }
    }

    fn tag(
        &self,
        at: &Context<'_>,
        name: &str,
        metric: &Metric,
        keys: &mut HashSet<SensorKey>,
        out: &mut Outcome,
    ) -> Option<Tag> {
        let datatype = metric.datatype.unwrap_or(0);
        let control = name == BD_SEQ
            || name.starts_with("Node Control/")
            || name.starts_with("Device Control/");
        if control || !is_number(datatype, metric) {
            return None;
        }
        let key = match self.template.key(&at.id.group, &at.id.node, at.device, name) {
            Ok(key) => key,
            Err(reason) => {
                out.refuse(name, reason);
                return None;
            }
        };
        if !keys.insert(key.clone()) {
            out.refuse(name, format!("another metric of this birth is `{key}` already"));
            return None;
        }
        let Described { unit, unknown_unit, low, high } = described(metric);
        if let Some(unknown) = unknown_unit {
            out.named.push((name.to_owned(), format!("unit `{unknown}` is unknown; left out")));
        }
        if unit.is_some() || low.is_some() || high.is_some() {
            let (expected_low, expected_high) = (low, high);
            let key = key.clone();
            out.declared.push(TagDeclaration { key, unit, expected_low, expected_high });
        }
        Some(Tag { key, datatype, unit, last: None, stale: false })
    }

    fn data(&mut self, at: &Context<'_>, payload: &Payload, out: &mut Outcome) {
        let Some(node) = self.born(at.id, payload, out) else { return };
        if payload.metrics.iter().any(|metric| metric.name.is_some()) {
            node.unsure_since = node.unsure_since.filter(|_| !node.doubtful);
        }
        let alive = at.device.is_none_or(|name| node.devices.get(name).is_some_and(|d| d.alive));
        if !alive {
            let device = at.device.unwrap_or_default();
            out.refused += payload.metrics.len() as u64;
            out.named.push((device.to_owned(), "no birth of this device was heard".to_owned()));
            return want(node, format!("no birth of device {device}"));
        }
        for metric in &payload.metrics {
            if let Some(reason) = update(node, at, metric, out) {
                want(node, reason);
            }
        }
    }

    /// The node when it is born, with its sequence checked; else its birth is wanted.
    fn born(&mut self, id: &NodeId, payload: &Payload, out: &mut Outcome) -> Option<&mut Node> {
        let node = self.nodes.entry(id.clone()).or_default();
        if !node.own.alive {
            out.refused += payload.metrics.len() as u64;
            out.named.push((id.to_string(), "no birth of this node was heard".to_owned()));
            want(node, "no birth was heard".to_owned());
            return None;
        }
        if let Some(seq) = payload.seq {
            let (seq, expected) = (seq as u8, node.next_seq);
            node.next_seq = seq.wrapping_add(1);
            if seq != expected {
                self.figures.gaps += 1;
                want(node, format!("sequence number {seq} instead of {expected}"));
            }
        }
        Some(node)
    }

    fn node_death(
        &mut self,
        at: &Context<'_>,
        payload: &Payload,
        now: Timestamp,
        out: &mut Outcome,
    ) {
        let Some(node) = self.nodes.get_mut(at.id) else { return };
        if !node.own.alive || is_of_older_session(bd_seq(payload), node.bd_seq) {
            return;
        }
        self.figures.deaths += 1;
        (node.wanted, node.unsure_since) = (None, None);
        // The will was written when the node connected: its time is not the time of the death.
        bury(&mut node.own, now, out);
        node.devices.values_mut().for_each(|device| bury(device, now, out));
    }

    fn device_death(&mut self, at: &Context<'_>, name: &str, payload: &Payload, out: &mut Outcome) {
        let Some(node) = self.born(at.id, payload, out) else { return };
        if let Some(device) = node.devices.get_mut(name) {
            bury(device, at.sent, out);
        }
        self.figures.deaths += 1;
    }

    /// The nodes to be asked for their birth now, each with the reason.
    pub(super) fn due_questions(&mut self, now: Timestamp) -> Vec<(NodeId, String)> {
        let mut asked = Vec::new();
        for (id, node) in &mut self.nodes {
            let pause = (self.ask_every * (1 << node.asks.min(16))).min(ASK_SELDOM);
            let due = node.asked_at.is_none_or(|at| now.since(at) >= pause.max(self.ask_every));
            if let (true, Some(reason)) = (due, &node.wanted) {
                asked.push((id.clone(), reason.clone()));
                (node.asked_at, node.asks) = (Some(now), node.asks + 1);
            }
        }
        self.figures.rebirths_asked += asked.len() as u64;
        asked
    }

    /// Marks stale what has waited for a birth too long.
    pub(super) fn lapse(&mut self, now: Timestamp) -> Outcome {
        let mut out = Outcome::default();
        for node in self.nodes.values_mut() {
            if node.unsure_since.is_none_or(|since| now.since(since) < BIRTH_GRACE) {
                continue;
            }
            node.unsure_since = None;
            let silent = node.doubtful;
            for tags in std::iter::once(&mut node.own).chain(node.devices.values_mut()) {
                if silent || !tags.alive {
                    let all = tags.by_name.values_mut().flatten();
                    all.for_each(|tag| mark_stale(tag, now, &mut out));
                }
            }
        }
        out
    }
}

fn want(node: &mut Node, reason: String) {
    node.wanted.get_or_insert(reason);
}

/// A death of an older session comes late, after the node was born anew. Some nodes write a newer
/// number into the death they publish on leaving; that is a death too.
fn is_of_older_session(death: Option<u64>, birth: Option<u64>) -> bool {
    match (death, birth) {
        (Some(death), Some(birth)) => (1..128).contains(&(birth as u8).wrapping_sub(death as u8)),
        _ => false,
    }
}

fn bd_seq(payload: &Payload) -> Option<u64> {
    let metric = payload.metrics.iter().find(|m| m.name.as_deref() == Some(BD_SEQ))?;
    match metric.value {
        Some(MetricValue::Int(number)) => Some(u64::from(number)),
        Some(MetricValue::Long(number)) => Some(number),
        _ => None,
    }
}

/// Text, bytes and the like are known by their datatype; where it is left out, by their value.
fn is_number(datatype: u32, metric: &Metric) -> bool {
    match datatype {
        0 => matches!(worth(metric, 0), Worth::Number(_) | Worth::Null | Worth::NotFinite),
        1..=11 => true,
        _ => false,
    }
}

/// Takes the value of one metric in a data message. Answers why a birth is wanted, if it is.
fn update(node: &mut Node, at: &Context<'_>, metric: &Metric, out: &mut Outcome) -> Option<String> {
    let known = metric.alias.filter(|_| !node.doubtful).and_then(|a| node.aliases.get(&a));
    let (device, name) = match (known, &metric.name) {
        (Some((device, name)), _) => (device.as_deref(), name.as_ref()),
        (None, Some(name)) if !name.is_empty() => (at.device, name.as_str()),
        _ if node.doubtful => {
            out.refuse(&at.id.to_string(), "no birth was heard since the link was cut");
            return None;
        }
        _ => {
            let alias = metric.alias.map_or("none".to_owned(), |alias| alias.to_string());
            out.refuse(&at.id.to_string(), format!("the alias {alias} is unknown"));
            return Some(format!("unknown alias {alias}"));
        }
    };
    let tags = match device {
        None => &mut node.own,
        Some(device) => node.devices.get_mut(device)?,
    };
    if let Some(MetricValue::Template(bytes)) = &metric.value {
        let mut leaves = Vec::new();
        let members = read_template(bytes.clone());
        match members {
            Err(reason) => out.refuse(name, reason),
            Ok(template) => flatten(&template.metrics, name, 1, &mut leaves, out),
        }
        for (name, member) in leaves {
            take(tags, &name, &member, at.sent, out);
        }
        return None;
    }
    if take(tags, name, metric, at.sent, out) {
        return None;
    }
    let name = excerpt(name, NAME_SHOWN);
    out.refuse(&name, "no birth named this metric");
    Some(format!("unknown metric {name}"))
}

/// False when the metric is unknown.
fn take(tags: &mut Tags, name: &str, metric: &Metric, sent: Timestamp, out: &mut Outcome) -> bool {
    let Some(known) = tags.by_name.get_mut(name) else { return false };
    let Some(tag) = known else { return true };
    if metric.is_transient == Some(true) {
        return true;
    }
    let at = metric.timestamp.and_then(time).unwrap_or(sent);
    record(tag, name, metric, at, out);
    true
}

/// The value of a birth: it was so at its own time, and is still so at the time of the birth.
fn confirm(tag: &mut Tag, metric: &Metric, sent: Timestamp, out: &mut Outcome) {
    let name = metric.name.clone().unwrap_or_default();
    let own = metric.timestamp.and_then(time).filter(|at| *at < sent);
    if let Some(at) = own {
        record(tag, &name, metric, at, out);
    }
    let historical = metric.is_historical == Some(true) && own.is_some();
    if historical || metric.is_transient == Some(true) {
        return;
    }
    let after = tag.last.filter(|_| tag.stale).map(|(at, _)| just_after(at));
    record(tag, &name, metric, after.map_or(sent, |after| after.max(sent)), out);
}

fn record(tag: &mut Tag, name: &str, metric: &Metric, at: Timestamp, out: &mut Outcome) {
    let datatype = metric.datatype.filter(|datatype| *datatype != 0).unwrap_or(tag.datatype);
    let (value, quality) = match (worth(metric, datatype), tag.last) {
        (Worth::Number(value), _) => (value, quality(metric)),
        (Worth::Null, Some((_, last))) => (last, Quality::Bad(Reason::Source)),
        (Worth::Null, None) => return,
        (Worth::NoNumber, _) => return out.refuse(name, "is no number"),
        (Worth::NotFinite, _) => return out.refuse(name, "is not finite"),
    };
    if tag.last.is_none_or(|(last, _)| last <= at) {
        tag.last = Some((at, value));
        tag.stale = false;
    }
    let unit = tag.unit.map(str::to_owned);
    out.readings.push(Reading { sensor: tag.key.clone(), at, value, quality, unit });
}

fn bury(tags: &mut Tags, at: Timestamp, out: &mut Outcome) {
    tags.alive = false;
    tags.by_name.values_mut().flatten().for_each(|tag| mark_stale(tag, at, out));
}

/// Says at `at`, or right after the newest value, that this value stands no longer.
fn mark_stale(tag: &mut Tag, at: Timestamp, out: &mut Outcome) {
    let Some((last, value)) = tag.last.filter(|_| !tag.stale) else { return };
    let at = at.max(just_after(last));
    (tag.stale, tag.last) = (true, Some((at, value)));
    let (sensor, unit) = (tag.key.clone(), tag.unit.map(str::to_owned));
    let quality = Quality::Bad(Reason::Stale);
    out.readings.push(Reading { sensor, at, value, quality, unit });
}

fn just_after(at: Timestamp) -> Timestamp {
    at.plus(Duration::from_micros(1))
}

/// Metrics with their whole names; the members of template instances instead of the templates.
fn flatten(
    metrics: &[Metric],
    prefix: &str,
    depth: usize,
    leaves: &mut Vec<(String, Metric)>,
    out: &mut Outcome,
) {
    for metric in metrics {
        let name = metric.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            out.refuse(prefix, "a metric without a name");
            continue;
        }
        if prefix.len() + name.len() >= NAME_BYTES_MAX {
            let name = excerpt(name, NAME_SHOWN);
            out.refuse(&name, format!("a name of more than {NAME_BYTES_MAX} bytes"));
            continue;
        }
        let whole = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        let Some(MetricValue::Template(bytes)) = &metric.value else {
            leaves.push((whole, metric.clone()));
            continue;
        };
        match read_template(bytes.clone()) {
            _ if depth >= TEMPLATE_DEPTH_MAX => out.refuse(&whole, "templates nested too deep"),
            Err(reason) => out.refuse(&whole, reason),
            Ok(template) if template.is_definition == Some(true) => {}
            Ok(template) => {
                let known = Metric { value: None, datatype: Some(TEMPLATE), ..metric.clone() };
                leaves.push((whole.clone(), known));
                flatten(&template.metrics, &whole, depth + 1, leaves, out);
            }
        }
    }
}

const TEMPLATE: u32 = 19;

#[cfg(test)]
mod tests;
