//! How a connector connects again: later each time, not in step with others, and rarely once many
//! tries have failed.

use std::error::Error;
use std::time::Duration;

use kernel::{Backoff, SharedClock};
use tokio_util::sync::CancellationToken;

use crate::SourceStatus;

/// How often a peer is tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    pub backoff: Backoff,
    /// Failures in a row after which the breaker opens: then only one try in the longest pause is
    /// made.
    pub failures_max: u32,
}

/// For brokers and servers that people restart.
pub const PATIENCE: Patience = Patience {
    backoff: Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) },
    failures_max: 5,
};

/// The failures of one connector in a row.
pub struct Reconnect<'a> {
    status: &'a SourceStatus,
    clock: &'a SharedClock,
    patience: Patience,
    failures: u32,
}

impl<'a> Reconnect<'a> {
    #[must_use]
    pub fn new(status: &'a SourceStatus, clock: &'a SharedClock, patience: Patience) -> Self {
        Self { status, clock, patience, failures: 0 }
    }

    /// Notes why a link ended; one that stood before is the first failure of a row.
    pub fn lost(&mut self, error: &(dyn Error + 'static), was_connected: bool) {
        self.failures = if was_connected { 1 } else { self.failures.saturating_add(1) };
        self.status.lost(error, self.is_open(), self.clock.now());
        let source = self.status.snapshot().id;
        tracing::warn!(%source, failures = self.failures, error, "link lost");
    }

    /// Waits before the next try; false when it was stopped meanwhile.
    pub async fn wait(&self, stop: &CancellationToken) -> bool {
        let health = self.status.snapshot();
        let pause = self.pause(kernel::spread((&health.id, &health.address, self.clock.now())));
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    fn is_open(&self) -> bool {
        self.failures >= self.patience.failures_max
    }

    fn pause(&self, jitter: f64) -> Duration {
        let attempt = if self.is_open() { u32::MAX } else { self.failures };
        self.patience.backoff.pause(attempt, jitter)
    }
}

#[cfg(test)]
mod tests {
    use kernel::SystemClock;

    use super::*;
    use crate::{LinkState, Protocol, SenseError, SourceId};

    #[tokio::test]
    async fn tries_are_ever_rarer_and_a_link_that_stood_begins_anew() {
        let status = SourceStatus::new(SourceId::new(Protocol::Mqtt, "north"), "broker:1883");
        let clock = SystemClock::shared();
        let mut reconnect = Reconnect::new(&status, &clock, PATIENCE);
        let error = SenseError::Connection("refused".to_owned());
        let mut pauses = Vec::new();
        for _ in 0..6 {
            reconnect.lost(&error, false);
            pauses.push((reconnect.pause(0.0).as_millis(), reconnect.pause(1.0).as_millis()));
        }
        let wanted = [(500, 1_000), (1_000, 2_000), (2_000, 4_000), (4_000, 8_000)];
        assert_eq!(pauses[..4], wanted);
        assert_eq!(pauses[4..], [(30_000, 60_000); 2]);
        let health = status.snapshot();
        assert_eq!((health.link, health.reconnects), (LinkState::Open, 6));
        reconnect.lost(&error, true);
        assert_eq!(status.snapshot().link, LinkState::Waiting);
        reconnect.patience.backoff.first = Duration::from_millis(2);
        assert!(reconnect.wait(&CancellationToken::new()).await);
        let stop = CancellationToken::new();
        stop.cancel();
        assert!(!reconnect.wait(&stop).await);
    }
}
