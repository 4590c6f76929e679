//! How unlikely a reading is after its sensor's own recent past.
//!
//! Several cheap statistics look at each reading on several time scales. Each is compared with its
//! own recent distribution ([`Tail`]), which turns it into a tail probability: that is what makes
//! one threshold serve every sensor. The score is the probability on a logarithmic scale: 0.5
//! stands for one reading in 10⁵, 1.0 for one in 10¹⁰ or less.

mod interval;
mod scorer;
mod tail;

pub use interval::TypicalInterval;
pub use scorer::{Baseline, Scorer, Surprise};
pub use tail::Tail;

/// The score at which an anomaly starts.
pub const THRESHOLD: f64 = 0.5;

/// The score below which an anomaly may end.
pub const CLEAR_THRESHOLD: f64 = 0.3;
