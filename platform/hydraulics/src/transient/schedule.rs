use serde::{Deserialize, Serialize};

/// A value over time: straight lines between points, constant before the first and after the last.
///
/// Two points at one time are a jump; at that very time the value before it still holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Time in s and value, times never falling.
    points: Vec<(f64, f64)>,
}

impl Schedule {
    /// The same value at all times.
    #[must_use]
    pub fn constant(value: f64) -> Self {
        Self { points: vec![(0.0, value)] }
    }

    /// Points of time in s and value. `None` without points, with times that fall, or with what is
    /// not finite.
    #[must_use]
    pub fn new(points: Vec<(f64, f64)>) -> Option<Self> {
        let schedule = Self { points };
        schedule.is_sound().then_some(schedule)
    }

    /// From one value to another in a straight line that begins at `start_s` and takes
    /// `duration_s`; 0 is a jump.
    #[must_use]
    pub fn ramp(from: f64, to: f64, start_s: f64, duration_s: f64) -> Self {
        Self { points: vec![(start_s, from), (start_s + duration_s.max(0.0), to)] }
    }

    /// The value at a time in s.
    #[must_use]
    pub fn at(&self, time_s: f64) -> f64 {
        along(&self.points, time_s)
    }

    /// Time in s and value of each point.
    #[must_use]
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }

    pub(super) fn is_sound(&self) -> bool {
        !self.points.is_empty()
            && self.points.iter().all(|(time, value)| time.is_finite() && value.is_finite())
            && self.points.is_sorted_by(|a, b| a.0 <= b.0)
    }

    /// All values lie between two limits.
    pub(super) fn is_within(&self, least: f64, most: f64) -> bool {
        self.points.iter().all(|(_, value)| (least..=most).contains(value))
    }
}

/// The height at `x` of straight lines through points that rise in x, level beyond them.
pub(super) fn along(points: &[(f64, f64)], x: f64) -> f64 {
    let after = points.partition_point(|point| point.0 < x);
    let before = after.checked_sub(1).and_then(|before| points.get(before));
    match (before, points.get(after)) {
        (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (x - x0) / (x1 - x0),
        (None, Some((_, y))) | (Some((_, y)), None) => *y,
        (None, None) => 0.0,
    }
}

impl From<f64> for Schedule {
    fn from(value: f64) -> Self {
        Self::constant(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_comes_after_its_time() {
        let jump = Schedule::ramp(1.0, 0.0, 2.0, 0.0);
        assert_eq!([0.0, 2.0, 2.000_001, 9.0].map(|time| jump.at(time)), [1.0, 1.0, 0.0, 0.0]);
        let ramp = Schedule::ramp(1.0, 0.0, 2.0, 4.0);
        assert_eq!([1.0, 3.0, 6.0, 7.0].map(|time| ramp.at(time)), [1.0, 0.75, 0.0, 0.0]);
        assert_eq!(Schedule::new(vec![(1.0, 0.0), (0.0, 0.0)]), None);
        assert_eq!(Schedule::new(vec![]), None);
    }
}
