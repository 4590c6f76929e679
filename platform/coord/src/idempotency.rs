use kernel::{SharedClock, Timestamp};
use store::records::Records;

use crate::CoordError;

/// What identifies a repeated request: who sent it, where to, and under which key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyedRequest {
    /// Name of the caller's key, so that two clients may choose the same `Idempotency-Key`.
    pub caller: String,
    /// Method and path.
    pub target: String,
    pub key: String,
    /// Hash of the body.
    pub body_hash: Vec<u8>,
}

/// The response to say again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    pub status: u16,
    pub content_type: String,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nobody did this yet; the caller now does and must `finish` or `abandon`.
    New,
    /// Done before: answer this.
    Replay(StoredResponse),
    /// Another request with this key is under way since then.
    InFlight { since: Timestamp },
    /// The key was used with another body.
    Mismatch,
}

/// Idempotency keys, kept for a day.
#[derive(Clone, Debug)]
pub struct Idempotency {
    _records: Records,
    _clock: SharedClock,
}

impl Idempotency {
    #[must_use]
    pub fn new(records: Records, clock: SharedClock) -> Self {
        Self { _records: records, _clock: clock }
    }

    /// # Errors
    /// When the database cannot be reached.
    pub async fn begin(&self, _request: &KeyedRequest) -> Result<Begun, CoordError> {
        todo!()
    }

    /// # Errors
    /// When the database cannot be reached.
    pub async fn finish(
        &self,
        _request: &KeyedRequest,
        _response: &StoredResponse,
    ) -> Result<(), CoordError> {
        todo!()
    }

    /// Frees the key after a failure that changed nothing, so that the client may try again.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn abandon(&self, _request: &KeyedRequest) -> Result<(), CoordError> {
        todo!()
    }
}
