//! The readings of a plant: seeded walks with jitter in their times, written as line protocol.

use std::fmt::Write;

/// 2026-11-19T00:00:00Z in milliseconds.
pub(crate) const START_MS: i64 = 1_795_046_400_000;
/// Measures of one asset.
const MEASURES: usize = 10;

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

/// `count` sensors at 1 Hz with up to 4 ms of jitter, walking in steps of 0.01.
pub(crate) struct Plant {
    heads: Vec<String>,
    hundredths: Vec<i64>,
    chance: Chance,
    second: i64,
}

impl Plant {
    pub(crate) fn new(count: usize, start_s: i64) -> Self {
        let heads = (0..count)
            .map(|i| format!("m{},site=north,asset=p-{} value=", i % MEASURES, i / MEASURES))
            .collect();
        let mut chance = Chance::new(count as u64);
        let hundredths = (0..count).map(|_| 2_000 + chance.below(6_000) as i64).collect();
        Self { heads, hundredths, chance, second: start_s }
    }

    /// One sensor of this name.
    pub(crate) fn single(head: &str, start_s: i64) -> Self {
        let chance = Chance::new(head.len() as u64);
        Self { heads: vec![head.to_owned()], hundredths: vec![5_000], chance, second: start_s }
    }

    /// The next `seconds` of all sensors, one line per reading, times in milliseconds.
    pub(crate) fn lines(&mut self, seconds: i64) -> Vec<u8> {
        let mut text = String::with_capacity(self.heads.len() * seconds as usize * 56);
        for _ in 0..seconds {
            for (head, value) in self.heads.iter().zip(&mut self.hundredths) {
                *value += self.chance.below(3) as i64 - 1;
                let at = START_MS + self.second * 1_000 + self.chance.below(5) as i64;
                let (whole, part) = (*value / 100, *value % 100);
                // Writing to a string cannot fail.
                let _written = writeln!(text, "{head}{whole}.{part:02} {at}");
            }
            self.second += 1;
        }
        text.into_bytes()
    }
}
