use std::ops::Range;
use std::sync::Arc;

use kernel::{CorrelationId, Quality, SensorKey, Timestamp};
use sense::Origin;
use serde::{Deserialize, Serialize};
use signal::change::Change;
use signal::detector::{Disposition, Finding, Phase, Rule, SensorDetector, VERSION, Verdict};
use store::series::{Batch, Offset};
use uuid::Uuid;

use super::clock::SourceClock;
use super::{Doubt, Effect, Left, Onset, Subject};
use crate::model::{
    Anomaly, AnomalyRule, AnomalyState, Band, Changepoint, Contribution, DetectorName, Evidence,
    Severity, Trust,
};

/// A sensor counts as live, and its silence as a fault, when its readings arrive this fresh.
const LIVE_LAG_S: u64 = 300;

/// An anomaly that stands, with its chain and the number of its states so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standing {
    pub anomaly: Anomaly,
    pub correlation: CorrelationId,
    pub revision: i64,
}

/// A sensor's detector as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(super) detector: SensorDetector,
    live: bool,
    pub(super) unit: Option<String>,
    clock: SourceClock,
}

#[cfg(test)]
impl Saved {
    pub(super) fn of(detector: SensorDetector, unit: Option<String>) -> Self {
        Self { detector, live: true, unit, clock: SourceClock::default() }
    }
}

/// One sensor under watch.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(super) subject: Arc<Subject>,
    detector: SensorDetector,
    standing: Vec<Standing>,
    trust: Trust,
    /// What its asset had against the sensor when its trust was judged last.
    doubt_judged: Option<Doubt>,
    live: bool,
    clock: SourceClock,
    score: f64,
    /// The last batch that is part of the state.
    applied: Offset,
    /// The first batch that is part of the state, but not of the state written down.
    unsaved: Option<Offset>,
    pub(super) fresh: bool,
    said: Vec<Effect>,
}

impl Watch {
    pub(crate) fn new(subject: Arc<Subject>) -> Self {
        Self {
            detector: SensorDetector::new(subject.sensor_profile()),
            subject,
            standing: Vec::new(),
            trust: Trust::Trusted,
            doubt_judged: None,
            live: false,
            clock: SourceClock::default(),
            score: 0.0,
            applied: Offset(0),
            unsaved: None,
            fresh: false,
            said: Vec::new(),
        }
    }

    /// Goes on from what was written down with batch `applied`. A state in another unit is left
    /// aside.
    pub(crate) fn restored(
        subject: Arc<Subject>,
        saved: Option<Saved>,
        applied: Offset,
        standing: Vec<Standing>,
        trust: Trust,
    ) -> Self {
        let mut watch = Self { applied, standing, trust, ..Self::new(subject) };
        let fitting = saved.filter(|saved| saved.unit == watch.subject.unit);
        if let Some(saved) = fitting {
            watch.detector = saved.detector;
            watch.detector.set_profile(watch.subject.sensor_profile());
            watch.live = saved.live;
            watch.clock = saved.clock;
        }
        watch
    }

    pub(crate) fn save(&self) -> Saved {
        Saved {
            detector: self.detector.clone(),
            live: self.live,
            unit: self.subject.unit.clone(),
            clock: self.clock,
        }
    }

    pub(crate) fn key(&self) -> &SensorKey {
        &self.subject.key
    }

    pub(crate) fn applied(&self) -> Offset {
        self.applied
    }

    pub(crate) fn unsaved(&self) -> Option<Offset> {
        self.unsaved
    }

    pub(crate) fn mark_saved(&mut self) {
        self.unsaved = None;
    }

    pub(crate) fn score(&self) -> f64 {
        self.score
    }

    #[cfg(test)]
    pub(super) fn standing(&self) -> &[Standing] {
        &self.standing
    }

    #[cfg(test)]
    pub(super) fn trust(&self) -> Trust {
        self.trust
    }

    /// The worst anomaly that stands.
    pub(crate) fn worst(&self) -> Option<&Anomaly> {
        self.standing.iter().map(|standing| &standing.anomaly).max_by_key(|a| a.severity)
    }

