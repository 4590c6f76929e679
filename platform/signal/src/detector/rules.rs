use kernel::Timestamp;
use serde::{Deserialize, Serialize};

use super::normal::{Normal, Place};
use super::profile::{Flatline, SensorProfile};
use super::verdict::{Aspect, Evidence, Finding, Phase, Rule, Rules};
use crate::change::Change;
use crate::score::{Surprise, TypicalInterval};

/// Readings in a row below the clearing score before an anomaly ends.
const SCORE_CALM: u32 = 12;
/// How sure a return to the band of the days before is.
const BACK_SURE: f64 = 0.95;
/// Share of the span by which a value must be back inside its range: keeps noise at the limit from
/// ringing.
const RANGE_DEADBAND: f64 = 0.02;
/// Share of the rate limit under which a change counts as calm, and calm changes in a row to clear.
const RATE_CALM_SHARE: f64 = 0.8;
const RATE_CALM: u32 = 5;
/// A learned flatline needs this many equal readings, this many times the longest run before, and
/// a sensor of which at most this share of readings repeats the one before.
const FLAT_RUN_MIN: u32 = 30;
const FLAT_RUN_FACTOR: u32 = 3;
const FLAT_REPEAT_SHARE: f64 = 0.2;
const FLAT_LEARN_MIN: u64 = 200;
const FLAT_WEIGHT: f64 = 1.0 / FLAT_LEARN_MIN as f64;
/// A silence is a fault after this many intervals of the profile; without one after this many
/// learned intervals, and as many of those that one in a hundred exceeds.
const MISSING_INTERVALS: f64 = 3.0;
const MISSING_LEARNED_INTERVALS: f64 = 10.0;
const MISSING_LONG_INTERVALS: f64 = 5.0;
/// Steps back in time: weight of one reading in the share, and the shares to start and to end. A
/// batch that comes late, however long, is one step back; times in no order are one in two.
const BACK_WEIGHT: f64 = 1.0 / 64.0;
const BACK_ONSET: f64 = 0.3;
const BACK_CLEAR: f64 = 0.05;
/// A unit jump leaves the old level by this many spreads and holds for this many readings.
const UNIT_SPREADS: f64 = 10.0;
const UNIT_CONFIRM: u32 = 5;
const UNIT_LEARN_MIN: u64 = 100;
/// How close to the converted level a reading must lie, as a share of jump and level.
const UNIT_TOLERANCE: f64 = 0.02;

/// Scale and offset of the unit mix-ups seen in plants, each with its way back.
const UNIT_STEPS: [(f64, f64); 14] = [
    (1.8, 32.0),
    (1.0, 273.15),
    (10.0, 0.0),
    (100.0, 0.0),
    (1000.0, 0.0),
    (14.503_774, 0.0),
    (6.894_757, 0.0),
    (3.6, 0.0),
    (60.0, 0.0),
    (25.4, 0.0),
    (9.806_65, 0.0),
    (3.280_84, 0.0),
    (4.402_868, 0.0),
    (1.341_022, 0.0),
];

/// Level and spread before a reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Baseline {
    pub(super) mean: f64,
    pub(super) spread: f64,
    pub(super) samples: u64,
    pub(super) score: f64,
}

/// One believed, newer reading with all that the rules look at.
pub(super) struct Sight<'a> {
    pub(super) at: i64,
    pub(super) value: f64,
    pub(super) elapsed_s: Option<f64>,
    pub(super) surprise: &'a Surprise,
    pub(super) before: Baseline,
}

