//! The one integration binary: a file per journey, each against a real Plainview of its own.

mod bad_input;
mod browser;
mod command_line;
mod faults;
mod golden_path;
mod harness;
mod mqtt;
mod production;
mod receivers;
mod recording;
mod sse;
