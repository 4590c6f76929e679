//! The detection of one pipeline: readings in, findings out.

use serde::{Deserialize, Serialize};

use super::balance::{Balance, LongFit};
use super::config::PipelineConfig;
use super::history::Scan;
use super::hypothesis::Fit;
use super::instrument::FaultKind;
use super::line::Line;
use super::npw::FastPast;
use super::observer::Observer;
use super::operation::{Move, Operations};
use super::search::{POINTS, Search, View, deviating};
use super::signature::{Bank, Cause};
use super::tracking::Tracked;
use super::verdict::{Command, Evidence, Finding, Kind, Method, Phase, VERSION};
use crate::Error;

/// Seconds in a year.
const YEAR_S: f64 = 31_557_600.0;
/// Independent shapes that one scan tests; the bound of the threshold counts them all.
const SHAPES: f64 = 4.0;
/// A verdict must be likelier than its rival by this logarithm.
const MARGIN: f64 = 5.0;
/// From this gain on something is suspected, and nothing is learnt.
const SUSPICION: f64 = 9.0;
/// A suspicion that leads to nothing ends after this, s.
const SUSPICION_S_MAX: f64 = 3_600.0;
/// What is left after a good fit, per degree of freedom, at most; more with a stronger case.
const MISFIT_MAX: f64 = 1.5;
const MISFIT_SHARE: f64 = 0.004;
/// A settled leak shows in the balance of the newest minutes with this share of its size.
const LACKING: f64 = 0.4;
const LACKING_S: f64 = 60.0;
/// Meters are never taken for worse than this share of the nominal flow when sizes are claimed.
const DRIFT_MAX: f64 = 0.003;
/// The smallest error of a pressure that is claimed, in sigma of its slow error.
const GAUGE_SIGMA: f64 = 5.0;
/// What has grown over less than this is called a step, s.
const STEP_S: f64 = 120.0;
/// The smallest size that is claimed, in sigma of the meters' slow error.
const SIZE_SIGMA: f64 = 3.0;
/// An instrument is blamed only after this time, s.
const BLAME_S: f64 = 180.0;
/// Scans in a row that must agree before anything is said.
const AGREEING: u32 = 2;
/// A wait for a clear verdict ends after this time, s: then the safe side counts.
const UNDECIDED_S: f64 = 1_200.0;
/// A suspicion older than this is looked at again with every so manyth scan, s.
const PONDER_S: f64 = 120.0;
const PONDER: u32 = 4;
/// Without a time known to be tight, this much is taken for it, s.
const LEARN_S_MIN: f64 = 900.0;
/// Nothing is looked for so soon after the model settled, s.
pub(crate) const WARM_S: f64 = 240.0;

/// Readings of one scan, in the order and the units of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub time_s: f64,
    pub flows: Vec<Option<f64>>,
    pub pressures: Vec<Option<f64>>,
}

/// An instrument that is not believed, or was not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Faulty {
    pub(crate) number: u64,
    /// Meters first, then gauges.
    pub(crate) instrument: usize,
    pub(crate) fault: FaultKind,
    pub(crate) since_s: f64,
}

/// Leak detection for one pipeline; a value of this type is its own checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Detector {
    pub(crate) line: Line,
    pub(crate) observer: Observer,
    pub(crate) balance: Balance,
    pub(crate) fast: FastPast,
    operations: Operations,
    pub(crate) tracked: Option<Tracked>,
    pub(crate) faulty: Vec<Faulty>,
    suspicious_since_s: Option<f64>,
    agreeing: u32,
    pondered: u32,
    next_number: u64,
    pub(crate) last_s: Option<f64>,
    pub(crate) pace_s: f64,
    /// The working point of the bank, so that a restored detector makes the same one.
    bucket: i64,
    #[serde(skip)]
    bank: Option<Bank>,
}

impl Detector {
    /// # Errors
    /// [`Error::Pipeline`] when no model can be made of the configuration; it names the key.
    pub fn new(config: &PipelineConfig) -> Result<Self, Error> {
        let mut line = Line::new(config)?;
        line.learn_s = line.learn_s.max(LEARN_S_MIN);
        Ok(Self {
            observer: Observer::new(&line),
            line,
            balance: Balance::default(),
            fast: FastPast::default(),
            operations: Operations::default(),
            tracked: None,
            faulty: Vec::new(),
            suspicious_since_s: None,
            agreeing: 0,
            pondered: 0,
            next_number: 1,
            last_s: None,
            pace_s: 5.0,
            bucket: 0,
            bank: None,
        })
    }

