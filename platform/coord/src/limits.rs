use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kernel::SharedClock;

/// Callers remembered per class. One that is forgotten starts with a full burst, so those that
/// used the least of theirs go first.
const CALLERS_MAX: usize = 10_000;
/// Forgotten in one go when a class is full of busy callers, so that a flood of new ones does
/// not sort the table at every call.
const EVICTED: usize = CALLERS_MAX / 16;

/// An allowance that refills evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls per `per`.
    pub calls: u32,
    pub per: Duration,
    /// Calls allowed at once.
    pub burst: u32,
}

/// The answer to "may I now?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub allowed: bool,
    pub remaining: u32,
    /// When the whole burst is free again.
    pub reset: Duration,
    /// When to come back; zero when allowed.
    pub retry_after: Duration,
}

/// Picoseconds since the clock's start: fine enough for a billion bytes a second.
type Picos = u128;

/// When each caller's allowance is whole again, by class.
type Busy = HashMap<&'static str, HashMap<String, Picos>>;

/// Request limits after the generic cell rate algorithm (ITU-T I.371), in memory.
#[derive(Debug)]
pub struct Limits {
    clock: SharedClock,
    busy: Mutex<Busy>,
}

impl Limits {
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, busy: Mutex::new(HashMap::new()) }
    }

    /// Counts `cost` calls of `caller` against `rate` in the class `class`.
    ///
    /// A call that costs more than the burst is allowed when the whole burst is free, and its
    /// rest is owed.
    pub fn check(&self, class: &'static str, caller: &str, rate: Rate, cost: u32) -> Verdict {
        if rate.calls == 0 || rate.burst == 0 {
            return Verdict {
                allowed: false,
                remaining: 0,
                reset: rate.per,
                retry_after: rate.per,
            };
        }
        let now = picos(self.clock.monotonic());
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let callers = busy.entry(class).or_default();
        let free_at = callers.get(caller).copied().unwrap_or(now).max(now);
        let (verdict, free_at) = decide(now, free_at, rate, cost);
        if verdict.allowed && free_at > now {
            match callers.get_mut(caller) {
                Some(slot) => *slot = free_at,
                None => {
                    make_room(callers, now);
                    callers.insert(caller.to_owned(), free_at);
                }
            }
        }
        verdict
    }
}

/// Whether a call may go on at `now`, and when the caller's allowance is whole again after it.
fn decide(now: Picos, free_at: Picos, rate: Rate, cost: u32) -> (Verdict, Picos) {
    let step = (picos(rate.per) / Picos::from(rate.calls)).max(1);
    let burst = step * Picos::from(rate.burst);
    // What must be free for the call to begin.
    let needed = step * Picos::from(cost.min(rate.burst));
    let owed = free_at - now;
    let left = |owed: Picos| u32::try_from(burst.saturating_sub(owed) / step).unwrap_or(u32::MAX);
    if owed + needed > burst {
        let verdict = Verdict {
            allowed: false,
            remaining: left(owed),
            reset: duration(owed),
            retry_after: duration(owed + needed - burst),
        };
        return (verdict, free_at);
    }
    let owed = owed + step * Picos::from(cost);
    let verdict = Verdict {
        allowed: true,
        remaining: left(owed),
        reset: duration(owed),
        retry_after: Duration::ZERO,
    };
    (verdict, now + owed)
}

fn make_room(callers: &mut HashMap<String, Picos>, now: Picos) {
    if callers.len() < CALLERS_MAX {
        return;
    }
    // Whoever's allowance is whole is as good as unknown.
    callers.retain(|_, free_at| *free_at > now);
    if callers.len() + EVICTED <= CALLERS_MAX {
        return;
    }
    let mut times: Vec<Picos> = callers.values().copied().collect();
    let (_, last_evicted, _) = times.select_nth_unstable(EVICTED - 1);
    let last_evicted = *last_evicted;
    callers.retain(|_, free_at| *free_at > last_evicted);
}

fn picos(span: Duration) -> Picos {
    span.as_nanos() * 1_000
}

