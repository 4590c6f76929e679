/// What the physics refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pipeline's configuration that no model can be made of.
    #[error("{key}: {reason}")]
    Pipeline { key: String, reason: String },
}
