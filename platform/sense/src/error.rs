use kernel::Retryable;

/// Why a whole body or file cannot be read. Faults of single rows are [`RowRefusal`](crate::RowRefusal)s.
#[derive(Debug, thiserror::Error)]
pub enum SenseError {
    #[error("the body is no JSON: {reason} at line {line}, column {column}")]
    Json { reason: String, line: usize, column: usize },
    #[error("the body is neither a reading, nor an array of readings, nor {{\"readings\": […]}}")]
    Shape,
    #[error("{found} readings at once; at most {max} are taken")]
    TooManyRows { found: usize, max: usize },
    #[error("the body is no snappy block")]
    Snappy,
    #[error("the body is no protobuf message of this kind: {0}")]
    Protobuf(#[from] crate::wire::WireError),
    #[error("{bytes} bytes after decompression; at most {max} are read")]
    TooLarge { bytes: usize, max: usize },
    #[error("unknown precision `{0}`; use ns, us, ms or s")]
    Precision(String),
    #[error("the file has no column `{0}`")]
    Column(&'static str),
    #[error("a file without a sensor column needs a sensor to be named")]
    SensorNotNamed,
    #[error("the file cannot be read")]
    Io(#[from] std::io::Error),
    #[error("{field}: {reason}")]
    Settings { field: &'static str, reason: String },
    #[error("broker connection: {0}")]
    Connection(String),
}

impl Retryable for SenseError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Connection(_))
    }
}
