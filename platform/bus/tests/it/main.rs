//! The conformance suite of the bus: on SQLite always, on Postgres when the environment names a
//! server (`PLAINVIEW_TEST_POSTGRES_URL`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod agents;
mod faults;
mod letters;
mod log;
mod processes;
mod site;
mod upkeep;
