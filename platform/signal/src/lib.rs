//! The mathematics of DETECT and PREDICT: what is unusual about a reading, and when a trend meets
//! a limit.
//!
//! Everything here is pure and synchronous: times come in with the readings, nothing is read or
//! written, and the same readings give the same answers bit for bit.

pub mod change;
pub mod detector;
mod exact;
pub mod process;
pub mod score;
pub mod trend;
