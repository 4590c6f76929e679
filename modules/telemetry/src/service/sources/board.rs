//! What every source of readings did lately, counted where all doors meet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use kernel::Timestamp;
use sense::{SourceError, SourceId};

/// Sources that are remembered; beyond it the agent that was heard least lately is forgotten.
const SOURCES_MAX: usize = 1_000;
/// Seconds over which a rate is taken.
const RATE_S: usize = 10;
const MINUTES: usize = 60;
/// Length of an error kept for people.
const ERROR_CHARS_MAX: usize = 300;

/// A source is silent after so many of its usual pauses.
const USUAL_PAUSES: f64 = 5.0;
/// It is silent no sooner than after so many of its long pauses: many send in bursts.
const LONG_PAUSES: f64 = 3.0;
/// How much one pause counts among the usual ones.
const PAUSE_WEIGHT: f64 = 0.1;
/// A long pause is forgotten within about this many of its own length.
const LONG_MEMORY: f64 = 20.0;
const SILENCE_MIN_S: f64 = 10.0;
const SILENCE_MAX_S: f64 = 86_400.0;
/// For a source whose pauses are not known yet.
const SILENCE_UNKNOWN_S: f64 = 300.0;

/// What one delivery brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    /// The newest event time among what was accepted.
    pub(crate) newest_at: Option<Timestamp>,
    pub(crate) received: Timestamp,
}

/// Counts of the last `N` seconds or minutes.
#[derive(Clone, Debug)]
struct Ring<const N: usize> {
    first: i64,
    current: i64,
    counts: [u64; N],
}

impl<const N: usize> Ring<N> {
    fn new(index: i64) -> Self {
        Self { first: index, current: index, counts: [0; N] }
    }

    fn turn(&mut self, index: i64) {
        let passed = index.saturating_sub(self.current).clamp(0, N as i64);
        for step in 1..=passed {
            self.counts[(self.current + step).rem_euclid(N as i64) as usize] = 0;
        }
        if passed == N as i64 {
            self.counts = [0; N];
        }
        self.current = self.current.max(index);
    }

    fn add(&mut self, index: i64, count: u64) {
        self.turn(index);
        self.counts[self.current.rem_euclid(N as i64) as usize] += count;
    }

    /// The finished slots since the first count, oldest first.
    fn past(&mut self, index: i64) -> Vec<u64> {
        self.turn(index);
        let known = (self.current - self.first).clamp(0, N as i64 - 1);
        let slots = (self.current - known)..self.current;
        slots.map(|slot| self.counts[slot.rem_euclid(N as i64) as usize]).collect()
    }

    fn now(&self) -> u64 {
        self.counts[self.current.rem_euclid(N as i64) as usize]
    }
}

#[derive(Clone, Debug)]
struct Track {
    readings: u64,
    refused: u64,
    seconds: Ring<RATE_S>,
    minutes: Ring<MINUTES>,
    lag_ms: Option<i64>,
    newest_at: Option<Timestamp>,
    last_heard_at: Option<Timestamp>,
    usual_s: Option<f64>,
    long_s: f64,
    /// The last pause that was called a silence.
    odd_s: f64,
    last_error: Option<SourceError>,
}

impl Track {
    fn new(now: Timestamp) -> Self {
        Self {
            readings: 0,
            refused: 0,
            seconds: Ring::new(second(now)),
            minutes: Ring::new(minute(now)),
            lag_ms: None,
            newest_at: None,
            last_heard_at: None,
            usual_s: None,
            long_s: 0.0,
            odd_s: 0.0,
            last_error: None,
        }
    }

    fn heard(&mut self, heard: &Heard) {
        let now = heard.received;
        self.readings += heard.accepted;
        self.refused += heard.refused;
        self.seconds.add(second(now), heard.accepted);
        self.minutes.add(minute(now), heard.accepted);
        if let Some(at) = heard.newest_at {
            self.lag_ms = Some(now.micros_since(at) / 1_000);
            self.newest_at = Some(self.newest_at.map_or(at, |newest| newest.max(at)));
        }
        if let Some(last) = self.last_heard_at {
            self.learn(now.micros_since(last) as f64 / 1e6);
        }
        self.last_heard_at = Some(self.last_heard_at.map_or(now, |last| last.max(now)));
    }

