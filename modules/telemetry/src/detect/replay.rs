use std::collections::VecDeque;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use signal::detector::{Aspect, Finding, Rule, SensorDetector, SensorProfile};
use store::series::Point;

use super::Saved;

/// What the detector said when an anomaly began, and what it had been told of the sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Onset {
    pub finding: Finding,
    pub profile: SensorProfile,
}

/// The state that was written down last before an anomaly began.
#[derive(Debug)]
pub(crate) enum SavedBefore {
    /// None was: the readings from the sensor's first on give the same answer.
    Nothing,
    State(Box<Saved>),
    /// Written by another version of the method.
    Unreadable,
}

impl SavedBefore {
    /// Why readings cannot be judged from here on.
    pub(crate) fn hindrance(&self, unit: Option<&str>) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::State(saved) => (saved.unit.as_deref() != unit)
                .then_some("the unit of the sensor was changed shortly before"),
            Self::Unreadable => Some("the method of the detector has changed since"),
        }
    }

    /// The newest reading that is part of the state.
    pub(crate) fn reaches(&self) -> Option<Timestamp> {
        match self {
            Self::Nothing | Self::Unreadable => None,
            Self::State(saved) => saved.detector.last_at(),
        }
    }
}

/// A reading as it was judged again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judged {
    pub point: Point,
    pub score: f64,
    /// Where it was expected.
    pub expected: Option<(f64, f64)>,
}

/// What came out when readings were judged again.
#[derive(Debug)]
pub(crate) struct Again {
    /// The newest readings, oldest first.
    pub readings: Vec<Judged>,
    /// The finding, if there was one of this rule at this time.
    pub finding: Option<Finding>,
    /// What the score of the last reading consists of, largest share first.
    pub aspects: Vec<(Aspect, f64)>,
}

/// Judges the readings after a state again, up to where an anomaly was found. Keeps the last `keep`.
pub(crate) fn judge_again(
    before: SavedBefore,
    onset: &Onset,
    points: &[Point],
    keep: usize,
) -> Again {
    let mut detector = match before {
        SavedBefore::Nothing | SavedBefore::Unreadable => SensorDetector::new(onset.profile),
        SavedBefore::State(saved) => saved.detector,
    };
    detector.set_profile(onset.profile);
    let until = onset.finding.evidence.until;
    let mut readings = VecDeque::with_capacity(keep.min(points.len()));
    let (mut finding, mut aspects) = (None, Vec::new());
    for point in points {
        if point.at == until {
            aspects = detector.shares(point.at, point.value);
        }
        let verdict = detector.observe(point.at, point.value, point.quality);
        if readings.len() == keep {
            readings.pop_front();
        }
        let (score, expected) = (verdict.score, verdict.expected);
        readings.push_back(Judged { point: *point, score, expected });
        let found = verdict.findings.into_iter().find(|found| {
            found.is_onset() && found.rule == onset.finding.rule && found.evidence.until == until
        });
        finding = found.or(finding);
    }
    if onset.finding.rule == Rule::Missing {
        finding = detector.overdue(until);
    }
    Again { readings: readings.into(), finding, aspects }
}
