//! The readings of a plant: seeded walks with jitter in their times, written as line protocol.

use std::fmt::Write;

/// 2026-11-19T00:00:00Z in milliseconds.
pub(crate) const START_MS: i64 = 1_795_046_400_000;
/// Measures of one asset.
const MEASURES: usize = 10;
const BODY_LINES: usize = 10_000;

/// Xorshift (Marsaglia, 2003): the same readings in every run.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Sensors at 1 Hz with up to 4 ms of jitter, walking in steps of 0.01.
pub(crate) struct Plant {
    heads: Vec<String>,
    hundredths: Vec<i64>,
    chance: Chance,
    second: i64,
    every: i64,
}

impl Plant {
    pub(crate) fn new(count: usize, start_s: i64) -> Self {
        Self::of_site("north", count, start_s)
    }

    /// Sensors that speak every `every` seconds.
    pub(crate) fn every(count: usize, start_s: i64, every: i64) -> Self {
        Self { every, ..Self::new(count, start_s) }
    }

    pub(crate) fn of_site(site: &str, count: usize, start_s: i64) -> Self {
        let name =
            |i: usize| format!("m{},site={site},asset=p-{} value=", i % MEASURES, i / MEASURES);
        let mut chance = Chance::new(count as u64);
        let hundredths = (0..count).map(|_| 2_000 + chance.below(6_000) as i64).collect();
        Self {
            heads: (0..count).map(name).collect(),
            hundredths,
            chance,
            second: start_s,
            every: 1,
        }
    }

    /// One sensor of this name.
    pub(crate) fn single(head: &str, start_s: i64) -> Self {
        let chance = Chance::new(head.len() as u64);
        let (heads, hundredths) = (vec![head.to_owned()], vec![5_000]);
        Self { heads, hundredths, chance, second: start_s, every: 1 }
    }

    /// What Plainview calls the sensor at this place.
    pub(crate) fn key(place: usize) -> String {
        format!("north/p-{}/m{}", place / MEASURES, place % MEASURES)
    }

    /// The next `rounds` of all sensors, one line per reading, times in milliseconds.
    pub(crate) fn lines(&mut self, rounds: i64) -> Vec<u8> {
        let mut text = String::with_capacity(self.heads.len() * rounds as usize * 56);
        for _ in 0..rounds {
            for place in 0..self.heads.len() {
                self.line(place, &mut text);
            }
            self.second += self.every;
        }
        text.into_bytes()
    }

    fn line(&mut self, place: usize, text: &mut String) {
        let value = &mut self.hundredths[place];
        *value = (*value + self.chance.below(3) as i64 - 1).max(0);
        let at = START_MS + self.second * 1_000 + self.chance.below(5) as i64;
        let (whole, part) = (*value / 100, *value % 100);
        // Writing to a string cannot fail.
        let _written = writeln!(text, "{}{whole}.{part:02} {at}", self.heads[place]);
    }

    /// The next `rounds` of all sensors in bodies of at most 10,000 lines.
    pub(crate) fn bodies(&mut self, rounds: i64) -> impl Iterator<Item = Vec<u8>> + '_ {
        let count = self.heads.len();
        let slices = count.div_ceil(BODY_LINES);
        let most = (BODY_LINES / count).max(1) as i64;
        let per_body = if slices > 1 { 1 } else { most.min(rounds.max(1)) };
        let steps = if slices > 1 { rounds } else { rounds / per_body };
        (0..steps).flat_map(move |_| 0..slices).map(move |slice| {
            if slices == 1 {
                return self.lines(per_body);
            }
            let mut text = String::new();
            for place in slice * BODY_LINES..((slice + 1) * BODY_LINES).min(count) {
                self.line(place, &mut text);
            }
            if slice + 1 == slices {
                self.second += self.every;
            }
            text.into_bytes()
        })
    }

    /// `seconds` of all sensors in bodies of ten seconds; `percent` of the lines come `behind`
    /// seconds after the others of their time.
    pub(crate) fn delayed(mut self, seconds: i64, percent: u64, behind: usize) -> Vec<Vec<u8>> {
        let mut held: std::collections::VecDeque<Vec<u8>> = std::collections::VecDeque::new();
        let mut bodies = Vec::new();
        for _ in 0..seconds / 10 {
            let (mut now, mut later) = (Vec::new(), Vec::new());
            for line in self.lines(10).split_inclusive(|byte| *byte == b'\n') {
                let late = self.chance.below(100) < percent;
                if late { &mut later } else { &mut now }.extend_from_slice(line);
            }
            held.push_back(later);
            if held.len() > behind / 10 {
                now.extend(held.pop_front().unwrap_or_default());
            }
            bodies.push(now);
        }
        bodies.extend(held.into_iter().filter(|body| !body.is_empty()));
        bodies
    }
}
