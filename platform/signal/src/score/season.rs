use serde::{Deserialize, Serialize};

const HOURS: usize = 24;
const HOUR_MICROS: i64 = 3_600_000_000;
/// Weight of the newest day in an hour's level, once there were enough days.
const DAY_WEIGHT: f64 = 0.25;
const DAYS_MAX: u8 = 200;

/// A time as an hour, counted from 1970, and the µs that are past of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourTime {
    pub hour: i64,
    past: i64,
}

impl HourTime {
    /// `at` in µs.
    #[must_use]
    pub fn of(at: i64) -> Self {
        let hour = at.div_euclid(HOUR_MICROS);
        Self { hour, past: at - hour * HOUR_MICROS }
    }
}

/// The level of each hour of the day (UTC), learned over the days. An hour counts as a whole when it
/// is over, so that the memory is of other days and not of the minutes before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Season {
    #[serde(with = "crate::exact::many")]
    level: [f64; HOURS],
    days: [u8; HOURS],
    /// The running hour, counted from 1970, and what was seen in it.
    hour: i64,
    #[serde(with = "crate::exact::one")]
    mean: f64,
    count: u32,
}

impl Season {
    /// What other days had at this time, interpolated between the middles of the hours; `None`
    /// before the hour was seen on an earlier day.
    #[must_use]
    pub fn expected(&self, time: HourTime) -> Option<f64> {
        let place = slot(time.hour);
        if self.days[place] == 0 {
            return None;
        }
        let level = self.level[place];
        let past_middle = time.past as f64 / HOUR_MICROS as f64 - 0.5;
        let beside = (place + if past_middle < 0.0 { HOURS - 1 } else { 1 }) % HOURS;
        if self.days[beside] == 0 {
            return Some(level);
        }
        Some(level + (self.level[beside] - level) * past_middle.abs())
    }

    /// Takes a value; when it is the first of an hour, answers the hour before and its mean.
    pub fn learn(&mut self, hour: i64, value: f64) -> Option<(i64, f64)> {
        let mut over = None;
        if hour != self.hour && self.count > 0 {
            over = Some((self.hour, self.mean));
            let place = slot(self.hour);
            self.days[place] = (self.days[place] + 1).min(DAYS_MAX);
            let weight = (1.0 / f64::from(self.days[place])).max(DAY_WEIGHT);
            self.level[place] += weight * (self.mean - self.level[place]);
            self.count = 0;
        }
        self.hour = hour;
        self.count = self.count.saturating_add(1);
        let first = self.count == 1;
        let step = (value - self.mean) / f64::from(self.count);
        self.mean = if first { value } else { self.mean + step };
        over
    }
}

fn slot(hour: i64) -> usize {
    // The remainder lies in 0..24.
    hour.rem_euclid(HOURS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_other_days_only() {
        let mut season = Season::default();
        let minute = 60_000_000;
        for day in 0..3_i64 {
            for n in 0..1440_i64 {
                let at = (day * 1440 + n) * minute;
                let expected = season.expected(HourTime::of(at));
                assert_eq!(expected.is_some(), day > 0, "day {day} minute {n}");
                season.learn(HourTime::of(at).hour, n as f64);
            }
        }
        let noon = season.expected(HourTime::of((3 * 1440 + 720) * minute)).unwrap();
        assert!((noon - 720.0).abs() < 1.0, "{noon}");
    }
}
