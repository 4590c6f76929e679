//! What an anomaly makes of an alarm, which incident an alarm belongs to, and what people may do
//! with both.

pub(crate) mod alerts;
pub(crate) mod incidents;