    /// Takes in fast pressures at `time_s` s, in the order and the units of the configuration.
    pub fn fast(&mut self, time_s: f64, pressures: &[Option<f64>]) {
        let heads = self.line.fast.iter().enumerate().map(|(index, gauge)| {
            let value = pressures.get(index).copied().flatten().filter(|value| value.is_finite());
            value.map(|value| gauge.head(value))
        });
        let heads = heads.collect();
        if time_s.is_finite() && self.fast.newest_s().is_none_or(|newest_s| time_s > newest_s) {
            self.fast.push(time_s, heads);
        }
    }

    /// Takes in a command given to the plant.
    pub fn command(&mut self, command: Command) {
        self.operations.command(command);
    }

    /// Takes in a scan and says what is new. A scan that is not newer than the last says nothing.
    pub fn scan(&mut self, reading: &Reading) -> Vec<Finding> {
        let now_s = reading.time_s;
        if !now_s.is_finite() || self.last_s.is_some_and(|last_s| now_s <= last_s) {
            return Vec::new();
        }
        if let Some(last_s) = self.last_s {
            self.pace_s += 0.02 * ((now_s - last_s).min(120.0) - self.pace_s);
        }
        self.last_s = Some(now_s);
        let mut findings = Vec::new();
        let mode = self.observer.mode;
        let taken = self.observer.take(&self.line, now_s, &reading.flows, &reading.pressures);
        for (instrument, fault) in &taken.faults {
            findings.push(self.silent(now_s, *instrument, *fault));
        }
        self.recovered(now_s, &mut findings);
        let quiet = self.tracked.is_none() && self.suspicious_since_s.is_none();
        let fresh = self.observer.go(&self.line, now_s, &taken, quiet);
        if self.observer.mode != mode {
            self.balance.clear();
        }
        if fresh {
            self.judge(now_s, &mut findings);
        }
        findings
    }

    fn judge(&mut self, now_s: f64, findings: &mut Vec<Finding>) {
        let Some(flow) = self.observer.past.scans.back().map(|scan| scan.flow) else {
            return;
        };
        let filled = self.observer.past.scans.back().is_some_and(|scan| self.balance.push(scan));
        if let Some(moved) = self.operations.watch(&self.line, &self.observer.past, now_s) {
            findings.push(self.operation(now_s, moved));
        }
        let learnt = self.observer.first_s.is_some_and(|s| now_s - s >= self.line.learn_s);
        if now_s < self.observer.valid_s + WARM_S || !learnt {
            return;
        }
        if !self.balance.is_settled() {
            self.balance.settle(&self.observer.normals, flow);
        }
        if self.rests(now_s) && !filled {
            return;
        }
        let ages_s = match self.tracked {
            Some(_) => Vec::new(),
            None => deviating(&self.line, &self.observer.past, &self.observer.normals),
        };
        if self.tracked.is_none() && ages_s.is_empty() && !filled {
            self.suspect(now_s, false);
            self.agreeing = 0;
            return;
        }
        self.prepare(flow);
        let Some(bank) = self.bank.take() else {
            return;
        };
        if let Some(mut tracked) = self.tracked.take() {
            let news = tracked.follow(&self.view(&bank), &self.fast, now_s);
            let over = news.iter().any(|finding| finding.phase == Phase::Cleared);
            findings.extend(news);
            if over {
                self.suspicious_since_s = None;
                self.observer.past.scans.clear();
                self.balance.clear();
            } else {
                self.tracked = Some(tracked);
            }
        } else {
            let search = self.view(&bank).search(&ages_s);
            self.decide(&bank, search, now_s, findings);
            if filled && self.tracked.is_none() {
                self.decide_long(&bank, now_s, findings);
            }
        }
        self.bank = Some(bank);
    }

    pub(crate) fn view<'a>(&'a self, bank: &'a Bank) -> View<'a> {
        View { line: &self.line, past: &self.observer.past, normals: &self.observer.normals, bank }
    }

