//! STORE: where readings and state are kept.
//!
//! `series` holds readings, `records` holds everything else. Both are seams: `embedded` and
//! `postgres` implementations answer to one conformance suite.

#[cfg(feature = "records")]
pub mod records;
pub mod series;
