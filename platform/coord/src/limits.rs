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