    pub(super) fn said(&mut self) -> impl Iterator<Item = Effect> + '_ {
        self.said.drain(..)
    }

    /// Judges rows of a batch that are all of this sensor; `None` when they are part of the state
    /// already, or the sensor is not judged.
    pub(super) fn observe(
        &mut self,
        offset: Offset,
        batch: &Batch,
        rows: Range<usize>,
    ) -> Option<Left> {
        if offset <= self.applied && self.unsaved.is_none_or(|first| offset < first) {
            return None;
        }
        self.applied = self.applied.max(offset);
        self.unsaved.get_or_insert(offset);
        if !self.subject.judged {
            return None;
        }
        let mut left = Left::default();
        for row in rows {
            match self.judge(batch, row) {
                Disposition::Judged => {}
                Disposition::Late => left.late += 1,
                Disposition::Held => left.doubtful += 1,
            }
        }
        Some(left)
    }

    fn judge(&mut self, batch: &Batch, row: usize) -> Disposition {
        let at = Timestamp::from_micros(batch.at[row]);
        let value = batch.value[row];
        let lag = batch.received.micros_since(at).unsigned_abs() / 1_000_000;
        self.live = self.subject.origin != Origin::Replayed && lag <= LIVE_LAG_S;
        let verdict = self.detector.observe(at, value, Quality::from_byte(batch.quality[row]));
        self.score = verdict.score;
        let clock_turned =
            self.subject.origin == Origin::Real && self.clock.observe(at, batch.received);
        if clock_turned || self.subject.doubted != self.doubt_judged {
            self.judge_trust(batch.received, batch.correlation);
        }
        if !verdict.findings.is_empty() {
            for finding in &verdict.findings {
                self.found(finding, verdict.score, value, batch.received, batch.correlation);
            }
            self.judge_trust(at, batch.correlation);
        }
        if let Some(change) = &verdict.change {
            self.changed(change, batch.correlation);
        }
        if !self.standing.is_empty() {
            self.escalate(&verdict, value, batch.received);
        }
        verdict.disposition
    }

    /// Takes the present level for normal: somebody looked and said so. What stands against the
    /// score ends with the next calm readings.
    pub(crate) fn accept_level(&mut self) {
        self.detector.accept_level();
        self.unsaved.get_or_insert(self.applied);
    }

    /// Raises, worsens or ends `missing` by the clock.
    pub(super) fn silence(&mut self, now: Timestamp) {
        let standing = self.standing_of(AnomalyRule::Missing);
        if !self.subject.is_expected() || (!self.live && standing.is_none()) {
            return;
        }
        match (self.detector.overdue(now), standing) {
            (Some(finding), None) => {
                let value = finding.observed;
                self.found(&finding, self.score, value, now, None);
                self.judge_trust(now, None);
            }
            (Some(finding), Some(index)) => {
                let measure = finding.severity;
                self.worsen(index, measure, self.score, finding.observed, now);
            }
            (None, Some(index)) => {
                self.clear(index, now, now);
                self.judge_trust(now, None);
            }
            (None, None) => {}
        }
    }

    pub(super) fn refresh(&mut self, subject: Arc<Subject>, now: Timestamp) {
        if *subject == *self.subject {
            return;
        }
        if subject.unit != self.subject.unit {
            self.detector = SensorDetector::new(subject.sensor_profile());
        } else {
            self.detector.set_profile(subject.sensor_profile());
        }
        let profile = subject.profile;
        let unit_changed = subject.unit != self.subject.unit;
        let doubt_changed = subject.doubted != self.subject.doubted;
        self.subject = subject;
        if doubt_changed {
            self.judge_trust(now, None);
        }
        let no_range = profile.expected_low.is_none() && profile.expected_high.is_none();
        for rule in
            [AnomalyRule::Range, AnomalyRule::Rate, AnomalyRule::Score, AnomalyRule::Flatline]
        {
            let gone = match rule {
                AnomalyRule::Range => no_range || unit_changed,
                AnomalyRule::Rate => profile.rate_max_per_s.is_none() || unit_changed,
                _ => unit_changed,
            };
            if let Some(index) = self.standing_of(rule).filter(|_| gone) {
                self.clear(index, now, now);
            }
        }
    }

    fn standing_of(&self, rule: AnomalyRule) -> Option<usize> {
        self.standing.iter().position(|standing| standing.anomaly.rule == rule)
    }

    fn found(
        &mut self,
        finding: &Finding,
        score: f64,
        value: f64,
        now: Timestamp,
        correlation: Option<CorrelationId>,
    ) {
        let Some(rule) = anomaly_rule(finding.rule) else { return };
        match (finding.phase, self.standing_of(rule)) {
            (Phase::Onset, None) => self.raise(rule, finding, score, value, now, correlation),
            (Phase::Cleared, Some(index)) => self.clear(index, finding.evidence.until, now),
            (Phase::Onset, Some(_)) | (Phase::Cleared, None) => {}
        }
    }

    fn raise(
        &mut self,
        rule: AnomalyRule,
        finding: &Finding,
        score: f64,
        value: f64,
        now: Timestamp,
        correlation: Option<CorrelationId>,
    ) {
        let subject = &self.subject;
        let started_at = finding.evidence.since;
        let anomaly_id = identity(&subject.key, rule, started_at);
        let anomaly = Anomaly {
            anomaly_id,
            sensor: subject.key.clone(),
            asset: subject.key.asset().as_str().to_owned(),
            site: subject.key.site().to_owned(),
            kind: subject.kind,
            unit: subject.unit.clone(),
            rule,
            state: AnomalyState::Active,
            severity: Severity::from_measure(finding.severity),
            score: score.max(finding.severity),
            value,
            expected: finding.expected.and_then(finite_band),
            started_at,
            detected_at: now,
            cleared_at: None,
            evidence: Evidence {
                from: started_at,
                to: finding.evidence.until,
                samples: finding.evidence.samples,
                baseline_mean: finding.evidence.baseline_mean,
                baseline_spread: finding.evidence.baseline_spread,
            },
            detector: detector_name(VERSION),
            origin: subject.origin,
            contributions: vec![Contribution { sensor: subject.key.clone(), share: 1.0 }],
            process: None,
        };
        let correlation = correlation.unwrap_or(CorrelationId(anomaly_id));
        self.standing.push(Standing { anomaly, correlation, revision: 0 });
        let onset = Onset { finding: finding.clone(), profile: *self.detector.profile() };
        self.tell(self.standing.len() - 1, Some(Box::new(onset)));
    }

    fn clear(&mut self, index: usize, at: Timestamp, now: Timestamp) {
        let anomaly = &mut self.standing[index].anomaly;
        anomaly.state = AnomalyState::Cleared;
        anomaly.cleared_at = Some(at.max(anomaly.started_at));
        anomaly.evidence.to = at.max(anomaly.evidence.to).min(now.max(anomaly.evidence.to));
        self.say(index);
        self.standing.remove(index);
    }

    fn changed(&mut self, change: &Change, correlation: Option<CorrelationId>) {
        let subject = &self.subject;
        let key = &subject.key;
        let changepoint_id = name_uuid(change.at, &[key.as_str(), "change"]);
        let standing = self.standing.iter().find(|it| it.anomaly.rule == AnomalyRule::Score);
        let chain = standing.map(|it| it.correlation).or(correlation);
        let change = Changepoint {
            changepoint_id,
            sensor: Some(key.clone()),
            asset: key.asset().as_str().to_owned(),
            site: key.site().to_owned(),
            unit: subject.unit.clone(),
            changed_at: change.at,
            noticed_at: change.noticed_at,
            before: Some(change.before),
            after: Some(change.after),
            noise: Some(change.noise),
            confidence: change.confidence,
            detector: detector_name(VERSION),
            model_version: None,
            inputs: Vec::new(),
            anomaly_id: standing.map(|it| it.anomaly.anomaly_id),
            origin: subject.origin,
        };
        let correlation = chain.unwrap_or(CorrelationId(changepoint_id));
        self.said.push(Effect::Change { change: Box::new(change), correlation });
    }

    fn say(&mut self, index: usize) {
        self.tell(index, None);
    }

    /// Counts a new state of a standing anomaly and says it.
    fn tell(&mut self, index: usize, onset: Option<Box<Onset>>) {
        let standing = &mut self.standing[index];
        standing.revision += 1;
        self.said.push(Effect::Anomaly {
            anomaly: Box::new(standing.anomaly.clone()),
            revision: standing.revision,
            correlation: standing.correlation,
            onset,
        });
    }

    fn escalate(&mut self, verdict: &Verdict, value: f64, now: Timestamp) {
        for index in 0..self.standing.len() {
            let measure = match self.standing[index].anomaly.rule {
                AnomalyRule::Score => verdict.score,
                AnomalyRule::Range => self.beyond(value),
                AnomalyRule::Rate
                | AnomalyRule::Flatline
                | AnomalyRule::Missing
                | AnomalyRule::Process => continue,
            };
            self.worsen(index, measure, verdict.score, value, now);
        }
    }

    fn worsen(&mut self, index: usize, measure: f64, score: f64, value: f64, now: Timestamp) {
        let anomaly = &mut self.standing[index].anomaly;
        if Severity::from_measure(measure) <= anomaly.severity {
            return;
        }
        anomaly.severity = Severity::from_measure(measure);
        anomaly.score = score.max(measure);
        anomaly.value = value;
        anomaly.evidence.to = self.detector.last_at().unwrap_or(now).max(anomaly.evidence.to);
        self.say(index);
    }

    /// How far outside its range a value lies, on the detector's scale: 0.5 at the limit.
    fn beyond(&self, value: f64) -> f64 {
        let Some((low, high)) = self.detector.profile().range else { return 0.0 };
        let distance = (low - value).max(value - high).max(0.0);
        1.0 - 0.5 / (1.0 + distance / (high - low).abs().max(f64::MIN_POSITIVE))
    }

    fn judge_trust(&mut self, since: Timestamp, correlation: Option<CorrelationId>) {
        let doubt_changed = self.doubt_judged != self.subject.doubted;
        self.doubt_judged = self.subject.doubted;
        let active = self.detector.active();
        let skew;
        let (trust, reason) = if self.standing_of(AnomalyRule::Missing).is_some() {
            (Trust::Silent, Some("no reading for longer than its interval allows"))
        } else if active.contains(Rule::Flatline) {
            (Trust::Stuck, Some("repeats one value longer than it can"))
        } else if active.contains(Rule::UnitJump) {
            (Trust::Suspect, Some("jumped by the factor between two units"))
        } else if let Some(seconds) = self.clock.skew_s() {
            let side = if seconds > 0 { "behind" } else { "ahead of" };
            skew = format!(
                "its clock is {} s {side} ours, steadily; or its readings take that long",
                seconds.abs()
            );
            (Trust::Suspect, Some(skew.as_str()))
        } else if active.contains(Rule::OutOfOrder) {
            (Trust::Suspect, Some("many readings arrive out of order"))
        } else if let Some(doubt) = self.subject.doubted {
            (Trust::Suspect, Some(doubt.reason()))
        } else {
            (Trust::Trusted, None)
        };
        let by_doubt = reason.is_some() && reason == self.subject.doubted.map(Doubt::reason);
        if trust == self.trust && !(by_doubt && doubt_changed) {
            return;
        }
        let chain = self
            .standing
            .iter()
            .find(|s| matches!(s.anomaly.rule, AnomalyRule::Missing | AnomalyRule::Flatline))
            .map(|s| s.correlation);
        let key = &self.subject.key;
        self.said.push(Effect::Trust {
            sensor: key.clone(),
            trust,
            previous: self.trust,
            reason: reason.map(str::to_owned),
            since,
            correlation: chain.or(correlation).unwrap_or_else(|| {
                CorrelationId(name_uuid(since, &[key.as_str(), "trust", trust.name()]))
            }),
        });
        self.trust = trust;
    }
}

