//! From readings to a time, a risk and an honest sentence.

pub(crate) mod forecast;
pub(crate) mod limit;
