use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::memory::lock;

/// Wakes a thread that otherwise looks around now and then.
#[derive(Default)]
pub(super) struct Bell {
    state: Mutex<BellState>,
    rung: Condvar,
}

#[derive(Default)]
struct BellState {
    rung: bool,
    stop: bool,
}

impl Bell {
    pub(super) fn ring(&self) {
        lock(&self.state).rung = true;
        self.rung.notify_all();
    }

    pub(super) fn stop(&self) {
        lock(&self.state).stop = true;
        self.rung.notify_all();
    }

    pub(super) fn is_stopping(&self) -> bool {
        lock(&self.state).stop
    }

    /// Waits for the bell or the end of `most`; returns whether it is time to stop.
    pub(super) fn wait(&self, most: Duration) -> bool {
        let state = lock(&self.state);
        let (mut state, _) = self
            .rung
            .wait_timeout_while(state, most, |state| !state.rung && !state.stop)
            .unwrap_or_else(PoisonError::into_inner);
        state.rung = false;
        state.stop
    }
}
