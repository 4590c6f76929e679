//! On-delay, off-delay and deadband: how something wrong becomes an alarm only when it lasts, and
//! an alarm ends only when it is really over.
//!
//! Delays are judged in plant time wherever two events tell it. Where only silence follows, the
//! wall clock decides: a recording replayed faster than life is then at least as far.

use std::time::Duration;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::Severity;
use crate::sense::{Anomaly, AnomalyState, Cause};

/// How long something must last. Set once for the whole plant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlarmPolicy {
    /// By priority 1 to 4: wrong for so long before it is an alarm.
    pub on_delay: [Duration; 4],
    /// In order for so long before the alarm is over.
    pub off_delay: Duration,
    /// A return so close to the limit, as a share of the expected band, must last twice as long.
    pub deadband_share: f64,
    /// A returned alarm that comes back within this time is the same alarm.
    pub reoccurrence: Duration,
}

impl Default for AlarmPolicy {
    fn default() -> Self {
        let none = Duration::ZERO;
        Self {
            on_delay: [none, none, none, Duration::from_secs(30)],
            off_delay: Duration::from_secs(10),
            deadband_share: 0.02,
            reoccurrence: Duration::from_secs(600),
        }
    }
}

impl AlarmPolicy {
    fn on(&self, severity: Severity) -> Duration {
        let index = usize::try_from(severity.priority() - 1).unwrap_or(0);
        self.on_delay.get(index).copied().unwrap_or_default()
    }

    fn off(&self, anomaly: &Anomaly) -> Duration {
        let near = anomaly.expected.zip(anomaly.value).is_some_and(|(band, value)| {
            let Some((low, high)) = band.low.zip(band.high) else { return false };
            let deadband = (high - low).abs() * self.deadband_share;
            (high - value).abs() < deadband || (value - low).abs() < deadband
        });
        if near { self.off_delay * 2 } else { self.off_delay }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub(crate) enum Phase {
    Idle,
    /// Wrong, but not long enough yet.
    Pending {
        since: Timestamp,
        heard: Timestamp,
    },
    Standing,
    /// In order, but not long enough yet.
    Returning {
        since: Timestamp,
        heard: Timestamp,
    },
}

/// What is known of one sensor and one rule between events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tracker {
    pub(crate) phase: Phase,
    /// The newest word about it, and the event that said so.
    pub(crate) anomaly: Anomaly,
    pub(crate) cause: Cause,
}

/// What happens to the alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Raise { at: Timestamp },
    Worsen,
    Return { at: Timestamp },
}

/// Takes the next word about a sensor and a rule.
#[must_use]
pub(crate) fn hear(
    known: Option<Tracker>,
    anomaly: Anomaly,
    cause: Cause,
    policy: &AlarmPolicy,
    heard: Timestamp,
) -> (Tracker, Vec<Action>) {
    let before = known.as_ref().map(|tracker| tracker.anomaly.severity);
    let phase = known.map_or(Phase::Idle, |tracker| tracker.phase);
    let worse = before.is_some_and(|severity| anomaly.severity > severity);
    let (phase, actions) = match anomaly.state {
        AnomalyState::Active => hear_active(phase, &anomaly, worse, policy, heard),
        AnomalyState::Cleared => hear_cleared(phase, &anomaly, policy, heard),
    };
    (Tracker { phase, anomaly, cause }, actions)
}

fn hear_active(
    phase: Phase,
    anomaly: &Anomaly,
    worse: bool,
    policy: &AlarmPolicy,
    heard: Timestamp,
) -> (Phase, Vec<Action>) {
    let raise = Action::Raise { at: anomaly.detected_at };
    let on = policy.on(anomaly.severity);
    match phase {
        Phase::Idle if on.is_zero() => (Phase::Standing, vec![raise]),
        Phase::Idle => (Phase::Pending { since: anomaly.detected_at, heard }, Vec::new()),
        Phase::Pending { since, .. } if anomaly.detected_at.since(since) >= on => {
            (Phase::Standing, vec![raise])
        }
        Phase::Standing if worse => (Phase::Standing, vec![Action::Worsen]),
        Phase::Pending { .. } | Phase::Standing => (phase, Vec::new()),
        // Wrong again before the return counted: it never ended.
        Phase::Returning { since, .. }
            if anomaly.detected_at.since(since) < policy.off(anomaly) =>
        {
            (Phase::Standing, if worse { vec![Action::Worsen] } else { Vec::new() })
        }
        Phase::Returning { since, .. } => {
            let (phase, mut actions) = hear_active(Phase::Idle, anomaly, false, policy, heard);
            actions.insert(0, Action::Return { at: since });
            (phase, actions)
        }
    }
}