    /// Has the signatures of the present working point at hand.
    fn prepare(&mut self, flow: f64) {
        let mode = self.observer.mode;
        let serves = Bank::serves(&self.line, self.bucket, flow);
        if !serves {
            self.bucket = Bank::bucket(&self.line, flow);
        }
        if !serves || self.bank.as_ref().is_none_or(|bank| bank.mode != mode) {
            let nodes = &self.observer.layout.nodes;
            self.bank = Some(Bank::new(&self.line, mode, self.bucket, nodes));
        }
    }

    /// The gain from which a fit is significant: by the union bound over all tests of a year, so
    /// that false alarms stay below the wanted number while the model holds.
    pub(crate) fn threshold(&self, every_s: f64) -> f64 {
        (SHAPES * YEAR_S / every_s / self.line.false_alarms_per_year).max(3.0).ln()
    }

    /// The smallest leak or meter error that is claimed, m3/s.
    pub(crate) fn size_min(&self) -> f64 {
        let drift = |channel: usize| self.observer.normals[channel].drift();
        SIZE_SIGMA * libm::hypot(drift(0), drift(1)).min(DRIFT_MAX * self.line.flow_nominal)
    }

    /// The smallest size of a cause that is claimed, m3/s or m.
    fn least(&self, cause: Cause) -> f64 {
        match cause.is_leak() || cause.is_flow() {
            true => self.size_min(),
            false => {
                let of = |gauge: &super::line::Gauge| (GAUGE_SIGMA * gauge.drift).max(gauge.noise);
                self.line.gauges.iter().map(of).fold(0.0, f64::max)
            }
        }
    }

    /// Whether the balance of the newest minutes lacks what a settled leak takes.
    fn lacks(&self, fit: &Fit, now_s: f64) -> bool {
        let settled_s = now_s - fit.start_s - 3.0 * self.line.transit_s();
        if settled_s < LACKING_S {
            return true;
        }
        let normals = &self.observer.normals;
        let mean = |channel: usize| {
            let of = |scan: &Scan| scan.residual[channel] - scan.normal[channel];
            self.observer.past.mean(now_s - settled_s.min(300.0), now_s, of)
        };
        let ((inlet, n), (outlet, m)) = (mean(0), mean(1));
        let blur = 2.0 * (normals[0].noise() / n.max(1.0) + normals[1].noise() / m.max(1.0)).sqrt();
        match (n >= 4.0, m >= 4.0) {
            (true, true) => inlet - outlet + blur >= LACKING * fit.size,
            _ => true,
        }
    }

    fn decide(&mut self, bank: &Bank, search: Search, now_s: f64, out: &mut Vec<Finding>) {
        let threshold = self.threshold(self.pace_s);
        let best = |fit: Option<Fit>| fit.map_or(0.0, |fit| fit.worth);
        let friction = search.other.is_some_and(|fit| fit.cause == Cause::Friction);
        let (leak, other) = (best(search.leak), best(search.other));
        self.suspect(now_s, leak.max(other) > SUSPICION && !(friction && other > leak));
        if leak.max(other) < threshold {
            self.agreeing = 0;
            return;
        }
        let view = self.view(bank);
        let leak = search.leak.and_then(|fit| view.refine(&fit, POINTS));
        let other = search.other.and_then(|fit| view.refine(&fit, POINTS));
        let (at_leak, at_other) = other.map_or((0.0, 0.0), |other| view.devices(&other.fit));
        let leak_gain = leak.map_or(0.0, |leak| leak.fit.worth + at_leak);
        let other_gain = other.map_or(0.0, |other| other.fit.worth + at_other);
        let waited = self.suspicious_since_s.is_some_and(|since_s| now_s - since_s > UNDECIDED_S);
        let margin = if waited { 0.0 } else { MARGIN };
        let stands = |fit: &Fit| {
            let good = fit.misfit < MISFIT_MAX + MISFIT_SHARE * fit.gain;
            fit.worth >= threshold && fit.size.abs() >= self.least(fit.cause) && good
        };
        let leaking = leak.filter(|leak| {
            stands(&leak.fit) && leak_gain >= other_gain + margin && self.lacks(&leak.fit, now_s)
        });
        let wrong = other.filter(|other| {
            let aged = now_s - other.fit.start_s >= BLAME_S;
            stands(&other.fit) && aged && other_gain >= leak_gain + MARGIN
        });
        let wrong = wrong.filter(|wrong| wrong.fit.cause != Cause::Friction);
        let agreed = leaking.is_some() || wrong.is_some();
        self.agreeing = if agreed { self.agreeing + 1 } else { 0 };
        if self.agreeing < AGREEING {
            return;
        }
        let mut evidence = self.evidence();
        (evidence.threshold, evidence.rival) = (threshold, other_gain);
        if let Some(leak) = leaking {
            let number = self.number();
            let mut tracked = Tracked::new(number, now_s, leak, evidence, &self.observer.past);
            out.extend(tracked.begin(&self.view(bank), &self.fast, now_s));
            self.tracked = Some(tracked);
        } else if let Some(wrong) = wrong {
            evidence.rival = leak_gain;
            out.extend(self.blame(bank, wrong.fit, evidence, now_s));
        }
    }

