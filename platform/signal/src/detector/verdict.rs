use kernel::Timestamp;
use serde::{Deserialize, Serialize};

use crate::change::Change;
pub use crate::score::Aspect;

/// What the detector says about one reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// How anomalous the reading is, 0 to 1, on one scale for all sensors: compare with
    /// [`THRESHOLD`](super::THRESHOLD). Zero while warming up; the last score while held.
    pub score: f64,
    /// The score is backed by enough history. Rules from the profile work from the first reading.
    pub ready: bool,
    /// Where the reading was expected, lowest and highest; `None` while warming up.
    pub expected: Option<(f64, f64)>,
    pub disposition: Disposition,
    /// The score rose in this reading, also while an anomaly of the score stands already.
    pub rose: bool,
    /// The rules that stand after this reading.
    pub active: Rules,
    /// What started or ended with this reading; at most one per rule, mostly empty.
    pub findings: Vec<Finding>,
    /// A level that was found to have changed for good, or to be back.
    pub change: Option<Box<Change>>,
}

impl Verdict {
    /// The score as a series of alarms: at or above the threshold only in the reading with which
    /// the score rises, so that a long anomaly counts once.
    #[must_use]
    pub fn alarm_score(&self) -> f64 {
        if self.rose { self.score } else { self.score.min(super::CLEAR_THRESHOLD) }
    }
}

/// What the detector did with a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Judged and learned from.
    Judged,
    /// Not to be believed (bad, stale, stuck, from the future): all states are held as they are.
    Held,
    /// Not later than the newest reading seen: stored elsewhere, no part of this state.
    Late,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Unlikely after the sensor's own recent past.
    Score,
    /// Outside the range of the profile.
    Range,
    /// Changes faster than the profile allows.
    Rate,
    /// Repeats one value longer than it can.
    Flatline,
    /// Silent for longer than its interval allows.
    Missing,
    /// Many readings arrive with times that are not later than the one before.
    OutOfOrder,
    /// Jumped by the factor between two units, and stays there.
    UnitJump,
}

impl Rule {
    pub const ALL: [Self; 7] = [
        Self::Score,
        Self::Range,
        Self::Rate,
        Self::Flatline,
        Self::Missing,
        Self::OutOfOrder,
        Self::UnitJump,
    ];

    /// The name as it stands in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Range => "range",
            Self::Rate => "rate",
            Self::Flatline => "flatline",
            Self::Missing => "missing",
            Self::OutOfOrder => "out_of_order",
            Self::UnitJump => "unit_jump",
        }
    }
}

/// A set of rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rules(u8);

impl Rules {
    #[must_use]
    pub const fn contains(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u8) != 0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Rule> {
        Rule::ALL.into_iter().filter(move |rule| self.contains(*rule))
    }

    pub(super) const fn set(&mut self, rule: Rule, on: bool) {
        if on {
            self.0 |= 1 << rule as u8;
        } else {
            self.0 &= !(1 << rule as u8);
        }
    }
}

/// Whether a finding starts or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Onset,
    Cleared,
}

/// The start or the end of something wrong, with what is needed to explain it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub rule: Rule,
    pub phase: Phase,
    /// For `score`: what about the reading is unusual.
    pub aspect: Option<Aspect>,
    /// 0 (worth a note) to 1 (as bad as this rule gets). For `score` the score itself, when cleared
    /// the highest since the onset.
    pub severity: f64,
    /// The measured value; for a shifted level that level, for `missing` the silence in seconds, for
    /// `out_of_order` the share of late readings.
    pub observed: f64,
    /// Lowest and highest value that would have been in order, in the terms of `observed`.
    pub expected: Option<(f64, f64)>,
    /// The limit that was passed, in the terms of `observed`; for `rate` in units per second.
    pub limit: Option<f64>,
    pub evidence: Evidence,
}

impl Finding {
    #[must_use]
    pub fn is_onset(&self) -> bool {
        self.phase == Phase::Onset
    }
}

/// The stretch of readings and the baseline that a finding rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// First reading that belongs to the finding; its baseline lies before.
    pub since: Timestamp,
    /// The reading at which it was found.
    pub until: Timestamp,
    /// Readings the baseline was learned from.
    pub samples: u64,
    /// Level and spread (standard deviation, robust) of the sensor before.
    pub baseline_mean: f64,
    pub baseline_spread: f64,
    /// The anomaly score at that time.
    pub score: f64,
}