fn hear_cleared(
    phase: Phase,
    anomaly: &Anomaly,
    policy: &AlarmPolicy,
    heard: Timestamp,
) -> (Phase, Vec<Action>) {
    let at = anomaly.cleared_at.unwrap_or(anomaly.detected_at);
    let over = |mut actions: Vec<Action>| {
        if policy.off(anomaly).is_zero() {
            actions.push(Action::Return { at });
            return (Phase::Idle, actions);
        }
        (Phase::Returning { since: at, heard }, actions)
    };
    match phase {
        Phase::Standing => over(Vec::new()),
        // It lasted long enough, only nobody looked meanwhile.
        Phase::Pending { since, .. } if at.since(since) >= policy.on(anomaly.severity) => {
            over(vec![Action::Raise { at: since }])
        }
        Phase::Pending { .. } | Phase::Idle => (Phase::Idle, Vec::new()),
        Phase::Returning { .. } => (phase, Vec::new()),
    }
}

/// What silence until `now` (wall time) means.
#[must_use]
pub(crate) fn ripen(
    tracker: &Tracker,
    policy: &AlarmPolicy,
    now: Timestamp,
) -> Option<(Phase, Action)> {
    if ripe_at(tracker, policy).is_none_or(|at| now < at) {
        return None;
    }
    match tracker.phase {
        Phase::Pending { since, .. } => Some((Phase::Standing, Action::Raise { at: since })),
        Phase::Returning { since, .. } => Some((Phase::Idle, Action::Return { at: since })),
        Phase::Idle | Phase::Standing => None,
    }
}

