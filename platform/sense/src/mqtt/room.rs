use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of messages that may wait between the connections of one source and the store.
const BYTES_MAX: usize = 64 * 1024 * 1024;
const BYTES_PER_PLACE: usize = 1_024;
const PLACES_MAX: usize = BYTES_MAX / BYTES_PER_PLACE;

/// Bounds the memory of waiting messages, whose number alone says little.
#[derive(Clone, Debug)]
pub struct Room(Arc<Semaphore>);

/// A message's place; free again when it is dropped.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

impl Room {
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(PLACES_MAX)))
    }

    /// Waits until there is room for so many bytes. A message larger than all the room gets all.
    pub async fn take(&self, bytes: usize) -> Place {
        let places = (bytes / BYTES_PER_PLACE + 1).min(PLACES_MAX);
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        // It is never closed; and a message without a place is better than none.
        Place(Arc::clone(&self.0).acquire_many_owned(places).await.ok())
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn room_is_counted_in_bytes_and_comes_back() {
        let room = Room::new();
        let half = room.take(BYTES_MAX / 2).await;
        assert!(room.take(BYTES_MAX).now_or_never().is_none());
        let small = room.take(1).now_or_never();
        assert!(small.is_some());
        drop((half, small));
        assert!(room.take(usize::MAX).now_or_never().is_some());
    }
}
