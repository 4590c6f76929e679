use serde::{Deserialize, Serialize};

use super::limits::Limits;
use super::matrix::Symmetric;

/// How one row is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// The row itself lies far from normal.
    Row,
    /// The last rows lie further from normal than they use to, each in its own way.
    Spread,
    /// The average of the last rows has left its place.
    Level,
}

impl Look {
    pub const ALL: [Self; 3] = [Self::Row, Self::Spread, Self::Level];

    /// The name as it stands in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Spread => "spread",
            Self::Level => "level",
        }
    }
}

/// What is known about one input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Input {
    #[serde(with = "crate::exact::one")]
    pub(super) centre: f64,
    /// One over the spread of a row, and of an average of rows, both with the room for wandering.
    #[serde(with = "crate::exact::one")]
    pub(super) per_row: f64,
    #[serde(with = "crate::exact::one")]
    pub(super) per_level: f64,
    /// Share of its movement that is slow, 0 to 1.
    #[serde(with = "crate::exact::one")]
    pub(super) wander: f64,
}

/// How the inputs of one asset go together in normal operation, and where that ends.
///
/// It never changes; what runs along the rows is a [`ProcessWatch`](super::ProcessWatch).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessModel {
    pub(super) names: Vec<String>,
    pub(super) inputs: Vec<Input>,
    /// Inverse of the correlations, its part in the main directions, and the inverse for averages.
    pub(super) inverse: Symmetric,
    pub(super) main: Symmetric,
    pub(super) inverse_level: Symmetric,
    pub(super) main_count: usize,
    pub(super) fit_rows: usize,
    pub(super) limits: Limits,
    /// What each input may have in the slow averages before it counts as drifting; models of
    /// before have none.
    #[serde(default, with = "crate::exact::list")]
    pub(super) drift_limits: Vec<f64>,
}

impl ProcessModel {
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Rows that the model and its limits rest on.
    #[must_use]
    pub fn rows(&self) -> (usize, usize) {
        (self.fit_rows, self.limits.rows())
    }

    /// Directions that T² counts.
    #[must_use]
    pub fn components(&self) -> usize {
        self.main_count
    }

    /// Centre of each input and the spread that a row may have around it.
    pub fn normal(&self) -> impl Iterator<Item = (&str, f64, f64)> {
        let spread = |input: &Input| 1.0 / input.per_row;
        self.names.iter().zip(&self.inputs).map(move |(n, i)| (n.as_str(), i.centre, spread(i)))
    }

    /// The inputs that wander in normal operation, with the share of their movement that is slow.
    pub fn wandering(&self) -> impl Iterator<Item = (&str, f64)> {
        self.names.iter().zip(&self.inputs).map(|(name, input)| (name.as_str(), input.wander))
    }

    /// A model that was read from elsewhere fits together.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let size = self.names.len();
        self.inputs.len() == size
            && (self.drift_limits.is_empty() || self.drift_limits.len() == size)
            && [&self.inverse, &self.main, &self.inverse_level].iter().all(|m| m.is_whole(size))
    }
}
