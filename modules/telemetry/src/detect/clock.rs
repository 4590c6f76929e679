use kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// Lags this close to each other are one lag.
const TOLERANCE_S: i64 = 5;
/// Readings in a row with one lag, over at least this long, before it counts.
const CONFIRM: u32 = 30;
const CONFIRM_S: i64 = 60;
/// A lag that has moved by less is no skewed clock.
const SKEW_MIN_S: i64 = 30;
/// The largest lag that is taken for a usual one.
const USUAL_MAX_S: i64 = 300;

/// Compares the times that a source gives with the times of receipt.
///
/// A clock that was set wrongly moves all times by one amount; readings that were held up come with
/// lags that differ. So a lag counts only when many readings in a row agree on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SourceClock {
    usual_s: Option<i64>,
    seen_s: i64,
    matches: u32,
    since: i64,
    skew_s: Option<i64>,
}

impl SourceClock {
    /// How far the source's clock is behind; negative when it is ahead.
    pub(super) fn skew_s(&self) -> Option<i64> {
        self.skew_s
    }

    /// Takes the time of a reading; true when the clock has become skewed or right again.
    pub(super) fn observe(&mut self, at: Timestamp, received: Timestamp) -> bool {
        let received_s = received.as_micros().div_euclid(1_000_000);
        let lag_s = received_s - at.as_micros().div_euclid(1_000_000);
        if self.matches > 0 && (lag_s - self.seen_s).abs() <= TOLERANCE_S {
            self.matches = self.matches.saturating_add(1);
        } else {
            (self.seen_s, self.matches, self.since) = (lag_s, 1, received_s);
        }
        if self.matches < CONFIRM || received_s - self.since < CONFIRM_S {
            return false;
        }
        let before = self.skew_s.is_some();
        let moved_s = self.seen_s - self.usual_s.unwrap_or(0);
        let limit_s = if self.usual_s.is_some() { SKEW_MIN_S } else { USUAL_MAX_S };
        self.skew_s = (moved_s.abs() > limit_s).then_some(moved_s);
        if self.skew_s.is_none() {
            self.usual_s = Some(self.seen_s);
        }
        before != self.skew_s.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_790_000_000 + seconds)
    }

    /// Feeds `count` readings a second apart from `from` with the lags of `lag`; counts the turns.
    fn feed(clock: &mut SourceClock, from: i64, count: i64, lag: impl Fn(i64) -> i64) -> usize {
        let turn = |n: &i64| clock.observe(at(n - lag(*n)), at(*n));
        (from..from + count).filter(turn).count()
    }

    #[test]
    fn a_clock_that_was_moved_is_found_and_so_is_its_return() {
        let mut clock = SourceClock::default();
        assert_eq!(feed(&mut clock, 0, 300, |n| n % 3), 0);
        assert_eq!(feed(&mut clock, 300, 300, |_| -3_600), 1);
        assert_eq!(clock.skew_s().map(|skew| skew / 60), Some(-60));
        assert_eq!(feed(&mut clock, 600, 300, |n| n % 3), 1);
        assert_eq!(clock.skew_s(), None);
    }

    #[test]
    fn readings_that_were_held_up_are_no_skewed_clock() {
        let mut clock = SourceClock::default();
        feed(&mut clock, 0, 300, |_| 1);
        // An hour's backlog comes in at ten times the speed.
        assert_eq!(feed(&mut clock, 300, 360, |n| 3_600 - 10 * (n - 300)), 0);
        // A source that sends a minute's readings at once.
        let batches = (0..3_000).filter(|n| clock.observe(at(700 + n), at(760 + n / 60 * 60)));
        assert_eq!(batches.count(), 0);
    }

    #[test]
    fn a_clock_that_never_was_right_is_found() {
        let mut clock = SourceClock::default();
        assert_eq!(feed(&mut clock, 0, 200, |_| 7_200), 1);
        assert_eq!(clock.skew_s(), Some(7_200));
    }
}
