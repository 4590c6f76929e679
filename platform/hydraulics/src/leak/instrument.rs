//! Watches each instrument by itself: is it there, and does it move at all.

use serde::{Deserialize, Serialize};

/// Silent for this long, and the instrument is called missing, s.
const MISSING_S: f64 = 120.0;
/// Fewer equal readings than this are never called stuck, more always.
const REPEATS_MIN: f64 = 8.0;
const REPEATS_MAX: f64 = 60.0;
/// Logarithm of the chance that a healthy instrument repeats itself so often.
const REPEATS_CHANCE: f64 = -25.0;
/// Readings that must differ before an instrument that was stuck is believed again.
const MOVES_NEEDED: u32 = 6;

/// Why an instrument is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    Bias,
    Stuck,
    Drift,
    Missing,
}

/// What is known of one instrument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watch {
    last: Option<f64>,
    last_s: Option<f64>,
    repeats: u32,
    moves: u32,
    /// Readings and how many of them repeated the one before.
    seen: f64,
    same: f64,
    state: Option<FaultKind>,
}

impl Default for Watch {
    fn default() -> Self {
        Self { last: None, last_s: None, repeats: 0, moves: 0, seen: 0.0, same: 0.0, state: None }
    }
}

impl Watch {
    /// Takes in a reading; answers the value if it is believed, and a fault that begins.
    pub(crate) fn take(
        &mut self,
        time_s: f64,
        value: Option<f64>,
    ) -> (Option<f64>, Option<FaultKind>) {
        let value = value.filter(|value| value.is_finite());
        let since = *self.last_s.get_or_insert(time_s);
        let Some(value) = value else {
            let begins = time_s - since >= MISSING_S && self.state != Some(FaultKind::Missing);
            if begins {
                self.state = Some(FaultKind::Missing);
            }
            return (None, begins.then_some(FaultKind::Missing));
        };
        self.last_s = Some(time_s);
        let repeated = self.last == Some(value);
        self.last = Some(value);
        self.seen += 1.0;
        if repeated {
            self.repeats += 1;
            self.moves = 0;
        } else {
            self.repeats = 0;
            self.moves += 1;
        }
        if repeated && self.repeats == 1 {
            self.same += 1.0;
        }
        match self.state {
            None if f64::from(self.repeats) >= self.limit() => {
                self.state = Some(FaultKind::Stuck);
                (None, self.state)
            }
            Some(FaultKind::Stuck) if self.moves < MOVES_NEEDED => (None, None),
            Some(_) => {
                self.state = None;
                (Some(value), None)
            }
            None => (Some(value), None),
        }
    }

    /// Readings that must be equal, from how often this instrument repeats itself anyway.
    fn limit(&self) -> f64 {
        let chance = (self.same + 1.0) / (self.seen + 10.0);
        (REPEATS_CHANCE / chance.min(0.9).ln()).clamp(REPEATS_MIN, REPEATS_MAX)
    }

    pub(crate) fn state(&self) -> Option<FaultKind> {
        self.state
    }
}
