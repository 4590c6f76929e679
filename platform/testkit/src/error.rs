use std::io;

/// Why a test could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TestkitError {
    #[error("file or socket")]
    Io(#[from] io::Error),
    #[error("test database")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("line {line} of the ack log is damaged")]
    DamagedLog { line: usize, source: serde_json::Error },
    #[error("`{name}` does not look like postgres://user@host:port/database")]
    BadAdminUrl { name: &'static str },
}
