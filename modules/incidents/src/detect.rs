//! When something wrong becomes an alarm, and what an alarm goes through.

pub(crate) mod delays;
pub(crate) mod life;
