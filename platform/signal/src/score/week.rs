use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const HOURS: usize = 168;
/// Steps of the table in one spread: finer than an hour's level is known.
const STEPS_PER_SPREAD: f64 = 64.0;
/// An hour that was not seen yet; a level that would be written so is one step off.
const UNSEEN: i16 = 0;
/// Weight of the newest week in an hour's level.
const WEIGHT: f64 = 0.5;

/// The level of each hour of the week (UTC), as it was in the last weeks. Levels are whole steps from
/// an origin, two bytes each; when one lies too far out, the step grows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Week {
    #[serde(serialize_with = "write", deserialize_with = "read")]
    level: [i16; HOURS],
    #[serde(with = "crate::exact::one")]
    origin: f64,
    #[serde(with = "crate::exact::one")]
    step: f64,
}

impl Default for Week {
    fn default() -> Self {
        Self { level: [UNSEEN; HOURS], origin: 0.0, step: 0.0 }
    }
}

impl Week {
    /// What earlier weeks had in this hour, counted from 1970; `None` in the first week.
    #[must_use]
    pub fn expected(&self, hour: i64) -> Option<f64> {
        let level = self.level[slot(hour)];
        (level != UNSEEN).then(|| self.origin + self.step * f64::from(level))
    }

    /// Takes the mean of an hour that is over. `spread` is what the sensor usually moves by.
    pub fn learn(&mut self, hour: i64, mean: f64, spread: f64) {
        if self.step <= 0.0 {
            self.origin = mean;
            self.step = spread.max(f64::MIN_POSITIVE * STEPS_PER_SPREAD) / STEPS_PER_SPREAD;
        }
        let level = self.expected(hour).map_or(mean, |before| before + WEIGHT * (mean - before));
        while ((level - self.origin) / self.step).abs() > f64::from(i16::MAX) {
            self.widen();
        }
        let steps = ((level - self.origin) / self.step).round() as i16;
        self.level[slot(hour)] = if steps == UNSEEN { 1 } else { steps };
    }

    fn widen(&mut self) {
        self.step *= 2.0;
        for level in &mut self.level {
            *level = if level.unsigned_abs() == 1 { *level } else { *level / 2 };
        }
    }
}

fn slot(hour: i64) -> usize {
    // The remainder lies in 0..168.
    hour.rem_euclid(HOURS as i64) as usize
}

fn write<S: Serializer>(levels: &[i16; HOURS], out: S) -> Result<S::Ok, S::Error> {
    out.collect_seq(levels)
}

fn read<'de, D: Deserializer<'de>>(input: D) -> Result<[i16; HOURS], D::Error> {
    let levels = Vec::<i16>::deserialize(input)?;
    let wrong = |levels: Vec<i16>| de::Error::invalid_length(levels.len(), &"one level per hour");
    <[i16; HOURS]>::try_from(levels).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_earlier_weeks_within_a_step() {
        let mut week = Week::default();
        let level = |hour: i64| 100.0 + (hour % 168) as f64 * 0.25;
        for hour in 0..400 {
            let expected = week.expected(hour);
            assert_eq!(expected.is_some(), hour >= 168, "{hour}");
            assert!(expected.is_none_or(|it| (it - level(hour)).abs() < 0.05), "{expected:?}");
            week.learn(hour, level(hour), 2.0);
        }
    }

    #[test]
    fn a_level_far_out_widens_the_steps() {
        let mut week = Week::default();
        (0..168).for_each(|hour| week.learn(hour, 1.0, 0.0));
        week.learn(168, 1e9, 0.0);
        let there = week.expected(168).unwrap();
        assert!((there / 5e8 - 1.0).abs() < 1e-3, "{there}");
        assert!(week.expected(169).unwrap().abs() < 1e6);
        let text = serde_json::to_string(&week).unwrap();
        assert_eq!(serde_json::from_str::<Week>(&text).unwrap(), week);
    }

    #[test]
    fn nothing_breaks_at_the_ends_of_numbers() {
        let mut week = Week::default();
        for (hour, mean) in [(0, 1e100), (1, -1e100), (2, 0.0), (168, f64::MIN_POSITIVE)] {
            week.learn(hour, mean, 1e-300);
            assert!(week.expected(hour).unwrap().is_finite());
        }
    }
}
