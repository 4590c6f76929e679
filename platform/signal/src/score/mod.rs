//! How unlikely a reading is after its sensor's own recent past.
//!
//! Six cheap statistics look at each reading: how far it lies from the last few, how much larger such
//! steps have become, how far the short and the middle level have left the long one, and how unusual
//! the last readings were for their time of day and of the week. Each is compared with its own recent
//! distribution ([`Tail`]), which turns it into a surprise, −ln of a tail probability: that is what
//! makes one threshold serve every sensor. The surprises are joined as a Euclidean norm, so that weak
//! signs on several time scales add up.
//!
//! The score is the joint surprise on a scale from 0 to 1 on which [`THRESHOLD`] stands for what
//! chance alone brings about two or three times a week on one sensor, whatever its sampling interval.
//! That is measured on independent noise; the sluggish noise of real processes reaches it less
//! often. Sensors slower than one reading in five minutes are treated like those: once in about
//! 1,000 readings. The surprise that chance reaches grows with the logarithm of the time waited, so
//! a score of 0.75 is already far beyond chance.

mod interval;
mod order;
mod scorer;
mod season;
mod tail;
mod tails;
mod week;

pub use interval::TypicalInterval;
pub use scorer::{Aspect, Baseline, Scorer, Surprise};
pub use season::Season;
pub use tail::Tail;
pub use tails::Tails;
pub use week::Week;

/// The score at which an anomaly starts.
pub const THRESHOLD: f64 = 0.5;

/// The score below which an anomaly may end.
pub const CLEAR_THRESHOLD: f64 = 0.3;
