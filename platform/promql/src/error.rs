/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum PromqlError {
    /// The text is no query.
    #[error("{0}")]
    Syntax(String),
    /// A query that Prometheus would answer and this evaluator does not.
    #[error("{what} is not supported here")]
    Unsupported { what: String },
    /// The query does not fit the data, such as two series for one place.
    #[error("{0}")]
    Execution(String),
    #[error("the query needs more than {max} {what}; ask for less")]
    TooMany { what: &'static str, max: usize },
    #[error("the query took longer than it may")]
    TimedOut,
    #[error("the readings could not be fetched")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl PromqlError {
    pub(crate) fn same_labels() -> Self {
        Self::Execution("vector cannot contain metrics with the same labelset".to_owned())
    }
}