    fn learn(&mut self, pause_s: f64) {
        if pause_s <= 0.0 {
            return;
        }
        // A pause that was called a silence is no example of how the source speaks, unless it
        // comes again: then the source sends in bursts.
        if self.usual_s.is_some() && pause_s > self.silent_after_s() {
            let again = self.odd_s > pause_s / 2.0 && self.odd_s < pause_s * 2.0;
            self.odd_s = pause_s;
            if !again {
                return;
            }
        }
        self.long_s = pause_s.max(self.long_s * (-pause_s / (LONG_MEMORY * self.long_s)).exp());
        self.usual_s =
            Some(self.usual_s.map_or(pause_s, |usual| usual + PAUSE_WEIGHT * (pause_s - usual)));
    }

    fn silent_after_s(&self) -> f64 {
        let Some(usual_s) = self.usual_s else { return SILENCE_UNKNOWN_S };
        (usual_s * USUAL_PAUSES).max(self.long_s * LONG_PAUSES).clamp(SILENCE_MIN_S, SILENCE_MAX_S)
    }

    fn show(&mut self, now: Timestamp) -> Tracked {
        let seconds = self.seconds.past(second(now));
        let per_s = |counts: &[u64]| counts.iter().sum::<u64>() as f64 / counts.len().max(1) as f64;
        let mut rates: Vec<f64> =
            self.minutes.past(minute(now)).iter().map(|count| *count as f64 / 60.0).collect();
        let into_minute_s = (now.as_micros() as f64 / 1e6).rem_euclid(60.0);
        if into_minute_s >= 1.0 || rates.is_empty() {
            rates.push(self.minutes.now() as f64 / into_minute_s.max(1.0));
        }
        Tracked {
            readings: self.readings,
            refused: self.refused,
            rate_per_s: per_s(&seconds),
            rates,
            lag_ms: self.lag_ms,
            newest_at: self.newest_at,
            last_heard_at: self.last_heard_at,
            silent_after: Duration::from_secs_f64(self.silent_after_s()),
            last_error: self.last_error.clone(),
        }
    }
}

/// What is known of one source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tracked {
    pub(crate) readings: u64,
    pub(crate) refused: u64,
    pub(crate) rate_per_s: f64,
    /// Readings per second in each minute of the last hour, oldest first.
    pub(crate) rates: Vec<f64>,
    pub(crate) lag_ms: Option<i64>,
    pub(crate) newest_at: Option<Timestamp>,
    pub(crate) last_heard_at: Option<Timestamp>,
    /// Having said nothing for so long it counts as silent.
    pub(crate) silent_after: Duration,
    pub(crate) last_error: Option<SourceError>,
}

/// All sources that were heard.
#[derive(Debug, Default)]
pub(crate) struct SourceBoard {
    tracks: RwLock<HashMap<SourceId, Arc<Mutex<Track>>>>,
}

impl SourceBoard {
    /// Counts a delivery. One look-up and one lock that hardly anyone shares.
    pub(crate) fn heard(&self, id: &SourceId, heard: Heard) {
        self.with(id, heard.received, |track| track.heard(&heard));
    }

    /// Notes what went wrong before there was anything to count.
    pub(crate) fn trouble(&self, id: &SourceId, reason: &str, now: Timestamp) {
        let message: String = reason.chars().take(ERROR_CHARS_MAX).collect();
        self.with(id, now, |track| track.last_error = Some(SourceError { at: now, message }));
    }

    pub(crate) fn get(&self, id: &SourceId, now: Timestamp) -> Option<Tracked> {
        let tracks = self.tracks.read().unwrap_or_else(PoisonError::into_inner);
        let track = Arc::clone(tracks.get(id)?);
        drop(tracks);
        Some(track.lock().unwrap_or_else(PoisonError::into_inner).show(now))
    }

    /// Every source, in order of id.
    pub(crate) fn all(&self, now: Timestamp) -> Vec<(SourceId, Tracked)> {
        let tracks = self.tracks.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<(SourceId, Arc<Mutex<Track>>)> =
            tracks.iter().map(|(id, track)| (id.clone(), Arc::clone(track))).collect();
        drop(tracks);
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let show = |track: Arc<Mutex<Track>>| {
            track.lock().unwrap_or_else(PoisonError::into_inner).show(now)
        };
        found.into_iter().map(|(id, track)| (id, show(track))).collect()
    }