    /// Whether an old suspicion may wait: it changes slowly and costs most.
    fn rests(&mut self, now_s: f64) -> bool {
        let old = self.suspicious_since_s.is_some_and(|since_s| now_s - since_s > PONDER_S);
        self.pondered = if old && self.agreeing == 0 { self.pondered + 1 } else { 0 };
        !self.pondered.is_multiple_of(PONDER)
    }

    fn suspect(&mut self, now_s: f64, suspicious: bool) {
        self.suspicious_since_s = match self.suspicious_since_s {
            Some(since_s) if suspicious && now_s - since_s < SUSPICION_S_MAX => Some(since_s),
            Some(since_s) if suspicious && now_s - since_s < 2.0 * SUSPICION_S_MAX => None,
            None if suspicious => Some(now_s),
            _ => None,
        };
    }

    fn decide_long(&mut self, bank: &Bank, now_s: f64, out: &mut Vec<Finding>) {
        let fits = self.balance.test(bank, &self.observer.normals);
        for (leak, other) in &fits {
            let threshold = self.threshold(leak.window_s);
            let big = |fit: &LongFit| fit.size.abs() >= self.least(fit.cause);
            if leak.gain >= threshold && leak.gain >= other.gain + MARGIN && big(leak) {
                let mut evidence = self.evidence();
                (evidence.threshold, evidence.rival) = (threshold, other.gain);
                let number = self.number();
                let past = &self.observer.past;
                let mut tracked = Tracked::long(number, now_s, leak, evidence, past);
                out.extend(tracked.begin(&self.view(bank), &self.fast, now_s));
                self.tracked = Some(tracked);
                return;
            }
            let known = other.cause == Cause::Friction;
            if !known && other.gain >= threshold && other.gain >= leak.gain - 1.0 && big(other) {
                let fit = Fit {
                    cause: other.cause,
                    place_m: other.place_m,
                    start_s: now_s - other.window_s,
                    ramp_s: other.window_s,
                    size: other.size,
                    size_sigma: other.size_sigma,
                    gain: other.gain,
                    worth: other.gain,
                    misfit: 1.0,
                };
                let mut evidence = self.evidence();
                (evidence.threshold, evidence.rival) = (threshold, leak.gain);
                out.extend(self.blame(bank, fit, evidence, now_s));
                return;
            }
        }
        if self.suspicious_since_s.is_none() {
            self.balance.follow(&self.observer.normals);
        }
    }

