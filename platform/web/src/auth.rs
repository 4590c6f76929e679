use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

use crate::Problem;

/// What a key may do. Each role may do what the ones before it may, except `Ingest`, which may
/// only hand in readings.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Hands in readings, reads nothing.
    Ingest,
    /// Reads.
    Viewer,
    /// Acknowledges, decides, schedules, acts.
    Operator,
    /// Configures sensors, limits, models; replays dead letters; runs simulations.
    Engineer,
    /// Keys, audit, everything.
    Admin,
}

impl Role {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ingest, Self::Viewer, Self::Operator, Self::Engineer, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Engineer => "engineer",
            Self::Admin => "admin",
        }
    }
}

/// Who makes this request. Put into the request by the authentication layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key's name, as it stands in logs and audit: `ines`.
    pub name: String,
    /// `None` for the anonymous reader that development mode allows.
    pub role: Option<Role>,
}

impl Caller {
    /// Lets the request pass when the caller's role is `role` or above.
    ///
    /// # Errors
    /// 401 for the anonymous caller, 403 for a lesser role.
    pub fn need(&self, role: Role) -> Result<&Self, Problem> {
        match self.role {
            Some(own) if own >= role => Ok(self),
            Some(_) => Err(Problem::of(&crate::problem::FORBIDDEN)),
            None => Err(Problem::of(&crate::problem::UNAUTHENTICATED)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::of(&crate::problem::UNAUTHENTICATED))
    }
}
