/// What the physics refuses.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pipeline's configuration that no model can be made of.
    #[error("{key}: {reason}")]
    Pipeline { key: String, reason: String },
    /// A part of a network that cannot be as it is described.
    #[error("{part}: {reason}")]
    Network { part: String, reason: &'static str },
    /// A pipe whose wave speed would have to change too much for waves to cross whole reaches.
    #[error(
        "pipe {pipe}: its wave speed would change by {:.2} % to fit the time step, more than {:.2} %",
        needed * 100.0, limit * 100.0
    )]
    WaveSpeed { pipe: usize, needed: f64, limit: f64 },
    /// A time step that no grid can be made with.
    #[error("a time step of {step_s} s cannot be used: {reason}")]
    TimeStep { step_s: f64, reason: &'static str },
    /// A part of the network whose head nothing fixes.
    #[error("node {node}: nothing fixes the head there; connect a reservoir or give a first head")]
    Undetermined { node: usize },
    /// Flows and heads that do not settle.
    #[error("no balance of heads and flows was found at {time_s} s near node {node}")]
    NoBalance { time_s: f64, node: usize },
    /// The liquid has boiled: what follows cannot be computed with a full pipe.
    #[error(
        "the column separated at {time_s} s in pipe {pipe} at {at_m} m; nothing after that is known"
    )]
    Separated { time_s: f64, pipe: usize, at_m: f64 },
    /// A question about a surge that cannot be answered.
    #[error("the surge check cannot be made: {reason}")]
    Surge { reason: &'static str },
}