    fn evidence(&self) -> Evidence {
        let sigmas = (2.0 * self.threshold(1_800.0)).sqrt();
        let nominal = self.line.flow_nominal;
        Evidence {
            version: VERSION.to_owned(),
            windows: self.balance.evidence(&self.observer.normals, nominal, sigmas),
            unrest_pct: self.observer.unrest * 100.0 / nominal,
            ..Evidence::default()
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// Names a wrong instrument, takes its error out of what is normal and goes on.
    fn blame(
        &mut self,
        bank: &Bank,
        fit: Fit,
        mut evidence: Evidence,
        now_s: f64,
    ) -> Option<Finding> {
        let instrument = self.instrument(fit.cause)?;
        let fault = if fit.ramp_s > STEP_S { FaultKind::Drift } else { FaultKind::Bias };
        let signature = bank.of(fit.cause)?;
        for channel in 0..self.observer.normals.len() {
            let change = fit.size * bank.settled(signature, channel);
            self.observer.normals[channel].shift(change);
            self.balance.shift(channel, change);
            if change != 0.0 {
                self.observer.normals[channel].mistrust();
            }
        }
        self.observer.past.scans.clear();
        self.suspicious_since_s = None;
        self.agreeing = 0;
        (evidence.gain, evidence.misfit) = (fit.worth, fit.misfit);
        evidence.ramp_s = fit.ramp_s;
        let known = self.faulty.iter().position(|faulty| faulty.instrument == instrument);
        let (number, phase) = match known {
            Some(place) => (self.faulty[place].number, Phase::Update),
            None => (self.number(), Phase::New),
        };
        if known.is_none() {
            self.faulty.push(Faulty { number, instrument, fault, since_s: now_s });
        }
        let unit = if fit.cause.is_flow() { 3_600.0 } else { 1.0 / self.line.head_per_bar() };
        let beyond = fit.worth - evidence.threshold;
        Some(Finding {
            phase,
            start_s: fit.start_s,
            start_error_s: 2.0 * self.pace_s,
            size: Some(fit.size * unit),
            size_error: Some(2.0 * fit.size_sigma * unit),
            confidence: certainty(beyond.min(fit.worth - evidence.rival - MARGIN)),
            evidence,
            ..self.about(number, now_s, instrument, fault)
        })
    }

    fn instrument(&self, cause: Cause) -> Option<usize> {
        let (layout, meters) = (&self.observer.layout, self.line.meters.len());
        match cause {
            Cause::InletMeter => Some(layout.meter_in),
            Cause::OutletMeter => Some(layout.meter_out),
            Cause::InletGauge => Some(meters + layout.gauge_in),
            Cause::OutletGauge => Some(meters + layout.gauge_out),
            Cause::InnerGauge(channel) => layout.inner.get(channel - 2).map(|g| meters + g),
            Cause::Leak(_) | Cause::Friction => None,
        }
    }

    pub(crate) fn named(&self, instrument: usize) -> (&str, f64) {
        match instrument.checked_sub(self.line.meters.len()) {
            None => (&self.line.meters[instrument].name, self.line.meters[instrument].at_m),
            Some(gauge) => (&self.line.gauges[gauge].name, self.line.gauges[gauge].at_m),
        }
    }

    fn about(&self, number: u64, now_s: f64, instrument: usize, fault: FaultKind) -> Finding {
        let (name, at_m) = self.named(instrument);
        Finding {
            number,
            phase: Phase::New,
            time_s: now_s,
            kind: Kind::InstrumentFault { instrument: name.to_owned(), fault },
            start_s: now_s,
            start_error_s: self.pace_s,
            location_m: Some(at_m),
            location_error_m: Some(0.0),
            size: None,
            size_error: None,
            method: Method::Rttm,
            confidence: 0.99,
            evidence: Evidence { version: VERSION.to_owned(), ..Evidence::default() },
        }
    }

    fn silent(&mut self, now_s: f64, instrument: usize, fault: FaultKind) -> Finding {
        let number = self.number();
        self.faulty.push(Faulty { number, instrument, fault, since_s: now_s });
        self.about(number, now_s, instrument, fault)
    }

    /// Instruments that are there again, or move again.
    fn recovered(&mut self, now_s: f64, findings: &mut Vec<Finding>) {
        let watches = &self.observer.watches;
        let well = |faulty: &Faulty| {
            let silent = matches!(faulty.fault, FaultKind::Stuck | FaultKind::Missing);
            silent && watches[faulty.instrument].state().is_none()
        };
        let over: Vec<Faulty> = self.faulty.iter().filter(|f| well(f)).cloned().collect();
        self.faulty.retain(|faulty| !over.contains(faulty));
        findings.extend(over.iter().map(|faulty| Finding {
            phase: Phase::Cleared,
            start_s: faulty.since_s,
            ..self.about(faulty.number, now_s, faulty.instrument, faulty.fault)
        }));
    }

    fn operation(&mut self, now_s: f64, moved: Move) -> Finding {
        let number = self.number();
        let at_m = if moved.at_inlet { 0.0 } else { self.line.length_m };
        let kind =
            Kind::Operation { at_inlet: moved.at_inlet, what: moved.what, known: moved.known };
        Finding {
            kind,
            location_m: Some(at_m),
            size: Some(moved.change * 3_600.0),
            confidence: if moved.known { 0.99 } else { 0.9 },
            ..self.about(number, now_s, 0, FaultKind::Bias)
        }
    }
}

/// A confidence from how far a case is beyond what is needed, as a logarithm.
pub(crate) fn certainty(beyond: f64) -> f64 {
    (1.0 - 0.3 * (-beyond.max(0.0) / 6.0).exp()).clamp(0.5, 0.999)
}