fn anomaly_rule(rule: Rule) -> Option<AnomalyRule> {
    match rule {
        Rule::Score => Some(AnomalyRule::Score),
        Rule::Range => Some(AnomalyRule::Range),
        Rule::Rate => Some(AnomalyRule::Rate),
        Rule::Flatline => Some(AnomalyRule::Flatline),
        Rule::Missing => Some(AnomalyRule::Missing),
        // They tell about the source, not about the process: trust only.
        Rule::OutOfOrder | Rule::UnitJump => None,
    }
}

/// A one-sided range has no other end to show.
fn finite_band((low, high): (f64, f64)) -> Option<Band> {
    (low.abs() < f64::MAX / 8.0 && high.abs() < f64::MAX / 8.0).then_some(Band { low, high })
}

/// Name and version out of `name/version`.
pub(super) fn detector_name(full: &str) -> DetectorName {
    let (name, version) = full.split_once('/').unwrap_or((full, ""));
    DetectorName { name: name.to_owned(), version: version.to_owned() }
}

/// The same anomaly gets the same id whenever the log is replayed.
pub(super) fn identity(sensor: &SensorKey, rule: AnomalyRule, started_at: Timestamp) -> Uuid {
    name_uuid(started_at, &[sensor.as_str(), rule.name()])
}

/// A version 7 UUID whose random part is a hash (FNV-1a) of what it names.
pub(super) fn name_uuid(at: Timestamp, names: &[&str]) -> Uuid {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let time = at.as_micros().to_be_bytes();
    let parts = names.iter().flat_map(|name| name.bytes().chain([0]));
    for byte in parts.chain(time) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    }
    let mut random = [0; 10];
    random.copy_from_slice(&hash.to_be_bytes()[6..]);
    let millis = u64::try_from(at.as_micros() / 1_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}