/// The state of all run rules of one sensor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RuleBook {
    active: Rules,
    /// Start of each standing rule, µs; zero while it does not stand.
    since: [i64; Rule::ALL.len()],
    /// Time at which the source was last heard, whatever the quality, µs.
    heard_at: Option<i64>,
    interval: TypicalInterval,
    #[serde(with = "crate::exact::one")]
    back_share: f64,
    /// Event time of the reading that came before, whatever its place in time, µs.
    before_at: Option<i64>,
    score_calm: u32,
    /// The score is raised since an onset of its own, and whether this reading was one.
    episode: bool,
    episode_began: bool,
    normal: Normal,
    /// The last level while nothing was wrong.
    #[serde(with = "crate::exact::one")]
    level_before: f64,
    /// The level that the sensor has changed to since the anomaly of the score began.
    changed_to: Option<Bits>,
    /// Highest score since the anomaly started.
    #[serde(with = "crate::exact::one")]
    score_peak: f64,
    /// The first reading of those in a row whose score is above the clearing level, µs.
    score_rose_at: Option<i64>,
    rate_calm: u32,
    #[serde(with = "crate::exact::one")]
    last_value: f64,
    flat: FlatRun,
    unit: UnitWatch,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct FlatRun {
    #[serde(with = "crate::exact::one")]
    anchor: f64,
    started: i64,
    length: u32,
    longest: u32,
    #[serde(with = "crate::exact::one")]
    repeat_share: f64,
    samples: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct UnitWatch {
    /// Index into the steps, doubled; odd is the way back. Meaningless while `matches` is zero.
    step: u8,
    matches: u32,
    back: u32,
    #[serde(with = "crate::exact::one")]
    mean: f64,
    #[serde(with = "crate::exact::one")]
    spread: f64,
    started: i64,
}

/// A number that comes back bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Bits(#[serde(with = "crate::exact::one")] f64);

/// What a rule asks to be said, before the evidence is put to it.
struct Claim {
    rule: Rule,
    aspect: Option<Aspect>,
    severity: f64,
    observed: f64,
    expected: Option<(f64, f64)>,
    limit: Option<f64>,
}

impl RuleBook {
    pub(super) fn active(&self) -> Rules {
        self.active
    }

    /// The newest reading raised the score anew.
    pub(super) fn episode_began(&self) -> bool {
        self.episode_began
    }

    /// Lowest and highest level of the last days while nothing was wrong.
    pub(super) fn normal(&self) -> Option<(f64, f64)> {
        self.normal.band()
    }

    /// Makes a level normal; what stands against the score ends with the next calm readings.
    pub(super) fn accept(&mut self, level: f64) {
        self.normal.accept(level);
    }

    /// Notes that the source spoke at `at`, and ends a silence that was too long.
    pub(super) fn heard(
        &mut self,
        at: i64,
        profile: &SensorProfile,
        before: Baseline,
        findings: &mut Vec<Finding>,
    ) {
        if let Some(mut finding) = self.overdue(at, profile, before) {
            finding.phase = Phase::Cleared;
            findings.push(finding);
        }
        let Some(heard_at) = self.heard_at else {
            self.heard_at = Some(at);
            return;
        };
        if at > heard_at {
            self.interval.learn(at.saturating_sub(heard_at) as f64 / 1e6);
            self.heard_at = Some(at);
        }
    }

    /// Takes back a time that only an unbelieved reading had: `at` is the newest believed one.
    pub(super) fn believed(&mut self, at: i64) {
        self.heard_at = Some(at);
    }

    /// Seconds between readings as learned so far.
    pub(super) fn interval_s(&self) -> Option<f64> {
        self.interval.seconds()
    }

    pub(super) fn overdue(
        &self,
        now: i64,
        profile: &SensorProfile,
        before: Baseline,
    ) -> Option<Finding> {
        let heard_at = self.heard_at?;
        let allowed_s = match profile.interval_s {
            Some(interval) if interval > 0.0 => interval * MISSING_INTERVALS,
            _ => {
                let typical_s = self.interval.seconds()? * MISSING_LEARNED_INTERVALS;
                typical_s.max(self.interval.long_seconds()? * MISSING_LONG_INTERVALS)
            }
        };
        let silent_s = now.saturating_sub(heard_at) as f64 / 1e6;
        (silent_s > allowed_s).then(|| Finding {
            rule: Rule::Missing,
            phase: Phase::Onset,
            aspect: None,
            severity: growing(silent_s / allowed_s),
            observed: silent_s,
            expected: Some((0.0, allowed_s)),
            limit: Some(allowed_s),
            evidence: evidence(heard_at, now, before),
        })
    }

    /// Watches how often the times of readings step back.
    pub(super) fn order(&mut self, at: i64, before: Baseline, findings: &mut Vec<Finding>) {
        let back = self.before_at.replace(at).is_some_and(|last| at < last);
        self.back_share += BACK_WEIGHT * (f64::from(u8::from(back)) - self.back_share);
        let on = if self.active.contains(Rule::OutOfOrder) {
            self.back_share > BACK_CLEAR
        } else {
            self.back_share > BACK_ONSET
        };
        let claim = |book: &Self| Claim {
            rule: Rule::OutOfOrder,
            aspect: None,
            severity: book.back_share,
            observed: book.back_share,
            expected: Some((0.0, BACK_ONSET)),
            limit: Some(BACK_ONSET),
        };
        self.turn(on, Rule::OutOfOrder, claim, (at, at), before, findings);
    }

    /// Puts a reading before every rule that looks at values.
    pub(super) fn judge(
        &mut self,
        sight: &Sight<'_>,
        profile: &SensorProfile,
        findings: &mut Vec<Finding>,
    ) -> Option<Change> {
        let change = self.judge_score(sight, findings);
        if let Some(range) = profile.range {
            self.judge_range(sight, range, findings);
        }
        if let (Some(limit), Some(elapsed_s)) = (profile.rate_max_per_s, sight.elapsed_s) {
            self.judge_rate(sight, limit, elapsed_s, findings);
        }
        self.judge_flatline(sight, profile.flatline, findings);
        self.judge_unit(sight, findings);
        self.last_value = sight.value;
        change
    }

    fn judge_score(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Option<Change> {
        let score = sight.surprise.score;
        let is_raised = score >= super::CLEAR_THRESHOLD;
        self.score_rose_at = is_raised.then(|| self.score_rose_at.unwrap_or(sight.at));
        let before = self.episode;
        self.episode = if before {
            self.score_calm = if is_raised { 0 } else { self.score_calm + 1 };
            self.score_calm < SCORE_CALM
        } else {
            self.score_calm = 0;
            sight.surprise.ready && score >= super::THRESHOLD
        };
        self.episode_began = self.episode && !before;
        let standing = self.active.contains(Rule::Score);
        let level = sight.surprise.level;
        let elapsed_s = sight.elapsed_s.unwrap_or(0.0);
        let place = standing.then(|| self.normal.place(level, elapsed_s));
        if !standing && !is_raised {
            self.normal.learn(sight.value, level, elapsed_s);
            self.level_before = sight.surprise.slow;
        }
        let change = place.and_then(|place| self.change(sight, place));
        self.score_peak = if standing { self.score_peak.max(score) } else { score };
        let claim = |book: &Self| Claim {
            rule: Rule::Score,
            aspect: Some(sight.surprise.aspect),
            severity: book.score_peak,
            observed: sight.surprise.aspect_observed(),
            expected: Some(sight.surprise.aspect_expected()),
            limit: None,
        };
        let since = self.score_rose_at.unwrap_or(sight.at);
        let on = self.episode || place == Some(Place::Outside);
        self.turn(on, Rule::Score, claim, (since, sight.at), sight.before, findings);
        if !on {
            self.changed_to = None;
        }
        change
    }

    /// A level that was left for good, or was found again after that.
    fn change(&mut self, sight: &Sight<'_>, place: Place) -> Option<Change> {
        let level = sight.surprise.level;
        let noise = self.normal.noise();
        let told = |at: i64, before: f64, after: f64, confidence: f64| Change {
            at: Timestamp::from_micros(at),
            noticed_at: Timestamp::from_micros(sight.at),
            before,
            after,
            noise,
            confidence,
        };
        match (place, self.changed_to) {
            (Place::Outside, None) => {
                let sure = self.normal.lasting(level, sight.surprise.slow)?;
                let since = self.since[Rule::Score as usize];
                let after = level;
                let change = told(since, self.level_before, after, sure);
                self.changed_to = Some(Bits(after));
                Some(change)
            }
            (Place::Within, Some(Bits(before))) => {
                let change = told(sight.at, before, level, BACK_SURE);
                self.changed_to = None;
                Some(change)
            }
            _ => None,
        }
    }

    fn judge_range(
        &mut self,
        sight: &Sight<'_>,
        (low, high): (f64, f64),
        findings: &mut Vec<Finding>,
    ) {
        let span = (high - low).abs();
        let margin = if self.active.contains(Rule::Range) { RANGE_DEADBAND * span } else { 0.0 };
        let on = sight.value < low + margin || sight.value > high - margin;
        let beyond = (low - sight.value).max(sight.value - high).max(0.0);
        let claim = |_: &Self| Claim {
            rule: Rule::Range,
            aspect: None,
            severity: growing(1.0 + if span > 0.0 { beyond / span } else { 1.0 }),
            observed: sight.value,
            expected: Some((low, high)),
            limit: Some(if sight.value < low { low } else { high }),
        };
        self.turn(on, Rule::Range, claim, (sight.at, sight.at), sight.before, findings);
    }

    fn judge_rate(
        &mut self,
        sight: &Sight<'_>,
        limit: f64,
        elapsed_s: f64,
        findings: &mut Vec<Finding>,
    ) {
        let rate = (sight.value - self.last_value) / elapsed_s;
        let on = if self.active.contains(Rule::Rate) {
            self.rate_calm =
                if rate.abs() < RATE_CALM_SHARE * limit { self.rate_calm + 1 } else { 0 };
            self.rate_calm < RATE_CALM
        } else {
            self.rate_calm = 0;
            rate.abs() > limit
        };
        let reach = limit * elapsed_s;
        let claim = |book: &Self| Claim {
            rule: Rule::Rate,
            aspect: None,
            severity: growing(rate.abs() / limit),
            observed: sight.value,
            expected: Some((book.last_value - reach, book.last_value + reach)),
            limit: Some(limit),
        };
        self.turn(on, Rule::Rate, claim, (sight.at, sight.at), sight.before, findings);
    }

    fn judge_flatline(
        &mut self,
        sight: &Sight<'_>,
        flatline: Flatline,
        findings: &mut Vec<Finding>,
    ) {
        let tolerance = match flatline {
            Flatline::After { tolerance, .. } => tolerance.max(0.0),
            Flatline::Auto | Flatline::Off => 0.0,
        };
        let fresh = self.flat.samples == 0;
        self.flat.follow(sight.at, sight.value, tolerance);
        let on = match flatline {
            Flatline::Off => false,
            Flatline::After { seconds, .. } => {
                !fresh && sight.at.saturating_sub(self.flat.started) as f64 / 1e6 >= seconds
            }
            Flatline::Auto => self.flat.is_longer_than_ever(),
        };
        let claim = |_: &Self| Claim {
            rule: Rule::Flatline,
            aspect: None,
            severity: 0.5,
            observed: sight.value,
            expected: None,
            limit: None,
        };
        self.turn(on, Rule::Flatline, claim, (self.flat.started, sight.at), sight.before, findings);
    }

    fn judge_unit(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) {
        let on = self.unit.follow(sight, self.active.contains(Rule::UnitJump));
        let reach = UNIT_SPREADS * self.unit.spread;
        let claim = |book: &Self| Claim {
            rule: Rule::UnitJump,
            aspect: None,
            severity: 0.9,
            observed: sight.value,
            expected: Some((book.unit.mean - reach, book.unit.mean + reach)),
            limit: None,
        };
        self.turn(on, Rule::UnitJump, claim, (self.unit.started, sight.at), sight.before, findings);
    }

    /// Says a finding when a rule starts or ends, which few readings do; only then is put together
    /// what it claims.
    #[inline(always)]
    fn turn(
        &mut self,
        on: bool,
        rule: Rule,
        claim: impl FnOnce(&Self) -> Claim,
        (since, at): (i64, i64),
        before: Baseline,
        findings: &mut Vec<Finding>,
    ) {
        if on != self.active.contains(rule) {
            let claim = claim(self);
            findings.push(self.turned(on, claim, since, at, before));
        }
    }

    #[cold]
    fn turned(&mut self, on: bool, claim: Claim, since: i64, at: i64, before: Baseline) -> Finding {
        self.active.set(claim.rule, on);
        let slot = &mut self.since[claim.rule as usize];
        let start = if on { since } else { *slot };
        *slot = if on { since } else { 0 };
        Finding {
            rule: claim.rule,
            phase: if on { Phase::Onset } else { Phase::Cleared },
            aspect: claim.aspect,
            severity: claim.severity.clamp(0.0, 1.0),
            observed: claim.observed,
            expected: claim.expected,
            limit: claim.limit,
            evidence: evidence(start, at, before),
        }
    }
}

impl FlatRun {
    fn follow(&mut self, at: i64, value: f64, tolerance: f64) {
        let repeats = self.samples > 0 && (value - self.anchor).abs() <= tolerance;
        if repeats {
            self.length = self.length.saturating_add(1);
        } else {
            // A run that was found to be a fault is no measure of what is normal.
            if !self.is_longer_than_ever() {
                self.longest = self.longest.max(self.length);
            }
            *self = Self { anchor: value, started: at, length: 1, ..*self };
        }
        self.samples = self.samples.saturating_add(1);
        // A long run must not teach the detector that this sensor repeats itself.
        if self.length <= FLAT_RUN_MIN {
            let few = self.samples < FLAT_LEARN_MIN;
            let weight = if few { 1.0 / self.samples as f64 } else { FLAT_WEIGHT };
            self.repeat_share += weight * (f64::from(u8::from(repeats)) - self.repeat_share);
        }
    }

    fn is_longer_than_ever(&self) -> bool {
        let usual = self.longest.saturating_mul(FLAT_RUN_FACTOR).max(FLAT_RUN_MIN);
        self.samples >= FLAT_LEARN_MIN
            && self.length >= usual
            && self.repeat_share < FLAT_REPEAT_SHARE
    }
}

impl UnitWatch {
    /// True while the sensor speaks in another unit.
    fn follow(&mut self, sight: &Sight<'_>, standing: bool) -> bool {
        if standing {
            let home = (sight.value - self.mean).abs() <= UNIT_SPREADS * self.spread;
            self.back = if home { self.back + 1 } else { 0 };
            if self.back >= UNIT_CONFIRM {
                *self = Self::default();
            }
            return self.matches > 0;
        }
        if self.matches > 0 {
            let expected = step(self.step, self.mean);
            if self.is_near(sight.value, expected) {
                self.matches += 1;
            } else {
                self.matches = 0;
            }
            return self.matches >= UNIT_CONFIRM;
        }
        let Baseline { mean, spread, samples, .. } = sight.before;
        let leap = (sight.value - mean).abs();
        if samples < UNIT_LEARN_MIN || leap <= UNIT_SPREADS * spread || spread <= 0.0 {
            return false;
        }
        let watch = Self { mean, spread, started: sight.at, ..Self::default() };
        let steps = 0..2 * UNIT_STEPS.len() as u8;
        let found = steps.clone().find(|index| watch.is_near(sight.value, step(*index, mean)));
        if let Some(index) = found {
            *self = Self { step: index, matches: 1, ..watch };
        }
        false
    }

    fn is_near(&self, value: f64, expected: f64) -> bool {
        let jump = (expected - self.mean).abs();
        let near = UNIT_TOLERANCE * jump.min(expected.abs());
        jump > UNIT_SPREADS * self.spread && (value - expected).abs() <= near
    }
}

fn step(index: u8, value: f64) -> f64 {
    let (scale, offset) = UNIT_STEPS[usize::from(index / 2) % UNIT_STEPS.len()];
    if index.is_multiple_of(2) { value * scale + offset } else { (value - offset) / scale }
}

/// 0.5 at the limit, towards 1 the further beyond.
fn growing(ratio: f64) -> f64 {
    1.0 - 0.5 / ratio.max(1.0)
}

fn evidence(since: i64, until: i64, before: Baseline) -> Evidence {
    Evidence {
        since: Timestamp::from_micros(since),
        until: Timestamp::from_micros(until),
        samples: before.samples,
        baseline_mean: before.mean,
        baseline_spread: before.spread,
        score: before.score,
    }
}
