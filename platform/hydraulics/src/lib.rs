//! Pipeline physics: what flows in a line, and what does not.
//!
//! Everything here is pure and synchronous: times come in with the readings, nothing is read or
//! written, and the same readings give the same answers.

mod error;
pub mod leak;
pub mod surge;
pub mod transient;

pub use error::Error;
