//! What people and programs read: the only place that writes to the terminal.

use std::io::Write;

/// One line of result.
pub(crate) fn print(line: &str) {
    // A reader that went away, such as `head`, is no fault.
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// One line about the work, which is not its result.
pub(crate) fn tell(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

pub(crate) fn complain(line: &str) {
    drop(writeln!(std::io::stderr(), "plainview: {line}"));
}