    /// Forgets a source that is configured no more.
    pub(crate) fn forget(&self, id: &SourceId) {
        self.tracks.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn with(&self, id: &SourceId, now: Timestamp, change: impl FnOnce(&mut Track)) {
        let tracks = self.tracks.read().unwrap_or_else(PoisonError::into_inner);
        let known = tracks.get(id).map(Arc::clone);
        drop(tracks);
        let track = known.unwrap_or_else(|| self.admit(id, now));
        change(&mut track.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn admit(&self, id: &SourceId, now: Timestamp) -> Arc<Mutex<Track>> {
        let mut tracks = self.tracks.write().unwrap_or_else(PoisonError::into_inner);
        if tracks.len() >= SOURCES_MAX && !tracks.contains_key(id) {
            let heard_at = |track: &Arc<Mutex<Track>>| {
                track.lock().unwrap_or_else(PoisonError::into_inner).last_heard_at
            };
            let idle = tracks
                .iter()
                .filter(|(id, _)| !id.protocol.goes_out())
                .min_by_key(|(_, track)| heard_at(track))
                .map(|(id, _)| id.clone());
            if let Some(idle) = idle {
                tracks.remove(&idle);
            }
        }
        Arc::clone(
            tracks.entry(id.clone()).or_insert_with(|| Arc::new(Mutex::new(Track::new(now)))),
        )
    }
}

fn second(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(1_000_000)
}

fn minute(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(60_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sense::Protocol;

    const START: Timestamp = Timestamp::from_secs(1_790_000_040);

    fn id(name: &str) -> SourceId {
        SourceId::new(Protocol::Json, name)
    }

    fn heard(received: Timestamp, accepted: u64) -> Heard {
        let newest_at = Some(received.minus(Duration::from_millis(400)));
        Heard { accepted, refused: 1, newest_at, received }
    }

    fn after(seconds: u64) -> Timestamp {
        START.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn rates_lag_and_pauses_are_counted_per_source() {
        let board = SourceBoard::default();
        for seconds in 0..180 {
            board.heard(&id("a"), heard(after(seconds), 50));
        }
        board.heard(&id("b"), heard(after(3), 1));
        let now = after(180);
        let seen = board.get(&id("a"), now).unwrap();
        assert_eq!((seen.readings, seen.refused, seen.lag_ms), (9_000, 180, Some(400)));
        assert!((seen.rate_per_s - 50.0).abs() < 1e-9, "{}", seen.rate_per_s);
        assert!(seen.rates.len() >= 3 && seen.rates.iter().any(|rate| (rate - 50.0).abs() < 1e-9));
        assert_eq!(seen.silent_after, Duration::from_secs(10));
        assert_eq!(board.get(&id("b"), now).unwrap().silent_after, Duration::from_secs(300));
        let later = board.get(&id("a"), after(7_230)).unwrap();
        assert_eq!((later.rate_per_s, later.rates.len()), (0.0, 60));
        assert!(later.rates.iter().all(|rate| *rate == 0.0));
    }

    #[test]
    fn bursts_are_not_called_silent_and_a_silence_teaches_nothing() {
        let board = SourceBoard::default();
        for burst in 0..20 {
            for message in 0..100 {
                let at = after(burst * 60).plus(Duration::from_millis(message * 10));
                board.heard(&id("a"), heard(at, 1));
            }
        }
        let bound = |board: &SourceBoard| board.get(&id("a"), after(2_000)).unwrap().silent_after;
        let before = bound(&board);
        assert!(before > Duration::from_secs(120) && before < Duration::from_secs(200));
        board.heard(&id("a"), heard(after(50_000), 1));
        assert_eq!(bound(&board), before);
    }

    #[test]
    fn the_idlest_agent_goes_first() {
        let board = SourceBoard::default();
        let connector = SourceId::new(Protocol::ModbusTcp, "old");
        board.trouble(&connector, "never heard", START);
        for number in 0..SOURCES_MAX as u64 + 5 {
            board.heard(&id(&format!("agent-{number:05}")), heard(after(number), 1));
        }
        let all = board.all(after(2_000));
        assert_eq!(all.len(), SOURCES_MAX);
        assert!(all.iter().any(|(id, _)| *id == connector));
        assert!(!all.iter().any(|(id, _)| &*id.name == "agent-00000"));
    }
}
