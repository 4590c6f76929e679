use kernel::Retryable;
use store::records::RecordsError;

/// What can go wrong behind the web's own endpoints.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("key records")]
    Records(#[from] RecordsError),
    #[error("stored role `{role}` of key `{name}` is unknown")]
    UnknownRole { name: String, role: String },
    #[error("a key named `{name}` exists")]
    KeyNameTaken { name: String },
    #[error("`{name}` is no name for a key: use 1 to 64 letters, digits, `-`, `_`, `.` or `@`")]
    KeyName { name: String },
    #[error("entry {position} of the configured keys {reason}")]
    ConfiguredKey { position: usize, reason: &'static str },
    #[error("`{origin}` is no origin such as https://hmi.example.org")]
    Origin { origin: String },
    #[error("the metrics recorder of this process is another one")]
    Metrics,
}

impl Retryable for WebError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Records(error) => error.is_retryable(),
            _ => false,
        }
    }
}