/// When [`ripen`] must look, wall time.
#[must_use]
pub(crate) fn ripe_at(tracker: &Tracker, policy: &AlarmPolicy) -> Option<Timestamp> {
    match tracker.phase {
        Phase::Pending { heard, .. } => Some(heard.plus(policy.on(tracker.anomaly.severity))),
        Phase::Returning { heard, .. } => Some(heard.plus(policy.off(&tracker.anomaly))),
        Phase::Idle | Phase::Standing => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use kernel::{CorrelationId, EventId};
    use proptest::prelude::*;
    use serde_json::json;

    const T0: i64 = 1_700_000_000;

    pub(crate) fn anomaly(state: &str, severity: &str, at_s: i64) -> Anomaly {
        let at = Timestamp::from_secs(T0 + at_s);
        serde_json::from_value(json!({
            "anomaly_id": uuid::Uuid::nil(), "sensor": "north/p-2/vibration", "asset": "north/p-2",
            "site": "north", "kind": "vibration", "unit": "mm/s", "rule": "score", "state": state,
            "severity": severity, "score": 0.97, "value": 9.0, "expected": {"low": 1.0, "high": 4.5},
            "started_at": at, "detected_at": at,
            "cleared_at": (state == "cleared").then_some(at), "origin": "replayed"
        }))
        .unwrap()
    }

    fn cause() -> Cause {
        Cause { event: EventId::new(), correlation: CorrelationId::new() }
    }

    fn run(words: &[(&str, &str, i64)], policy: &AlarmPolicy) -> (Option<Tracker>, Vec<Action>) {
        let (mut tracker, mut all) = (None, Vec::new());
        for (state, severity, at) in words {
            let heard = Timestamp::from_secs(1_800_000_000);
            let (next, actions) =
                hear(tracker, anomaly(state, severity, *at), cause(), policy, heard);
            tracker = Some(next);
            all.extend(actions);
        }
        (tracker, all)
    }

    fn at(at_s: i64) -> Timestamp {
        Timestamp::from_secs(T0 + at_s)
    }

    #[test]
    fn what_is_urgent_rings_at_once() {
        let (_, actions) = run(&[("active", "high", 0)], &AlarmPolicy::default());
        assert_eq!(actions, [Action::Raise { at: at(0) }]);
    }

    #[test]
    fn a_blip_of_low_severity_is_no_alarm() {
        let words = [("active", "low", 0), ("cleared", "low", 29)];
        assert!(run(&words, &AlarmPolicy::default()).1.is_empty());
    }

    #[test]
    fn a_recording_is_judged_by_its_own_time() {
        // Both words come within one instant of wall time.
        let words = [("active", "low", 0), ("cleared", "low", 31)];
        let (tracker, actions) = run(&words, &AlarmPolicy::default());
        assert_eq!(actions, [Action::Raise { at: at(0) }]);
        assert!(matches!(tracker.unwrap().phase, Phase::Returning { .. }));
    }

    #[test]
    fn a_short_gap_does_not_ring_twice() {
        let words = [("active", "high", 0), ("cleared", "high", 60), ("active", "high", 65)];
        assert_eq!(run(&words, &AlarmPolicy::default()).1.len(), 1);
        let apart = [("active", "high", 0), ("cleared", "high", 60), ("active", "high", 75)];
        assert_eq!(
            run(&apart, &AlarmPolicy::default()).1,
            [
                Action::Raise { at: at(0) },
                Action::Return { at: at(60) },
                Action::Raise { at: at(75) }
            ]
        );
    }

    #[test]
    fn silence_ripens_by_the_wall_clock() {
        let policy = AlarmPolicy::default();
        let (tracker, _) = run(&[("active", "low", 0)], &policy);
        let tracker = tracker.unwrap();
        let ripe = ripe_at(&tracker, &policy).unwrap();
        assert!(ripen(&tracker, &policy, ripe.minus(Duration::from_micros(1))).is_none());
        let (phase, action) = ripen(&tracker, &policy, ripe).unwrap();
        assert_eq!((phase, action), (Phase::Standing, Action::Raise { at: at(0) }));
    }

    #[test]
    fn a_return_at_the_limit_must_last_longer() {
        let policy = AlarmPolicy::default();
        let mut near = anomaly("cleared", "high", 0);
        near.value = Some(4.49);
        let far = Anomaly { value: Some(3.0), ..near.clone() };
        assert_eq!(policy.off(&near), policy.off(&far) * 2);
    }

    #[test]
    fn getting_worse_is_said_once() {
        let words =
            [("active", "medium", 0), ("active", "critical", 10), ("active", "critical", 20)];
        let (_, actions) = run(&words, &AlarmPolicy::default());
        assert_eq!(actions, [Action::Raise { at: at(0) }, Action::Worsen]);
    }

    proptest! {
        #[test]
        fn raises_and_returns_alternate(
            steps in prop::collection::vec((any::<bool>(), 0_u8..4, 0_i64..90), 0..80)
        ) {
            let severities = ["low", "medium", "high", "critical"];
            let (mut tracker, mut standing, mut clock) = (None, false, 0);
            for (active, severity, gap) in steps {
                clock += gap;
                let word = anomaly(
                    if active { "active" } else { "cleared" },
                    severities[usize::from(severity)],
                    clock,
                );
                let heard = Timestamp::from_secs(clock);
                let (next, actions) =
                    hear(tracker, word, cause(), &AlarmPolicy::default(), heard);
                for action in actions {
                    match action {
                        Action::Raise { .. } => {
                            prop_assert!(!standing);
                            standing = true;
                        }
                        Action::Return { .. } => {
                            prop_assert!(standing);
                            standing = false;
                        }
                        Action::Worsen => prop_assert!(standing),
                    }
                }
                let stands = matches!(next.phase, Phase::Standing | Phase::Returning { .. });
                prop_assert_eq!(stands, standing);
                tracker = Some(next);
            }
        }
    }
}
