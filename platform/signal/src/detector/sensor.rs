use kernel::{Quality, Reason, Timestamp};
use serde::{Deserialize, Serialize};

use super::rules::{Baseline, RuleBook, Sight};
use super::{Disposition, Finding, Rules, SensorProfile, Verdict};
use crate::score::{Aspect, Scorer, Surprise};

/// The detector of one sensor. See the [module](super) for what it does.
///
/// The same readings in the same order give the same verdicts, also when the detector was written
/// down and read back (serde) in between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SensorDetector {
    profile: SensorProfile,
    scorer: Scorer,
    rules: RuleBook,
    /// Event time of the newest judged reading, µs.
    last_at: Option<i64>,
    /// What was said about it: repeated while readings are held or late.
    last: LastWord,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct LastWord {
    #[serde(with = "crate::exact::one")]
    score: f64,
    ready: bool,
}

impl SensorDetector {
    #[must_use]
    pub fn new(profile: SensorProfile) -> Self {
        Self {
            profile,
            scorer: Scorer::new(),
            rules: RuleBook::default(),
            last_at: None,
            last: LastWord::default(),
        }
    }

    #[must_use]
    pub fn profile(&self) -> &SensorProfile {
        &self.profile
    }

    /// Takes a changed profile and keeps everything learned.
    pub fn set_profile(&mut self, profile: SensorProfile) {
        self.profile = profile;
    }

    /// Event time of the newest reading that was judged.
    #[must_use]
    pub fn last_at(&self) -> Option<Timestamp> {
        self.last_at.map(Timestamp::from_micros)
    }

    /// The rules that stand now, without `missing` (ask [`overdue`](Self::overdue)).
    #[must_use]
    pub fn active(&self) -> Rules {
        self.rules.active()
    }

    /// Lowest and highest level of the last days while nothing was wrong; `None` before that is
    /// known.
    #[must_use]
    pub fn normal(&self) -> Option<(f64, f64)> {
        self.rules.normal()
    }

    /// Takes the present level for normal from now on: somebody looked and said so.
    pub fn accept_level(&mut self) {
        self.rules.accept(self.scorer.level());
    }

    /// Judges one reading and learns from it.
    ///
    /// Readings that cannot be believed are [held](Disposition::Held): they neither raise nor clear
    /// anything and nothing is learned from them. A reading that is not newer than the newest one
    /// is [late](Disposition::Late) and leaves score and baseline untouched.
    pub fn observe(&mut self, at: Timestamp, value: f64, quality: Quality) -> Verdict {
        let at = at.as_micros();
        let mut findings = Vec::new();
        if !value.is_finite() || !is_believed(quality) {
            if !is_from_elsewhen(quality) {
                self.rules.heard(at, &self.profile, self.baseline(), &mut findings);
            }
            return self.repeat(Disposition::Held, findings);
        }
        let late = self.last_at.is_some_and(|last| at <= last);
        self.rules.order(at, self.baseline(), &mut findings);
        if late {
            return self.repeat(Disposition::Late, findings);
        }
        let before = self.baseline();
        let elapsed_s = self.last_at.map(|last| at.saturating_sub(last) as f64 / 1e6);
        let surprise = self.scorer.observe(at, value, elapsed_s, self.rules.interval_s());
        let sight = Sight { at, value, elapsed_s, surprise: &surprise, before };
        self.rules.heard(at, &self.profile, before, &mut findings);
        self.rules.believed(at);
        let change = self.rules.judge(&sight, &self.profile, &mut findings);
        self.last_at = Some(at);
        self.last = LastWord { score: surprise.score, ready: surprise.ready };
        Verdict { change: change.map(Box::new), ..self.verdict(&surprise, findings) }
    }

    /// How much each aspect would have in the score of the next reading, 0 to 1, largest first;
    /// nothing is learned.
    #[must_use]
    pub fn shares(&self, at: Timestamp, value: f64) -> Vec<(Aspect, f64)> {
        let at = at.as_micros();
        let elapsed_s = self.last_at.map(|last| at.saturating_sub(last) as f64 / 1e6);
        let mut shares: Vec<(Aspect, f64)> = Vec::new();
        for (aspect, share) in self.scorer.shares(at, value, elapsed_s, self.rules.interval_s()) {
            match shares.iter_mut().find(|(known, _)| *known == aspect) {
                Some((_, sum)) => *sum += share,
                None => shares.push((aspect, share)),
            }
        }
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        shares
    }

    /// Says whether the sensor has been silent for longer than its interval allows. Called by a
    /// timer; `Some` on every call while the silence lasts. The reading that ends the silence
    /// carries the finding `missing` with phase `cleared`.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Option<Finding> {
        self.rules.overdue(now.as_micros(), &self.profile, self.baseline())
    }

    fn baseline(&self) -> Baseline {
        let view = self.scorer.baseline();
        Baseline {
            mean: view.mean,
            spread: view.spread,
            samples: view.samples,
            score: self.last.score,
        }
    }

    fn verdict(&self, surprise: &Surprise, findings: Vec<Finding>) -> Verdict {
        Verdict {
            score: surprise.score,
            ready: surprise.ready,
            expected: surprise.expected,
            disposition: Disposition::Judged,
            rose: self.rules.episode_began(),
            active: self.rules.active(),
            findings,
            change: None,
        }
    }

    fn repeat(&self, disposition: Disposition, findings: Vec<Finding>) -> Verdict {
        Verdict {
            score: self.last.score,
            ready: self.last.ready,
            expected: self.scorer.expected(),
            disposition,
            rose: false,
            active: self.rules.active(),
            findings,
            change: None,
        }
    }
}

/// Bad readings are no evidence of anything, and neither is a value that is old, stuck or comes
/// from a wrong clock. Other doubts (out of range, entered by hand, simulated) are for the rules.
fn is_believed(quality: Quality) -> bool {
    let repeated =
        matches!(quality.reason(), Some(Reason::FutureTime | Reason::Stale | Reason::Stuck));
    !quality.is_bad() && !repeated
}

/// Readings whose time says nothing about when the source last spoke.
fn is_from_elsewhen(quality: Quality) -> bool {
    matches!(quality.reason(), Some(Reason::FutureTime | Reason::Stale))
}

#[cfg(test)]
mod tests;
