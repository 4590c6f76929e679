//! `GET /events`: the log as it grows, and what is only announced, to any number of readers.
//!
//! One task reads the log for all of them. A reader that resumes first catches up from the
//! database and then joins the others, without a gap and without a repetition.

pub(crate) mod http;
mod hub;

pub(crate) use hub::Hub;

#[cfg(test)]
mod tests;
