//! What an approval leads to: a place in the calendar, a feed of it, a report about it.

pub(crate) mod calendar;
pub(crate) mod report;
pub(crate) mod slots;
