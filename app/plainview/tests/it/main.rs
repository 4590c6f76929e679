//! The one integration binary: a file per journey, each against a real Plainview of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the log of a run tells its figures, and what a process said before it failed"
)]

mod bad_input;
mod broker;
mod browser;
mod command_line;
mod dead_letters;
mod detect;
mod doors;
mod faults;
mod golden_path;
mod harness;
mod leaks;
mod modbus;
mod mqtt;
mod opcua;
mod production;
mod prometheus;
mod python;
mod python_client;
mod readings_out;
mod receivers;
mod reconnect;
mod recording;
mod rubbish;
mod sources;
mod sparkplug;
mod sse;
mod transient;