fn duration(picos: Picos) -> Duration {
    // Rounded up: coming back a nanosecond early would be refused again.
    Duration::from_nanos(u64::try_from(picos.div_ceil(1_000)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use testkit::FakeClock;

    use super::*;

    const TEN_A_MINUTE: Rate = Rate { calls: 10, per: Duration::from_secs(60), burst: 3 };

    fn limits() -> (Arc<FakeClock>, Limits) {
        let clock = FakeClock::shared();
        (Arc::clone(&clock), Limits::new(clock))
    }

    #[test]
    fn a_burst_then_an_even_pace() {
        let (clock, limits) = limits();
        let check = || limits.check("actuation", "one", TEN_A_MINUTE, 1);
        let left: Vec<u32> = (0..3).map(|_| check().remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = check();
        assert!(!refused.allowed);
        assert_eq!(refused.retry_after, Duration::from_secs(6));
        assert_eq!(refused.reset, Duration::from_secs(18));
        clock.advance(refused.retry_after - Duration::from_nanos(1));
        assert!(!check().allowed);
        clock.advance(Duration::from_nanos(1));
        assert!(check().allowed);
        assert!(!check().allowed);
    }

    #[test]
    fn never_more_than_burst_plus_rate_in_any_window() {
        let (clock, limits) = limits();
        let mut allowed = 0;
        for _ in 0..6_000 {
            allowed += u32::from(limits.check("a", "one", TEN_A_MINUTE, 1).allowed);
            clock.advance(Duration::from_millis(100));
        }
        assert_eq!(allowed, 3 + 99, "burst, and one every 6 s in 600 s");
    }

    #[test]
    fn callers_and_classes_are_apart() {
        let (_clock, limits) = limits();
        while limits.check("a", "one", TEN_A_MINUTE, 1).allowed {}
        assert!(limits.check("a", "two", TEN_A_MINUTE, 1).allowed);
        assert!(limits.check("b", "one", TEN_A_MINUTE, 1).allowed);
    }

    #[test]
    fn a_wall_clock_that_jumps_changes_nothing() {
        let (clock, limits) = limits();
        while limits.check("a", "one", TEN_A_MINUTE, 1).allowed {}
        for to in [0, 4_000_000_000] {
            clock.set(kernel::Timestamp::from_secs(to));
            assert!(!limits.check("a", "one", TEN_A_MINUTE, 1).allowed);
        }
    }

    #[test]
    fn a_call_dearer_than_the_burst_waits_for_all_of_it_and_owes_the_rest() {
        let (clock, limits) = limits();
        let rate = Rate { calls: 50_000_000, per: Duration::from_secs(1), burst: 50_000_000 };
        assert!(limits.check("bytes", "one", rate, 100_000_000).allowed);
        let refused = limits.check("bytes", "one", rate, 1);
        assert!(!refused.allowed && refused.retry_after > Duration::from_secs(1));
        clock.advance(Duration::from_secs(2));
        assert_eq!(limits.check("bytes", "one", rate, 0).remaining, 50_000_000);
    }

    #[test]
    fn a_rate_of_nothing_allows_nothing() {
        let (_clock, limits) = limits();
        for rate in [Rate { calls: 0, ..TEN_A_MINUTE }, Rate { burst: 0, ..TEN_A_MINUTE }] {
            assert!(!limits.check("a", "one", rate, 1).allowed);
        }
    }

    #[test]
    fn a_flood_of_callers_stays_bounded_and_keeps_the_busiest() {
        let (clock, limits) = limits();
        while limits.check("a", "greedy", TEN_A_MINUTE, 1).allowed {}
        for caller in 0..3 * CALLERS_MAX {
            limits.check("a", &caller.to_string(), TEN_A_MINUTE, 1);
        }
        let known = |limits: &Limits| limits.busy.lock().unwrap()["a"].len();
        assert!(known(&limits) <= CALLERS_MAX);
        assert!(!limits.check("a", "greedy", TEN_A_MINUTE, 1).allowed);
        clock.advance(Duration::from_secs(60));
        for caller in 0..=CALLERS_MAX {
            limits.check("a", &format!("later {caller}"), TEN_A_MINUTE, 1);
        }
        assert!(known(&limits) <= CALLERS_MAX);
    }
}
